# SPDX-License-Identifier: GPL-3.0-or-later
"""One GAN in training: networks, optimisers and the single step, without files or printing.

Every random draw of step k depends on (seed, k) alone, so that a resumed training is the same to the bit and no
random state has to be stored.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import nn

from ...networks.stylegan2 import Discriminator, Generator, GeneratorConfig, SynthesisLayer
from ...renders.draws import seed_of
from ...renders.packs import ImageSet
from ..learner import adam_tensors, load_adam, under, update_average
from .ada import AdaController
from .augment import augment, draw_augmentation
from .distributed import Group
from .losses import discriminator_loss, generator_loss, path_length_penalty, path_lengths, r1_penalty

_W_AVG_BETA = 0.995
_R1_INTERVAL = 16


@dataclass(frozen=True)
class GanSettings:
    """How to train; may change when a training is resumed, the architecture may not.

    Attributes:
        batch: images per step.
        lr: learning rate of both networks.
        r1_gamma: weight of R1; None for StyleGAN2-ADA's heuristic 0.0002 · resolution² / batch.
        path_weight: weight of the path length penalty, 2 in the paper; 0 leaves it out.
        path_interval: steps from one path length penalty to the next.
        path_shrink: it is measured on a batch so many times smaller.
        mixing: probability of style mixing.
        flip: mirror half of the real images.
        noise: give the generator noise. Without it the picture follows from the codes alone, which suits components
            without grain, such as albedo.
        ada: augment what the discriminator sees, as strongly as its overfitting asks for; needed below about 20,000
            images.
        ada_target: mean sign of D(real) at which the strength stays as it is.
        ada_kimg: thousand images in which the strength may go from 0 to 1.
        ema_kimg: half-life of the generator's moving average in thousand images.
        ema_rampup: the half-life is at most this share of the images seen so far.
        bf16: convolutions in bfloat16; the regularisers stay in float32.
        channels_last: memory layout of the networks.
        seed: of everything.
    """

    batch: int = 16
    lr: float = 0.0025
    r1_gamma: float | None = None
    path_weight: float = 0.0
    path_interval: int = 4
    path_shrink: int = 2
    mixing: float = 0.9
    flip: bool = True
    noise: bool = True
    ada: bool = False
    ada_target: float = 0.6
    ada_kimg: float = 500.0
    ema_kimg: float = 5.0
    ema_rampup: float = 0.05
    bf16: bool = False
    channels_last: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("batch", "path_interval", "path_shrink"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("lr", "ada_kimg"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive, not {getattr(self, name)}")

    def gamma(self, resolution: int) -> float:
        """The weight of R1 that is in force."""
        return 0.0002 * resolution**2 / self.batch if self.r1_gamma is None else self.r1_gamma


class GanState:
    """Generator, discriminator, their optimisers and the moving average.

    Args:
        group: the processes that train together; each has an equal part of the batch.

    Raises:
        ValueError: the processes cannot share the batch evenly.
    """

    def __init__(
        self,
        config: GeneratorConfig,
        settings: GanSettings,
        device: str | torch.device = "cpu",
        group: Group | None = None,
    ) -> None:
        self.group = group or Group()
        if settings.batch % self.group.world:
            raise ValueError(f"{self.group.world} processes cannot share a batch of {settings.batch} evenly")
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
        for module in self.generator.modules():
            if isinstance(module, SynthesisLayer):
                module.noise_share = (self.group.rank, self.group.world)
        self.ada = AdaController(settings.ada_target, settings.ada_kimg, self.device)
        self.path_mean = torch.zeros((), device=self.device)
        self.steps = 0
        self.images = 0
        self._strength = 0.0  # of the augmentation in the step under way
        interval = settings.path_interval if settings.path_weight > 0 else None
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
        """One step of both networks. Returns scalars to log, still on the device; in a group, of this part."""
        torch.manual_seed(seed_of(self.settings.seed, self.steps))
        self._strength = float(self.ada.p) if self.settings.ada else 0.0
        report, fakes = self._generator_step()
        if self.settings.path_weight > 0 and self.steps % self.settings.path_interval == 0:
            report["path"] = self._path_step()
        reals = self._reals(data)
        # The discriminator learns from the same fakes: a third of the generator's work saved, no change in the game.
        report |= self._discriminator_step(reals, fakes)
        if self.steps % _R1_INTERVAL == 0:
            report["r1"] = self._r1_step(reals)
        self.steps += 1
        self.images += self.settings.batch
        if self.settings.ada:
            self.ada.observe(self.group.mean(report["real_sign"]), self.settings.batch)
            self.ada.adjust(self.steps)
            report["ada_p"] = self.ada.p
        half_life = min(self.settings.ema_kimg * 1000, self.images * self.settings.ema_rampup)
        update_average(self.average, self.generator, half_life, self.settings.batch)
        return report

    @torch.no_grad()
    def is_finite(self) -> bool:
        """Whether every weight, moment and average is a number, and so is what the networks make of them."""
        if not all(bool(tensor.isfinite().all()) for tensor in self.tensors().values()):
            return False
        z = torch.randn(4, self.config.z_dim, generator=torch.Generator().manual_seed(0)).to(self.device)
        images = self.generator.synthesis(self.generator.mapping(z), "none", self.dtype)
        return bool(self.discriminator(images, self.dtype).isfinite().all())

    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything that a checkpoint stores as tensors."""
        found = {"path_mean": self.path_mean} | {f"ada.{key}": value for key, value in self.ada.tensors().items()}
        for name, module in self._modules():
            found |= {f"{name}.{key}": value for key, value in module.state_dict().items()}
        for name, optimizer in self._optimizers():
            found |= adam_tensors(f"{name}.", optimizer)
        return found

    def load_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        """Inverse of :meth:`tensors`. Raises KeyError or RuntimeError when they do not fit."""
        self.path_mean = tensors["path_mean"].to(self.device)
        if "ada.p" in tensors:  # checkpoints of earlier versions have none
            self.ada.load_tensors(under("ada.", tensors))
        self.load_networks(tensors)
        for name, optimizer in self._optimizers():
            load_adam(optimizer, under(f"{name}.", tensors))
            self._restore_layout(optimizer)

    def load_networks(self, tensors: dict[str, torch.Tensor]) -> None:
        """Of :meth:`tensors` the weights alone. Raises KeyError or RuntimeError when they do not fit."""
        for name, module in self._modules():
            module.load_state_dict(under(f"{name}.", tensors))
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

    def _judge(self, images: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        """What the discriminator says of this process's images, after the augmentation if there is one."""
        if self._strength > 0:
            whole = len(images) * self.group.world
            drawn = draw_augmentation(whole, self.config.image_channels, self.config.resolution, self._strength)
            images = augment(images, drawn[self.group.rank :: self.group.world])
        return self.discriminator(images, dtype or self.dtype)

    def _codes(self, count: int) -> torch.Tensor:
        """[B, num_ws, w_dim] with style mixing: from a random layer on, the code of another z. ``count``: of the whole
        batch; the result is this process's part."""
        shape = (count, self.config.z_dim)
        w = self.generator.mapping(self.group.share(torch.randn(shape, device=self.device)))
        with torch.no_grad():
            self.generator.w_avg.lerp_(self.group.mean(w.detach().mean(dim=0)), 1.0 - _W_AVG_BETA)
        if self.settings.mixing <= 0:
            return w[:, None].expand(-1, self.generator.num_ws, -1)
        other = self.generator.mapping(self.group.share(torch.randn(shape, device=self.device)))
        layers = self.generator.num_ws
        cutoff = torch.randint(1, layers, (count, 1), device=self.device)
        mixed = torch.rand(count, 1, device=self.device) < self.settings.mixing
        swap = self.group.share((torch.arange(layers, device=self.device) >= cutoff) & mixed)  # [B, num_ws]
        return torch.where(swap[:, :, None], other[:, None], w[:, None])

    def _descend(self, loss: torch.Tensor, network: nn.Module, optimizer: torch.optim.Optimizer) -> None:
        """One step of an optimiser, with the mean gradient of all processes."""
        optimizer.zero_grad()
        loss.backward()
        self.group.average_gradients(network.parameters())
        optimizer.step()

    def _generator_step(self) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
        fakes = self.generator.synthesis(self._codes(self.settings.batch), self._noise, self.dtype)
        self.discriminator.requires_grad_(False)
        loss = generator_loss(self._judge(fakes))
        self._descend(loss, self.generator, self.generator_optimizer)
        self.discriminator.requires_grad_(True)
        return {"loss_g": loss.detach()}, fakes.detach()

    def _path_step(self) -> torch.Tensor:
        world = self.group.world
        count = max(1, self.settings.batch // (self.settings.path_shrink * world)) * world
        ws = self._codes(count)
        images = self.generator.synthesis(ws, self._noise)
        y = self.group.share(torch.randn(count, *images.shape[1:], device=self.device))
        lengths = path_lengths(images, ws, y)
        batch_mean = self.group.mean(lengths.mean())
        penalty, self.path_mean = path_length_penalty(lengths, self.path_mean, batch_mean=batch_mean)
        weight = self.settings.path_weight * self.settings.path_interval
        self._descend(penalty * weight, self.generator, self.generator_optimizer)
        return penalty.detach()

    def _reals(self, data: ImageSet) -> torch.Tensor:
        """This process's part of a batch of training images, on the device."""
        count = self.settings.batch
        reals = data.batch(self.group.share(torch.randint(len(data.images), (count,))))
        if self.settings.flip:
            mirrored = self.group.share(torch.rand(count) < 0.5)
            reals = torch.where(mirrored[:, None, None, None], reals.flip(3), reals)
        return reals.to(self.device)

    def _discriminator_step(self, reals: torch.Tensor, fakes: torch.Tensor) -> dict[str, torch.Tensor]:
        # Apart, so that the minibatch statistics never see real and generated images together.
        real_logits = self._judge(reals)
        fake_logits = self._judge(fakes)
        loss = discriminator_loss(real_logits, fake_logits)
        self._descend(loss, self.discriminator, self.discriminator_optimizer)
        sign = real_logits.detach().sign().mean()
        return {"loss_d": loss.detach(), "real_sign": sign, "fake_sign": fake_logits.detach().sign().mean()}

    def _r1_step(self, reals: torch.Tensor) -> torch.Tensor:
        penalty = r1_penalty(lambda images: self._judge(images, torch.float32), reals)
        weight = self.settings.gamma(self.config.resolution) / 2 * _R1_INTERVAL
        self._descend(penalty * weight, self.discriminator, self.discriminator_optimizer)
        return penalty.detach()


def _lazy_adam(module: nn.Module, lr: float, interval: int | None) -> torch.optim.Adam:
    """Adam (0, 0.99), corrected for a regulariser that takes a step of its own every ``interval`` steps."""
    ratio = 1.0 if interval is None else interval / (interval + 1)
    return torch.optim.Adam(module.parameters(), lr=lr * ratio, betas=(0.0, 0.99**ratio), eps=1e-8, fused=True)
