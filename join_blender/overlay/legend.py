# SPDX-License-Identifier: GPL-3.0-or-later
"""What the colours of the view *Confidence* mean: a bar in the corner of the editor that shows it."""

from __future__ import annotations

from typing import Any

import bpy
import numpy as np

from ..engine import confidence
from ..host import sets
from . import drawing

_WIDTH, _NARROWEST, _HEIGHT, _LINE, _EDGE, _PIECES = 240.0, 120.0, 12.0, 18.0, 10.0, 48
_BACK = (0.0, 0.0, 0.0, 0.65)


def draw() -> None:
    """In the lower left corner of what one sees."""
    context: Any = bpy.context
    image = context.space_data.image
    component = confidence.component_of(str(image.get(sets.VIEW, ""))) if image is not None else ""
    if not component:
        return
    size = drawing.scale()
    left, bottom, right, _ = drawing.visible(context)
    edge, line, height = _EDGE * size, _LINE * size, _HEIGHT * size
    width = min(_WIDTH * size, right - left - 4.0 * edge)
    if width < _NARROWEST * size:
        return
    x, y = left + 2.0 * edge, bottom + 2.0 * edge
    lines = 2.0 if width >= _WIDTH * size else 3.0  # both ends of the bar beside each other, or one below the other
    drawing.fill((x - edge, y - edge, x + width + edge, y + lines * line + height + edge), _BACK)
    drawing.draw_words(confidence.SCALES[component].most_in_words, x + width, y, to_the_left=True)
    y += (lines - 2.0) * line
    drawing.draw_words("certain", x, y)
    y += line
    for number, colour in enumerate(confidence.coloured(np.linspace(0.0, 1.0, _PIECES)).tolist()):
        start, stop = (x + width * place / _PIECES for place in (number, number + 1))
        drawing.fill((start, y, stop, y + height), (*colour, 1.0))
    drawing.draw_words(f"{component.capitalize()}: expected error", x, y + height + 0.4 * line)
