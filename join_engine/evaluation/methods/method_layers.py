# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers of photos by a method of the scorecard that needs no bank: one without learning, or the U-Net.

They are EXR files named as `decompose` names its own, so that what measures the one measures the other.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ...device import set_up_torch
from ...errors import JoinError
from ...images.files import opaque, read_image, write_exr
from ...layers.result_folder import Made, Source, folder_for, result_folder
from ...options import BAD_INPUT, IMAGE_KINDS, add_device_options, complain, expand
from .baselines import BASELINES
from .by_name import BASELINE_KEYS, UNET
from .unet import made_exact, unet_layers, unet_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("method", choices=(*BASELINE_KEYS, UNET))
    parser.add_argument("images", nargs="+", metavar="IMAGE", help=f"{IMAGE_KINDS}, or a folder of them")
    parser.add_argument("--unet", type=Path, metavar="FILE", help="of train-unet, for the method 'u-net'")
    parser.add_argument("--out", type=Path, required=True, help="folder; each image gets a folder of its own in it")
    add_device_options(parser)


def run(options: argparse.Namespace) -> int:
    unet = unet_of(options, set_up_torch(options.device, options.threads))
    baseline = BASELINES.get(BASELINE_KEYS.get(options.method, ""))
    if baseline is None and unet is None:
        raise JoinError("settings_invalid", "The method 'u-net' needs its weights.", "Give --unet FILE.")
    images, problems = expand(options.images, options.out)
    folders: list[Path] = []
    for path in images:
        try:
            image = read_image(path)
            settings = {"method": options.method, "unet": str(options.unet) if unet is not None else None}
            made = Made("method-layers", Source.of(path), "", settings)
            folder = folder_for(options.out, path.stem, made, folders)
            if baseline is not None:
                layers = baseline(opaque(image))
            else:
                assert unet is not None
                layers = made_exact(unet_layers(unet, image), image)
            with result_folder(folder, made) as new:
                for name, pixels in layers.items():
                    write_exr(new / f"{name}.exr", pixels)
        except JoinError as error:
            problems.append(error)
        else:
            folders.append(folder)
            print(folder)
    for problem in problems:
        complain(problem)
    return BAD_INPUT if problems else 0
