# SPDX-License-Identifier: GPL-3.0-or-later
"""Pixels between the engine and its client: float32 ``.npy`` files in a folder of the client's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import JoinError
from ..names import is_file

if TYPE_CHECKING:
    import numpy as np

    from ..layers.decomposition import Decomposition


def compacted(decomposition: Decomposition, files: dict[str, str]) -> Decomposition:
    """The same with small layers: codes and settings for a .blend, which has the layers as images already. ``files``:
    the layers as ``.npy``, which are looked at one after the other."""
    import numpy as np

    from ..pipeline import shrunk

    small = {name: shrunk(np.load(path, mmap_mode="r"), 128) for name, path in files.items()}
    return replace(decomposition, layers={name: np.array(layer) for name, layer in small.items()})


def read_layers(paths: Any, decomposition: Decomposition) -> dict[str, np.ndarray]:
    """The full layers that belong to a compact decomposition, from the client's files."""
    import numpy as np

    if not isinstance(paths, dict) or set(paths) != set(decomposition.layers):
        raise JoinError("request_invalid", f"'layers' must name a file for each of {', '.join(decomposition.layers)}.")
    layers = {name: load_array(path)[..., :3] for name, path in paths.items()}
    if len({layer.shape for layer in layers.values()}) != 1 or next(iter(layers.values())).ndim != 3:
        raise JoinError("layer_unreadable", "The layers are not images of one size.", "Decompose it again.")
    return {name: np.ascontiguousarray(layer, dtype=np.float32) for name, layer in layers.items()}


def write_arrays(output: Path, layers: dict[str, np.ndarray], recomposed: Any, prefix: str) -> dict[str, Any]:
    from ..images.files import write_npy

    whole = str(output / f"{prefix}recomposed.npy")
    paths = write_pixels(output, layers, prefix)
    write_npy(whole, recomposed)
    return {"layers": paths, "recomposed": whole}


def load_array(path: str) -> np.ndarray:
    """A layer as the client stored it: .npy, or the .exr that lies in a .blend. float32 [H, W] or [H, W, C]."""
    import numpy as np

    from ..images.announced import load_npy
    from ..images.exr import read_planes

    try:
        if not is_file(Path(path)):  # a pipe would keep the engine waiting
            raise ValueError(f"there is no file '{path}'")
        pixels = (read_planes if Path(path).suffix == ".exr" else load_npy)(Path(path))
        if pixels.dtype.kind != "f" or pixels.ndim not in (2, 3) or 0 in pixels.shape:
            raise ValueError(f"it is {pixels.dtype} of the shape {pixels.shape}")
        return pixels.astype(np.float32, copy=False)
    except (OSError, ValueError, TypeError, RuntimeError, KeyError) as error:
        raise JoinError("layer_unreadable", f"A layer cannot be read ({error}).", "Decompose it again.") from error


def write_pixels(output: Path, layers: dict[str, np.ndarray], prefix: str) -> dict[str, str]:
    from ..images.files import write_npy

    paths = {name: str(output / f"{prefix}{name}.npy") for name in layers}
    for name, pixels in layers.items():
        write_npy(paths[name], pixels)
    return paths
