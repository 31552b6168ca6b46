# SPDX-License-Identifier: GPL-3.0-or-later
"""What a camera does to light, so that composed renders come nearer to photos.

Applied to the composed input of an encoder only, never to the components that it has to find. The steps follow the
light's way: lens (vignetting, blur), exposure and white balance, sensor (noise), then the camera's picture (shoulder,
sRGB curve, tone curve, JPEG). Each step draws from a generator of its own: the same seed gives the same result, and
leaving one step out changes nothing in the others.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as functional
from PIL import Image
from torch import Tensor

from ..color import LUMINANCE_WEIGHTS
from .compose import photograph
from .draws import draws, uniform
from .packs import to_pixels


@dataclass(frozen=True)
class PhotoRanges:
    """How far each step goes; 0 (JPEG: 100) leaves it out. All draws are uniform.

    Attributes:
        share: of the images that each step is applied to.
        vignetting: light lost in the corners, up to this share.
        blur: standard deviation of the Gaussian, up to so many pixels.
        exposure: stops, up to this many more or less. Small: how bright the light is, is what the shading's encoder
            has to find.
        white_balance: stops between red and blue, up to this much to either side, at the same luminance.
        read_noise: standard deviation of the sensor's noise in the dark, up to this (linear, white is 1).
        shot_noise: that of the noise which grows with the root of the light, at white.
        shoulder: the brightest light is bent below white, from up to this far below it on, each channel for itself:
            highlights bleach the paint around them.
        contrast: exponent 2^±contrast of the tone curve around middle grey, in encoded values.
        jpeg: lowest quality; drawn from there to 100.
    """

    share: float = 0.5
    vignetting: float = 0.4
    blur: float = 0.7
    exposure: float = 0.4
    white_balance: float = 0.3
    read_noise: float = 0.01
    shot_noise: float = 0.03
    shoulder: float = 0.0
    contrast: float = 0.3
    jpeg: int = 50


_Step = Callable[[Tensor, torch.Generator, PhotoRanges], Tensor]


def augment(linear: Tensor, seed: int, step: int, ranges: PhotoRanges) -> Tensor:
    """Linear composed images [B, 3, H, W] on the CPU → sRGB-encoded "photos" in [0, 1].

    The same for the same seed and step.
    """
    before: list[_Step] = [vignetting, blur, exposure, white_balance, noise]
    after: list[_Step] = [tone_curve, jpeg]
    count = len(before) + len(after)
    images = linear.clamp_min(0.0)
    for index, apply in enumerate(before):
        images = _some(images, apply, draws(seed, step, index), ranges)
    if ranges.shoulder:  # it came last, and takes the number after all others': draws of earlier trainings stay theirs
        images = _some(images, shoulder, draws(seed, step, count), ranges)
    images = photograph(images)
    for index, apply in enumerate(after, len(before)):
        images = _some(images, apply, draws(seed, step, index), ranges)
    return images


def vignetting(linear: Tensor, rng: torch.Generator, ranges: PhotoRanges) -> Tensor:
    """Darker towards the corners, by the square of the distance from the middle."""
    height, width = linear.shape[2:]
    rows = torch.linspace(-1.0, 1.0, height)[:, None]
    columns = torch.linspace(-1.0, 1.0, width)[None, :]
    radius = (rows.square() + columns.square()) / 2.0  # [H, W], 1 in the corners
    return linear * (1.0 - uniform(rng, len(linear), 0.0, ranges.vignetting) * radius)


def blur(linear: Tensor, rng: torch.Generator, ranges: PhotoRanges) -> Tensor:
    """A Gaussian, borders mirrored."""
    sigma = uniform(rng, len(linear), 0.0, ranges.blur).flatten()
    reach = max(1, int(np.ceil(3.0 * ranges.blur)))
    offsets = torch.arange(-reach, reach + 1)
    kernels = torch.exp(-0.5 * (offsets / sigma.clamp_min(1e-3)[:, None]).square())  # [B, taps]
    kernels = (kernels / kernels.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)  # [B · 3, taps]
    count, channels, height, width = linear.shape
    planes = linear.reshape(1, count * channels, height, width)
    planes = functional.pad(planes, (reach,) * 4, mode="reflect")
    planes = functional.conv2d(planes, kernels[:, None, :, None], groups=count * channels)
    planes = functional.conv2d(planes, kernels[:, None, None, :], groups=count * channels)
    return planes.reshape(linear.shape)


def exposure(linear: Tensor, rng: torch.Generator, ranges: PhotoRanges) -> Tensor:
    """Brighter or darker by part of a stop."""
    return linear * torch.exp2(uniform(rng, len(linear), -ranges.exposure, ranges.exposure))


def white_balance(linear: Tensor, rng: torch.Generator, ranges: PhotoRanges) -> Tensor:
    """Red against blue; a grey keeps its luminance."""
    stops = uniform(rng, len(linear), -ranges.white_balance, ranges.white_balance)
    gains = torch.cat([torch.exp2(stops / 2), torch.ones_like(stops), torch.exp2(-stops / 2)], dim=1)  # [B, 3, 1, 1]
    luminance = (gains * gains.new_tensor(LUMINANCE_WEIGHTS)[None, :, None, None]).sum(dim=1, keepdim=True)
    return linear * gains / luminance


def noise(linear: Tensor, rng: torch.Generator, ranges: PhotoRanges) -> Tensor:
    """Read noise, and shot noise with the root of the light."""
    count = len(linear)
    read = uniform(rng, count, 0.0, ranges.read_noise)
    shot = uniform(rng, count, 0.0, ranges.shot_noise)
    deviation = (read.square() + shot.square() * linear).sqrt()
    return (linear + deviation * torch.randn(linear.shape, generator=rng)).clamp_min(0.0)


def shoulder(linear: Tensor, rng: torch.Generator, ranges: PhotoRanges) -> Tensor:
    """Light near white and above comes ever nearer to white, in each channel."""
    return bent(linear, 1.0 - uniform(rng, len(linear), 0.0, ranges.shoulder))


def bent(linear: Tensor, start: Tensor) -> Tensor:
    """Linear light [B, 3, H, W], bent smoothly below 1 from ``start`` in (0, 1] on."""
    room = (1.0 - start).clamp_min(1e-4)
    return torch.where(linear > start, start + room * -torch.expm1(-(linear - start) / room), linear)


def tone_curve(encoded: Tensor, rng: torch.Generator, ranges: PhotoRanges) -> Tensor:
    """More or less contrast around middle grey; black and white stay."""
    power = torch.exp2(uniform(rng, len(encoded), -ranges.contrast, ranges.contrast))
    raised, fallen = encoded**power, (1.0 - encoded) ** power
    return raised / (raised + fallen)


def jpeg(encoded: Tensor, rng: torch.Generator, ranges: PhotoRanges) -> Tensor:
    """To a JPEG and back, with colour at half the resolution as most cameras do it."""
    if ranges.jpeg >= 100:
        return encoded
    qualities = uniform(rng, len(encoded), ranges.jpeg, 100).flatten().round().int().tolist()
    pixels = to_pixels(encoded * 2.0 - 1.0).permute(0, 2, 3, 1).contiguous().numpy()
    decoded = []
    for image, quality in zip(pixels, qualities, strict=True):
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "JPEG", quality=quality, subsampling=2)
        with Image.open(buffer) as file:
            decoded.append(np.asarray(file.convert("RGB")))
    return torch.from_numpy(np.stack(decoded)).permute(0, 3, 1, 2).float() / 255.0


def _some(images: Tensor, apply: _Step, rng: torch.Generator, ranges: PhotoRanges) -> Tensor:
    """Apply a step to the drawn share of the images."""
    chosen = torch.rand(len(images), generator=rng) < ranges.share
    if not chosen.any():
        return images
    result = images.clone()
    result[chosen] = apply(images[chosen], rng, ranges)
    return result
