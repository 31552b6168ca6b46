# SPDX-License-Identifier: GPL-3.0-or-later
"""What packs tell about their samples' light (``dataset_tools/specs/relighting.py`` says what the numbers mean)."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Callable, Mapping, Sequence
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
        attributes: by name, what can be edited, [N] each.
        held: by name, what else the shading depends on, [N] each.
    """

    names: tuple[str, ...]
    attributes: Mapping[str, Tensor]
    held: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(self.names)

    def take(self, indices: Tensor) -> Lights:
        """Those of some samples, [B] indices."""
        names = tuple(self.names[index] for index in indices.tolist())
        return Lights(names, _each(self.attributes, lambda _, x: x[indices]), _each(self.held, lambda _, x: x[indices]))

    def and_mirrored(self) -> Lights:
        """Those of the samples and, behind them, of the mirrored samples."""

        def doubled(name: str, values: Tensor) -> Tensor:
            return torch.cat([values, -values if name.endswith(_TURNED) else values])

        return Lights(self.names * 2, _each(self.attributes, doubled), _each(self.held, doubled))

    def tables(self) -> tuple[Tensor, Tensor]:
        """Attributes [N, K] and held values [N, H], a column each."""
        return torch.stack([*self.attributes.values()], dim=1), torch.stack([*self.held.values()], dim=1)


def _each(values: Mapping[str, Tensor], function: Callable[[str, Tensor], Tensor]) -> dict[str, Tensor]:
    return {name: function(name, value) for name, value in values.items()}


def read_lights(paths: Sequence[str | os.PathLike[str]]) -> Lights:
    """The lights of all samples of the packs, in the order of :func:`join_engine.renders.packs.read_packs`.

    Raises:
        JoinError: ``pack_missing``, ``pack_broken``; ``light_missing`` for samples that do not tell.
    """
    names: list[str] = []
    found: list[Mapping[str, Mapping[str, float]]] = []
    for path in (part for named in paths for part in pack_parts(Path(named))):
        samples = _read(path)
        names += samples
        found += samples.values()
    if not found:
        raise JoinError("light_missing", "The packs hold no samples.", "Name at least one pack of renders.")
    columns = [
        {name: torch.tensor([sample[kind][name] for sample in found]) for name in found[0][kind]}
        for kind in ("light", "held")
    ]
    return Lights(tuple(names), *columns)


def _read(path: Path) -> dict[str, Mapping[str, Mapping[str, float]]]:
    """Name → light and held values, of a pack's samples by their names."""
    told: dict[str, Mapping[str, Mapping[str, float]]] = {}
    seen = set()
    with open_pack(path) as tar:
        try:
            for member in tar:
                name, _, ending = member.name.partition(".")
                if member.name == "pack.json":
                    continue
                seen.add(name)
                if ending == "json":
                    values = read_json(tar_content(tar, member))
                    told[name] = {kind: {k: float(v) for k, v in values[kind].items()} for kind in ("light", "held")}
        except (tarfile.TarError, OSError, EOFError, ValueError, KeyError, TypeError, AttributeError) as error:
            message = f"What the pack '{path.name}' tells of its lights cannot be read: {error}."
            raise JoinError("pack_broken", message, "Export the pack again.") from error
    if seen - set(told):
        message = f"The pack '{path.name}' does not tell the light of its sample {min(seen - set(told))}."
        raise JoinError("light_missing", message, "Export renders of dataset_tools again with this version of it.")
    return {name: told[name] for name in sorted(told)}
