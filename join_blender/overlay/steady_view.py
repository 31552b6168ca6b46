# SPDX-License-Identifier: GPL-3.0-or-later
"""What an Image Editor sees of a photo stays where it is when it shows another image of that photo, or when a layer's
sharper pixels come.

Blender zooms by pixels, so that a preview of half the size is half as large; and 5.2 keeps zoom and place for each
image by itself, and shows a new one at its own size. The layers would jump away from under the eyes, and the light's
handle from under the mouse. Where Blender has put an image is known once the editor has been drawn with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import bpy

from ..host import sets
from . import drawing

_NEAR = 0.5
"""Pixels that nobody sees."""
_TRIES = 3
"""Blender rounds, and does not zoom as far as one may want."""

Size = tuple[int, int]


@dataclass(frozen=True)
class _Seen:
    """Where an image is, or shall be: its number in this session, its pixels, those of the region, and the box that it
    takes of these."""

    image: int
    size: Size
    region: Size
    box: drawing.Box


_seen: dict[int, _Seen] = {}
"""By the address of an editor's space: as it was drawn last, and where it should have been then."""
_tries: dict[int, int] = {}
"""By the same: how often Blender may still be told, where it has put the image elsewhere."""


def show(area: Any, image: Any) -> None:
    """Let an Image Editor show an image, where the part of the photo that it is of is seen now; another photo's where
    Blender puts it."""
    space = area.spaces.active
    shown, key = space.image, space.as_pointer()
    if shown == image:
        return
    space.image = image
    seen = _seen.pop(key, None)
    if seen is None or shown.session_uid != seen.image or _photo_of(shown) != _photo_of(image):
        return
    part = drawing.within(_part_of(image), _part_of(shown))
    sides = seen.box[2] - seen.box[0], seen.box[3] - seen.box[1]
    left, bottom, right, top = (seen.box[index % 2] + edge * sides[index % 2] for index, edge in enumerate(part))
    _seen[key] = _Seen(image.session_uid, (0, 0), seen.region, (left, bottom, right, top))
    area.tag_redraw()


def draw() -> None:
    """Draws nothing; but by now it is known where Blender has put the image."""
    context: Any = bpy.context
    image, region, key = context.space_data.image, context.region, context.space_data.as_pointer()
    if image is None:
        _seen.pop(key, None)
        return
    before, box = _seen.get(key), drawing.place_of(context.region, drawing.WHOLE)
    # Only a layer may get other pixels here; to ask for a render's size may mean to wait for it.
    size = (image.size[0], image.size[1]) if sets.key_of(image) is not None else (1, 1)
    now = _Seen(image.session_uid, size, (region.width, region.height), box)
    if before is not None and now.image == before.image and now.region == before.region and min(now.size) > 0:
        if now.size != before.size:
            _tries[key] = _TRIES
        if _tries.get(key, 0) > 0 and max(abs(a - b) for a, b in zip(box, before.box, strict=True)) > _NEAR:
            _seen[key] = _Seen(now.image, now.size, now.region, before.box)
            bpy.app.timers.register(partial(_put_back, context.window, context.area, region))
            return
    _seen[key] = now
    _tries.pop(key, None)


def forget() -> None:
    """Another file is about to be loaded, or the add-on is going away."""
    _seen.clear()
    _tries.clear()


def _put_back(window: Any, area: Any, region: Any) -> None:
    if area not in window.screen.areas[:] or area.type != "IMAGE_EDITOR":
        return
    key = area.spaces.active.as_pointer()
    wanted, tries, image = _seen.get(key), _tries.get(key, 0), area.spaces.active.image
    if wanted is None or image is None or image.session_uid != wanted.image or tries <= 0:
        return
    _tries[key] = tries - 1
    box, before = drawing.place_of(region, drawing.WHOLE), area.spaces.active.zoom[0]
    zoom = before * (wanted.box[2] - wanted.box[0]) / (box[2] - box[0])
    off = []
    for axis, middle in enumerate((region.width / 2, region.height / 2)):
        zoomed = middle + ((box[axis] + box[axis + 2]) / 2 - middle) * zoom / before
        off.append((zoomed - (wanted.box[axis] + wanted.box[axis + 2]) / 2) / zoom)
    with bpy.context.temp_override(window=window, area=area, region=region):
        if abs(zoom / before - 1.0) > 1e-4:
            bpy.ops.image.view_zoom_ratio(ratio=zoom)
        bpy.ops.image.view_pan(offset=off)


def _photo_of(image: Any) -> Any:
    key = sets.key_of(image)
    return sets.source_of(key) if key is not None else image


def _part_of(image: Any) -> drawing.Box:
    """Of the photo. A map, which knows less of it than a layer does, is as large as the layers of its set."""
    layers = sets.layers_of(sets.key_of(image))
    return sets.part_of(next(iter(layers.values()))) if layers else drawing.WHOLE
