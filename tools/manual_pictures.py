# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual's pictures, out of what two window tests leave: ``manual_pictures.py --newcomer A.png --click B.png``.

``A.png`` and ``B.png`` are what ``newcomer.py`` and ``click.py`` were given as ``--picture``, in Blender 5.2 with
``samples/photos/coffee.jpg``. Look at each picture before it is committed. Those that need a step by itself or another
photo are made by hand: banks, cleanup, colors, confidence, material, mix, paint, paste, preferences, together.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

DOCS = Path(__file__).resolve().parents[1] / "docs"
Box = tuple[int, int, int, int]

_EDITOR: Box = (2, 28, 1316, 903)
"""The large editor in the newcomer's window."""
_LAYER: Box = (0, 236, 527, 686)
"""The picture and its panels in the window that is clicked through."""
NEWCOMER: dict[str, tuple[str, Box, int]] = {
    "engine": ("tab", _EDITOR, 1000),
    "layers": ("split", _EDITOR, 1000),
    "wipe": ("wipe", _EDITOR, 1000),
    "relight": ("sliders", _EDITOR, 1000),
    "handle": ("relit", _EDITOR, 1000),
    "compositor": ("compositor", (0, 0, 1600, 930), 1000),
}
CLICK: dict[str, tuple[str, Box, int]] = {
    "install": ("install", (560, 196, 1030, 386), 470),
    "menu": ("menu", (0, 5, 530, 470), 530),
    "working": ("working", (0, 24, 524, 640), 524),
    "error": ("killed", (0, 28, 528, 440), 528),
    "maps": ("maps", (0, 28, 1280, 776), 1100),
    "export": ("export", (105, 134, 1206, 714), 1101),
}
"""Of each picture: the step, what of it, and how many pixels wide it shall be."""
HALF_HOUR = (
    *("zip", "tab", "consent", "ready", "working", "albedo"),
    *("wipe", "relit", "nodes", "compositor", "browser-blend", "reopened"),
)
_ACROSS, _CELL, _GAP, _BETWEEN = 3, (500, 312), 4, 10


def step(picture: Path, name: str) -> Image.Image:
    """What the window looked like in that step."""
    return Image.open(picture.with_name(f"{picture.stem}-{name}.png")).convert("RGB")


def cut(picture: Path, name: str, box: Box, width: int) -> Image.Image:
    """A part of it, that wide."""
    part = step(picture, name).crop(box)
    return part.resize((width, round(part.height * width / part.width)), Image.Resampling.LANCZOS)


def beside(pictures: Sequence[Image.Image], across: int, gap: int) -> Image.Image:
    """Pictures of one size in rows."""
    width, height = pictures[0].size
    rows = -(-len(pictures) // across)
    sheet = Image.new("RGB", (across * (width + gap) - gap, rows * (height + gap) - gap), "white")
    for number, picture in enumerate(pictures):
        sheet.paste(picture, (number % across * (width + gap), number // across * (height + gap)))
    return sheet


def main() -> None:
    """All that the given runs have."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--newcomer", type=Path, help="what newcomer.py was given as --picture")
    parser.add_argument("--click", type=Path, help="what click.py was given as --picture")
    given = parser.parse_args()
    made: dict[str, Image.Image] = {}
    for picture, table in ((given.newcomer, NEWCOMER), (given.click, CLICK)):
        made |= {name: cut(picture, *told) for name, told in table.items()} if picture else {}
    if given.newcomer:
        cells = [step(given.newcomer, name).resize(_CELL, Image.Resampling.LANCZOS) for name in HALF_HOUR]
        made["half-hour"] = beside(cells, _ACROSS, _GAP)
    if given.click:
        made["readable"] = beside([step(given.click, name).crop(_LAYER) for name in ("plain", "readable")], 2, _BETWEEN)
    for name, picture in made.items():
        picture.save(DOCS / f"manual-{name}.jpg", quality=85)
        print(DOCS / f"manual-{name}.jpg", flush=True)


if __name__ == "__main__":
    main()
