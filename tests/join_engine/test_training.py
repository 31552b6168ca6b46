# SPDX-License-Identifier: GPL-3.0-or-later
"""Training: packs, losses, steps, resume to the bit, and the commands."""

from __future__ import annotations

import copy
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save as safetensors_bytes

from join_engine.bank import load_bank, read_header
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.networks.stylegan2 import GeneratorConfig
from join_engine.renders.contact_sheet import contact_sheet
from join_engine.renders.packs import ImageSet, read_packs, to_pixels
from join_engine.training.checkpoint import CHECKPOINT_NAME, read_checkpoint, write_checkpoint
from join_engine.training.gan import train as gan
from join_engine.training.gan.losses import (
    discriminator_loss,
    generator_loss,
    path_length_penalty,
    path_lengths,
    r1_penalty,
)
from join_engine.training.gan.monitor import LOG_NAME
from join_engine.training.gan.state import GanSettings, GanState

from .fake_packs import add_member, write_pack

TINY = GeneratorConfig(resolution=16, z_dim=8, w_dim=8, channel_base=64, channel_max=4, mapping_layers=2)
TINY_OPTIONS = ["--z-dim=8", "--w-dim=8", "--channel-base=64", "--channel-max=4", "--mapping-layers=2"]
TINY_OPTIONS += ["--batch=4", "--device=cpu"]
QUICK = GanSettings(batch=4, lr=0.002)
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pack(tmp_path_factory.mktemp("packs") / "fake.tar")


@pytest.fixture(scope="module")
def data(pack: Path) -> ImageSet:
    return read_packs([pack], "albedo")


def everything_equal(first: GanState, second: GanState) -> bool:
    left, right = first.tensors(), second.tensors()
    return left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)


# Packs


def test_a_pack_in_parts_is_read_by_its_name_or_part_by_part(tmp_path: Path) -> None:
    parts = [write_pack(tmp_path / f"train-0000{n}-of-00003.tar", count=2 + n, seed=n) for n in range(3)]
    write_pack(tmp_path / "train-extra.tar", count=9)
    whole = read_packs([tmp_path / "train.tar"], "albedo")
    assert [info.file for info in whole.packs] == [part.name for part in parts]
    assert torch.equal(whole.images, torch.cat([read_packs([part], "albedo").images for part in parts]))
    parts[1].unlink()
    with pytest.raises(JoinError, match="train-00001-of-00003") as missing:
        read_packs([tmp_path / "train.tar"], "albedo")
    assert missing.value.code == "pack_missing"
    assert read_packs([parts[2]], "albedo").images.shape[0] == 4


def test_pack_is_read_in_order_and_range(tmp_path: Path) -> None:
    path = write_pack(tmp_path / "a.tar", count=5)
    data = read_packs([path], "shading")
    assert data.images.shape == (5, 3, 16, 16)
    assert data.images.dtype == torch.uint8
    assert (data.transform, data.resolution, data.component) == ("reinhard", 16, "shading")
    with tarfile.open(path) as tar:
        file = tar.extractfile("00000003.shading.png")
        assert file is not None
        expected = np.asarray(Image.open(io.BytesIO(file.read())))
    assert np.array_equal(data.images[3].permute(1, 2, 0).numpy(), expected)
    batch = data.batch(torch.tensor([3, 3]))
    torch.testing.assert_close(batch[0], data.images[3] / 127.5 - 1)
    assert batch.abs().max() <= 1


def test_pixels_survive_the_generator_range() -> None:
    pixels = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_pixels(pixels.float() / 127.5 - 1.0), pixels)
    assert to_pixels(torch.tensor([-3.0, 3.0])).tolist() == [0, 255]


def test_several_packs_add_up(tmp_path: Path) -> None:
    paths = [write_pack(tmp_path / f"{seed}.tar", count=3, seed=seed) for seed in (1, 2)]
    data = read_packs(paths, "albedo")
    assert len(data.images) == 6
    assert [info.seed for info in data.packs] == [1, 2]
    assert data.packs[0].transforms == {"albedo": "srgb", "shading": "reinhard"}


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])


def no_header(path: Path) -> None:
    with tarfile.open(path, "w") as tar:
        add_member(tar, "other.txt", b"hello")


