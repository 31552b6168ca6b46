# SPDX-License-Identifier: GPL-3.0-or-later
"""What layers were filled with is at hand, until something else needs the room."""

from collections.abc import Iterator

import numpy as np
import pytest

from join_blender.engine import filled
from join_blender.engine.exr import alpha_in, encode_exr, size_in


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    filled.forget_all()
    yield
    filled.forget_all()


def test_it_is_the_same_bytes_and_no_copy() -> None:
    data = bytes(1000)
    filled.keep("a", data)
    assert filled.recall("a", 1000) is data


def test_what_blender_has_packed_itself_since_is_not_it() -> None:
    filled.keep("a", bytes(1000))
    assert filled.recall("a", 999) is None and filled.recall("b", 1000) is None


def test_what_was_used_the_longest_ago_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filled, "MOST", 250)
    filled.keep("a", bytes(100))
    filled.keep("b", bytes(100))
    filled.recall("a", 100)
    filled.keep("c", bytes(100))
    assert [filled.recall(mark, 100) is not None for mark in "abc"] == [True, False, True]
    filled.keep("too large", bytes(300))
    assert filled.recall("too large", 300) is None


def test_it_gives_way_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    filled.keep("a", bytes(100))
    monkeypatch.setattr(filled, "available", lambda: 600)
    filled.keep("b", bytes(100))
    assert filled.recall("a", 100) is None and filled.recall("b", 100) is not None


def test_an_exr_tells_its_size_and_its_alpha() -> None:
    rgb, alpha = np.zeros((3, 5, 3), np.float32), np.linspace(0.0, 1.0, 15, dtype=np.float32).reshape(3, 5)
    assert size_in(encode_exr(rgb)) == (5, 3) and alpha_in(encode_exr(rgb)) is None
    assert np.array_equal(alpha_in(encode_exr(rgb, alpha)), alpha)
    with pytest.raises(ValueError):
        size_in(encode_exr(rgb)[:40])
