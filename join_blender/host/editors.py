# SPDX-License-Identifier: GPL-3.0-or-later
"""Which image an Image Editor shows. Undo leaves that alone, as it does all of the interface: an editor whose image an
undo has taken would stay empty."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import bpy

_before_undo: dict[tuple[str, int], int] = {}
"""By screen and number of the area: the session's number of the image of which the shown one was made."""


def spaces() -> Iterator[tuple[tuple[str, int], Any]]:
    """The Image Editors of all screens, those that are not on show included."""
    screens: Any = bpy.data.screens
    for screen in screens:
        for number, area in enumerate(screen.areas):
            for space in area.spaces:
                if space.type == "IMAGE_EDITOR":
                    yield (screen.name, number), space


def redraw(image: Any) -> None:
    """Let the editors on the screen that show an image draw it."""
    for area, space in on_screen():
        if space.image == image:
            area.tag_redraw()


def on_screen() -> Iterator[tuple[Any, Any]]:
    """Area and space of the Image Editors on the screen."""
    for window in bpy.context.window_manager.windows:
        for area in window.screen.areas:
            if area.type == "IMAGE_EDITOR":
                yield area, area.spaces.active


def image_of_number(uid: int) -> Any:
    """The image with that number, which stays the same for a session, through renaming and undo; None if it is gone."""
    return next((image for image in bpy.data.images if image.session_uid == uid), None)


def show_instead(image: Any, instead: Any) -> None:
    """Where an editor shows one image, let it show the other."""
    for _, space in spaces():
        if space.image == image:
            space.image = instead


def showing(images: Mapping[str, Any]) -> dict[tuple[str, int], str]:
    """Place → name of the one of these images that the editor there shows; for :func:`show_again`."""
    return {place: name for place, space in spaces() for name, image in images.items() if space.image == image}


def show_again(places: Mapping[tuple[str, int], str], images: Mapping[str, Any]) -> None:
    """The other way round, where there is an image of that name."""
    for place, space in spaces():
        if (image := images.get(places.get(place, ""))) is not None:
            space.image = image


def remember_inputs(input_of: Callable[[Any], Any]) -> None:
    """Before an undo or a redo; ``input_of`` says of what a layer was made, and None of any other image."""
    _before_undo.clear()
    for place, space in spaces():
        source = input_of(space.image) if space.image is not None else None
        if source is not None:
            _before_undo[place] = source.session_uid


def show_inputs() -> None:
    """After it: editors that have lost their layer show what that was made of."""
    for place, space in spaces():
        if space.image is None and place in _before_undo:
            source = image_of_number(_before_undo[place])
            if source is not None:
                space.image = source
    _before_undo.clear()
