# SPDX-License-Identifier: GPL-3.0-or-later
"""Training of a GAN as it runs: regularisers, several processes, and what happens when something goes wrong."""

from __future__ import annotations

import argparse
import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch.func import functional_call

from join_engine.bank import BankHeader, ComponentHeader, fingerprint, load_bank, read_header, save_bank
from join_engine.bank.card import card
from join_engine.commands import train_gan
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.networks.convolutions import EqualizedConv, modulated_conv2d
from join_engine.networks.resample import downsample, filter_kernel, upsample
from join_engine.networks.stylegan2 import Discriminator, Generator, GeneratorConfig
from join_engine.renders.packs import read_packs
from join_engine.training.checkpoint import CHECKPOINT_NAME, read_checkpoint
from join_engine.training.gan import train as gan
from join_engine.training.gan.distributed import Group
from join_engine.training.gan.losses import path_lengths, r1_penalty
from join_engine.training.gan.monitor import LOG_NAME, Monitor, duration
from join_engine.training.gan.state import GanSettings, GanState

from .fake_packs import write_pack

ROOT = Path(__file__).parents[2]
SIZES = {"z_dim": 8, "w_dim": 8, "channel_base": 64, "channel_max": 4, "mapping_layers": 2}
OPTIONS = [f"--{name.replace('_', '-')}={value}" for name, value in SIZES.items()]
OPTIONS += ["--batch=8", "--device=cpu", "--no-bf16"]
Point = tuple[torch.Tensor, ...]


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pack(tmp_path_factory.mktemp("packs") / "fake.tar")


@pytest.fixture(autouse=True)
def quiet_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    monkeypatch.setattr(signal, "signal", lambda *_: None)


def train(pack: Path, out: Path, *options: str, component: str = "albedo") -> int:
    return main(["train-gan", "--data", str(pack), "--component", component, "--out", str(out), *OPTIONS, *options])


# Gradients against finite differences


def doubles(*shapes: tuple[int, ...]) -> Point:
    return tuple(torch.randn(shape, dtype=torch.float64, requires_grad=True) for shape in shapes)


@pytest.mark.parametrize("up", [False, True])
def test_second_derivatives_of_the_modulated_convolution(up: bool) -> None:
    kernel = filter_kernel().double() if up else None
    point = doubles((1, 2, 3, 3), (2, 2, 3, 3), (1, 2))
    assert torch.autograd.gradgradcheck(lambda *values: modulated_conv2d(*values, True, kernel), point)


@pytest.mark.parametrize("change", [upsample, downsample])
def test_derivatives_of_resampling(change: Callable[..., torch.Tensor]) -> None:
    kernel = filter_kernel().double()
    point = doubles((1, 2, 4, 4))
    assert torch.autograd.gradcheck(lambda values: change(values, kernel), point)
    assert torch.autograd.gradgradcheck(lambda values: change(values, kernel).square(), point)


@pytest.mark.parametrize("down", [False, True])
def test_derivatives_of_the_equalised_convolution(down: bool) -> None:
    layer = EqualizedConv(2, 3, 3, down=down).double()
    names = dict(layer.named_parameters())

    def function(images: torch.Tensor, *weights: torch.Tensor) -> torch.Tensor:
        return functional_call(layer, dict(zip(names, weights, strict=True)), (images,))

    point = (*doubles((1, 2, 4, 4)), *names.values())
    assert torch.autograd.gradcheck(function, point)
    assert torch.autograd.gradgradcheck(function, point)


def test_derivative_of_r1_in_the_weights() -> None:
    critic = Discriminator(GeneratorConfig(8, 4, 4, 16, 2, 1)).double()
    images = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    chosen = {name: critic.get_parameter(name) for name in ("b8.fromrgb.weight", "b8.conv0.bias", "b4.out.weight")}

    def penalty(*weights: torch.Tensor) -> torch.Tensor:
        weights_of = dict(zip(chosen, weights, strict=True))
        return r1_penalty(lambda x: functional_call(critic, weights_of, (x, torch.float64)), images)

    assert torch.autograd.gradcheck(penalty, tuple(chosen.values()))


