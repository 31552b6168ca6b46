# SPDX-License-Identifier: GPL-3.0-or-later
"""A sheet of photographs, one line each: the layers, and how far the generators alone have come. For human eyes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...bank import Bank
from ...color import srgb_encode
from ...images.files import display_encode, opaque, read_image, validate_image
from ...images.frame import Frame
from ...images.metrics import component_scores
from ...inversion.codebook import CodeBook
from ...inversion.presets import Preset
from ...layers.albedo_level import albedo_levels
from ...layers.detail import add_detail, detail_for
from ...pipeline import decompose
from .sheet import Panel, write_sheet

ERROR_GAIN = 4.0


def write_photo_sheet(
    path: Path,
    photos: Sequence[Path],
    bank: Bank,
    preset: Preset,
    seed: int = 0,
    say: Callable[[str], None] = lambda line: None,
) -> None:
    """Decompose photos and write one PNG with a line for each.

    A line: the photo; its layers, with the detail if the preset adds any; what the generators alone recombine to; and
    by how much that misses the photo, as :data:`ERROR_GAIN` times the absolute difference of the sRGB-encoded pixels.
    With the detail, the layers recombine to the photo itself, which is not worth a picture.

    Raises:
        JoinError: from reading the photos; ``output_unwritable``.
    """
    codebook = CodeBook(bank)
    rows = []
    for photo in photos:
        say(photo.name)
        rows.append(_row(photo, bank, preset, seed, codebook))
    write_sheet(path, rows)


def _row(photo: Path, bank: Bank, preset: Preset, seed: int, codebook: CodeBook) -> list[Panel]:
    colour = opaque(validate_image(read_image(photo)))
    plain = replace(preset, detail=None)
    found = decompose(colour, bank, plain, seed, codebook=codebook).decomposition
    layers = found.layers
    detail = detail_for(preset, bank.header)
    if detail is not None:
        frame = Frame(colour.shape[0], colour.shape[1], bank.header.resolution)
        (level,) = albedo_levels(bank, srgb_encode(frame.fit(colour)))
        layers = add_detail(detail, colour, dict(layers), frame, level)
    image, made = display_encode("image", colour), display_encode("image", found.recomposed)
    psnr = component_scores("image", found.recomposed, colour)["psnr"]
    panels: list[Panel] = [(f"{photo.stem}\n{bank.header.name}, {preset.name}", image)]
    panels += [(f"{name}\n", display_encode(name, pixels)) for name, pixels in layers.items()]
    panels.append((f"generators alone\n{psnr:.1f} dB to the photo", made))
    panels.append((f"error\n{ERROR_GAIN:g} times", np.abs(made - image) * ERROR_GAIN))
    return panels
