# SPDX-License-Identifier: GPL-3.0-or-later
"""The camera that meters: brightness of a phone's photo, the same identity, untouched colours."""

from __future__ import annotations

import numpy as np
import pytest

from dataset_tools.description.scene import Metering
from dataset_tools.rendering.metering import exposed, exposure
from dataset_tools.storage import passes
from join_engine.color import LUMINANCE_WEIGHTS
from tests.dataset_tools.invented import invented_passes

_PLAIN = {name: layer.astype(np.float64) for name, layer in invented_passes(3).items() if name != passes.MASK}


def _luminance(factor: float) -> np.ndarray:
    found: np.ndarray = _PLAIN[passes.COMBINED] @ np.array(LUMINANCE_WEIGHTS) * factor
    return found


@pytest.mark.parametrize("mode", ["mean", "centre", "highlight"])
def test_the_scenes_own_brightness_does_not_matter(mode: str) -> None:
    factor = exposure(_PLAIN, Metering(mode, 0.0))
    for scale in (1e-3, 40.0):
        assert exposure(exposed(_PLAIN, scale), Metering(mode, 0.0)) * scale == pytest.approx(factor, rel=1e-5)


@pytest.mark.parametrize("mode", ["mean", "centre", "highlight"])
def test_a_bias_is_in_stops(mode: str) -> None:
    assert exposure(_PLAIN, Metering(mode, 0.7)) == pytest.approx(2**0.7 * exposure(_PLAIN, Metering(mode, 0.0)))


def test_light_is_scaled_and_surfaces_are_not() -> None:
    plain = {name: layer.astype(np.float32) for name, layer in _PLAIN.items()}
    found = exposed(plain, 0.3)
    assert passes.identity_error(found) < 1e-5
    for name in plain:
        scaled = name if not name.endswith("_color") else None
        assert np.allclose(found[name], plain[name] * (0.3 if scaled else 1.0))


def test_mean_metering_gives_a_phones_brightness_and_does_not_care_for_highlights() -> None:
    seen = np.minimum(_luminance(exposure(_PLAIN, Metering("mean", 0.0))), 1.0).mean()
    assert 0.05 < seen < 0.4
    mirrored = {name: layer.copy() for name, layer in _PLAIN.items()}
    mirrored[passes.COMBINED][:2, :2] = 1e4
    ratio = exposure(mirrored, Metering("mean", 0.0)) / exposure(_PLAIN, Metering("mean", 0.0))
    # Four clipped pixels weigh like four white ones.
    assert 0.7 < ratio <= 1.0


def test_highlight_metering_keeps_highlights_from_clipping() -> None:
    lit = {name: layer.copy() for name, layer in _PLAIN.items()}
    lit[passes.COMBINED][: lit[passes.COMBINED].shape[0] // 4] *= 5.0
    clipped = {}
    for mode in ("mean", "highlight"):
        bright = lit[passes.COMBINED] @ np.array(LUMINANCE_WEIGHTS) * exposure(lit, Metering(mode, 0.0))
        clipped[mode] = float(np.mean(bright > 1.0))
    assert clipped["highlight"] <= 0.02 and clipped["highlight"] <= clipped["mean"]


def test_dark_things_come_out_darker_than_light_ones() -> None:
    dark = {**_PLAIN, "diffuse_color": _PLAIN["diffuse_color"] * 0.1, passes.COMBINED: _PLAIN[passes.COMBINED] * 0.1}
    means = [
        np.minimum((p[passes.COMBINED] @ np.array(LUMINANCE_WEIGHTS)) * exposure(p, Metering("mean", 0.0)), 1.0).mean()
        for p in (dark, _PLAIN)
    ]
    assert means[0] < 0.9 * means[1]


def test_nothing_to_meter_is_left_alone() -> None:
    black = {name: np.zeros_like(layer) for name, layer in _PLAIN.items()}
    assert exposure(black, Metering("mean", 0.3)) == 1.0
    black[passes.COMBINED][0, 0] = np.nan
    assert exposure(black, Metering("mean", 0.3)) == 1.0
