# SPDX-License-Identifier: GPL-3.0-or-later
"""Light as one can read it: where an Image Editor shows a layer that may be brighter than white, such as shading or
specular, the same layer is drawn over it, exposed and tone-mapped.

Exposure and curve belong to what is drawn. The layer's pixels, its settings and the scene's view are as they were.
"""

from __future__ import annotations

import math
from typing import Any

import bpy
import gpu

from ..engine.vocabulary import components
from ..host import sets
from . import drawing

_BRIGHT = 2.0
"""What a layer's bright pixels (see :func:`.sets.bright_of`) become before the curve x / (1 + x): they are shown as two
thirds of white, and highlights have the rest."""
_FAINTEST = 0.125
"""A darker layer is made no brighter than one of this: what has no light stays dark."""
_CHANNELS = "COLOR", "COLOR_ALPHA"
_MODES = "VIEW", "PAINT", "MASK"
"""Of the editor. In the others, meshes lie over the picture, and would be hidden."""


def gain_of(image: Any) -> float:
    """By what an image is multiplied before it is tone-mapped; 0 where it is shown as Blender does."""
    settings: Any = bpy.context.scene
    settings = settings.join_intrinsics
    known = components.COMPONENTS.get(str(image.get(sets.COMPONENT, "")))
    light = known is not None and known.transform == "reinhard" and sets.VIEW not in image
    if not settings.readable or not light or image.use_view_as_render:
        return 0.0
    bright = sets.bright_of(image)
    return float((_BRIGHT / max(bright, _FAINTEST) if bright > 0.0 else 1.0) * 2.0**settings.exposure)


def gain_in(space: Any) -> float:
    """The same of what an Image Editor shows, in the way in which it does."""
    if space.image is None or space.mode not in _MODES or space.display_channels not in _CHANNELS:
        return 0.0
    return gain_of(space.image)


def draw() -> None:
    """The layer, in the coordinates of the editor's view: before masks and gizmos are drawn over it."""
    space: Any = bpy.context.space_data
    if gain := gain_in(space):
        drawing.draw_texture(gpu.texture.from_image(space.image), drawing.WHOLE, gain=gain)


def draw_words() -> None:
    """In the corner, that this is not what the layer's numbers say."""
    context: Any = bpy.context
    gain = gain_in(context.space_data)
    if not gain:
        return
    left, bottom, right, top = drawing.place_of(context.region, drawing.WHOLE)
    seen = drawing.inside(drawing.visible(context), (left, bottom, right, top))
    if seen is not None:
        edge = 8.0 * drawing.scale()
        drawing.draw_words(f"Readable light, {math.log2(gain):+.1f} stops", seen[0] + edge, seen[1] + edge)
