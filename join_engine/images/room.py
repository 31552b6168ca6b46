# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether an image fits into memory, said before anything is taken for it."""

from __future__ import annotations

from ..errors import JoinError
from ..memory import BYTES_PER_PIXEL, available, fits, largest_that_fits

_ALWAYS_TRIED = 2 << 20  # pixels, which hardly add to what the engine takes anyway


def refuse_too_large(name: str, width: int, height: int, per_pixel: int = BYTES_PER_PIXEL) -> None:
    """Raise JoinError ``image_too_large``, which names the size that fits, where there is not memory enough.

    Args:
        name: what a person calls the image.
        width, height: its size.
        per_pixel: bytes that its pixels take at the worst moment.
    """
    if width * height <= _ALWAYS_TRIED:
        return
    free = available()
    if free is None or fits(width, height, free, per_pixel):
        return
    fit = largest_that_fits(width, height, free, per_pixel)
    advice = "Close other programs." if fit is None else f"It fits at {fit[0]} × {fit[1]}: make it smaller, or crop it."
    message = f"'{name}' is {width} × {height}, for which {max(0, free) / 2**30:.1f} GiB of free memory are not enough."
    raise JoinError("image_too_large", message, advice)
