# SPDX-License-Identifier: GPL-3.0-or-later
"""Which share and radius of the detail suit a bank.

Prints mean PSNR of every component with the detail split in each of the ways, over renders of the validation split.
What is best goes into the bank by make-bank --detail-share --detail-radius.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from ...bank import Bank, find_bank, load_bank
from ...color import srgb_encode
from ...device import set_up_torch
from ...images.frame import Frame
from ...images.metrics import component_scores
from ...inversion.codebook import CodeBook
from ...inversion.presets import PRESETS, Detail, Preset, get_preset
from ...layers.albedo_level import albedo_levels
from ...layers.detail import add_detail
from ...options import add_threads_option, positive
from ...renders.samples import Sample, read_samples
from ..camera import Layers, at_resolution
from ..paper.evaluate import Run, invert_images
from ..tables import markdown

SHARES = (0.1, 0.3, 0.5, 0.7, 0.9)
RADII = (0.5, 1.0, 2.0, 4.0)


def compare(
    bank: Bank, samples: Sequence[Sample], preset: Preset, settings: Sequence[Detail]
) -> list[dict[str, float]]:
    """Mean PSNR in dB of each component, for each of the settings."""
    run = Run()
    truths = [at_resolution(sample.components, bank.header.resolution) for sample in samples]
    images = [np.asarray(bank.forward_model.compose(truth)) for truth in truths]
    codebook, layers, levels = CodeBook(bank), list[Layers](), list[float | None]()
    for first in range(0, len(images), run.batch):
        part = images[first : first + run.batch]
        layers += [outcome.generated for outcome in invert_images(bank, part, preset, run, codebook)]
        levels += albedo_levels(bank, srgb_encode(torch.from_numpy(np.stack(part).transpose(0, 3, 1, 2).copy())))
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bank", required=True, help="name or path")
    parser.add_argument("--data", required=True, type=Path, help="a pack of validation renders")
    parser.add_argument("--count", type=positive, default=200, help="how many of them (default: 200)")
    parser.add_argument("--preset", choices=tuple(PRESETS), default="draft", help="makes the layers")
    parser.add_argument("--shares", nargs="+", type=float, default=SHARES)
    parser.add_argument("--radii", nargs="+", type=float, default=RADII, help="in pixels of the bank")
    parser.add_argument(
        "--brightness", action=argparse.BooleanOptionalAction, default=True, help="as the bank's network tells it"
    )
    add_threads_option(parser)


def run(options: argparse.Namespace) -> None:
    ways = [(radius, share) for radius in options.radii for share in options.shares]
    settings = [Detail(radius, share, options.brightness) for radius, share in ways]
    bank = load_bank(find_bank(options.bank), set_up_torch("auto", options.threads))
    samples = read_samples(options.data, bank.forward_model.components, options.count)
    found = compare(bank, samples, get_preset(options.preset), settings)
    cells = [[f"{v:.2f}" for v in psnr.values()] for psnr in found]
    rows = [[f"{way.radius:g}", f"{way.share:g}", *own] for way, own in zip(settings, cells, strict=True)]
    print("\n".join(markdown(["radius", "share", *bank.components], rows)))
