# SPDX-License-Identifier: GPL-3.0-or-later
"""Contact sheets: images in a grid, as PNG, to look at."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from PIL import Image

from ..images.files import write_atomically
from .packs import to_pixels


def contact_sheet(images: torch.Tensor, columns: int, gap: int = 2) -> Image.Image:
    """[N, C, H, W] in the generator's range → one picture with ``columns`` images a row, ``gap`` grey pixels apart.

    Where C is a multiple of 3, as in a GAN of several components, the components of an image lie side by side.
    """
    images = torch.cat(images.split(3, dim=1), dim=3)
    pixels = to_pixels(images.detach().cpu()).permute(0, 2, 3, 1)  # [N, H, W, 3]
    count, height, width, _ = pixels.shape
    rows = -(-count // columns)
    sheet = torch.full((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), 128, dtype=torch.uint8)
    for index in range(count):
        top = gap + index // columns * (height + gap)
        left = gap + index % columns * (width + gap)
        sheet[top : top + height, left : left + width] = pixels[index]
    return Image.fromarray(sheet.numpy())


def save_sheet(path: str | os.PathLike[str], images: torch.Tensor, columns: int, zoom: int = 1) -> None:
    """Write :func:`contact_sheet`, each pixel ``zoom`` times as large. Raises JoinError ``output_unwritable``."""
    save_picture(path, contact_sheet(images, columns), zoom)


def save_picture(path: str | os.PathLike[str], picture: Image.Image, zoom: int = 1) -> None:
    """Write a PNG, each pixel ``zoom`` times as large. Raises JoinError ``output_unwritable``."""
    if zoom > 1:
        picture = picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST)
    write_atomically(Path(path), lambda temporary: picture.save(temporary, format="PNG"))
