# SPDX-License-Identifier: GPL-3.0-or-later
"""Named directions: the regressions find what is there, renders with known light teach them, a bank keeps them."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from join_engine.bank import Bank, load_bank, read_header
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.relighting.directions_file import Learned, read_directions
from join_engine.relighting.regression import boundary_normals, explained, mean_effects, read_attributes
from join_engine.renders.lights import read_lights
from join_engine.renders.packs import to_pixels

from .fake_packs import TRANSFORMS, add_member

NAMES = ("left_right", "up_down", "intensity")
UNSEEN = "size"  # varies in the packs and changes no image


# --- the regressions ----------------------------------------------------------------------------------------------


def _sample(seed: int, count: int = 600, noise: float = 0.3) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Codes, attributes that go together, held values that go along with them, and the attributes' true effects."""
    rng = torch.Generator().manual_seed(seed)
    effects = torch.randn(5, 24, generator=torch.Generator().manual_seed(99))
    causes = torch.randn(count, 5, generator=rng)
    causes[:, 1] += 0.8 * causes[:, 0]
    causes[:, 3] += 0.8 * causes[:, 2]
    codes = 0.5 + causes @ effects + noise * torch.randn(count, 24, generator=rng)
    return codes, causes[:, :3], causes[:, 3:], effects[:3]


def test_effects_are_found_beside_attributes_and_held_values_that_go_along() -> None:
    codes, attributes, held, effects = _sample(0)
    found = mean_effects(codes, attributes, held)
    torch.testing.assert_close(found, effects, atol=0.08, rtol=0.0)
    # Without what is held, its effect would be taken for that of the attribute that goes along with it.
    naive = mean_effects(codes, attributes, held[:, :0])
    assert (naive[2] - effects[2]).norm() > 5 * (found[2] - effects[2]).norm()


def test_a_camera_that_never_moves_does_no_harm() -> None:
    codes, attributes, held, _ = _sample(0)
    constant = torch.full((len(codes), 1), 0.25)
    with_constant = mean_effects(codes, attributes, torch.cat([held, constant], dim=1))
    torch.testing.assert_close(with_constant, mean_effects(codes, attributes, held))


def test_a_reading_tells_the_attributes_and_its_ridge_suits_the_noise() -> None:
    codes, attributes, _, effects = _sample(0)
    other, truth, _, _ = _sample(1)
    reading = read_attributes(codes, attributes, (other, truth))
    assert bool((reading.r2 > 0.9).all())
    torch.testing.assert_close(explained(reading(other), truth), reading.r2, atol=1e-4, rtol=0.0)
    # Along an attribute's effect the reading goes up by about one, and the others stay.
    moved = (effects @ reading.weights).diag()
    assert bool((moved - 1.0).abs().max() < 0.15)
    few, noisy = _sample(2, noise=3.0), _sample(3, noise=3.0)
    assert read_attributes(few[0][:30], few[1][:30], noisy[:2]).penalty > reading.penalty


def test_boundaries_part_codes_by_an_attribute() -> None:
    """Nearly every code lies on its attribute's side of the plane, whose normal is what the codes go by, as far as they
    go: across everything that does not matter, unlike an effect."""
    rng = torch.Generator().manual_seed(0)
    attributes = torch.randn(800, 2, generator=rng)
    noise = torch.randn(800, 12, generator=rng) * torch.tensor([0.3, 0.3, 3.0, *[0.3] * 9])
    axes = torch.eye(12)[:3]
    codes = 5.0 + attributes @ (axes[:2] + axes[2]) + noise
    normals = boundary_normals(codes, attributes)
    along = (codes - codes.mean(dim=0)) @ normals.T
    torch.testing.assert_close(along.std(dim=0), normals.norm(dim=1).square(), rtol=1e-3, atol=0)
    assert bool((((along > 0) == (attributes > attributes.median(dim=0).values)).float().mean(dim=0) > 0.9).all())
    assert bool((nn.functional.cosine_similarity(normals, axes[:2]) > 0.9).all())
    effects = mean_effects(codes, attributes, attributes[:, :0])
    assert bool((effects[:, 2] > 0.5).all()) and bool((normals[:, 2].abs() < 0.3).all())


# --- learning from packs ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def known(tiny_bank: Bank) -> Tensor:
    """What each attribute does to the shading's code, [3, w_dim]: orthogonal steps that the generator can show."""
    codes = tiny_bank.components["shading"].sample_codes()[:2000]
    _, _, axes = torch.linalg.svd(codes - codes.mean(dim=0), full_matrices=False)
    return axes[:3] * (codes @ axes[:3].T).std(dim=0)[:, None]


