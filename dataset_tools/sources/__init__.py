# SPDX-License-Identifier: GPL-3.0-or-later
"""What a description may draw from beside its random numbers, and how often it takes what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from dataset_tools.sources.environments import Environments
from dataset_tools.sources.scanned import Scans
from dataset_tools.sources.skins import Skins


@dataclass(frozen=True)
class Sources:
    """Scanned materials, environment pictures, the shares of the kinds of light and that of what is cut out (None: the
    dataset's own), and pictures of skins and eyes."""

    scans: Scans | None = None
    environments: Environments = field(default_factory=Environments)
    lighting: Mapping[str, float] | None = None
    skins: Skins | None = None
    cutout_share: float | None = None

    def of_split(self, split: str) -> Sources:
        """The part that belongs to one split."""
        scans = self.scans and self.scans.of_split(split)
        skins = self.skins and self.skins.of_split(split)
        return replace(self, scans=scans, environments=self.environments.of_split(split), skins=skins)
