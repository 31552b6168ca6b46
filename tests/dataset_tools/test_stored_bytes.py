# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's two datasets keep their bytes, whatever is built beside them."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import platform
from pathlib import Path
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


@pytest.mark.parametrize("dataset", stored_bytes.COUNTS)
def test_the_first_samples_are_those_of_the_paper(dataset: str) -> None:
    found = stored_bytes.hashes(dataset)
    changed = [_changed(found, stored[dataset]) for stored in _STORED[_BLENDER]]
    assert {"pixels": [], "descriptions": []} in changed, _WHAT_TO_DO


def _changed(found: dict[str, list[str]], stored: dict[str, list[str]]) -> dict[str, list[int]]:
    """Of each kind of hash, the samples that have another."""
    return {
        kind: [i for i, (a, b) in enumerate(zip(found[kind], stored[kind], strict=True)) if a != b] for kind in stored
    }


def _has_avx512() -> bool:
    """Open Image Denoise sums in another order on processors with and without it."""
    facts = Path("/proc/cpuinfo")
    return facts.exists() and "avx512f" in facts.read_text("utf-8")


@pytest.mark.skipif(not _has_avx512(), reason="the denoiser's hash is stored for processors with AVX-512")
def test_denoised_layers_are_the_same() -> None:
    assert stored_bytes.denoised_hash() in [stored["denoised"] for stored in _STORED[_BLENDER]], _WHAT_TO_DO


def test_a_changed_value_is_noticed() -> None:
    layers, stored = stored_bytes.rendered("materials", "--count", "1")[0]
    hashed = stored_bytes.pixel_hash(layers), stored_bytes.description_hash(stored)
    layers["diffuse_color"][3, 4, 1] *= 1.001
    stored["scene"]["fill"]["strength"] += 1e-7
    assert stored_bytes.pixel_hash(layers) != hashed[0] and stored_bytes.description_hash(stored) != hashed[1]
