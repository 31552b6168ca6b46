# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers that make the image exactly, at its own resolution: the detail that the generators cannot express.

This is not in the paper, whose layers only approximate the image. A bank's generators know neither the fine texture
of an image nor anything beyond their own resolution. The ratio between the image and what the layers make is split as
Retinex would: much of its smooth grey part goes to the shading, the rest (edges, texture, colour) to the albedo. A
bank's network may then tell how bright the albedo is in all (:mod:`join_engine.layers.albedo_level`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..bank.header import BankHeader
from ..forward_models import DETAILED
from ..images.frame import Frame, picture_of
from ..inversion.presets import Detail, Preset
from .albedo_level import BRIGHTEST, DARKEST, level_of
from .strips import Strips

_EPSILON = 0.002  # keeps ratios of dark pixels, which are mostly noise, near 1; the best of 0.001 to 0.01 on validation
# A highlight is gone when its generator has moved a sixteenth of its gloss: the codes move highlights by less than
# lights do (``relighting-scores``: of 4, 8 and 16 the first that leaves less than a tenth of the old highlight).
_GONE = 16.0

Layers = dict[str, np.ndarray]


def detail_for(preset: Preset, header: BankHeader) -> Detail | None:
    """What a preset asks for, with the bank's own numbers where the preset names none.

    None when it asks for no detail, and for a forward model that :func:`add_detail` does not know.
    """
    if preset.detail is None or header.forward_model not in DETAILED:
        return None
    share = header.detail_share if preset.detail.share is None else preset.detail.share
    radius = header.detail_radius if preset.detail.radius is None else preset.detail.radius
    brightness = preset.detail.brightness and header.brightness is not None
    return replace(preset.detail, share=share, radius=radius, brightness=brightness)


def add_detail(
    settings: Detail, image: np.ndarray, layers: Mapping[str, np.ndarray], frame: Frame, level: float | None = None
) -> Mapping[str, np.ndarray]:
    """Layers, changed so that they make the image.

    A specular layer is at most what the others leave of the image: a highlight lies on its surroundings and digs no
    hole into them. The albedo's brightest channel stays between 0.02 and 1.

    Args:
        settings: how the difference is split, from :func:`detail_for`.
        image: linear [H, W, 3] ≥ 0.
        layers: linear [H, W, 3] ≥ 0, "albedo" and "shading", perhaps "specular"; of :class:`Strips` strips are made.
        frame: of the image; the smooth part is found at the bank's resolution.
        level: that the albedo is to have (:func:`join_engine.layers.albedo_level.albedo_levels`), as far as its
            bounds allow; None, or settings that do without, leave it as bright as it comes out.
    """
    share, radius = settings.share, settings.radius
    if share is None or radius is None:
        raise ValueError("share and radius of the detail are not known: take the settings from detail_for")
    fit, restored = (
        (frame.fit_rows, frame.restored_rows) if isinstance(layers, Strips) else (_fit_whole(frame), _whole(frame))
    )

    def parts() -> Iterator[_Part]:
        whole = [(slice(0, frame.height), layers)]
        for rows, here in layers.rows() if isinstance(layers, Strips) else whole:
            yield _Part.of(rows, image[rows], here)

    smooth = restored(_blur(fit((part.rows, part.grey) for part in parts()), radius))

    def albedo_of(part: _Part) -> np.ndarray:
        there = picture_of(smooth(part.rows))
        return _possible(part.base * np.exp(part.ratio - share * there))

    factor = None
    if settings.brightness and level is not None:
        factor = math.exp(level - float(level_of(fit((part.rows, albedo_of(part)) for part in parts()))))

    def make() -> Iterator[tuple[slice, Layers]]:
        for part in parts():
            albedo = albedo_of(part) if factor is None else _possible(albedo_of(part) * factor)
            yield part.rows, {**part.layers, "albedo": albedo, "shading": (part.diffuse / albedo).astype(np.float32)}

    return Strips(tuple(layers), layers.size, make) if isinstance(layers, Strips) else next(make())[1]


@dataclass(frozen=True)
class _Part:
    """Rows of the image and of the layers that the generators make.

    Attributes:
        layers: [h, W, 3] each, the specular at most what the others leave.
        base: the albedo, of which a ratio can make something.
        diffuse: what is left of the image without the specular.
        ratio: logarithm of that over what albedo and shading make.
    """

    rows: slice
    layers: Layers
    base: np.ndarray
    diffuse: np.ndarray
    ratio: np.ndarray

    @classmethod
    def of(cls, rows: slice, image: np.ndarray, layers: Mapping[str, np.ndarray]) -> _Part:
        layers = dict(layers)
        base = layers["albedo"].clip(DARKEST, None)  # of a black channel no ratio would make anything
        made = base * layers["shading"]
        diffuse = image
        if "specular" in layers:
            specular = np.minimum(layers["specular"], (image - made).clip(0.0, None)).astype(np.float32)
            layers, diffuse = {**layers, "specular": specular}, image - specular
        return cls(rows, layers, base, diffuse, np.log((diffuse + _EPSILON) / (made + _EPSILON)))

    @property
    def grey(self) -> np.ndarray:
        """What of the ratio all channels have in common, in each of them."""
        return np.repeat(self.ratio.mean(axis=2, keepdims=True), 3, axis=2)


