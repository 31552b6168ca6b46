# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the network that tells in which latent space what of a photo can be inverted (for the method `sam`).

First every component of some renders is inverted by its generator into each latent space, and how far off it comes out
is measured pixel by pixel (SAM: Parmar 2022, Eq. 3.1), which takes most of the time and is kept in the folder. Then the
network learns to tell these errors from the photo that the components make (Eq. 3.2). May be killed at any moment; the
same command goes on.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..bank import Bank, BankComponent, find_bank, load_bank
from ..errors import JoinError
from ..images.files import folder_of_ones_own
from ..inversion.losses.perceptual import PerceptualLoss, spatial_distance
from ..inversion.losses.reconstruction import make_features
from ..inversion.stages.joint import ramped
from ..networks.features import Features
from ..networks.invertibility import Invertibility, InvertibilityConfig
from ..networks.residuals import Residual
from ..networks.stylegan2 import generate
from ..options import natural, positive, say
from ..renders.compose import ComponentSets, photograph, random_indices, read_component_sets, read_validation
from ..renders.draws import draws
from . import options as training
from .checkpoint import read_checkpoint, write_checkpoint
from .learner import Learner, VariedSettings
from .unet import encoded, fitted

# Of the errors in W+ on validation renders, how many segments shall stay there by the suggested τ.
_IN_W_PLUS = 0.6
_TOGETHER = 16  # renders that are inverted at a time
_VALIDATED = 32


@dataclass(frozen=True)
class Inversions:
    """How components are inverted to learn from.

    Attributes:
        images: how many of the first renders; fewer where there are fewer.
        steps, rate: of Adam, on the codes in W+ and the residual features alike, with StyleGAN2's schedule.
    """

    images: int = 100
    steps: int = 40
    rate: float = 0.05


@dataclass(frozen=True)
class InvertibilitySettings(VariedSettings):
    """How to train it."""

    lr: float = 1e-3
    ema_kimg: float = 1.0
    turns: bool = True


def measure(
    bank: Bank,
    config: InvertibilityConfig,
    data: ComponentSets,
    how: Inversions,
) -> Tensor:
    """e_l of Eq. 3.1 of the first renders: [images, components, 1 + spaces, R, R], in the order of ``config``.

    x is the true component and x̂_l its inversion, both as pictures in [0, 1]; the distance is taken in the bank's
    trunk, or in random features without one.
    """
    features = make_features("random" if bank.trunk is None else "trunk", bank)
    assert features is not None
    found = []
    for indices in torch.arange(min(how.images, len(data))).split(_TOGETHER):
        linear = fitted(data.linear(data.batch(indices)), config.resolution)
        maps = []
        for name in config.components:
            part = bank.components[name]
            truth = (encoded(name, linear[name]).to(part.w_avg.device) + 1.0) / 2.0
            spaces = [errors_in(part, truth, side, features, how).cpu() for side in (None, *config.spaces)]
            maps.append(torch.stack(spaces, dim=1))
        found.append(torch.stack(maps, dim=1))
        say(f"{int(indices[-1]) + 1} renders are inverted")
    return torch.cat(found)


def errors_in(part: BankComponent, truth: Tensor, side: int | None, features: Features, how: Inversions) -> Tensor:
    """How far off pictures [B, 3, R, R] in [0, 1] come out of one latent space: [B, R, R]. ``side``: resolution of the
    feature space; None for W+ alone."""
    config, loss_of = part.generator.config, PerceptualLoss(truth, features=features)
    w = part.w_avg.expand(len(truth), config.num_ws, -1).clone().requires_grad_()
    variables, hooks = [w], {}
    if side is not None:
        delta = truth.new_zeros(len(truth), config.width(side), side, side).requires_grad_()
        variables.append(delta)
        hooks[side] = Residual(delta, truth.new_ones(len(truth), 1, side, side))
    optimizer = torch.optim.Adam(variables, lr=how.rate)
    for step in range(how.steps):
        optimizer.param_groups[0]["lr"] = how.rate * ramped((step + 0.5) / how.steps)
        optimizer.zero_grad(set_to_none=True)
        loss_of((generate(part.generator, w, hooks=hooks) + 1.0) / 2.0).sum().backward()
        optimizer.step()
    with torch.no_grad():
        made = (generate(part.generator, w, hooks=hooks) + 1.0) / 2.0
        return spatial_distance(features, made.clamp(0.0, 1.0), truth)


def measured_once(path: Path, about: Mapping[str, Any], make: Callable[[], Tensor]) -> Tensor:
    """What ``make`` has measured, kept in a file so that a training that goes on need not measure again. Raises
    JoinError ``checkpoint_mismatch`` for a file of something else, and as
    :func:`join_engine.training.checkpoint.read_checkpoint`."""
    if path.exists():
        tensors, values = read_checkpoint(path)
        if values.get("about") != dict(about):
            message = f"'{path}' holds the inversions of other renders, or others of these."
            raise JoinError("checkpoint_mismatch", message, "Choose another folder, or give the same settings.")
        return tensors["errors"]
    errors = make()
    write_checkpoint(path, {"errors": errors}, {"about": dict(about)})
    return errors


