# SPDX-License-Identifier: GPL-3.0-or-later
"""Folders of results: each appears whole or not at all, says what made it, and replaces nothing but its like.

A result is written into ``.join-….partial/new`` beside its place. When it is whole, the one that it replaces moves into
``.join-….partial/old`` and it takes its place. A process that is killed leaves such a folder, and the next that writes
a result beside it puts it right: there is always the old result or the new one under the name.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import __version__
from ..errors import JoinError
from ..images.files import unwritable, write_text
from ..leftovers import left_behind, remove, temporary_name
from ..names import is_file, is_folder, safe_name, same_name
from ..untrusted import read_json, read_small

if TYPE_CHECKING:
    from ..bank import Bank
    from ..inversion.presets import Preset

MARKER = "made.json"
"""In each result: what made it, and the sizes of its files."""

_FORMAT, _VERSION = "join-result", 1
_PARTIAL = ".partial"


@dataclass(frozen=True)
class Source:
    """The file that a result was made of."""

    path: str
    """Absolute."""
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Source:
        """Raises JoinError ``image_missing``."""
        try:
            with path.open("rb") as file:
                return cls(os.path.realpath(path), hashlib.file_digest(file, "sha256").hexdigest())
        except OSError as error:
            text = f"'{path}' cannot be read ({error.strerror or error})."
            raise JoinError("image_missing", text, "Check the path.") from error

    def is_like(self, other: Source) -> bool:
        """Whether it is the same file, changed or moved."""
        moved = Path(self.path).name == Path(other.path).name and self.sha256 == other.sha256
        return self.path == other.path or moved


@dataclass(frozen=True)
class Made:
    """What made a result.

    Attributes:
        command: such as decompose.
        source: the image, or the decomposition.
        bank: hash of its tensors.
        settings: all else that decides what the layers are; plain JSON values.
        engine: its version.
    """

    command: str
    source: Source
    bank: str
    settings: Mapping[str, Any]
    engine: str = __version__

    @classmethod
    def decomposing(
        cls,
        image: Path,
        bank: Bank,
        preset: Preset,
        seed: int,
        layer: str | None,
        upright: bool = True,
        confidence: bool = False,
        face: Mapping[str, Any] | None = None,
    ) -> Made:
        """Of the layers of one image, for whoever asks: alike from the command line and from a client of the engine.

        ``face``: what else decides, of a bank of faces (:func:`join_engine.portraits.decides`). Raises JoinError
        ``image_missing``.
        """
        settings = {**preset.to_json(), "seed": seed, "confidence": confidence, "layer": layer, "upright": upright}
        settings |= {} if face is None else {"face": dict(face)}
        return cls("decompose", Source.of(image), bank.sha256, settings)


@dataclass(frozen=True)
class Marker:
    """What a folder says of itself: what made it, and the size in bytes of each of its files."""

    made: Made
    files: Mapping[str, int]


def read_marker(folder: Path) -> Marker | None:
    """The marker of a folder; None where it is no result."""
    try:
        values = read_json(read_small(folder / MARKER))
        if values["format"] != _FORMAT or values["version"] != _VERSION:
            return None
        made = Made(**{**values["made"], "source": Source(**values["made"]["source"])})
        return Marker(made, {str(name): int(size) for name, size in values["files"].items()})
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def is_finished(folder: Path, made: Made) -> bool:
    """Whether a folder holds exactly what ``made`` would make of it, with all files."""
    marker = read_marker(folder)
    if marker is None or _as_text(marker.made) != _as_text(made):
        return False
    return all(is_file(folder / name) and (folder / name).stat().st_size == size for name, size in marker.files.items())


def _as_text(made: Made) -> str:
    return json.dumps(asdict(made), sort_keys=True)


def folder_for(out: Path, name: str, made: Made, taken: Collection[Path] = ()) -> Path:
    """Where in ``out`` the result of an image goes: a folder of its name, with a number where another thing is there.

    Args:
        name: of the image, without its ending.
        made: the result; a folder that the same command made of the same image is found again.
        taken: folders that results of the same run have got.
    """
    put_right(out)
    there = {}
    with suppress(OSError):
        there = {same_name(path.name): path for path in out.iterdir()}
    gone = {same_name(path.name) for path in taken}
    base, number = safe_name(name), 1
    while True:
        candidate = out / (base if number == 1 else f"{base}-{number}")
        found = there.get(same_name(candidate.name))
        if same_name(candidate.name) not in gone and (found is None or _may_replace(found, made)):
            return found or candidate
        number += 1


def _may_replace(folder: Path, made: Made) -> bool:
    if _is_empty(folder):
        return True
    marker = read_marker(folder)
    return marker is not None and marker.made.command == made.command and marker.made.source.is_like(made.source)


def check_free(target: Path, command: str) -> None:
    """Whether a result of ``command`` may take the name that a person gave it. Raises JoinError ``output_taken`` where
    something is there that the same command has not made."""
    target = _named(target)
    put_right(target.parent)
    marker = read_marker(target)
    if target.exists() and not _is_empty(target) and (marker is None or marker.made.command != command):
        what = f"holds something that {command} did not make" if is_folder(target) else "is a file"
        raise JoinError("output_taken", f"'{target}' {what}.", "Choose another folder, which need not exist.")


@contextmanager
def result_folder(target: Path, made: Made) -> Iterator[Path]:
    """A folder to write a result into. When the block ends well it becomes ``target``, instead of what is there; else
    nothing of it stays. Files that somebody has put beside an earlier result move along. Raises JoinError
    ``output_unwritable``; ``output_taken`` where something else has taken the name meanwhile, or a file that is not of
    the earlier result has the name of one of this."""
    target = _named(target)
    place = target.parent / temporary_name(_PARTIAL)
    new = place / "new"
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        put_right(target.parent)
        new.mkdir(parents=True)
        (place / "name").write_bytes(os.fsencode(target.name))
        yield new
        sizes = {path.name: path.stat().st_size for path in sorted(new.iterdir())}
        text = {"format": _FORMAT, "version": _VERSION, "made": asdict(made), "files": sizes}
        write_text(new / MARKER, json.dumps(text, indent=2, ensure_ascii=False) + "\n")
        _replace(target, new, place / "old")
    except OSError as error:
        raise unwritable(target, error) from error
    except JoinError as error:  # it names a file that a person has never heard of
        if str(new) not in error.message:
            raise
        raise JoinError(error.code, error.message.replace(str(new), str(target)), error.hint) from error
    finally:
        _settle(place)


def _named(folder: Path) -> Path:
    """The same by its own name, where it is given as ``.`` or ``..``."""
    return Path(os.path.realpath(folder)) if folder.name in ("", "..") else folder


def _replace(target: Path, new: Path, old: Path) -> None:
    if target.is_symlink() or target.exists():
        if _is_empty(target) and not target.is_symlink():
            target.rmdir()
        elif clash := sorted({path.name for path in new.iterdir()} & set(_others(target))):
            text = f"'{target / clash[0]}' is not of the result that is to be replaced."
            raise JoinError("output_taken", text, "Move it away, or choose another folder.")
        else:
            target.rename(old)
    new.rename(target)


def put_right(folder: Path) -> None:
    """Finish in a folder what processes that were killed have begun with its results."""
    for place in left_behind(folder, f".join-*{_PARTIAL}"):
        _settle(place)


def _settle(place: Path) -> None:
    """See that the name which a temporary folder is about has the new result or the old one, and remove the rest."""
    old, new = place / "old", place / "new"
    try:
        if old.exists():
            target = place.with_name(os.fsdecode(read_small(place / "name")))
            if target.name == "..":
                raise ValueError("it leads out of the folder")
            if not target.exists():  # it moves only when the new one is whole
                (new if new.exists() else old).rename(target)
            for name in _others(old) if old.exists() else ():
                if not (target / name).exists():
                    (old / name).rename(target / name)
            if old.exists():
                if _others(old):
                    return  # nothing that a person has put there is ever removed
                # Half removed it would have lost its marker, and all that is left in it would count as a person's.
                old.rename(place / "gone")
    except (OSError, ValueError):  # ValueError: what the name should be is not known any more, and both are kept
        return  # the next one tries again
    remove(place)


def _others(folder: Path) -> list[str]:
    """What a result's folder holds that is not of the result; all of it where it is no result."""
    marker = read_marker(folder)
    own = {MARKER, *(marker.files if marker is not None else ())}
    return [path.name for path in folder.iterdir() if path.name not in own]


def _is_empty(folder: Path) -> bool:
    with suppress(OSError):
        return is_folder(folder) and not any(folder.iterdir())
    return False
