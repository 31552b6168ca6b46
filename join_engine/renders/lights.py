# SPDX-License-Identifier: GPL-3.0-or-later
"""What packs tell about their samples' light (``dataset_tools/specs/relighting.py`` says what the numbers mean)."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..errors import JoinError
from ..untrusted import read_json, tar_content
from .packs import open_pack, pack_parts

# What a mirrored picture turns round: sines of angles to the right.
_TURNED = "left_right"


@dataclass(frozen=True)
class Lights:
    """The light of N samples.

    Attributes:
        names: of the samples, such as "00000012".
        places: of the samples among all of the packs, [N]: those under a sun or a sky do not tell their light.
        attributes: by name, what can be edited, [N] each.
        held: by name, what else the shading depends on, [N] each.
    """

    names: tuple[str, ...]
    places: Tensor
    attributes: Mapping[str, Tensor]
    held: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(self.names)

    def take(self, indices: Tensor) -> Lights:
        """Those of some samples, [B] indices."""
        names = tuple(self.names[index] for index in indices.tolist())
        tables = ({name: x[indices] for name, x in values.items()} for values in (self.attributes, self.held))
        return Lights(names, self.places[indices], *tables)

    def and_mirrored(self) -> Lights:
        """Those of the samples and, behind them, of the mirrored samples."""
        tables = (
            {name: torch.cat([x, -x if name.endswith(_TURNED) else x]) for name, x in values.items()}
            for values in (self.attributes, self.held)
        )
        return Lights(self.names * 2, self.places.repeat(2), *tables)

    def tables(self) -> tuple[Tensor, Tensor]:
        """Attributes [N, K] and held values [N, H], a column each."""
        return torch.stack([*self.attributes.values()], dim=1), torch.stack([*self.held.values()], dim=1)


def read_lights(paths: Sequence[str | os.PathLike[str]]) -> Lights:
    """The lights of all samples of the packs that tell them, in the order of
    :func:`join_engine.renders.packs.read_packs`.

    Raises:
        JoinError: ``pack_missing``, ``pack_broken``; ``light_missing`` where none tells its light.
    """
    names: list[str] = []
    places: list[int] = []
    found: list[Mapping[str, Mapping[str, float]]] = []
    before = 0
    for path in (part for named in paths for part in pack_parts(Path(named))):
        samples = _read(path)
        for place, (name, told) in enumerate(samples.items(), start=before):
            if told is not None:
                names.append(name)
                places.append(place)
                found.append(told)
        before += len(samples)
    if not found:
        message = "The packs tell no sample's light."
        raise JoinError("light_missing", message, "Export renders under lamps with this version of dataset_tools.")
    try:
        columns = [
            {name: torch.tensor([sample[kind][name] for sample in found]) for name in found[0][kind]}
            for kind in ("light", "held")
        ]
    except KeyError as error:
        message = f"The packs do not all tell {error} of their lights."
        raise JoinError("light_missing", message, "Name packs of one dataset.") from error
    return Lights(tuple(names), torch.tensor(places), *columns)


def _read(path: Path) -> dict[str, Mapping[str, Mapping[str, float]] | None]:
    """Name → light and held values, of a pack's samples by their names; None of those that do not tell."""
    told: dict[str, Mapping[str, Mapping[str, float]] | None] = {}
    with open_pack(path) as tar:
        try:
            for member in tar:
                name, _, ending = member.name.partition(".")
                if member.name == "pack.json":
                    continue
                told.setdefault(name, None)
                if ending == "json":
                    values = read_json(tar_content(tar, member))
                    told[name] = {kind: {k: float(v) for k, v in values[kind].items()} for kind in ("light", "held")}
        except (tarfile.TarError, OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"What the pack '{path.name}' tells of its lights cannot be read: {error}."
            raise JoinError("pack_broken", message, "Export the pack again.") from error
    return dict(sorted(told.items()))