def bad_image(path: Path) -> None:
    with tarfile.open(path, "w") as tar:
        header = {"resolution": 16, "components": {"albedo": {"transform": "srgb"}}, "split": "train", "count": 1}
        add_member(tar, "pack.json", json.dumps(header | {"dataset": "x", "seed": 0}).encode())
        add_member(tar, "00000000.albedo.png", b"not a picture")


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda path: path.unlink(), "pack_missing"),
        (lambda path: path.write_bytes(b""), "pack_broken"),
        (lambda path: path.write_bytes(os.urandom(4000)), "pack_broken"),
        (truncated, "pack_broken"),
        (no_header, "pack_broken"),
        (bad_image, "pack_broken"),
        (lambda path: write_pack(path, components=("shading",)), "pack_mismatch"),
        (lambda path: write_pack(path, count=3, resolution=8, changes={"resolution": 16}), "pack_broken"),
        (lambda path: write_pack(path, count=3, changes={"count": 4}), "pack_broken"),
        (lambda path: write_pack(path, count=0), "pack_broken"),
        (lambda path: write_pack(path, changes={"components": {"albedo": {"transform": "magic"}}}), "pack_broken"),
        (lambda path: write_pack(path, changes={"components": ["albedo"]}), "pack_broken"),
    ],
)
def test_bad_packs_are_named(tmp_path: Path, damage: Callable[[Path], object], code: str) -> None:
    bad = write_pack(tmp_path / "bad.tar")
    damage(bad)
    with pytest.raises(JoinError) as caught:
        read_packs([bad], "albedo")
    assert caught.value.code == code
    assert "bad.tar" in caught.value.message


def test_packs_that_differ(tmp_path: Path) -> None:
    paths = [write_pack(tmp_path / f"{size}.tar", count=2, resolution=size) for size in (16, 32)]
    with pytest.raises(JoinError, match=r"'16\.tar' and '32\.tar' differ") as caught:
        read_packs(paths, "albedo")
    assert caught.value.code == "pack_mismatch"


def test_no_pack() -> None:
    with pytest.raises(JoinError, match="No pack"):
        read_packs([], "albedo")


# Losses


def test_logistic_losses() -> None:
    zero = torch.zeros(4, 1)
    assert generator_loss(zero) == pytest.approx(np.log(2))
    assert discriminator_loss(zero, zero) == pytest.approx(2 * np.log(2))
    assert discriminator_loss(zero + 9, zero - 9) < 1e-3 < 8 < discriminator_loss(zero - 9, zero + 9)


def test_r1_against_a_hand_formula() -> None:
    weight = torch.randn(3, 4, 4)
    real = torch.randn(5, 3, 4, 4)
    linear = r1_penalty(lambda images: (images * weight).sum(dim=(1, 2, 3)), real)
    torch.testing.assert_close(linear, weight.square().sum())
    # D = ½‖x‖² has the gradient x itself.
    quadratic = r1_penalty(lambda images: images.square().sum(dim=(1, 2, 3)) / 2, real)
    torch.testing.assert_close(quadratic, real.square().sum(dim=(1, 2, 3)).mean())


def test_path_length_of_a_linear_map() -> None:
    torch.manual_seed(0)
    ws = torch.randn(512, 1, 4, requires_grad=True)
    images = (ws * 3).view(512, 1, 2, 2)
    lengths = path_lengths(images, ws)
    # Jᵀy = 3y, with y of variance 1/4 in four pixels.
    assert lengths.square().mean().item() == pytest.approx(9.0, rel=0.1)
    penalty, mean = path_length_penalty(torch.full((4,), 5.0), torch.tensor(3.0), decay=0.5)
    assert (mean.item(), penalty.item()) == pytest.approx((4.0, 1.0))


# Steps


def test_gamma_heuristic() -> None:
    assert GanSettings(batch=16).gamma(64) == pytest.approx(0.0512)
    assert GanSettings(batch=16, r1_gamma=0.3).gamma(64) == 0.3


def test_lazy_adam_correction() -> None:
    state = GanState(TINY, GanSettings(lr=0.01))
    group = state.discriminator_optimizer.param_groups[0]
    assert group["lr"] == pytest.approx(0.01 * 16 / 17)
    assert group["betas"] == (0.0, pytest.approx(0.99 ** (16 / 17)))
    assert state.generator_optimizer.param_groups[0]["lr"] == 0.01


