# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders of one scene in several states, as float packs (as ``exports.py`` writes them) that share their indices.

FOLDER/original.tar      the scenes as the dataset describes them
FOLDER/NAME.tar          the same scenes changed in one way; a scene that cannot change so is left out
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from dataset_tools.description.scene import Scene
from dataset_tools.packs import exports
from dataset_tools.packs.writer import PackWriter
from dataset_tools.progress import steps
from dataset_tools.rendering import metering
from dataset_tools.rendering.attempts import Take, take
from dataset_tools.rendering.job import Job
from dataset_tools.specs import describe
from dataset_tools.storage import passes

ORIGINAL = "original"
# Linear; where no component of any pixel changes by more, there is nothing to measure.
_LEAST_CHANGE = 1e-3

Components = dict[str, np.ndarray]


@dataclass(frozen=True)
class Variant:
    """A pack's name, what its header tells as ``move``, and the changed scene; None where a scene cannot change so."""

    name: str
    move: Mapping[str, Any]
    change: Callable[[Scene], Scene | None]


@dataclass(frozen=True)
class Written:
    """The packs, and how many scenes each holds, by its name."""

    files: tuple[Path, ...]
    counts: Mapping[str, int]


class Studio:
    """Renders scenes of a job in this process; a context manager. Needs bpy. With ``maps`` the passes that it takes
    tell normals and :data:`passes.SOCKETS` too.

    Raises UserError at the start where the job's textures cannot be read.
    """

    def __init__(self, job: Job, maps: bool = False) -> None:
        from dataset_tools.rendering import textures
        from dataset_tools.rendering.denoise import Denoiser
        from dataset_tools.rendering.render import Quality, Renderer, library_folders

        self._job = job
        self._sources = job.sources()
        textures.check(job, self._sources)
        quality = Quality(job.resolution, job.samples)
        self._renderer = Renderer(quality, job.materials, job.environments, job.skins, maps)
        self._denoiser = Denoiser(library_folders(), job.resolution) if job.denoise else None

    def describe(self, index: int, attempt: int) -> Scene:
        """A scene of the job's dataset."""
        return describe(self._job.dataset, self._job.seed, index, attempt, self._sources)

    def take(self, index: int, scene: Callable[[int], Scene] | None = None) -> Take:
        """A scene of the dataset, or ``scene`` of each attempt, drawn anew until the quality gate lets it through."""
        return take(scene or partial(self.describe, index), self._renderer.render, f"Sample {index}")

    def shoot(self, scene: Scene, exposure: float | None) -> Components:
        """The components of a scene whatever the gate would say, under a fixed exposure."""
        rendered = self._renderer.render(scene).passes
        return self.components(scene, rendered if exposure is None else metering.exposed(rendered, exposure))

    def components(self, scene: Scene, rendered: Mapping[str, np.ndarray]) -> Components:
        """Checked, and denoised where the job says so; [R, R, 3] linear."""
        passes.check(rendered, f"Sample {scene.index}")
        found = {name: passes.raw_component(rendered, name) for name in passes.COMPONENTS}
        if self._denoiser:
            found.update({name: self._denoiser(found[name]) for name in passes.DENOISED})
        return found

    def __enter__(self) -> Studio:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._denoiser:
            self._denoiser.close()
        self._renderer.close()


def members(scene: Scene, found: Components, exposure: float | None) -> list[tuple[str, bytes]]:
    """The files of one sample."""
    return [
        *exports.members(scene.index, found, True),
        *exports.light_member(scene.index, scene, 1.0 if exposure is None else exposure),
    ]


def header(job: Job, **told: Any) -> dict[str, Any]:
    """The contents of a pack's ``pack.json`` but for its counts."""
    return {
        "resolution": job.resolution,
        "components": {name: {"transform": None} for name in passes.COMPONENTS},
        "split": exports.ALL_SPLITS,
        "dataset": job.dataset,
        "seed": job.seed,
        "samples": job.samples,
        **told,
    }


def render(
    job: Job, indices: Sequence[int], variants: Sequence[Variant], wanted: Callable[[Scene], bool] = lambda scene: True
) -> Written:
    """Write a pack per variant and one of the scenes as they are; equal settings give equal bytes. Needs bpy.

    A description is drawn anew until the quality gate lets it through, as for a dataset; the variants are that
    description's, under its exposure, whatever the gate would say of them. Scenes that are not ``wanted`` are left out
    everywhere.
    """
    names = [ORIGINAL, *(variant.name for variant in variants)]
    moves = [None, *(dict(variant.move) for variant in variants)]
    counts = dict.fromkeys(names, 0)
    with Studio(job) as studio, ExitStack() as stack, steps(len(indices) * len(names), "render") as advance:
        packs = {
            name: stack.enter_context(PackWriter(job.out / f"{name}.tar", header(job, move=move)))
            for name, move in zip(names, moves, strict=True)
        }
        for index in indices:
            for name, sample in _states(studio, index, variants, wanted):
                if sample:
                    packs[name].add(sample)
                    counts[name] += 1
                advance()
    return Written(tuple(path for pack in packs.values() for path in pack.written), counts)


def _states(
    studio: Studio, index: int, variants: Sequence[Variant], wanted: Callable[[Scene], bool]
) -> Iterator[tuple[str, list[tuple[str, bytes]]]]:
    """Pack and files of a scene's states; no files of those that are left out."""
    taken = studio.take(index)
    if not wanted(taken.scene):
        yield from ((name, []) for name in (ORIGINAL, *(variant.name for variant in variants)))
        return
    before = studio.components(taken.scene, taken.passes)
    yield ORIGINAL, members(taken.scene, before, taken.exposure)
    for variant in variants:
        sample: list[tuple[str, bytes]] = []
        scene = variant.change(taken.scene)
        if scene is not None:
            after = studio.shoot(scene, taken.exposure)
            if any(float(np.abs(after[name] - before[name]).max()) > _LEAST_CHANGE for name in before):
                sample = members(scene, after, taken.exposure)
        yield variant.name, sample
