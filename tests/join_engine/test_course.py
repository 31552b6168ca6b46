# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a whole decomposition is, told from stages that know only of themselves."""

from __future__ import annotations

import pytest

from join_engine.inversion.presets import Preset
from join_engine.inversion.progress import Progress
from join_engine.inversion.stages.joint import Joint
from join_engine.inversion.stages.mean_start import MeanStart
from join_engine.inversion.stages.tuning import Tuning
from join_engine.server.course import Course


def test_each_stage_counts_by_its_cost() -> None:
    course = Course(Preset("x", (MeanStart(), Joint(steps=60), Tuning(steps=20))))  # 60 and twice 20
    assert course.update(Progress("joint", 30, 60, None, 15.0)) == (pytest.approx(0.3), pytest.approx(15.0 + 20.0))
    assert course.update(Progress("joint", 60, 60, None, 0.0)) == (pytest.approx(0.6), pytest.approx(20.0))
    assert course.update(Progress("tuning", 5, 20, None, 30.0)) == (pytest.approx(0.7), pytest.approx(30.0))
    assert course.update(Progress("tuning", 20, 20, None, 0.0)) == (pytest.approx(1.0), pytest.approx(0.0))


def test_two_stages_of_one_kind_follow_each_other() -> None:
    course = Course(Preset("x", (Joint(steps=10, ensemble=True), Joint(steps=20))))  # each step twice, then once
    assert course.update(Progress("joint", 10, 10, None, 0.0))[0] == pytest.approx(0.5)
    assert course.update(Progress("joint", 5, 20, None, 9.0)) == (pytest.approx(0.625), pytest.approx(9.0))


def test_tuning_of_several_images_is_one_stage() -> None:
    course = Course(Preset("x", (Joint(steps=40), Tuning(steps=10))))
    course.update(Progress("joint", 40, 40, None, 0.0))
    assert course.update(Progress("tuning", 15, 30, None, 4.0)) == (pytest.approx(50 / 60), pytest.approx(4.0))
