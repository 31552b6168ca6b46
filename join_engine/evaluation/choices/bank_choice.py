# SPDX-License-Identifier: GPL-3.0-or-later
"""By which figure a picture's bank should be chosen, and whether that is better than one bank for all.

Every render of the packs, as its own camera exposes it, is decomposed with each of --banks, the first of which is the
default. Each figure tells how well a bank knows a picture; another bank than the default is taken where its figure is
ahead by more than a threshold, which every other render chooses. Printed is what is gained over the default by the
remaining ones, in dB of albedo and shading together, all packs alike.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...bank import Bank, find_bank, load_bank
from ...bank.choice import MARGIN, decide
from ...bank.pictures import measure
from ...color import srgb_encode
from ...device import set_up_torch
from ...errors import JoinError
from ...images.files import opaque, write_text
from ...images.frame import Frame
from ...images.metrics import component_scores
from ...inversion.codebook import CodeBook
from ...inversion.presets import get_preset
from ...layers.split import encoders_say, fit_error
from ...networks.stylegan2 import generate
from ...options import add_device_options, as_json, say
from ...pipeline import decompose
from ...renders.samples import read_samples
from ..camera import metered
from ..options import add_packs
from ..tables import markdown

JUDGED = ("albedo", "shading")
_CODES, _NEAREST = 10_000, 10
# Of one bank and one picture: what is told of it, by name.
Row = dict[str, float]
# By bank.
Render = dict[str, Row]


# More is better known.
FIGURES: dict[str, Callable[[Mapping[str, float]], float]] = {
    "likelihood": lambda found: found["log_likelihood"],
    "unfamiliarity": lambda found: -math.log(found["unfamiliarity"] / found["familiar"]),
    "fit": lambda found: -math.log(found["fit"]),
    "codes": lambda found: -math.log(found["codes"]),
    "discriminators": lambda found: found["discriminators"],
}


class Judge:
    """Decomposes renders with one bank, and tells how well it knows them. Raises JoinError ``settings_invalid`` for a
    bank that lacks what a figure needs."""

    def __init__(self, bank: Bank) -> None:
        split = bank.header.split
        scores = {} if split is None else split.training.get("scores", {})
        if bank.header.pictures is None or "familiar" not in scores or not bank.has_encoders:
            message = f"The bank '{bank.header.name}' does not tell how well it knows a picture."
            hint = "Give one with encoders, a split network judged beside them, and --pictures of make-bank."
            raise JoinError("settings_invalid", message, hint)
        self._bank, self._codebook, self._familiar = bank, CodeBook(bank), float(scores["familiar"])

    @torch.no_grad()
    def row(self, photo: np.ndarray, truth: Mapping[str, np.ndarray]) -> Row:
        """``photo``: linear [H, W, 4] in [0, 1]. ``truth``: linear components [H, W, 3]."""
        bank, pictures = self._bank, self._bank.header.pictures
        assert pictures is not None
        found = decompose(photo, bank, get_preset("draft"), codebook=self._codebook).decomposition
        row = {name: component_scores(name, found.layers[name], truth[name])["psnr"] for name in JUDGED}
        colour = opaque(photo)
        square = Frame(colour.shape[0], colour.shape[1], bank.header.resolution).fit(colour)
        measured = measure(photo)
        return row | {
            "unfamiliarity": found.metrics["unfamiliarity"],
            "familiar": self._familiar,
            "log_likelihood": float(pictures.log_likelihoods(measured)),
            "distance": float(pictures.distances(measured)) / pictures.usual,
            "fit": float(fit_error(bank, encoders_say(bank, square), square)),
            **self._of_generators(srgb_encode(square.clamp(0.0, 1.0))),
        }

    def _of_generators(self, image: Tensor) -> Row:
        """Means over the components: how far the encoders' codes are from the nearest of the generator's, in standard
        deviations of these, and what the discriminators say of what is made of them."""
        far, real = [], []
        for part in self._bank.components.values():
            code, drawn = part.encode(image), part.sample_codes(_CODES)
            distances = torch.cdist(code.mean(dim=1), drawn)[0]
            far.append(float(distances.topk(_NEAREST, largest=False).values.mean() / drawn.std(dim=0).norm()))
            if part.discriminator is not None:
                real.append(float(part.discriminator(generate(part.generator, code)).mean()))
        return {"codes": float(np.mean(far)), "discriminators": float(np.mean(real)) if real else 0.0}


def gain(render: Render, bank: str, default: str) -> float:
    """What a bank's albedo and shading are better by than the default's, mean PSNR in dB."""
    return float(np.mean([render[bank][name] - render[default][name] for name in JUDGED]))


def taken(render: Render, figure: Callable[[Mapping[str, float]], float], default: str, threshold: float) -> str:
    """The bank that is taken by a figure."""
    others = {name: figure(found) for name, found in render.items() if name != default}
    best = max(others, key=lambda name: others[name])
    return best if others[best] - figure(render[default]) > threshold else default


def best_threshold(
    kinds: Mapping[str, Sequence[Render]], figure: Callable[[Mapping[str, float]], float], default: str
) -> float:
    """The one that gains the most on these renders, all kinds alike; infinite where none gains anything."""
    ahead = []
    for renders in kinds.values():
        for render in renders:
            others = max(figure(found) for name, found in render.items() if name != default)
            bank = taken(render, figure, default, -math.inf)
            lead = others - figure(render[default])
            ahead.append((lead, gain(render, bank, default) / len(renders)))
    ahead.sort(reverse=True)
    totals = np.cumsum([each for _, each in ahead])
    best = int(totals.argmax())
    if totals[best] <= 0.0:
        return math.inf
    if best + 1 == len(ahead):
        return ahead[best][0] - 1e-6
    return (ahead[best][0] + ahead[best + 1][0]) / 2.0


def ways(kinds: Mapping[str, Sequence[Render]], default: str) -> dict[str, Callable[[str, Render], str]]:
    """The ways to choose, by their names: of a kind and a render of it the bank. Thresholds, and the best bank of each
    kind, are those of these renders."""
    banks = list(next(iter(kinds.values()))[0])
    found: dict[str, Callable[[str, Render], str]] = {}
    for bank in banks:
        found[f"always {bank}"] = partial(lambda bank, _, render: bank, bank)
    for name, figure in FIGURES.items():
        threshold = best_threshold(kinds, figure, default)
        found[f"{name}, {threshold:.2f}"] = partial(
            lambda figure, threshold, _, render: taken(render, figure, default, threshold), figure, threshold
        )
    found[f"as shipped, {MARGIN:g}"] = lambda _, render: decide(render, default)[0]
    suited = {
        kind: max(banks, key=lambda bank: float(np.mean([gain(each, bank, default) for each in renders])))
        for kind, renders in kinds.items()
    }
    found["whoever knows the kind"] = lambda kind, _: suited[kind]
    found["whoever knows the layers"] = lambda _, render: max(banks, key=lambda bank: gain(render, bank, default))
    return found


def format_table(kinds: Mapping[str, Sequence[Render]], default: str) -> str:
    """Markdown: of each way what it gains, how often it takes another bank, and how often the better one."""
    chosen_on = {kind: renders[::2] for kind, renders in kinds.items()}
    told_on = {kind: renders[1::2] for kind, renders in kinds.items()}
    cells = []
    for name, way in ways(chosen_on, default).items():
        gains, variances, right, cell = [], [], [], [name]
        for kind, renders in told_on.items():
            banks = [way(kind, render) for render in renders]
            own = [gain(render, bank, default) for render, bank in zip(renders, banks, strict=True)]
            best = [max(gain(render, bank, default) for bank in render) for render in renders]
            gains.append(float(np.mean(own)))
            variances.append(float(np.var(own, ddof=1)) / len(own))
            right.append(float(np.mean([mine == most for mine, most in zip(own, best, strict=True)])))
            left = np.mean([bank != default for bank in banks])
            cell.append(f"{gains[-1]:+.2f} ± {1.96 * math.sqrt(variances[-1]):.2f} ({left:.0%})")
        spread = 1.96 * math.sqrt(sum(variances)) / len(gains)
        cells.append([*cell, f"{np.mean(gains):+.2f} ± {spread:.2f}", f"{np.mean(right):.0%}"])
    headings = ["chosen by", *(f"{kind} ({len(told_on[kind])})" for kind in kinds), "all", "the better one"]
    return "\n".join([*markdown(headings, cells), ""])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_packs(parser, 100)
    parser.add_argument("--banks", nargs="+", required=True, help="names or paths, the default first")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="the figures of every render")
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    device = set_up_torch(options.device, options.threads)
    banks = {Path(name).stem: load_bank(find_bank(name), device, with_discriminators=True) for name in options.banks}
    if len(banks) < 2 or len({bank.header.forward_model for bank in banks.values()}) != 1:
        raise JoinError("settings_invalid", "Banks of one forward model are compared, two or more.", "Name them.")
    judges = {name: Judge(bank) for name, bank in banks.items()}
    default = next(iter(banks.values()))
    kinds: dict[str, list[Render]] = {}
    for kind, path in options.data:
        kinds[kind] = []
        for sample in read_samples(Path(path), default.forward_model.components, options.count):
            photo, _ = metered(default, sample.components, luminance=None)
            kinds[kind].append({name: judge.row(photo, sample.components) for name, judge in judges.items()})
        say(f"{kind}: {len(kinds[kind])} renders")
    if options.out is not None:
        told: dict[str, Any] = dict(kinds)
        write_text(options.out, as_json(told))
    print(format_table(kinds, next(iter(banks))))
