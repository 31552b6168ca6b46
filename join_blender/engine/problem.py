# SPDX-License-Identifier: GPL-3.0-or-later
"""The text of a report of a problem: what is known of this Blender, its machine, the engine and the last job, without
what is private. Whoever reads it learns neither where files lie nor what anything of the user's is called."""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .decomposition import Decomposition
from .vocabulary import names

Facts = Mapping[str, object]

log: deque[str] = deque(maxlen=100)
"""What the user was told in this session, with the time of day."""

_ENDINGS = "|".join(suffix[1:] for suffix in (*names.IMAGE_SUFFIXES, ".blend", ".join", ".mp4", ".mov", ".mkv", ".avi"))
_ROOT = r"(?:[A-Za-z]:[\\/]|\\\\|~?/)"
_PATHS = (
    re.compile(rf"(['\"]){_ROOT}[^'\"\n]*\1"),
    # A word that begins like a path, and those after it that hold a slash: folders have spaces in their names.
    re.compile(rf"(?<![\w<>/.]){_ROOT}[^\s\"<>|]+(?: [^\s\"<>|]*[\\/][^\s\"<>|]*)*"),
    re.compile(r"(<home>|<temporary>|<file>)[^\n'\"(]*[\\/][^\s'\"<>]*"),
)
_QUOTED = re.compile(r"(?<!\w)'[^'\n]+'(?!\w)")
_FILES = re.compile(rf"[^\s'\"<>]+\.(?:{_ENDINGS})\b", re.IGNORECASE)


def note(words: object) -> None:
    """Into :data:`log`, without what it calls anything of the user's: that may be gone when a report is written."""
    log.append(time.strftime("%H:%M:%S ") + _QUOTED.sub("'…'", str(words)))


def write_report(sections: Mapping[str, Facts | Sequence[str]], known: Mapping[str, str]) -> str:
    """The report.

    Args:
        sections: by their headings, facts or lines; those without any are left out.
        known: see :func:`without_private`.
    """
    parts = ["What did you do, what did you expect, and what happened instead? (Please write it here.)\n"]
    for heading, told in sections.items():
        lines = [f"{name}: {value}" for name, value in told.items()] if isinstance(told, Mapping) else told
        if lines:
            parts.append("\n".join([f"## {heading}", *lines, ""]))
    return without_private("\n".join(parts), known)


def without_private(text: str, known: Mapping[str, str]) -> str:
    """A text without paths and names of files.

    Args:
        text: any.
        known: what stands for what is known to be private; below a path that is called ``<Blender>`` or the like the
            rest stays, which tells where in the code an error was.
    """
    folders = {private for private in known if "/" in private or "\\" in private}
    text = _replaced(text, {private: known[private] for private in folders})
    for paths in _PATHS:
        text = paths.sub("<path>", text)
    return _FILES.sub("<file>", _replaced(text, {name: known[name] for name in set(known) - folders}))


def _replaced(text: str, known: Mapping[str, str]) -> str:
    """The longest first, each only where it is a word."""
    for private in sorted(filter(None, known), key=len, reverse=True):
        # Windows writes paths in either way, and in JSON twice.
        for spelt in {private, private.replace("\\", "/"), private.replace("\\", "\\\\")}:
            text = re.sub(rf"(?<!\w){re.escape(spelt)}(?!\w)", known[private], text)
    return text


def numbered(kind: str, private: Iterable[str]) -> dict[str, str]:
    """Each of these and its name without an ending, as ``<picture 1>`` and so on; for :func:`without_private`."""
    found: dict[str, str] = {}
    for name in filter(None, private):
        tag = found.get(name) or f"<{kind} {len(set(found.values())) + 1}>"
        for spelt in (name, name.rpartition(".")[0] or name):
            found.setdefault(spelt, tag)
    return found


def facts_of(job: Decomposition) -> dict[str, Any]:
    """A job that has ended, for the report. Holds none of its pixels."""
    parts = [{name: part.get(name) for name in ("bank", "metrics", "seconds", "notes")} for part in job.results]
    return {
        "Name": job.name,
        "Ended": job.state.name.lower() + (" early" if job.stopped_early else ""),
        "Failure": job.failure.code if job.failure is not None else "none",
        "Size": f"{job.megapixels:.2f} megapixels, reduced {job.shrink} times",
        "To files": job.output is not None,
        "Options": job.options,
        "Last stage": job.progress,
        **{f"Result {number}": part for number, part in enumerate(parts, 1)},
    }
