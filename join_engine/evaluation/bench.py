# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the joint optimisation runs, and how much memory it takes."""

from __future__ import annotations

import sys
import time
from typing import Any

import torch

from ..bank import Bank
from ..inversion import Monitor, invert
from ..inversion.state import CodeBook
from ..presets import Joint, Preset


def bench(bank: Bank, preset: Preset, steps: int = 100, seed: int = 0) -> dict[str, Any]:
    """Time ``steps`` steps of the preset's last joint stage on one random image at the bank's size.

    Returns:
        Steps per second, peak memory in MiB (of the process; of torch's allocations on CUDA), on what, and for each
        component what its kNN loss takes of a step's time and of memory.
    """
    joint = [stage for stage in preset.stages if isinstance(stage, Joint)][-1]
    size = bank.header.resolution
    target = torch.rand(1, 3, size, size, generator=torch.Generator().manual_seed(seed))
    codebook = CodeBook(bank)
    device = next(iter(bank.components.values())).w_avg.device

    def run(count: int) -> float:
        timed = Preset(preset.name, (joint,)).with_steps(count)
        start = time.perf_counter()
        invert(bank, target, timed, seed, Monitor(), codebook)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start

    run(3)  # draws the codes and warms up
    seconds = run(steps)
    return {
        "bank": bank.header.name,
        "resolution": size,
        "device": torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "steps": steps,
        "steps_per_second": round(steps / seconds, 2),
        "peak_memory_mib": _peak_memory(device),
        "knn": {name: _knn(codebook, name, joint.neighbours) for name in bank.components},
    }


def _knn(codebook: CodeBook, component: str, neighbours: int, repeats: int = 20) -> dict[str, Any]:
    """What the kNN loss of one component costs: its part of a step, forwards and backwards, for one code."""
    loss = codebook.knn(component, neighbours)
    w = loss.codes[:1, None].mean(dim=1, keepdim=True).clone().requires_grad_()

    def run() -> None:
        loss(w).sum().backward()
        if w.is_cuda:
            torch.cuda.synchronize()

    run()
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    return {
        "codes": len(loss.codes),
        "neighbours": loss.neighbours,
        "milliseconds_per_step": round((time.perf_counter() - start) / repeats * 1e3, 2),
        "resident_mib": round(loss.resident_bytes / 2**20, 1),
    }


def _peak_memory(device: torch.device) -> int | None:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() // 2**20
    try:
        import resource
    except ImportError:  # Windows has no such thing
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (2**20 if sys.platform == "darwin" else 2**10)
