# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's two datasets keep their bytes, whatever is built beside them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import platform
from typing import Any

import pytest

from tests.dataset_tools import stored_bytes

_BLENDER = importlib.metadata.version("bpy") if importlib.util.find_spec("bpy") else "none"
_STORED: dict[str, Any] = json.loads(stored_bytes.STORED.read_text("utf-8"))
_REASON = (
    f"hashes are stored for Blender {', '.join(_STORED)} on x86-64; here is {_BLENDER} on {platform.machine()}: "
    "stored_bytes.py adds some"
)
_WHAT_TO_DO = (
    "The bytes of this dataset are the paper's: draw nothing new from its random stream, add no field to what it "
    "stores, and leave its materials and settings as they are."
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        _BLENDER not in _STORED or platform.machine().lower() not in ("x86_64", "amd64"), reason=_REASON
    ),
]


# Of a mean, when bytes differ: by up to 0.0002 of it the kernels for old processors (CYCLES_CPU_NO_AVX2=1) and new do.
_ROUNDING = 0.001


def _differ(found: dict[str, Any], stored: dict[str, Any]) -> bool:
    if found["description"] != stored["description"]:
        return True
    return found["pixels"] != stored["pixels"] and found["means"] != pytest.approx(stored["means"], rel=_ROUNDING)


@pytest.mark.parametrize("dataset", stored_bytes.COUNTS)
def test_the_first_samples_are_those_of_the_paper(dataset: str) -> None:
    pairs = zip(stored_bytes.facts(stored_bytes.rendered(dataset)), _STORED[_BLENDER][dataset], strict=True)
    assert [i for i, pair in enumerate(pairs) if _differ(*pair)] == [], _WHAT_TO_DO


def test_denoised_layers_are_the_same() -> None:
    found, stored = stored_bytes.facts([stored_bytes.denoised()]), _STORED[_BLENDER]["denoised"]
    assert not _differ(found[0], stored[0]), _WHAT_TO_DO


def test_a_changed_value_is_noticed() -> None:
    layers, stored = stored_bytes.rendered("materials", "--count", "1")[0]
    before = stored_bytes.facts([(layers, stored)])[0]
    layers["diffuse_color"][3, 4, 1] *= 1.001
    assert stored_bytes.pixel_hash(layers) != before["pixels"]
    layers["diffuse_color"] *= 1.002
    assert _differ(stored_bytes.facts([(layers, stored)])[0], before)
    stored["scene"]["fill"]["strength"] += 1e-7
    assert _differ({**before, "description": stored_bytes.description_hash(stored)}, before)
