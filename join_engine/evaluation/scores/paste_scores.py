# SPDX-License-Identifier: GPL-3.0-or-later
"""How near a pasted material comes to the true one in the same light, beside pasted pixels, on renders.

--out gets paste.json and paste.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ...bank import Bank
from ...color import srgb_encode
from ...images.metrics import mse, psnr
from ...inversion.codebook import CodeBook
from ...inversion.diffusion import component_codes
from ...inversion.presets import get_preset
from ...layers.decomposition import Decomposition
from ...networks.stylegan2 import generate
from ...options import say
from ...pipeline import decompose
from ...relighting.pasting import ALBEDO, feathered, fitted, paste
from ...relighting.relighter import frame_of
from ...renders.samples import Sample
from ..camera import photographed
from ..options import add_pack_table_options, run_on_pack
from ..tables import interval, markdown, plus_minus

_PART = 1 / 2  # of the picture's side that the patch is wide
_FEATHER = 2.0
COLUMNS = ("pixels", "paint", "true layers", "own light")
CODES = ("before", "patch", "found")
PRESET = "draft"

Row = dict[str, float]


def measure(bank: Bank, samples: Sequence[Sample], steps: int) -> dict[str, Any]:
    """The middle of each render's material laid into the next one's light.

    The truth is what the true layers make of it: the other's albedo in this one's shading and specular. PSNR in dB,
    sRGB-encoded, inside of the patch, of ``pixels`` (the other's photo pasted), ``paint`` (:func:`paste` of what the
    bank found in both photos) and ``true layers`` (its albedo in the shading and specular that were found: what the
    other's albedo costs is the difference); ``own light``: of the photo before, in the patch's place, which tells
    nothing but how unlike the two are. And how near the albedo's generator comes to the albedo with the patch, inside
    and outside of it: with the codes of ``before``, with those of the published diffusion, of the ``patch`` alone from
    what the encoder sees, and with those that are ``found``. Returns for JSON: ``image`` by column, and ``codes`` by
    kind of codes and "inside" and "outside": mean and interval.
    """
    codebook, preset = CodeBook(bank), get_preset(PRESET)
    photos = [photographed(bank, sample.components) for sample in samples]
    found = [decompose(photo, bank, preset, codebook=codebook).decomposition for photo, _ in photos]
    rows: list[Row] = []
    codes: dict[str, dict[str, list[float]]] = {kind: {"inside": [], "outside": []} for kind in CODES}
    for number, mine in enumerate(found):
        other = (number + 1) % len(found)
        mask = _middle(*mine.size)
        share = feathered(mask, _FEATHER)[..., None]
        photo, true = photos[number]
        patch, patched = photos[other]
        truth = _composed(bank, true, _mixed(true[ALBEDO], patched[ALBEDO], share))
        pasted = paste(mine, found[other].layers[ALBEDO], mask, bank, 1.0, _FEATHER, steps)
        pictures = {
            "pixels": _mixed(photo[..., :3], patch[..., :3], share),
            "paint": pasted.recomposed,
            "true layers": _composed(bank, mine.layers, _mixed(mine.layers[ALBEDO], patched[ALBEDO], share)),
            "own light": photo[..., :3],
        }
        rows.append({name: _psnr(picture, truth, share) for name, picture in pictures.items()})
        _fit(bank, mine, pasted, share[..., 0], steps, codes)
        say(f"{number + 1} of {len(found)} pairs")
    image = {name: interval([row[name] for row in rows]) for name in COLUMNS}
    image["gain"] = interval([row["paint"] - row["pixels"] for row in rows])
    told = {kind: {where: interval(values) for where, values in parts.items()} for kind, parts in codes.items()}
    return {"samples": len(samples), "steps": steps, "preset": PRESET, "image": image, "codes": told}


def format_table(table: Mapping[str, Any]) -> str:
    """Markdown of :func:`measure`."""
    names = (*COLUMNS, "gain")
    image = markdown(names, [[plus_minus(table["image"][name]) for name in names]])
    told = table["codes"].items()
    codes = ([kind, plus_minus(parts["inside"]), plus_minus(parts["outside"])] for kind, parts in told)
    return "\n".join([*image, "", *markdown(("codes", "inside", "outside"), codes), ""])


def _middle(height: int, width: int) -> np.ndarray:
    """[H, W] of 0 and 1."""
    mask = np.zeros((height, width), np.float32)
    mask[
        round(height * _PART / 2) : round(height * (1 - _PART / 2)),
        round(width * _PART / 2) : round(width * (1 - _PART / 2)),
    ] = 1.0
    return mask


def _mixed(under: np.ndarray, over: np.ndarray, share: np.ndarray) -> np.ndarray:
    return np.asarray(under + (over - under) * share)


def _composed(bank: Bank, layers: Mapping[str, np.ndarray], albedo: np.ndarray) -> np.ndarray:
    own = {name: layers[name] for name in bank.forward_model.components}
    return np.asarray(bank.forward_model.compose({**own, ALBEDO: albedo}))


def _psnr(picture: np.ndarray, truth: np.ndarray, share: np.ndarray) -> float:
    inside = share[..., 0] >= 1.0
    one, other = (srgb_encode(each.clip(0.0, 1.0))[inside] for each in (picture, truth))
    return psnr(mse(one, other))


def _fit(
    bank: Bank,
    mine: Decomposition,
    pasted: Decomposition,
    share: np.ndarray,
    steps: int,
    codes: dict[str, dict[str, list[float]]],
) -> None:
    """Put in how near the albedo's generator comes to the albedo with the patch."""
    part, frame = bank.components[ALBEDO], frame_of(mine, bank)
    target = fitted(bank, pasted.layers[ALBEDO], frame)
    where = frame.fit(np.repeat(share[..., None], 3, axis=2))[:, :1].to(target)
    with torch.no_grad():
        seen = part.encode(srgb_encode(frame.fit(pasted.recomposed)).to(target))
    alone = component_codes(bank, ALBEDO, seen, target, where, steps)
    found = [torch.from_numpy(one.codes[ALBEDO])[None].to(target) for one in (mine, pasted)]
    for kind, w in zip(CODES, (found[0], alone, found[1]), strict=True):
        with torch.no_grad():
            missed = ((generate(part.generator, w) - target) / 2.0).square().mean(dim=1, keepdim=True)
        for name, weight in (("inside", where), ("outside", 1.0 - where)):
            codes[kind][name].append(psnr(float((missed * weight).sum() / weight.sum())))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_pack_table_options(parser, 24, 60, "the search for the albedo's codes")


def run(options: argparse.Namespace) -> None:
    run_on_pack(options, "paste", lambda bank, samples: measure(bank, samples, options.steps), format_table)
