# SPDX-License-Identifier: GPL-3.0-or-later
"""How layers make the image, as messages and files tell it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from join_blender.engine.vocabulary import components_in, compose, in_order, read_formula

USUAL = (("albedo", "shading"), ("specular",))


def test_a_formula_is_read_and_computed() -> None:
    formula = read_formula([["albedo", "shading"], [0.5, "emission"]], ("albedo", "shading", "emission"))
    assert formula == (("albedo", "shading"), (0.5, "emission"))
    assert components_in(formula) == ("albedo", "shading", "emission")
    layers = {name: np.full((1, 2, 3), value, np.float32) for name, value in zip("abc", (2, 3, 8), strict=True)}
    image = compose((("a", "b"), (0.5, "c")), layers)
    assert image.dtype == np.float32 and (image == 10.0).all()


@pytest.mark.parametrize("told", [None, [], "x", 5, [[]], [[None]], [[True]], [[float("nan"), "albedo"]], [[2.0]], {}])
def test_what_is_no_formula_means_the_usual_one(told: Any) -> None:
    assert read_formula(told, ("specular", "shading", "albedo")) == USUAL


def test_what_is_gone_is_left_out() -> None:
    told = [["albedo", "shading"], ["specular"], ["emission"]]
    assert read_formula(told, ("albedo", "shading", "emission")) == (("albedo", "shading"), ("emission",))
    assert read_formula(told, ("image",)) == (("image",),)


def test_people_read_components_in_one_order() -> None:
    assert in_order(["veil", "specular", "emission", "albedo"]) == ["albedo", "specular", "emission", "veil"]
