# SPDX-License-Identifier: GPL-3.0-or-later
"""One render command as data: which samples of which dataset, at what quality, and where to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dataset_tools import passes

# What Cycles renders on, the best first after the one that finds it out.
DEVICES = ("auto", "optix", "cuda", "hip", "metal", "oneapi", "cpu")


@dataclass(frozen=True)
class Job:
    """What decides a dataset's bytes (all but ``start``, ``count`` and ``out``) and which part of it is wanted.

    ``resolution`` is width and height in pixels, ``samples`` the light paths per pixel; ``denoise`` adds denoised
    components beside the raw passes; ``device`` is one of DEVICES, and ``auto`` until a worker has looked.
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

    @property
    def wanted(self) -> range:
        """The indices asked for."""
        return range(self.start, self.start + self.count)

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
        }

    def on(self, device: str) -> Job:
        """The same on a device."""
        return replace(self, device=device)

    def to_json(self) -> dict[str, Any]:
        """As plain data, for another process."""
        return {**asdict(self), "out": str(self.out)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Job:
        """The job that :meth:`to_json` was called on."""
        return cls(**{**data, "out": Path(data["out"])})
