# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of the parts and layers of an OpenEXR file is the picture: the same for the engine and for Blender's button."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

# What people and renderers call the picture itself, the surest name first.
_PICTURE = ("combined", "beauty", "rgba", "rgb", "color", "colour", "composite", "final", "image", "default", "main")
# What no picture is called: things measured at each pixel.
_DATA = re.compile(
    r"normal|^n$|depth|^z$|^uv|vector|motion|velocity|position|^p$|mist|crypto|(^|_)id$|index|mask|matte|alpha|noisy|denois"
)
_LETTERS = {"red": "r", "green": "g", "blue": "b", "alpha": "a"}


@dataclass(frozen=True)
class Layer:
    """Channels of one part that belong together.

    Attributes:
        name: part and layer, as a person would name it; empty for the plain channels of a file with one part.
        part: number of the part.
        colours: one (grey), three of red, green and blue, or three of luminance and chroma.
        alpha: the channel that goes with them.
        chroma: the colours are Y, RY, BY.
        data: by its name or its channels it is no picture but something measured.
    """

    name: str
    part: int
    colours: tuple[str, ...]
    alpha: str | None = None
    chroma: bool = False
    data: bool = False

    @property
    def title(self) -> str:
        """Its name, where it has none, too."""
        return self.name or "RGB"

    @property
    def channels(self) -> tuple[str, ...]:
        """Its colours and its alpha."""
        return (*self.colours, *((self.alpha,) if self.alpha else ()))

    @property
    def words(self) -> list[str]:
        return [word for word in re.split(r"[./]", self.name.lower()) if word]

    @property
    def rank(self) -> tuple[int, int]:
        """The lower, the more it is the picture."""
        if len(self.colours) == 1:
            return (5 if self.name in ("", *self.colours) and not self.data else 6), 0
        if self.data:
            return 4, 0
        known = [_PICTURE.index(word) for word in self.words if word in _PICTURE]
        if not self.words:
            return 0, 0
        return (1, min(known)) if known else (3 if "." in self.name else 2, 0)


def layers_of(part: int, title: str, channels: Iterable[str]) -> list[Layer]:
    """The layers of one part.

    Args:
        part: its number.
        title: its name, where the file has several.
        channels: their full names, such as "ViewLayer.Combined.R".
    """
    groups: dict[str, dict[str, str]] = {}
    for channel in channels:
        prefix, _, letter = channel.rpartition(".")
        letter = letter.lower()
        groups.setdefault(prefix, {}).setdefault(_LETTERS.get(letter, letter), channel)
    found = []
    for prefix, named in groups.items():
        name = prefix if title.lower() in ("", prefix.lower()) else ".".join(filter(None, (title, prefix)))
        words = re.split(r"[./]", name.lower())
        data = any(_DATA.search(word) for word in words) and not any(word in _PICTURE for word in words)
        alpha = named.get("a")
        whole: tuple[str, ...] = ()
        for letters in (("r", "g", "b"), ("y", "ry", "by"), ("x", "y", "z")):
            if set(letters) <= named.keys():
                whole = tuple(named.pop(letter) for letter in letters)
                chroma, measured = letters[1] == "ry", letters[0] == "x"
                found.append(Layer(name, part, whole, alpha, chroma, data or measured))
                named.pop("a", None)
                break
        single = [letter for letter in named if letter != "a"]
        for letter in single:
            own = alpha if len(single) == 1 and not whole else None
            called = ".".join(filter(None, (name, named[letter].rpartition(".")[2])))
            measured = data or bool(_DATA.search(letter))
            found.append(Layer(called, part, (named[letter],), own, data=measured))
    return found


def picture_of(layers: Sequence[Layer]) -> Layer | None:
    """The layer that is the picture; None where there is none: several single channels, or nothing at all."""
    best = min(layers, key=lambda layer: layer.rank, default=None)
    return None if best is None or (len(best.colours) == 1 and len(layers) > 1) else best


def layer_named(layers: Sequence[Layer], wanted: str) -> Layer | None:
    """The layer that a person means: by its whole name, by the end of it, by a word in it."""
    name = wanted.strip().lower()
    for fits in (
        lambda layer: layer.title.lower() == name,
        lambda layer: layer.words[-1:] == [name],
        lambda layer: name in layer.words,
    ):
        found = [layer for layer in layers if fits(layer)]
        if found:
            return min(found, key=lambda layer: layer.rank)
    return None
