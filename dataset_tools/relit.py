# SPDX-License-Identifier: GPL-3.0-or-later
"""True renders of scenes whose light was moved: what relighting by name is measured against.

    FOLDER/original.tar                          the scenes as the dataset describes them
    FOLDER/left_right+1.tar, distance-1.tar …    the same scenes, noise and all, with one attribute of the light moved

Each is a float pack (see :mod:`dataset_tools.exports`) whose header has ``move``: the attribute, and by how many
standard deviations of the dataset it was to be moved. How far a light really went, which the walls of a room may
limit, is in the sample's JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dataset_tools import exports, passes
from dataset_tools.packs import PackWriter
from dataset_tools.specs import describe
from dataset_tools.specs.description import Scene
from dataset_tools.specs.relighting import ATTRIBUTES, light_attributes, moved, spread
from dataset_tools.steps import steps
from dataset_tools.takes import take

# A light that cannot go even this share of the way is as good as where it was: there is nothing to measure.
_LEAST = 0.25


@dataclass(frozen=True)
class Move:
    """An attribute of the light, and by how many standard deviations it is moved; 0 leaves the scene as it is."""

    attribute: str
    deviations: float

    @property
    def name(self) -> str:
        """Of the pack's file."""
        return f"{self.attribute}{self.deviations:+g}" if self.deviations else "original"


MOVES = tuple(Move(attribute, sign) for attribute in ATTRIBUTES for sign in (-1.0, 1.0))


@dataclass(frozen=True)
class Relit:
    """Which samples of which dataset, how their light is moved, and the quality of the renders."""

    dataset: str
    seed: int
    indices: tuple[int, ...]
    moves: tuple[Move, ...]
    resolution: int
    samples: int
    denoise: bool = False


def render(wanted: Relit, out: Path) -> list[Path]:
    """Write a pack per move and one of the scenes as they are; equal settings give equal bytes. Needs bpy.

    A description is drawn anew until the quality gate lets it through, as for a dataset; the moved scenes are that
    description's, whatever the gate would say of them.
    """
    studio = _Studio(wanted)
    moves = (Move("", 0.0), *wanted.moves)
    try:
        with ExitStack() as stack, steps(len(wanted.indices) * len(moves), "render") as advance:
            packs = [stack.enter_context(PackWriter(out / f"{move.name}.tar", _header(wanted, move))) for move in moves]
            for index in wanted.indices:
                taken = take(partial(describe, wanted.dataset, wanted.seed, index), studio.render, f"Sample {index}")
                packs[0].add(studio.members(index, taken.scene, taken.passes))
                advance()
                for pack, move in zip(packs[1:], wanted.moves, strict=True):
                    scene = _moved(taken.scene, move)
                    if scene is not None:
                        pack.add(studio.members(index, scene, studio.render(scene).passes))
                    advance()
    finally:
        studio.close()
    return [path for pack in packs for path in pack.written]


def _moved(scene: Scene, move: Move) -> Scene | None:
    """The scene under the moved light, None where that can hardly go that way."""
    change = move.deviations * spread(scene.dataset)[move.attribute]
    there = moved(scene, move.attribute, change)
    reached = light_attributes(there)[move.attribute] - light_attributes(scene)[move.attribute]
    return there if reached / change >= _LEAST else None


def _header(wanted: Relit, move: Move) -> dict[str, Any]:
    return {
        "resolution": wanted.resolution,
        "components": {name: {"transform": None} for name in passes.COMPONENTS},
        "split": exports.ALL_SPLITS,
        "dataset": wanted.dataset,
        "seed": wanted.seed,
        "samples": wanted.samples,
        "move": {"attribute": move.attribute, "deviations": move.deviations} if move.deviations else None,
    }


class _Studio:
    """Renders scenes in this process."""

    def __init__(self, wanted: Relit) -> None:
        from dataset_tools.denoise import Denoiser
        from dataset_tools.scenes.render import Quality, Renderer, library_folders

        self._renderer = Renderer(Quality(wanted.resolution, wanted.samples))
        self._denoiser = Denoiser(library_folders(), wanted.resolution) if wanted.denoise else None
        self.render = self._renderer.render

    def members(self, index: int, scene: Scene, rendered: dict[str, np.ndarray]) -> Sequence[tuple[str, bytes]]:
        """The files of one sample."""
        passes.check(rendered, f"Sample {index}")
        return [*exports.members(index, dict(self._components(rendered)), True), *exports.light_member(index, scene)]

    def _components(self, rendered: dict[str, np.ndarray]) -> Iterator[tuple[str, np.ndarray]]:
        for name in passes.COMPONENTS:
            raw = passes.raw_component(rendered, name)
            yield name, self._denoiser(raw) if self._denoiser and name in passes.DENOISED else raw

    def close(self) -> None:
        if self._denoiser:
            self._denoiser.close()
        self._renderer.close()
