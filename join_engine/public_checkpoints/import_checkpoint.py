# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a bank of generators that others trained.

    import-checkpoint --component albedo=ALBEDO.pkl --component shading=SHADING.pt --license LicenseRef-NVIDIA
    --name mine --out mine.safetensors

Files are rosinality's .pt or NVlabs' stylegan2-ada-pytorch .pkl; nothing in them is executed.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

from ..bank import BankHeader, ComponentHeader, save_bank
from ..color import COMPONENT_TRANSFORMS
from ..components import COMPONENTS
from ..errors import JoinError
from ..forward_models import get_forward_model
from ..options import named
from . import PublicCheckpoint, read_public_checkpoint


def import_bank(
    out: Path,
    name: str,
    forward_model: str,
    files: Mapping[str, Path],
    license: str,
    transforms: Mapping[str, str],
) -> None:
    """Write a bank of imported generators and discriminators. Raises JoinError ``bank_incomplete`` when the files are
    not the components of the forward model or do not fit together, ``output_unwritable``, and as
    :func:`read_public_checkpoint`.

    Args:
        files: checkpoint of each component.
        license: SPDX identifier of the weights.
        transforms: name of the transform that each component's training images went through; the paper's where it
            is not given.
    """
    model = get_forward_model(forward_model)
    if set(model.components) != set(files):
        wanted = ", ".join(model.components)
        raise JoinError("bank_incomplete", f"A bank for '{forward_model}' needs the components {wanted}.")
    usual = {name: component.transform for name, component in COMPONENTS.items()}
    chosen = {**usual, **transforms}
    found = {component: read_public_checkpoint(files[component]) for component in model.components}
    resolutions = {item.generator.config.resolution for item in found.values()}
    if len(resolutions) != 1:
        raise JoinError("bank_incomplete", f"The components differ in resolution: {sorted(resolutions)}.")
    headers = {name: _header(item, files[name], chosen[name]) for name, item in found.items()}
    header = BankHeader(name, resolutions.pop(), forward_model, headers, license=license)
    save_bank(out, header, {name: (item.generator, item.discriminator) for name, item in found.items()})


def _header(item: PublicCheckpoint, path: Path, transform: str) -> ComponentHeader:
    if item.generator.config.image_channels != 3:
        raise JoinError("bank_incomplete", f"'{path}' makes images of {item.generator.config.image_channels} channels.")
    training = {"imported_from": path.name, "format": item.format}
    return ComponentHeader(transform, item.generator.config, training, item.discriminator is not None)


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
    files = {name: Path(file) for name, file in options.component}
    for name, transform in options.transform:
        if transform not in COMPONENT_TRANSFORMS or name not in files:
            raise JoinError("settings_invalid", f"There is no transform '{transform}' for a component '{name}'.")
    import_bank(options.out, options.name, options.forward_model, files, options.license, dict(options.transform))
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB")
