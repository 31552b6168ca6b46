# SPDX-License-Identifier: GPL-3.0-or-later
"""How far generated images are from real ones, as distributions, in the features of the project's own trunk.

"Trunk Fréchet distance" has the form of FID (Heusel et al. 2017), "trunk kernel distance" that of KID (Bińkowski et al.
2018), but the features are those of our trunk: the figures can be compared with each other for one and the same trunk
(hence its fingerprint in the report) and never with published FIDs. For those, give the Inception network that they are
defined by, --inception. "SWD" is the sliced Wasserstein distance of Karras et al. 2018, of the pictures themselves.

Of a bank of a single GAN (:mod:`join_engine.single_gan`) each part is compared by itself, so that it can be held
against the generator of that part alone (JoIN, Fig. 10); such a bank has no trunk: give one by --trunk-of.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ...bank import Bank, find_bank, fingerprint, load_bank
from ...device import set_up_torch
from ...errors import JoinError
from ...images.files import write_text
from ...inversion.losses.perceptual import unit_features
from ...networks.trunk import Trunk
from ...options import add_bank_option, add_device_options, as_json, natural, positive
from ...renders.packs import ImageSet, read_packs, to_pixels

# Images [B, 3, H, W] in [0, 1] → one vector per image, [B, D].
Embedding = Callable[[Tensor], Tensor]

_BATCH = 32
_SUBSETS = 20
_SUBSET_SIZE = 1000
# Of the sliced Wasserstein distance, as published: patches of 7×7 pixels, 128 of each image, levels down to 16 pixels,
# 4 × 128 directions.
_PATCH, _PATCHES, _COARSEST, _DIRECTIONS, _REPEATS = 7, 128, 16, 128, 4


def trunk_features(trunk: Trunk) -> Embedding:
    """The trunk's unit-length features averaged over the image: one vector of all its taps, [B, Σ widths]."""
    return lambda images: torch.cat([unit_features(tap).mean(dim=(2, 3)) for tap in trunk(images)], dim=1)


def inception_features(path: Path, device: str | torch.device = "cpu") -> Embedding:
    """The 2048 features that FID is defined by, from the TorchScript file of NVlabs' stylegan2-ada-pytorch.

    The file, ``inception-2015-12-05.pt``, is not part of this project (its licence and its training on ImageNet are its
    own). It takes uint8 images of any size, resizes them itself, and is called with ``return_features=True``. Raises
    JoinError ``weights_unreadable``.
    """

    try:
        network = torch.jit.load(str(path), map_location=device).eval()
    except (OSError, ValueError, RuntimeError) as error:
        message = f"'{path}' cannot be read as a TorchScript network."
        raise JoinError("weights_unreadable", message, "Give the path of inception-2015-12-05.pt.") from error
    return lambda images: network(to_pixels(images * 2.0 - 1.0), return_features=True)


def frechet_distance(first: Tensor, second: Tensor) -> float:
    """Fréchet distance of the Gaussians fitted to two sets of features [N, D] and [M, D]; biased upwards for few.

    |μ₁ − μ₂|² + tr(C₁ + C₂ − 2 (C₁^½ C₂ C₁^½)^½), in float64 by eigenvalues, which needs no matrix to be invertible.
    """
    (mean1, cov1), (mean2, cov2) = _moments(first), _moments(second)
    root = _root(cov1)
    cross = torch.linalg.eigvalsh(root @ cov2 @ root).clamp_min(0.0).sqrt().sum()
    distance = (mean1 - mean2).square().sum() + cov1.trace() + cov2.trace() - 2.0 * cross
    return max(0.0, float(distance))


def kernel_distance(first: Tensor, second: Tensor) -> float:
    """Squared maximum mean discrepancy under the kernel (x·y / D + 1)³, unbiased: 0 on average for equal distributions.

    The mean over random subsets of at most 1000, as published for KID. Features [N, D] and [M, D], N and M at least 2.
    """
    size = min(_SUBSET_SIZE, len(first), len(second))
    rng = torch.Generator().manual_seed(0)
    one, two = first.double().cpu(), second.double().cpu()
    rounds = 1 if size == len(first) == len(second) else _SUBSETS
    values = []
    for _ in range(rounds):
        x = one[torch.randperm(len(one), generator=rng)[:size]]
        y = two[torch.randperm(len(two), generator=rng)[:size]]
        within = _off_diagonal_mean(_kernel(x, x)) + _off_diagonal_mean(_kernel(y, y))
        values.append(within - 2.0 * _kernel(x, y).mean())
    return float(torch.stack(values).mean())


