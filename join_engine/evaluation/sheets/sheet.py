# SPDX-License-Identifier: GPL-3.0-or-later
"""A labelled contact sheet, for human eyes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...images.files import write_atomically

if TYPE_CHECKING:
    from PIL import Image

Panel = tuple[str, np.ndarray]  # label; display-encoded [H, W, 3] in [0, 1]

PANEL = 288
"""Pixels of a panel's longer side."""
_LABEL = 44  # height of a label of two lines
_GAP = 12
_PAPER, _INK = (245, 245, 245), (25, 25, 25)


def write_sheet(path: Path, rows: Sequence[Sequence[Panel]], panel: int | None = PANEL) -> None:
    """Write a PNG with one line of labelled panels per row. A label may have two lines. ``panel``: pixels of a panel's
    longer side; None for the images' own, small ones enlarged by whole pixels."""
    from PIL import Image, ImageDraw, ImageFont

    pictures = [[_picture(pixels, panel) for _, pixels in row] for row in rows]
    width = max(picture.width for row in pictures for picture in row)
    height = max(picture.height for row in pictures for picture in row)
    columns = max(len(row) for row in rows)
    size = (_GAP + columns * (width + _GAP), _GAP + len(rows) * (_LABEL + height + _GAP))
    sheet = Image.new("RGB", size, _PAPER)
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(size=16)
    for line, (row, images) in enumerate(zip(rows, pictures, strict=True)):
        for column, ((label, _), picture) in enumerate(zip(row, images, strict=True)):
            left = _GAP + column * (width + _GAP)
            top = _GAP + line * (_LABEL + height + _GAP)
            draw.multiline_text((left, top), label, fill=_INK, font=font, spacing=3)
            sheet.paste(picture, (left, top + _LABEL))
    write_atomically(path, lambda temporary: sheet.save(temporary, format="PNG"))


def _picture(encoded: np.ndarray, panel: int | None) -> Image.Image:
    """At the panel's size: small images by whole pixels, so that one sees what is there; large ones by Lanczos."""
    from PIL import Image

    picture = Image.fromarray((encoded.clip(0.0, 1.0) * 255.0 + 0.5).astype(np.uint8))
    longest = max(picture.size)
    times = max(1, (panel or PANEL) // longest)
    if panel is None or times > 1:
        return picture.resize((picture.width * times, picture.height * times), Image.Resampling.NEAREST)
    scale = panel / longest
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)
