# SPDX-License-Identifier: GPL-3.0-or-later
"""Finding the engine: the folder that holds ``join_engine``, and the Python that runs it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..engine.failure import Failure
from .paths import python_in

DEFAULT_BANK = "materials"
"""The one that the engine takes where none is named."""
VARIABLE = "JOIN_ENGINE_PYTHON"
"""The environment variable that names the engine's Python, for scripts and tests."""


@dataclass(frozen=True)
class EnginePython:
    """An interpreter, and in plain words where its path came from."""

    path: Path
    source: str
    installed: bool = False
    """Whether it belongs to the environment that the add-on made itself."""


def engine_root() -> Path:
    """The folder that holds ``join_engine``: the extension's own folder, or the source checkout."""
    return Path(__file__).resolve().parents[2]


def find_python(
    preference: str = "",
    root: Path | None = None,
    environ: Mapping[str, str] = os.environ,
    installed: Path | None = None,
) -> EnginePython:
    """The Python that shall run the engine: the preference, else the variable, else the one that the add-on has
    ``installed``, else the checkout's own ``.venv``.

    A path that somebody chose is used or complained about; it is never silently replaced by the next one.

    Raises:
        Failure: ``engine_python_missing`` where the chosen one is not there, ``engine_missing`` where there is none.
    """
    if preference.strip():
        return EnginePython(_checked(preference, "that the add-on's preferences name"), "chosen in the preferences")
    if environ.get(VARIABLE, "").strip():
        return EnginePython(_checked(environ[VARIABLE], f"that {VARIABLE} names"), f"named by {VARIABLE}")
    if installed is not None:
        return EnginePython(installed, "installed by the add-on", installed=True)
    own = python_in((root or engine_root()) / ".venv")
    if own.is_file():
        return EnginePython(own, "the project's own environment")
    raise Failure(
        "engine_missing",
        "The engine is not installed.",
        "Install it in the add-on's preferences, or choose there a Python of your own that has torch.",
    )


def find_banks(root: Path | None = None) -> list[str]:
    """Names of the banks that lie beside the engine, without opening them."""
    folder = (root or engine_root()) / "join_engine" / "banks"
    return sorted(path.stem for path in folder.glob("*.safetensors"))


def about_bank(name: str) -> tuple[str, Path]:
    """The sentence at the beginning of a shipped bank's card, and its picture; neither need be there."""
    card = engine_root() / "join_engine" / "banks" / f"{name}.md"
    try:
        with card.open(encoding="utf-8") as lines:
            first = lines.readline().strip()
    except (OSError, UnicodeDecodeError):
        first = ""
    return first[1:].strip().replace("*", "") if first.startswith(">") else "", card.with_suffix(".jpg")


def _checked(text: str, which: str) -> Path:
    # Quotes come along when a path is copied from a file manager.
    path = Path(text.strip().strip('"')).expanduser()
    if path.is_dir():
        path = python_in(path)
    if not path.is_file():
        raise Failure(
            "engine_python_missing",
            f"The engine's Python {which} does not exist: {path}.",
            "Choose the python executable of an environment that has torch.",
        )
    return path