def _write_pack(bank: Bank, known: Tensor, path: Path, count: int, seed: int, told: bool = True) -> Path:
    """A pack whose shading is the generator's for codes that follow the light along the ``known`` directions."""
    rng = torch.Generator().manual_seed(seed)
    lights = torch.randn(count, len(NAMES), generator=rng)
    codes = bank.components["shading"].w_avg + lights @ known
    albedo = bank.components["albedo"].sample_codes(count, seed)
    with torch.no_grad():
        images = {
            "albedo": bank.components["albedo"].generator.synthesis(albedo),
            "shading": bank.components["shading"].generator.synthesis(codes),
        }
    transforms = {name: {"transform": TRANSFORMS[name]} for name in images}
    header = {
        "resolution": 16,
        "components": transforms,
        "split": "train",
        "count": count,
        "dataset": "x",
        "seed": seed,
    }
    units = {"left_right": 0.2, "up_down": 0.3, "intensity": 0.7}
    with tarfile.open(path, "w") as tar:
        add_member(tar, "pack.json", json.dumps(header).encode())
        for index in range(count):
            for name, values in images.items():
                buffer = io.BytesIO()
                Image.fromarray(to_pixels(values[index]).permute(1, 2, 0).numpy()).save(buffer, format="PNG")
                add_member(tar, f"{index:08d}.{name}.png", buffer.getvalue())
            light = {name: units[name] * float(lights[index, i]) for i, name in enumerate(NAMES)}
            light[UNSEEN] = float(torch.rand(1, generator=rng))
            if told or index:
                text = json.dumps({"light": light, "held": {"fill": 0.1}})
                add_member(tar, f"{index:08d}.json", text.encode())
    return path


