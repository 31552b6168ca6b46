# SPDX-License-Identifier: GPL-3.0-or-later
"""What single calls of Blender cost that only its main thread may make: ``blender -b --python calls.py``.

Milliseconds of the thread, the first and the third time: the first mostly waits for memory that is new. What of them
takes longer than a tick may is what the add-on leaves out, or can only do in one piece.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from join_blender.engine.exr import encode_exr

SIZES = (600, 400), (1024, 1024), (2048, 2048), (3840, 2560)


def timed(call: Callable[[], Any]) -> str:
    """The first and the third time."""
    taken = []
    for _ in range(3):
        start = time.thread_time()
        call()
        taken.append(1000.0 * (time.thread_time() - start))
    return f"{taken[0]:8.2f} {taken[2]:8.2f}"


def measure(width: int, height: int) -> None:
    """A line for each call. The layer has noise, and its file is nearly as large as its floats."""
    rng = np.random.default_rng(0)
    data = encode_exr(rng.random((height, width, 3), dtype=np.float32))
    layer: Any = bpy.data.images.new("layer", 1, 1, float_buffer=True)
    layer.source = "FILE"
    photo: Any = bpy.data.images.new("photo", width, height)
    floats = width * height * 4
    room = np.ones(floats, np.float32)
    for label, call in (
        ("pack(data)", lambda: layer.pack(data=data, data_len=len(data))),
        ("packed_file.data", lambda: bytes(layer.packed_file.data)),
        ("packed_file.size, has_data", lambda: (layer.packed_file.size, layer.has_data)),
        ("pixels, into new memory", lambda: photo.pixels.foreach_get(np.empty(floats, np.float32))),
        ("pixels, into memory at hand", lambda: photo.pixels.foreach_get(room)),
    ):
        print(f"{width} × {height}, {len(data) / 1e6:5.1f} MB: {label:28s} {timed(call)}", flush=True)
    bpy.data.images.remove(layer)
    bpy.data.images.remove(photo)


if __name__ == "__main__":
    print(f"Blender {bpy.app.version_string}: ms of the thread, the first and the third time")
    for size in SIZES:
        measure(*size)
