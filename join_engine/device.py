# SPDX-License-Identifier: GPL-3.0-or-later
"""The device that torch works on: which one, and what it is good at."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

from .errors import JoinError

Each = Callable[[Callable[[Any], Any], Iterable[Any]], list[Any]]


def set_up_torch(device: str = "auto", threads: int | None = None) -> torch.device:
    """What a process does once before it works: choose the device, set the number of CPU threads. Raises JoinError
    ``device_missing``.

    Args:
        device: "auto" (CUDA where there is one), "cpu" or "cuda".
        threads: on the CPU; None leaves it to torch.
    """
    torch.set_flush_denormal(True)  # numbers too small to matter are slow to compute with
    if threads is not None:
        torch.set_num_threads(threads)
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda" and not torch.cuda.is_available():
        raise JoinError("device_missing", "There is no CUDA device that torch can use.", "Use --device cpu.")
    return torch.device(device)


def has_bf16(device: str) -> bool:
    """Whether bfloat16 makes convolutions faster on a device: GPUs from Ampere on, CPUs with instructions for it."""
    if device.startswith("cuda"):
        return torch.cuda.get_device_capability(device)[0] >= 8
    # Torch asks the processor, but only under private names, and not the same ones in every version.
    asked = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
    return any(answer() for answer in asked if answer is not None)


def shares(count: int, device: str) -> int:
    """Into how many parts to share out ``count`` pieces of work that do not need each other (:func:`in_threads`): on a
    CPU as many as torch has threads, elsewhere one."""
    return min(count, torch.get_num_threads()) if device == "cpu" else 1


@contextmanager
def in_threads(count: int, alone: bool = False) -> Iterator[Each]:
    """A ``map`` that does one thing with each of ``count`` shares, each in a thread, which computes with its part of
    torch's threads, or ``alone``."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1 if alone else max(1, threads // count))  # threads that begin now take it over
    try:
        if count == 1:
            yield lambda do, each: [do(one) for one in each]
        else:
            with ThreadPoolExecutor(count, "share") as pool:
                yield lambda do, each: list(pool.map(do, each))
    finally:
        torch.set_num_threads(threads)


def keep_freed_memory() -> None:
    """Ask the C library to keep what is freed: fresh pages for activations cost up to a fifth of a step on CPUs."""
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(mmap_threshold, 32 * 2**20)  # the greatest that it accepts
