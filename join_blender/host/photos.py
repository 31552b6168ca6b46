# SPDX-License-Identifier: GPL-3.0-or-later
"""Photos: the list of those of one thing to decompose together (``scene.join_photos``, pointers at images),
and the colour space that a photo's file speaks of, where Blender took it for sRGB and has a space of that name."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import bpy

from ..engine.exr import encode_exr
from ..engine.failure import Failure
from ..engine.pixels import load_layer
from ..engine.protocol import Message
from . import images, sets


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


def conversion_request(image: Any) -> tuple[dict[str, bytes], Message]:
    """The files that the engine needs to read an image's file by the colours that it speaks of, and the request; see
    :meth:`.Job.with_files`.

    Raises:
        Failure: ``colors_missing``, ``image_missing``.
    """
    packed, path = image.packed_file, images.file_of(image)
    if image.source == "FILE" and packed is None and not path.is_file():
        raise Failure("image_missing", f"The file of '{image.name}' is gone: {path}.", "Open it again.")
    if image.source != "FILE" or not images.profile_of(image):
        words = f"Blender takes '{image.name}' for what its file says."
        raise Failure("colors_missing", words, "Decompose it as it is.")
    if image.is_dirty:
        raise Failure("colors_missing", f"'{image.name}' has been changed since it was opened.", "Save it first.")
    named = str(path) if packed is None else "{folder}/packed"
    files = {} if packed is None else {"packed": bytes(packed.data)}
    return files, {"type": "convert", "image": named, "output": "{folder}"}


def encode_converted(answer: Message) -> tuple[bytes, bool, list[str]]:
    """What the engine has made, as an EXR; whether that has an alpha; and the engine's notes. For a thread.

    Raises:
        Failure: ``engine_answer``, ``layer_broken``.
    """
    pixels, notes = load_layer(str(answer.get("picture")), with_alpha=True), answer.get("notes")
    alpha = pixels[..., 3] if pixels.shape[2] == 4 else None
    said = [str(note) for note in notes] if isinstance(notes, list) else []
    return encode_exr(pixels[..., :3], alpha), alpha is not None, said


def write_converted(name: str, made: tuple[bytes, bool, list[str]]) -> tuple[Any, list[str]]:
    """A linear image of it, made of the one of that name; and the notes."""
    data, alpha, notes = made
    image: Any = images.new_layer(images.layer_name(name, "linear"))
    images.fill_layer(image, data, alpha, {sets.INPUT: images.image_named(name)})
    image.use_fake_user = True
    return image, notes
