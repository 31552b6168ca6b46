# SPDX-License-Identifier: GPL-3.0-or-later
"""A short run of what ``make fuzz`` does for longer."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from dataset_tools.errors import UserError
from join_engine.bank import file as bank_file
from join_engine.errors import JoinError
from tests.fuzz import mutate
from tests.fuzz.__main__ import _outcome
from tests.fuzz.targets import TARGETS, Target, cases

COUNT = 30
KINDS = [pytest.param(kind, marks=[pytest.mark.slow] if kind == "messages" else []) for kind in TARGETS]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_spoiled_things_are_read_or_refused_in_a_sentence(
    tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("BANKS_FOLDER", "DEFAULT_BANK"):  # messages have banks of their own; put back afterwards
        monkeypatch.setattr(bank_file, name, getattr(bank_file, name))
    monkeypatch.chdir(tmp_path)  # a spoiled request may name any file
    target = TARGETS[kind](tmp_path)
    problems, refused = [], 0
    for (number, data), _ in zip(cases(target, 0, 0), range(COUNT), strict=False):
        problem, code = _outcome(target, data, (JoinError, UserError))
        refused += bool(code)
        if problem is not None:
            problems.append(f"{number}: {problem}")
    assert problems == []
    assert refused > COUNT / 4


def test_the_cases_follow_from_the_seed(tmp_path: Path) -> None:
    target = TARGETS["pictures"](tmp_path)
    first, again, other = (
        [data for (_, data), _ in zip(cases(target, seed, 0), range(20), strict=False)] for seed in (3, 3, 4)
    )
    assert first == again != other and len(set(first)) == 20


def test_a_case_follows_from_its_number_alone(tmp_path: Path) -> None:
    """Changes within what an earlier change put there once stayed for all later cases, until one contained itself."""
    values = {"a": {"b": [1, {"c": 2}]}, "d": [3, 4]}
    ordered = [mutate.spoiled_json(random.Random(number), values) for number in range(3000)]
    backwards = [mutate.spoiled_json(random.Random(number), values) for number in reversed(range(3000))]
    assert json.dumps(ordered) == json.dumps(backwards[::-1])  # and none contains itself, which json would refuse


def test_what_goes_wrong_is_told(tmp_path: Path) -> None:
    """A finding is anything but a known error: tracebacks, ``internal``, no memory, sentences of several lines."""

    class Reader(Target):
        def read(self, data: bytes) -> None:
            raise self.problem

        problem: BaseException

    target, known = Reader(tmp_path), (JoinError, UserError)
    for wrong in (ValueError("x"), MemoryError(), SystemExit(1), JoinError("internal", "x"), UserError("x\ny")):
        target.problem = wrong
        assert _outcome(target, b"", known)[0] is not None
    for right in (JoinError("image_broken", "It is broken."), UserError("It is broken.")):
        target.problem = right
        assert _outcome(target, b"", known)[0] is None
