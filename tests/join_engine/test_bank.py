# SPDX-License-Identifier: GPL-3.0-or-later
"""The bank file: round trip, refusals, codes, and finding it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from join_engine.bank import (
    BankHeader,
    ComponentHeader,
    find_bank,
    list_banks,
    load_bank,
    read_header,
    save_bank,
)
from join_engine.bank import file as bank_module
from join_engine.bank.file import HEADER_KEY, truncated_normal
from join_engine.errors import JoinError
from join_engine.networks.stylegan2 import Discriminator, Generator, GeneratorConfig

CONFIG = GeneratorConfig(resolution=16, z_dim=8, w_dim=12, channel_base=128, channel_max=8, mapping_layers=2)
HEADER = BankHeader(
    name="toy",
    resolution=16,
    forward_model="lambertian",
    components={
        "albedo": ComponentHeader("srgb", CONFIG, {"images_shown": 10, "stretches": []}),
        "shading": ComponentHeader("reinhard", CONFIG, has_discriminator=False),
    },
    scores={"albedo": {"mse": 0.5}},
)
Modules = dict[str, tuple[Generator, Discriminator | None]]


@pytest.fixture
def modules() -> Modules:
    torch.manual_seed(0)
    generators = [Generator(CONFIG) for _ in range(2)]
    for generator in generators:
        generator.w_avg.normal_()
        for name, parameter in generator.named_parameters():
            if name.endswith("noise_strength"):
                torch.nn.init.normal_(parameter)
    return {"albedo": (generators[0], Discriminator(CONFIG)), "shading": (generators[1], None)}


@pytest.fixture
def path(tmp_path: Path, modules: Modules) -> Path:
    save_bank(tmp_path / "toy.safetensors", HEADER, modules)
    return tmp_path / "toy.safetensors"


def test_round_trip(path: Path, modules: Modules) -> None:
    bank = load_bank(path, with_discriminators=True)
    assert bank.header == HEADER == read_header(path)
    assert bank.path == path
    assert bank.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert bank.forward_model.components == tuple(bank.components) == ("albedo", "shading")
    torch.manual_seed(1)
    ws = torch.randn(2, CONFIG.num_ws, 12)
    for name, component in bank.components.items():
        original = modules[name][0]
        assert component.name == name
        assert component.transform.name == HEADER.components[name].transform
        assert torch.equal(component.w_avg, original.w_avg)
        before, after = original.synthesis(ws), component.generator.synthesis(ws)
        # Half precision: two steps of an 8-bit image at most, for a random generator whose range is far wider.
        assert (before - after).abs().max() < 0.005 * before.std()
        assert not component.generator.training
        assert not any(parameter.requires_grad for parameter in component.generator.parameters())
        assert all(tensor.dtype == torch.float32 for tensor in component.generator.state_dict().values())
    images = torch.randn(4, 3, 16, 16)
    critic, original_critic = bank.components["albedo"].discriminator, modules["albedo"][1]
    assert critic is not None and original_critic is not None
    torch.testing.assert_close(critic(images), original_critic(images), atol=0.02, rtol=0.02)
    assert bank.components["shading"].discriminator is None
    assert load_bank(path).components["albedo"].discriminator is None


def test_components_keep_the_order_of_the_header(tmp_path: Path, modules: Modules) -> None:
    assert list(read_header_of(tmp_path, modules).components) == ["albedo", "shading"]


def read_header_of(folder: Path, modules: Modules) -> BankHeader:
    save_bank(folder / "x.safetensors", HEADER, dict(reversed(modules.items())))
    return read_header(folder / "x.safetensors")


def test_saved_twice_is_the_same_file(tmp_path: Path, modules: Modules) -> None:
    for name in ("a", "b"):
        save_bank(tmp_path / name, HEADER, modules)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_failed_save_leaves_the_old_file(path: Path, modules: Modules, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full_disk(_self: Path, data: bytes) -> int:
        with _self.open("wb") as file:
            file.write(data[:100])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full_disk)
    with pytest.raises(JoinError) as caught:
        save_bank(path, HEADER, modules)
    assert caught.value.code == "output_unwritable"
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == before


def test_header_and_modules_must_agree(tmp_path: Path, modules: Modules) -> None:
    with pytest.raises(ValueError, match="header has"):
        save_bank(tmp_path / "x", HEADER, {"albedo": modules["albedo"]})
    with pytest.raises(ValueError, match="albedo"):
        save_bank(tmp_path / "x", HEADER, modules | {"albedo": (modules["albedo"][0], None)})
    other = Generator(replace(CONFIG, w_dim=8))
    with pytest.raises(ValueError, match="shading"):
        save_bank(tmp_path / "x", HEADER, modules | {"shading": (other, None)})
    with pytest.raises(ValueError, match="resolution"):
        replace(HEADER, resolution=32)
    with pytest.raises(ValueError, match="transform"):
        ComponentHeader("magic", CONFIG)


def cut(share: float) -> Callable[[Path], object]:
    def damage(path: Path) -> None:
        path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    return damage


def with_header(change: Callable[[dict], object]) -> Callable[[Path], object]:
    """Rewrite the header and leave the weights."""

    def damage(path: Path) -> None:
        values = HEADER.to_dict()
        change(values)
        save_file(load_file(path), path, metadata={HEADER_KEY: json.dumps(values)})

    return damage


def without(part: str) -> Callable[[Path], object]:
    """Leave out the tensors whose names contain ``part``."""

    def damage(path: Path) -> None:
        tensors = {key: value for key, value in load_file(path).items() if part not in key}
        save_file(tensors, path, metadata={HEADER_KEY: json.dumps(HEADER.to_dict())})

    return damage


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (lambda path: path.unlink(), "bank_missing"),
        (lambda path: (path.unlink(), path.mkdir()), "bank_missing"),
        (lambda path: path.write_bytes(b""), "bank_broken"),
        (lambda path: path.write_bytes(b"garbage" * 1000), "bank_broken"),
        (lambda path: path.write_bytes(os.urandom(5000)), "bank_broken"),
        (cut(0.5), "bank_broken"),
        (cut(0.999), "bank_broken"),
        (cut(0.01), "bank_broken"),
        (lambda path: save_file({"x": torch.zeros(1)}, path), "bank_broken"),
        (lambda path: save_file({"x": torch.zeros(1)}, path, metadata={HEADER_KEY: "{"}), "bank_broken"),
        (lambda path: save_file({"x": torch.zeros(1)}, path, metadata={HEADER_KEY: "[1]"}), "bank_broken"),
        (with_header(lambda values: values.update(format_version=2)), "bank_newer"),
        (with_header(lambda values: values.update(format_version=99, components="?")), "bank_newer"),
        (with_header(lambda values: values.update(format_version="one")), "bank_broken"),
        (with_header(lambda values: values.update(components={})), "bank_broken"),
        (with_header(lambda values: values.pop("license")), "bank_broken"),
        # Files are called after it, and sentences tell it.
        *[
            (with_header(lambda values, name=name: values.update(name=name)), "bank_broken")
            for name in ("", "../../x", "/x", "a\\b", "a\nb", "\x1b[31m", "\ud800", "x" * 1000)
        ],
        (with_header(lambda values: values.update(resolution=64)), "bank_broken"),
        (with_header(lambda values: values["components"]["albedo"].update(transform="magic")), "bank_broken"),
        (with_header(lambda values: values["components"]["albedo"]["architecture"].update(w_dim=-1)), "bank_broken"),
        (with_header(lambda values: values["components"]["albedo"]["architecture"].update(w_dim=16)), "bank_broken"),
        (without("b8.conv0.weight"), "bank_broken"),
        (without("w_avg"), "bank_broken"),
        (without("shading"), "bank_broken"),
    ],
)
def test_bad_files_get_one_clear_sentence(path: Path, damage: Callable[[Path], object], code: str) -> None:
    damage(path)
    with pytest.raises(JoinError) as caught:
        load_bank(path, with_discriminators=True)
    error = caught.value
    assert error.code == code
    assert path.name in error.message
    assert error.message.count(". ") == 0 and error.message.endswith(".") and "\n" not in error.message
    assert error.hint


def test_header_needs_no_weights(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Generator, "__init__", None)
    assert read_header(path) == HEADER


def test_header_survives_json() -> None:
    assert BankHeader.from_dict(json.loads(json.dumps(HEADER.to_dict()))) == HEADER


def test_truncated_normal() -> None:
    z = truncated_normal(20_000, 4, seed=3)
    assert z.shape == (20_000, 4) and z.dtype == torch.float32
    assert z.abs().max() <= 2
    assert z.abs().max() > 1.99
    # Standard deviation of a normal cut at ±2: √(1 − 4φ(2) / (2Φ(2) − 1)).
    assert z.std().item() == pytest.approx(0.8796, abs=0.005)
    assert torch.equal(z, truncated_normal(20_000, 4, seed=3))
    assert not torch.equal(z, truncated_normal(20_000, 4, seed=4))


def test_codes(path: Path) -> None:
    component = load_bank(path).components["albedo"]
    codes = component.sample_codes(500, seed=2)
    assert codes.shape == (500, 12)
    torch.testing.assert_close(codes, component.generator.mapping(truncated_normal(500, 8, 2)))
    assert component.sample_codes(500, seed=2) is codes
    assert torch.equal(load_bank(path).components["albedo"].sample_codes(500, seed=2), codes)
    assert not codes.requires_grad


def test_finding_banks(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "notes.md").write_text("")
    assert list_banks(tmp_path) == [path]
    monkeypatch.setattr(bank_module, "BANKS_FOLDER", tmp_path)
    monkeypatch.setattr(bank_module, "DEFAULT_BANK", "toy")
    assert find_bank("toy") == find_bank() == find_bank(path) == find_bank(str(path)) == path
    with pytest.raises(JoinError) as caught:
        find_bank("nothing")
    assert caught.value.code == "bank_missing"
    assert "toy" in caught.value.hint


@pytest.mark.slow
def test_shipped_banks_load() -> None:
    for shipped in list_banks():
        bank = load_bank(shipped, with_discriminators=True)
        assert set(bank.forward_model.components) == set(bank.components)
        assert bank.header.name == shipped.stem
        assert shipped.with_suffix(".md").is_file()
        for component in bank.components.values():
            images = component.generator.synthesis(component.sample_codes(4, seed=1))
            assert torch.isfinite(images).all()
            assert images.std(dim=0).mean() > (
                0.01 if component.name == "specular" else 0.05
            )  # not all the same; highlights are rare


def test_colour_needs_neither_torch_nor_numpy() -> None:
    code = "import sys, join_engine, join_engine.color; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    root = Path(__file__).parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
