# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a whole decomposition is, told from stages that know only of themselves."""

from __future__ import annotations

import pytest

from join_engine.inversion.presets import Preset
from join_engine.inversion.progress import Progress
from join_engine.inversion.stages.joint import Joint
from join_engine.inversion.stages.mean_start import MeanStart
from join_engine.inversion.stages.tuning import Tuning
from join_engine.server import course as courses
from join_engine.server.course import Course, Paces, Tail


def test_each_stage_counts_by_its_cost() -> None:
    course = Course(Preset("x", (MeanStart(), Joint(steps=60), Tuning(steps=20))))  # 60 and twice 20
    assert course.update(Progress("joint", 30, 60, None, 15.0)) == (pytest.approx(0.3), pytest.approx(15.0 + 20.0))
    assert course.update(Progress("joint", 60, 60, None, 0.0)) == (pytest.approx(0.6), pytest.approx(20.0))
    assert course.update(Progress("tuning", 5, 20, None, 30.0)) == (pytest.approx(0.7), pytest.approx(30.0))
    assert course.update(Progress("tuning", 20, 20, None, 0.0)) == (pytest.approx(1.0), pytest.approx(0.0))


def test_the_last_bit_of_a_stage_tells_the_pace_of_the_next() -> None:
    course = Course(Preset("x", (Joint(steps=60), Tuning(steps=20))))
    assert course.update(Progress("joint", 119, 120, None, 0.25))[1] == pytest.approx(0.25 + 20.0)


def test_two_stages_of_one_kind_follow_each_other() -> None:
    course = Course(Preset("x", (Joint(steps=10, ensemble=True), Joint(steps=20))))  # each step twice, then once
    assert course.update(Progress("joint", 10, 10, None, 0.0))[0] == pytest.approx(0.5)
    assert course.update(Progress("joint", 5, 20, None, 9.0)) == (pytest.approx(0.625), pytest.approx(9.0))


def test_tuning_of_several_images_is_one_stage() -> None:
    course = Course(Preset("x", (Joint(steps=40), Tuning(steps=10))))
    course.update(Progress("joint", 40, 40, None, 0.0))
    assert course.update(Progress("tuning", 15, 30, None, 4.0)) == (pytest.approx(50 / 60), pytest.approx(4.0))


def test_what_follows_the_stages_counts() -> None:
    """At 12 megapixels it takes longer than all stages: their end is no time to say that nothing is left."""
    course = Course(Preset("x", (Joint(steps=60),)), after=30.0)
    assert course.update(Progress("joint", 30, 60, None, 15.0)) == (pytest.approx(30 / 120), pytest.approx(45.0))
    assert course.update(Progress("joint", 60, 60, None, 0.0)) == (pytest.approx(60 / 120), pytest.approx(30.0))


def test_paces_follow_what_was_done_and_grow_with_the_image() -> None:
    paces = Paces()
    assert paces.expected("write", 2_000_000) == 2.0 * courses.WRITE
    for what in ("finish", "write", "files"):
        assert paces.expected(what, 12_000_000) == pytest.approx(12 * paces.expected(what, 1_000_000)) and (
            paces.expected(what, 12_000_000) > 1.0
        )
    paces.learn("finish", 2_000_000, 10.0)
    assert paces.expected("finish", 4_000_000) == pytest.approx(20.0)
    paces.learn("finish", 256 * 256, 10.0)  # of a small one most of it is something else
    assert paces.expected("finish", 4_000_000) == pytest.approx(20.0)


def test_a_time_that_is_over_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(courses.time, "monotonic", lambda: now[0])
    tail = Tail("Writing", 10.0)
    for later, left in ((100.0, 10.0), (104.0, 6.0), (109.5, 0.5), (110.0, None), (200.0, None)):
        now[0] = later
        assert tail.left() == left
