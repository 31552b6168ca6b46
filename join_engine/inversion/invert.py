# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the stages of a preset."""

from __future__ import annotations

import time

import torch
from torch import Tensor

from ..bank import Bank
from ..errors import JoinError
from .codebook import CodeBook
from .presets import Preset
from .progress import Monitor
from .stage import Stage
from .state import InversionState

# The states that a batch of images has reached, by the stages that led to them.
Reached = dict[tuple[Stage, ...], InversionState]


def invert(
    bank: Bank,
    target: Tensor,
    preset: Preset,
    seed: int = 0,
    monitor: Monitor | None = None,
    codebook: CodeBook | None = None,
    saturated: Tensor | None = None,
    dtype: torch.dtype | None = None,
    reached: Reached | None = None,
    region: Tensor | None = None,
) -> InversionState:
    """Invert a batch of images with one preset. Raises JoinError ``target_mismatch`` when the target is not of the
    bank's resolution, ``component_missing`` when the bank lacks a component of its forward model.

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
        reached: of the same images, seed and precision: where other presets that begin with the same stages have come
            is not searched for again. Gets the states of this preset, but those with networks of their own.
        region: [B, 1, R, R] in [0, 1]: where the joint inversion compares with the target; None for everywhere.
            All of ``reached`` are of the same.

    Returns:
        The state after the last stage, or after the one that was cancelled. Where mirror images were looked at, their
        items follow those of the images (:meth:`InversionState.settle`).
    """
    _check(bank, target)
    device = next(iter(bank.components.values())).w_avg.device
    if device.type == "cpu":  # the layout that convolutions on CPUs are fastest in; the weights stay what they are
        for component in bank.components.values():
            component.generator.synthesis.to(memory_format=torch.channels_last)  # type: ignore[call-overload,unused-ignore]
    reached = {} if reached is None else reached
    done = next((count for count in range(len(preset.stages), 0, -1) if preset.stages[:count] in reached), 0)
    if done:
        state = reached[preset.stages[:done]].copy()
    else:
        saturated, region = (None if mask is None else mask.to(device) for mask in (saturated, region))
        state = InversionState.begin(bank, target.to(device, torch.float32), seed, codebook, saturated)
        state.dtype, state.region = dtype, region
    for count, stage in enumerate(preset.stages[done:], done + 1):
        if state.cancelled:
            break
        start = time.perf_counter()
        stage.run(state, monitor or Monitor())
        state.seconds[stage.kind] = state.seconds.get(stage.kind, 0.0) + time.perf_counter() - start
        if state.tuned is None and not state.cancelled:
            reached[preset.stages[:count]] = state.copy()
    return state


def _check(bank: Bank, target: Tensor) -> None:
    size = bank.header.resolution
    if target.dim() != 4 or target.shape[1:] != (3, size, size):
        message = f"The target is {list(target.shape)}, but the bank works on [B, 3, {size}, {size}]."
        raise JoinError("target_mismatch", message)
    missing = [name for name in bank.forward_model.components if name not in bank.components]
    if missing:
        raise JoinError("component_missing", f"The bank '{bank.header.name}' lacks {', '.join(missing)}.")
