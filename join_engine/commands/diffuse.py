# SPDX-License-Identifier: GPL-3.0-or-later
"""Lay the middle of one picture into another one's surroundings, which adapt (semantic diffusion).

Both are fitted to the bank's square. --out, a folder, gets image.png (what the generators make), laid.png (that where
the patch is, and the context's own pixels elsewhere), each component, and sheet.png with all steps beside one another.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from ..options import IMAGE_KINDS, add_bank_option, add_device_options, load_bank_named, natural, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("context", type=Path, metavar="CONTEXT", help=IMAGE_KINDS)
    parser.add_argument("patch", type=Path, metavar="PATCH", help="the picture that the patch is taken from")
    parser.add_argument(
        "--crop", type=natural, metavar="PIXELS", help="side of the patch, of the bank's (default: 7/16 of it)"
    )
    parser.add_argument("--steps", type=positive, default=100, help="of the masked optimisation (default 100)")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    add_bank_option(parser)
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    from ..color import srgb_encode
    from ..evaluation.sheets.sheet import write_sheet
    from ..images.files import display_encode, opaque, read_picture, write_png
    from ..images.frame import Frame
    from ..inversion.diffusion import crop, diffuse

    bank = load_bank_named(options)
    side = bank.header.resolution
    mask = crop(side, side * 7 // 16 if options.crop is None else options.crop)
    fitted = []
    for path in (options.context, options.patch):
        pixels = opaque(read_picture(path).pixels)
        fitted.append(srgb_encode(Frame(pixels.shape[0], pixels.shape[1], side).fit(pixels)).clamp(0.0, 1.0))
    found = diffuse(bank, fitted[0], fitted[1], mask, options.steps)
    pictures = {
        name: picture[0].permute(1, 2, 0).clamp(0.0, 1.0).cpu().numpy()
        for name, picture in (
            ("context", fitted[0]),
            ("patch", fitted[1]),
            ("stitched", found.stitched),
            ("seen", found.seen),
            ("image", found.image),
            ("laid", found.laid),
        )
    }
    layers = {
        name: display_encode(name, linear[0].permute(1, 2, 0).cpu().numpy())
        for name, linear in found.components.items()
    }
    options.out.mkdir(parents=True, exist_ok=True)
    for name, encoded in {"image": pictures["image"], "laid": pictures["laid"], **layers}.items():
        write_png(options.out / f"{name}.png", encoded)
    write_sheet(options.out / "sheet.png", [list(pictures.items()), list(layers.items())])
    print(options.out)
