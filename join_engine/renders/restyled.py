# SPDX-License-Identifier: GPL-3.0-or-later
"""True renders of the same scenes as they are and with one property of their materials moved: folders of
``dataset_tools/render.py restyle``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import JoinError
from ..names import is_file
from .samples import pack_header, read_samples

_HINT = "Make one with dataset_tools/render.py restyle."
_ALL = 10**9
Layers = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Pair:
    """A scene before and after: linear components [H, W, 3]. ``scene`` is the same in all moves of it."""

    scene: str
    before: Layers
    after: Layers


@dataclass(frozen=True)
class Restyled:
    """Scenes of which one property was moved by the same amount, in the renderer's own measure."""

    name: str
    amount: float
    pairs: Sequence[Pair]


def read_restyled(folders: Sequence[Path], components: Sequence[str]) -> list[Restyled]:
    """Every move in some folders; the same one of several folders is one.

    Raises:
        JoinError: ``data_missing``, ``data_broken``.
    """
    found: dict[tuple[str, float], list[Pair]] = {}
    for folder in folders:
        path = folder / "original.tar"
        if not is_file(path):
            raise JoinError("data_missing", f"'{folder}' holds no scenes with a material that was moved.", _HINT)
        originals = _scenes(path, components)
        for pack in sorted(folder.glob("*.tar")):
            header = pack_header(pack)
            if pack == path or not header.get("count"):
                continue
            try:
                move = str(header["move"]["property"]), float(header["move"]["amount"])
            except (KeyError, TypeError, ValueError) as error:
                message = f"The pack '{pack.name}' does not say how its materials were moved."
                raise JoinError("data_broken", message, _HINT) from error
            pairs = found.setdefault(move, [])
            for index, after in _scenes(pack, components).items():
                if index in originals:
                    pairs.append(Pair(f"{folder.name} {index}", originals[index], after))
    if not found:
        raise JoinError("data_missing", "There are no packs of moved materials.", _HINT)
    return [Restyled(name, amount, pairs) for (name, amount), pairs in found.items()]


def _scenes(pack: Path, components: Sequence[str]) -> dict[str, Layers]:
    samples = read_samples(pack, components, _ALL)
    return {sample.name.removeprefix(f"{pack.stem}-"): sample.components for sample in samples}
