# SPDX-License-Identifier: GPL-3.0-or-later
"""Every family as Blender renders it: albedo that light does not touch, in range, and metal where it says metal."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset_tools.materials.library import FAMILIES

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not importlib.util.find_spec("bpy"), reason="needs the bpy package"),
]

DRAWN = sorted(name for name, family in FAMILIES.items() if family.weight > 0.0)
METALS = {name for name in DRAWN if FAMILIES[name].metal}


@pytest.fixture(scope="module")
def measured() -> dict[str, Any]:
    """What library_check.py prints, from a process of its own, since bpy does not like company."""
    script = Path(__file__).with_name("library_check.py")
    result = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-2000:]
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("name", DRAWN)
def test_light_moves_shading_and_leaves_albedo(measured: dict[str, Any], name: str) -> None:
    found = measured["families"][name]
    assert found["finite"]
    assert found["albedo_moves"] == 0.0
    assert found["shading_moves"] > 0.02 or found["no_albedo"] == 1.0


@pytest.mark.parametrize("name", DRAWN)
def test_albedo_is_a_real_surfaces(measured: dict[str, Any], name: str) -> None:
    found = measured["families"][name]
    low, high = found["albedo_range"]
    assert high < 0.9
    if name in METALS:
        assert found["no_albedo"] > 0.0
    else:
        assert low > 0.003 and found["no_albedo"] == 0.0
    # Graphs are evaluated at every hit of every ray.
    assert found["nodes"] < 200


def test_most_families_have_a_pattern(measured: dict[str, Any]) -> None:
    plain = {name for name, found in measured["families"].items() if found["albedo_spread"] < 0.002}
    assert plain <= METALS | {"paint", "plastic", "car_paint", "plaster", "rubber"}


def test_a_mask_lays_one_material_over_another(measured: dict[str, Any]) -> None:
    red, both, little = (np.array(measured["mixed"][name]) for name in ("red", "both", "little"))
    assert red[0] > 0.4 and red[2] < 0.1
    covered = (red[0] - both[0]) / (red[0] - 0.05)
    covered_little = (red[0] - little[0]) / (red[0] - 0.05)
    assert 0.2 < covered < 0.8
    assert 0.0 < covered_little < covered


def test_trees_that_are_looked_over_once_are_the_same() -> None:
    script = Path(__file__).with_name("trees_check.py")
    result = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr[-2000:]
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["compared"] > 50 and found["different"] == []
    assert found["left"] == []
    once, always = found["seconds"]
    assert once < 0.5 * always
