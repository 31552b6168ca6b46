# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the joint optimisation runs, and how much memory it takes."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ..bank import Bank
from ..bank.card import put_part
from ..inversion.codebook import CodeBook
from ..inversion.invert import invert
from ..inversion.presets import Preset
from ..inversion.progress import Monitor
from ..inversion.stages.joint import Joint

BEGIN = "<!-- speed, written by `python -m join_engine bench --card`: begin -->"
END = "<!-- speed: end -->"


def bench(
    bank: Bank, preset: Preset, steps: int = 100, seed: int = 0, batches: Sequence[int] = (1,), bf16: bool = False
) -> dict[str, Any]:
    """Time ``steps`` steps of the preset's last joint stage on random images at the bank's size.

    Args:
        batches: how many images at once; each is timed by itself, the smallest first.
        bf16: convolutions in bfloat16.

    Returns:
        On what it ran; for each batch the optimiser's steps per second, images times steps per second, the same per
        second of the processors' time (which other work on the machine changes little), and the peak memory so far in
        MiB (of the process; of torch's allocations on CUDA); and for each component what its kNN loss takes of a
        step's time and of memory.
    """
    joint = [stage for stage in preset.stages if isinstance(stage, Joint)][-1]
    size = bank.header.resolution
    codebook = CodeBook(bank)
    device = next(iter(bank.components.values())).w_avg.device
    dtype = torch.bfloat16 if bf16 else None

    def run(batch: int, count: int) -> tuple[float, float]:
        """Seconds by the clock and of the processors."""
        target = torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(seed))
        timed = Preset(preset.name, (joint,)).with_steps(count)
        start, used = time.perf_counter(), time.process_time()
        invert(bank, target, timed, seed, Monitor(), codebook, dtype=dtype)
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - start, time.process_time() - used

    rows = []
    for batch in sorted(set(batches)):
        run(batch, 3)  # draws the codes and warms up
        seconds, used = run(batch, steps)
        rows.append(
            {
                "batch": batch,
                "steps_per_second": round(steps / seconds, 2),
                "images_steps_per_second": round(batch * steps / seconds, 1),
                "images_steps_per_cpu_second": round(batch * steps / used, 1),
                "peak_memory_mib": _peak_memory(device),
            }
        )
    return {
        "bank": bank.header.name,
        "resolution": size,
        "preset": preset.name,
        "features": joint.features + (", E-LPIPS" if joint.ensemble else ""),
        "precision": "bfloat16" if bf16 else "float32",
        "device": torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads",
        "torch": torch.__version__,
        "steps": steps,
        "batches": rows,
        "knn": {name: _knn(codebook, name, joint.neighbours) for name in bank.components},
    }


def write_speed(card: Path, measured: Mapping[str, Any]) -> None:
    """Put what :func:`bench` measured into a bank's card. Raises JoinError ``output_unwritable``."""
    lines = [
        "## Speed",
        "",
        "| images at once | steps/s | images · steps/s | peak memory |",
        "| --- | --- | --- | --- |",
    ]
    for row in measured["batches"]:
        memory = "not told" if row["peak_memory_mib"] is None else f"{row['peak_memory_mib']} MiB"
        cells = (row["batch"], row["steps_per_second"], row["images_steps_per_second"], memory)
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    about = [f"{measured['steps']} steps of the last joint stage of '{measured['preset']}'"]
    about += [f"features: {measured['features']}", measured["precision"], measured["device"]]
    about += [f"torch {measured['torch']}"]
    about += [f"kNN of {name}: {knn['milliseconds_per_step']} ms a step" for name, knn in measured["knn"].items()]
    text = "\n".join([BEGIN, "", *lines, "", f"{'; '.join(about)}.", "", END])
    put_part(card, BEGIN, END, text)


def _knn(codebook: CodeBook, component: str, neighbours: int, repeats: int = 20) -> dict[str, Any]:
    """What the kNN loss of one component costs: a full search, forwards and backwards, for one code."""
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
