# SPDX-License-Identifier: GPL-3.0-or-later
"""A patch of another material's paint in this one's light."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from join_engine.bank import Bank
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.images.files import read_image, write_png
from join_engine.images.frame import Frame
from join_engine.inversion.presets import Detail, Preset
from join_engine.inversion.stages.encoder_start import EncoderStart
from join_engine.layers.decomposition import Decomposition, load_decomposition, save_decomposition
from join_engine.networks.stylegan2 import generate
from join_engine.pipeline import decompose
from join_engine.relighting.pasting import feathered, laid, paste

SIZE = (40, 56)


@pytest.fixture(scope="module")
def mine(seeing_bank: Bank) -> Decomposition:
    image = np.random.default_rng(0).random((*SIZE, 3), dtype=np.float32)
    return decompose(image, seeing_bank, Preset("x", (EncoderStart(),), Detail(share=0.5, radius=2.0))).decomposition


@pytest.fixture
def patch() -> np.ndarray:
    return np.random.default_rng(1).random((48, 40, 3), dtype=np.float32)


def square() -> np.ndarray:
    mask = np.zeros(SIZE, np.float32)
    mask[10:30, 20:40] = 1.0
    return mask


def test_the_light_stays_and_so_does_the_paint_around(
    seeing_bank: Bank, mine: Decomposition, patch: np.ndarray
) -> None:
    found = paste(mine, patch, square(), seeing_bank, feather=3.0, steps=2)
    np.testing.assert_array_equal(found.layers["shading"], mine.layers["shading"])
    np.testing.assert_array_equal(found.codes["shading"], mine.codes["shading"])
    outside = square() == 0.0
    np.testing.assert_array_equal(found.layers["albedo"][outside], mine.layers["albedo"][outside])
    assert found.settings["pasted"]["share"] == pytest.approx(float((square() > 0.0).mean()))
    assert not found.metrics and found.confidence is None and not found.other


def test_inside_is_the_patch_middle_on_middle(seeing_bank: Bank, mine: Decomposition, patch: np.ndarray) -> None:
    found = paste(mine, patch, square(), seeing_bank, feather=0.0, steps=0)
    expected = patch[24 - 10 : 24 + 10, 20 - 10 : 20 + 10]
    np.testing.assert_allclose(found.layers["albedo"][10:30, 20:40], expected, atol=1e-5)
    np.testing.assert_array_equal(found.codes["albedo"], mine.codes["albedo"])
    soft = paste(mine, patch, square(), seeing_bank, feather=4.0, steps=0).layers["albedo"]
    np.testing.assert_allclose(soft[15:25, 25:35], expected[5:15, 5:15], atol=1e-5)
    rim = np.s_[10, 21:39]
    assert (
        np.abs(soft[rim] - mine.layers["albedo"][rim]) <= np.abs(expected[0, 1:19] - mine.layers["albedo"][rim])
    ).all()


def test_a_feather_rises_inside_of_the_mask_and_not_at_the_picture_s_edge() -> None:
    mask = np.zeros((20, 30), np.float32)
    mask[:, 10:] = 1.0
    share = feathered(mask, 4.0)
    assert (share[:, :10] == 0.0).all() and (share[:, 14:] == 1.0).all()
    assert (np.diff(share[5, 9:14]) > 0.0).all() and np.array_equal(share[0], share[10])
    np.testing.assert_array_equal(feathered(mask, 0.0), mask)
    corner = np.zeros((20, 20), np.float32)
    corner[5:, 5:] = 0.5
    assert feathered(corner, 3.0).max() == 0.5 and feathered(corner, 3.0)[5, 5] > 0.0


def test_a_patch_is_laid_at_its_scale_and_goes_on_mirrored() -> None:
    patch = np.arange(6.0, dtype=np.float32)[None, :, None].repeat(4, axis=0).repeat(3, axis=2)
    mask = np.ones((4, 18), np.float32)
    row = laid(patch, mask, 1.0)[0, :, 0]
    assert row[6:12].tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert row[:6].tolist() == row[6:12][::-1].tolist() == row[12:].tolist()
    double = laid(patch, np.ones((8, 12), np.float32), 2.0)[0, :, 0]
    np.testing.assert_allclose(double[1:-1], np.arange(1, 11) / 2.0 - 0.25, atol=1e-6)
    wide = np.random.default_rng(0).random((32, 64, 3), dtype=np.float32)
    half = laid(wide, np.ones((16, 32), np.float32), 0.5)
    assert half.shape == (16, 32, 3) and half.std() < 0.7 * wide.std(), "what is shrunk is averaged"


@pytest.mark.slow
def test_the_codes_follow_the_patch(seeing_bank: Bank, mine: Decomposition) -> None:
    """The paint of another code of the albedo's generator, all over: the search comes nearer than the old ones."""
    part = seeing_bank.components["albedo"]
    wanted = generate(part.generator, part.sample_codes()[7][None, None])
    linear = part.transform.from_generator(wanted)[0].permute(1, 2, 0).numpy()
    found = paste(mine, linear, np.ones(SIZE, np.float32), seeing_bank, 56 / 16, 0.0, steps=60)
    target = part.transform.to_generator(Frame(*SIZE, 16).fit(found.layers["albedo"]))

    def missed(codes: np.ndarray) -> float:
        made = generate(part.generator, part.w_avg.new_tensor(codes)[None])
        return float((made - target).square().mean())

    assert missed(found.codes["albedo"]) < 0.9 * missed(mine.codes["albedo"])
    assert found.codes["albedo"].shape == (part.generator.num_ws, part.generator.config.w_dim)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [
        ({"mask": np.ones((3, 4), np.float32)}, "mask_size"),
        ({"mask": np.zeros(SIZE, np.float32)}, "mask_empty"),
        ({"scale": 0.0}, "settings_invalid"),
        ({"feather": float("nan")}, "settings_invalid"),
    ],
)
def test_what_cannot_be_pasted(
    seeing_bank: Bank, mine: Decomposition, patch: np.ndarray, wrong: dict, code: str
) -> None:
    with pytest.raises(JoinError) as refused:
        paste(mine, patch, bank=seeing_bank, **{"mask": square(), **wrong})
    assert refused.value.code == code
    with pytest.raises(JoinError, match="another version"):
        paste(replace(mine, bank_sha256="0" * 64), patch, square(), seeing_bank)


def test_pasting_on_a_shell(
    seeing_bank: Bank, mine: Decomposition, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save_decomposition(tmp_path / "mine.join", mine)
    write_png(tmp_path / "mask.png", np.repeat(square()[..., None], 3, axis=2))
    write_png(tmp_path / "patch.png", np.full((16, 16, 3), 0.5, np.float32))
    out = tmp_path / "out"
    names = [str(tmp_path / name) for name in ("mine.join", "patch.png")]
    options = ["--mask", str(tmp_path / "mask.png"), "--steps", "1", "--bank", str(seeing_bank.path), "--device", "cpu"]
    assert main(["paste", *names, *options, "--out", str(out)]) == 0
    stored = load_decomposition(out / "decomposition.join")
    assert stored.settings["pasted"]["share"] > 0.1 and capsys.readouterr().out.strip() == str(out)
    inside = stored.layers["albedo"][18:22, 28:32]
    np.testing.assert_allclose(inside, read_image(tmp_path / "patch.png")[0, 0, 0], atol=1e-3)
    assert main(["paste", *names[:1], str(tmp_path / "mine.join"), *options, "--out", str(out)]) == 0
    assert main(["paste", *names, *options, "--scale", "1000", "--out", str(out)]) == 2
