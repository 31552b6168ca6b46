# SPDX-License-Identifier: GPL-3.0-or-later
"""One render command as data: which samples of which dataset, at what quality, and where to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dataset_tools import passes
from dataset_tools.specs.scanned import SPLIT_RULE, Scans, find_scans, fingerprint

# What Cycles renders on, the best first after the one that finds it out.
DEVICES = ("auto", "optix", "cuda", "hip", "metal", "oneapi", "cpu")


@dataclass(frozen=True)
class Job:
    """What decides a dataset's bytes (all but ``start``, ``count`` and ``out``) and which part of it is wanted.

    ``resolution`` is width and height in pixels, ``samples`` the light paths per pixel; ``denoise`` adds denoised
    components beside the raw passes; ``device`` is one of DEVICES, and ``auto`` until a worker has looked;
    ``materials`` is a folder of scanned materials, drawn with the chance ``scanned_share`` instead of procedural ones.
    """

    dataset: str
    seed: int
    start: int
    count: int
    resolution: int
    samples: int
    out: Path
    denoise: bool = False
    device: str = "cpu"
    materials: Path | None = None
    scanned_share: float = 0.5

    @property
    def wanted(self) -> range:
        """The indices asked for."""
        return range(self.start, self.start + self.count)

    def scans(self) -> Scans | None:
        """The scanned materials, if any. Raises UserError when their folder does not hold enough."""
        return find_scans(self.materials, self.scanned_share) if self.materials else None

    def header(self, blender: str) -> dict[str, Any]:
        """The contents of ``dataset.json``: a folder with another header is another dataset."""
        return {
            "dataset": self.dataset,
            "seed": self.seed,
            "resolution": self.resolution,
            "samples": self.samples,
            "blender": blender,
            "device": self.device,
            "denoise": self.denoise,
            "passes": [*passes.stored(denoised=self.denoise), passes.MASK],
            "splits": "by scene: sha256 of seed and index; 90% train, 5% val, 5% test",
            **self._scanned(),
        }

    def _scanned(self) -> dict[str, Any]:
        """What the header says of scanned materials: their contents count, wherever they lie."""
        scans = self.scans()
        if scans is None or self.materials is None:
            return {}
        return {
            "materials": self.materials.resolve().name,
            "materials_sha256": fingerprint(self.materials, scans),
            "scanned_share": self.scanned_share,
            "scan_splits": SPLIT_RULE,
        }

    def on(self, device: str) -> Job:
        """The same on a device."""
        return replace(self, device=device)

    def to_json(self) -> dict[str, Any]:
        """As plain data, for another process."""
        return {**asdict(self), "out": str(self.out), "materials": str(self.materials) if self.materials else None}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Job:
        """The job that :meth:`to_json` was called on."""
        materials = data["materials"] and Path(data["materials"])
        return cls(**{**data, "out": Path(data["out"]), "materials": materials})
