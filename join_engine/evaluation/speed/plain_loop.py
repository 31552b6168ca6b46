# SPDX-License-Identifier: GPL-3.0-or-later
"""The plain loop that ours is timed beside: what one writes who takes the papers and public generators and no more.

One generator after the other in float32, each with weights made anew for every sample and a grouped convolution
(StyleGAN2's own way), their gradients computed like all others; the target's features anew in every step, the distance
to all sampled codes in every step. Nothing is shared between generators, kept from step to step or compiled. Networks,
losses, data and torch are ours, so that what differs is the way alone.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from ...bank import Bank, BankComponent
from ...bank.bank_wide import BANK_WIDE
from ...bank.file import truncated_normal
from ...images.frame import Frame, shrunk
from ...inversion.losses.perceptual import PerceptualLoss
from ...inversion.losses.reconstruction import make_features
from ...inversion.stages.joint import ramped
from ...layers.decomposition import Decomposition
from ...layers.detail import keep_detail
from ...layers.split import looked_at
from ...networks.convolutions import LEAK
from ...networks.resample import blur, upsample
from ...networks.split import Level, Split, cues
from ...networks.stylegan2 import Discriminator, Generator, GeneratorConfig, SynthesisBlock, SynthesisLayer
from ...relighting.relighter import to_layer
from ...training.gan.losses import discriminator_loss, generator_loss, r1_penalty

CODES = 100_000
NEIGHBOURS = 50
KNN_WEIGHT = 1e-4
LEARNING_RATE = 0.1
R1_INTERVAL = 16
"""Training steps from one R1 to the next."""


def grouped_conv2d(
    inputs: Tensor, weight: Tensor, styles: Tensor, demodulate: bool = True, kernel: Tensor | None = None
) -> Tensor:
    """Modulated convolution as StyleGAN2's Eq. 1 to 3 have it: a weight for each sample, and a group for each.

    Args:
        inputs: [B, in, H, W].
        weight: [out, in, k, k].
        styles: [B, in].
        demodulate: bring the weights of each output channel to unit length.
        kernel: [4, 4]; doubles the resolution with it.

    Returns:
        [B, out, H, W] or [B, out, 2H, 2W].
    """
    batch, channels, height, width = inputs.shape
    out, size = weight.shape[0], weight.shape[-1]
    own = weight[None] * styles[:, None, :, None, None]  # [B, out, in, k, k]
    if demodulate:
        own = own * (own.square().sum(dim=(2, 3, 4), keepdim=True) + 1e-8).rsqrt()
    flat = inputs.reshape(1, batch * channels, height, width)
    if kernel is None:
        found = functional.conv2d(flat, own.reshape(batch * out, channels, size, size), None, 1, size // 2, 1, batch)
    else:
        turned = own.transpose(1, 2).reshape(batch * channels, out, size, size)
        found = functional.conv_transpose2d(flat, turned, stride=2, groups=batch)
        found = blur(found, kernel * 4.0, padding=(1, 1))
    return found.reshape(batch, out, *found.shape[2:])


def plain_synthesis(generator: Generator, w: Tensor) -> Tensor:
    """What a generator makes of codes, with its stored noise: [B, w_dim] → [B, 3, R, R]."""
    features = image = None
    for resolution in generator.synthesis.block_resolutions:
        block = generator.synthesis.get_submodule(f"b{resolution}")
        assert isinstance(block, SynthesisBlock)
        if features is None:
            features = block.const[None].repeat(len(w), 1, 1, 1)
        else:
            features = _plain_layer(block.conv0, features, w)
        features = _plain_layer(block.conv1, features, w)
        rgb = block.torgb
        made = grouped_conv2d(features, rgb.weight, rgb.affine(w) * rgb.weight_gain, demodulate=False)
        made = made + rgb.bias[None, :, None, None]
        image = made if image is None else upsample(image, block.kernel) + made
    assert image is not None
    return image


def _plain_layer(layer: SynthesisLayer, features: Tensor, w: Tensor) -> Tensor:
    features = grouped_conv2d(features, layer.weight, layer.affine(w), kernel=layer.kernel if layer.up else None)
    features = features + layer.noise_const[None, None] * layer.noise_strength + layer.bias[None, :, None, None]
    return functional.leaky_relu(features, LEAK) * math.sqrt(2.0)


def plain_codes(component: BankComponent, seed: int = 0) -> Tensor:
    """The sampled codes of one component, drawn for it alone: [100000, w_dim]."""
    with torch.no_grad():
        return component.generator.mapping(truncated_normal(CODES, component.generator.config.z_dim, seed))


def plain_knn(w: Tensor, codes: Tensor) -> Tensor:
    """Eq. 8 to 10, the nearest of all codes looked for anew: [B, w_dim] and [N, w_dim] → [B]. Only their distances
    get gradients, as anybody would notice who waits for those of all."""
    with torch.no_grad():
        found = torch.cdist(w, codes).topk(NEIGHBOURS, dim=1, largest=False).indices
    nearest = torch.linalg.vector_norm(w[:, None] - codes[found], dim=2)
    weights = torch.softmax(-0.5 * nearest / nearest.mean(dim=1, keepdim=True), dim=1)
    return (nearest * weights).sum(dim=1)


class PlainLoop:
    """A search for the codes of images, from the mean codes, with JoIN's schedule.

    Args:
        bank: on the CPU or elsewhere.
        target: sRGB-encoded [B, 3, R, R].
        features: what the loss compares, see :func:`join_engine.inversion.losses.reconstruction.make_features`.
        codes: of :func:`plain_codes`, by component.
        steps: of the schedule.
        frozen: leave the weights' gradients out, as the more careful of the public loops do.
    """

    def __init__(
        self, bank: Bank, target: Tensor, features: str, codes: Mapping[str, Tensor], steps: int, frozen: bool = False
    ) -> None:
        self._bank, self._target, self._codes, self._of = bank, target, codes, steps
        self._features = make_features(features, bank)
        self._generators = {name: copy.deepcopy(bank.components[name].generator) for name in codes}
        for generator in self._generators.values():
            generator.to(memory_format=torch.contiguous_format).requires_grad_(not frozen)  # type: ignore[call-overload,unused-ignore]
        self.w = {
            name: bank.components[name].w_avg.repeat(len(target), 1).requires_grad_() for name in self._generators
        }
        self._optimizer = torch.optim.Adam(list(self.w.values()), lr=LEARNING_RATE)
        self._done = 0

    def step(self) -> None:
        """One step of the optimiser."""
        for group in self._optimizer.param_groups:
            group["lr"] = LEARNING_RATE * ramped((self._done + 0.5) / self._of)
        outputs = {name: plain_synthesis(generator, self.w[name]) for name, generator in self._generators.items()}
        linear = {name: self._bank.components[name].transform.from_generator(out) for name, out in outputs.items()}
        loss = PerceptualLoss(self._target, features=self._features)
        total = loss(self._bank.forward_model.render(linear)).sum()
        for name, w in self.w.items():
            total = total + KNN_WEIGHT * plain_knn(w, self._codes[name]).sum()
        self._optimizer.zero_grad()
        for generator in self._generators.values():
            generator.zero_grad()
        total.backward()
        self._optimizer.step()
        self._done += 1

    @torch.no_grad()
    def components(self) -> dict[str, Tensor]:
        """Linear components [B, 3, R, R] ≥ 0 where the search is."""
        return {
            name: self._bank.components[name].transform.from_generator(plain_synthesis(generator, self.w[name]))
            for name, generator in self._generators.items()
        }


class PlainTraining:
    """StyleGAN2's training as public code has it: each network's step draws its own codes and makes its own pictures.
    ``batch``: images in a step. ``gamma``: weight of R1, which every sixteenth step has."""

    def __init__(self, config: GeneratorConfig, batch: int, gamma: float, device: torch.device) -> None:
        self._batch, self._gamma, self._z_dim, self._device = batch, gamma, config.z_dim, device
        self._generator, self._discriminator = Generator(config).to(device), Discriminator(config).to(device)
        self._average = copy.deepcopy(self._generator)
        self._optimizers = [
            torch.optim.Adam(network.parameters(), lr=0.0025, betas=(0.0, 0.99))
            for network in (self._generator, self._discriminator)
        ]
        self._done = 0

    def step(self, reals: Tensor) -> tuple[Tensor, Tensor]:
        """One step of both networks with real images [B, 3, R, R] in [-1, 1]; the losses of generator and
        discriminator."""
        judge, (of_generator, of_discriminator) = self._discriminator, self._optimizers
        judge.requires_grad_(True)
        with torch.no_grad():
            fakes = self._fakes()
        judged = discriminator_loss(judge(reals), judge(fakes))
        _descend(judged, of_discriminator)
        if self._done % R1_INTERVAL == 0:
            _descend(r1_penalty(judge, reals) * (self._gamma / 2 * R1_INTERVAL), of_discriminator)
        judge.requires_grad_(False)
        made = generator_loss(judge(self._fakes()))
        _descend(made, of_generator)
        with torch.no_grad():
            pairs = zip(self._average.parameters(), self._generator.parameters(), strict=True)
            for mean, current in pairs:
                mean.mul_(0.999).add_(current, alpha=0.001)
        self._done += 1
        return made.detach(), judged.detach()

    def _fakes(self) -> Tensor:
        z = torch.randn(self._batch, self._z_dim, device=self._device)
        return plain_synthesis(self._generator, self._generator.mapping(z))


def _descend(loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()


@torch.no_grad()
def plain_look(network: Split, image: Tensor, visible: Tensor, told: Mapping[str, Tensor] | None, ways: int) -> Level:
    """As :func:`join_engine.layers.split.look`, in float32 and torch's own layout."""
    told = told or {}
    hints = cues(told.get("albedo"), told.get("shading"), told.get("specular"), image)
    network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload,unused-ignore]
    found = []
    for orientation in looked_at(ways):
        parts = (image.clamp(0.0, 1.0), visible, hints)
        level = network(*(orientation.of(part).contiguous() for part in parts))[-1]
        found.append([orientation.back(part) for part in level])
    mean = [torch.stack(parts).mean(dim=0) for parts in zip(*found, strict=True)]
    return Level(image, *mean[1:])


