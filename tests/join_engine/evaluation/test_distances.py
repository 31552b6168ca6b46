# SPDX-License-Identifier: GPL-3.0-or-later
"""Distances between sets of images: closed forms for Gaussians, nothing between equals, more with more noise."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from join_engine.bank import Bank, load_bank, save_bank
from join_engine.bank.bank_wide import TrunkHeader
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.evaluation.generators import distances
from join_engine.evaluation.generators.distances import (
    frechet_distance,
    generated,
    generator_distances,
    inception_features,
    kernel_distance,
    report,
    sliced_wasserstein,
    trunk_features,
)
from join_engine.networks.trunk import Trunk, TrunkConfig
from join_engine.renders.packs import read_packs

from ..conftest import MakeBank
from ..invented_renders import write_renders, write_samples_of


def normal(count: int, size: int, seed: int) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(count, size, generator=rng, dtype=torch.float64)


def whitened(values: Tensor) -> Tensor:
    """With exactly zero mean and unit covariance, so that closed forms hold without sampling error."""
    values = values - values.mean(dim=0)
    factor = torch.linalg.cholesky(torch.cov(values.t()))
    return torch.linalg.solve_triangular(factor, values.t(), upper=False).t()


def test_frechet_distance_of_gaussians_in_closed_form() -> None:
    first = whitened(normal(200, 4, 0))
    scales, shift = torch.tensor([0.5, 1.0, 2.0, 3.0]).double(), torch.tensor([1.0, 0.0, -2.0, 0.0]).double()
    second = first * scales + shift
    # Commuting covariances: |μ₁ − μ₂|² + Σ (σ₁ − σ₂)².
    assert frechet_distance(first, second) == pytest.approx(5.0 + float((scales - 1).square().sum()))
    assert frechet_distance(second, first) == pytest.approx(frechet_distance(first, second))


def test_frechet_distance_of_covariances_that_do_not_commute() -> None:
    first, second = normal(300, 3, 1) @ normal(3, 3, 2), normal(300, 3, 3) @ normal(3, 3, 4)
    covariances = torch.cov(first.t()), torch.cov(second.t())
    # tr (C₁ C₂)^½ by the eigenvalues of the product itself, which is not symmetric.
    cross = torch.linalg.eigvals(covariances[0] @ covariances[1]).real.sqrt().sum()
    means = (first.mean(dim=0) - second.mean(dim=0)).square().sum()
    expected = float(means + covariances[0].trace() + covariances[1].trace() - 2 * cross)
    assert frechet_distance(first, second) == pytest.approx(expected)


def test_frechet_distance_needs_no_full_rank() -> None:
    few = normal(5, 20, 0)
    assert frechet_distance(few, few) == pytest.approx(0.0, abs=1e-6)


def test_kernel_distance_is_unbiased_and_finds_a_shift() -> None:
    same = [kernel_distance(normal(60, 5, 2 * seed), normal(60, 5, 2 * seed + 1)) for seed in range(60)]
    spread = torch.tensor(same).std() / len(same) ** 0.5
    assert abs(torch.tensor(same).mean()) < 4 * spread
    assert kernel_distance(normal(60, 5, 0), normal(60, 5, 1) + 1.0) > 10 * max(same)
    # By hand: kernel (xy + 1)³ of two points each, in one dimension.
    x, y = torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [2.0]])
    assert kernel_distance(x, y) == pytest.approx(1.0 + 27.0 - 2 * (1 + 1 + 8 + 27) / 4)


def test_kernel_distance_by_subsets_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = normal(300, 3, 0), normal(250, 3, 1) * 1.5
    monkeypatch.setattr(distances, "_SUBSET_SIZE", 250)
    whole = kernel_distance(first, second)
    monkeypatch.setattr(distances, "_SUBSET_SIZE", 100)
    parts = kernel_distance(first, second)
    assert parts == kernel_distance(first, second)
    assert parts == pytest.approx(whole, rel=0.2)
    assert parts > 10 * abs(kernel_distance(first, normal(250, 3, 2)))


@pytest.fixture(scope="module")
def trunk() -> Trunk:
    torch.manual_seed(0)
    return Trunk(TrunkConfig((8, 16, 16), (1, 1, 1))).eval().requires_grad_(False)


def test_images_with_more_noise_are_farther(tmp_path: Path, trunk: Trunk) -> None:
    data = read_packs([write_renders(tmp_path / "a.tar", 200)], "albedo")
    images = (data.batch(torch.arange(200)) + 1) / 2
    embed = trunk_features(trunk)
    clean = embed(images)
    assert clean.shape == (200, 40)
    rng = torch.Generator().manual_seed(0)
    noisy = [
        embed((images + level * torch.randn(images.shape, generator=rng)).clamp(0, 1)) for level in (0.02, 0.1, 0.3)
    ]
    for distance in (frechet_distance, kernel_distance):
        found = [distance(clean, other) for other in noisy]
        assert found == sorted(found)
        assert distance(clean, clean) < found[0]
    assert frechet_distance(clean, clean) < 1e-6


@pytest.fixture
def few_patches(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sliced Wasserstein distance of fewer patches and directions than are published."""
    for name, value in (("_PATCHES", 32), ("_DIRECTIONS", 32), ("_REPEATS", 2)):
        monkeypatch.setattr(distances, name, value)


