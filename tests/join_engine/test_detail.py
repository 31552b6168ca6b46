# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers with detail make the image, stay within bounds, and survive relighting."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from join_engine.bank import Bank, load_bank
from join_engine.bank.header import BankHeader
from join_engine.forward_models import FORWARD_MODELS
from join_engine.images.frame import Frame
from join_engine.inversion.presets import Detail, Preset
from join_engine.inversion.stages.joint import Joint
from join_engine.inversion.stages.mean_start import MeanStart
from join_engine.layers.detail import BRIGHTEST, DARKEST, MovedGloss, add_detail, detail_for, keep_detail, keep_light
from join_engine.pipeline import decompose
from join_engine.relighting.relighter import Edit, Relighter

SEVEN = Detail(2.0, 0.7)
SHORT = Preset("short", (MeanStart(), Joint(steps=3)), Detail())


def _random(seed: int, shape: tuple[int, ...] = (40, 56, 3)) -> np.ndarray:
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


@pytest.mark.parametrize("model", ["lambertian", "lambertian_specular"])
def test_layers_make_the_image(model: str) -> None:
    image = _random(0)
    image[:5] = 0.0
    image[5:10] *= 30.0
    layers = {"albedo": _random(1), "shading": _random(2) * 2, "specular": _random(3) * image}
    if model == "lambertian":
        del layers["specular"]
    result = add_detail(SEVEN, image, layers, Frame(40, 56, 16))
    assert np.allclose(FORWARD_MODELS[model].compose(result), image, rtol=1e-5, atol=1e-6)
    peak = result["albedo"].max(axis=2)
    assert peak.min() >= DARKEST * 0.999 and peak.max() <= BRIGHTEST * 1.001
    assert all(pixels.dtype == np.float32 and np.isfinite(pixels).all() for pixels in result.values())


def test_a_highlight_that_is_too_bright_digs_no_hole() -> None:
    albedo, shading = np.full((16, 16, 3), 0.5, np.float32), np.full((16, 16, 3), 0.8, np.float32)
    specular = np.zeros((16, 16, 3), np.float32)
    specular[4:8, 4:8] = 2.0
    image = albedo * shading + 0.25 * specular
    image[12:] *= 0.5  # darker than the others make it: no highlight there
    specular[12:] = 0.3
    found = {"albedo": albedo, "shading": shading, "specular": specular}
    result = add_detail(SEVEN, image, found, Frame(16, 16, 16))
    assert np.allclose(FORWARD_MODELS["lambertian_specular"].compose(result), image, atol=1e-6)
    assert np.allclose(result["specular"][:12], 0.25 * specular[:12], atol=1e-6) and not result["specular"][12:].any()
    assert np.allclose(result["albedo"][:10] * result["shading"][:10], (albedo * shading)[:10], atol=1e-6)


