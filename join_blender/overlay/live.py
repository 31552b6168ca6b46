# SPDX-License-Identifier: GPL-3.0-or-later
"""The light while it moves, drawn over what an Image Editor shows of the set: the layer's own preview over a layer, the
recomposed picture over anything else. When the layers themselves show the light, :func:`forget` takes it away."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import bpy
import gpu
import numpy as np

from ..host import editors, sets
from ..host.compare import RECOMPOSED
from . import drawing, readable, wipe

_LARGEST, _STEP = 1024, 64
"""Pixels of the longer side: previews are never larger, and of no other size than multiples of the second one."""

_pictures: dict[str, Mapping[str, np.ndarray]] = {}
"""By set: the newest previews, see :class:`join_blender.engine.relight.Update`."""
_textures: dict[tuple[str, str], tuple[np.ndarray, Any]] = {}
"""By set and name: what was uploaded of them, and the texture."""


def show(set_id: str, layers: Mapping[str, np.ndarray]) -> None:
    """From the next redraw on."""
    if not bpy.app.background:
        _pictures[set_id] = layers


def forget(set_id: str) -> None:
    """The layers and what is made of them show the light themselves."""
    _pictures.pop(set_id, None)
    for key in [key for key in _textures if key[0] == set_id]:
        del _textures[key]


def forget_all() -> None:
    """Another file is about to be loaded, or an undo has changed what is wanted."""
    _pictures.clear()
    _textures.clear()


def areas_beside(set_id: str) -> Iterator[Any]:
    """The editors that show something of the set that no light changes: its input, or its albedo."""
    for area, space in _open(set_id):
        if wipe.of(space) is None and sets.VIEW not in space.image and _name(space.image) == RECOMPOSED:
            yield area


def size_for(set_id: str) -> int:
    """Pixels of the longer side of a preview as large as the largest picture of the set on the screen; 0 where none
    is."""
    longest = 0.0
    if bpy.app.background:
        return 0
    for area, _ in _open(set_id):
        region = next(region for region in area.regions if region.type == "WINDOW")
        left, bottom, right, top = drawing.place_of(region, drawing.WHOLE)
        longest = max(longest, right - left, top - bottom)
    return min(_LARGEST, -_STEP * int(-longest // _STEP))


def draw() -> None:
    """What moves, in the region that is being drawn."""
    context: Any = bpy.context
    space: Any = context.space_data
    picture = _pictures.get(sets.set_of(space.image) or "") if space.image is not None and _pictures else None
    if picture is None or wipe.of(space) is not None:
        return
    name = _name(space.image)
    if name not in picture:
        return
    key = (str(sets.set_of(space.image)), name)
    if key not in _textures or _textures[key][0] is not picture[name]:
        types: Any = gpu.types  # whose stubs know no arguments
        height, width = picture[name].shape[:2]
        pixels = types.Buffer("FLOAT", picture[name].size, picture[name].reshape(-1))
        _textures[key] = picture[name], types.GPUTexture((width, height), format="RGBA16F", data=pixels)
    layer = next(iter(sets.layers_of(key[0]).values()))
    place = drawing.place_of(context.region, drawing.within(sets.part_of(layer), sets.part_of(space.image)))
    drawing.draw_texture(_textures[key][1], place, gain=readable.gain_in(space))


def _open(set_id: str) -> Iterator[tuple[Any, Any]]:
    """Area and space of the editors on the screen that show something of the set."""
    return (found for found in editors.on_screen() if sets.set_of(found[1].image) == set_id)


def _name(image: Any) -> str:
    """Which of the previews belongs over an image; empty for none."""
    if image.get(sets.VIEW) not in (None, RECOMPOSED) or sets.MAP in image:
        return ""
    component = str(image.get(sets.COMPONENT, ""))
    return component if component and component != "albedo" else RECOMPOSED