@pytest.mark.slow
def test_derivative_of_the_path_length_in_the_weights() -> None:
    generator = Generator(GeneratorConfig(8, 4, 4, 16, 2, 1)).double()
    ws = torch.randn(2, generator.num_ws, 4, dtype=torch.float64)
    y = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    names = ("synthesis.b4.const", "synthesis.b8.conv0.weight", "synthesis.b8.torgb.affine.bias")
    chosen = {name: generator.get_parameter(name) for name in names}

    def lengths(*weights: torch.Tensor) -> torch.Tensor:
        codes = ws.clone().requires_grad_()
        weights_of = {name.removeprefix("synthesis."): value for name, value in zip(chosen, weights, strict=True)}
        images = functional_call(generator.synthesis, weights_of, (codes, "none", torch.float64))
        return path_lengths(images, codes, y)

    assert torch.autograd.gradcheck(lengths, tuple(chosen.values()))


# Regularisers and augmentation in the step


def test_the_penalty_shortens_what_deviates(pack: Path) -> None:
    data = read_packs([pack], "albedo")
    config = GeneratorConfig(resolution=16, **SIZES)
    state = GanState(config, GanSettings(batch=8, path_weight=2.0, path_interval=3, path_shrink=4))
    reports = [state.step(data) for _ in range(7)]
    assert ["path" in report for report in reports] == [True, False, False, True, False, False, True]
    assert state.path_mean > 0


@pytest.mark.slow
def test_augmentation_begins_when_the_discriminator_is_sure(pack: Path) -> None:
    data = read_packs([pack], "albedo")
    settings = GanSettings(batch=8, ada=True, ada_kimg=0.1, ada_target=-2.0)
    state = GanState(GeneratorConfig(resolution=16, **SIZES), settings)
    strengths = [float(state.step(data)["ada_p"]) for _ in range(9)]
    assert strengths[:3] == [0, 0, 0]
    assert strengths[3] == pytest.approx(0.32) and strengths[-1] == pytest.approx(0.64)
    images = torch.randn(8, 3, 16, 16)
    torch.manual_seed(1)
    assert not torch.equal(state._judge(images), state.discriminator(images))
    falling = GanState(GeneratorConfig(resolution=16, **SIZES), replace(settings, ada_target=2.0))
    assert [float(falling.step(data)["ada_p"]) for _ in range(5)] == [0] * 5


@pytest.mark.slow
@pytest.mark.parametrize("component", ["albedo", "albedo+shading"])
def test_resume_with_everything_on_equals_no_interruption(tmp_path: Path, pack: Path, component: str) -> None:
    data = read_packs([pack], component)
    settings = GanSettings(batch=4, path_weight=2.0, ada=True, ada_kimg=0.05, ada_target=0.0)
    straight = gan.begin(tmp_path / "straight", data, SIZES, settings)
    for _ in range(18):
        straight.state.step(data)
    halted = gan.begin(tmp_path / "halted", data, SIZES, settings)
    for _ in range(7):  # between two adjustments of the augmentation
        halted.state.step(data)
    halted.save()
    resumed = gan.begin(tmp_path / "halted", data, SIZES, settings)
    for _ in range(11):
        resumed.state.step(data)
    left, right = straight.state.tensors(), resumed.state.tensors()
    assert left.keys() == right.keys()
    assert all(torch.equal(left[key], right[key]) for key in left)


def test_a_gan_of_two_components(tmp_path: Path, pack: Path) -> None:
    data = read_packs([pack], "albedo+shading")
    assert (data.images.shape, data.transform) == ((24, 6, 16, 16), "srgb+reinhard")
    assert torch.equal(data.images[:, :3], read_packs([pack], "albedo").images)
    assert torch.equal(data.images[:, 3:], read_packs([pack], "shading").images)
    assert train(pack, tmp_path / "both", "--kimg=0.016", component="albedo+shading") == 0
    _, values = read_checkpoint(tmp_path / "both" / CHECKPOINT_NAME)
    assert values["architecture"]["image_channels"] == 6
    single = Image.open(tmp_path / "both" / "reals.png")
    assert single.width > 1.8 * single.height * 8 / 3  # 24 images in rows of 8, each twice as wide


# Beginning from a bank


