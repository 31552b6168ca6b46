# SPDX-License-Identifier: GPL-3.0-or-later
"""What the training of a GAN goes on from: a checkpoint of its own, or the networks that a bank keeps.

A bank holds weights in half precision and no state of the optimisers: going on from it costs a short while until Adam's
moments and the strength of the augmentation have settled again, and saves all that the weights have learned.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ...bank import find_bank, fingerprint, load_bank
from ...errors import JoinError
from ..checkpoint import CHECKPOINT_NAME, checkpoint_path, read_checkpoint
from .state import GanState


@dataclass(frozen=True)
class Origin:
    """Networks and what they have been through.

    Attributes:
        path: of the checkpoint or the bank.
        component, transform, architecture: what was trained.
        tensors: as :meth:`GanState.tensors` names them; of a bank, the networks alone.
        steps, images, seconds, history: of all training so far.
        bank: what the history says about the bank that it began from; None for a checkpoint.
    """

    path: Path
    component: str
    transform: str
    architecture: Mapping[str, int]
    tensors: dict[str, torch.Tensor]
    steps: int = 0
    images: int = 0
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    bank: Mapping[str, str] | None = None

    def check(self, wanted: Mapping[str, Any]) -> None:
        """Raise JoinError ``checkpoint_mismatch`` unless component, transform and architecture are as wanted."""
        stored = {"component": self.component, "transform": self.transform, **self.architecture}
        hint = "Give the packs and the architecture that it was trained with, or choose another folder."
        if self.bank is not None:
            hint = "Give packs of its resolution and transform, and leave the options of the architecture out."
        for name, value in wanted.items():
            if stored.get(name) != value:
                kind, found = "checkpoint" if self.bank is None else "bank", stored.get(name)
                message = (
                    f"The {kind} '{self.path}' has the {name.replace('_', ' ')} {found}, but {value} is asked for."
                )
                raise JoinError("checkpoint_mismatch", message, hint)

    def load_into(self, state: GanState) -> None:
        """Put networks and counters, of a checkpoint everything else too, into a fresh state of that architecture.
        Raises JoinError ``checkpoint_broken``."""
        try:
            if self.bank is None:
                state.load_tensors(self.tensors)
            else:
                state.load_networks(self.tensors)
        except (KeyError, RuntimeError) as error:
            raise JoinError("checkpoint_broken", f"The checkpoint '{self.path}' is incomplete.") from error
        state.steps, state.images = self.steps, self.images


def find_origin(out: Path, component: str, resume: str, start_from: str | None) -> Origin | None:
    """What a training in ``out`` goes on from; None for fresh weights. Raises JoinError ``settings_invalid`` when both
    a checkpoint and a bank are named, ``checkpoint_missing`` or ``checkpoint_broken``, and as :func:`origin_in_bank`.

    Args:
        resume: "auto" (the checkpoint in ``out`` when there is one), "never", or the path of a checkpoint or run.
        start_from: name or path of the bank to begin from where no checkpoint is resumed; None for fresh weights.
    """
    if resume not in ("auto", "never"):
        if start_from is not None:
            message = f"The training cannot go on from '{resume}' and from the bank '{start_from}' at once."
            raise JoinError("settings_invalid", message, "Leave --resume or --start-from out.")
        return origin_in_checkpoint(checkpoint_path(resume))
    own = out / CHECKPOINT_NAME
    if resume == "auto" and own.exists():
        return origin_in_checkpoint(own)
    return None if start_from is None else origin_in_bank(find_bank(start_from), component)


def origin_in_checkpoint(path: Path) -> Origin:
    """A run as it was saved. Raises JoinError ``checkpoint_missing`` or ``checkpoint_broken``."""
    tensors, values = read_checkpoint(path)
    try:
        names = ("component", "transform", "architecture", "steps", "images", "seconds", "history")
        return Origin(path, tensors=tensors, **{name: values[name] for name in names})
    except KeyError as error:
        raise JoinError("checkpoint_broken", f"The checkpoint '{path}' is not that of a GAN.") from error


def origin_in_bank(path: Path, component: str) -> Origin:
    """Generator (as the trained one and as its moving average), discriminator and mean code of a bank's component.
    Raises JoinError ``component_missing``, ``discriminator_missing``, and as :func:`join_engine.bank.load_bank`."""
    bank = load_bank(path, with_discriminators=True)
    if component not in bank.components:
        known = ", ".join(bank.components)
        raise JoinError("component_missing", f"The bank '{path.name}' has no {component}.", f"It has: {known}.")
    found, header = bank.components[component], bank.header.components[component]
    if found.discriminator is None:
        message = f"The bank '{path.name}' holds no discriminator of {component}, without which no training goes on."
        raise JoinError("discriminator_missing", message, "Choose a bank that holds it, or train from fresh weights.")
    networks = {"generator": found.generator, "average": found.generator, "discriminator": found.discriminator}
    told = header.training
    named = {"file": path.name, "weights": fingerprint(found.generator)}
    return Origin(
        path,
        component,
        header.transform,
        header.architecture.to_dict(),
        {f"{name}.{key}": value for name, module in networks.items() for key, value in module.state_dict().items()},
        # Of generators that others trained, a bank knows their file but not what they have seen.
        steps=told.get("steps", 0),
        images=told.get("images_shown", 0),
        seconds=told.get("seconds", 0.0),
        history=list(told.get("stretches", [])),
        bank=named | ({"imported_from": told["imported_from"]} if "imported_from" in told else {}),
    )
