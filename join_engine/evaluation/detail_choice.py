# SPDX-License-Identifier: GPL-3.0-or-later
"""Which share and radius of the detail suit a bank: ``python -m join_engine.evaluation.detail_choice --bank B …``.

Prints mean PSNR of every component with the detail split in each of the ways (:mod:`join_engine.layers.detail`), over
renders of the validation split. What is best goes into the bank by ``make_bank --detail-share --detail-radius``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from ..bank import Bank, find_bank, load_bank
from ..device import set_up_torch
from ..errors import status_of
from ..images.frame import Frame
from ..images.metrics import component_scores
from ..inversion.codebook import CodeBook
from ..inversion.presets import PRESETS, Detail, Preset
from ..layers.albedo_level import albedo_levels
from ..layers.detail import add_detail
from ..renders.samples import Sample, read_samples
from .evaluate import Layers, Run, at_resolution, encode_images, invert_images
from .methods import preset_method

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
RADII = (0.5, 1.0, 2.0, 4.0)


def compare(
    bank: Bank, samples: Sequence[Sample], preset: Preset, settings: Sequence[Detail], run: Run | None = None
) -> list[dict[str, float]]:
    """Mean PSNR in dB of each component, for each of the settings."""
    run = run or Run()
    truths = [at_resolution(sample.components, bank.header.resolution) for sample in samples]
    images = [np.asarray(bank.forward_model.compose(truth)) for truth in truths]
    codebook, layers, levels = CodeBook(bank), list[Layers](), list[float | None]()
    for first in range(0, len(images), run.batch):
        part = images[first : first + run.batch]
        layers += invert_images(bank, part, preset_method(preset, bank), run, codebook, {}, first)[0]
        levels += albedo_levels(bank, encode_images(part))
    return [_mean_psnr(settings_, images, layers, levels, truths) for settings_ in settings]


def _mean_psnr(
    settings: Detail,
    images: Sequence[np.ndarray],
    layers: Sequence[Layers],
    levels: Sequence[float | None],
    truths: Sequence[Mapping[str, np.ndarray]],
) -> dict[str, float]:
    side = images[0].shape[0]
    found: dict[str, list[float]] = {name: [] for name in truths[0]}
    for image, made, level, truth in zip(images, layers, levels, truths, strict=True):
        detailed = add_detail(settings, image, made, Frame(side, side, side), level)
        for name, values in found.items():
            values.append(component_scores(name, detailed[name], truth[name])["psnr"])
    return {name: float(np.mean(values)) for name, values in found.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m join_engine.evaluation.detail_choice", description=__doc__)
    parser.add_argument("--bank", required=True, help="name or path")
    parser.add_argument("--data", required=True, type=Path, help="a pack of validation renders")
    parser.add_argument("--count", type=int, default=200, help="how many of them (default: 200)")
    parser.add_argument("--preset", choices=tuple(PRESETS), default="draft", help="makes the layers")
    parser.add_argument("--shares", nargs="+", type=float, default=SHARES)
    parser.add_argument("--radii", nargs="+", type=float, default=RADII, help="in pixels of the bank")
    parser.add_argument(
        "--brightness", action=argparse.BooleanOptionalAction, default=True, help="as the bank's network tells it"
    )
    parser.add_argument("--threads", type=int, help="CPU threads (default: torch decides)")
    arguments = parser.parse_args(argv)
    return status_of(lambda: _print(arguments))


def _print(arguments: argparse.Namespace) -> None:
    ways = [(radius, share) for radius in arguments.radii for share in arguments.shares]
    settings = [Detail(radius, share, arguments.brightness) for radius, share in ways]
    device: torch.device = set_up_torch("auto", arguments.threads)
    bank = load_bank(find_bank(arguments.bank), device)
    samples = read_samples(arguments.data, bank.forward_model.components, arguments.count)
    print(f"| radius | share | {' | '.join(bank.components)} |")
    print("|---|---|" + "---|" * len(bank.components))
    for setting, psnr in zip(settings, compare(bank, samples, PRESETS[arguments.preset], settings), strict=True):
        print(f"| {setting.radius:g} | {setting.share:g} | {' | '.join(f'{psnr[name]:.2f}' for name in psnr)} |")


if __name__ == "__main__":
    sys.exit(main())