def test_a_step_moves_everything_that_learns(data: ImageSet) -> None:
    state = GanState(TINY, GanSettings(batch=4, path_weight=2.0))
    before = copy.deepcopy(state.tensors())
    report = state.step(data)
    assert set(report) >= {"loss_g", "loss_d", "r1", "path"}
    assert all(torch.isfinite(value) for value in report.values())
    after = state.tensors()
    stuck = {key for key in before if torch.equal(before[key], after[key]) and "noise_const" not in key}
    # Biases of the first layers see no gradient in the path length alone; the logistic loss moves them all.
    assert not {key for key in stuck if key.startswith(("generator.", "discriminator.", "average."))}


def test_style_mixing() -> None:
    state = GanState(TINY, GanSettings(mixing=1.0))
    codes = state._codes(64)
    assert codes.shape == (64, TINY.num_ws, TINY.w_dim)
    assert torch.equal(codes[:, 0] == codes[:, -1], torch.zeros_like(codes[:, 0]).bool())
    changes = (codes[:, 1:] != codes[:, :-1]).any(dim=2).sum(dim=1)
    assert (changes == 1).all()
    plain = GanState(TINY, GanSettings(mixing=0.0))._codes(8)
    assert torch.equal(plain, plain[:, :1].expand_as(plain))


def test_flip_mirrors_about_half(data: ImageSet) -> None:
    one = ImageSet("albedo", "srgb", data.images[:1], data.packs)
    state = GanState(TINY, GanSettings(batch=64))
    plain = one.batch(torch.tensor([0]))[0]
    reals = state._reals(one)
    mirrored = [torch.equal(image, plain.flip(2)) for image in reals]
    assert 16 < sum(mirrored) < 48
    assert all(found or torch.equal(image, plain) for found, image in zip(mirrored, reals, strict=True))
    never = GanState(TINY, GanSettings(batch=8, flip=False))._reals(one)
    assert torch.equal(never, plain.expand_as(never))


def test_without_noise_the_codes_say_it_all(tmp_path: Path, data: ImageSet) -> None:
    architecture = {key: value for key, value in TINY.to_dict().items() if key != "resolution"}
    noisy = gan.begin(tmp_path, data, architecture, QUICK)
    for _ in range(3):
        noisy.state.step(data)
    noisy.save()
    w = torch.randn(2, TINY.w_dim)
    assert not torch.equal(noisy.state.average.synthesis(w, "const"), noisy.state.average.synthesis(w, "none"))
    silent = gan.begin(tmp_path, data, architecture, GanSettings(batch=4, noise=False))
    for _ in range(2):
        silent.state.step(data)
    for generator in (silent.state.average, silent.state.generator):
        assert torch.equal(generator.synthesis(w, "const"), generator.synthesis(w, "none"))


def test_moving_average(data: ImageSet) -> None:
    state = GanState(TINY, GanSettings(batch=4, ema_kimg=0.004, ema_rampup=1.0))  # a half-life of one step
    for _ in range(3):
        before = copy.deepcopy(state.average.state_dict())
        state.step(data)
        for key, parameter in state.generator.named_parameters():
            torch.testing.assert_close(state.average.state_dict()[key], (before[key] + parameter) / 2)
    assert torch.equal(state.average.w_avg, state.generator.w_avg)


@pytest.mark.slow
@pytest.mark.parametrize("bf16", [False, True])
def test_resume_equals_no_interruption(tmp_path: Path, data: ImageSet, bf16: bool) -> None:
    settings = GanSettings(batch=4, bf16=bf16)
    architecture = {key: value for key, value in TINY.to_dict().items() if key != "resolution"}
    straight = gan.begin(tmp_path / "straight", data, architecture, settings)
    for _ in range(20):  # past the second R1 step
        straight.state.step(data)
    halted = gan.begin(tmp_path / "halted", data, architecture, settings)
    for _ in range(9):
        halted.state.step(data)
    halted.save()
    resumed = gan.begin(tmp_path / "halted", data, architecture, settings)
    assert (resumed.state.steps, resumed.state.images) == (9, 36)
    for _ in range(11):
        resumed.state.step(data)
    assert everything_equal(straight.state, resumed.state)


