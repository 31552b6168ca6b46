# SPDX-License-Identifier: GPL-3.0-or-later
"""True renders of scenes whose light was moved, or that stand under several lights.

``render`` writes ``original.tar`` and ``left_right+1.tar, distance-1.tar …``: what relighting by name is measured
against. The header of each has ``move``: the attribute, and by how many standard deviations of the dataset it was to
be moved. How far a light really went, which the walls of a room may limit, is in the sample's JSON.

``render_lights`` writes ``light1.tar`` to ``lightN.tar``: N photographs of each scene from one camera, each under a
light of its own and exposed for itself, with noise of its own. All hold the same indices in the same order, and the
header has ``photo`` and ``photos``. Their albedos are equal but for noise.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial

from dataset_tools.description.scene import Scene
from dataset_tools.errors import UserError
from dataset_tools.packs import variants
from dataset_tools.packs.variants import Studio, Variant, Written
from dataset_tools.packs.writer import PackWriter
from dataset_tools.progress import steps
from dataset_tools.rendering.attempts import Take
from dataset_tools.rendering.job import Job
from dataset_tools.specs.relighting import ATTRIBUTES, is_told, light_attributes, moved, spread, under_light_of

# A light that cannot go even this share of the way is as good as where it was: there is nothing to measure.
_LEAST = 0.25
# Attempts of the gate's are fewer than this; those of each further light begin at a multiple of it.
_APART = 1000


@dataclass(frozen=True)
class Move:
    """An attribute of the light, and by how many standard deviations it is moved."""

    attribute: str
    deviations: float

    def variant(self) -> Variant:
        """Its pack."""
        told = {"attribute": self.attribute, "deviations": self.deviations}
        return Variant(f"{self.attribute}{self.deviations:+g}", told, partial(_moved, self))


MOVES = tuple(Move(attribute, sign) for attribute in ATTRIBUTES for sign in (-1.0, 1.0))


def render(job: Job, indices: Sequence[int], moves: Sequence[Move]) -> Written:
    """Write the packs of moved lights (see :func:`dataset_tools.packs.variants.render`).

    Scenes that are lit from all around too are left out, since the attributes tell only a part of such light. Raises
    UserError where no scene is left.
    """
    written = variants.render(job, indices, [move.variant() for move in moves], is_told)
    if not written.counts[variants.ORIGINAL]:
        message = "None of these scenes is lit by lamps alone, whose light can be moved: name more, or another dataset."
        raise UserError(message)
    return written


def _moved(move: Move, scene: Scene) -> Scene | None:
    """The scene under the moved light, None where that can hardly go that way."""
    change = move.deviations * spread(scene.dataset)[move.attribute]
    there = moved(scene, move.attribute, change)
    reached = light_attributes(there)[move.attribute] - light_attributes(scene)[move.attribute]
    return there if reached / change >= _LEAST else None


def render_lights(job: Job, indices: Sequence[int], count: int) -> Written:
    """Write ``count`` packs, each with every scene under another light; equal settings give equal bytes. Needs bpy.

    The first is the dataset's own; the others are those of further scenes of it, each drawn anew until the quality gate
    lets the photograph through.
    """
    names = [f"light{number}" for number in range(1, count + 1)]
    with Studio(job) as studio, ExitStack() as stack, steps(len(indices) * count, "render") as advance:
        packs = [
            stack.enter_context(PackWriter(job.out / f"{name}.tar", variants.header(job, photo=number, photos=count)))
            for number, name in enumerate(names, 1)
        ]
        for index in indices:
            first = studio.take(index)
            for number, pack in enumerate(packs):
                taken = _photograph(studio, first, number) if number else first
                found = studio.components(taken.scene, taken.passes)
                pack.add(variants.members(taken.scene, found, taken.exposure))
                advance()
    files = tuple(path for pack in packs for path in pack.written)
    return Written(files, dict.fromkeys(names, len(indices)))


def _photograph(studio: Studio, first: Take, number: int) -> Take:
    """The scene of ``first`` under its light of that number, from 1 on."""
    scene = first.scene

    def lit(attempt: int) -> Scene:
        other = studio.describe(scene.index, _APART * number + attempt)
        return replace(under_light_of(scene, other), noise_seed=(scene.noise_seed + number) & 0x7FFFFFFF)

    return studio.take(scene.index, lit)
