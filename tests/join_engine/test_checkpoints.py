# SPDX-License-Identifier: GPL-3.0-or-later
"""Import of public checkpoints: the same images as a plain formula gives, and nothing executed."""

from __future__ import annotations

import io
import os
import pickle
import shutil
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from join_engine.bank import load_bank
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.networks.stylegan2 import GeneratorConfig
from join_engine.public_checkpoints import read_public_checkpoint
from join_engine.public_checkpoints.nvlabs import networks_from
from join_engine.public_checkpoints.unpickle import Record, load_inert

from . import public_layouts as layouts

WEIGHTS = layouts.random_weights()
Writer = Callable[[Path], Path]


@pytest.fixture(autouse=True)
def nvlabs_names(monkeypatch: pytest.MonkeyPatch) -> None:
    layouts.install_nvlabs_names(monkeypatch)


def rosinality(folder: Path) -> Path:
    return layouts.write_rosinality(folder / "a.pt", WEIGHTS)


def rosinality_old(folder: Path) -> Path:
    return layouts.write_rosinality(folder / "a.pt", WEIGHTS, old=True)


def nvlabs(folder: Path) -> Path:
    return layouts.write_nvlabs(folder / "a.pkl", layouts.nvlabs_modules(WEIGHTS))


@pytest.mark.parametrize("write", [rosinality, rosinality_old, nvlabs])
def test_imported_networks_compute_what_a_plain_formula_says(tmp_path: Path, write: Writer) -> None:
    found = read_public_checkpoint(write(tmp_path))
    assert found.format == write.__name__.removesuffix("_old")
    generator = found.generator.double()
    assert generator.config == GeneratorConfig(16, 6, 6, 64, 8, 3)
    rng = np.random.default_rng(1)
    z = rng.standard_normal(layouts.CODE)
    np.testing.assert_allclose(generator.mapping(torch.tensor(z)[None])[0].detach(), layouts.map_code(WEIGHTS, z))
    np.testing.assert_array_equal(generator.w_avg, WEIGHTS["w_avg"])
    ws = rng.standard_normal((generator.num_ws, layouts.CODE))
    image = generator.synthesis(torch.tensor(ws)[None], "const", torch.float64)[0].detach()
    np.testing.assert_allclose(image, layouts.generate(WEIGHTS, ws), rtol=1e-6, atol=1e-8)
    assert found.discriminator is not None
    images = rng.standard_normal((4, 3, 16, 16))
    logits = found.discriminator.double()(torch.tensor(images), torch.float64)[:, 0].detach()
    np.testing.assert_allclose(logits, layouts.judge(WEIGHTS, images), rtol=1e-6, atol=1e-8)


def test_a_mean_code_that_is_not_stored_is_measured(tmp_path: Path) -> None:
    found = read_public_checkpoint(layouts.write_rosinality(tmp_path / "a.pt", WEIGHTS, with_mean=False))
    rng = np.random.default_rng(2)
    codes = [layouts.map_code(WEIGHTS, rng.standard_normal(layouts.CODE)) for _ in range(2000)]
    error = np.abs(found.generator.w_avg.numpy() - np.mean(codes, axis=0))
    assert (error < 6 * np.std(codes, axis=0) / np.sqrt(2000)).all()


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("home", [b"numpy.core.multiarray", b"numpy._core.multiarray"])
def test_numbers_of_numpy_are_read_without_numpy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, protocol: int, home: bytes
) -> None:
    """As ``np.sqrt`` leaves them in a layer's attributes, by numpy of before and after 2.0."""
    numbers = [np.sqrt(2), np.float32(0.1), np.float16(3), np.int64(-(2**40)), np.bool_(True), np.uint8(255)]
    numbers.append(np.array([1.5], ">f8").newbyteorder("=").byteswap().view(">f8")[0])
    path = layouts.write_nvlabs(tmp_path / "a.pkl", {"G_ema": layouts.Persistent("Layer", numbers=numbers)}, protocol)
    data = path.read_bytes()
    own = next(name for name in (b"numpy.core.multiarray", b"numpy._core.multiarray") if name in data)
    data = data.replace(b"c" + own + b"\n", b"c" + home + b"\n")  # protocols 2 and 3
    data = data.replace(b"\x8c" + bytes([len(own)]) + own, b"\x8c" + bytes([len(home)]) + home)
    if protocol == 4:  # without the frame, which tells its length
        data = data[:2] + data[11:]
    assert home in data
    monkeypatch.setattr(np, "dtype", None)
    found = load_inert(data)["G_ema"].state["numbers"]
    assert found[:6] == [float(np.sqrt(2)), float(np.float32(0.1)), 3.0, -(2**40), True, 255]
    assert {type(number) for number in found} == {float, int, bool}


