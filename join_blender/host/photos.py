# SPDX-License-Identifier: GPL-3.0-or-later
"""Photos: the list of those of one thing to decompose together (``scene.join_photos``, pointers at images),
and the colour space that a photo's file speaks of, where Blender took it for sRGB and has a space of that name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bpy

from ..engine.failure import Failure
from . import images


def listed(scene: Any) -> list[Any]:
    """The images of the list that are still in the file."""
    return [item.image for item in scene.join_photos if item.image is not None]


def add(scene: Any, image: Any) -> bool:
    """Put an image at the end of the list; whether it was not there yet."""
    if image in listed(scene):
        return False
    scene.join_photos.add().image = image
    scene.join_photo_index = len(scene.join_photos) - 1
    return True


def remove(scene: Any, index: int) -> None:
    """Take one out of the list; the image stays in the file."""
    scene.join_photos.remove(index)
    scene.join_photo_index = max(0, min(index, len(scene.join_photos) - 1))


def clear(scene: Any) -> None:
    """Take all out of it."""
    scene.join_photos.clear()


def load(paths: Iterable[Path]) -> list[Any]:
    """Open files as images, those that are open already once.

    Raises:
        Failure: ``image_missing``, before any image is made.
    """
    found = list(paths)
    for path in found:
        if not path.is_file():
            raise Failure("image_missing", f"There is no file '{path}'.", "Choose another.")
    return [bpy.data.images.load(str(path), check_existing=True) for path in found]


def refuse_unequal(photos: Iterable[Any]) -> None:
    """See that there are several photos, and of one size.

    Raises:
        Failure: ``photos_too_few``, ``photos_sizes``.
    """
    found = list(photos)
    if len(found) < 2:
        raise Failure("photos_too_few", "One photo is not several.", "Choose two or more of one thing.")
    first = images.size_of(found[0])
    for photo in found[1:]:
        size = images.size_of(photo)
        if size != first and 0 not in (*size, *first):  # one without pixels is refused by its own sentence
            words = f"'{photo.name}' is {size[0]} × {size[1]} and '{found[0].name}' is {first[0]} × {first[1]}"
            raise Failure("photos_sizes", f"{words}: they must be of one size.", "Use photos from one tripod.")


def suggested_space(image: Any) -> str:
    """The name of a colour space of Blender's, such as "Display P3", which the image should be in; empty for none."""
    said = "" if image is None else images.profile_of(image)
    return said if said and images.has_space(image, said) else ""


def take_suggested_space(image: Any) -> None:
    """Have Blender show the image in the colours that its file speaks of; nothing where there is no such space."""
    if space := suggested_space(image):
        image.colorspace_settings.name = space
