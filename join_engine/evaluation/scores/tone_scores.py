# SPDX-License-Identifier: GPL-3.0-or-later
"""How well held-out heads are decomposed, and their faces found, by the tone of their skin.

--data is a float pack of the dataset heads. --out gets tones.json, with the figures of every head, and tones.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...bank import Bank
from ...color import LUMINANCE_WEIGHTS
from ...errors import JoinError
from ...face_finder import find_faces, is_installed
from ...images.metrics import brightness_told, component_scores
from ...inversion.codebook import CodeBook
from ...inversion.presets import Preset, get_preset
from ...options import add_inversion_options, finite, load_bank_named, positive, say
from ...pipeline import decompose
from ...renders.samples import Sample, Tone, read_samples, read_tones
from ..camera import METERED, photographed
from ..options import keep
from ..tables import interval, markdown, plus_minus

ALL = "all"
# Where FFHQ's crop has nose and cheeks, in sides of it: rows and columns.
_SKIN = ((0.525, 0.675), (0.36, 0.64))
_DARK = 1e-4
_SKIN_COLUMN, _FOUND, _OFF = "skin", "found", "off"
# Of a figure, the same with the albedo as bright in all as it is (the light the less): no photo tells its exposure.
_TOLD = ", brightness told"
_SCALED = ("albedo", "shading")
# Typology angles in degrees (Chardon et al. 1991) above which skin is light, and below which it is brown or dark.
_LIGHT, _BROWN = 41.0, 10.0

Rows = dict[str, dict[str, Any]]


def measure(
    bank: Bank,
    samples: Sequence[Sample],
    tones: Mapping[str, Tone],
    preset: Preset,
    seed: int,
    luminance: float = METERED,
) -> Rows:
    """Figures of each sample by its name.

    Args:
        samples: heads as FFHQ cuts them, with the components of the bank.
        tones: of the samples, by their names.
        luminance: mean of the photos that are taken of them.

    Returns:
        For each: ``tone`` and ``ita``; ``albedo``, ``shading`` and whatever else the bank has, PSNR in dB as in the
        tables of ``evaluate``; ``skin``, the natural logarithm of how many times too bright the albedo of nose and
        cheeks is; of these but the specular also ``…, brightness told``, for the albedo times the one factor that
        suits it best and the shading divided by it; where faces can be found, ``found``, 1 or 0, and ``off``, how far
        the middle of the crop is from where it should be, in its sides.
    """
    codebook, found = CodeBook(bank), {}
    for done, sample in enumerate(samples, start=1):
        photo, truth = photographed(bank, sample.components, luminance)
        outcome = decompose(photo[..., :3], bank, preset, seed, codebook=codebook)
        layers = outcome.decomposition.layers
        tone = {"tone": tones[sample.name].name, "ita": tones[sample.name].ita}
        found[sample.name] = {**tone, **_scores(layers, truth), **_seen(photo)}
        if done % 20 == 0:
            say(f"{done} of {len(samples)} heads")
    return found


def _scores(layers: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> dict[str, float]:
    told, scores = brightness_told(layers, truth), {}
    for name, own in truth.items():
        scores[name] = component_scores(name, layers[name], own)["psnr"]
        if name in _SCALED:
            scores[f"{name}{_TOLD}"] = component_scores(name, told[name], own)["psnr"]
    scores[_SKIN_COLUMN] = _too_bright(layers["albedo"], truth["albedo"])
    scores[f"{_SKIN_COLUMN}{_TOLD}"] = _too_bright(told["albedo"], truth["albedo"])
    return scores


def _too_bright(albedo: np.ndarray, truth: np.ndarray) -> float:
    rows, columns = (
        slice(round(low * side), max(round(high * side), round(low * side) + 1))
        for (low, high), side in zip(_SKIN, truth.shape[:2], strict=True)
    )
    weights = np.array(LUMINANCE_WEIGHTS, np.float32)
    one, other = (np.maximum(layer[rows, columns] @ weights, _DARK) for layer in (albedo, truth))
    return float(np.median(np.log(one) - np.log(other)))


def _seen(photo: np.ndarray) -> dict[str, float]:
    if not is_installed():
        return {}
    faces = find_faces(photo)
    if not faces:
        return {_FOUND: 0.0}
    crop, side = faces[0].crop, photo.shape[0]
    return {_FOUND: 1.0, _OFF: float(np.hypot(*np.subtract(crop.center, 0.5 * side))) / side}


def summarise(rows: Rows) -> dict[str, Any]:
    """``tones``: from the lightest skin to the darkest, and of all, column → mean and interval (95 % of the mean), how
    many ``samples``, and ``kept`` (not of all): whether no light skin is darkened, no dark one brightened, and none in
    between either, beyond the interval; ``apart``: of the lightest tone that there is less the darkest, the mean
    difference of each column and its interval."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in sorted(rows.values(), key=lambda row: -float(row["ita"])):
        groups.setdefault(str(row["tone"]), []).append(row)
    columns = [name for name in next(iter(rows.values())) if name not in ("tone", "ita", _OFF)]
    columns += [_OFF] if any(_OFF in row for row in rows.values()) else []
    told = {
        tone: {"samples": len(group), **{column: _interval(group, column) for column in columns}}
        for tone, group in {**groups, ALL: list(rows.values())}.items()
    }
    ordered = list(groups.values())
    for tone, group in groups.items():
        told[tone]["kept"] = _is_kept(told[tone], float(np.mean([row["ita"] for row in group])))
    return {"tones": told, "apart": {column: _apart(ordered[0], ordered[-1], column) for column in columns}}


