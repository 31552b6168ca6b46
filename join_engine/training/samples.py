# SPDX-License-Identifier: GPL-3.0-or-later
"""Contact sheets: images in a grid, as PNG, to look at."""

from __future__ import annotations

import os

import torch
from PIL import Image

from .dataset import to_pixels


def contact_sheet(images: torch.Tensor, columns: int, gap: int = 2) -> Image.Image:
    """[N, 3, H, W] in the generator's range → one picture with ``columns`` images a row, ``gap`` grey pixels apart."""
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
    """Write :func:`contact_sheet`, each pixel ``zoom`` times as large."""
    sheet = contact_sheet(images, columns)
    if zoom > 1:
        sheet = sheet.resize((sheet.width * zoom, sheet.height * zoom), Image.Resampling.NEAREST)
    sheet.save(path, format="PNG")