@torch.no_grad()
def plain_relight(bank: Bank, found: Decomposition, steps: Mapping[str, Tensor], longest: int) -> dict[str, np.ndarray]:
    """Layers of a moved light, at the editor's size: all of it anew at the photo's, then made smaller.

    Args:
        steps: what is added to the codes, by component, [w_dim] each.
        longest: pixels of the longer side of what is shown.

    Returns:
        Linear [h, w, 3].
    """
    height, width = found.size
    frame = Frame(height, width, bank.header.resolution)
    shown = {}
    for name, layer in found.layers.items():
        component = bank.components[name]
        w = torch.from_numpy(found.codes[name]).mean(dim=0, keepdim=True)
        before, after = (
            to_layer(component.transform.from_generator(frame.restore(plain_synthesis(component.generator, code))))
            for code in (w, w + steps[name] if name in steps else w)
        )
        full = keep_detail(np.asarray(layer), before, after)
        shown[name] = shrunk(full, longest)[0].permute(1, 2, 0).numpy()
    return shown


def networks_of(bank: Bank) -> dict[str, nn.Module]:
    """All networks of a bank, by name."""
    found: dict[str, nn.Module] = {}
    for name, part in bank.components.items():
        found |= {f"{name}.generator": part.generator}
        found |= {} if part.encoder is None else {f"{name}.encoder": part.encoder}
    wide = {name: getattr(bank, name) for name in BANK_WIDE}
    return found | {name: network for name, network in wide.items() if network is not None}


def write_checkpoint(path: Path, bank: Bank) -> None:
    """A bank as most publish theirs: the modules, pickled."""
    torch.save(networks_of(bank), path)


def read_checkpoint(path: Path) -> dict[str, Any]:
    """What :func:`write_checkpoint` wrote, in a file of one's own."""
    return torch.load(path, weights_only=False)  # type: ignore[no-any-return]


def start_script(bank: Path) -> Sequence[str]:
    """What a plain script does before it can take a photo, as arguments of Python: bank, discriminators, codes."""
    lines = (
        "import sys, torch, torch.optim, numpy",
        "from join_engine.bank import load_bank",
        "from join_engine.evaluation.speed.plain_loop import plain_codes",
        "bank = load_bank(sys.argv[1], with_discriminators=True)",
        "codes = [plain_codes(part) for part in bank.components.values()]",
        "print('ready', flush=True)",
    )
    return ["-c", "\n".join(lines), str(bank)]


def checkpoints(steps: int) -> Iterator[int]:
    """Where a search is looked at: 5, 10, 20, … steps, and at its end."""
    count = 5
    while count < steps:
        yield count
        count *= 2
    yield steps
