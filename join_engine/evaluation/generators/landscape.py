# SPDX-License-Identifier: GPL-3.0-or-later
"""Draw the in-domain and the kNN loss over two-dimensional codes: the landscapes of JoIN's Fig. 2."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...bank import Bank, find_bank, load_bank
from ...bank.card import put_part
from ...errors import JoinError
from ...images.files import write_atomically
from ...inversion.losses.knn import KnnLoss, in_domain_loss
from ...options import add_bank_option, natural, positive

BEGIN = "<!-- landscape, written by `python -m join_engine landscape --card`: begin -->"
END = "<!-- landscape: end -->"

_SIDE = 480
_GAP, _TITLE = 16, 34
_MARGIN = 0.35  # of the codes' extent, around them
# Dark blue over green to yellow: lightness rises with the loss, also for eyes that confuse red and green.
_COLOURS = ((68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37))


def planar_codes(bank: Bank, component: str, count: int, seed: int = 0) -> Tensor:
    """Codes of a component on the two axes along which they spread the most: [count, 2]. Raises JoinError
    ``component_missing``."""
    if component not in bank.components:
        known = ", ".join(bank.components)
        raise JoinError("component_missing", f"The bank has no {component}.", f"It has: {known}.")
    codes = bank.components[component].sample_codes().cpu()
    values, vectors = torch.linalg.eigh(torch.cov(codes.T.double()))
    drawn = torch.randperm(len(codes), generator=torch.Generator().manual_seed(seed))[:count]
    return ((codes[drawn] - codes.mean(dim=0)).double() @ vectors[:, values.argsort(descending=True)[:2]]).float()


def landscapes(codes: Tensor, neighbours: int = 5, side: int = _SIDE) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Both losses on a square grid around codes [N, 2]. Returns name → loss [side, side], and the corners of the
    square: lowest and highest coordinates, [2, 2]."""
    low, high = codes.min(dim=0).values, codes.max(dim=0).values
    middle, half = (low + high) / 2, float((high - low).max()) * (0.5 + _MARGIN)
    ticks = torch.linspace(-half, half, side)
    grid = torch.stack(torch.meshgrid(ticks, ticks, indexing="ij"), dim=-1).flip(-1) + middle  # rows run along y
    flat = grid.reshape(-1, 1, 2)
    found = {
        "in-domain loss": in_domain_loss(flat, codes.mean(dim=0)),
        f"kNN loss, k = {neighbours}": KnnLoss(codes, neighbours)(flat),
    }
    corners = torch.stack([middle - half, middle + half]).numpy()
    return {name: loss.reshape(side, side).numpy() for name, loss in found.items()}, corners


def write_landscape(path: Path, codes: Tensor, neighbours: int = 5) -> None:
    """Draw both losses with the codes as dots into a PNG. Raises JoinError ``output_unwritable``."""
    from PIL import Image, ImageDraw, ImageFont

    losses, corners = landscapes(codes, neighbours)
    positions = ((codes.numpy() - corners[0]) / (corners[1] - corners[0]) * (_SIDE - 1)).tolist()
    picture = Image.new("RGB", (_GAP + len(losses) * (_SIDE + _GAP), _TITLE + _SIDE + _GAP), (250, 250, 250))
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=18)
    for index, (name, loss) in enumerate(losses.items()):
        left = _GAP + index * (_SIDE + _GAP)
        draw.text((left, 7), f"{name}: {loss.min():.2g} to {loss.max():.2g}", fill=(20, 20, 20), font=font)
        picture.paste(Image.fromarray(_coloured(loss)), (left, _TITLE))
        for x, y in positions:
            dot = [left + x - 2.5, _TITLE + y - 2.5, left + x + 2.5, _TITLE + y + 2.5]
            draw.ellipse(dot, fill=(255, 255, 255), outline=(0, 0, 0))
    write_atomically(path, lambda temporary: picture.save(temporary, format="PNG"))


def _coloured(loss: np.ndarray) -> np.ndarray:
    """Loss [H, W] → [H, W, 3] bytes, its range spread over the colours in steps that look like contours."""
    unit = (loss - loss.min()) / max(float(np.ptp(loss)), 1e-12)
    stepped = np.floor(unit * 24) / 24
    places = np.linspace(0.0, 1.0, len(_COLOURS))
    channels = [np.interp(stepped, places, [colour[c] for colour in _COLOURS]) for c in range(3)]
    return np.stack(channels, axis=2).round().astype(np.uint8)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bank_option(parser)
    parser.add_argument("--component", default="albedo")
    parser.add_argument("--count", type=positive, default=100, help="codes (default 100)")
    parser.add_argument("--neighbours", type=positive, default=5)
    parser.add_argument("--seed", type=natural, default=0)
    parser.add_argument("--out", type=Path, required=True, metavar="FIG.png")
    parser.add_argument("--card", action="store_true", help="show the picture in the bank's card")


def run(options: argparse.Namespace) -> None:
    bank = load_bank(find_bank(options.bank))
    if not 1 <= options.neighbours <= options.count:
        raise JoinError("settings_invalid", "There must be as many codes as neighbours.", "Raise --count.")
    write_landscape(options.out, planar_codes(bank, options.component, options.count, options.seed), options.neighbours)
    if options.card:
        card = bank.path.with_suffix(".md")
        link = Path(os.path.relpath(options.out, card.parent)).as_posix()
        title = "In-domain loss and kNN loss over two-dimensional codes, as in JoIN's Fig. 2; dots are codes."
        put_part(card, BEGIN, END, f"{BEGIN}\n\n## Landscape of the losses\n\n![{title}]({link})\n\n{END}")
    print(options.out)