@pytest.fixture(scope="module")
def bank(pack: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of two short trainings."""
    folder = tmp_path_factory.mktemp("bank")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signal, "signal", lambda *_: None)
        for name in ("albedo", "shading"):
            assert train(pack, folder / name, "--kimg=0.016", "--ada", component=name) == 0
    path = folder / "earlier.safetensors"
    runs = [f"--component={name}={folder / name}" for name in ("albedo", "shading")]
    assert main(["make-bank", *runs, f"--out={path}"]) == 0
    return path


def go_on(pack: Path, out: Path, bank: Path, *options: str, component: str = "albedo") -> int:
    """Without a word about the architecture."""
    words = ["--data", str(pack), "--component", component, "--out", str(out), "--start-from", str(bank)]
    return main(["train-gan", *words, "--batch=8", "--device=cpu", "--no-bf16", *options])


def test_a_new_run_begins_with_the_networks_of_a_bank(tmp_path: Path, pack: Path, bank: Path) -> None:
    stored = load_bank(bank, with_discriminators=True)
    settings, data = GanSettings(batch=8, ada=True), read_packs([pack], "albedo")
    training = gan.begin(tmp_path / "run", data, {}, settings, start_from=str(bank))
    state, part = training.state, stored.components["albedo"]
    assert part.discriminator is not None
    for mine, theirs in (
        (state.generator, part.generator),
        (state.average, part.generator),
        (state.discriminator, part.discriminator),
    ):
        own, expected = mine.state_dict(), theirs.state_dict()
        assert own.keys() == expected.keys() and all(torch.equal(own[key], expected[key]) for key in own)
    assert torch.equal(state.generator.w_avg, part.w_avg) and state.generator.w_avg.abs().max() > 0
    assert not state.generator_optimizer.state and not state.discriminator_optimizer.state and state.ada.p == 0
    # The draws of a step follow from its number: it goes on, lest the same codes are drawn once more.
    assert (state.steps, state.images) == (2, 16)
    assert all(parameter.requires_grad for parameter in state.generator.parameters())
    before = {name: value.clone() for name, value in state.generator.named_parameters()}
    state.step(data)
    assert not all(torch.equal(before[name], value) for name, value in state.generator.named_parameters())


@pytest.mark.slow
def test_what_a_bank_has_seen_counts(
    tmp_path: Path, pack: Path, bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    earlier = read_header(bank).components["albedo"].training
    assert go_on(pack, tmp_path / "run", bank, "--kimg=0.032") == 0
    _, values = read_checkpoint(tmp_path / "run" / CHECKPOINT_NAME)
    assert (values["images"], values["steps"]) == (32, 4) and values["seconds"] > earlier["seconds"]
    first, second = values["history"]
    assert first == earlier["stretches"][0] and (second["from_images"], second["to_images"]) == (16, 32)
    weights = fingerprint(load_bank(bank).components["albedo"].generator)
    assert second["start_from"] == {"file": bank.name, "weights": weights}
    assert "16 on" in capsys.readouterr().out
    # So the bank that comes of it tells all.
    runs = [f"--component=albedo={tmp_path / 'run'}", f"--component=shading={bank.parent / 'shading'}"]
    later = tmp_path / "later.safetensors"
    assert main(["make-bank", *runs, f"--out={later}"]) == 0
    header = read_header(later)
    assert header.components["albedo"].training["images_shown"] == 32
    text = card(header, 1)
    assert "# from 0 to 16 images" in text and "# from 16 to 32 images" in text
    assert text.count("--start-from earlier.safetensors") == 1
    # And a training that is shorter than what the bank has seen says so, and leaves the networks as they are.
    assert go_on(pack, tmp_path / "short", bank, "--kimg=0.016") == 0
    assert "Nothing to train: 16 images have been shown" in capsys.readouterr().out


@pytest.mark.slow
def test_a_checkpoint_goes_before_the_bank(tmp_path: Path, pack: Path, bank: Path) -> None:
    settings, data = GanSettings(batch=4, ada=True, ada_kimg=0.05, ada_target=0.0), read_packs([pack], "albedo")
    copied = tmp_path / "copy.safetensors"
    copied.write_bytes(bank.read_bytes())
    straight = gan.begin(tmp_path / "straight", data, {}, settings, start_from=str(copied))
    for _ in range(9):
        straight.state.step(data)
    halted = gan.begin(tmp_path / "halted", data, {}, settings, start_from=str(copied))
    for _ in range(5):
        halted.state.step(data)
    halted.save()
    copied.unlink()  # or overwritten by the bank that a training made of it
    resumed = gan.begin(tmp_path / "halted", data, {}, settings, start_from=str(copied))
    for _ in range(4):
        resumed.state.step(data)
    left, right = straight.state.tensors(), resumed.state.tensors()
    assert left.keys() == right.keys() and all(torch.equal(left[key], right[key]) for key in left)
    assert ["start_from" in stretch for stretch in resumed.history] == [False, True, False]
    assert (
        "There is no snapshot yet"
        in gan.begin(tmp_path / "halted", data, {}, settings, resume="never", start_from=str(bank))._last_good()
    )


def test_an_imported_bank_has_seen_nothing_that_is_known(tmp_path: Path, pack: Path) -> None:
    config = GeneratorConfig(resolution=16, **SIZES)
    told = {"imported_from": "theirs.pkl", "format": "nvlabs"}
    path = tmp_path / "imported.safetensors"
    header = BankHeader("imported", 16, "image", {"image": ComponentHeader("srgb", config, told)})
    save_bank(path, header, {"image": (Generator(config), Discriminator(config))})
    data = replace(read_packs([pack], "albedo"), component="image")
    training = gan.begin(tmp_path / "run", data, {}, GanSettings(batch=8), start_from=str(path))
    assert training.state.images == 0 and training.history[0]["start_from"]["imported_from"] == "theirs.pkl"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--component=specular"], "The bank 'earlier.safetensors' has no specular. It has: albedo, shading."),
        (["--w-dim=4"], "has the w dim 8, but 4 is asked for"),
        (["--published"], "has the z dim 8, but 512 is asked for"),
        (["--start-from=nothing"], "There is no bank 'nothing'"),
        (["--resume=run"], "from 'run' and from the bank"),
    ],
)
def test_banks_that_do_not_fit(
    tmp_path: Path, bank: Path, capsys: pytest.CaptureFixture[str], options: list[str], words: str
) -> None:
    three = write_pack(tmp_path / "three.tar", components=("albedo", "shading", "specular"))
    assert go_on(three, tmp_path / "run", bank, *options) == 2
    message = capsys.readouterr().err
    assert words in message and message.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_bank_of_another_resolution_or_without_a_discriminator(
    tmp_path: Path, pack: Path, bank: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert go_on(write_pack(tmp_path / "large.tar", resolution=32), tmp_path / "run", bank) == 2
    assert "has the resolution 16, but 32 is asked for" in capsys.readouterr().err
    stored = load_bank(bank)
    components = {name: replace(part, has_discriminator=False) for name, part in stored.header.components.items()}
    bare = tmp_path / "bare.safetensors"
    networks = {name: (part.generator, None) for name, part in stored.components.items()}
    save_bank(bare, replace(stored.header, components=components), networks)
    assert go_on(pack, tmp_path / "run", bare) == 2
    assert "holds no discriminator of albedo" in capsys.readouterr().err


# Several processes


@pytest.mark.slow
def test_one_and_two_processes_agree(tmp_path: Path, pack: Path) -> None:
    options = ["--path-weight=2", "--ada", "--ada-kimg=0.2", "--ada-target=0.1", "--kimg=0.16", "--log-every=0.08"]
    assert train(pack, tmp_path / "one", *options) == 0
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    command += ["-m", "join_engine", "train-gan", "--data", str(pack), "--component", "albedo"]
    command += ["--out", str(tmp_path / "two"), *OPTIONS, *options]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("images of albedo") == 1  # one process speaks
    (one, first), (two, second) = (read_checkpoint(tmp_path / name / CHECKPOINT_NAME) for name in ("one", "two"))
    assert first["images"] == second["images"] == 160
    assert second["history"][0]["processes"] == 2
    assert one["ada.p"] == two["ada.p"] > 0
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-4 * float(value.abs().max()), msg=name)


def test_a_batch_is_shared_evenly() -> None:
    values = torch.arange(8)
    parts = [Group(rank, 2).share(values).tolist() for rank in range(2)]
    assert parts == [[0, 2, 4, 6], [1, 3, 5, 7]]
    with pytest.raises(ValueError, match="evenly"):
        GanState(GeneratorConfig(resolution=16, **SIZES), GanSettings(batch=8), group=Group(0, 3))


# What goes wrong


@pytest.mark.slow
def test_a_full_disk_leaves_the_last_snapshot(
    tmp_path: Path, pack: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train(pack, tmp_path, "--kimg=0.016") == 0
    good = (tmp_path / CHECKPOINT_NAME).read_bytes()
    write = Path.write_bytes

    def full(path: Path, data: bytes) -> int:
        write(path, data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    assert train(pack, tmp_path, "--kimg=0.032") == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "No space left" in message
    assert f"last good snapshot is '{tmp_path / CHECKPOINT_NAME}', after 16 images" in message
    assert (tmp_path / CHECKPOINT_NAME).read_bytes() == good
    assert not list(tmp_path.glob(".*tmp"))
    monkeypatch.undo()
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    assert train(pack, tmp_path, "--kimg=0.032") == 0
    assert read_checkpoint(tmp_path / CHECKPOINT_NAME)[1]["images"] == 32


@pytest.mark.slow
@pytest.mark.parametrize("schedule", ["--log-every=0.008", "--save-every=0.008"])
def test_diverged_training_stops_and_leaves_the_last_snapshot(
    tmp_path: Path, pack: Path, capsys: pytest.CaptureFixture[str], schedule: str
) -> None:
    assert train(pack, tmp_path, "--kimg=0.016") == 0
    good = (tmp_path / CHECKPOINT_NAME).read_bytes()
    assert train(pack, tmp_path, "--kimg=1", "--lr=1e30", schedule) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1 and "diverged" in message and "after 16 images" in message
    assert (tmp_path / CHECKPOINT_NAME).read_bytes() == good


@pytest.mark.slow
def test_diverged_training_without_a_snapshot(tmp_path: Path, pack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(pack, tmp_path, "--kimg=0.08", "--lr=1e30") == 2
    assert "There is no snapshot yet" in capsys.readouterr().err
    assert not (tmp_path / CHECKPOINT_NAME).exists()


def test_a_pack_of_another_resolution(tmp_path: Path, pack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(pack, tmp_path, "--kimg=0.008") == 0
    other = write_pack(tmp_path / "other.tar", resolution=32)
    assert train(other, tmp_path, "--kimg=0.016") == 2
    message = capsys.readouterr().err
    assert "has the resolution 16, but 32 is asked for" in message and message.count("\n") == 1


@pytest.mark.parametrize("option", ["--lr=0", "--channel-base=4", "--batch=0", "--path-interval=0"])
def test_impossible_settings(tmp_path: Path, pack: Path, capsys: pytest.CaptureFixture[str], option: str) -> None:
    assert train(pack, tmp_path, option) == 2
    assert "not possible" in capsys.readouterr().err


# Snapshots and what is told


@pytest.mark.slow
def test_snapshots_by_the_minute(tmp_path: Path, pack: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = read_packs([pack], "albedo")
    clock = iter(range(0, 10_000, 60))  # every look at the clock takes a minute
    monkeypatch.setattr(gan.time, "monotonic", lambda: float(next(clock)))
    training = gan.begin(tmp_path, data, SIZES, GanSettings(batch=8))
    saved: list[int] = []
    monkeypatch.setattr(training, "save", lambda *_: saved.append(training.state.images))
    training.run(gan.Schedule(kimg=0.08, log_every=0, save_minutes=2.5, sheet_every=0))
    assert saved == [24, 48, 72, 80]


@pytest.mark.slow
def test_tensorboard(tmp_path: Path, pack: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    options = ["--kimg=0.048", "--log-every=0.016", "--ada", "--path-weight=2", "--tensorboard"]
    assert train(pack, tmp_path, *options) == 0
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert {"loss_g", "loss_d", "r1", "path", "ada_p", "images_per_second"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("loss_d")] == [16, 32, 48]
    lines = [json.loads(line) for line in (tmp_path / LOG_NAME).read_text().splitlines()]
    assert events.Scalars("loss_d")[-1].value == pytest.approx(lines[-1]["loss_d"], abs=1e-4)
    assert {"reals", "samples"} <= set(events.Tags()["images"])


def test_tensorboard_that_is_not_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(JoinError, match=r"join-intrinsics\[training\]") as caught:
        Monitor("albedo", tmp_path, tensorboard=True)
    assert caught.value.code == "tensorboard_missing"


@pytest.mark.parametrize(
    ("seconds", "text"), [(-3, "0 s"), (59, "59 s"), (600, "10 min"), (3 * 3600 + 299, "3 h 05 min")]
)
def test_time_left(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_published_sizes() -> None:
    parser = argparse.ArgumentParser()
    train_gan.add_arguments(parser)
    options = parser.parse_args(["--data=x", "--component=albedo", "--out=x", "--published", "--w-dim=64"])
    config = GeneratorConfig.from_dict(train_gan.architecture(options, 256))
    assert [config.width(side) for side in (4, 64, 128, 256)] == [512, 512, 256, 128]
    assert (config.z_dim, config.w_dim, config.mapping_layers) == (512, 64, 8)
    assert GeneratorConfig.published(1024).width(1024) == 32


def test_another_seed_draws_other_images(pack: Path) -> None:
    """torch's CPU generator looks at 32 bits of a seed only: seeds that differ above them would be one."""
    data, seeds = read_packs([pack], "albedo"), []
    for seed in (0, 1):
        state = GanState(GeneratorConfig(resolution=data.images.shape[-1], **SIZES), GanSettings(batch=8, seed=seed))
        state.step(data)
        seeds.append(torch.initial_seed() % 2**32)
    assert seeds[0] != seeds[1]