def sliced_wasserstein(first: Tensor, second: Tensor, seed: int = 0) -> float:
    """Sliced Wasserstein distance of two sets of images [N, 3, R, R] and [M, 3, R, R] in [0, 1], times 1,000, mean over
    the levels of their Laplacian pyramids (Karras et al. 2018, section 5).

    Of both sets as many images count as the smaller one has, at most 1,000; patches lie at the same places in both.
    Every level's patches are brought to zero mean and unit deviation in each channel, of either set by itself.
    """
    count = min(len(first), len(second), _SUBSET_SIZE)
    rng = torch.Generator().manual_seed(seed)
    levels = []
    for pair in zip(_laplacian(first[:count].float().cpu()), _laplacian(second[:count].float().cpu()), strict=True):
        places = torch.randint(pair[0].shape[-1] - _PATCH + 1, (2, count, _PATCHES), generator=rng)
        one, two = (_patches(images, places) for images in pair)
        levels.append(_sliced(one, two, rng))
    return 1000.0 * float(torch.stack(levels).mean())


def generator_distances(
    bank: Bank, component: str, real: ImageSet, embed: Embedding, count: int = 5000, seed: int = 0
) -> dict[str, float]:
    """Distances between what a bank's generator makes and real images of that component.

    Args:
        component: of the bank, or a part of a single GAN's.
        real: at least 4 images; at most ``count`` are used, drawn without replacement.
        embed: :func:`trunk_features` or :func:`inception_features`.
        count: generated images.

    Returns:
        ``frechet``, ``kernel`` and ``swd``, each against the real images; ``frechet_floor``, ``kernel_floor`` and
        ``swd_floor``, between two halves of the real images: what a perfect generator could hope for at half the
        number; and the numbers.
    """
    chosen = torch.randperm(len(real.images), generator=torch.Generator().manual_seed(seed))[:count]
    device = next(iter(bank.components.values())).w_avg.device
    reals = (real.batch(chosen) + 1.0) / 2.0
    fakes = generated(bank, component, count, seed)
    found, made = (embed_all(images, device, embed) for images in (reals, fakes))
    half = len(found) // 2
    return {
        "frechet": frechet_distance(found, made),
        "kernel": kernel_distance(found, made),
        "swd": sliced_wasserstein(reals, fakes, seed),
        "frechet_floor": frechet_distance(found[:half], found[half:]),
        "kernel_floor": kernel_distance(found[:half], found[half:]),
        "swd_floor": sliced_wasserstein(reals[:half], reals[half:], seed),
        "real": len(found),
        "generated": len(made),
    }


def report(
    bank: Bank,
    component: str,
    real: ImageSet,
    count: int,
    seed: int,
    inception: Path | None = None,
    trunk: Trunk | None = None,
) -> dict[str, Any]:
    """The distances by name, for JSON. ``trunk``: instead of the bank's own. Raises JoinError ``trunk_missing``,
    ``component_missing``, ``pack_mismatch``, ``weights_unreadable``."""
    check_comparable(bank, component, real)
    if real.images.shape[1] != 3:
        message = f"Distances are of images with three channels, not of {component}."
        raise JoinError("pack_mismatch", message, "Compare its parts.")
    trunk = trunk or bank.trunk
    if trunk is None:
        message = f"The bank '{bank.header.name}' has no perceptual trunk to compare images in."
        raise JoinError("trunk_missing", message, "Give a bank with one by --trunk-of, or train one with train-trunk.")
    own = generator_distances(bank, component, real, trunk_features(trunk), count, seed)
    result: dict[str, Any] = {"component": component, "trunk": fingerprint(trunk)}
    named = {"frechet": "trunk Fréchet distance", "kernel": "trunk kernel distance", "swd": "SWD"}
    for key, name in named.items():
        result |= {name: own[key], f"{name}, real halves": own[f"{key}_floor"]}
    result |= {"real": own["real"], "generated": own["generated"]}
    if inception is not None:
        embed = inception_features(inception, next(iter(bank.components.values())).w_avg.device)
        published = generator_distances(bank, component, real, embed, count, seed)
        result |= {"FID": published["frechet"], "KID": published["kernel"]}
    return result


@torch.no_grad()
def embed_all(images: Tensor, device: torch.device, embed: Embedding) -> Tensor:
    """Images [N, 3, R, R] in [0, 1] → features [N, D], float64 on the CPU."""
    return torch.cat([embed(part.to(device).clamp(0.0, 1.0)).double().cpu() for part in images.split(_BATCH)])


