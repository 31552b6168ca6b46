# SPDX-License-Identifier: GPL-3.0-or-later
"""A folder of pictures of skins and of eyes (MakeHuman's layout), drawn from beside the painted ones.

    FOLDER/skins/*.png   laid out as the base mesh's UVs
    FOLDER/eyes/*.png    as MakeHuman's eyes

A picture belongs to one split.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dataset_tools.description.person import Build
from dataset_tools.description.sampling import choose
from dataset_tools.description.seeds import SPLITS, parts
from dataset_tools.errors import UserError
from dataset_tools.sources.textures import fingerprint as _fingerprint
from dataset_tools.sources.textures import picture_files

_ENDINGS = (".png", ".jpg", ".jpeg")


@dataclass(frozen=True)
class Skins:
    """Pictures to draw from, by name relative to their folder, and how often one is drawn instead of painted skin."""

    skins: tuple[str, ...]
    eyes: tuple[str, ...]
    share: float = 0.6

    def of_split(self, split: str) -> Skins:
        """The pictures of one split."""
        skins, eyes = (tuple(parts(names, 0.05)[split]) for names in (self.skins, self.eyes))
        return Skins(skins, eyes, self.share)

    def skin(self, rng: np.random.Generator, build: Build) -> str:
        """A random skin, of the person's gender and age where the names tell of them (young_…_female_…)."""
        gender = "female" if build.gender < 0.5 else "male"
        age = "young" if build.age < 35.0 else "middleage" if build.age < 58.0 else "old"
        chance = [
            8.0 ** (_says(name, gender, ("female", "male")) + _says(name, age, ("young", "middleage", "old")))
            for name in self.skins
        ]
        return choose(rng, self.skins, chance)

    def eye(self, rng: np.random.Generator) -> str:
        """A random pair of eyes."""
        return choose(rng, self.eyes)


def _says(name: str, wanted: str, words: tuple[str, ...]) -> float:
    """1 where a file's name has the wanted word, 0 where it has another one of its kind, ½ where it has none."""
    found = [word for word in Path(name).stem.lower().split("_") if word in words]
    return 0.5 if not found else float(wanted in found)


def find_skins(folder: Path) -> Skins:
    """All pictures under ``folder``. Raises UserError when there are too few."""
    if not folder.is_dir():
        raise UserError(f"There is no folder {folder}: name the one that holds the skins' and eyes' pictures.")
    found = {}
    for kind in ("skins", "eyes"):
        names = picture_files((folder / kind).glob("*"), folder, _ENDINGS)
        if len(names) < len(SPLITS):
            raise UserError(
                f"{folder / kind} holds {len(names)} pictures, and at least {len(SPLITS)} are needed, one for each "
                "split: add PNG or JPEG files in MakeHuman's layout."
            )
        found[kind] = tuple(path.relative_to(folder).as_posix() for path in names)
    return Skins(found["skins"], found["eyes"])


def fingerprint(folder: Path, skins: Skins) -> str:
    """A hash of all pictures' names and contents: other files are another dataset."""
    return _fingerprint(folder, {file: file for file in (*skins.skins, *skins.eyes)})