def _is_kept(row: Mapping[str, Any], ita: float) -> bool:
    """Whether a tone of that typology angle is drawn to no other that lies in the middle."""
    low, high = row[_SKIN_COLUMN]["interval"]
    darkened, brightened = high < 0.0, low > 0.0
    return not ((darkened and ita >= _BROWN) or (brightened and ita <= _LIGHT))


def _interval(group: Sequence[Mapping[str, Any]], column: str) -> dict[str, Any] | None:
    values = [float(row[column]) for row in group if column in row]
    return interval(values) if values else None


def _apart(one: Sequence[Mapping[str, Any]], other: Sequence[Mapping[str, Any]], column: str) -> dict[str, Any] | None:
    """Of independent groups: the variances of their means add up."""
    found = [_interval(group, column) for group in (one, other)]
    if found[0] is None or found[1] is None:
        return None
    mean = found[0]["mean"] - found[1]["mean"]
    half = float(np.hypot(*(0.5 * (each["interval"][1] - each["interval"][0]) for each in found if each)))
    return {"mean": mean, "interval": [mean - half, mean + half]}


def format_table(table: Mapping[str, Any]) -> str:
    """Markdown of :func:`summarise`, and what it says of the skin."""
    skin = "skin's albedo too bright, ln (0 is right)"
    headings = {
        _SKIN_COLUMN: skin,
        f"{_SKIN_COLUMN}{_TOLD}": f"{skin}{_TOLD}",
        _FOUND: "face found",
        _OFF: "crop off, in its sides ↓",
    }
    columns = list(table["apart"])
    last = "light not darkened, dark not brightened"
    cells = []
    for tone, row in table["tones"].items():
        kept = {True: "yes", False: "no", None: ""}[row.get("kept")]
        cells.append([tone, str(row["samples"]), *(_cell(row[name], name) for name in columns), kept])
    cells.append(["lightest − darkest", "", *(_cell(table["apart"][name], name) for name in columns), ""])
    named = ["skin", "heads", *(headings.get(name, f"{name}, dB ↑") for name in columns), last]
    return "\n".join([*markdown(named, cells), "", _verdict(table), ""])


def _cell(score: Mapping[str, Any] | None, column: str) -> str:
    if score is None:
        return "none"
    form = "+.3f" if column.startswith(_SKIN_COLUMN) else ".3f" if column in (_FOUND, _OFF) else ".2f"
    return plus_minus(score, form)


def _verdict(table: Mapping[str, Any]) -> str:
    """Which tones' albedo is brightened or darkened beyond the interval."""
    said = []
    for tone, row in table["tones"].items():
        low, high = row[_SKIN_COLUMN]["interval"]
        if low > 0.0 or high < 0.0:
            word = "brightened" if low > 0.0 else "darkened"
            said.append(f"{tone} is {word} by {abs(np.expm1(row[_SKIN_COLUMN]['mean'])):.0%}")
    text = "; ".join(said) if said else "no tone is brightened or darkened"
    return f"Beyond the interval (95 % of the mean), {text}."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="PACK.tar", help="a pack of heads")
    parser.add_argument("--count", type=positive, default=300, help="how many heads at most (default 300)")
    metered = "mean luminance of the photos that are taken of them (default 0.18); more is brighter, and clips more"
    parser.add_argument("--metered", type=finite, default=0.18, metavar="LUMINANCE", help=metered)
    parser.add_argument("--out", type=Path, required=True, help="folder")
    add_inversion_options(parser)


def run(options: argparse.Namespace) -> None:
    bank = load_bank_named(options)
    samples = read_samples(options.data, bank.forward_model.components, options.count)
    tones = read_tones(options.data)
    told = [sample for sample in samples if sample.name in tones]
    if not told:
        message = f"'{options.data}' does not tell the tone of anybody's skin."
        raise JoinError("data_broken", message, "Export renders of heads with this version of dataset_tools.")
    rows = measure(bank, told, tones, get_preset(options.preset), options.seed, options.metered)
    table = summarise(rows)
    about = {
        "bank": {"name": bank.header.name, "sha256": bank.sha256},
        "preset": options.preset,
        "metered": options.metered,
    }
    keep(options.out, "tones", {**about, **table, "heads": rows}, format_table(table))
