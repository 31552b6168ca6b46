# SPDX-License-Identifier: GPL-3.0-or-later
"""Passes by name in both spellings, their composition (Eq. 14), the identity, the mask, and the time."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from dataset_tools.errors import UserError
from dataset_tools.storage import passes
from tests.dataset_tools.invented import NEW_NAMES, OLD_NAMES, blender_exr, invented_passes, stored_exr


@pytest.mark.parametrize("names", [OLD_NAMES, NEW_NAMES], ids=["4.x", "5.x"])
def test_reads_the_channels_of_every_blender(names: dict[str, str]) -> None:
    made = invented_passes(1)
    found = passes.from_blender(blender_exr(made, names))
    assert len(passes.PASSES) == 11 and {*passes.PASSES, passes.COMBINED} == found.keys()
    for name, image in made.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], image)


def test_a_missing_pass_is_named() -> None:
    made = invented_passes(1)
    del made["glossy_color"]
    with pytest.raises(UserError, match="no pass 'glossy_color'"):
        passes.from_blender(blender_exr(made, OLD_NAMES))
    with pytest.raises(UserError, match="no pass 'diffuse_direct'"):
        passes.read(blender_exr(made, OLD_NAMES))


@pytest.mark.parametrize("denoised", [False, True])
def test_what_is_stored_is_read_back_as_halves(denoised: bool) -> None:
    made = {**invented_passes(6), "mask": np.eye(16, dtype=np.float32)}
    if denoised:
        made["shading"], made["specular"] = made["diffuse_direct"] * 0.3, made["glossy_direct"] * 0.3
    found = passes.read(passes.encode(made))
    assert found.keys() == made.keys() == {*passes.stored(denoised=denoised), "mask"}
    for name, image in passes.as_halves(made).items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], image)


def test_components_alone_are_stored_and_read() -> None:
    values = {"albedo": 0.5, "shading": 2.0, "specular": 0.25}
    layers = {name: np.full((4, 4, 3), value, np.float32) for name, value in values.items()}
    found = passes.read(passes.encode({**layers, passes.MASK: np.ones((4, 4), np.float32)}))
    assert found.keys() == {*passes.COMPONENTS, "mask"}
    for name, image in layers.items():
        np.testing.assert_array_equal(passes.component(found, name), image)


def test_denoised_layers_are_the_components_and_the_raw_ones_stay() -> None:
    made = {**invented_passes(7), "shading": np.ones((16, 16, 3)), "specular": np.zeros((16, 16, 3))}
    for name in ("shading", "specular"):
        assert passes.component(made, name) is made[name]
        assert not np.allclose(passes.raw_component(made, name), made[name])


def test_mask_leaves_out_metal_and_what_is_nearly_black() -> None:
    made = invented_passes(8)
    made["diffuse_color"][:] = 0.5
    made["diffuse_color"][0] = 0.0
    # A single channel is enough: its shading is light divided by next to nothing.
    made["diffuse_color"][1, :, 2] = passes.ALBEDO_FLOOR / 2
    made["diffuse_color"][2] = passes.ALBEDO_FLOOR * 1.01
    expected = np.ones((16, 16), np.float32)
    expected[:2] = 0.0
    np.testing.assert_array_equal(passes.read(stored_exr(made))[passes.MASK], expected)


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


def test_stored_passes_are_held_to_what_halves_can_keep() -> None:
    made = invented_passes(5)
    made["combined"][4, 4] += 2e-3
    with pytest.raises(UserError, match="do not add up"):
        passes.check(made, "Sample 5")
    assert 1e-3 < passes.check(made, "Sample 5", passes.STORED_TOLERANCE) < 1e-2


def _with_attribute(exr: bytes, name: bytes, value: bytes) -> bytes:
    return exr[:8] + name + b"\0string\0" + struct.pack("<i", len(value)) + value + exr[8:]


def test_sampling_time_is_read_from_the_header() -> None:
    exr = blender_exr(invented_passes(1), OLD_NAMES)
    assert passes.sampling_seconds(exr) == 0.0
    exr = _with_attribute(exr, b"cycles.ViewLayer.total_time", b"00:59.00")
    exr = _with_attribute(exr, b"cycles.ViewLayer.render_time", b"01:02.34")
    assert passes.sampling_seconds(exr) == pytest.approx(62.34)
