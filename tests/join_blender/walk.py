# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints through which of the add-on's functions an image goes from the click on *Decompose Image* to its layers'
pixels, in their order, as docs/architecture.md lists them: ``walk.py``. Traced in Blender, with a stand-in for the
engine."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # a script of the checkout, not of the extension

from tests.join_blender.support import Blender, blender_python, fake_python, photo, write_png
from tools.build_zip import build


def main() -> None:
    """A line for each, and their number."""
    with tempfile.TemporaryDirectory(prefix="join-walk-") as name:
        folder = Path(name)
        blender = Blender(folder / "blender", build(folder / "dist"), blender_python())
        image = write_png(folder / "photo.png", photo())
        walk = blender.run("walk", fake_python(folder), image=image, FAKE_ENGINE="at_once")["walk"]
    for number, step in enumerate(walk, 1):
        print(f"{number}. {step}")
    print(f"{len(walk)} functions in {len({step.split(':')[0] for step in walk})} files")


if __name__ == "__main__":
    main()
