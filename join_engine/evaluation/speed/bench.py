# SPDX-License-Identifier: GPL-3.0-or-later
"""Optimiser steps per second and peak memory; or everything beside a plain loop of the same networks.

--beside times both ways alternately in one process, prints their ratios and writes beside.json and beside.md into
--out; with --data (a pack of renders) and --photographs (a folder of THING.0.jpg, THING.1.jpg …) also quality against
seconds, and a picture of each.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from ...bank import Bank
from ...bank.card import put_part
from ...errors import JoinError
from ...images.files import write_text
from ...inversion.codebook import CodeBook
from ...inversion.invert import invert
from ...inversion.presets import Preset, get_preset
from ...inversion.progress import Monitor
from ...inversion.stages.joint import Joint
from ...options import add_bf16_option, add_inversion_options, as_json, load_bank_named, positive
from ..methods.by_name import Rows, make_methods
from ..tables import markdown
from .beside import Bench, Settings, format_curves, format_table, machine, write_plot

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
    cells = []
    for row in measured["batches"]:
        memory = "not told" if row["peak_memory_mib"] is None else f"{row['peak_memory_mib']} MiB"
        own = (row["batch"], row["steps_per_second"], row["images_steps_per_second"], memory)
        cells.append([str(value) for value in own])
    lines = ["## Speed", "", *markdown(("images at once", "steps/s", "images · steps/s", "peak memory"), cells)]
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--steps", type=positive, default=100)
    parser.add_argument("--batch", type=positive, nargs="+", default=[1], help="images at once; may be several")
    parser.add_argument("--method", help="time a row of the table, such as opt-knn, instead of --preset")
    parser.add_argument("--card", action="store_true", help="write the figures into the bank's card")
    add_bf16_option(parser)
    add_inversion_options(parser)
    beside = parser.add_argument_group("with --beside")
    beside.add_argument("--beside", action="store_true", help="time it all beside the plain loop")
    beside.add_argument("--pairs", type=positive, default=5, help="of each row (default 5)")
    beside.add_argument("--presets", nargs="+", choices=("draft", "standard", "best"), default=["draft", "standard"])
    beside.add_argument("--sizes", nargs="*", choices=("1K", "4K", "8K"), default=["1K", "4K", "8K"], help="of layers")
    beside.add_argument("--data", type=Path, metavar="PACK.tar", help="renders for quality against seconds")
    beside.add_argument("--renders", type=positive, default=6, help="of them (default 6)")
    beside.add_argument("--photographs", type=Path, metavar="DIR", help="registered photographs for the same")
    beside.add_argument("--things", type=positive, default=2, help="of them (default 2), three photos of each")
    beside.add_argument("--processor", action="store_true", help="the processors' time, not the clock's")
    beside.add_argument("--only", choices=("steps", "curves"), help="of the table the joint step alone, or no table")
    beside.add_argument("--out", type=Path, metavar="DIR", help="folder")


def run(options: argparse.Namespace) -> None:
    if options.beside:
        _beside(options, load_bank_named(options))
        return
    bank, preset = load_bank_named(options), get_preset(options.preset)
    if options.method:
        (method,) = make_methods([options.method], Rows(), bank)
        if method.preset is None or not any(isinstance(stage, Joint) for stage in method.preset.stages):
            message = f"'{options.method}' optimises nothing{': ' + method.lacks if method.lacks else ''}."
            raise JoinError("method_unknown", message, "Name one that does, such as opt-knn.")
        preset = method.preset
    measured = bench(bank, preset, options.steps, options.seed, options.batch, options.bf16)
    if options.card:
        write_speed(bank.path.with_suffix(".md"), measured)
    print(as_json(measured))


def _beside(options: argparse.Namespace, bank: Bank) -> None:
    settings = Settings(options.pairs, options.presets, options.sizes, options.seed, options.processor)
    found: dict[str, Any] = {"bank": {"name": bank.header.name, "sha256": bank.sha256}, "before": machine()}
    bench = Bench(bank, settings)
    text, curves = "", dict[str, Any]()
    if options.only != "curves":
        found["rows"] = bench.steps() if options.only == "steps" else bench.rows()
        text = format_table(found["rows"])
    if options.data is not None:
        curves["renders"] = bench.curves(options.data, options.renders)
    if options.photographs is not None:
        curves["photographs"] = bench.consistency(options.photographs, options.things, photos=3)
    found |= {**curves, "after": machine()}
    for name, curve in curves.items():
        text += "\n" + format_curves(name, curve)
        if options.out is not None:
            key = "mean" if name == "renders" else "reference"
            write_plot(options.out / f"beside-{name}.png", f"Quality ({key}) against seconds, {name}", curve, key)
    text += f"\nLoad before {found['before']['load']}, after {found['after']['load']}.\n"
    if options.out is not None:
        write_text(options.out / "beside.json", as_json(found))
        write_text(options.out / "beside.md", text)
    print(text)
