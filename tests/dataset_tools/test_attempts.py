# SPDX-License-Identifier: GPL-3.0-or-later
"""The quality gate: what it refuses and why, and how a refused sample is drawn anew."""

from __future__ import annotations

import numpy as np
import pytest

from dataset_tools.description.scene import Scene
from dataset_tools.errors import UserError
from dataset_tools.rendering import attempts
from dataset_tools.rendering.attempts import Rendered, Take, take
from dataset_tools.specs import describe
from tests.dataset_tools.invented import invented_passes

Passes = dict[str, np.ndarray]


def test_a_good_render_passes() -> None:
    assert attempts.reasons(invented_passes(1)) == ()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 7e4])
@pytest.mark.parametrize("name", ["combined", "glossy_indirect"])
def test_what_half_floats_cannot_hold(name: str, value: float) -> None:
    made = invented_passes(2)
    made[name][3, 3, 1] = value
    assert attempts.reasons(made) == ("not finite",)


def _black(made: Passes) -> None:
    made["combined"] *= 0.001


def _blown_out(made: Passes) -> None:
    made["combined"] *= 20.0


def _flat(made: Passes) -> None:
    made["combined"][:] = 0.4


def _no_surface(made: Passes) -> None:
    made["diffuse_color"][:, :6] = made["glossy_color"][:, :6] = 0.0


@pytest.mark.parametrize(
    ("spoil", "reason"), [(_black, "black"), (_blown_out, "blown out"), (_flat, "empty"), (_no_surface, "empty")]
)
def test_reasons(spoil: object, reason: str) -> None:
    made = invented_passes(3)
    spoil(made)  # type: ignore[operator]
    assert attempts.reasons(made) == (reason,)


def test_bright_spots_metal_and_a_dark_corner_are_welcome() -> None:
    made = invented_passes(4)
    made["combined"][:4] = 50.0
    made["combined"][4:8] = 0.0
    made["diffuse_color"][:] = 0.0
    assert attempts.reasons(made) == ()


def _take(refused: int) -> Take:
    """Sample 7 of a renderer whose first ``refused`` renders are spoilt."""

    def render(scene: Scene) -> Rendered:
        made = invented_passes(scene.attempt)
        if scene.attempt < refused:
            (_black if scene.attempt % 2 else _blown_out)(made)
        return Rendered(made, 0.25)

    return take(lambda attempt: describe("primeshapes", 3, 7, attempt), render, "Sample 7")


def test_a_refused_sample_is_drawn_anew_and_it_is_recorded() -> None:
    taken = _take(2)
    assert taken.scene == describe("primeshapes", 3, 7, 2) != describe("primeshapes", 3, 7)
    assert taken.scene.attempt == 2 and taken.rejected == ("blown out", "black")
    np.testing.assert_array_equal(taken.passes["combined"], invented_passes(2)["combined"])
    assert taken.sampling_seconds == pytest.approx(0.75)


def test_a_good_sample_is_drawn_once() -> None:
    taken = _take(0)
    assert taken.scene == describe("primeshapes", 3, 7) and taken.rejected == ()


def test_redrawing_ends_in_a_sentence() -> None:
    with pytest.raises(UserError, match="Sample 7 came out black in 8 attempts"):
        _take(attempts.ATTEMPTS)