@pytest.mark.usefixtures("few_patches")
def test_sliced_wasserstein_distance(tmp_path: Path) -> None:
    """0 of a set to itself, more with more noise or blur, and blind to brightness and contrast of the whole set."""
    data = read_packs([write_renders(tmp_path / "a.tar", 40, size=32)], "albedo")
    images = (data.batch(torch.arange(40)) + 1) / 2
    assert sliced_wasserstein(images, images) == 0.0
    assert sliced_wasserstein(images, images * 0.5 + 0.1) < 0.5
    rng = torch.Generator().manual_seed(0)
    noise = torch.randn(images.shape, generator=rng)
    found = [sliced_wasserstein(images, images + level * noise) for level in (0.02, 0.1, 0.3)]
    assert found == sorted(found) and found[0] > 1.0
    blurred = nn.functional.avg_pool2d(images, 5, 1, 2)
    assert sliced_wasserstein(images, blurred) > found[0]
    # Which image is which does not count, and of more images only as many as the other set has.
    assert sliced_wasserstein(images, images.flip(0)) < 0.5 * found[2]
    assert sliced_wasserstein(images[:20], images) == 0.0


@pytest.mark.slow
def test_the_parts_of_a_single_gan_are_compared_by_themselves(
    tmp_path: Path, bank: Bank, bank_maker: MakeBank, capsys: pytest.CaptureFixture[str]
) -> None:
    single = bank_maker(tmp_path / "single.safetensors", "lambertian_single", [("albedo+shading", "srgb+reinhard")])
    pack = str(write_samples_of(bank, tmp_path / "p.tar", 20, seed=3))
    command = ["distance", "--data", pack, "--count", "20", "--device", "cpu", "--bank", str(single)]
    assert main(command) == 2
    assert "--trunk-of" in capsys.readouterr().err
    assert main([*command, "--trunk-of", str(bank.path)]) == 0
    found = json.loads(capsys.readouterr().out)["distances"]
    assert [entry["component"] for entry in found] == ["albedo", "shading"]
    both = load_bank(single).components["albedo+shading"]
    made = (both.generator(torch.randn(5, 16, generator=torch.Generator().manual_seed(0)), noise="const") + 1) / 2
    parts = [generated(load_bank(single), name, 5, 0) for name in ("albedo", "shading")]
    torch.testing.assert_close(torch.cat(parts, dim=1), made.clamp(0.0, 1.0))


@pytest.fixture(scope="module")
def bank(tiny_bank: Bank, trunk: Trunk, tmp_path_factory: pytest.TempPathFactory) -> Bank:
    path = tmp_path_factory.mktemp("bank") / "seen.safetensors"
    header = replace(tiny_bank.header, name="seen", trunk=TrunkHeader(trunk.config))
    networks = {name: (part.generator, part.discriminator) for name, part in tiny_bank.components.items()}
    save_bank(path, header, networks, trunk=trunk)
    return load_bank(path)


@pytest.mark.slow
@pytest.mark.usefixtures("few_patches")
def test_a_generator_is_near_its_own_images_and_far_from_others(tmp_path: Path, bank: Bank) -> None:
    assert bank.trunk is not None
    own = read_packs([write_samples_of(bank, tmp_path / "own.tar", 150, seed=3)], "albedo")
    others = read_packs([write_renders(tmp_path / "others.tar", 150, size=16)], "albedo")
    near = generator_distances(bank, "albedo", own, trunk_features(bank.trunk), count=150)
    far = generator_distances(bank, "albedo", others, trunk_features(bank.trunk), count=150)
    assert near["frechet"] < 0.3 * far["frechet"]
    assert near["kernel"] < 0.3 * far["kernel"]
    assert far["kernel_floor"] < 0.3 * far["kernel"]
    assert (near["real"], near["generated"]) == (150, 150)


@pytest.mark.slow
def test_the_command_and_its_refusals(
    tmp_path: Path, bank: Bank, tiny_bank_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pack = str(write_renders(tmp_path / "p.tar", 20, size=16))
    out = tmp_path / "figures.json"
    command = ["distance", "--data", pack, "--count", "20", "--device", "cpu"]
    assert main([*command, "--bank", str(bank.path), "--out", str(out)]) == 0
    figures = json.loads(out.read_text(encoding="utf-8"))
    assert capsys.readouterr().out == out.read_text(encoding="utf-8")
    assert [entry["component"] for entry in figures["distances"]] == ["albedo", "shading"]
    assert figures["distances"][0]["trunk Fréchet distance"] > 0 and "FID" not in figures["distances"][0]
    assert main([*command, "--bank", str(tiny_bank_path)]) == 2
    assert "no perceptual trunk" in capsys.readouterr().err
    assert main([*command, "--bank", str(bank.path), "--component", "specular"]) == 2
    other = str(write_renders(tmp_path / "q.tar", 8, size=32))
    assert main(["distance", "--data", other, "--bank", str(bank.path)]) == 2
    (tmp_path / "none.pt").write_bytes(b"no network")
    assert main([*command, "--bank", str(bank.path), "--inception", str(tmp_path / "none.pt")]) == 2
    assert "none.pt" in capsys.readouterr().err


class Sums(nn.Module):
    """Called as the Inception network of the FID is."""

    def forward(self, images: Tensor, return_features: bool = False) -> Tensor:
        assert images.dtype == torch.uint8 and return_features
        return images.float().mean(dim=(2, 3))


@pytest.mark.slow
def test_features_of_a_torchscript_file(tmp_path: Path, bank: Bank) -> None:
    path = tmp_path / "inception with spaces.pt"
    torch.jit.script(Sums()).save(str(path))
    images = torch.rand(2, 3, 8, 8)
    expected = (images * 255).round().mean(dim=(2, 3))
    torch.testing.assert_close(inception_features(path)(images), expected)
    data = read_packs([write_renders(tmp_path / "p.tar", 10, size=16)], "albedo")
    assert report(bank, "albedo", data, 10, 0, path)["FID"] > 0
    with pytest.raises(JoinError):
        inception_features(tmp_path / "missing.pt")
