# SPDX-License-Identifier: GPL-3.0-or-later
"""A stage is one class in one file: this one adds a stage, and everything else follows from it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from join_engine.bank import Bank
from join_engine.commands.main import main
from join_engine.evaluation.methods.by_name import preset_method
from join_engine.images.files import write_png
from join_engine.inversion.presets import PRESETS, Preset, get_preset
from join_engine.inversion.progress import Clock, Monitor, Progress
from join_engine.inversion.stage import STAGES, Stage, register
from join_engine.inversion.state import InversionState
from join_engine.layers.decomposition import load_decomposition
from join_engine.pipeline import decompose
from join_engine.server.course import Course


@dataclass(frozen=True)
class Calm(Stage):
    """Move every code towards the mean, in steps.

    Args:
        steps: how many.
        share: of the way that is left, at each step.
    """

    kind: ClassVar[str] = "calm"
    words: ClassVar[str] = "Calming down"
    steps: int = 4
    share: float = 0.5

    def lacks(self, bank: Bank) -> str:
        return "" if len(bank.components) > 1 else "the bank has one component only"

    def run(self, state: InversionState, monitor: Monitor) -> None:
        clock = Clock(self.steps)
        for step in range(self.steps):
            if monitor.cancelled():
                state.cancelled = True
                return
            for name, w in state.latents.items():
                state.latents[name] = w.lerp(state.bank.components[name].w_avg.expand_as(w), self.share)
            monitor.on_progress(Progress(self.kind, step + 1, self.steps, None, clock.left(step + 1)))


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    register(Calm)
    yield
    del STAGES[Calm.kind]


@pytest.mark.slow
def test_from_a_preset_to_a_file(
    tiny_bank: Bank, tmp_path: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = [{"kind": "mean_start"}, {"kind": "joint", "steps": 3}, {"kind": "calm", "steps": 2}]
    monkeypatch.setitem(PRESETS, "draft", {"stages": stages, "detail": {}})
    preset = get_preset("draft")
    assert preset.stages[2] == Calm(steps=2) and Preset.from_json(preset.to_json()) == preset
    write_png(tmp_path / "photo.png", picture)
    words = ["--bank", str(tiny_bank.path), "--preset", "draft", "--out", str(tmp_path)]
    assert main(["decompose", str(tmp_path / "photo.png"), *words]) == 0
    stored = load_decomposition(tmp_path / "photo" / "decomposition.join")
    assert stored.settings["stages"][2] == {"kind": "calm", "steps": 2, "share": 0.5}
    assert stored.seconds["calm"] > 0
    json.dumps(stored.summary())
    without = decompose(picture, tiny_bank, Preset("x", preset.stages[:2])).decomposition
    for name, component in tiny_bank.components.items():
        mean = component.w_avg.numpy()
        assert 0 < np.abs(stored.codes[name] - mean).max() < np.abs(without.codes[name] - mean).max()


def test_progress_cost_and_needs_follow(tiny_bank: Bank, picture: np.ndarray) -> None:
    preset = Preset("x", (get_preset("standard").stages[1], Calm(steps=4)))
    course, told = Course(preset), list[float]()
    decompose(picture, tiny_bank, preset, 0, Monitor(lambda progress: told.append(course.update(progress)[0])))
    assert told == [0.25, 0.5, 0.75, 1.0]
    assert preset_method(preset, tiny_bank).cost == 1 + 4 and preset_method(preset, tiny_bank).steps == "4"
    assert preset.with_steps(9).stages[1] == Calm(steps=9)


def test_a_cancelled_one_ends(tiny_bank: Bank, picture: np.ndarray) -> None:
    seen: list[Progress] = []
    outcome = decompose(
        picture, tiny_bank, Preset("x", (Calm(steps=9),)), 0, Monitor(seen.append, lambda: len(seen) == 2)
    )
    assert outcome.cancelled and len(seen) == 2


def test_two_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="registered already"):
        register(Calm)
