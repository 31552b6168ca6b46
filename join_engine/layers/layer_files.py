# SPDX-License-Identifier: GPL-3.0-or-later
"""A decomposition's layers as files for other programs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional

from ..errors import JoinError
from ..forward_models import FORWARD_MODELS, Formula, components_in, compose
from ..images.files import display_encode, write_atomically, write_exr, write_png
from ..images.png16 import encode_png16
from .decomposition import Decomposition

LAYER_FORMATS = {("exr", 16), ("exr", 32), ("png", 8), ("png", 16)}
"""What :func:`export_layers` can write, with the bits per channel."""

_LARGEST_HALF = 65504.0


def write_layers(folder: Path, decomposition: Decomposition) -> dict[str, Path]:
    """Write every layer as EXR (linear) and PNG (for looking at), and ``recomposed.png``; returns the files by name.

    Each file is written under a temporary name first. Raises JoinError ``output_unwritable``.
    """
    files = {}
    for name, pixels in decomposition.layers.items():
        files[f"{name}.exr"] = folder / f"{name}.exr"
        files[f"{name}.png"] = folder / f"{name}.png"
        write_exr(files[f"{name}.exr"], pixels)
        write_png(files[f"{name}.png"], display_encode(name, pixels))
    files["recomposed.png"] = folder / "recomposed.png"
    write_png(files["recomposed.png"], display_encode("image", decomposition.recomposed))
    return files


def write_confidence(folder: Path, error: np.ndarray, size: tuple[int, int]) -> None:
    """Write ``confidence.exr`` and ``confidence.png``: of albedo, shading and specular in red, green and blue, e to the
    power of minus the error that the bank expects there, 1 for certain.

    Args:
        error: [h, w, 3], see :class:`join_engine.pipeline.Outcome`.
        size: height and width of the image, which the map gets.

    Raises:
        JoinError: ``output_unwritable``.
    """
    planes = torch.from_numpy(np.exp(-error).transpose(2, 0, 1))[None]
    grown = functional.interpolate(planes, size, mode="bilinear", align_corners=False)
    sure = np.ascontiguousarray(grown[0].permute(1, 2, 0).numpy())
    write_exr(folder / "confidence.exr", sure)
    write_png(folder / "confidence.png", sure)


def export_layers(
    output: Path,
    layers: Mapping[str, np.ndarray],
    kind: str,
    depth: int,
    alpha: np.ndarray | None = None,
    formula: Formula | None = None,
) -> list[Path]:
    """Layers for other programs; returns the files that were written.

    "exr" is one multilayer file: per layer the channels ``albedo.R``, ``albedo.G``, ``albedo.B`` …, all linear
    Rec.709, and as its plain R, G, B (and A) the image that the layers make. "png" is a set of files beside
    ``output``, named ``photo albedo.png`` …: sRGB-encoded, but shading and specular, which may exceed 1, through
    Reinhard's x / (1 + x).

    Args:
        output: name of the file; for a set of files what their names begin with.
        layers: linear [H, W, 3], all of one size.
        kind, depth: one of :data:`LAYER_FORMATS`.
        alpha: [H, W], straight.
        formula: how the layers make the image; None for that of the forward model which takes exactly these.

    Raises:
        JoinError: ``image_unreadable`` for layers that do not fit each other, ``output_unwritable``.
    """
    shapes = {pixels.shape for pixels in layers.values()} | ({(*alpha.shape, 3)} if alpha is not None else set())
    if len(shapes) != 1 or len(next(iter(shapes))) != 3 or next(iter(shapes))[2] != 3:
        raise JoinError("image_unreadable", "The layers are not images of one size.", "Export layers of one set.")
    if kind == "exr":
        write_layered_exr(output, layers, depth, alpha, formula)
        return [output]
    files = []
    for name, pixels in layers.items():
        files.append(output.with_name(f"{output.stem} {name}.png"))
        _write_png(files[-1], display_encode(name, pixels), depth, alpha)
    return files


def write_layered_exr(
    path: Path,
    layers: Mapping[str, np.ndarray],
    depth: int,
    alpha: np.ndarray | None = None,
    formula: Formula | None = None,
) -> None:
    """One EXR with all layers, 16 or 32 bits per channel, ZIP; see :func:`export_layers`. Atomic."""
    import OpenEXR

    planes = {f"{name}.{letter}": pixels[..., i] for name, pixels in layers.items() for i, letter in enumerate("RGB")}
    whole = _recomposed(layers, formula)
    if whole is not None:
        # By the format's convention the plain channels are multiplied by the alpha; the layers stay as they are.
        shown = whole if alpha is None else whole * alpha[..., None]
        planes |= {letter: shown[..., i] for i, letter in enumerate("RGB")}
        planes |= {} if alpha is None else {"A": alpha}
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    channels = {name: _as_float(plane, depth) for name, plane in planes.items()}

    def save(temporary: Path) -> None:
        try:
            OpenEXR.File(header, channels).write(str(temporary))
        except RuntimeError as error:  # what OpenEXR makes of a full disk or a folder without permission
            raise OSError(str(error)) from error

    write_atomically(path, save)


def _recomposed(layers: Mapping[str, np.ndarray], formula: Formula | None) -> np.ndarray | None:
    """The image that the layers make, where that is known."""
    known = (model.formula for model in FORWARD_MODELS.values() if set(model.components) == set(layers))
    formula = formula or next(known, None)
    if formula is None or not set(components_in(formula)) <= set(layers):
        return None
    return np.asarray(compose(formula, layers))


def _as_float(plane: np.ndarray, depth: int) -> np.ndarray:
    if depth == 32:
        return np.ascontiguousarray(plane, dtype=np.float32)
    return np.ascontiguousarray(plane.clip(-_LARGEST_HALF, _LARGEST_HALF), dtype=np.float16)  # else: infinity


def _write_png(path: Path, encoded: np.ndarray, depth: int, alpha: np.ndarray | None) -> None:
    if alpha is not None:
        encoded = np.concatenate([encoded, alpha[..., None].clip(0.0, 1.0)], axis=2)
    if depth == 8:
        write_png(path, encoded)
        return
    samples = (encoded.clip(0.0, 1.0) * 65535.0 + 0.5).astype(np.uint16)
    write_atomically(path, lambda temporary: temporary.write_bytes(encode_png16(samples)))
