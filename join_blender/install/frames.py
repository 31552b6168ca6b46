# SPDX-License-Identifier: GPL-3.0-or-later
"""The frames of a movie as files, written by a second Blender; a request of the worker's, as it takes time."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..engine import protocol
from ..engine.failure import Failure
from ..engine.vocabulary import leftovers

if TYPE_CHECKING:
    from .worker import Stop

_MARKER = "movie.json"
"""In a folder of frames: of which file they are."""


def write_frames(request: protocol.Message, say: Callable[[protocol.Message], None], stop: Stop) -> dict[str, Any]:
    """Write the frames into a folder that appears whole or not at all; one that is there already is taken as it is.

    Args:
        request: ``movie`` and ``folder``, and as ``blender`` the command that takes both.
        say: takes a message for Blender.
        stop: ends it.

    Returns:
        ``frames``, their paths in order.

    Raises:
        Failure: ``disk``, ``folder_in_use``, ``image_missing``, ``image_movie``.
        Cancelled: when it was stopped.
    """
    movie, folder = Path(request["movie"]), Path(request["folder"])
    partial = folder.with_name(leftovers.temporary_name(".frames"))
    if not movie.is_file():
        raise Failure("image_missing", f"The movie '{movie}' is not there any more.", "Open it again.")
    try:
        told = {"name": movie.name, "bytes": movie.stat().st_size, "changed": movie.stat().st_mtime_ns}
        if folder.exists():
            if not _is_of(folder, told):
                words = f"The folder '{folder}' is there already, and holds other things than this movie's frames."
                raise Failure("folder_in_use", words, "Rename it.")
            return {"frames": _listed(folder)}
        leftovers.sweep(folder.parent, ".frames")
        partial.mkdir(parents=True)
        if not _run([*request["blender"], str(movie), str(partial)], say, stop) or not _listed(partial):
            words = f"Blender could not write the frames of the movie '{movie.name}'."
            raise Failure("image_movie", words, "Write them as images with another program, and open these.")
        (partial / _MARKER).write_text(json.dumps(told), "utf-8")
        partial.rename(folder)
    except OSError as error:
        raise Failure(
            "disk", f"'{folder}' cannot be written ({error.strerror or error}).", "Make room there."
        ) from error
    finally:
        leftovers.remove(partial)
    return {"frames": _listed(folder)}


def _run(command: list[str], say: Callable[[protocol.Message], None], stop: Stop) -> bool:
    """Whether that Blender came to a good end."""

    def hear(line: str) -> None:
        if found := re.match(r"frame (\d+) of (\d+)$", line):
            number, count = int(found[1]), int(found[2])
            say({"type": "progress", "fraction": number / count, "text": f"Writing frame {number} of {count}"})

    return stop.run(command, hear, stdin=subprocess.DEVNULL) == 0


def _is_of(folder: Path, told: dict[str, Any]) -> bool:
    try:
        return bool(json.loads((folder / _MARKER).read_text("utf-8")) == told)
    except (OSError, ValueError):
        return False


def _listed(folder: Path) -> list[str]:
    return sorted(map(str, folder.glob("*.png")))
