# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a bank of generators that others trained.

    import-checkpoint --component albedo=ALBEDO.pkl --component shading=SHADING.pt --license LicenseRef-NVIDIA
    --name mine --out mine.safetensors

Files are rosinality's .pt or NVlabs' stylegan2-ada-pytorch .pkl; nothing in them is executed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..color import COMPONENT_TRANSFORMS
from ..errors import JoinError
from .options import named


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--component", action="append", required=True, type=named("FILE"), metavar="NAME=FILE")
    known = ", ".join(COMPONENT_TRANSFORMS)
    parser.add_argument(
        "--transform", action="append", default=[], type=named("TRANSFORM"), metavar="NAME=TRANSFORM", help=known
    )
    parser.add_argument("--name", required=True)
    parser.add_argument("--forward-model", default="lambertian")
    parser.add_argument("--license", required=True, help="SPDX identifier of the weights; ask who trained them")
    parser.add_argument("--out", required=True, type=Path, metavar="BANK.safetensors")


def run(options: argparse.Namespace) -> None:
    from ..public_checkpoints.import_checkpoint import import_bank

    files = {name: Path(file) for name, file in options.component}
    for name, transform in options.transform:
        if transform not in COMPONENT_TRANSFORMS or name not in files:
            raise JoinError("settings_invalid", f"There is no transform '{transform}' for a component '{name}'.")
    import_bank(options.out, options.name, options.forward_model, files, options.license, dict(options.transform))
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB")
