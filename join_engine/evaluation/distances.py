# SPDX-License-Identifier: GPL-3.0-or-later
"""How far generated images are from real ones, as distributions, in the features of the project's own trunk.

"Trunk Fréchet distance" has the form of FID (Heusel et al. 2017), "trunk kernel distance" that of KID (Bińkowski et al.
2018), but the features are those of our trunk: the figures can be compared with each other for one and the same trunk
(hence its fingerprint in the report) and never with published FIDs. For those, give the Inception network that they are
defined by, --inception.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..bank import Bank, BankComponent, find_bank, fingerprint, load_bank
from ..device import set_up_torch
from ..errors import JoinError
from ..images.files import write_text
from ..inversion.losses.perceptual import unit_features
from ..networks.trunk import Trunk
from ..options import add_bank_option, add_device_options, as_json, natural, positive
from ..renders.packs import ImageSet, read_packs, to_pixels

# Images [B, 3, H, W] in [0, 1] → one vector per image, [B, D].
Embedding = Callable[[Tensor], Tensor]

_BATCH = 32
_SUBSETS = 20
_SUBSET_SIZE = 1000


class TrunkFeatures:
    """The trunk's unit-length features averaged over the image: one vector of all its taps, [B, Σ widths]."""

    def __init__(self, trunk: Trunk) -> None:
        self._trunk = trunk

    def __call__(self, images: Tensor) -> Tensor:
        return torch.cat([unit_features(tap).mean(dim=(2, 3)) for tap in self._trunk(images)], dim=1)