def _fit_whole(frame: Frame) -> Callable[[Iterable[tuple[slice, np.ndarray]]], Tensor]:
    """:meth:`Frame.fit` of an image that comes as one part."""
    return lambda parts: frame.fit(next(iter(parts))[1])


def _whole(frame: Frame) -> Callable[[Tensor], Callable[[slice], Tensor]]:
    """:meth:`Frame.restore` where all rows are asked for at once."""
    return lambda square: lambda rows: frame.restore(square)


def _possible(albedo: np.ndarray) -> np.ndarray:
    """Within the bounds of reflectances; all channels alike, so that what goes to the light has no colour."""
    peak = albedo.max(axis=2, keepdims=True)
    return (albedo * (peak.clip(DARKEST, BRIGHTEST) / peak)).astype(np.float32)  # type: ignore[no-any-return]


def keep_detail(layer: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """A layer with detail, moved as its generator's output moved from ``before`` to ``after``; all linear [H, W, 3].

    It keeps the ratio that the detail has put on it. Of a specular see :class:`MovedGloss`: a highlight that moves to
    where there was none has no ratio there.
    """
    return (layer * _ratio(before, after)).astype(np.float32)


def keep_light(layer: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """As :func:`keep_detail`, of a shading: where it is brighter than its generator takes it for, it gains no more
    light than that does. What lies in the dark for the generator alone, such as a backdrop where it has hair or a
    collar, would shine."""
    gained = 1.0 + (after - before).clip(0.0, None) / np.maximum(np.maximum(before, layer), _EPSILON)
    return (layer * np.minimum(_ratio(before, after), gained)).astype(np.float32)


def _ratio(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    return (after + _EPSILON) / (before + _EPSILON)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class MovedGloss:
    """How a specular layer with detail follows its generator's output from one light to another.

    Most of a photo's highlight is detail that no generator made. It goes with the light that made it: the more of its
    gloss a generator moves, the less of the layer stays where that generator leaves nothing. As much light as leaves
    comes again where the generator puts the new highlight, since a lamp that moves grows neither weaker nor stronger.

    Attributes:
        share: of the gloss that has moved, in [0, 1]: 0 leaves the layer as it is.
        level: how bright the layer is against its generator's output, at most 1.
        gain: of what is new in the generator's output, at most 1.
    """

    share: float
    level: float
    gain: float

    @classmethod
    def between(cls, layer: np.ndarray, before: np.ndarray, after: np.ndarray) -> MovedGloss:
        """From small pictures [h, w, 3] of the whole layer and of both outputs."""
        moved = float(np.abs(after - before).sum()) / max(float((after + before).sum()), 1e-9)
        level = min(1.0, float(layer.sum()) / max(float(before.sum()), 1e-9))
        still = cls(min(1.0, _GONE * moved), level, 0.0)
        left = float((layer - still.of(layer, before, after)).sum())
        left_generator = float((before - after).clip(0.0, None).sum())
        return replace(still, gain=min(1.0, max(left, 0.0) / max(left_generator, 1e-9)))

    def of(self, layer: np.ndarray, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """The layer in its new light; all linear [H, W, 3] ≥ 0."""
        gone = np.minimum(layer, self.level * after) * np.minimum(1.0, _ratio(before, after))
        new = self.gain * (after - before).clip(0.0, None)
        return (layer + self.share * (gone - layer) + new).astype(np.float32)  # type: ignore[no-any-return]


def _blur(planes: Tensor, radius: float) -> Tensor:
    """Gaussian blur of [1, C, R, R], ``radius`` being its standard deviation; edges repeat."""
    reach = max(1, round(3 * radius))
    offsets = torch.arange(-reach, reach + 1, dtype=planes.dtype)
    kernel = torch.exp(-0.5 * (offsets / radius) ** 2)
    kernel = (kernel / kernel.sum()).expand(planes.shape[1], 1, -1)
    padded = functional.pad(planes, (reach,) * 4, mode="replicate")
    rows = functional.conv2d(padded, kernel[:, :, :, None], groups=planes.shape[1])
    return functional.conv2d(rows, kernel[:, :, None], groups=planes.shape[1])
