# SPDX-License-Identifier: GPL-3.0-or-later
"""Which share and radius of the detail (:mod:`join_engine.layers.detail`) suit a bank, on validation renders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from ..bank import Bank
from ..color import srgb_encode
from ..images.frame import Frame
from ..images.metrics import component_scores
from ..inversion.codebook import CodeBook
from ..inversion.presets import Detail, Preset
from ..layers.albedo_level import albedo_levels
from ..layers.detail import add_detail
from ..renders.samples import Sample
from .evaluate import Layers, Run, at_resolution, invert_images

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