def test_resume_with_other_data_and_settings(tmp_path: Path, data: ImageSet) -> None:
    architecture = {key: value for key, value in TINY.to_dict().items() if key != "resolution"}
    training = gan.begin(tmp_path, data, architecture, QUICK)
    training.state.step(data)
    training.save()
    more = read_packs([write_pack(tmp_path / "more.tar", count=30, seed=5)], "albedo")
    resumed = gan.begin(tmp_path, more, architecture, GanSettings(batch=8, lr=0.001))
    assert resumed.state.generator_optimizer.param_groups[0]["lr"] == 0.001
    resumed.state.step(more)
    assert [stretch["packs"][0]["count"] for stretch in resumed.history] == [24, 30]
    assert resumed.state.images == 12


def test_checkpoints_that_do_not_fit(tmp_path: Path, pack: Path, data: ImageSet) -> None:
    architecture = {key: value for key, value in TINY.to_dict().items() if key != "resolution"}
    training = gan.begin(tmp_path, data, architecture, QUICK)
    training.state.step(data)
    training.save()
    with pytest.raises(JoinError) as caught:
        gan.begin(tmp_path, data, architecture | {"w_dim": 16}, QUICK)
    assert caught.value.code == "checkpoint_mismatch"
    with pytest.raises(JoinError) as caught:
        gan.begin(tmp_path, read_packs([pack], "shading"), architecture, QUICK)
    assert caught.value.code == "checkpoint_mismatch"
    with pytest.raises(JoinError) as caught:
        gan.begin(tmp_path, data, architecture, QUICK, resume=str(tmp_path / "nowhere"))
    assert caught.value.code == "checkpoint_missing"
    with pytest.raises(JoinError) as caught:
        gan.begin(tmp_path / "other", data, architecture | {"channel_base": 8}, QUICK)
    assert caught.value.code == "settings_invalid"
    path = tmp_path / CHECKPOINT_NAME
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(JoinError) as caught:
        gan.begin(tmp_path, data, architecture, QUICK)
    assert caught.value.code == "checkpoint_broken"
    assert gan.begin(tmp_path, data, architecture, QUICK, resume="never").state.images == 0


def test_a_flipped_bit_of_a_checkpoint_is_found(tmp_path: Path) -> None:
    """In weights, moments, counters and the values beside them; files of before have no hash and are still read."""
    tensors = {"w": torch.randn(50), "half": torch.randn(3).bfloat16(), "step": torch.tensor(7), "none": torch.empty(0)}
    state = {"images": 16, "seconds": 2.5, "history": [{"packs": ["a"]}]}
    path = tmp_path / CHECKPOINT_NAME
    write_checkpoint(path, tensors, state)
    found, told = read_checkpoint(path)
    assert told == {"format_version": 1, **state}
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    whole = path.read_bytes()
    values = range(len(whole) - 4 * 50 - 2 * 3 - 8, len(whole), 13)
    for place in (whole.index(b"16,"), whole.index(b"2.5"), *values):
        for bit in (0, 6):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            with pytest.raises(JoinError) as caught:
                read_checkpoint(path)
            assert caught.value.code == "checkpoint_broken" and caught.value.hint
    text = json.dumps({"format_version": 1, **state})
    path.write_bytes(safetensors_bytes(tensors, metadata={"join_checkpoint": text}))
    assert read_checkpoint(path)[1]["images"] == 16


# Commands


def run_gan(pack: Path, out: Path, *options: str) -> int:
    return main(["train-gan", "--data", str(pack), "--component", out.name, "--out", str(out), *TINY_OPTIONS, *options])


