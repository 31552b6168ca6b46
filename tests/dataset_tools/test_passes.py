# SPDX-License-Identifier: GPL-3.0-or-later
"""Passes by name in both spellings, their composition (Eq. 14), the identity, and headers without times."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest

from dataset_tools import passes
from dataset_tools.errors import UserError
from tests.dataset_tools.invented import NEW_NAMES, OLD_NAMES, exr_bytes, invented_passes


@pytest.mark.parametrize("names", [OLD_NAMES, NEW_NAMES], ids=["4.x", "5.x"])
def test_reads_the_channels_of_every_blender(names: dict[str, str], tmp_path: Path) -> None:
    made = invented_passes(1)
    found = passes.read(exr_bytes(made, names, tmp_path))
    assert len(passes.PASSES) == 11 and {*passes.PASSES, passes.COMBINED} == set(names)
    for name, image in made.items():
        assert found[name].dtype == np.float32
        np.testing.assert_allclose(found[name], image, atol=2e-3)


def test_a_missing_pass_is_named(tmp_path: Path) -> None:
    made = invented_passes(1)
    del made["glossy_color"]
    with pytest.raises(UserError, match="no pass 'glossy_color'"):
        passes.read(exr_bytes(made, OLD_NAMES, tmp_path))


def test_components_follow_equation_14() -> None:
    made = invented_passes(2)
    albedo, shading, specular = (passes.component(made, name) for name in ("albedo", "shading", "specular"))
    np.testing.assert_allclose(albedo * shading + specular, made["combined"], rtol=1e-5)
    with pytest.raises(UserError, match="albedo, shading, specular"):
        passes.component(made, "depth")


def test_identity_holds_and_a_broken_one_is_refused() -> None:
    made = invented_passes(3)
    assert passes.check(made, "Sample 3") < 1e-6
    made["combined"][4, 4] += 0.1
    with pytest.raises(UserError, match="Sample 3: the passes do not add up"):
        passes.check(made, "Sample 3")
    made["combined"][4, 4] = np.nan
    with pytest.raises(UserError, match="do not add up"):
        passes.check(made, "Sample 3")


@pytest.mark.parametrize("name", ["emission", "environment", "transmission_color"])
def test_what_equation_14_leaves_out_must_be_zero(name: str) -> None:
    made = invented_passes(4)
    made[name][0, 0] = 0.01
    with pytest.raises(UserError, match=f"'{name}' is not zero"):
        passes.check(made, "Sample 4")


def _attribute(name: bytes, value: bytes) -> bytes:
    return name + b"\0string\0" + struct.pack("<i", len(value)) + value


def test_only_times_in_the_header_change() -> None:
    start = b"\x76\x2f\x31\x01\x02\x00\x00\x00"
    end = b"\0" + bytes(range(256))
    first = start + _attribute(b"cycles.ViewLayer.total_time", b"00:12.34") + _attribute(b"name", b"v1.2") + end
    zeroed = start + _attribute(b"cycles.ViewLayer.total_time", b"00:00.00") + _attribute(b"name", b"v1.2") + end
    assert passes.without_times(first) == zeroed