@torch.no_grad()
def generated(bank: Bank, component: str, count: int, seed: int) -> Tensor:
    """Images [count, 3, R, R] in [0, 1] on the CPU from untruncated codes, as training made them; of a single GAN those
    of one of its parts."""
    name, channels = _maker(bank, component)
    found = bank.components[name]
    z = torch.randn(count, found.generator.config.z_dim, generator=torch.Generator().manual_seed(seed))
    made = (found.generator(part.to(found.w_avg.device), noise="const")[:, channels] for part in z.split(_BATCH))
    return torch.cat([((images + 1.0) / 2.0).clamp(0.0, 1.0).cpu() for images in made])


def check_comparable(bank: Bank, component: str, real: ImageSet) -> None:
    """Raise JoinError ``component_missing`` or ``pack_mismatch`` unless images of a bank and real ones are alike."""
    name, channels = _maker(bank, component)
    transforms = bank.components[name].transform.name.split("+")[channels.start // 3 : channels.stop // 3]
    if (real.resolution, real.transform) != (bank.header.resolution, "+".join(transforms)):
        message = f"The packs and the bank differ in resolution or in the transform of {component}."
        raise JoinError("pack_mismatch", message, "Use packs of the dataset that the bank was trained on.")
    if len(real.images) < 4:
        raise JoinError("pack_mismatch", "The packs hold too few images to compare with.", "Give larger ones.")


def parts_of(bank: Bank) -> list[str]:
    """Its components, each part of a single GAN by itself."""
    return [part for name in bank.components for part in name.split("+")]


def _maker(bank: Bank, component: str) -> tuple[str, slice]:
    """Which generator makes a component or all parts of a single GAN, and in which of its channels. Raises JoinError
    ``component_missing``."""
    for name in bank.components:
        parts = name.split("+")
        if component == name:
            return name, slice(0, 3 * len(parts))
        if component in parts:
            first = 3 * parts.index(component)
            return name, slice(first, first + 3)
    known = ", ".join(parts_of(bank))
    raise JoinError("component_missing", f"The bank has no {component}.", f"It has: {known}.")


def _laplacian(images: Tensor) -> list[Tensor]:
    """The pyramid's levels, fine to coarse: what each halving loses, and what is left."""
    levels = []
    while images.shape[-1] > _COARSEST:
        coarse = functional.avg_pool2d(images, 2)
        levels.append(images - functional.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False))
        images = coarse
    return [*levels, images]


def _patches(images: Tensor, places: Tensor) -> Tensor:
    """[N, 3, R, R] and rows and columns [2, N, P] → patches there, [N · P, 147], of zero mean and unit deviation
    in each channel."""
    windows = images.unfold(2, _PATCH, 1).unfold(3, _PATCH, 1)  # [N, 3, side, side, 7, 7]
    patches = windows[torch.arange(len(images))[:, None], :, places[0], places[1]].flatten(0, 1)  # [N · P, 3, 7, 7]
    deviation = patches.std(dim=(0, 2, 3), keepdim=True).clamp_min(1e-8)
    return ((patches - patches.mean(dim=(0, 2, 3), keepdim=True)) / deviation).flatten(1)


def _sliced(first: Tensor, second: Tensor, rng: torch.Generator) -> Tensor:
    """Mean distance of two sets of as many vectors, [N, D], along random directions."""
    found = []
    for _ in range(_REPEATS):
        directions = torch.randn(first.shape[1], _DIRECTIONS, generator=rng, dtype=first.dtype)
        directions /= directions.norm(dim=0)
        one, two = (torch.sort(vectors @ directions, dim=0).values for vectors in (first, second))
        found.append((one - two).abs().mean())
    return torch.stack(found).mean()


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
    parser.add_argument("--trunk-of", metavar="BANK", help="compare in the trunk of that bank (default: of --bank)")
    parser.add_argument("--inception", type=Path, metavar="inception-2015-12-05.pt", help="gives FID and KID as well")
    parser.add_argument("--seed", type=natural, default=0)
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="write the figures there too")
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    device = set_up_torch(options.device, options.threads)
    bank = load_bank(find_bank(options.bank), device)
    trunk = None if options.trunk_of is None else load_bank(find_bank(options.trunk_of), device).trunk
    names = [options.component] if options.component else parts_of(bank)
    found = []
    for name in names:
        real = read_packs(options.data, name)
        found.append(report(bank, name, real, options.count, options.seed, options.inception, trunk))
    text = as_json({"bank": {"name": bank.header.name, "sha256": bank.sha256}, "distances": found})
    if options.out is not None:
        write_text(options.out, text)
    print(text, end="")
