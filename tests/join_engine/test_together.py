# SPDX-License-Identifier: GPL-3.0-or-later
"""Several photos of one thing decomposed together: what they have in common, and what is refused."""

from __future__ import annotations

import io
import json
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from join_engine.bank import Bank
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.evaluation.scores.together_scores import FIGURES, Scene, against, disjoint, figures_of, measure_renders
from join_engine.images.alignment import align
from join_engine.images.files import write_npy
from join_engine.inversion.codebook import CodeBook
from join_engine.inversion.presets import Detail, Preset
from join_engine.inversion.progress import Monitor
from join_engine.inversion.stages.encoder_start import EncoderStart
from join_engine.inversion.stages.joint import Joint
from join_engine.layers.decomposition import load_decomposition
from join_engine.layers.together import Photo, fuse
from join_engine.pipeline import decompose, decompose_together

from .fake_packs import add_member
from .test_split import SMALL, wild

PRESET = Preset("quick", (EncoderStart(),), Detail())
SIZE = 48, 64


def paint(seed: int = 0, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Coloured patches with grain, linear [H, W, 3]."""
    rng = np.random.default_rng(seed)
    height, width = size
    patches = rng.uniform(0.1, 0.8, (height // 8 + 2, width // 8 + 2, 3)).repeat(8, axis=0).repeat(8, axis=1)
    return (patches[3 : height + 3, 5 : width + 5] * rng.uniform(0.8, 1.0, (height, width, 1))).astype(np.float32)


def lamp(row: float, column: float, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Grey light that falls off from a place, in shares of the picture, [H, W, 1]."""
    y, x = np.meshgrid(*(np.linspace(0.0, 1.0, side) for side in size), indexing="ij")
    return (0.2 + 0.8 * np.exp(-3.0 * ((y - row) ** 2 + (x - column) ** 2)))[..., None].astype(np.float32)


LIGHTS = ((0.1, 0.2), (0.9, 0.5), (0.4, 0.9))


@pytest.fixture
def photos() -> list[np.ndarray]:
    return [paint() * lamp(*light) for light in LIGHTS]


@pytest.fixture
def glossy_bank(seeing_bank: Bank) -> Bank:
    """A bank with a split network that has an opinion about everything, specular included."""
    return replace(seeing_bank, split=wild(SMALL))


def together(photos: list[np.ndarray], bank: Bank, names: list[str] | None = None) -> list[dict[str, np.ndarray]]:
    names = names or [f"photo {number}" for number in range(len(photos))]
    return [dict(found.decomposition.layers) for found in decompose_together(photos, names, bank, PRESET)]


def recomposed(layers: dict[str, np.ndarray]) -> np.ndarray:
    return layers["albedo"] * layers["shading"] + layers.get("specular", np.float32(0.0))  # type: ignore[no-any-return]


@pytest.mark.slow
def test_equal_photos_have_the_albedo_of_one(glossy_bank: Bank, photos: list[np.ndarray]) -> None:
    alone = decompose(photos[0], glossy_bank, PRESET).decomposition.layers
    for layers in together([photos[0]] * 3, glossy_bank):
        for name, layer in layers.items():
            np.testing.assert_allclose(
                layer, alone[name], rtol=2e-3, atol=4e-3 if name == "specular" else 2e-4, err_msg=name
            )


@pytest.mark.slow
def test_every_photo_is_made_exactly_by_the_one_albedo(glossy_bank: Bank, photos: list[np.ndarray]) -> None:
    photos[1][10:20, 30:40] = 1.0  # clipped
    photos[2][5:9, 5:9] = 0.0
    found = together(photos, glossy_bank)
    assert all(layers["albedo"] is found[0]["albedo"] for layers in found)
    for photo, layers in zip(photos, found, strict=True):
        assert set(layers) == {"albedo", "shading", "specular"}
        assert all(np.isfinite(layer).all() and layer.min() >= 0.0 for layer in layers.values())
        shown = photo.max(axis=2) < 0.99
        assert np.abs(recomposed(layers) - photo)[shown].max() < 1e-5
        # Grey times one colour of the light.
        lit = layers["shading"][layers["shading"].min(axis=2) > 1e-3]
        assert np.ptp(lit / lit.mean(axis=1, keepdims=True), axis=0).max() < 1e-3


def test_a_bank_without_specular_makes_them_exactly_too(seeing_bank: Bank, photos: list[np.ndarray]) -> None:
    for photo, layers in zip(photos, together(photos, seeing_bank), strict=True):
        assert set(layers) == {"albedo", "shading"}
        assert np.abs(recomposed(layers) - photo).max() < 1e-5


@pytest.mark.slow
def test_the_order_does_not_matter(glossy_bank: Bank, photos: list[np.ndarray]) -> None:
    forth, back = together(photos, glossy_bank), together(photos[::-1], glossy_bank)[::-1]
    for one, other in zip(forth, back, strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in one)


def alone_of(photo: np.ndarray, albedo: np.ndarray, specular: float = 0.0, error: float = 0.2) -> Photo:
    """A photo whose layers alone have this albedo and this much gloss."""
    gloss = np.full_like(photo, specular)
    light = ((photo - gloss) / albedo).mean(axis=2, keepdims=True)
    layers = {"albedo": albedo, "shading": np.repeat(light, 3, axis=2), "specular": gloss}
    return Photo(photo, layers, np.full((*photo.shape[:2], 3), error, np.float32), np.ones(photo.shape[:2]))


def error_of(albedo: np.ndarray, truth: np.ndarray) -> float:
    """Of the logarithms, but for a constant."""
    return float(np.std(np.log(albedo.clip(1e-4)) - np.log(truth)))


def test_light_that_each_albedo_has_kept_goes_from_the_common_one(photos: list[np.ndarray]) -> None:
    alone = [alone_of(photo, paint() * lamp(*light) ** 0.5) for photo, light in zip(photos, LIGHTS, strict=True)]
    best = min(error_of(one.layers["albedo"], paint()) for one in alone)
    assert error_of(fuse(alone)[0]["albedo"], paint()) < 0.6 * best


def test_a_highlight_taken_for_paint_is_gloss_when_the_others_know_better(photos: list[np.ndarray]) -> None:
    spot = np.zeros((*SIZE, 1), np.float32)
    spot[16:26, 16:26] = 0.25
    photos[0] = (photos[0] * 0.7 + spot).astype(np.float32)
    albedos = [paint() for _ in photos]
    albedos[0] = (photos[0] / lamp(*LIGHTS[0])).astype(np.float32)
    found = fuse([alone_of(photo, albedo) for photo, albedo in zip(photos, albedos, strict=True)])
    assert error_of(found[0]["albedo"], paint()) < 0.5 * error_of(albedos[0], paint())
    inside = spot[..., 0] > 0.0
    assert found[0]["specular"][inside].mean() > 0.15 and found[0]["specular"][~inside].mean() < 0.03


def test_one_that_is_unsure_hardly_counts(photos: list[np.ndarray]) -> None:
    wrong = paint(9)
    sure = fuse([alone_of(photos[0], paint()), alone_of(photos[1], wrong, error=3.0)])
    assert error_of(sure[0]["albedo"], paint()) < 0.1 * error_of(wrong, paint())


def test_brightness_and_colour_of_a_light_are_free(photos: list[np.ndarray]) -> None:
    plain = fuse([alone_of(photo, paint()) for photo in photos])
    tint = np.array([1.3, 1.0, 0.7], np.float32)
    photos[1] = photos[1] * tint * 0.5
    albedos = [paint(), paint() * tint, paint()]
    tinted = fuse([alone_of(photo, albedo) for photo, albedo in zip(photos, albedos, strict=True)])
    ratio = tinted[0]["albedo"] / plain[0]["albedo"]
    assert np.ptp(ratio.reshape(-1, 3), axis=0).max() < 1e-2
    assert tinted[1]["specular"].mean() < 0.01 * photos[1].mean()


@pytest.mark.parametrize(("down", "right"), [(2, -3), (0, 1)])
def test_a_shift_is_found_and_undone(down: int, right: int) -> None:
    large = paint(3, (80, 90))
    first = large[8:72, 8:80] * lamp(0.2, 0.2, (64, 72))
    second = large[8 - down : 72 - down, 8 - right : 80 - right] * lamp(0.8, 0.9, (64, 72))
    one, other = align([first, second], ["a", "b"])
    assert other.shift[0] - one.shift[0] == pytest.approx(-down, abs=0.1)
    assert other.shift[1] - one.shift[1] == pytest.approx(-right, abs=0.1)
    both = one.inside & other.inside
    assert 0.9 < both.mean() < 1.0
    ratio = (one.pixels / lamp(0.2, 0.2, (64, 72)) - other.pixels / lamp(0.8, 0.9, (64, 72)))[both]
    assert np.abs(ratio).mean() < 0.05


def test_half_a_pixel_is_found() -> None:
    fine = paint(4, (160, 192)) * lamp(0.3, 0.6, (160, 192))

    def halved(image: np.ndarray) -> np.ndarray:
        return image.reshape(image.shape[0] // 2, 2, image.shape[1] // 2, 2, 3).mean(axis=(1, 3))

    one, other = align([halved(fine[:-2, :-2]), halved(fine[1:-1, :-2])], ["a", "b"])
    assert other.shift[0] - one.shift[0] == pytest.approx(0.5, abs=0.15) and other.shift[1] == one.shift[1]


def test_what_is_at_its_place_stays_bit_for_bit(photos: list[np.ndarray]) -> None:
    for photo, aligned in zip(photos, align(photos, ["a", "b", "c"]), strict=True):
        assert aligned.pixels is photo and aligned.shift == (0.0, 0.0) and aligned.inside.all()


@pytest.mark.slow
def test_the_best_so_far_is_put_together(glossy_bank: Bank, photos: list[np.ndarray]) -> None:
    monitor = Monitor(cancelled=lambda: True)
    preset = Preset("quick", (EncoderStart(), Joint(steps=5)), Detail())
    names = [str(number) for number in range(len(photos))]
    found = decompose_together(photos, names, glossy_bank, preset, monitor=monitor)
    assert all(outcome.cancelled for outcome in found)
    first, *others = (outcome.decomposition.layers["albedo"] for outcome in found)
    assert all(other is first for other in others)


def test_a_photo_of_something_else_is_refused_by_name(glossy_bank: Bank, photos: list[np.ndarray]) -> None:
    names = ["sun.jpg", "lamp.jpg", "window.jpg", "cat.jpg"]
    with pytest.raises(JoinError, match=r"'cat\.jpg' does not show the same as") as refused:
        together([*photos, paint(7) * lamp(0.5, 0.5)], glossy_bank, names)
    assert refused.value.code == "photos_differ"


def test_different_sizes_and_a_single_photo_are_refused(glossy_bank: Bank, photos: list[np.ndarray]) -> None:
    with pytest.raises(JoinError, match=r"'b' is 64 × 40 and 'a' is 64 × 48: they must be of one size"):
        together([photos[0], photos[1][:40]], glossy_bank, ["a", "b"])
    with pytest.raises(JoinError, match="One photo is not several"):
        together(photos[:1], glossy_bank)


def test_the_command_writes_one_albedo(
    tmp_path: Path, seeing_bank: Bank, photos: list[np.ndarray], capsys: pytest.CaptureFixture[str]
) -> None:
    paths = []
    for number, photo in enumerate(photos):
        paths.append(str(tmp_path / f"{number}" / "photo.npy"))
        write_npy(paths[-1], photo)
    out = tmp_path / "out"
    command = ["decompose-together", "--bank", str(seeing_bank.path), "--preset", "draft", "--device", "cpu"]
    assert main([*command, *paths, "--out", str(out)]) == 0
    layers = {path.name for path in out.glob("*.exr")}
    assert layers == {"albedo.exr", "shading-photo.exr", "shading-photo-2.exr", "shading-photo-3.exr"}
    report = json.loads((out / "report.json").read_text())
    assert [photo["image"] for photo in report["photos"]] == paths
    assert all(photo["settings"]["together"]["photos"] == 3 for photo in report["photos"])
    stored = [load_decomposition(out / f"{photo['name']}.join") for photo in report["photos"]]
    assert all(np.array_equal(one.layers["albedo"], stored[0].layers["albedo"]) for one in stored)
    assert main([*command, paths[0], "--out", str(out)]) == 2
    assert "One photo is not several" in capsys.readouterr().err


# Measuring


def test_groups_are_disjoint() -> None:
    for count in (1, 2, 3, 4, 5):
        groups = disjoint(9, count)
        members = [index for group in groups for index in group]
        assert len(groups) >= 2 and len(set(members)) == len(members) and len(groups[0]) == count


@pytest.mark.slow
def test_the_figures_know_a_good_albedo(glossy_bank: Bank, photos: list[np.ndarray]) -> None:
    scene = Scene([*photos, photos[0] * 0.9], "thing", glossy_bank, PRESET, CodeBook(glossy_bank))

    medians = []

    def figures(albedo: np.ndarray) -> dict[str, float]:
        found = [
            replace(one, decomposition=replace(one.decomposition, layers={"albedo": albedo})) for one in scene._found
        ]
        scene.together = lambda group: [found[group[0]]]  # type: ignore[method-assign]
        told = figures_of(scene, 2)
        medians.append(told["median"])
        return told["together"]

    true, lit, flat = figures(paint()), figures(paint() * lamp(0.1, 0.2)), figures(np.full_like(paint(), 0.3))
    assert true["reference"] > lit["reference"] and true["light left"] < lit["light left"]
    assert (
        true["correlation"] > lit["correlation"] > flat["correlation"] == 0.0 and flat["reference"] < true["reference"]
    )
    assert medians[0] == medians[1] == medians[2] and medians[0]["consistency"] < true["consistency"]


def test_detrended_figures_know_an_albedo_whose_median_falls_off() -> None:
    down, across = np.meshgrid(*(np.linspace(-1.0, 1.0, size) for size in paint().shape[:2]), indexing="ij")
    median = paint() * np.exp(-0.6 * (down**2 + across**2))[..., None]
    true, fallen = (dict(zip(FIGURES[1:], against(albedo, median), strict=True)) for albedo in (paint(), median))
    assert fallen["correlation"] > true["correlation"] + 0.05 and true["light left"] > fallen["light left"] + 0.1
    assert true["correlation, detrended"] > 0.98 and true["light left, detrended"] < 0.05


def test_renders_under_several_lights_are_scored(tmp_path: Path, seeing_bank: Bank) -> None:
    for number, light in enumerate(LIGHTS, 1):
        with tarfile.open(tmp_path / f"light{number}.tar", "w") as tar:
            for name, layer in {"albedo": paint(), "shading": np.repeat(lamp(*light), 3, axis=2)}.items():
                data = io.BytesIO()
                np.save(data, layer)
                add_member(tar, f"00000000.{name}.npy", data.getvalue())
    table = measure_renders(tmp_path, seeing_bank, PRESET, [1, 3])
    assert table["scenes"] == 1 and table["refused"] == 0
    assert set(table["photos"][3]) == {"albedo", "albedo, any brightness", "shading"}
    with pytest.raises(JoinError, match="does not hold 4 photos"):
        measure_renders(tmp_path, seeing_bank, PRESET, [4])
