# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of files that every system takes, and which files of a folder are images: for engine, add-on and renderer.

Windows reserves names and drops dots and spaces at the end; Windows and macOS take names that differ only in case, or
in how an accent is encoded, for the same; all of them limit the length.
"""

from __future__ import annotations

import errno
import os
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST = 120
"""Bytes of a name in UTF-8: every system takes 255, and endings, numbers and the names of files in it need room."""

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".hdr", ".webp", ".bmp", ".gif", ".avif", ".exr", ".npy")
"""What the engine reads, and therefore what it takes of a folder."""

_FORBIDDEN = re.compile(r'[\x00-\x1f\x7f-\x9f\ud800-\udfff<>:"/\\|?*\u2028\u2029]')
_RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(?=\s*(\.|$))", re.IGNORECASE)
_TOLD = 5
_LAST_NUMBER = re.compile(r"(?s)(.*?)([0-9]{1,18})([^0-9]*)$")
_SHORTEST_SERIES = 3


def safe_name(text: str) -> str:
    """``text`` as the name of one file or folder, which is neither hidden nor means another place; "image" where
    nothing is left of it.

    >>> [safe_name(name) for name in ("photo", "..", "aux.old", "a/b", " x. ")]
    ['photo', 'image', 'aux_.old', 'a_b', 'x']
    """
    name = _FORBIDDEN.sub("_", unicodedata.normalize("NFC", text)).lstrip(". ")
    name = _RESERVED.sub(r"\1_", name, count=1) if _RESERVED.match(name) else name
    name = name.encode()[:LONGEST].decode("utf-8", "ignore").rstrip(". ")
    return name or "image"


def same_name(name: str) -> str:
    """What is equal for two names that some system takes for the same."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())


def free_name(text: str, taken: Iterable[str]) -> str:
    """``text`` as :func:`safe_name` has it, with a number behind it where that is taken."""
    base, known, number = safe_name(text), set(map(same_name, taken)), 1
    name = base
    while same_name(name) in known:
        number += 1
        name = f"{base}-{number}"
    return name


def encoded(path: str | os.PathLike[str]) -> Any:
    """A path for libraries of C++: a name need not be UTF-8, and as text they take no other (their stubs say so)."""
    return os.fsencode(path)


def refuse_no_file(path: Path) -> None:
    """Raise OSError where a file is to be put in the place of a device, which root could do, of a pipe or a folder."""
    if path.exists() and not path.is_file():
        raise OSError(errno.EEXIST, "it is there and no file")


def is_file(path: Path) -> bool:
    """Whether a file is there; False, too, for a name that is none, such as one that is too long."""
    try:
        return path.is_file()
    except OSError:
        return False


def is_folder(path: Path) -> bool:
    """Whether a folder is there; False, too, for a name that is none."""
    try:
        return path.is_dir()
    except OSError:
        return False


def is_hidden(path: Path) -> bool:
    """Whether a name, or one on the way to it, begins with a dot: such as the ``._photo.png`` that a Mac leaves."""
    return any(part.startswith(".") and part not in (".", "..") for part in path.parts)


@dataclass(frozen=True)
class Listing:
    """What is in a folder: the images by name, and the names of all else that is not hidden."""

    images: list[Path]
    others: list[str]
    hidden: int

    @property
    def series(self) -> str:
        """A sentence where images are the numbered frames of one thing, with gaps or without; else empty."""
        found: dict[tuple[str, str], dict[int, str]] = {}
        for name in (path.name for path in self.images):
            stem, dot, ending = name.rpartition(".")
            if match := _LAST_NUMBER.match(stem):
                before, number, after = match.groups()
                found.setdefault((before, after + dot + ending), {}).setdefault(int(number), name)
        told = []
        for frames in found.values():
            first, last = min(frames), max(frames)
            if len(frames) >= _SHORTEST_SERIES and last - first < 2 * len(frames):
                told.append(f"{frames[first]} to {frames[last]} ({len(frames)} images)")
        if not told:
            return ""
        more = f" and {len(told) - _TOLD} more" if len(told) > _TOLD else ""
        words = "are a series" if len(told) == 1 else "are series"
        return f"{', '.join(told[:_TOLD])}{more} {words}: each image is decomposed by itself."

    @property
    def passed_over(self) -> str:
        """What is no image, as words to go on with after "passed over"; empty where there is nothing."""
        told = self.others[:_TOLD]
        if more := len(self.others) - len(told):
            told.append(f"{more} more")
        if self.hidden:
            told.append("1 hidden file" if self.hidden == 1 else f"{self.hidden} hidden files")
        return " and ".join([", ".join(told[:-1]), told[-1]] if len(told) > 1 else told)


def list_folder(folder: Path, but: Path | None = None) -> Listing:
    """The images in a folder, not below it, and what else is there ``but`` one path. Raises OSError."""
    found = sorted(path for path in folder.iterdir() if path != but)
    shown = [path for path in found if not path.name.startswith(".")]
    images = [path for path in shown if path.suffix.lower() in IMAGE_SUFFIXES and is_file(path)]
    known = set(images)
    others = [path.name + ("/" if is_folder(path) else "") for path in shown if path not in known]
    return Listing(images, others, len(found) - len(shown))