@pytest.fixture(scope="module")
def files(tiny_bank: Bank, known: Tensor, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Packs, and the directions that were learned from them."""
    folder = tmp_path_factory.mktemp("lights")
    found = {
        "train": _write_pack(tiny_bank, known, folder / "train.tar", 96, 1),
        "val": _write_pack(tiny_bank, known, folder / "val.tar", 32, 2),
        "directions": folder / "directions.safetensors",
    }
    packs = ["--data", str(found["train"]), "--validation", str(found["val"])]
    # Its images are the generator's own, which knows no mirrored ones.
    how = ["--steps", "40", "--no-mirror", "--threads", "1", "--device", "cpu"]
    assert (
        main(["learn-directions", "--bank", str(tiny_bank.path), *packs, *how, "--out", str(found["directions"])]) == 0
    )
    return found


@pytest.fixture(scope="module")
def learned(files: Mapping[str, Path]) -> Learned:
    return read_directions(files["directions"])


@pytest.mark.slow
def test_renders_of_known_light_teach_the_directions(tiny_bank: Bank, known: Tensor, learned: Learned) -> None:
    assert set(learned.vectors) == {"shading"} and list(learned.header.attributes) == list(NAMES)
    # A name that would do nothing is not given away.
    assert list(learned.header.training["left_out"]) == [UNSEEN] and learned.header.training["left_out"][UNSEEN] < 0.1
    assert learned.reading.weights.shape[1] == len(NAMES)
    shading = tiny_bank.components["shading"]
    vectors = learned.vectors["shading"].vectors[:, 0]

    def change(step: Tensor) -> Tensor:
        """What a step does to the mean image; codes that make the same image are not told apart."""
        with torch.no_grad():
            made = shading.generator.synthesis(torch.stack([shading.w_avg + step, shading.w_avg - step]))
        return (made[0] - made[1]).flatten()

    similarity = torch.tensor([[torch.cosine_similarity(change(a), change(b), dim=0) for b in vectors] for a in known])
    assert bool((similarity.diag() > 0.9).all()), similarity
    assert bool((similarity - torch.diag(similarity.diag())).abs().max() < 0.6), similarity
    for found, true in zip(vectors, known, strict=True):
        assert 0.7 < change(found).norm() / change(true).norm() < 1.2
    figures = learned.header.attributes
    assert min(figures[name]["r2"] for name in NAMES) > 0.8
    assert figures["left_right"]["unit"] == pytest.approx(0.2, rel=0.2)


@pytest.mark.slow
def test_a_mirrored_sample_is_lit_from_the_other_side(files: Mapping[str, Path]) -> None:
    lights = read_lights([files["val"]])
    both = lights.and_mirrored()
    assert len(lights) == 32 and len(both) == 64
    assert torch.equal(both.attributes["left_right"][32:], -lights.attributes["left_right"])
    assert torch.equal(both.attributes["up_down"][32:], lights.attributes["up_down"])


@pytest.mark.slow
def test_samples_that_tell_no_light_are_passed_over(
    tiny_bank: Bank, known: Tensor, files: Mapping[str, Path], tmp_path: Path
) -> None:
    """A sun and a sky have no place: those before and behind keep theirs among the pictures."""
    partly = _write_pack(tiny_bank, known, tmp_path / "partly.tar", 3, 4, told=False)
    lights = read_lights([partly, files["val"]])
    assert len(lights) == 2 + 32 and lights.names[:3] == ("00000001", "00000002", "00000000")
    assert lights.places.tolist() == list(range(1, 35))
    assert lights.take(torch.tensor([1, 2])).places.tolist() == [2, 3]
    assert lights.and_mirrored().places.tolist() == list(range(1, 35)) * 2


@pytest.mark.slow
def test_a_bank_keeps_its_directions(
    tiny_bank: Bank, files: Mapping[str, Path], learned: Learned, tmp_path: Path
) -> None:
    out, again = tmp_path / "bank.safetensors", tmp_path / "again.safetensors"
    assert (
        main(["make-bank", "--bank", str(tiny_bank.path), "--directions", str(files["directions"]), "--out", str(out)])
        == 0
    )
    assert main(["make-bank", "--bank", str(out), "--out", str(again)]) == 0
    for path in (out, again):
        bank = load_bank(path)
        assert bank.header.directions == learned.header
        assert not bank.components["albedo"].directions
        for i, name in enumerate(NAMES):
            found = bank.components["shading"].directions[name]
            assert torch.equal(found, learned.vectors["shading"].vectors[i, 0])
    card = out.with_suffix(".md").read_text(encoding="utf-8")
    assert "## Directions of the light" in card and "| left_right | 0." in card
    assert "hardly tell it: size (R² " in card


@pytest.mark.slow
def test_directions_of_another_generator_are_refused(
    seeing_bank: Bank, files: Mapping[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str], bank_maker
) -> None:
    other = bank_maker(tmp_path / "other.safetensors", "lambertian", (("albedo", "srgb"), ("shading", "reinhard")))
    bank = load_bank(other)
    with torch.no_grad():
        next(bank.components["shading"].generator.synthesis.parameters()).add_(0.5)
    from join_engine.bank import save_bank

    networks = {name: (part.generator, None) for name, part in bank.components.items()}
    parts = {name: replace(part, has_discriminator=False) for name, part in bank.header.components.items()}
    save_bank(other, replace(bank.header, components=parts), networks)
    arguments = ["--bank", str(other), "--directions", str(files["directions"]), "--out", str(tmp_path / "no")]
    assert main(["make-bank", *arguments]) == 2
    assert "learned for another generator of shading" in capsys.readouterr().err
    with pytest.raises(ValueError, match="another generator"):
        header = replace(read_header(other), directions=read_directions(files["directions"]).header)
        save_bank(other, header, networks, directions=read_directions(files["directions"]).vectors)


@pytest.mark.slow
def test_what_is_missing_is_said(
    tiny_bank: Bank, known: Tensor, files: Mapping[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = _write_pack(tiny_bank, known, tmp_path / "silent.tar", 1, 3, told=False)
    with pytest.raises(JoinError, match="tell no sample's light"):
        read_lights([silent])
    packs = ["--data", str(files["train"]), "--validation", str(files["val"])]
    arguments = ["--bank", str(tiny_bank.path), *packs, "--device", "cpu", "--out", str(tmp_path / "d")]
    assert main(["learn-directions", *arguments]) == 2
    assert "has no encoder of 'shading'" in capsys.readouterr().err
    (tmp_path / "broken").write_bytes(np.arange(4).tobytes())
    with pytest.raises(JoinError, match="is no file of directions"):
        read_directions(tmp_path / "broken")


@pytest.mark.slow
def test_an_encoders_codes_will_do(
    seeing_bank: Bank, files: Mapping[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packs = ["--data", str(files["train"]), "--validation", str(files["val"])]
    out = tmp_path / "d.safetensors"
    arguments = ["--bank", str(seeing_bank.path), *packs, "--count", "20", "--checked", "9", "--device", "cpu"]
    assert main(["learn-directions", *arguments, "--out", str(out)]) == 2  # this one has learned nothing
    assert "The codes tell nothing of the light: the best R² is" in capsys.readouterr().err
    assert main(["learn-directions", *arguments, "--least-r2", "-9", "--out", str(out)]) == 0
    header = read_directions(out).header
    assert header.training["samples"] == 20 and header.training["validation_samples"] == 9
    assert header.layers == {"shading": 1}
    assert main(["learn-directions", *arguments, "--least-r2", "-9", "--boundaries", "--out", str(tmp_path / "b")]) == 0
    effects, normals = (read_directions(path).vectors["shading"].vectors for path in (out, tmp_path / "b"))
    assert effects.shape == normals.shape and not torch.allclose(effects, normals)