class InceptionFeatures:
    """The 2048 features that FID is defined by, from the TorchScript file of NVlabs' stylegan2-ada-pytorch.

    The file, ``inception-2015-12-05.pt``, is not part of this project (its licence and its training on ImageNet are its
    own). It takes uint8 images of any size, resizes them itself, and is called with ``return_features=True``.

    Raises:
        JoinError: ``weights_unreadable``.
    """

    def __init__(self, path: Path, device: str | torch.device = "cpu") -> None:
        try:
            self._network = torch.jit.load(str(path), map_location=device).eval()
        except (OSError, ValueError, RuntimeError) as error:
            raise JoinError(
                "weights_unreadable",
                f"'{path}' cannot be read as a TorchScript network.",
                "Give the path of inception-2015-12-05.pt.",
            ) from error

    def __call__(self, images: Tensor) -> Tensor:
        return self._network(to_pixels(images * 2.0 - 1.0), return_features=True)


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Fréchet distance of the Gaussians fitted to two sets of features [N, D] and [M, D]; biased upwards for few.

    |μ₁ − μ₂|² + tr(C₁ + C₂ − 2 (C₁^½ C₂ C₁^½)^½), in float64 by eigenvalues, which needs no matrix to be invertible.
    """
    (mean1, cov1), (mean2, cov2) = _moments(first), _moments(second)
    root = _root(cov1)
    cross = torch.linalg.eigvalsh(root @ cov2 @ root).clamp_min(0.0).sqrt().sum()
    distance = (mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2.0 * cross
    return max(0.0, float(distance))


def kernel_distance(first: Tensor, second: Tensor, seed: int = 0) -> float:
    """Squared maximum mean discrepancy under the kernel (x·y / D + 1)³, unbiased: 0 on average for equal distributions.

    The mean over random subsets of at most 1000, as published for KID. Features [N, D] and [M, D], N and M at least 2.
    """
    size = min(_SUBSET_SIZE, len(first), len(second))
    rng = torch.Generator().manual_seed(seed)
    one, two = first.double().cpu(), second.double().cpu()
    rounds = 1 if size == len(first) == len(second) else _SUBSETS
    values = []
    for _ in range(rounds):
        x = one[torch.randperm(len(one), generator=rng)[:size]]
        y = two[torch.randperm(len(two), generator=rng)[:size]]
        within = _off_diagonal_mean(_kernel(x, x)) + _off_diagonal_mean(_kernel(y, y))
        values.append(within - 2.0 * _kernel(x, y).mean())
    return float(torch.stack(values).mean())


def generator_distances(
    bank: Bank, component: str, real: ImageSet, embed: Embedding, count: int = 5000, seed: int = 0
) -> dict[str, float]:
    """Distances between what a bank's generator makes and real images of that component.

    Args:
        real: at least 4 images; at most ``count`` are used, drawn without replacement.
        embed: :class:`TrunkFeatures` or :class:`InceptionFeatures`.
        count: generated images.

    Returns:
        ``frechet`` and ``kernel``, both against the real images; ``frechet_floor`` and ``kernel_floor``, between two
        halves of the real images: what a perfect generator could hope for at half the number; and the numbers.
    """
    chosen = torch.randperm(len(real.images), generator=torch.Generator().manual_seed(seed))[:count]
    found = embed_all(((real.batch(part) + 1.0) / 2.0 for part in chosen.split(_BATCH)), bank, component, embed)
    made = embed_all(generated(bank.components[component], count, seed), bank, component, embed)
    half = len(found) // 2
    return {
        "frechet": frechet_distance(found, made),
        "kernel": kernel_distance(found, made),
        "frechet_floor": frechet_distance(found[:half], found[half:]),
        "kernel_floor": kernel_distance(found[:half], found[half:]),
        "real": len(found),
        "generated": len(made),
    }


def report(bank: Bank, component: str, real: ImageSet, count: int, seed: int, inception: Path | None) -> dict[str, Any]:
    """The distances by name, for JSON.

    Raises:
        JoinError: ``trunk_missing``, ``component_missing``, ``pack_mismatch``, ``weights_unreadable``.
    """
    check_comparable(bank, component, real)
    if bank.trunk is None:
        message = f"The bank '{bank.header.name}' has no perceptual trunk to compare images in."
        raise JoinError("trunk_missing", message, "Train one with train-trunk and put it in with make-bank.")
    if real.images.shape[1] != 3:
        message = f"Distances are of images with three channels, not of {component}."
        raise JoinError("pack_mismatch", message, "Compare the banks of its parts.")
    trunk = generator_distances(bank, component, real, TrunkFeatures(bank.trunk), count, seed)
    result: dict[str, Any] = {
        "component": component,
        "trunk": fingerprint(bank.trunk),
        "trunk Fréchet distance": trunk["frechet"],
        "trunk Fréchet distance, real halves": trunk["frechet_floor"],
        "trunk kernel distance": trunk["kernel"],
        "trunk kernel distance, real halves": trunk["kernel_floor"],
        "real": trunk["real"],
        "generated": trunk["generated"],
    }
    if inception is not None:
        embed = InceptionFeatures(inception, bank.components[component].w_avg.device)
        published = generator_distances(bank, component, real, embed, count, seed)
        result |= {"FID": published["frechet"], "KID": published["kernel"]}
    return result


@torch.no_grad()
def embed_all(images: Iterator[Tensor], bank: Bank, component: str, embed: Embedding) -> Tensor:
    """Batches of images in [0, 1] → features [N, D], float64 on the CPU."""
    device = bank.components[component].w_avg.device
    return torch.cat([embed(part.to(device).clamp(0.0, 1.0)).double().cpu() for part in images])


@torch.no_grad()
def generated(component: BankComponent, count: int, seed: int) -> Iterator[Tensor]:
    """Batches of images in [0, 1] from untruncated codes, as training made them."""
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(count, component.generator.config.z_dim, generator=rng)
    for part in z.split(_BATCH):
        yield (component.generator(part.to(component.w_avg.device), noise="const") + 1.0) / 2.0


def check_comparable(bank: Bank, component: str, real: ImageSet) -> None:
    """Raise JoinError ``component_missing`` or ``pack_mismatch`` unless images of a bank and real ones are alike."""
    if component not in bank.components:
        known = ", ".join(bank.components)
        raise JoinError("component_missing", f"The bank has no {component}.", f"It has: {known}.")
    mine = (bank.header.resolution, bank.components[component].transform.name)
    if (real.resolution, real.transform) != mine:
        message = f"The packs and the bank differ in resolution or in the transform of {component}."
        raise JoinError("pack_mismatch", message, "Use packs of the dataset that the bank was trained on.")
    if len(real.images) < 4:
        raise JoinError("pack_mismatch", "The packs hold too few images to compare with.", "Give larger ones.")


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    values = features.double().cpu()
    return values.mean(dim=0), torch.cov(values.t()).reshape(values.shape[1], values.shape[1])


def _root(covariance: Tensor) -> Tensor:
    """Symmetric square root of a positive semidefinite matrix."""
    values, vectors = torch.linalg.eigh(covariance)
    return (vectors * values.clamp_min(0.0).sqrt()) @ vectors.t()


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.t() / x.shape[1] + 1.0) ** 3


def _off_diagonal_mean(kernel: Tensor) -> Tensor:
    count = len(kernel)
    return (kernel.sum() - kernel.diagonal().sum()) / (count * (count - 1))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bank_option(parser)
    parser.add_argument("--data", nargs="+", required=True, metavar="PACK.tar", help="packs of real renders")
    parser.add_argument("--component", help="default: all of the bank")
    parser.add_argument("--count", type=positive, default=5000, help="images of either kind (default 5000)")
    parser.add_argument("--inception", type=Path, metavar="inception-2015-12-05.pt", help="gives FID and KID as well")
    parser.add_argument("--seed", type=natural, default=0)
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write the figures there too")
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    bank = load_bank(find_bank(options.bank), set_up_torch(options.device, options.threads))
    names = [options.component] if options.component else list(bank.components)
    found = [
        report(bank, name, read_packs(options.data, name), options.count, options.seed, options.inception)
        for name in names
    ]
    text = as_json({"bank": {"name": bank.header.name, "sha256": bank.sha256}, "distances": found})
    if options.out is not None:
        write_text(options.out, text)
    print(text, end="")
