# SPDX-License-Identifier: GPL-3.0-or-later
"""The map of confidence: out of a stored decomposition, and as a picture."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from join_blender.engine.confidence import RAMP, SCALES, coloured, component_of, read_confidence, show
from join_engine.color import srgb_encode
from join_engine.errors import JoinError
from join_engine.layers.decomposition import Decomposition, load_decomposition, save_decomposition


def stored(path: Path, confidence: np.ndarray | None) -> bytes:
    layers = {name: np.full((4, 6, 3), 0.5, np.float32) for name in ("albedo", "shading", "specular")}
    codes = {name: np.zeros((1, 8), np.float32) for name in layers}
    save_decomposition(
        path, Decomposition(layers, codes, "lambertian_specular", "bank", "0" * 64, confidence=confidence)
    )
    return path.read_bytes()


def test_the_add_on_reads_what_the_engine_stores(tmp_path: Path) -> None:
    confidence = np.random.default_rng(0).random((5, 7, 3), dtype=np.float32)
    data = stored(tmp_path / "it.join", confidence)
    found = read_confidence(data)
    assert found is not None and np.array_equal(found, confidence)
    again = load_decomposition(tmp_path / "it.join").confidence
    assert again is not None and np.array_equal(again, confidence)


def test_what_holds_no_map_is_none(tmp_path: Path) -> None:
    assert read_confidence(stored(tmp_path / "without.join", None)) is None
    assert load_decomposition(tmp_path / "without.join").confidence is None
    data = stored(tmp_path / "it.join", np.full((5, 7, 3), 0.5, np.float32))
    for spoiled in (b"", b"\xff" * 9, data[:40], data[:-200] if len(data) < 200 else data[:300], b"\0" * 64):
        assert read_confidence(spoiled) is None
    assert read_confidence(data.replace(b'"shape": [5, 7, 3]', b'"shape": [9, 7, 3]')) is None


@pytest.mark.parametrize("wrong", [np.full((5, 7), 0.5), np.full((5, 7, 2), 0.5), np.full((5, 7, 3), 1.5)])
def test_the_engine_refuses_a_map_that_is_none(tmp_path: Path, wrong: np.ndarray) -> None:
    stored(tmp_path / "it.join", wrong.astype(np.float32))
    with pytest.raises(JoinError, match="confidence"):
        load_decomposition(tmp_path / "it.join")


def test_colours_go_from_certain_to_a_guess() -> None:
    assert np.allclose(coloured(np.array([0.0, 1.0])), [RAMP[0], RAMP[-1]])
    ramp = coloured(np.linspace(0.0, 1.0, 4))
    assert np.allclose(ramp, RAMP, atol=1e-6)


def test_the_picture_shows_where_the_split_is_a_guess() -> None:
    """Its left half is certain and its right half off by a factor of two, of the albedo alone."""
    confidence = np.ones((8, 8, 3), np.float32)
    confidence[:, 4:, 0] = 0.5
    picture = np.full((32, 48, 3), 0.2, np.float32)
    shown, mean, share = show(confidence, "albedo", picture)
    assert shown.shape == picture.shape and shown.dtype == np.float32
    encoded = srgb_encode(shown)
    assert encoded[16, 4, 2] > encoded[16, 4, 0] and encoded[16, 44, 0] > encoded[16, 44, 2]
    assert mean == pytest.approx(math.log(2.0) / 2.0, rel=1e-3) and share == 0.5
    other, mean, share = show(confidence, "shading", picture)
    assert mean == share == 0.0 and np.ptp(other, axis=(0, 1)).max() < 1e-6
    brighter, _, _ = show(confidence, "albedo", picture * 2.0)
    assert (brighter > shown).all(), "the picture itself must be seen"


def test_it_says_so_in_a_sentence() -> None:
    assert (
        SCALES["albedo"].sentence("albedo", math.log(1.25), 0.0)
        == "But for its brightness, the albedo is expected to be off by 25% on average"
    )
    words = SCALES["specular"].sentence("specular", 0.05, 0.12)
    assert words == "The specular is expected to be off by 5% of white on average; 12% of it is a guess"
    assert component_of("confidence shading") == "shading"
    assert component_of("error") == component_of("confidence hats") == ""
