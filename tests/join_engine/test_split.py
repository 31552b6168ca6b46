# SPDX-License-Identifier: GPL-3.0-or-later
"""The network that tells paint, light and gloss apart: what it says, what it learns, and the layers that come of it."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from join_engine import pipeline
from join_engine.bank import Bank, SplitHeader, find_bank, fingerprint, load_bank
from join_engine.bank.figures import seconds_of
from join_engine.color import srgb_encode
from join_engine.commands.main import main
from join_engine.errors import Discarded, JoinError
from join_engine.images import files
from join_engine.images.files import read_image, write_png
from join_engine.images.frame import Frame
from join_engine.images.orientation import Orientation
from join_engine.inversion.presets import Detail, Preset, get_preset
from join_engine.inversion.progress import Monitor
from join_engine.inversion.stages.encoder_start import EncoderStart
from join_engine.inversion.stages.mean_start import MeanStart
from join_engine.layers import split as layers_split
from join_engine.layers.albedo_level import BRIGHTEST
from join_engine.layers.caution import JUMPS, JUMPS_CUT_OUT, RETINEX_ERROR, caution, slow_part, with_caution
from join_engine.layers.split import (
    BLACKEST,
    _affordable,
    _exact,
    encoders_say,
    into_bounds,
    look,
    looked_at,
    split,
)
from join_engine.networks.retinex import log_shading
from join_engine.networks.split import Level, Split, SplitConfig, cues, halved, luminance, specular_of
from join_engine.pipeline import decompose
from join_engine.renders.compose import ComponentSets, read_component_sets
from join_engine.renders.photo_augment import PhotoRanges
from join_engine.training import make_bank
from join_engine.training.checkpoint import CHECKPOINT_NAME, read_checkpoint
from join_engine.training.run import Run
from join_engine.training.split import (
    SplitLearner,
    SplitSettings,
    Truth,
    _glints,
    _local_error,
    _missed,
    another_light,
    as_rendered,
    drawn_upon,
    flat_colours,
    harder,
    less_contrast,
    read_cut_out,
    repainted,
    valid,
)

from .conftest import check_resumes
from .invented_renders import write_renders

ROOT = Path(__file__).resolve().parents[2]
SMALL = SplitConfig((8, 12), 8, 1, 4, 8)
OPTIONS = ["--widths", "8", "12", "--width", "8", "--blocks", "1", "--device", "cpu", "--threads", "1"]


def wild(config: SplitConfig = SMALL, seed: int = 0, std: float = 0.3) -> Split:
    """A network that has an opinion about everything."""
    torch.manual_seed(seed)
    network = Split(config).eval().requires_grad_(False)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return network


def with_split(bank: Bank, header: SplitHeader) -> Bank:
    """A bank with such a network."""
    return replace(bank, split=wild(header.architecture), header=replace(bank.header, split=header))


def told(seed: int = 5) -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return {name: torch.rand(1, 3, 16, 16, generator=rng) for name in ("albedo", "shading", "specular")}


def recomposed(layers: dict[str, np.ndarray]) -> np.ndarray:
    specular = layers.get("specular", np.float32(0.0))
    return layers["albedo"] * layers["shading"] + specular  # type: ignore[no-any-return]


# The network


def test_the_architecture_goes_to_json_and_impossible_ones_are_refused() -> None:
    assert SplitConfig.from_dict(json.loads(json.dumps(SMALL.to_dict()))) == SMALL
    for wrong in ({"widths": ()}, {"widths": (4, 0)}, {"width": 0}, {"coarsest": 2**20}):
        with pytest.raises(ValueError):
            replace(SMALL, **wrong)  # type: ignore[arg-type]


def test_levels_double_from_coarse_to_fine_and_take_any_size() -> None:
    image = torch.rand(2, 3, 37, 50)
    levels = wild()(image, torch.ones(2, 1, 37, 50), cues(None, None, None, image))
    assert [tuple(level.shading.shape[2:]) for level in levels] == [(10, 13), (19, 25), (37, 50)]
    assert torch.equal(levels[-1].image, image) and torch.equal(levels[-2].image, halved(image))


def test_gloss_never_takes_more_than_there_is() -> None:
    image = torch.rand(1, 3, 32, 32)
    levels = wild()(image, torch.ones(1, 1, 32, 32), cues(None, None, None, image))
    for level in levels:
        assert float((level.image - level.specular).min()) >= -1e-6 and float(level.specular.min()) >= 0.0
    matt = wild(replace(SMALL, specular=False))(image, torch.ones(1, 1, 32, 32), cues(None, None, None, image))
    assert not any(level.specular.any() for level in matt)


def test_it_looks_at_what_the_generators_say() -> None:
    image, known = torch.rand(1, 3, 32, 32), told()
    ones = torch.ones(1, 1, 32, 32)
    alone = wild()(image, ones, cues(None, None, None, image))
    beside = wild()(image, ones, cues(known["albedo"], known["shading"], known["specular"], image))
    assert not torch.equal(alone[-1].shading, beside[-1].shading)


# The layers


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("specular", [True, False])
def test_layers_make_the_photo_whatever_the_network_says(seed: int, specular: bool) -> None:
    rng = np.random.default_rng(seed)
    photo = rng.random((40, 56, 3), dtype=np.float32) ** 3
    photo[3:6, 3:6] = 1.0
    photo[20:30, 20:30, 2] = 0.0
    photo[30:35, 5:9] = 0.0
    found, error = split(wild(replace(SMALL, specular=specular), seed), photo, None, told(), Frame(40, 56, 16), -1.0)
    assert set(found) == {"albedo", "shading", *(("specular",) if specular else ())}
    for name, layer in found.items():
        assert layer.shape == photo.shape and layer.dtype == np.float32, name
        assert np.isfinite(layer).all() and layer.min() >= 0.0, name
    assert found["albedo"].max() <= 1.0 + 1e-6
    # A hundredth of an 8-bit step: where a channel is black, its logarithm is cut off.
    shown = photo.max(axis=2) < 0.99
    assert np.abs(recomposed(found) - photo)[shown].max() < 1e-4
    assert np.isfinite(error).all() and error.min() > 0.0


def test_light_is_grey_and_holes_are_no_darker_than_paint_can_be() -> None:
    photo = np.random.default_rng(1).random((32, 32, 3), dtype=np.float32) * 0.8 + 0.01
    found, _ = split(wild(), photo, None, told(), Frame(32, 32, 16), -1.0)
    assert np.ptp(found["shading"], axis=2).max() < 1e-6 * found["shading"].max()
    assert found["albedo"].max(axis=2).min() >= BLACKEST * (1.0 - 1e-4)


def test_what_a_camera_shows_as_black_has_the_paint_of_its_surroundings() -> None:
    rng = np.random.default_rng(3)
    photo = np.full((96, 96, 3), (0.010, 0.012, 0.011), np.float32)  # a black suit, its darkest parts lost
    lost = (slice(32, 56), slice(40, 64))
    photo[lost] = np.where(rng.random((24, 24, 3)) < 0.2, 1.0 / 255.0 / 12.92, 0.0)  # as JPEG leaves them
    photo[:12] = 0.5
    found, _ = split(wild(std=0.05), photo, None, told(), Frame(96, 96, 16), -1.0)
    suit = np.median(found["albedo"][70:], axis=(0, 1))
    hole = found["albedo"][lost]
    assert np.median(hole, axis=(0, 1)) == pytest.approx(suit * min(1.0, 0.02 / suit.max()), rel=0.2)
    assert hole.max(axis=2).min() > 0.0099, "no holes in the paint"
    assert found["shading"][lost].mean() < 0.2 * np.median(found["shading"][70:]), "the hole is the light's"
    assert np.abs(recomposed(found) - photo).max() < 1e-6


@pytest.mark.slow
def test_the_black_parts_of_a_real_photo_are_no_holes_in_its_paint() -> None:
    photo = read_image(ROOT / "samples" / "photos" / "astronaut.jpg")[..., :3]
    assert (photo.max(axis=2) < 0.001).mean() > 0.05, "a black helmet"
    found = decompose(photo, load_bank(find_bank("materials")), get_preset("draft")).decomposition
    assert found.layers["albedo"].max(axis=2).min() > 0.0099
    assert np.abs(recomposed(found.layers) - photo)[photo.max(axis=2) < 0.99].max() < 1e-6


def test_the_albedo_is_as_bright_as_it_is_told_to_be() -> None:
    photo = np.random.default_rng(1).random((32, 32, 3), dtype=np.float32) * 0.3 + 0.2
    matt = wild(replace(SMALL, specular=False), std=0.05)
    levels = []
    for level in (-2.0, -1.5):
        albedo = split(matt, photo, None, told(), Frame(32, 32, 16), level)[0]["albedo"]
        levels.append(float(np.log(albedo).mean()))
    assert levels == pytest.approx([-2.0, -1.5], abs=0.02)


@pytest.mark.parametrize("seen", ["in it", "beside it", "on black beside it", "nowhere"])
def test_a_clipped_spot_is_filled_from_its_surroundings_where_gloss_is_seen(seen: str) -> None:
    photo = np.full((96, 96, 3), (0.40, 0.25, 0.15), np.float32)
    photo[47:49, 36:60] = 1.0
    rim = np.zeros((1, 1, 96, 96), np.float32)
    rim[..., (46, 49), 36:60] = 1.0
    if seen == "on black beside it":
        photo[rim[0, 0] > 0.0] = 0.03
    elif seen == "beside it":  # nine tenths of its light are grey
        photo[rim[0, 0] > 0.0] = (0.80, 0.74, 0.70)

    def looks(network: Split, image: Tensor, visible: Tensor, told: Mapping[str, Tensor] | None, ways: int) -> Level:
        white = (image.amin(dim=1, keepdim=True) > 0.9).to(image)
        spot = {"in it": 0.9 * white, "nowhere": 0.0 * white}.get(seen, torch.from_numpy(rim))
        none, sure = torch.zeros_like(spot), torch.full_like(image, -7.0)
        return Level(image, none, none, spot, specular_of(image, spot), sure)

    found, _ = split(Split(SMALL), photo, None, told(), Frame(96, 96, 16), -1.5, looks=looks)
    middle, around = found["albedo"][48, 48], found["albedo"][4, 4]
    if seen in ("nowhere", "on black beside it"):  # white paint
        assert np.ptp(middle) < 1e-3 and middle.max() > 2.0 * around.max()
    else:
        assert middle / middle.sum() == pytest.approx(around / around.sum(), abs=0.02)
    assert np.ptp(found["specular"][48, 48]) < 1e-6


@pytest.mark.parametrize("cut_out", [False, True])
def test_white_paint_of_a_glossy_thing_is_read(cut_out: bool) -> None:
    photo = np.full((96, 96, 3), (0.40, 0.25, 0.15), np.float32)
    photo[40:56, 36:60] = 1.0
    alpha = np.ones((96, 96), np.float32)
    alpha[80:] = 1.0 - cut_out

    def looks(network: Split, image: Tensor, visible: Tensor, told: Mapping[str, Tensor] | None, ways: int) -> Level:
        sheen = 0.12 * (image.amin(dim=1, keepdim=True) > 0.9).to(image)
        none, sure = torch.zeros_like(sheen), torch.full_like(image, -7.0)
        return Level(image, none, none, sheen, specular_of(image, sheen), sure)

    found, _ = split(Split(SMALL), photo, alpha, told(), Frame(96, 96, 16), -1.5, looks=looks)
    middle, around = found["albedo"][48, 48], found["albedo"][4, 4]
    assert middle.min() > 2.0 * around.max()


def test_skin_in_the_sun_is_read_and_its_highlight_is_not() -> None:
    photo = np.full((32, 48, 3), (0.6, 0.35, 0.25), np.float32)
    photo[8:24, 8:24] = 1.0, 0.65, 0.45
    photo[8:24, 32:40] = 1.0, 0.95, 0.9
    image = torch.from_numpy(photo).permute(2, 0, 1)[None]
    gloss = 0.05 * image.amin(dim=1, keepdim=True)
    gloss[..., 32:40] *= 10.0
    shine = (gloss > 0.2).to(gloss)
    skin, surely = (layers_split.readability(image, gloss, 0.995, one) for one in (shine, None))
    assert skin[0, 0, 16, 16] > 0.75 and skin[0, 0, 16, 36] < 0.05
    assert surely[0, 0, 16, 16] < 0.05
    assert torch.equal(skin[..., 0, :], surely[..., 0, :])


@pytest.mark.slow
def test_photos_beyond_what_is_looked_at_are_split_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    rows, columns = np.mgrid[:96, :128] / 20.0
    photo = (0.3 + 0.1 * np.sin(rows) * np.cos(columns))[..., None].astype(np.float32) * np.ones(3, np.float32)
    network = wild()
    whole, _ = split(network, photo, None, told(), Frame(96, 128, 16), -1.0)
    monkeypatch.setattr(layers_split, "SEEN_AT_MOST", 64)
    monkeypatch.setattr(files, "_STRIP", 7 * 128)
    parts, error = split(network, photo, None, told(), Frame(96, 128, 16), -1.0)
    assert error.shape == (48, 64, 3)
    assert np.abs(recomposed(parts) - photo).max() < 1e-4
    monkeypatch.setattr(files, "_STRIP", 1 << 20)
    at_once, _ = split(network, photo, None, told(), Frame(96, 128, 16), -1.0)
    assert all(np.allclose(at_once[name], parts[name], rtol=1e-5, atol=1e-6) for name in parts)
    assert {name: layer.shape for name, layer in whole.items()} == {name: layer.shape for name, layer in parts.items()}


def test_a_cut_out_picture_does_not_ask_its_background() -> None:
    rng = np.random.default_rng(3)
    photo = rng.random((32, 32, 3), dtype=np.float32) * 0.5 + 0.1
    alpha = np.zeros((32, 32), np.float32)
    alpha[8:24, 8:24] = 1.0
    other = np.where(alpha[..., None] > 0.5, photo, 0.3).astype(np.float32)
    network = wild(replace(SMALL, specular=False), std=0.05)
    found, _ = split(network, other, alpha, told(), Frame(32, 32, 16), -1.5)
    inside = np.log(found["albedo"])[alpha > 0.5].mean()
    assert inside == pytest.approx(-1.5, abs=0.05)


def test_what_is_cut_out_has_more_paints_than_a_tone_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    photo = np.full((64, 64, 3), (0.6, 0.3, 0.2), np.float32)
    photo[20:44, 24:40] += 0.3
    alpha = np.ones((64, 64), np.float32)
    alpha[56:] = 0.0
    asked = []
    tone = layers_split._tone
    monkeypatch.setattr(layers_split, "_tone", lambda *given: asked.append(1) or tone(*given))
    for given in (None, alpha):
        split(wild(), photo, given, told(), Frame(64, 64, 16), -1.5)
        assert len(asked) == 1


def test_what_is_behind_a_cut_out_picture_changes_nothing(seeing_bank: Bank) -> None:
    """Alpha beyond its range counts as its ends."""
    photo = np.random.default_rng(3).random((48, 48, 3), dtype=np.float32)
    alpha = np.full((48, 48, 1), -0.5, np.float32)
    alpha[8:40, 8:40] = 1.5
    bank = replace(seeing_bank, split=wild(replace(SMALL, specular=False), std=0.05))
    preset = Preset("x", (MeanStart(),), Detail())

    def albedo(behind: float, alpha: np.ndarray) -> np.ndarray:
        image = np.where(alpha > 1.0, photo, behind).astype(np.float32)
        outcome = decompose(np.concatenate([image, alpha], axis=2), bank, preset)
        found, error = outcome.decomposition, outcome.error
        assert found.settings["device"] == "cpu" and error is not None
        hidden = error[alpha[..., 0] < 0.0]  # of what nobody sees nothing but the mean is expected
        assert np.ptp(hidden, axis=0).max() < 1e-6 and np.ptp(error[12:36, 12:36], axis=(0, 1)).min() > 1e-3
        return found.layers["albedo"][12:36, 12:36]

    assert np.array_equal(albedo(0.001, alpha), albedo(0.9, alpha))


@pytest.mark.parametrize(("size", "wanted"), [((7, 9), (20, 33)), ((5, 6), (5, 6)), ((16, 16), (40, 56))])
def test_some_rows_are_enlarged_as_all_of_them_are(size: tuple[int, int], wanted: tuple[int, int]) -> None:
    small = torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(0))
    whole = torch.nn.functional.interpolate(small, wanted, mode="bilinear", align_corners=False)
    for rows in (slice(0, wanted[0]), slice(3, 5)):
        assert torch.allclose(layers_split._enlarged(small, *wanted, rows), whole[:, :, rows], atol=1e-6)


def test_a_render_brighter_than_white_is_not_taken_for_clipped() -> None:
    photo = np.random.default_rng(4).random((32, 32, 3), dtype=np.float32) * 50.0
    found, _ = split(wild(), photo, None, told(), Frame(32, 32, 16), -1.0)
    assert np.abs(recomposed(found) - photo).max() < 1e-4 * photo.max()


def test_what_is_cut_out_is_asked_of_its_own_network(seeing_bank: Bank) -> None:
    header, rng = SplitHeader(replace(SMALL, specular=False), {}), np.random.default_rng(3)
    photo, alpha = rng.random((32, 32, 3), dtype=np.float32), np.ones((32, 32, 1), np.float32)
    one, other = with_split(seeing_bank, header), wild(header.architecture, seed=1)
    two = replace(one, split_cut_out=other, header=replace(one.header, split_cut_out=header))
    alone = replace(one, split=other)

    def albedo(bank: Bank) -> np.ndarray:
        image = np.concatenate([photo, alpha], axis=2)
        return decompose(image, bank, get_preset("draft")).decomposition.layers["albedo"]

    assert np.array_equal(albedo(two), albedo(one)) and not np.array_equal(albedo(two), albedo(alone))
    alpha[:3] = 0.0
    assert np.array_equal(albedo(two), albedo(one)), "a photo that was moved onto another lacks as much"
    alpha[:8] = 0.0
    assert np.array_equal(albedo(two), albedo(alone)) and not np.array_equal(albedo(two), albedo(one))


@pytest.mark.slow
def test_a_bank_with_a_split_network_uses_it_and_says_how_sure_it_is(
    seeing_bank: Bank, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photo = np.random.default_rng(6).random((40, 56, 3), dtype=np.float32)
    preset = Preset("x", (EncoderStart(),), Detail())
    header = SplitHeader(replace(SMALL, specular=False), {"scores": {"familiar": 1e9}})
    bank = with_split(seeing_bank, header)
    outcome = decompose(photo, bank, preset)
    assert np.abs(outcome.decomposition.recomposed - photo)[photo.max(axis=2) < 0.99].max() < 1e-4
    assert outcome.error is not None
    assert outcome.decomposition.metrics["albedo_error"] == pytest.approx(float(outcome.error[..., 0].mean()))
    assert outcome.decomposition.metrics["unusual"] == 0.0
    sure = outcome.decomposition.confidence
    assert sure is not None and np.allclose(sure, np.exp(-outcome.error), atol=1e-6)
    seen = Frame(40, 56, bank.header.resolution).fit(photo)
    missed = srgb_encode(bank.forward_model.compose(encoders_say(bank, seen))) - srgb_encode(seen)
    expected = math.sqrt(outcome.decomposition.metrics["albedo_error"] * float(missed.square().mean().sqrt()))
    assert outcome.decomposition.metrics["unfamiliarity"] == pytest.approx(expected, rel=1e-3)
    assert outcome.decomposition.metrics["caution"] == pytest.approx(caution(float(outcome.error[..., 1].mean())))
    doubtful = replace(header, training={"scores": {"familiar": 1e-9}})
    bank = replace(bank, header=replace(bank.header, split=doubtful))
    assert decompose(photo, bank, preset).decomposition.metrics["unusual"] == 1.0
    plain = decompose(photo, bank, replace(preset, detail=None))
    assert (
        plain.error is None and plain.decomposition.confidence is None and "unusual" not in plain.decomposition.metrics
    )
    # The same on a shell, with a map of the confidence.
    path = tmp_path / "doubtful.safetensors"
    parts = make_bank.Parts.of_bank(bank)
    make_bank.make_bank(path, "doubtful", "lambertian", parts, {})
    write_png(tmp_path / "photo.png", photo)
    out = tmp_path / "out"
    command = ["decompose", str(tmp_path / "photo.png"), "--bank", str(path), "--preset", "draft", "--device", "cpu"]
    assert main([*command, "--out", str(out), "--confidence"]) == 0
    assert "photo.png is unlike what the bank 'doubtful' knows" in capsys.readouterr().err
    assert read_image(out / "photo" / "confidence.exr").shape == (40, 56, 3)


def test_the_tone_under_a_highlight_is_that_of_the_same_paint() -> None:
    red, blue = (torch.tensor(colour).log()[None, :, None, None] for colour in ((0.5, 0.1, 0.1), (0.1, 0.1, 0.6)))
    left = (torch.arange(20) < 10).float()[None, None, None, :].expand(1, 1, 16, 20)
    paint = red * left + blue * (1.0 - left)
    rows, columns = torch.meshgrid(torch.arange(16.0), torch.arange(20.0), indexing="ij")
    lit = ((rows - 8.0).square() + (columns - 9.5).square() < 20.0)[None, None]
    # Taken off too weakly it leaves the paint lighter and a little paler.
    seen = torch.where(lit, 0.9 * paint + 0.3, paint)
    said = layers_split._of_their_colour(seen, torch.ones_like(left), torch.where(lit, 0.2, 1.0))
    assert float((said - paint).abs().amax()) < 0.05
    # Of what cannot be read at all only the place is known.
    said = layers_split._of_their_colour(torch.where(lit, 0.0, paint), torch.where(lit, 0.0, 1.0), (~lit).float())
    assert float((said - paint).abs()[..., (0, 19)].amax()) < 0.01 and bool(said.isfinite().all())


def test_of_one_paint_what_is_near_says_more_than_what_is_far() -> None:
    darker_to_the_left = torch.linspace(-2.0, 0.0, 20).expand(1, 3, 16, 20)
    unread = torch.ones(1, 1, 16, 20)
    unread[..., 8, (3, 16)] = 0.0
    said = layers_split._of_their_colour(darker_to_the_left, torch.ones_like(unread), unread)[0, 0, 8]
    assert float(said[16] - said[3]) > 0.5


def test_under_a_highlight_the_smooth_part_alone_changes() -> None:
    rng = torch.Generator().manual_seed(3)
    rows, columns = torch.meshgrid(torch.arange(32.0), torch.arange(48.0), indexing="ij")
    lit = ((rows - 16.0).square() + (columns - 24.0).square() < 36.0)[None, None].float()
    grain = 0.05 * torch.randn(1, 1, 32, 48, generator=rng)
    paint = torch.tensor((0.5, 0.2, 0.1)).log()[None, :, None, None] + grain
    image = paint.exp() + 0.6 * lit
    stained = paint + 0.5 * lit  # the highlight was taken off too weakly
    other = torch.zeros(1, 3, 32, 48)
    whole = torch.ones(1, 1, 32, 48)

    def tone(specular: torch.Tensor, readable: torch.Tensor, visible: torch.Tensor = whole) -> torch.Tensor:
        photo = Level(image, other, other, other, specular, other)
        return layers_split._tone(photo, visible, stained, readable)

    middle, far = np.s_[..., 14:19, 22:27], np.s_[..., :4, :4]
    change = tone(0.6 * lit, whole)
    assert float(change[middle].mean()) == pytest.approx(-0.5, abs=0.15)
    assert float((stained + change - paint)[middle].std()) < 0.06  # the grain stays
    assert float(change[far].abs().max()) < 0.02
    # Where no highlight was, all that is seen is believed; neither is anything said of what cannot be read at all.
    assert float(tone(0.0 * lit, whole).abs().max()) < 1e-5
    assert float(tone(0.6 * lit, 0.0 * whole).abs().max()) == 0.0
    # Where half of the pixels can be read, they say what all are like.
    half = ((rows + columns) % 2 == 0)[None, None].float()
    assert float(tone(0.6 * lit, half)[middle].mean()) == pytest.approx(-0.5, abs=0.2)
    # A picture may be dim as a whole.
    dim = Level(0.1 * image, other, other, other, 0.06 * lit, other)
    assert torch.allclose(layers_split._tone(dim, whole, stained, whole)[middle], change[middle], atol=0.01)
    # What counts as strong is told by what is visible: a bright part that was cut out does not.
    cut = (columns < 40.0)[None, None].float()
    image[..., 40:] *= 100.0
    assert torch.allclose(tone(0.6 * lit, whole, cut)[middle], change[middle], atol=0.02)


def test_a_simple_method_has_a_say_where_the_network_is_unsure() -> None:
    rng = torch.Generator().manual_seed(7)
    image, visible = torch.rand(1, 3, 24, 20, generator=rng), torch.ones(1, 1, 24, 20)
    visible[..., :8] = 0.0
    shading, gloss = torch.rand(1, 1, 24, 20, generator=rng), torch.rand(1, 1, 24, 20, generator=rng)
    simple = log_shading(image, 0.4, 0.1)

    def mixed(error: float) -> tuple[torch.Tensor, torch.Tensor]:
        errors = torch.full((1, 3, 24, 20), math.log(error))
        errors[..., :8] = 9.0  # what nobody sees does not count
        return with_caution(image, visible, shading, gloss, errors)

    light, believed = mixed(1e-4)
    assert torch.allclose(light, shading, atol=1e-4) and torch.allclose(believed, gloss, atol=1e-4)
    light, believed = mixed(1e4)
    inside = (light - simple)[..., 8:]
    assert float(inside.std()) < 1e-4 and float(believed.max()) < 1e-6
    assert float((light - shading)[..., 8:].mean()) == pytest.approx(0.0, abs=1e-4)
    assert caution(RETINEX_ERROR) == pytest.approx(0.5)  # as sure as the simple method: half of each
    light, believed = mixed(RETINEX_ERROR)
    wanted = (simple - shading) - (simple - shading)[..., 8:].mean()
    slow = slow_part(wanted * visible, 4) / slow_part(visible, 4).clamp_min(1e-3)  # counts with the square of the share
    change = 0.5 * (wanted - slow) + 0.25 * slow
    assert torch.allclose(light - shading, change - change[..., 8:].mean(), atol=1e-4)
    assert torch.allclose(believed, 0.5 * gloss, atol=1e-4)


def test_of_what_is_cut_out_a_jump_without_colour_is_light_and_a_slow_change_of_colour_paint() -> None:
    jump = torch.where(torch.arange(64) < 32, 0.1, 0.6).expand(1, 3, 64, 64)
    hue = torch.linspace(-0.85, 0.85, 64) * torch.tensor((1.0, 0.0, -1.0))[None, :, None, None]  # 0.038 a pixel
    sprayed = (0.3 * torch.linspace(0.5, 1.5, 64) * hue.exp()).expand(1, 3, 64, 64)
    visible, errors = torch.ones(1, 1, 64, 64), torch.full((1, 3, 64, 64), 9.0)
    nothing = torch.zeros(1, 1, 64, 64)
    for image, of_light in ((jump, (0.0, 0.5)), (sprayed, (1.0, 0.5))):
        whole = image.log().mean(dim=1)
        for jumps, share in zip((JUMPS, JUMPS_CUT_OUT), of_light, strict=True):
            light, _ = with_caution(image, visible, nothing, nothing, errors, jumps=jumps)
            assert float(light.std() / whole.std()) == pytest.approx(share, abs=0.12)


def test_the_simple_method_leaves_what_is_finer_than_it_reads() -> None:
    rng = torch.Generator().manual_seed(8)
    image, visible = torch.full((1, 3, 1024, 768), 0.3), torch.ones(1, 1, 1024, 768)
    slope = torch.linspace(-1.0, 1.0, 1024)[None, None, :, None].expand(1, 1, 1024, 768)
    grain = torch.rand(1, 1, 1024, 768, generator=rng)
    errors = torch.full((1, 3, 1024, 768), 9.0)
    light, _ = with_caution(image, visible, slope + grain, grain, errors)  # of a flat image the simple light is flat
    rows = light.mean(dim=3).flatten()
    assert float(rows[:128].mean()) == pytest.approx(float(rows[-128:].mean()), abs=0.01)
    assert 0.85 < float(light.std()) / float(grain.std()) < 1.0


def test_the_simple_method_says_less_of_what_changes_over_a_whole_picture() -> None:
    image, visible = torch.full((1, 3, 256, 192), 0.3), torch.ones(1, 1, 256, 192)
    visible[..., :20] = 0.0
    errors = torch.full((1, 3, 256, 192), math.log(0.2))
    share = caution(0.2)
    for waves, left in ((1.0, 1.0 - share**2), (16.0, 1.0 - share)):
        light = torch.linspace(0.0, waves * math.tau, 256).sin()[None, None, :, None].expand(1, 1, 256, 192)
        found, _ = with_caution(image, visible, light, light, errors)
        assert float(found[..., 20:].std()) == pytest.approx(left * float(light.std()), rel=0.05)


@pytest.mark.parametrize(("height", "width"), [(683, 1024), (237, 301), (64, 64), (63, 500), (1, 1), (5, 900)])
def test_a_photo_is_looked_at_in_a_size_that_can_be_halved_evenly(height: int, width: int) -> None:
    network = Split(SplitConfig())
    size = network.fitting_size(height, width)
    assert network.fitting_size(*size) == size
    levels = network._pyramid(torch.zeros(1, 1, *size))
    assert all(
        2 * b == a for one, next_ in pairwise(levels) for a, b in zip(one.shape[2:], next_.shape[2:], strict=True)
    )
    assert all(side % 2 ** (len(network.config.widths) - 1) == 0 for side in levels[-1].shape[-2:])
    if min(height, width) >= 64:
        assert all(abs(new / old - 1.0) < 0.2 for new, old in zip(size, (height, width), strict=True))

    seen = []

    def looks(*asked: Any) -> Level:
        seen.append(tuple(asked[1].shape[-2:]))
        return look(*asked)

    small = wild(SMALL)
    photo = np.random.default_rng(0).random((37, 53, 3)).astype(np.float32)
    layers, _ = split(small, photo, None, told(), Frame(37, 53, 16), None, looks=looks)
    assert seen == [small.fitting_size(37, 53)] and layers.whole()["albedo"].shape == photo.shape


def test_a_rest_of_the_opposite_colour_is_paint_or_in_a_highlight_less_light() -> None:
    image = torch.tensor([0.9, 0.9, 0.9])[None, :, None, None].repeat(1, 1, 2, 3)
    albedo = torch.tensor([0.89, 0.5, 0.3])[None, :, None, None].repeat(1, 1, 2, 3)
    dull = torch.tensor([1.0, 0.5, 0.0]).expand(1, 1, 2, 3)
    made = _exact(image, albedo, torch.ones(1, 1, 2, 3), dull, 0.995, True)
    assert torch.allclose(made["albedo"] * made["shading"] + made["specular"], image, atol=1e-6)
    strongest, weakest = made["specular"].amax(dim=1)[0, 0], made["specular"].amin(dim=1)[0, 0]
    assert (strongest < 2.0 * weakest + 0.0021).all()  # no blue ring around a rim that is white
    assert torch.allclose(made["shading"][..., 0], torch.ones(2))  # of a rim: paler paint
    assert torch.allclose(made["albedo"][..., 2], albedo[..., 2])  # in a highlight: less light
    assert (made["shading"][..., 2] > 0.6).all() and strongest[0] < strongest[1] < strongest[2]
    assert made["albedo"].max() == albedo.max()  # paler paint, not a brighter one
    weak = _exact(image, albedo, torch.full((1, 1, 2, 3), 1.01), dull, 0.995, True)["shading"]
    assert torch.allclose(weak[..., 2], made["shading"][..., 2])  # whatever was supposed
    blue = torch.tensor([0.2, 0.3, 0.8])[None, :, None, None].repeat(1, 1, 2, 3)
    paint = torch.tensor([0.1, 0.2, 0.5])[None, :, None, None].repeat(1, 1, 2, 3)
    metal = _exact(blue, paint, torch.ones(1, 1, 2, 3), dull, 0.995, True)
    assert torch.allclose(metal["specular"], blue - paint)  # gloss of the paint's own colour stays as it is
    clipped = _exact(
        image + torch.tensor([0.1, 0.0, 0.0])[:, None, None], albedo, torch.ones(1, 1, 2, 3), dull, 0.995, True
    )
    assert torch.allclose(clipped["albedo"], albedo) and torch.allclose(clipped["shading"], torch.ones(1, 3, 2, 3))
    bright = _exact(2.0 * image, albedo, torch.ones(1, 1, 2, 3), dull, math.inf, True)
    assert bright["albedo"].max() == albedo.max()
    assert torch.allclose(bright["albedo"] + bright["specular"], 2.0 * image, atol=1e-6)


# Its training


def learner_of(**settings: float | bool) -> SplitLearner:
    ranges = PhotoRanges(share=0.2, vignetting=0.0, exposure=0.0, white_balance=0.0, contrast=0.0)
    config = replace(SMALL, specular=False)
    return SplitLearner(None, config, SplitSettings(crop=16, **settings), ranges, kimg=1.0)  # type: ignore[arg-type]


def test_crops_have_every_size_that_can_be_halved_evenly(data: ComponentSets) -> None:
    learner = learner_of(batch=16, whole=0.2)
    seen = set()
    for seed in range(60):
        linear = learner._sample(data, torch.Generator().manual_seed(seed))
        count, _, height, width = linear["albedo"].shape
        assert height == width and learner.network.fitting_size(height, width) == (height, width)
        assert count == max(1, 16 * 16**2 // height**2)  # as many pixels in every step
        seen.add(height)
    assert seen == set(range(16, data.resolution + 1, 4))


AS_RENDERED = as_rendered(SplitSettings())


def test_another_light_and_paint_make_a_metered_photo(data: ComponentSets) -> None:
    linear = data.linear(data.batch(torch.arange(16)))
    rng = torch.Generator().manual_seed(0)
    settings = SplitSettings(relief=0.0, dimmest=0.2, brightest=0.2)
    albedo, shading, specular = another_light(linear, settings, rng)
    shown = (albedo * shading + specular).clamp_max(2.0)
    weights = torch.tensor((0.2126, 0.7152, 0.0722))[None, :, None, None]
    assert (shown * weights).sum(dim=1).mean(dim=(1, 2)).tolist() == pytest.approx([0.2] * 16, rel=0.1)
    assert float(albedo.max()) <= 0.98 and not torch.equal(albedo, linear["albedo"])


def test_airbrushed_colours_run_into_each_other_and_follow_the_form() -> None:
    wall, across = torch.full((2, 3, 128, 128), 0.3), torch.linspace(0.1, 2.0, 128)
    light = across.expand(2, 3, 128, 128)
    followed, sharp, soft = [], [], []
    for seed in range(24):
        painted = flat_colours(wall, torch.Generator().manual_seed(seed), light, 1.0).log()
        hard = flat_colours(wall, torch.Generator().manual_seed(seed), light, 0.0).log()
        assert torch.equal(hard, flat_colours(wall, torch.Generator().manual_seed(seed)).log())
        assert torch.isfinite(painted).all()
        columns, rows = painted.mean(dim=2), painted.mean(dim=3)
        followed.append(float(columns.std(dim=2).mean() - rows.std(dim=2).mean()))
        for kept, paint in ((soft, painted), (sharp, hard)):
            steps = paint.diff(dim=3).abs()
            kept.append(float(steps[steps > 1e-3].sum() / (steps > 1e-3).sum().clamp_min(1)))
    assert sum(followed) / len(followed) > 0.1, "paint changes where the light does"
    assert sum(soft) < 0.7 * sum(sharp)


def test_paint_loses_contrast_and_nothing_else_changes(data: ComponentSets) -> None:
    linear = data.linear(data.batch(torch.arange(16)))
    settings = replace(AS_RENDERED, plain=1.0)
    albedo, shading, _ = another_light(linear, settings, torch.Generator().manual_seed(0))
    where = (linear["albedo"].amin(dim=1) >= 0.004).all(dim=2).all(dim=1)
    assert where.sum() > 8
    before, after = (image[where].log().std(dim=(2, 3)) for image in (linear["albedo"], albedo))
    assert (after <= 0.5 * before + 1e-6).all() and (after > 0.0).any()
    exposure = (shading / linear["shading"].clamp_min(1e-6))[where]
    assert (exposure.amax(dim=(1, 2, 3)) / exposure.amin(dim=(1, 2, 3))).max() < 1.001
    one = less_contrast(linear["albedo"], torch.zeros(16, 1, 1, 1))[where]
    assert one.std(dim=(2, 3)).max() < 1e-5
    assert torch.equal(less_contrast(torch.zeros(1, 3, 4, 4), torch.zeros(1, 1, 1, 1)), torch.zeros(1, 3, 4, 4))


def test_a_few_flat_colours_replace_the_paint_and_leave_the_light(data: ComponentSets) -> None:
    linear = data.linear(data.batch(torch.arange(16)))
    where = valid(linear["albedo"]) > 0.5
    painted = flat_colours(linear["albedo"], torch.Generator().manual_seed(0))
    assert torch.equal(torch.where(where, 0.0, painted), torch.where(where, 0.0, linear["albedo"]))
    assert float(painted[where.expand_as(painted)].min()) >= 0.004 and torch.isfinite(painted).all()
    crossed = []
    for seed in range(24):
        wall = flat_colours(torch.full((2, 3, 128, 128), 0.3), torch.Generator().manual_seed(seed)).log()
        steps = torch.stack([wall.diff(dim=2)[..., 1:], wall.diff(dim=3)[:, :, 1:]]).abs().amax(dim=(0, 2))
        crossed.append(float((steps > 1e-4).float().mean()))
    assert max(crossed) < 0.7 and min(crossed) == 0.0 and max(crossed) > 0.05, "flat but for the borders of several"
    settings = replace(AS_RENDERED, flat=1.0, dimmest=0.2, brightest=0.2)
    albedo, shading, _ = another_light(linear, settings, torch.Generator().manual_seed(0))
    assert not torch.equal(albedo, linear["albedo"])
    lit = (linear["shading"] > 1e-3).all(dim=1)
    for exposure, seen in zip((shading / linear["shading"].clamp_min(1e-6))[:, 0], lit, strict=True):
        assert float(exposure[seen].max() / exposure[seen].min()) < 1.001


def test_thin_lines_are_drawn_upon_the_paint_and_nothing_else_changes(data: ComponentSets) -> None:
    linear = data.linear(data.batch(torch.arange(16)))
    where = valid(linear["albedo"]) > 0.5
    drawn = drawn_upon(linear["albedo"], torch.Generator().manual_seed(0))
    assert torch.equal(torch.where(where, 0.0, drawn), torch.where(where, 0.0, linear["albedo"]))
    shares, insides = [], []
    for seed in range(24):
        wall = torch.full((2, 3, 128, 128), 0.3)
        line = (drawn_upon(wall, torch.Generator().manual_seed(seed)) != wall).any(dim=1, keepdim=True).float()
        shares.append(float(line.mean()))
        insides.append(float((-torch.nn.functional.max_pool2d(-line, 9, 1, 4)).sum() / line.sum().clamp_min(1.0)))
    assert 0.02 < sum(shares) / 24 < 0.4 and sum(insides) / 24 < 0.05, "lines, and no patches"
    settings = replace(AS_RENDERED, strokes=1.0, dimmest=0.2, brightest=0.2)
    albedo, shading, _ = another_light(linear, settings, torch.Generator().manual_seed(0))
    assert not torch.equal(albedo, linear["albedo"]) and as_rendered(settings).strokes == 0.0
    lit = (linear["shading"] > 1e-3).all(dim=1)
    for exposure, seen in zip((shading / linear["shading"].clamp_min(1e-6))[:, 0], lit, strict=True):
        assert float(exposure[seen].max() / exposure[seen].min()) < 1.001


def test_a_lamp_near_by_changes_the_light_smoothly_and_the_paint_not_at_all(data: ComponentSets) -> None:
    linear = data.linear(data.batch(torch.arange(16)))
    settings = replace(AS_RENDERED, falloff=1.0, dimmest=0.2, brightest=0.2)
    linear["specular"] = linear["shading"] / 2.0
    albedo, shading, specular = another_light(linear, settings, torch.Generator().manual_seed(0))
    assert torch.equal(albedo, linear["albedo"]) and torch.allclose(specular, shading / 2.0)
    change = (shading / linear["shading"].clamp_min(1e-6)).log()[:, 0]
    change = change[(linear["shading"] > 0.0).all(dim=1).flatten(1).all(dim=1)]
    assert len(change) > 8
    spread = change.amax(dim=(1, 2)) - change.amin(dim=(1, 2))
    assert spread.min() > 0.02 and spread.max() > 0.5
    assert change.diff(dim=1).abs().max() < 0.5 and change.diff(dim=2).abs().max() < 0.5


def test_a_shadow_takes_light_and_gloss_and_what_the_sky_leaves_is_blue(data: ComponentSets) -> None:
    settings = replace(AS_RENDERED, shadows=1.0, dimmest=0.2, brightest=0.2)
    white = torch.full((16, 3, 64, 64), 0.5)
    shapes = set()
    for seed in range(12):
        linear = {"albedo": white, "shading": 2.0 * white, "specular": white}
        albedo, shading, specular = another_light(linear, settings, torch.Generator().manual_seed(seed))
        assert torch.equal(albedo, white) and torch.allclose(specular, shading / 2.0)
        left = shading / shading.amax(dim=(2, 3), keepdim=True)
        darkest = left.flatten(2).amin(dim=2)
        half = (1.0 + darkest[:, 1, None]) / 2.0
        lit = (left[:, 1].flatten(1) > half).float().mean(dim=1)
        assert lit.min() > 0.1 and lit.max() < 0.95  # of the picture lie in the sun
        assert (darkest > 0.02).all() and (darkest[:, 1] < 0.8).all()
        assert (darkest[:, 2] >= darkest[:, 1] - 1e-3).all() and (darkest[:, 1] >= darkest[:, 0] - 1e-3).all()
        shapes.add(round(float(left.diff(dim=3).abs().mean()), 4))
    assert len(shapes) == 12 and as_rendered(settings).shadows == 0.0


def test_harder_light_keeps_its_mean_and_its_colours(data: ComponentSets) -> None:
    linear = data.linear(data.batch(torch.arange(8)))
    albedo, shading = linear["albedo"], linear["shading"].clamp_min(1e-3) * torch.tensor([1.0, 0.9, 0.7])[:, None, None]
    twice = harder(shading, albedo, torch.full((8, 1, 1, 1), 2.0))
    assert torch.equal(harder(shading, albedo, torch.ones(8, 1, 1, 1)), shading)
    before, after = (luminance(light).log().flatten(1) for light in (shading, twice))
    where = valid(albedo).flatten(1) > 0.5
    for one, other, seen in zip(before, after, where, strict=True):
        assert torch.allclose((other - one[seen].mean())[seen], 2.0 * (one - one[seen].mean())[seen], atol=1e-3)
    assert torch.allclose(twice / luminance(twice), shading / luminance(shading), rtol=1e-4)
    settings = replace(AS_RENDERED, hard=1.0)
    _, drawn, _ = another_light(linear, settings, torch.Generator().manual_seed(0))
    wider, usual = (
        luminance(light).clamp_min(1e-4).log().flatten(1).std(dim=1) for light in (drawn, linear["shading"])
    )
    assert (wider > 1.01 * usual).float().mean() > 0.5


def test_a_relief_is_lit_from_one_side_and_keeps_the_mean_of_the_light(data: ComponentSets) -> None:
    linear = data.linear(data.batch(torch.arange(8)))
    settings = replace(AS_RENDERED, relief=1.0)
    albedo, lit, _ = another_light(linear, settings, torch.Generator().manual_seed(0))
    assert torch.equal(albedo, linear["albedo"])
    where = (linear["shading"] > 0.0).all(dim=1)
    factor = (lit / linear["shading"].clamp_min(1e-6))[:, 0]
    for one, seen in zip(factor, where, strict=True):
        told = one[seen] / one[seen].mean()
        assert 0.02 < told.std() < 1.0 and told.min() > 0.0, "a slope that no light reaches would be black"


def test_slopes_that_mirror_the_lamp_are_glints_and_paint_and_light_stay(data: ComponentSets) -> None:
    linear = data.linear(data.batch(torch.arange(8)))
    for part in linear.values():
        part[:, :, :8] = 0.0
    dull = replace(AS_RENDERED, relief=1.0)
    albedo, lit, glossy = another_light(linear, replace(dull, glints=1.0), torch.Generator().manual_seed(0))
    assert torch.equal(albedo, linear["albedo"])
    here = (linear["shading"] > 0.0).all(dim=1)
    relief = (lit / linear["shading"].clamp_min(1e-6))[:, 0]
    assert all(0.02 < float((one[seen] / one[seen].mean()).std()) < 1.0 for one, seen in zip(relief, here, strict=True))
    *_, matt = another_light(linear, dull, torch.Generator().manual_seed(0))
    assert glossy[:, :, 8:].any() and not glossy[:, :, :8].any(), "what shows nothing mirrors nothing"
    assert not matt.any(), "and without a gloss of its own nothing does"
    steep = torch.linspace(-8.0, 8.0, 256)
    slopes = torch.stack(torch.meshgrid(steep, steep, indexing="xy"))[None].expand(16, -1, -1, -1)
    shine = _glints(slopes, torch.Generator().manual_seed(0))
    peaks = shine.amax(dim=(2, 3), keepdim=True)
    assert float(peaks.min()) > 0.05 and float(peaks.max()) <= 10.0, "somewhere the lamp is mirrored"
    assert float((shine > 0.5 * peaks).float().mean(dim=(1, 2, 3)).max()) < 0.02, "and by hardly any slope"


def test_what_is_cut_out_stands_before_a_backdrop_and_nothing_else_changes() -> None:
    linear = {name: torch.full((30, 3, 32, 32), level) for name, level in (("albedo", 0.3), ("shading", 0.5))}
    linear["specular"] = torch.full((30, 3, 32, 32), 0.02)
    for image in linear.values():
        image[:24, :, :, :16] = 0.0  # the last six fill their pictures
    settings = replace(AS_RENDERED, backdrop=1.0, dimmest=0.1, brightest=0.1)
    albedo, shading, specular = another_light(linear, settings, torch.Generator().manual_seed(0))
    plain = another_light(linear, replace(settings, backdrop=0.0), torch.Generator().manual_seed(0))
    inside = (slice(0, 24), slice(None), slice(None), slice(18, None))  # but for what is transparent at the outline
    for one, other in zip((albedo, shading, specular), plain, strict=True):
        assert torch.equal(one[24:], other[24:]) and (other[:24, :, :, :16] == 0.0).all()
    assert torch.equal(albedo[inside], plain[0][inside])
    gain = (shading / plain[1].clamp_min(1e-6))[inside]
    assert torch.allclose(specular[inside], gain * plain[2][inside]) and float(gain.std(dim=(1, 2, 3)).max()) < 1e-5
    paint, light = albedo[:24, :, :, :16], shading[:24, :, :, :16]
    assert (specular[:24, :, :, :16] == 0.0).all() and (paint > 0.0).all() and (light > 0.0).all()
    assert float(paint.std(dim=(2, 3)).max()) < 1e-6, "one paint each"
    assert (paint.amin(dim=(1, 2, 3)) > 0.6).float().mean() >= 0.5, "white most often"
    assert (paint * light).amax() > 1.0, "and clipped"
    assert float(light.diff(dim=3).abs().max()) < 0.2 and torch.equal(light[:, :1].expand(-1, 3, -1, -1), light)


def test_the_local_error_is_that_of_each_window_times_a_factor_of_its_own() -> None:
    truth = torch.rand(2, 1, 24, 40, generator=torch.Generator().manual_seed(0)) + 0.1
    everywhere = torch.ones_like(truth)
    stepwise = torch.ones_like(truth)
    stepwise[..., 16:] = 5.0
    assert float(_local_error(3.0 * truth, truth, everywhere).max()) < 1e-6
    flat = _local_error(everywhere, truth, everywhere)
    # Windows of 16, each over half of the next.
    windows = [truth[..., top : top + 16, left : left + 16] for top in (0, 8) for left in (0, 8, 16, 24)]
    left = sum((window - window.mean(dim=(2, 3), keepdim=True)).square().sum(dim=(1, 2, 3)) for window in windows)
    assert torch.allclose(flat, left / sum(window.square().sum(dim=(1, 2, 3)) for window in windows), rtol=1e-4)
    assert (_local_error(stepwise, truth, everywhere) > flat).all(), "a jump within a window is an error"
    cut = everywhere.clone()
    cut[..., 20:] = 0.0
    half = torch.where(cut > 0.0, truth, 7.0)
    assert float(_local_error(half, truth, cut).max()) < 1e-6, "what is cut out is none"
    assert torch.equal(_local_error(truth, truth * 0.0, everywhere), torch.zeros(2))


def test_a_light_that_nobody_sees_may_be_of_any_size() -> None:
    plane = torch.full((1, 1, 16, 16), 0.5)
    seen = torch.ones_like(plane)
    seen[..., :4] = 0.0
    unseen = torch.where(seen > 0.0, 0.0, 200.0).requires_grad_()
    level = Level(plane.expand(-1, 3, -1, -1), plane, unseen, plane, 0.0 * plane, plane.expand(-1, 3, -1, -1))
    missed = _missed(level, Truth(plane, 0.25 * level.image, seen))
    assert all(bool(part.isfinite().all()) for part in missed.values())
    missed["lmse"].sum().backward()
    assert unseen.grad is not None and unseen.grad.isfinite().all() and float(missed["lmse"].detach()) < 1e-6


def test_what_is_left_of_a_highlight_counts_by_how_much_brighter_it_is_than_the_paint() -> None:
    diffuse = torch.full((1, 1, 16, 16), 0.02)
    highlight = torch.zeros_like(diffuse)
    highlight[..., :4] = 0.9
    picture = (diffuse + highlight).expand(-1, 3, -1, -1)
    truth = Truth(diffuse, diffuse.expand_as(picture), torch.ones_like(diffuse))

    def missed(share: float) -> tuple[float, float]:
        gloss = (share * highlight / picture[:, :1]).requires_grad_()
        specular = specular_of(picture, gloss)
        level = Level(picture, diffuse, diffuse.log(), gloss, specular, torch.zeros_like(picture))
        part = _missed(level, truth)["under_gloss"].sum()
        part.backward()
        assert gloss.grad is not None and not gloss.grad[..., 4:].any(), "paint without gloss is no part of it"
        return float(part.detach()), float(gloss.grad.sum())

    (none, up), (half, _), (whole, _), (dug, down) = (missed(share) for share in (0.0, 0.5, 1.0, 1.01))
    assert none == pytest.approx(0.25 * math.log(0.924 / 0.024), rel=1e-4), "a quarter of the picture"
    assert none > half > 0.7 * none and up < 0.0, "much of it gone is a bright spot yet, and the more is wanted"
    assert whole < 1e-4 < dug and down > 0.0, "and too much of it is none either"


def test_a_training_takes_nothing_but_what_is_cut_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    packs = [str(write_renders(tmp_path / f"{name}.tar", 8, cut_out=5, seed=seed)) for seed, name in enumerate("ab")]
    data, all_of_it = read_cut_out(packs, "lambertian"), read_component_sets(packs, "lambertian")
    assert len(data) == 10 and [pack.count for pack in data.packs] == [5, 5]
    for name, images in data.sets.items():
        whole = all_of_it.sets[name].images
        assert torch.equal(images.images, torch.cat([whole[:5], whole[8:13]]))
    out = tmp_path / "run"
    command = ["train-split", "--forward-model", "lambertian", *OPTIONS, "--batch", "2", "--crop", "16", "--cut-out"]
    assert main([*command, "--data", packs[0], "--validation", packs[1], "--kimg", "0.004", "--out", str(out)]) == 0
    said, stretch = capsys.readouterr().out, read_checkpoint(out / CHECKPOINT_NAME)[1]["history"][-1]
    assert "5 samples" in said and "validation: samples 5" in said
    assert stretch["settings"]["cut_out"] and stretch["packs"][0]["count"] == 5
    full = str(write_renders(tmp_path / "full.tar", 3))
    assert main([*command, "--data", full, "--out", str(tmp_path / "no")]) == 2
    assert "No render of the packs shows something cut out" in capsys.readouterr().err


def test_what_shows_nothing_makes_no_expected_error_smaller(tmp_path: Path) -> None:
    packs = [write_renders(tmp_path / f"{cut_out}.tar", 8, cut_out=cut_out) for cut_out in (0, 8)]
    full, cut = (learner_of().validate(read_component_sets([pack], "lambertian")) for pack in packs)
    assert cut["expected"] == pytest.approx(full["expected"], rel=0.02), "both of a network that has learned nothing"
    assert cut["usual"] == pytest.approx(full["usual"], rel=0.05)


def test_what_is_cut_out_has_paint_all_over_when_it_is_repainted(tmp_path: Path) -> None:
    data = read_cut_out([write_renders(tmp_path / "cut.tar", 8, cut_out=8)], "lambertian")
    for share in (0.0, 1.0):
        linear = repainted(data, 40, share, torch.Generator().manual_seed(1))
        lit, painted = (linear[name].amax(dim=1) > 0.0 for name in ("shading", "albedo"))
        assert torch.equal(lit, painted) and not bool(lit.all())


@pytest.mark.slow
def test_it_learns_what_holds_for_renders_that_it_has_not_seen(packs: tuple[Path, Path], data: ComponentSets) -> None:
    unseen = read_component_sets([packs[1]], "lambertian")
    learner = learner_of(batch=8, ema_kimg=0.2)
    before = learner.validate(unseen)
    for _ in range(80):
        learner.step(data)
    scores = learner.validate(unseen)
    assert scores["samples"] == 48 and "familiar" not in scores
    assert scores["shading"] < 0.8 * before["shading"] and scores["shading"] < 0.8 * scores["no_shading"]


@pytest.mark.slow
def test_a_preset_may_look_at_a_smaller_photo(seeing_bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    def noted(network: Split, image: torch.Tensor, *others: Any, **more: Any) -> Level:
        seen.append((image.shape[2], len(looked_at(others[2]))))
        return look(network, image, *others, **more)

    monkeypatch.setattr(pipeline, "look", noted)
    header = SplitHeader(replace(SMALL, specular=False), {})
    bank = with_split(seeing_bank, header)
    photo = np.random.default_rng(6).random((600, 400, 3), dtype=np.float32)
    found = {}
    for size in (None, 128, 5000):
        preset = Preset("x", (EncoderStart(),), Detail(seen_at=size))
        found[size] = decompose(photo, bank, preset).decomposition.layers
    # And in fewer orientations, or the smaller look would be no faster.
    assert seen == [(576, 4), (128, 2), (576, 4)]  # of 600: the network halves it evenly
    assert np.array_equal(found[None]["albedo"], found[5000]["albedo"])
    assert not np.allclose(found[None]["albedo"], found[128]["albedo"], atol=1e-3)
    shown: list[int] = []
    decompose(photo, bank, preset, on_preview=lambda step, layers: shown.append(step), preview_size=60)
    assert shown == [0] and seen[3:] == [(64, 1), (576, 4)], "a preview is a look in one orientation"
    decompose(photo, bank, replace(preset, detail=Detail(orientations=2)))
    assert seen[5:] == [(576, 8)], "of a photo of the most pixels 2"


def test_who_stops_while_the_layers_are_made_does_not_wait_for_all_looks(
    seeing_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank, seen = with_split(seeing_bank, SplitHeader(replace(SMALL, specular=False), {})), []
    forward = Split.forward

    def noted(self: Split, *shown: Tensor) -> list[Level]:
        seen.append(shown[0].shape)
        return forward(self, *shown)

    monkeypatch.setattr(Split, "forward", noted)
    photo = np.random.default_rng(6).random((48, 40, 3), dtype=np.float32)
    preset = Preset("x", (EncoderStart(),), Detail())
    with pytest.raises(Discarded):
        decompose(photo, bank, preset, monitor=Monitor(discarded=lambda: len(seen) >= 2))
    assert len(seen) == 2
    for looks in (0, 3):
        del seen[:]
        found = decompose(photo, bank, preset, monitor=Monitor(cancelled=lambda looks=looks: len(seen) >= looks))
        assert found.cancelled and len(seen) == max(looks, 1), "the best so far has layers"
        assert np.abs(found.decomposition.recomposed - photo).max() < 1e-5


def test_how_long_the_network_looks_is_told_where_it_is_chosen() -> None:
    assert set(Detail().to_json()) == {"radius", "share", "brightness"}
    chosen = Detail(seen_at=512, orientations=2)
    assert Detail(**chosen.to_json()) == chosen
    for wrong in ({"seen_at": 0}, {"orientations": 0}):
        with pytest.raises(JoinError, match="othing is seen"):
            Detail(**wrong)


@pytest.mark.parametrize(
    ("height", "width", "ways", "quick"), [(256, 256, 16, 8), (512, 512, 4, 2), (1024, 1024, 1, 1), (3000, 1000, 3, 1)]
)
def test_the_larger_a_photo_the_fewer_the_orientations(height: int, width: int, ways: int, quick: int) -> None:
    photo = np.zeros((height, width, 3), np.float32)
    assert [_affordable(photo, seen_at) for seen_at in (None, 1024, 512)] == [ways, ways, quick]
    assert _affordable(photo, None, 2) == 2 * ways


def test_an_albedo_is_brought_between_the_blackest_and_the_brightest_paint() -> None:
    albedo = torch.tensor([0.001, 0.5, 3.0])[None, None, None] * torch.tensor([1.0, 0.5, 0.25])[None, :, None, None]
    found = albedo * into_bounds(albedo)
    torch.testing.assert_close(found.amax(dim=1).flatten(), torch.tensor([BLACKEST, 0.5, BRIGHTEST]))
    torch.testing.assert_close(found[:, 1] / found[:, 0], torch.full((1, 1, 3), 0.5))  # colours are kept


def test_what_is_cut_out_is_looked_at_in_several_exposures() -> None:
    network, seen = wild(), []
    network.register_forward_pre_hook(lambda _, shown: seen.append(round(float(shown[0].mean()), 3)))
    image, visible = torch.full((1, 3, 16, 16), 0.6), torch.ones(1, 1, 16, 16)
    look(network, image, visible, None, 4)
    assert seen == [0.6] * 4
    visible[..., :4] = 0.0
    shares = look(network, image, visible, None, 5)
    assert seen[4:] == [0.6, 0.84, 0.42, 1.0, 0.6], "as bright as white at most"
    assert torch.equal(shares.image, image)
    torch.testing.assert_close(shares.specular, 0.6 * shares.gloss)  # of the photo as it is


def test_what_has_an_up_is_neither_learned_nor_looked_at_turned(
    data: ComponentSets, seeing_bank: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(turns: bool) -> torch.Tensor:
        return repainted(data, 32, 0.0, torch.Generator().manual_seed(3), turns)["albedo"]

    free, upright = drawn(True), drawn(False)
    ways = [torch.rot90(upright, quarters, (2, 3)) for quarters in range(4)]
    same = torch.stack([(way - free).abs().amax(dim=(1, 2, 3)) == 0.0 for way in ways])
    assert bool(same.any(dim=0).all()) and not bool(same[0].all())
    seen: list[tuple[Orientation, ...]] = []

    def noted(ways: int, upright: bool = False) -> tuple[Orientation, ...]:
        seen.append(looked_at(ways, upright))
        return seen[-1]

    monkeypatch.setattr(layers_split, "looked_at", noted)
    photo = np.random.default_rng(6).random((40, 56, 3), dtype=np.float32)
    for settings, ways_looked_at in (({}, 8), ({"turns": True}, 8), ({"turns": False}, 2)):
        header = SplitHeader(replace(SMALL, specular=False), {"stretches": [{"settings": settings}]})
        bank = with_split(seeing_bank, header)
        decompose(photo, bank, Preset("x", (EncoderStart(),), Detail()))
        assert len(set(seen[-1])) == ways_looked_at
    assert seen[-1] == (Orientation(False), Orientation(True))


@pytest.mark.slow
def test_resume_equals_no_interruption(tmp_path: Path, data: ComponentSets) -> None:
    check_resumes(lambda: learner_of(batch=4, whole=0.0), data, tmp_path)


GROWN = {"blocks": 3, "inner": (10, 12), "retinex": True, "chromatic": True}


def test_a_network_begins_as_a_smaller_one_where_that_changes_nothing() -> None:
    small = replace(SMALL, inner=(10,), retinex=True)
    torch.manual_seed(0)
    photo, seen, hints = torch.rand(1, 3, 30, 34), torch.ones(1, 1, 30, 34), torch.zeros(1, 7, 1, 1)
    few = Split(small)
    for parameter in few.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    deeper = replace(small, inner=(10, 12, 14), chromatic=True)
    learner = SplitLearner(None, deeper, SplitSettings(), PhotoRanges(), kimg=1.0)
    learner.begin_with(few, "split network", "bank.safetensors", "split_missing", "")
    for a, b in zip(few(photo, seen, hints)[-1], learner.average(photo, seen, hints)[-1], strict=True):
        assert torch.equal(a, b)
    for other in (replace(small, blocks=3), replace(small, inner=()), replace(small, inner=(12, 10))):
        assert not small.grows_to(other), "blocks around a U-Net would stand elsewhere"
    assert SMALL.grows_to(replace(SMALL, blocks=3, inner=(10,)))


@pytest.mark.slow
def test_a_training_goes_on_as_a_larger_network_which_changes_nothing_at_first(
    tmp_path: Path, data: ComponentSets
) -> None:
    def run(bank: str = "one", **other: Any) -> Run:
        config = replace(SMALL, specular=False, **other)
        settings = SplitSettings(batch=4, crop=16)
        learner = SplitLearner(None, config, settings, PhotoRanges(share=0.0), kimg=1.0)
        identity = {"kind": "split", "architecture": config.to_dict(), "bank": bank}
        return Run(learner, identity, data, None, tmp_path)

    small = run()
    small.resume()
    small.train(0.04, 1e9, 1.0, 0.0)
    large = run(**GROWN)
    large.resume()
    assert large.learner.images == small.learner.images and len(large.history) == 2
    assert large.history[0]["architecture"]["blocks"] == 1 and "architecture" not in large.history[1]
    assert "inner" not in large.history[0]["architecture"], "banks of before must keep their bytes"
    photo, seen, hints = torch.rand(1, 3, 30, 34), torch.ones(1, 1, 30, 34), torch.zeros(1, 7, 1, 1)
    for name in ("network", "average"):
        before, after = (getattr(one.learner, name)(photo, seen, hints)[-1] for one in (small, large))
        for a, b in zip(before, after, strict=True):
            assert torch.equal(a, b)
    large.train(0.08, 1e9, 1.0, 0.0)
    network = large.learner.network
    grown = (network.finer[2].second, network.inner.up, network.inner.inner[0].up)
    sights = [part for name, part in network.named_children() if name.startswith(("retinex", "chromatic"))]
    assert len(sights) == 4
    for layer in (*grown, *sights):
        assert layer.weight.abs().max() > 0.0
    again = run(**GROWN)
    again.resume()
    assert again.learner.optimizer.state_dict()["state"]
    other = run("another", **GROWN)
    other.resume()
    assert other.learner.optimizer.state_dict()["state"], "told of another bank's generators, all else goes on"
    for other in ({}, GROWN | {"width": SMALL.width + 1}, GROWN | {"inner": (10,)}, GROWN | {"retinex": False}):
        with pytest.raises(JoinError, match="another training or architecture"):
            run(**other).resume()


@pytest.mark.parametrize("name", ["retinex", "chromatic"])
def test_retinex_of_a_level_reaches_the_network(name: str) -> None:
    network = Split(replace(SMALL, **{name: True}))
    torch.nn.init.normal_(network.get_submodule(f"{name}_finer_into").weight)
    torch.nn.init.normal_(network.get_submodule(f"{name}_into").weight)
    photo = torch.linspace(0.3, 0.6, 32).expand(1, 3, 32, 32)
    seen, hints = torch.ones(1, 1, 32, 32), torch.zeros(1, 7, 1, 1)
    with_retinex = network(photo, seen, hints)[-1].shading
    blind = Split(SMALL)
    blind.load_state_dict({k: v for k, v in network.state_dict().items() if not k.startswith(name)})
    assert (with_retinex - blind(photo, seen, hints)[-1].shading).abs().max() > 1e-4


@pytest.mark.slow
def test_the_command_trains_and_the_network_gets_into_a_bank(
    tmp_path: Path, packs: tuple[Path, Path], seeing_bank: Bank, quiet: None, capsys: pytest.CaptureFixture[str]
) -> None:
    run, out = tmp_path / "run", tmp_path / "with.safetensors"
    command = ["--data", str(packs[0]), "--validation", str(packs[1]), "--out", str(run), *OPTIONS, "--batch", "8"]
    assert main(["train-split", *command, "--bank", str(seeing_bank.path), "--kimg", "0.032", "--crop", "16"]) == 0
    assert "validation: samples 48" in capsys.readouterr().out
    assert main(["make-bank", "--bank", str(seeing_bank.path), "--split", str(run), "--out", str(out)]) == 0
    bank = load_bank(out)
    assert bank.split is not None and bank.header.split is not None
    assert bank.header.split.architecture == replace(SplitConfig((8, 12), 8, 1), specular=False)
    assert bank.header.split.training["images_shown"] >= 32
    assert "split network" in out.with_suffix(".md").read_text(encoding="utf-8")
    scores = bank.header.split.training["scores"]
    assert math.isfinite(scores["alone"]) and scores["familiar"] > 0.0

    # A new training begins with that network, and says so; not with another architecture, or without one.
    new = ["train-split", "--data", str(packs[0]), "--out", str(tmp_path / "new"), "--kimg", "0", *OPTIONS[-4:]]
    assert main([*new, "--start-from", str(seeing_bank.path)]) == 2
    assert "no split network" in capsys.readouterr().err
    assert main([*new, "--start-from", str(out), "--width", "9"]) == 2
    assert "another architecture" in capsys.readouterr().err and not (tmp_path / "new").exists()
    assert main([*new, "--start-from", str(out)]) == 0
    tensors, values = read_checkpoint(tmp_path / "new" / CHECKPOINT_NAME)
    for key, value in bank.split.state_dict().items():
        assert torch.equal(tensors[f"average.{key}"], value) and torch.equal(tensors[f"network.{key}"], value)
    assert values["history"][-1]["start_from"]["file"] == out.name


@pytest.mark.slow
def test_a_bank_gets_the_mean_of_its_own_network_and_of_a_trained_one(
    tmp_path: Path, packs: tuple[Path, Path], seeing_bank: Bank, quiet: None, capsys: pytest.CaptureFixture[str]
) -> None:
    runs, banks = [tmp_path / name for name in "abc"], [tmp_path / f"{name}.safetensors" for name in "abc"]
    train = ["train-split", "--data", str(packs[0]), *OPTIONS, "--batch", "8", "--kimg", "0.016", "--crop", "16"]
    for seed, run in enumerate(runs):
        wider = ["--width", "10"] if seed == 2 else []
        assert main([*train, "--seed", str(seed), "--out", str(run), "--forward-model", "lambertian", *wider]) == 0
    own = ["make-bank", "--bank", str(seeing_bank.path), "--split", str(runs[0]), "--out", str(banks[0])]
    assert main(own) == 0
    mix = ["make-bank", "--bank", str(banks[0]), "--split", str(runs[1]), "--out"]
    assert main([*mix, str(banks[1])]) == 0 and main([*mix, str(banks[2]), "--split-share", "0.25"]) == 0
    first, second, mixed = (load_bank(path) for path in banks)
    assert first.split is not None and second.split is not None and mixed.split is not None
    for (name, one), other in zip(first.split.state_dict().items(), second.split.state_dict().values(), strict=True):
        expected = 0.75 * one + 0.25 * other
        torch.testing.assert_close(mixed.split.state_dict()[name], expected, atol=1e-3, rtol=1e-3)  # half precision
    assert any(not torch.equal(*pair) for pair in zip(first.split.parameters(), second.split.parameters(), strict=True))
    assert mixed.header.split is not None and "scores" not in mixed.header.split.training, "they were of other weights"
    both = [bank.header.split.training["stretches"] for bank in (first, second) if bank.header.split is not None]
    assert mixed.header.split.training["stretches"] == [*both[0], {**both[1][0], "share": 0.25}]
    assert mixed.header.split.training["images_shown"] == 32
    assert "has 0.25 of these weights" in banks[2].with_suffix(".md").read_text("utf-8")
    capsys.readouterr()
    refused = {
        "no two split networks": [*own, "--split-share", "0.5"],
        "not possible": [*mix, str(banks[2]), "--split-share", "1.5"],
        "another architecture": [*mix[:3], "--split", str(runs[2]), "--out", str(banks[2]), "--split-share", "0.5"],
    }
    for said, command in refused.items():
        assert main(command) == 2 and said in capsys.readouterr().err

    for source, wanted in ((banks[2], mixed), (runs[1], second)):
        two = ["make-bank", "--bank", str(banks[0]), "--split-cut-out", str(source)]
        assert main([*two, "--out", str(tmp_path / "two.safetensors")]) == 0
        with_two = load_bank(tmp_path / "two.safetensors")
        assert with_two.split is not None and with_two.split_cut_out is not None and wanted.split is not None
        assert fingerprint(with_two.split) == fingerprint(first.split)
        assert fingerprint(with_two.split_cut_out) == fingerprint(wanted.split)
        assert with_two.header.split_cut_out == wanted.header.split
        # Of both trainings of a mean the first is the other network's.
        assert seconds_of(with_two.header)["split_cut_out"] == second.header.split.training["seconds"]
    assert "Split network for what is cut out" in (tmp_path / "two.md").read_text("utf-8")
    capsys.readouterr()
    assert main([*two[:3], "--split-cut-out", str(seeing_bank.path), "--out", str(tmp_path / "no.safetensors")]) == 2
    assert "no split network in" in capsys.readouterr().err
    cut = write_renders(tmp_path / "cut.tar", 4, cut_out=4)
    for kind, network in (("--cut-out", with_two.split_cut_out), ("--no-cut-out", with_two.split)):
        new = ["train-split", "--data", str(cut), "--kimg", "0", *OPTIONS[-4:], kind, "--out", str(tmp_path / kind)]
        assert main([*new, "--start-from", str(with_two.path)]) == 0
        begun = read_checkpoint(tmp_path / kind / CHECKPOINT_NAME)[1]["history"][-1]["start_from"]
        assert begun["weights"] == fingerprint(network)

    on = [*train, "--start-from", str(banks[0]), "--out", str(tmp_path / "on"), "--forward-model", "lambertian"]
    assert main(on) == 0
    assert (
        main([*own[:3], "--split", str(tmp_path / "on"), "--out", str(banks[1])]) == 0
    )  # in another bank: its own history
    assert main([*mix[:3], "--split", str(tmp_path / "on"), "--out", str(banks[2])]) == 0
    alone, going_on = (load_bank(path).header.split for path in banks[1:])
    assert first.header.split is not None and alone is not None and going_on is not None
    assert alone.training["images_shown"] == 16 and going_on.training["images_shown"] == 32
    assert going_on.training["stretches"] == first.header.split.training["stretches"] + alone.training["stretches"]
    assert main([*mix[:3], "--split", str(tmp_path / "on"), "--out", str(banks[2]), "--split-share", "0.5"]) == 0
    of_one = load_bank(banks[2]).header.split
    assert of_one is not None and of_one.training["images_shown"] == 32
    assert of_one.training["stretches"][-1] == {**alone.training["stretches"][0], "share": 0.5}

    larger = [*train, "--start-from", str(banks[0]), "--out", str(tmp_path / "larger"), "--inner", "10"]
    assert main([*larger, "--forward-model", "lambertian"]) == 0
    assert main([*mix[:3], "--split", str(tmp_path / "larger"), "--out", str(banks[2])]) == 0
    grown = load_bank(banks[2]).header.split
    assert grown is not None and grown.architecture.inner == (10,)
    smaller, last = grown.training["stretches"]
    assert smaller == {"architecture": first.header.split.architecture.to_dict(), **both[0][0]}
    assert "architecture" not in last, "it is what the bank has"
    told = [line for line in banks[2].with_suffix(".md").read_text("utf-8").splitlines() if "train-split" in line]
    assert ["--inner 10" in line for line in told] == [False, True]
