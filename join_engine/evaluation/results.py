# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures of single images as JSON lines, written while an evaluation runs, so that a killed one goes on.

The first line says what the run is about. Another run's lines are never taken for one's own.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import JoinError

# method → sample → {"seconds": s, "scores": {component: {metric: value}}}
Found = dict[str, dict[str, dict[str, Any]]]

RESULTS_NAME = "results.jsonl"
_KEYS = {"method", "how", "sample", "seconds", "scores"}


class Results:
    """A growing file of results. Raises JoinError ``results_mismatch`` when the file belongs to another run,
    ``output_unwritable``.

    Args:
        path: the file; None keeps everything in memory.
        about: plain values that make the run what it is (bank, data, settings).
        identities: of each method's row, how it is made, in short; what was made otherwise is not taken over.
    """

    def __init__(self, path: Path | None, about: Mapping[str, Any], identities: Mapping[str, str]) -> None:
        self._path = path
        self._identities = identities
        self.found: Found = {}
        lines = [] if path is None else _complete_lines(path)
        if path is None:
            return
        header = json.loads(json.dumps(about))
        if lines and lines[0].get("about") != header:
            message = f"'{path}' holds the results of another run (other bank, samples or settings)."
            raise JoinError("results_mismatch", message, "Choose another folder, or begin anew with --fresh.")
        lines = lines[:1] + [line for line in lines[1:] if identities.get(line["method"], line["how"]) == line["how"]]
        for line in lines[1:]:
            _take(self.found, line)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Written anew without a torn last line; from here on lines are only added.
            temporary = path.with_suffix(".tmp")
            temporary.write_text("".join(_line(entry) for entry in lines or [{"about": header}]), encoding="utf-8")
            temporary.replace(path)
        except OSError as error:
            raise _unwritable(path, error) from error

    def done(self, title: str, sample: str) -> bool:
        """Whether there are figures already."""
        return sample in self.found.get(title, {})

    def add(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Write results with ``method``, ``sample``, ``seconds`` and ``scores``; those that are there stay."""
        fresh = [
            {**entry, "how": self._identities[entry["method"]]}
            for entry in entries
            if not self.done(entry["method"], entry["sample"])
        ]
        for entry in fresh:
            _take(self.found, entry)
        if self._path is None or not fresh:
            return
        try:
            with self._path.open("a", encoding="utf-8") as file:
                file.write("".join(_line(entry) for entry in fresh))
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise _unwritable(self._path, error) from error


def read_results(path: Path) -> Found:
    """The figures that a run has kept. Empty where there are none."""
    found: Found = {}
    for entry in _complete_lines(path)[1:]:
        _take(found, entry)
    return found


def _take(found: Found, entry: Mapping[str, Any]) -> None:
    values = {"seconds": entry["seconds"], "scores": entry["scores"]}
    found.setdefault(str(entry["method"]), {})[str(entry["sample"])] = values


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n"


def _complete_lines(path: Path) -> list[dict[str, Any]]:
    """All lines up to the first that is not whole: a kill can tear the last one only."""
    lines: list[dict[str, Any]] = []
    if not path.is_file():
        return lines
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            entry = json.loads(text)
        except ValueError:
            break
        if not isinstance(entry, dict) or not (set(entry) >= _KEYS or "about" in entry):
            break
        lines.append(entry)
    return lines


def _unwritable(path: Path, error: OSError) -> JoinError:
    return JoinError("output_unwritable", f"'{path}' cannot be written ({error}).", "Choose another folder.")
