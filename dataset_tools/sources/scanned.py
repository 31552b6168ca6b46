# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of scanned materials (textures by ambientCG's or Poly Haven's naming), used beside the procedural ones.

Every sub-folder, or every group of files with a common name, is one material. A scan belongs to one split, with all its
colour variants (Bricks061A, Bricks061B) and sizes.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath

import numpy as np

from dataset_tools.description.covering import Material
from dataset_tools.description.sampling import choose, log_uniform, uniform, vector
from dataset_tools.description.seeds import SPLITS, parts
from dataset_tools.errors import UserError
from dataset_tools.sources.textures import fingerprint as _fingerprint
from dataset_tools.sources.textures import picture_files

FAMILY = "scanned"

# What the end of a file's name says, in both namings, without size and format.
_MAPS: dict[str, tuple[str, ...]] = {
    "color": ("color", "basecolor", "albedo", "diff", "diffuse", "col"),
    "roughness": ("roughness", "rough"),
    "metalness": ("metalness", "metallic", "metal"),
    "normal": ("normalgl", "nor_gl"),
    "height": ("displacement", "disp", "height"),
}
_ENDINGS = (".png", ".jpg", ".jpeg", ".exr", ".tif", ".tiff")
# "Bricks075A_1K-JPG_Color", "brick_wall_003_diff_1k", "Bricks075A_128px_Color"
_SIZE = re.compile(r"[_-](\d+(k|px))([_-](jpg|png|exr|tif))?(?=[_-]|$)", re.IGNORECASE)
# "Bricks061A": the number is the scan's, the letter its colour's.
_VARIANT = re.compile(r"(?<=\d)[a-z]$", re.IGNORECASE)

# How scans are divided; a dataset that was begun under another rule is another dataset.
SPLIT_RULE = "by scan, its colour variants and sizes together"


@dataclass(frozen=True)
class Scan:
    """One scanned material: its name and the file of each map, relative to the folder of all."""

    name: str
    maps: Mapping[str, str]

    @property
    def group(self) -> str:
        """What it shares with its colour variants: the name without its folder and without the variant's letter."""
        return _group(self.name)


@dataclass(frozen=True)
class Scans:
    """Scanned materials to draw from, and how often one is drawn instead of a procedural one."""

    materials: tuple[Scan, ...]
    share: float

    def of_split(self, split: str) -> Scans:
        """The materials of one split, to which groups belong as a whole."""
        return self._parts[split]

    @functools.cached_property
    def _parts(self) -> dict[str, Scans]:
        groups = {scan.group for scan in self.materials}
        return {
            split: Scans(tuple(scan for scan in self.materials if scan.group in part), self.share)
            for split, part in parts(groups, 0.05).items()
        }

    def sample(self, rng: np.random.Generator, size: float) -> Material:
        """A random one: turned, shifted and repeated every ``size`` × 0.8 to 2.4 metres."""
        scan = choose(rng, self.materials)
        return Material(
            family=FAMILY,
            colors=((0.4, 0.4, 0.4),),
            scale=size * log_uniform(rng, 0.8, 2.4),
            angle=uniform(rng, 0.0, 2.0 * np.pi),
            offset=vector(rng, (0.0, 0.0, 0.0), (20.0, 20.0, 20.0)),
            roughness=0.6,
            specular=uniform(rng, 0.3, 0.5),
            relief=uniform(rng, 0.01, 0.03),
            metal="metalness" in scan.maps,
            textures=dict(scan.maps),
        )


def find_scans(folder: Path, share: float) -> Scans:
    """All materials under ``folder``. Raises UserError when the folder does not hold enough of them."""
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}: name the one that holds the materials' textures.")
    groups: dict[str, dict[str, str]] = {}
    for path in picture_files(folder.rglob("*"), folder, _ENDINGS):
        if named := map_of(path):
            material, kind = named
            key = (path.parent.relative_to(folder) / material).as_posix()
            groups.setdefault(key, {}).setdefault(kind, path.relative_to(folder).as_posix())
    scans = tuple(Scan(name, maps) for name, maps in sorted(groups.items()) if "color" in maps)
    count = len({scan.group for scan in scans})
    if count < len(SPLITS):
        raise UserError(
            f"{folder} holds {count} materials, and at least {len(SPLITS)} are needed, one for each split: "
            "add folders with files such as Bricks_1K-JPG_Color.jpg or brick_diff_1k.png."
        )
    return Scans(scans, share)


def map_of(path: PurePath) -> tuple[str, str] | None:
    """Material and map that a file's name tells of, or None."""
    if path.suffix.lower() not in _ENDINGS:
        return None
    stem = _SIZE.sub("", path.stem)
    for kind, words in _MAPS.items():
        for word in words:
            if stem.lower().endswith(f"_{word}"):
                return stem[: -len(word) - 1], kind
    return None


def group_of(file: str) -> str:
    """The group (see :attr:`Scan.group`) of the scan that a texture's file belongs to."""
    named = map_of(PurePosixPath(file))
    return _group(named[0] if named else file)


def _group(name: str) -> str:
    return _VARIANT.sub("", PurePosixPath(name).name).lower()


def fingerprint(folder: Path, scans: Scans) -> str:
    """A hash of all files' names and contents: other files are another dataset."""
    named = {f"{scan.name} {kind} {file}": file for scan in scans.materials for kind, file in sorted(scan.maps.items())}
    return _fingerprint(folder, named)