def spot(left: int, size: int = 32) -> np.ndarray:
    """A round highlight, [size, size, 3]."""
    down, across = np.mgrid[0:size, 0:size] - np.array([size // 2, left])[:, None, None]
    return np.repeat(np.exp(-(down**2 + across**2) / 18.0)[..., None], 3, axis=2).astype(np.float32)


def test_a_highlight_leaves_with_its_detail_and_comes_again_elsewhere() -> None:
    rng = np.random.default_rng(0)
    before, after = 0.3 * spot(8), 0.3 * spot(24)
    layer = (3.0 * before + 0.2 * spot(11)) * rng.uniform(0.6, 1.4, (32, 32, 1)).astype(np.float32)
    lit = MovedGloss.between(layer, before, after).of(layer, before, after)
    assert lit[:, :14].sum() < 0.02 * layer[:, :14].sum(), "what the generator never made stays behind"
    assert lit[:, 18:].sum() > 0.3 * before.sum() and lit.min() >= 0.0 and lit.dtype == np.float32
    still = MovedGloss.between(layer, before, before).of(layer, before, before)
    assert np.array_equal(still, layer), "nothing has moved"
    # A nudge changes little.
    nudged = before + 0.01 * (after - before)
    near = MovedGloss.between(layer, before, nudged).of(layer, before, nudged)
    assert 0.0 < np.abs(near - layer).sum() < 0.3 * layer.sum()
    # A lamp that goes out leaves nothing, and one that grows makes no more than the generator says.
    out = MovedGloss.between(layer, before, 0.0 * before)
    assert out.of(layer, before, 0.0 * before).sum() < 0.02 * layer.sum()
    bright = MovedGloss.between(layer, before, 2.0 * before).of(layer, before, 2.0 * before)
    assert bright.sum() <= layer.sum() + before.sum() * 1.001


def test_shading_keeps_the_ratio_that_the_detail_has_put_on_it() -> None:
    before, layer = np.full((4, 4, 3), 0.5, np.float32), np.full((4, 4, 3), 0.8, np.float32)
    assert np.allclose(keep_detail(layer, before, 0.5 * before), 0.4, atol=2e-3)
    assert np.array_equal(keep_detail(layer, before, before), layer)


def test_what_lay_in_the_dark_for_the_generator_alone_does_not_shine() -> None:
    before, after = np.full((4, 4, 3), 0.01, np.float32), np.full((4, 4, 3), 0.3, np.float32)
    for shading, lit in ((0.8, 1.09), (0.005, 0.15)):  # brighter than it was taken for: as much more as there, no more
        layer = np.full((4, 4, 3), shading, np.float32)
        assert keep_light(layer, before, after) == pytest.approx(lit, rel=0.2)
        assert np.array_equal(keep_light(layer, before, before), layer)
        assert np.array_equal(keep_light(layer, after, before), keep_detail(layer, after, before))
    assert keep_detail(np.full((1, 1, 3), 0.8, np.float32), before, after).min() > 10.0


def test_what_an_albedo_cannot_be_goes_to_the_light_without_colour() -> None:
    """Orange paint under more light than the layers know: brighter than white it cannot be, the light stays grey."""
    paint = np.array([1.0, 0.4, 0.02], np.float32) * np.ones((16, 16, 1), np.float32)
    grey = np.full_like(paint, 0.5)
    result = add_detail(Detail(2.0, 0.0), 3.0 * paint * grey, {"albedo": grey, "shading": grey}, Frame(16, 16, 16))
    assert np.allclose(result["albedo"], paint, atol=0.02)
    light = result["shading"]
    assert np.ptp(light, axis=2).max() < 0.1 * light.mean(), light[8, 8]


def test_right_layers_stay_as_they_are() -> None:
    albedo, shading = _random(1) * 0.8 + 0.1, _random(2) * 2
    result = add_detail(SEVEN, albedo * shading, {"albedo": albedo, "shading": shading}, Frame(40, 56, 16))
    assert np.allclose(result["albedo"], albedo, rtol=1e-4) and np.allclose(result["shading"], shading, rtol=1e-4)


def test_smooth_difference_is_light_and_fine_difference_is_albedo() -> None:
    flat = np.full((64, 64, 3), 0.5, np.float32)
    layers = {"albedo": flat, "shading": flat}
    lit = add_detail(Detail(2.0, 1.0), flat * flat * 1.5, layers, Frame(64, 64, 64))
    assert np.allclose(lit["albedo"], flat, atol=0.02) and np.allclose(lit["shading"], flat * 1.5, atol=0.03)
    stripes = np.where(np.arange(64) % 2, 0.6, 0.4).astype(np.float32)[None, :, None] * np.ones_like(flat)
    textured = add_detail(Detail(2.0, 1.0), flat * stripes, layers, Frame(64, 64, 64))
    inner = np.s_[8:-8, 8:-8]
    assert np.allclose(textured["shading"][inner], flat[inner], atol=0.03)
    assert np.allclose(textured["albedo"][inner], stripes[inner], atol=0.03)


def test_a_forward_model_of_ones_own_goes_without(tiny_bank: Bank) -> None:
    assert detail_for(SHORT, tiny_bank.header) is not None
    assert detail_for(SHORT, replace(tiny_bank.header, forward_model="veiled")) is None
    assert detail_for(replace(SHORT, detail=None), tiny_bank.header) is None


def test_the_bank_tells_how_much_is_light_where_nobody_else_does(tiny_bank: Bank) -> None:
    header = replace(tiny_bank.header, detail_share=0.25, detail_radius=0.5)
    assert BankHeader.from_dict(header.to_dict()) == header
    assert detail_for(SHORT, header) == Detail(0.5, 0.25, brightness=False)
    own = replace(SEVEN, brightness=False)  # the bank has no network that would tell it
    assert detail_for(replace(SHORT, detail=SEVEN), header) == own
    older = {key: value for key, value in header.to_dict().items() if not key.startswith("detail_")}
    assert detail_for(SHORT, BankHeader.from_dict(older)) == own
    with pytest.raises(ValueError, match="between 0 and 1"):
        replace(header, detail_share=1.5)
    with pytest.raises(ValueError, match="above 0"):
        replace(header, detail_radius=0.0)
    with pytest.raises(ValueError, match="detail_for"):
        add_detail(Detail(), _random(0), {"albedo": _random(1), "shading": _random(2)}, Frame(40, 56, 16))


def test_an_image_comes_back_exactly(tiny_bank: Bank) -> None:
    image = _random(4)
    result = decompose(image, tiny_bank, SHORT).decomposition
    assert np.allclose(result.recomposed, image, rtol=1e-5, atol=1e-6)
    assert result.metrics["psnr"] > 90 > result.metrics["psnr_fit"]


def test_relighting_keeps_the_detail(tiny_bank: Bank) -> None:
    result = decompose(_random(4), tiny_bank, SHORT).decomposition
    same = Relighter(result, tiny_bank).relight([Edit("shading", 0, 0.0)])
    assert np.allclose(same.layers["shading"], result.layers["shading"], rtol=1e-4, atol=1e-6)
    lit = Relighter(result, tiny_bank).relight([Edit("shading", 0, 2.0)])
    assert np.array_equal(lit.layers["albedo"], result.layers["albedo"])
    assert not np.allclose(lit.layers["shading"], result.layers["shading"])


def test_specular_layers_are_relit_without_detail(tmp_path, bank_maker) -> None:  # type: ignore[no-untyped-def]
    parts = (("albedo", "srgb"), ("shading", "reinhard"), ("specular", "reinhard"))
    bank = load_bank(bank_maker(tmp_path / "three.safetensors", "lambertian_specular", parts))
    result = decompose(_random(4), bank, SHORT).decomposition
    lit = Relighter(result, bank).relight([Edit("specular", 0, 1.0)])
    assert np.array_equal(lit.layers["shading"], result.layers["shading"])
    assert not np.allclose(lit.layers["specular"], result.layers["specular"])
