# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers, sheet and figures of a stored decomposition."""

from __future__ import annotations

import argparse
from pathlib import Path

from .options import as_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--decomposition", type=Path, required=True, metavar="FILE.join")
    parser.add_argument("--image", type=Path, required=True, help="the image that was decomposed")
    parser.add_argument("--truth-dir", type=Path, help="folder with the true albedo.exr, shading.exr …")
    parser.add_argument("--out", type=Path, required=True)


def run(options: argparse.Namespace) -> None:
    from ..evaluation.report import write_report
    from ..layers.decomposition import load_decomposition

    report = write_report(load_decomposition(options.decomposition), options.image, options.truth_dir, options.out)
    print(as_json(report))
