# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the stages of a preset."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from ..bank import Bank
from ..errors import JoinError
from .codebook import CodeBook
from .presets import EncoderStart, Joint, KeepBest, MeanStart, Mirrored, PoolStart, Preset, StageSettings, Tuning
from .progress import Monitor
from .stages.joint import joint_inversion
from .stages.starts import encoder_start, keep_best, mean_start, mirrored, pool_start
from .stages.tuning import tune_generators
from .state import InversionState

# Which function carries out which settings: (settings, state, monitor) → None, changing the state.
STAGES: dict[type, Callable[[Any, InversionState, Monitor], None]] = {
    Mirrored: mirrored,
    MeanStart: mean_start,
    PoolStart: pool_start,
    EncoderStart: encoder_start,
    KeepBest: keep_best,
    Joint: joint_inversion,
    Tuning: tune_generators,
}


def invert(
    bank: Bank,
    target: Tensor,
    preset: Preset,
    seed: int = 0,
    monitor: Monitor | None = None,
    codebook: CodeBook | None = None,
    saturated: Tensor | None = None,
    dtype: torch.dtype | None = None,
) -> InversionState:
    """Invert a batch of images with one preset.

    Args:
        bank: the generators, on the device to work on.
        target: [B, 3, R, R], sRGB-encoded, at the bank's resolution.
        preset: the stages.
        seed: of everything random; the same seed gives the same result on the same device.
        monitor: told of progress, asked for cancellation.
        codebook: the bank's sampled codes, if some are at hand already.
        saturated: [B, 3, R, R] booleans: where the target is white and its true brightness unknown.
        dtype: precision of the convolutions while codes are searched for, None for float32; bfloat16 is worth it where
            :func:`join_engine.device.has_bf16` says so. Tuning, and what the codes make in the end, are float32.

    Returns:
        The state after the last stage, or after the one that was cancelled, with the best start of each image. Where
        mirror images were looked at, their items follow those of the images (:meth:`InversionState.settle`).

    Raises:
        JoinError: ``target_mismatch`` when the target is not of the bank's resolution, ``component_missing`` when the
            bank lacks a component of its forward model.
    """
    size = bank.header.resolution
    if target.dim() != 4 or target.shape[1:] != (3, size, size):
        message = f"The target is {list(target.shape)}, but the bank works on [B, 3, {size}, {size}]."
        raise JoinError("target_mismatch", message)
    missing = [name for name in bank.forward_model.components if name not in bank.components]
    if missing:
        raise JoinError("component_missing", f"The bank '{bank.header.name}' lacks {', '.join(missing)}.")
    device = next(iter(bank.components.values())).w_avg.device
    state = InversionState.begin(bank, target.to(device, torch.float32), seed, codebook, _to(saturated, device))
    state.dtype = dtype
    if device.type == "cpu":  # the layout that convolutions on CPUs are fastest in; the weights stay what they are
        for component in bank.components.values():
            component.generator.synthesis.to(memory_format=torch.channels_last)  # type: ignore[call-overload,unused-ignore]
    run_stages(preset.stages, state, monitor or Monitor())
    if state.starts > 1:  # a preset may end, or be cancelled, with several starts
        keep_best(KeepBest(), state, monitor or Monitor())
    return state


def run_stages(stages: Sequence[StageSettings], state: InversionState, monitor: Monitor) -> None:
    """Let stages move a state, one after the other, until one is cancelled."""
    for settings in stages:
        if state.cancelled:
            break
        start = time.perf_counter()
        STAGES[type(settings)](settings, state, monitor)
        seconds = time.perf_counter() - start
        state.seconds[settings.kind] = state.seconds.get(settings.kind, 0.0) + seconds


def _to(mask: Tensor | None, device: torch.device) -> Tensor | None:
    return None if mask is None else mask.to(device)
