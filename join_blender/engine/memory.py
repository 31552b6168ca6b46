# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an image fits into this computer's memory, asked before the work begins and not after."""

from __future__ import annotations

from .failure import Failure
from .vocabulary import memory

BYTES_PER_PIXEL = 110
"""What Blender and the engine hold at their worst for each pixel of an image: Blender's own pixels and a copy of them,
three layers as packed files and one more while it is made; the engine's part."""


available = memory.available


def refuse_too_large(name: str, width: int, height: int, free: int | None) -> None:
    """Raise Failure ``image_too_large``, which names the size that fits, where ``free`` bytes are not enough."""
    if free is None or memory.fits(width, height, free, BYTES_PER_PIXEL):
        return
    fit = memory.largest_that_fits(width, height, free, BYTES_PER_PIXEL)
    advice = f"It fits at {fit[0]} × {fit[1]}." if fit is not None else "Close other programs."
    raise Failure(
        "image_too_large",
        f"The image '{name}' is {width} × {height}, for which the memory is not enough.",
        f"{advice} Choose a Reduce of more, or crop it.",
    )


def smallest_shrink(width: int, height: int, free: int) -> int | None:
    """By how much an image has to be shrunk; None where nothing helps."""
    return memory.smallest_shrink(width, height, free, BYTES_PER_PIXEL)
