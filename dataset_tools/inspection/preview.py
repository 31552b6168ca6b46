# SPDX-License-Identifier: GPL-3.0-or-later
"""A contact sheet of random samples: of each the image, its albedo, shading and specular, and what it shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataset_tools import packages
from dataset_tools.errors import UserError
from dataset_tools.packs.exports import ALL_SPLITS, choose
from dataset_tools.progress import steps
from dataset_tools.storage import contents, layers, shards

_TILES = ((layers.IMAGE, "albedo"), ("shading", "specular"))
_SHOWN = (layers.IMAGE, "albedo", "shading", "specular", layers.MASK)

_BACKGROUND = (24, 24, 26)
_TITLE = (236, 236, 238)
_LABEL = (205, 205, 210)
_FAINT = (140, 140, 148)
_MARGIN = 20
_GAP = 14
_SEAM = 2
# Where a mask is not all one, it lies in the corner of the albedo, at this share of a tile.
_INSET = 0.34
_FILE_TYPES = (".png", ".jpg", ".jpeg", ".webp")


@dataclass(frozen=True)
class Sheet:
    """What to show: ``count`` samples drawn with ``seed`` from ``split``, ``columns`` in a row, tiles of ``tile``²."""

    count: int = 64
    columns: int = 8
    tile: int = 128
    split: str = ALL_SPLITS
    seed: int = 0


def write(folder: Path, wanted: Sheet, out: Path) -> int:
    """Write the sheet as an image (PNG, JPEG or WebP by its ending); returns the number of samples on it."""
    if out.suffix.lower() not in _FILE_TYPES:
        raise UserError(f"{out.name} has no known ending: name the sheet with one of {', '.join(_FILE_TYPES)}.")
    picture, count = draw(folder, wanted)
    kind = {".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}.get(out.suffix.lower(), "PNG")
    with shards.atomic(out) as partial:
        picture.save(partial, kind, quality=92, optimize=True)
    return count


def draw(folder: Path, wanted: Sheet) -> tuple[Any, int]:
    """The sheet as a Pillow image, and the number of samples on it. Raises UserError when the split has none."""
    image = packages.load_pillow()
    header = shards.read_header(folder)
    available = choose(shards.entries(folder), wanted.split)
    if not available:
        raise UserError(f"{folder} has no finished '{wanted.split}' samples yet: wait for more shards or render more.")
    chosen = draw_entries(available, wanted.count, wanted.seed)
    columns = min(wanted.columns, len(chosen))
    rows = -(-len(chosen) // columns)
    pen = _Pen(wanted.tile)
    cell_width, cell_height = 2 * wanted.tile + _SEAM, 2 * wanted.tile + _SEAM + pen.label_height
    size = (
        2 * _MARGIN + columns * (cell_width + _GAP) - _GAP,
        2 * _MARGIN + pen.title_height + rows * (cell_height + _GAP) - _GAP,
    )
    sheet = image.new("RGB", size, _BACKGROUND)
    pen.on(sheet)
    pen.title(_title(header, len(chosen), len(available), wanted), size[0] - 2 * _MARGIN)
    splits = {entry["index"]: str(entry["split"]) for entry in chosen}
    with steps(len(chosen), "preview") as advance:
        for place, (index, found, stored) in enumerate(layers.load(folder, chosen, _SHOWN)):
            x = _MARGIN + place % columns * (cell_width + _GAP)
            y = _MARGIN + pen.title_height + place // columns * (cell_height + _GAP)
            _paste(sheet, found, (x, y), wanted.tile)
            pen.label((x, y + 2 * wanted.tile + _SEAM), str(index), splits[index], contents.title(stored), cell_width)
            advance()
    return sheet, len(chosen)


def draw_entries(available: list[dict[str, Any]], count: int, seed: int) -> list[dict[str, Any]]:
    """At most ``count`` random manifest entries, the same for the same seed, by index."""
    if count >= len(available):
        return available
    picked = np.random.default_rng(seed).choice(len(available), count, replace=False)
    return [available[position] for position in sorted(picked)]


def _title(header: Mapping[str, Any], count: int, available: int, wanted: Sheet) -> tuple[str, str]:
    size = f"{header['resolution']} pixels square" if "resolution" in header else ""
    light_paths = f"{header['samples']} samples a pixel" if "samples" in header else ""
    split = "" if wanted.split == ALL_SPLITS else f"split {wanted.split}"
    facts = [f"{count} of {available}", split, size, light_paths]
    return str(header["dataset"]), "   ".join(filter(None, [*facts, "each: image, albedo / shading, specular"]))


def _paste(sheet: Any, found: Mapping[str, np.ndarray], corner: tuple[int, int], tile: int) -> None:
    x, y = corner
    for row, names in enumerate(_TILES):
        for column, name in enumerate(names):
            place = (x + column * (tile + _SEAM), y + row * (tile + _SEAM))
            sheet.paste(_tile(name, found[name], tile), place)
    mask = found[layers.MASK]
    if np.all(mask == 1.0):
        return
    side = max(12, round(tile * _INSET))
    right, bottom = x + 2 * tile + _SEAM, y + tile
    frame = (right - side - 2, bottom - side - 2, right, bottom)
    sheet.paste(_FAINT, frame)
    sheet.paste(_tile(layers.MASK, np.repeat(mask, 3, axis=-1), side), (frame[0] + 1, frame[1] + 1))


def _tile(name: str, linear: np.ndarray, side: int) -> Any:
    """A layer as an 8-bit picture of ``side``²: tone-mapped, then resampled."""
    image = packages.load_pillow()
    picture = image.fromarray(layers.as_bytes(name, linear))
    filtering = image.Resampling.NEAREST if side >= 2 * picture.width else image.Resampling.LANCZOS
    return picture if picture.size == (side, side) else picture.resize((side, side), filtering)


class _Pen:
    """Writes labels whose size follows the tiles'; Pillow's own typeface, which has no × and no arrows."""

    def __init__(self, tile: int) -> None:
        packages.load_pillow()  # also finds Pillow where the user says it is
        from PIL import ImageDraw, ImageFont

        self._draw_on = ImageDraw.Draw
        small, large = max(9, min(15, tile // 9)), max(13, min(26, tile // 5))
        self._small = ImageFont.load_default(small)
        self._large = ImageFont.load_default(large)
        self._line = round(small * 1.35)
        self._title_line = round(large * 1.3)
        self.label_height = 2 * self._line + 4
        self.title_height = self._title_line + self._line + 12

    def on(self, sheet: Any) -> None:
        self._draw = self._draw_on(sheet)

    def title(self, texts: tuple[str, str], width: int) -> None:
        self._write((_MARGIN, _MARGIN - 4), texts[0], self._large, _TITLE, width)
        self._write((_MARGIN, _MARGIN - 4 + self._title_line), texts[1], self._small, _FAINT, width)

    def label(self, corner: tuple[int, int], index: str, split: str, text: str, width: int) -> None:
        x, y = corner[0], corner[1] + 4
        self._write((x, y), index, self._small, _LABEL, width)
        taken = round(self._draw.textlength(index + "   ", self._small))
        self._write((x + taken, y), split, self._small, _FAINT, width - taken)
        self._write((x, y + self._line), text, self._small, _FAINT, width)

    def _write(self, corner: tuple[int, int], text: str, font: Any, color: tuple[int, int, int], width: int) -> None:
        """One line, cut where it would leave its cell."""
        shown = text
        while shown and self._draw.textlength(shown if shown == text else f"{shown}…", font) > width:
            shown = shown[:-1]
        self._draw.text(corner, shown if shown == text else f"{shown.rstrip(' ,·')}…", color, font)
