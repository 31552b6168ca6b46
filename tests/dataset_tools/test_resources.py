# SPDX-License-Identifier: GPL-3.0-or-later
"""One processor is seen inside the block, and all of them again behind it."""

from __future__ import annotations

import os

import pytest

from dataset_tools.workers import resources


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system has no processor affinity")
def test_one_processor_inside_and_all_behind() -> None:
    before = os.sched_getaffinity(0)
    with pytest.raises(RuntimeError), resources.one_processor():
        assert len(os.sched_getaffinity(0)) == 1 and os.sched_getaffinity(0) <= before
        raise RuntimeError
    assert os.sched_getaffinity(0) == before


def test_without_affinity_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_setaffinity", raising=False)
    with resources.one_processor():
        pass
