# SPDX-License-Identifier: GPL-3.0-or-later
"""What a sample shows: its components, the image that they make, and where they can be trusted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dataset_tools.errors import UserError
from dataset_tools.storage import passes, shards
from join_engine.color import COMPONENT_TRANSFORMS, srgb_encode
from join_engine.components import COMPONENTS

IMAGE = "image"
MASK = passes.MASK
ALPHA = passes.ALPHA
NAMES = (IMAGE, *passes.COMPONENTS, MASK, ALPHA)


def load(
    folder: Path, chosen: Iterable[Mapping[str, Any]], names: Sequence[str], resolution: int | None = None
) -> Iterator[tuple[int, dict[str, np.ndarray], dict[str, Any]]]:
    """Index, layers by name and stored JSON of the samples with the given manifest entries.

    Components and image are [R, R, 3] float32, linear; the mask is [R, R, 1], the share of valid pixels under each, and
    so is alpha, the share that is not background (1 but in cut-outs, whose colours are over black).
    Averaged down to ``resolution`` (of their linear values), as they were rendered without one. The image is made of
    the averaged components (see :func:`parts_of_image`), so that they explain it exactly where it is not clipped.
    """
    wanted = [
        name for name in passes.COMPONENTS if name in (*names, *(parts_of_image(names) if IMAGE in names else ()))
    ]
    for index, exr, description in shards.read_samples(folder, chosen):
        rendered = passes.read(exr)
        found = {name: _sized(passes.component(rendered, name), resolution) for name in wanted}
        if MASK in names:
            found[MASK] = _sized(rendered[MASK][..., None], resolution)
        if ALPHA in names:
            found[ALPHA] = _sized(passes.coverage(rendered)[..., None], resolution)
        if IMAGE in names:
            found[IMAGE] = compose(found, parts_of_image(names))
            if "exposure" in description:  # a camera's picture ends at the sensor's white
                found[IMAGE] = np.minimum(found[IMAGE], 1.0)
        yield index, {name: found[name] for name in names}, description


def parts_of_image(names: Sequence[str]) -> tuple[str, ...]:
    """The components that an image beside ``names`` is made of.

    Beside albedo and shading alone it has no highlights (Eq. 5), which that forward model could not explain; beside
    the specular layer or by itself it has (Eq. 6).
    """
    two_only = "specular" not in names and any(name in names for name in ("albedo", "shading"))
    return ("albedo", "shading") if two_only else passes.COMPONENTS


def compose(components: Mapping[str, np.ndarray], parts: Sequence[str] = passes.COMPONENTS) -> np.ndarray:
    """albedo × shading, + specular where it is among ``parts`` (Eq. 5 and 6); linear, same shape."""
    diffuse: np.ndarray = components["albedo"] * components["shading"]
    return diffuse + components["specular"] if "specular" in parts else diffuse


def as_bytes(name: str, linear: np.ndarray) -> np.ndarray:
    """A layer in 8 bits: components by their tone map, the image as sRGB, mask and alpha as they are; uint8."""
    if name in (MASK, ALPHA):
        return to_bytes(linear)
    return to_bytes(srgb_encode(linear)) if name == IMAGE else tone_mapped(name, linear)


def _sized(image: np.ndarray, resolution: int | None) -> np.ndarray:
    return image if resolution is None else area_average(image, resolution)


def area_average(image: np.ndarray, resolution: int) -> np.ndarray:
    """[H, W, 3] → [R, R, 3] by the mean over whole blocks, in whatever space ``image`` is: give it linear values."""
    size = image.shape[0]
    if image.shape[1] != size or resolution < 1 or size % resolution:
        message = f"Cannot average {image.shape[1]}×{size} pixels down to {resolution}: choose a divisor of {size}."
        raise UserError(message)
    block = size // resolution
    return image.reshape(resolution, block, resolution, block, -1).mean(axis=(1, 3), dtype=np.float32)


def tone_mapped(name: str, linear: np.ndarray) -> np.ndarray:
    """A component as 8-bit values of its default tone map (section 7, "Tone-mapping"); uint8, same shape."""
    return to_bytes(COMPONENT_TRANSFORMS[COMPONENTS[name].transform].encode(linear))


def to_bytes(encoded: np.ndarray) -> np.ndarray:
    """[0, 1] → rounded uint8; what lies outside is clipped."""
    return np.round(np.clip(encoded, 0.0, 1.0) * 255.0).astype(np.uint8)