class InvertibilityLearner(Learner[InvertibilitySettings, Invertibility]):
    """See the module.

    Args:
        kimg: thousand images over which the learning rate sinks.
        errors: of the first training renders, as :func:`measure` tells them.
        unseen: of the first validation renders, likewise; None without any.
    """

    def __init__(
        self,
        config: InvertibilityConfig,
        settings: InvertibilitySettings,
        kimg: float,
        errors: Tensor,
        unseen: Tensor | None = None,
        device: str | torch.device = "cpu",
    ) -> None:
        torch.manual_seed(settings.seed)
        super().__init__(Invertibility(config), settings, device, kimg)
        self._errors, self._unseen = errors, unseen

    def loss(self, data: ComponentSets) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch, ℓ2 of Eq. 3.2."""
        settings, config = self.settings, self.network.config
        rng = draws(settings.seed, self.steps)
        indices = random_indices(len(self._errors), settings.batch, rng)
        linear = fitted(data.linear(data.batch(indices)), config.resolution)
        errors = self._errors[indices].flatten(1, 2)
        batch = settings.varied({"photo": photograph(data.model.compose(linear)), "errors": errors}, rng)
        with self.precision():
            told = self.network(batch["photo"].to(self.device))
        missed = torch.cat(list(told.values()), dim=1) - batch["errors"].to(self.device)
        error = missed.square().mean()
        return error, {"error": error.detach().sqrt()}

    @torch.no_grad()
    def validate(self, data: ComponentSets) -> dict[str, float]:
        """Of the averaged network on renders as they are: for every component and space the mean error (``…_mean``) and
        the correlation of the told with the measured one, pixel by pixel; and ``threshold``, the τ by which 60 % of
        all pixels stay in W+."""
        if self._unseen is None:
            return {}
        config, told = self.average.config, []
        for indices in torch.arange(len(self._unseen)).split(_VALIDATED):
            linear = fitted(data.linear(data.batch(indices)), config.resolution)
            found = self.average(photograph(data.model.compose(linear)).to(self.device))
            told.append(torch.stack(list(found.values()), dim=1).cpu())
        maps = torch.cat(told)
        scores = {"samples": float(len(maps)), "threshold": float(maps[:, :, 0].flatten().quantile(_IN_W_PLUS))}
        names = ["w+", *(f"f{side}" for side in config.spaces)]
        for row, component in enumerate(config.components):
            for column, space in enumerate(names):
                mine, true = maps[:, row, column].flatten(), self._unseen[:, row, column].flatten()
                scores[f"{component}_{space}_mean"] = float(true.mean())
                correlation = torch.corrcoef(torch.stack([mine, true]))[0, 1].nan_to_num()
                scores[f"{component}_{space}_correlation"] = float(correlation)
        return scores


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bank", required=True, help="name or path of the bank with the generators")
    training.add_run_options(parser)
    parser.add_argument(
        "--spaces", nargs="+", type=natural, metavar="PIXELS", help="resolutions of feature spaces (default: 8 16 32 …)"
    )
    parser.add_argument("--widths", nargs="+", type=positive, help="channels of the backbone, fine to coarse")
    training.add_settings(parser, Inversions())
    parser.add_argument("--unseen", type=positive, default=24, help="validation renders to invert (default: 24)")
    training.add_settings(parser, InvertibilitySettings())


def run(options: argparse.Namespace) -> None:
    device = training.device(options)
    bank = load_bank(find_bank(options.bank), device)
    data = read_component_sets(options.data, bank.header.forward_model)
    validation = read_validation(options.validation, data)
    with training.checked_architecture():
        generators = {name: bank.components[name].generator.config for name in data.sets}
        config = InvertibilityConfig.of(generators, **training.given(options, "spaces", "widths"))
    identity = training.identity_through(bank, "invertibility", config.to_dict(), data.sets)
    how, unseen = training.settings_of(options, Inversions), None
    about = {**identity, **asdict(how)}

    def measured(name: str, renders: ComponentSets, how: Inversions) -> Tensor:
        packs = [[pack.file, pack.dataset, pack.split, pack.count] for pack in renders.packs]
        path = options.out / f"inversions-{name}.safetensors"
        return measured_once(
            path, {**about, **asdict(how), "packs": packs}, lambda: measure(bank, config, renders, how)
        )

    options.out.mkdir(parents=True, exist_ok=True)
    with folder_of_ones_own(options.out):
        errors = measured("train", data, how)
        if validation is not None:
            unseen = measured("validation", validation, Inversions(options.unseen, how.steps, how.rate))
    settings = training.settings_of(options, InvertibilitySettings)
    learner = InvertibilityLearner(config, settings, options.kimg, errors, unseen, device)
    training.train(learner, identity, data, options)