@pytest.mark.slow
def test_train_then_bank(
    tmp_path: Path, pack: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    for name in ("albedo", "shading"):
        out = tmp_path / name
        options = ["--log-every", "0.02", "--sheet-every", "0.02", "--keep-every", "0.04"]
        assert run_gan(pack, out, "--kimg", "0.04", *options) == 0
        assert run_gan(pack, out, "--kimg", "0.06", *options) == 0
        lines = [json.loads(line) for line in (out / LOG_NAME).read_text().splitlines()]
        assert [line["images"] for line in lines] == [20, 40, 60]
        assert {"reals.png", "samples-000000k.png", "checkpoint-000000k.safetensors"} <= {
            path.name for path in out.iterdir()
        }
    assert "images/s" in capsys.readouterr().out

    scores = tmp_path / "scores.json"
    scores.write_text(json.dumps({"albedo": {"mse": 0.0123}, "images": 50}))
    bank_file = tmp_path / "banks" / "toy.safetensors"
    command = [f"--component=albedo={tmp_path / 'albedo'}", f"--component=shading={tmp_path / 'shading'}"]
    command += ["--name", "toy", "--out", str(bank_file), "--scores", str(scores), "--machine", "a small one"]
    for option, value in (("--detail-radius", "0"), ("--detail-radius", "17"), ("--detail-share", "-1")):
        assert main(["make-bank", *command, option, value]) == 2 and not bank_file.exists()
        assert "not be" in capsys.readouterr().err
    command += ["--detail-share", "0.25", "--detail-radius", "0.5"]
    assert main(["make-bank", *command]) == 0
    header = read_header(bank_file)
    assert (header.name, header.resolution, header.forward_model) == ("toy", 16, "lambertian")
    assert header.components["albedo"].training["images_shown"] == 60
    assert header.components["shading"].transform == "reinhard"
    assert (header.detail_share, header.detail_radius) == (0.25, 0.5)
    text = bank_file.with_suffix(".md").read_text(encoding="utf-8")
    assert "25% is light" in text and "a small one" in text
    assert "albedo · mse | 0.0123" in text and "from 40 to 60 images" in text

    bank = load_bank(bank_file, with_discriminators=True)
    tensors, _ = read_checkpoint(tmp_path / "albedo" / CHECKPOINT_NAME)
    stored = bank.components["albedo"].generator.synthesis.get_submodule("b4.conv1").weight
    torch.testing.assert_close(stored, tensors["average.synthesis.b4.conv1.weight"], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(bank.components["albedo"].w_avg, tensors["average.w_avg"])

    # New generators beside what of a bank needs none of its own.
    again = tmp_path / "again.safetensors"
    assert main(["make-bank", *command[:2], "--bank", str(bank_file), "--out", str(again)]) == 0
    header = read_header(again)
    assert (header.name, header.forward_model, header.detail_share) == ("again", "lambertian", 0.25)
    assert header.components["albedo"].training["images_shown"] == 60 and not header.scores and not header.machine

    assert main(["make-bank", "--out", str(again)]) == 2
    assert main(["make-bank", *command[:1], *command[2:]]) == 2
    swapped = [f"--component=shading={tmp_path / 'albedo'}", f"--component=albedo={tmp_path / 'shading'}"]
    assert main(["make-bank", *swapped, *command[2:]]) == 2
    scores.write_text("[")
    assert main(["make-bank", *command]) == 2


def test_errors_of_the_command_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_gan(tmp_path / "none.tar", tmp_path / "albedo") == 2
    assert capsys.readouterr().err.startswith("error: There is no pack")


@pytest.mark.slow
def test_killed_training_goes_on(tmp_path: Path, pack: Path) -> None:
    out = tmp_path / "albedo"
    command = [sys.executable, "-m", "join_engine", "train-gan", "--data", str(pack), "--component", "albedo"]
    command += ["--out", str(out), *TINY_OPTIONS, "--save-every", "0.008"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen([*command, "--kimg", "100"], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 30
        while not (out / CHECKPOINT_NAME).exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
    _, values = read_checkpoint(out / CHECKPOINT_NAME)
    done = values["images"]
    assert done > 0
    result = subprocess.run(
        [*command, "--kimg", str((done + 8) / 1000)], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr
    assert read_checkpoint(out / CHECKPOINT_NAME)[1]["images"] == done + 8
    assert f"from {done} on" in result.stdout


def test_contact_sheet() -> None:
    images = torch.stack([torch.full((3, 4, 4), value) for value in (-1.0, 0.0, 1.0)])
    sheet = np.asarray(contact_sheet(images, columns=2, gap=1))
    assert sheet.shape == (11, 11, 3)
    assert sheet[1, 1, 0] == 0 and sheet[1, 6, 0] == 128 and sheet[6, 1, 0] == 255
    assert sheet[6, 6, 0] == 128  # empty
