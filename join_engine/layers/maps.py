# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps of a material, such as a renderer's shader wants them, out of a photo's layers: guesses.

- **Roughness** is one value for the picture: the mean of what a network that has learned from renders says of it
  (:mod:`join_engine.networks.maps`). Of how roughness differs within a picture it knows nothing (docs/choices.md).
- **Height** takes the fine part of the shading's logarithm for relief: what is darker than its surroundings lies
  deeper, as under light from all around (Langer and Zucker, "Shape-from-shading on a cloudy day", 1994).
- **Normals** are those of that height.

``maps-scores`` says by how much each is off on renders, beside the plainest guess (docs/results.md). By it height and
normals are not better than a flat surface: they are for the eye, and only made on request.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..bank import Bank
from ..color import LUMINANCE_WEIGHTS
from ..errors import JoinError
from ..images.frame import resampled
from ..networks.maps import SEEN, Maps

ROUGHNESS, NORMAL, HEIGHT = "roughness", "normal", "height"

_DARKEST = 0.02  # of the shading's mean
_COARSEST = 16  # of these fit into the shorter side: what is larger is light, or a thing's shape, and no relief
_FINEST = 0.7  # pixels; finer is noise
_SURE = 0.001  # share of the pixels on either side that may be higher or deeper than the map tells


def network_of(bank: Bank) -> Maps:
    """That of a bank. Raises JoinError ``maps_missing``."""
    if bank.maps is None:
        message = f"The bank '{bank.path.stem}' has no network of maps."
        raise JoinError("maps_missing", message, "Name another, such as materials.")
    return bank.maps


def maps_of(
    network: Maps, layers: Mapping[str, np.ndarray], alpha: np.ndarray | None = None, relief: float = 0.0
) -> tuple[dict[str, np.ndarray], float]:
    """The maps that a set of layers allows. Raises JoinError ``layers_unsuited`` for layers without shading.

    Args:
        network: a bank's.
        layers: linear [H, W, 3] ≥ 0, with a "shading".
        alpha: [H, W]; what is cut out has no say.
        relief: how many pixels the height rises for each natural logarithm of shading; 0: no height and no normals.

    Returns:
        [H, W, 3] float32 in [0, 1] by name, and how many pixels lie between a height of 0 and of 1 (0 without).
        "roughness" where there is a "specular" layer; "height", and "normal" as n / 2 + 1/2 with x to the right, y up
        and z towards whoever looks (OpenGL's way round).
    """
    if "shading" not in layers:
        raise JoinError("layers_unsuited", "These layers have no shading.", "Decompose the image with another bank.")
    height, width = layers["shading"].shape[:2]
    found: dict[str, np.ndarray] = {}
    if "specular" in layers:
        level = roughness_of(network, layers, alpha)
        found[ROUGHNESS] = np.full((height, width, 3), level, np.float32)
    if not relief:
        return found, 0.0
    raised = relief * height_of(layers["shading"])
    low, high = (float(np.quantile(raised, share)) for share in (_SURE, 1.0 - _SURE))
    span = max(high - low, 1e-6)
    told = ((raised - low) / span).clip(0.0, 1.0)
    found[HEIGHT] = np.repeat(told[..., None], 3, axis=2)
    found[NORMAL] = normals_of(raised) * np.float32(0.5) + np.float32(0.5)
    return found, span


@torch.no_grad()
def roughness_of(network: Maps, layers: Mapping[str, np.ndarray], alpha: np.ndarray | None = None) -> float:
    """Roughness as of a Principled BSDF, in [0, 1], of what is not cut out."""
    shown = np.ones(layers["shading"].shape[:2], np.float32) if alpha is None else (alpha > 0.5).astype(np.float32)
    device = next(network.parameters()).device
    albedo, shading, specular, seen = (
        resampled(image, SEEN, SEEN).to(device)
        for image in (layers["albedo"], layers["shading"], layers["specular"], shown[..., None])
    )
    photo = albedo * shading + specular
    gain = 1.0 / max(1.0, float(photo.amax()))  # a render may be of any brightness
    told = network(gain * photo, shading, gain * specular)[:, 1:2]
    seen = seen if seen.any() else torch.ones_like(seen)
    return float((told * seen).sum() / seen.sum())


@torch.no_grad()
def height_of(shading: np.ndarray) -> np.ndarray:
    """The fine part of the shading's logarithm: [H, W, 3] → [H, W], zero in the mean of each neighbourhood."""
    light = luminance(shading)
    log = torch.from_numpy(np.log(light.clip(_DARKEST * float(light.mean()) + 1e-6, None)))[None, None]
    fine = _blurred(log, _FINEST)
    return np.asarray((fine - _coarse(log))[0, 0].numpy(), np.float32)


@torch.no_grad()
def coarse(image: np.ndarray) -> np.ndarray:
    """What is left of [H, W, C] without all that is finer than relief, which is light or a thing's shape."""
    planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), np.float32))[:, None]
    return np.asarray(_coarse(planes)[:, 0].permute(1, 2, 0).numpy(), np.float32)


def normals_of(height: np.ndarray) -> np.ndarray:
    """Unit normals [H, W, 3], x to the right and y up, of a height [H, W] in widths of a pixel."""
    down, right = np.gradient(height)
    normal = np.stack([-right, down, np.ones_like(height)], axis=2)
    return np.asarray(normal / np.linalg.norm(normal, axis=2, keepdims=True), np.float32)


def luminance(image: np.ndarray) -> np.ndarray:
    """[H, W, 3] → [H, W]."""
    return np.asarray(image @ np.array(LUMINANCE_WEIGHTS, np.float32), np.float32)


def _coarse(image: Tensor) -> Tensor:
    """What is left of planes [N, 1, H, W] without their fine part; computed small, since it is smooth."""
    rows, columns = image.shape[2:]
    scale = max(min(rows, columns) / (4 * _COARSEST), 1.0)
    small = functional.interpolate(image, (round(rows / scale), round(columns / scale)), mode="area")
    blurred = _blurred(small, min(small.shape[2:]) / _COARSEST)
    return functional.interpolate(blurred, (rows, columns), mode="bicubic", align_corners=False)


def _blurred(image: Tensor, sigma: float) -> Tensor:
    """A Gaussian of that many pixels; the edge goes on beyond itself."""
    reach = max(math.ceil(3.0 * sigma), 1)
    taps = torch.exp(-0.5 * (torch.arange(-reach, reach + 1) / max(sigma, 1e-6)) ** 2)
    taps = taps / taps.sum()
    padded = functional.pad(image, (reach,) * 4, mode="replicate")
    return functional.conv2d(functional.conv2d(padded, taps[None, None, None]), taps[None, None, :, None])