@pytest.mark.parametrize("kind", ["O", "V8", "S5", "M8", "f16", "c8", "nonsense"])
def test_other_things_of_numpy_are_not_numbers(tmp_path: Path, kind: str) -> None:
    dtype = b"cnumpy\ndtype\nX" + struct.pack("<I", len(kind)) + kind.encode() + b"K\x00K\x01\x87R"
    attack = b"\x80\x03cnumpy.core.multiarray\nscalar\n" + dtype + b"C\x0812345678\x86R."
    (tmp_path / "a.pkl").write_bytes(attack)
    with pytest.raises(JoinError, match="of a kind that no network has") as caught:
        read_public_checkpoint(tmp_path / "a.pkl")
    assert caught.value.code == "checkpoint_broken"


# What is refused


class Evil:
    """Runs a command when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return (os.system, (f"touch '{self.marker}'",))


class EvilStorage:
    """A storage whose bytes are a pickle of their own."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        buffer = io.BytesIO()
        torch.save(Evil(self.marker), buffer, _use_new_zipfile_serialization=False)
        return (torch.storage._load_from_bytes, (buffer.getvalue(),))


class Call:
    """Calls anything with anything when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function = function
        self.arguments = arguments

    def __reduce__(self) -> tuple[Any, ...]:
        return (self.function, self.arguments)


@pytest.mark.parametrize("attack", [Evil, EvilStorage, lambda marker: Call(eval, f"open({str(marker)!r}, 'w')")])
@pytest.mark.parametrize("place", ["alone", "beside", "within"])
def test_malicious_pickles_are_refused(tmp_path: Path, attack: Callable[[Path], Any], place: str) -> None:
    marker = tmp_path / "executed"
    values: Any = layouts.nvlabs_modules(WEIGHTS)
    if place == "alone":
        values = attack(marker)
    elif place == "beside":
        values["extra"] = attack(marker)
    else:
        values["G_ema"].meta["state"]["hidden"] = [attack(marker)]
    path = layouts.write_nvlabs(tmp_path / "evil.pkl", values)
    with pytest.raises(JoinError) as caught:
        read_public_checkpoint(path)
    assert not marker.exists()
    assert caught.value.code == "checkpoint_unsafe" and "refused" in caught.value.message
    pickle.loads(pickle.dumps(Evil(marker)))
    assert marker.exists()  # the attack would have worked


@pytest.mark.parametrize("old", [False, True])
def test_malicious_files_of_torch_are_refused(tmp_path: Path, old: bool) -> None:
    marker = tmp_path / "executed"
    path = tmp_path / "evil.pt"
    torch.save({"g_ema": {}, "extra": Evil(marker)}, path, _use_new_zipfile_serialization=not old)
    with pytest.raises(JoinError) as caught:
        read_public_checkpoint(path)
    assert caught.value.code == "checkpoint_unsafe"
    assert not marker.exists()


def test_a_tensor_of_endless_size_is_refused(tmp_path: Path) -> None:
    modules = layouts.nvlabs_modules(WEIGHTS)
    storage = torch.zeros(1)._typed_storage()
    bomb = Call(torch._utils._rebuild_tensor_v2, storage, 0, (1 << 40,), (0,), False, {})
    modules["G_ema"].meta["state"]["_buffers"]["bomb"] = bomb
    outside = Call(torch._utils._rebuild_tensor_v2, storage, 7, (1,), (1,), False, {})
    for number, values in enumerate((modules, {"G_ema": outside})):
        with pytest.raises(JoinError) as caught:
            read_public_checkpoint(layouts.write_nvlabs(tmp_path / f"{number}.pkl", values))
        assert caught.value.code == "checkpoint_broken"


def test_a_pickle_cannot_leave_traces_in_the_reader(tmp_path: Path) -> None:
    """BUILD on what a name stands for sets attributes of it; the next file must not see them."""
    attack = b"\x80\x03ctorch._utils\n_rebuild_parameter\nN}X\x0c\x00\x00\x00__defaults__(K\x01tss\x86b."
    (tmp_path / "evil.pkl").write_bytes(attack)
    with pytest.raises(JoinError):
        read_public_checkpoint(tmp_path / "evil.pkl")
    assert read_public_checkpoint(nvlabs(tmp_path)).format == "nvlabs"


def test_modules_that_contain_each_other_are_refused() -> None:
    loop = Record("Loop", {"_modules": {}})
    loop.state["_modules"]["again"] = loop
    with pytest.raises(ValueError, match="no end"):
        networks_from({"G_ema": loop})


def other_filter(values: Any) -> None:
    values["G_ema"].meta["state"]["_modules"]["synthesis"].meta["state"]["_modules"]["b8"].meta["state"]["_buffers"] = {
        "resample_filter": torch.full((4, 4), 1 / 16)
    }


def other_rate(values: Any) -> None:
    mapping = values["G_ema"].meta["state"]["_modules"]["mapping"].meta["state"]["_modules"]
    mapping["fc0"].meta["state"]["bias_gain"] = 1.0


def with_classes(values: Any) -> None:
    values["G_ema"].meta["state"]["c_dim"] = 10


def without_layer(values: Any) -> None:
    del values["D"].meta["state"]["_modules"]["b8"]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (other_filter, "another filter"),
        (other_rate, "multiplier 1.0"),
        (with_classes, "several classes"),
        (without_layer, "discriminator lacks"),
        (lambda values: values.pop("G_ema") and values.pop("G"), "no 'G_ema'"),
    ],
)
def test_other_networks_are_named(tmp_path: Path, change: Callable[[Any], Any], words: str) -> None:
    values = layouts.nvlabs_modules(WEIGHTS)
    change(values)
    with pytest.raises(JoinError, match=words) as caught:
        read_public_checkpoint(layouts.write_nvlabs(tmp_path / "a.pkl", values))
    assert caught.value.code == "checkpoint_broken"


@pytest.mark.parametrize("write", [rosinality, nvlabs])
def test_damaged_files_get_one_sentence(tmp_path: Path, write: Writer) -> None:
    path = write(tmp_path)
    whole = path.read_bytes()
    for size in (0, 10, len(whole) // 2):
        path.write_bytes(whole[:size])
        with pytest.raises(JoinError) as caught:
            read_public_checkpoint(path)
        assert "\n" not in caught.value.message and path.name in caught.value.message
    path.unlink()
    with pytest.raises(JoinError) as caught:
        read_public_checkpoint(path)
    assert caught.value.code == "checkpoint_missing"


# The command


@pytest.mark.slow
def test_a_bank_of_imported_networks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bank_file = tmp_path / "mine.safetensors"
    command = [f"--component=albedo={rosinality(tmp_path)}", f"--component=shading={nvlabs(tmp_path)}"]
    command += ["--name=mine", "--license=LicenseRef-Test", f"--out={bank_file}"]
    assert main(["import-checkpoint", *command]) == 0
    bank = load_bank(bank_file, with_discriminators=True)
    assert bank.header.license == "LicenseRef-Test"
    assert [component.transform.name for component in bank.components.values()] == ["srgb", "reinhard"]
    ws = torch.randn(2, 6, generator=torch.Generator().manual_seed(0))
    images = [component.generator.synthesis(ws) for component in bank.components.values()]
    torch.testing.assert_close(images[0], images[1])  # the same weights in both layouts
    plain = read_public_checkpoint(nvlabs(tmp_path)).generator.synthesis(ws)
    torch.testing.assert_close(
        images[0], plain, rtol=0.01, atol=0.02 * float(plain.detach().abs().max())
    )  # stored in fp16
    assert bank.components["shading"].discriminator is not None

    assert main(["import-checkpoint", *command[1:], "--transform=shading=magic"]) == 2
    assert main(["import-checkpoint", *command[1:]]) == 2
    assert "albedo" in capsys.readouterr().err
    shutil.copy(tmp_path / "a.pt", tmp_path / "b.pt")
    (tmp_path / "b.pt").write_bytes(b"no checkpoint")
    assert main(["import-checkpoint", f"--component=albedo={tmp_path / 'b.pt'}", *command[1:]]) == 2
