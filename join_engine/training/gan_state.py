# SPDX-License-Identifier: GPL-3.0-or-later
"""One GAN in training: networks, optimisers and the single step, without files or printing.

Every random draw of step k depends on (seed, k) alone, so that a resumed training is the same to the bit and no
random state has to be stored.
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import nn

from ..networks.stylegan2 import Discriminator, Generator, GeneratorConfig
from .dataset import ImageSet
from .gan_losses import discriminator_loss, generator_loss, path_length_penalty, path_lengths, r1_penalty

_W_AVG_BETA = 0.995
_R1_INTERVAL = 16
_PATH_INTERVAL = 4


@dataclass(frozen=True)
class GanSettings:
    """How to train; may change when a training is resumed, the architecture may not.

    Attributes:
        batch: images per step.
        lr: learning rate of both networks.
        r1_gamma: weight of R1; None for StyleGAN2-ADA's heuristic 0.0002 · resolution² / batch.
        path_weight: weight of the path length penalty; 0 leaves it out.
        mixing: probability of style mixing.
        flip: mirror half of the real images.
        noise: give the generator noise. Without it the picture follows from the codes alone, which suits components
            without grain, such as albedo.
        ema_kimg: half-life of the generator's moving average in thousand images.
        ema_rampup: the half-life is at most this share of the images seen so far.
        bf16: convolutions in bfloat16.
        channels_last: memory layout of the networks.
        seed: of everything.
    """

    batch: int = 16
    lr: float = 0.0025
    r1_gamma: float | None = None
    path_weight: float = 0.0
    mixing: float = 0.9
    flip: bool = True
    noise: bool = True
    ema_kimg: float = 5.0
    ema_rampup: float = 0.05
    bf16: bool = False
    channels_last: bool = True
    seed: int = 0

    def gamma(self, resolution: int) -> float:
        """The weight of R1 that is in force."""
        return 0.0002 * resolution**2 / self.batch if self.r1_gamma is None else self.r1_gamma

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self)


class GanState:
    """Generator, discriminator, their optimisers and the moving average.

    Args:
        config: architecture.
        settings: how to train.
        device: where.
    """

    def __init__(self, config: GeneratorConfig, settings: GanSettings, device: str | torch.device = "cpu") -> None:
        torch.manual_seed(settings.seed)
        self.config = config
        self.settings = settings
        self.device = torch.device(device)
        self.generator = Generator(config).to(self.device)
        self.discriminator = Discriminator(config).to(self.device)
        if settings.channels_last:
            # nn.Module.to types the memory format for its overloads only.
            self.generator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self.discriminator.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.average = copy.deepcopy(self.generator).eval().requires_grad_(False)
        self._silence()
        self.path_mean = torch.zeros((), device=self.device)
        self.steps = 0
        self.images = 0
        interval = _PATH_INTERVAL if settings.path_weight > 0 else None
        self.generator_optimizer = _lazy_adam(self.generator, settings.lr, interval)
        self.discriminator_optimizer = _lazy_adam(self.discriminator, settings.lr, _R1_INTERVAL)

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the convolutions."""
        return torch.bfloat16 if self.settings.bf16 else torch.float32

    @property
    def _noise(self) -> str:
        return "random" if self.settings.noise else "none"

    def step(self, data: ImageSet) -> dict[str, torch.Tensor]:
        """One step of both networks. Returns scalars to log, still on the device."""
        torch.manual_seed((self.settings.seed << 32) + self.steps + 1)
        report, fakes = self._generator_step()
        if self.settings.path_weight > 0 and self.steps % _PATH_INTERVAL == 0:
            report["path"] = self._path_step()
        reals = self._reals(data)
        # The discriminator learns from the same fakes: a third of the generator's work saved, no change in the game.
        report |= self._discriminator_step(reals, fakes)
        if self.steps % _R1_INTERVAL == 0:
            report["r1"] = self._r1_step(reals)
        self.steps += 1
        self.images += self.settings.batch
        self._update_average()
        return report

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything that a checkpoint stores as tensors."""
        found = {"path_mean": self.path_mean}
        for name, module in self._modules():
            found |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
        for name, optimizer in self._optimizers():
            for index, state in optimizer.state_dict()["state"].items():
                found |= {f"{name}.{index}.{key}": value for key, value in state.items()}
        return found

    def load_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        """Inverse of :meth:`tensors`. Raises KeyError or RuntimeError when they do not fit."""
        self.path_mean = tensors["path_mean"].to(self.device)
        for name, module in self._modules():
            module.load_state_dict(_under(f"{name}.", tensors))
        for name, optimizer in self._optimizers():
            saved: dict[int, dict[str, torch.Tensor]] = {}
            for key, value in _under(f"{name}.", tensors).items():
                index, field = key.split(".")
                saved.setdefault(int(index), {})[field] = value
            # The groups hold the learning rate, which may have been changed; only the moments come from the file.
            groups = optimizer.state_dict()["param_groups"]
            optimizer.load_state_dict({"state": saved, "param_groups": groups})
            self._restore_layout(optimizer)
        self._silence()

    @torch.no_grad()
    def _silence(self) -> None:
        """Without noise: strengths of 0, which then never get a gradient."""
        if self.settings.noise:
            return
        for network in (self.generator, self.average):
            for name, parameter in network.named_parameters():
                if name.endswith("noise_strength"):
                    parameter.zero_()

    def _restore_layout(self, optimizer: torch.optim.Optimizer) -> None:
        """Moments in the memory layout of their parameters: files store plain ones, and sums depend on the order."""
        for parameter, state in optimizer.state.items():
            for key in ("exp_avg", "exp_avg_sq"):
                if key in state:
                    state[key] = torch.empty_like(parameter).copy_(state[key])

    def _modules(self) -> list[tuple[str, nn.Module]]:
        return [("generator", self.generator), ("discriminator", self.discriminator), ("average", self.average)]

    def _optimizers(self) -> list[tuple[str, torch.optim.Optimizer]]:
        return [("adam_g", self.generator_optimizer), ("adam_d", self.discriminator_optimizer)]

    def _z(self, count: int) -> torch.Tensor:
        return torch.randn(count, self.config.z_dim, device=self.device)

    def _codes(self, count: int) -> torch.Tensor:
        """[B, num_ws, w_dim] with style mixing: from a random layer on, the code of another z."""
        w = self.generator.mapping(self._z(count))
        with torch.no_grad():
            self.generator.w_avg.lerp_(w.detach().mean(dim=0), 1.0 - _W_AVG_BETA)
        if self.settings.mixing <= 0:
            return self.generator.broadcast(w)
        other = self.generator.mapping(self._z(count))
        layers = self.generator.num_ws
        cutoff = torch.randint(1, layers, (count, 1), device=self.device)
        mixed = torch.rand(count, 1, device=self.device) < self.settings.mixing
        swap = (torch.arange(layers, device=self.device) >= cutoff) & mixed  # [B, num_ws]
        return torch.where(swap[:, :, None], other[:, None], w[:, None])

    def _generator_step(self) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        fakes = self.generator.synthesis(self._codes(self.settings.batch), self._noise, self.dtype)
        self.discriminator.requires_grad_(False)
        loss = generator_loss(self.discriminator(fakes, self.dtype))
        self.generator_optimizer.zero_grad()
        loss.backward()
        self.discriminator.requires_grad_(True)
        self.generator_optimizer.step()
        return {"loss_g": loss.detach()}, fakes.detach()

    def _path_step(self) -> torch.Tensor:
        ws = self._codes(max(1, self.settings.batch // 2))
        lengths = path_lengths(self.generator.synthesis(ws, self._noise), ws)
        penalty, self.path_mean = path_length_penalty(lengths, self.path_mean)
        self.generator_optimizer.zero_grad()
        (penalty * self.settings.path_weight * _PATH_INTERVAL).backward()
        self.generator_optimizer.step()
        return penalty.detach()

    def _reals(self, data: ImageSet) -> torch.Tensor:
        reals = data.batch(torch.randint(len(data.images), (self.settings.batch,)))
        if self.settings.flip:
            mirrored = torch.rand(len(reals)) < 0.5
            reals = torch.where(mirrored[:, None, None, None], reals.flip(3), reals)
        return reals.to(self.device)

    def _discriminator_step(self, reals: torch.Tensor, fakes: torch.Tensor) -> dict[str, torch.Tensor]:
        # Apart, so that the minibatch statistics never see real and generated images together.
        real_logits = self.discriminator(reals, self.dtype)
        fake_logits = self.discriminator(fakes, self.dtype)
        loss = discriminator_loss(real_logits, fake_logits)
        self.discriminator_optimizer.zero_grad()
        loss.backward()
        self.discriminator_optimizer.step()
        sign = real_logits.detach().sign().mean()
        return {"loss_d": loss.detach(), "real_sign": sign, "fake_sign": fake_logits.detach().sign().mean()}

    def _r1_step(self, reals: torch.Tensor) -> torch.Tensor:
        penalty = r1_penalty(self.discriminator, reals)
        weight = self.settings.gamma(self.config.resolution) / 2 * _R1_INTERVAL
        self.discriminator_optimizer.zero_grad()
        (penalty * weight).backward()
        self.discriminator_optimizer.step()
        return penalty.detach()

    @torch.no_grad()
    def _update_average(self) -> None:
        half_life = min(self.settings.ema_kimg * 1000, self.images * self.settings.ema_rampup)
        beta = 0.5 ** (self.settings.batch / max(half_life, 1e-8))
        for mean, current in zip(self.average.parameters(), self.generator.parameters(), strict=True):
            mean.lerp_(current, 1.0 - beta)
        for kept, buffer in zip(self.average.buffers(), self.generator.buffers(), strict=True):
            kept.copy_(buffer)


def _lazy_adam(module: nn.Module, lr: float, interval: int | None) -> torch.optim.Adam:
    """Adam (0, 0.99), corrected for a regulariser that takes a step of its own every ``interval`` steps."""
    ratio = 1.0 if interval is None else interval / (interval + 1)
    return torch.optim.Adam(module.parameters(), lr=lr * ratio, betas=(0.0, 0.99**ratio), eps=1e-8, fused=True)


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
