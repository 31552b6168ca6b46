# SPDX-License-Identifier: GPL-3.0-or-later
"""One render command as data: which samples of which dataset, at what quality, and where to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from dataset_tools import specs
from dataset_tools.heads import base
from dataset_tools.sources import Sources, environments, scanned, skins
from dataset_tools.storage import passes

# What Cycles renders on, the best first after the one that finds it out.
DEVICES = ("auto", "optix", "cuda", "hip", "metal", "oneapi", "cpu")

_FOLDERS = ("out", "materials", "environments", "skins")


@dataclass(frozen=True)
class Job:
    """What decides a dataset's bytes (all but ``start``, ``count`` and ``out``) and which part of it is wanted.

    ``resolution`` is width and height in pixels, ``samples`` the light paths per pixel; ``denoise`` adds denoised
    components beside the raw passes; ``device`` is one of DEVICES, and ``auto`` until a worker has looked;
    ``materials`` is a folder of scanned materials, drawn with the chance ``scanned_share`` instead of procedural ones.
    ``environments`` is a folder of environment pictures, None for Blender's own; ``lighting`` are the shares of the
    kinds of light, ``cutout_share`` is that of what is cut out, None for the dataset's own. ``skins`` is a folder of
    pictures of skins and eyes.
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
    environments: Path | None = None
    lighting: Mapping[str, float] | None = None
    skins: Path | None = None
    cutout_share: float | None = None

    @property
    def wanted(self) -> range:
        """The indices asked for."""
        return range(self.start, self.start + self.count)

    @property
    def folders(self) -> tuple[Path | None, Path | None, Path | None]:
        """Where scanned materials, environment pictures and skins lie."""
        return self.materials, self.environments, self.skins

    def sources(self) -> Sources:
        """What its samples draw from. Raises UserError when a folder does not hold enough, or something broken."""
        scans = scanned.find_scans(self.materials, self.scanned_share) if self.materials else None
        found = environments.find_environments(self.environments) if self.environments else environments.Environments()
        of_people = skins.find_skins(self.skins) if self.skins else None
        return Sources(scans, found, self.lighting, of_people, self.cutout_share)

    def header(self, blender: str) -> dict[str, Any]:
        """The contents of ``dataset.json``: a folder with another header is another dataset."""
        # The layer that only samples without a background have.
        alpha = [f"{passes.ALPHA} (of cut-outs)"] if self.dataset in specs.CUTOUTS else []
        return {
            "dataset": self.dataset,
            "seed": self.seed,
            "resolution": self.resolution,
            "samples": self.samples,
            "blender": blender,
            "device": self.device,
            "denoise": self.denoise,
            "passes": [*passes.stored(denoised=self.denoise), passes.MASK, *alpha],
            "splits": "by scene: sha256 of seed and index; 90% train, 5% val, 5% test",
            **self._drawn_from(),
        }

    def _drawn_from(self) -> dict[str, Any]:
        """What the header says of scans, pictures and shares: the files' contents count, wherever they lie."""
        found = self.sources()
        said: dict[str, Any] = {}
        if found.scans is not None and self.materials is not None:
            said["materials"] = self.materials.resolve().name
            said["materials_sha256"] = scanned.fingerprint(self.materials, found.scans)
            said["scanned_share"] = self.scanned_share
            said["scan_splits"] = scanned.SPLIT_RULE
        if self.environments is not None:
            said["environments"] = self.environments.resolve().name
            said["environments_sha256"] = environments.fingerprint(self.environments, found.environments)
        if self.lighting is not None:
            said["lighting"] = dict(self.lighting)
        if self.cutout_share is not None:
            said["cutout_share"] = self.cutout_share
        if found.skins is not None and self.skins is not None:
            said["skins"] = self.skins.resolve().name
            said["skins_sha256"] = skins.fingerprint(self.skins, found.skins)
        if self.dataset in specs.OF_SHAPES:
            said["shapes_sha256"] = base.fingerprint(base.find())
        return said

    def on(self, device: str) -> Job:
        """The same on a device."""
        return replace(self, device=device)

    def to_json(self) -> dict[str, Any]:
        """As plain data, for another process."""
        folders = {name: str(value) for name in _FOLDERS if (value := getattr(self, name)) is not None}
        return {**asdict(self), **folders}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Job:
        """The job that :meth:`to_json` was called on."""
        return cls(**{**data, **{name: Path(data[name]) for name in _FOLDERS if data[name] is not None}})
