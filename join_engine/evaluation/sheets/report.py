# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers, sheet and figures of a stored decomposition."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import JoinError
from ...images.files import display_encode, opaque, read_image, write_text
from ...images.metrics import component_scores
from ...layers.decomposition import Decomposition, load_decomposition
from ...layers.layer_files import write_layers
from ...options import as_json
from ..methods.baselines import BASELINES
from .sheet import Panel, write_sheet


def write_report(decomposition: Decomposition, image: Path, truth_dir: Path | None, out: Path) -> dict[str, Any]:
    """Write every layer as EXR and PNG, ``recomposed.png``, ``sheet.png`` and ``report.json`` into ``out``.

    Args:
        decomposition: of ``image``.
        image: the file that was decomposed.
        truth_dir: folder with the true components as ``albedo.exr``, ``shading.exr`` …, each of the image's size.

    Returns:
        The content of ``report.json``: bank, settings, seconds per stage; PSNR and MSE of the recomposition and, with
        ground truth, of each layer and of the trivial baselines (see :mod:`join_engine.images.metrics`).

    Raises:
        JoinError: from reading the images; ``size_mismatch`` when sizes differ; ``output_unwritable``.
    """
    colour = _read(image, decomposition.size)
    truth = {}
    if truth_dir is not None:
        truth = {name: _read(truth_dir / f"{name}.exr", decomposition.size) for name in decomposition.layers}
    scores: dict[str, Any] = {"recomposed": component_scores("image", decomposition.recomposed, colour)}
    if truth:
        scores["layers"] = _scores(decomposition.layers, truth)
        scores["baselines"] = {name: _scores(baseline(colour), truth) for name, baseline in BASELINES.items()}
    report = {"image": image.name, "size": list(decomposition.size), **decomposition.summary(), "scores": scores}
    files = write_layers(out, decomposition)
    write_sheet(out / "sheet.png", _rows(decomposition, colour, truth, scores))
    report["files"] = sorted([*(path.name for path in files.values()), "sheet.png", "report.json"])
    write_text(out / "report.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")
    return report


def _read(path: Path, size: tuple[int, int]) -> np.ndarray:
    pixels = opaque(read_image(path))
    if pixels.shape[:2] != size:
        message = f"'{path}' is {pixels.shape[1]} × {pixels.shape[0]}, the decomposition {size[1]} × {size[0]}."
        raise JoinError("size_mismatch", message, "Name the image that was decomposed, and its own ground truth.")
    return pixels


def _scores(layers: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray]) -> dict[str, dict[str, float]]:
    return {name: component_scores(name, layers[name], pixels) for name, pixels in truth.items()}


def _rows(
    decomposition: Decomposition, colour: np.ndarray, truth: Mapping[str, np.ndarray], scores: Mapping[str, Any]
) -> list[list[Panel]]:
    """Input, layers and recomposition in one line; ground truth, where there is any, below what it belongs to."""
    recomposed = f"recomposed\n{scores['recomposed']['psnr']:.1f} dB to the input"
    mine: list[Panel] = [("input\n", display_encode("image", colour))]
    for name, pixels in decomposition.layers.items():
        note = f"{scores['layers'][name]['psnr']:.1f} dB to the truth" if truth else ""
        mine.append((f"{name}\n{note}", display_encode(name, pixels)))
    mine.append((recomposed, display_encode("image", decomposition.recomposed)))
    if not truth:
        return [mine]
    blank = np.full((*decomposition.size, 3), 245 / 255)
    below: list[Panel] = [("", blank)]
    below += [(f"{name}\nground truth", display_encode(name, truth[name])) for name in decomposition.layers]
    return [mine, below]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--decomposition", type=Path, required=True, metavar="FILE.join")
    parser.add_argument("--image", type=Path, required=True, help="the image that was decomposed")
    parser.add_argument("--truth-dir", type=Path, help="folder with the true albedo.exr, shading.exr …")
    parser.add_argument("--out", type=Path, required=True)


def run(options: argparse.Namespace) -> None:
    report = write_report(load_decomposition(options.decomposition), options.image, options.truth_dir, options.out)
    print(as_json(report))
