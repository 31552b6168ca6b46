# SPDX-License-Identifier: GPL-3.0-or-later
"""Sequences: a steady albedo, what passes through the picture, cuts, and runs that are ended and go on."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from join_engine.bank import Bank
from join_engine.color import srgb_encode
from join_engine.commands.main import main
from join_engine.evaluation.scores.sequence_scores import ALONE, FOLLOWED, format_table, frames_of, summary
from join_engine.images.files import read_image, write_png
from join_engine.layers.steady import Steady
from join_engine.layers.together import Photo

SIZE = 48


def paint(seed: int) -> np.ndarray:
    """Four coloured squares, [SIZE, SIZE, 3]."""
    colours = np.random.default_rng(seed).uniform(0.1, 0.7, (2, 2, 3))
    return colours.repeat(SIZE // 2, axis=0).repeat(SIZE // 2, axis=1).astype(np.float32)


def frame(albedo: np.ndarray, rng: np.random.Generator, light: float = 0.5) -> Photo:
    """A photo of paint under even light, whose own layers put the picture's noise and some of the light into the
    albedo."""
    wrong = np.exp(rng.normal(0.0, 0.05, (SIZE, SIZE, 1)) + rng.normal(0.0, 0.1)).astype(np.float32)
    layers = {"albedo": albedo * wrong, "shading": np.full_like(albedo, light) / wrong, "specular": 0.0 * albedo}
    error = np.full((SIZE, SIZE, 3), 0.1, np.float32)
    return Photo(albedo * light, layers, error, np.ones((SIZE, SIZE), np.float32))


def flicker(albedos: list[np.ndarray]) -> float:
    return float(np.mean([np.abs(one - two).mean() for one, two in pairwise(albedos)]))


def test_the_albedo_of_what_stays_is_steady_and_the_layers_make_every_frame() -> None:
    rng, albedo, follower = np.random.default_rng(0), paint(0), Steady()
    frames = [frame(albedo, rng, 0.3 + 0.02 * number) for number in range(20)]
    followed = [follower.follow(each) for each in frames]
    ratio = flicker([layers["albedo"] for layers in followed]) / flicker([each.layers["albedo"] for each in frames])
    assert ratio < 0.15, ratio
    for each, layers in zip(frames, followed, strict=True):
        made = layers["albedo"] * layers["shading"] + layers["specular"]
        assert np.allclose(made, each.colour, atol=1e-5) and min(layer.min() for layer in layers.values()) >= 0.0
    assert np.abs(followed[-1]["albedo"] - followed[0]["albedo"]).mean() < 0.1


def test_what_comes_into_the_picture_leaves_no_ghost() -> None:
    rng, albedo, follower = np.random.default_rng(1), paint(1), Steady()
    for _ in range(10):
        follower.follow(frame(albedo, rng))
    there = albedo.copy()
    there[12:36, 12:36] = (0.05, 0.1, 0.7)
    came = frame(there, rng)
    inside = follower.follow(came)["albedo"][16:32, 16:32]
    expected = came.layers["albedo"][16:32, 16:32]
    assert np.abs(np.log(inside / expected) - np.log(inside / expected).mean()).max() < 0.1
    left = frame(albedo, rng)
    again = follower.follow(left)["albedo"][16:32, 16:32] / left.layers["albedo"][16:32, 16:32]
    assert np.abs(np.log(again) - np.log(again).mean()).max() < 0.15


def test_after_a_cut_nothing_of_before_is_known() -> None:
    rng, follower = np.random.default_rng(2), Steady()
    for _ in range(5):
        follower.follow(frame(paint(2), rng))
    other = frame(paint(77), rng)
    assert np.allclose(follower.follow(other)["albedo"], other.layers["albedo"], rtol=1e-3)
    smaller = Photo(other.colour[:32], {k: v[:32] for k, v in other.layers.items()}, other.error, other.shown[:32])
    assert np.allclose(follower.follow(smaller)["albedo"], smaller.layers["albedo"], rtol=1e-3)


def test_its_state_is_all_that_it_knows() -> None:
    rng, one = np.random.default_rng(3), Steady()
    frames = [frame(paint(3), rng) for _ in range(4)]
    for each in frames[:3]:
        one.follow(each)
    other = Steady(one.state)
    assert all(
        np.array_equal(a, b)
        for a, b in zip(one.follow(frames[3]).values(), other.follow(frames[3]).values(), strict=True)
    )


@pytest.mark.slow
def test_a_run_that_was_ended_goes_on_where_it_was(
    seeing_bank: Bank, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(4)
    folder = tmp_path / "frames"
    for number in range(5):
        noisy = (paint(4) * (0.5 + 0.02 * number) + rng.normal(0.0, 0.01, (SIZE, SIZE, 3))).clip(0.0, 1.0)
        write_png(folder / f"{number:04d}.png", np.asarray(srgb_encode(noisy)))
    options = ["--bank", str(seeing_bank.path), "--threads", "1"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(["decompose-sequence", str(folder), "--out", str(whole), *options]) == 0
    assert sorted(path.name for path in (whole / "albedo").iterdir()) == [f"{n:04d}.exr" for n in range(5)]
    frames = [str(path) for path in sorted(folder.iterdir())]
    assert main(["decompose-sequence", *frames[:2], "--out", str(parts), *options]) == 0
    capsys.readouterr()
    assert main(["decompose-sequence", str(folder), "--out", str(parts), *options]) == 0
    assert "2 of 5 frames are there: it goes on with 0002.png." in capsys.readouterr().err
    for path in sorted(whole.glob("*/*.exr")):
        assert (parts / path.relative_to(whole)).read_bytes() == path.read_bytes(), path
    told = json.loads((parts / "sequence.json").read_text(encoding="utf-8"))
    assert [one["frame"] for one in told["frames"]] == [f"{n:04d}.png" for n in range(5)]
    assert np.isfinite(read_image(whole / "shading" / "0003.exr")).all()
    # Other settings, other frames and two of one name are refused; --fresh begins anew.
    assert main(["decompose-sequence", str(folder), "--out", str(parts), *options, "--seed", "7"]) == 2
    assert "of other settings" in capsys.readouterr().err
    assert main(["decompose-sequence", *frames[::-1], "--out", str(parts), *options]) == 2
    assert main(["decompose-sequence", frames[0], frames[0], "--out", str(parts), *options]) == 2
    assert "Two frames are called '0000'" in capsys.readouterr().err
    assert main(["decompose-sequence", *frames[3:], "--out", str(parts), *options, "--fresh"]) == 0
    told = json.loads((parts / "sequence.json").read_text(encoding="utf-8"))
    assert len(told["frames"]) == 2
    kept, state = (parts / "sequence.json").read_text(encoding="utf-8"), (parts / "sequence.npz").read_bytes()
    for text in ("{}", "[" * 100_000, '{"frames": Infinity}', "[]", kept[:-20]):
        (parts / "sequence.json").write_text(text)
        assert main(["decompose-sequence", *frames[3:], "--out", str(parts), *options]) == 2
        assert "cannot be read" in capsys.readouterr().err
    (parts / "sequence.json").write_text(kept)
    for data in (b"", b"PK", state[:-30], state[: len(state) // 2], b"\x93NUMPY", state[:60] + bytes(40) + state[100:]):
        (parts / "sequence.npz").write_bytes(data)
        assert main(["decompose-sequence", *frames[3:], "--out", str(parts), *options]) == 2
        assert "cannot be read" in capsys.readouterr().err
    # Two that some system takes for one, and somebody's own files.
    (folder / "B.png").write_bytes((folder / "0000.png").read_bytes())
    (tmp_path / "b.png").write_bytes((folder / "0000.png").read_bytes())
    alike = [str(folder / "B.png"), str(tmp_path / "b.png")]
    assert main(["decompose-sequence", *alike, "--out", str(tmp_path / "alike"), *options]) == 2
    (tmp_path / "mine" / "shading").mkdir(parents=True)
    (tmp_path / "mine" / "shading" / "0003.exr").write_text("mine")
    assert main(["decompose-sequence", *frames[2:], "--out", str(tmp_path / "mine"), *options, "--fresh"]) == 2
    assert "is not of a sequence that was decomposed here" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "mine").rglob("*")] == ["shading", "0003.exr"]


def test_made_sequences_fade_pass_and_come_back(tiny_bank: Bank) -> None:
    first = {"albedo": paint(5), "shading": np.full((SIZE, SIZE, 3), 0.9, np.float32)}
    second = {**first, "shading": np.full((SIZE, SIZE, 3), 0.3, np.float32)}
    frames = frames_of(tiny_bank, first, second, {"albedo": paint(6)}, 24)
    brightness = [float(each.image[~each.passing].mean()) for each in frames]
    assert brightness[6] < 0.5 * brightness[0] and abs(brightness[12] / brightness[0] - 1.0) < 0.05
    passing = [each.passing.any() for each in frames]
    assert not passing[0] and not passing[-1] and 5 < sum(passing) < 18
    for each in frames:
        assert np.array_equal(each.albedo[~each.passing], first["albedo"][~each.passing])
    row = {
        way: {"flicker": value, "static": 20.0, "passing": 18.0} for way, value in ((ALONE, 0.02), (FOLLOWED, 0.005))
    }
    assert summary([row, row])["ratio"]["mean"] == pytest.approx(0.25)
    assert "| followed | 0.00500 | 20.00 dB | 18.00 dB |" in format_table([row], 24)
