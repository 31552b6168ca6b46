# SPDX-License-Identifier: GPL-3.0-or-later
"""Generated images beside real ones, in one picture, to judge a bank by eye.

``python -m join_engine.training.preview --bank primeshapes --component albedo --data PACK.tar --out albedo.png``
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image

from ..bank import BankComponent, find_bank, load_bank
from ..errors import JoinError
from .dataset import ImageSet, read_packs
from .samples import contact_sheet

_GAP = 16


@torch.no_grad()
def generated(component: BankComponent, count: int, seed: int) -> torch.Tensor:
    """[count, 3, H, W] in the generator's range, from codes of :meth:`BankComponent.sample_codes`."""
    codes = component.sample_codes(count, seed)
    return torch.cat([component.generator.synthesis(part) for part in codes.split(16)])


def real(data: ImageSet, count: int, seed: int) -> torch.Tensor:
    """[count, 3, H, W] in the generator's range, chosen at random, none twice."""
    chosen = torch.randperm(len(data.images), generator=torch.Generator().manual_seed(seed))
    return data.batch(chosen[:count])


def write_preview(
    out: Path, component: BankComponent, data: ImageSet, columns: int = 6, rows: int = 8, zoom: int = 1, seed: int = 0
) -> None:
    """Write the picture: generated on the left, real on the right; neither is a selection."""
    count = columns * rows
    left = contact_sheet(generated(component, count, seed), columns)
    right = contact_sheet(real(data, count, seed), columns)
    picture = Image.new("RGB", (left.width + _GAP + right.width, left.height), "white")
    picture.paste(left, (0, 0))
    picture.paste(right, (left.width + _GAP, 0))
    picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST).save(out, format="PNG")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m join_engine.training.preview", description=__doc__)
    parser.add_argument("--bank", help="name or path (default: the default bank)")
    parser.add_argument("--component", required=True)
    parser.add_argument("--data", nargs="+", required=True, metavar="PACK.tar")
    parser.add_argument("--out", required=True, type=Path, metavar="PICTURE.png")
    parser.add_argument("--columns", type=int, default=6)
    parser.add_argument("--rows", type=int, default=8)
    parser.add_argument("--zoom", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns its exit status."""
    arguments = _parser().parse_args(argv)
    try:
        bank = load_bank(find_bank(arguments.bank))
        if arguments.component not in bank.components:
            known = ", ".join(bank.components)
            raise JoinError("component_missing", f"The bank has no {arguments.component}.", f"It has: {known}.")
        data = read_packs(arguments.data, arguments.component)
    except JoinError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    component = bank.components[arguments.component]
    write_preview(
        arguments.out, component, data, arguments.columns, arguments.rows, arguments.zoom, seed=arguments.seed
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
