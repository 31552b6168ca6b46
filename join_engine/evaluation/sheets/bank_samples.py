# SPDX-License-Identifier: GPL-3.0-or-later
"""Sample sheets: what a bank's generators make beside real images, labelled, to judge a bank by eye.

``python -m join_engine banks sheet primeshapes --data PACK.tar --out docs`` writes one PNG per component.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont, ImageOps

from ...bank import Bank, BankComponent
from ...images.files import write_text
from ...renders.contact_sheet import contact_sheet, save_picture
from ...renders.packs import ImageSet, read_packs
from ..generators.distances import check_comparable, report

_GAP, _TEXT, _TILE = 16, 15, 64  # pixels: between the halves, of the letters, of a small bank's images at least


@dataclass(frozen=True)
class SheetSettings:
    """What a sheet shows; the same settings give the same pictures.

    Attributes:
        columns, rows: of the generated images, and as many of real ones.
        seed: of the codes and of the choice of real images.
        compared: images of either kind for the distances in the bank's own trunk; 0 for none.
    """

    columns: int = 6
    rows: int = 7
    seed: int = 0
    compared: int = 0


def write_sheets(bank: Bank, packs: Sequence[str | os.PathLike[str]], out: Path, settings: SheetSettings) -> list[Path]:
    """Write ``BANK-COMPONENT.png`` for each component, and ``BANK-samples.json`` with what they show. Raises JoinError
    ``output_unwritable``, ``trunk_missing`` when distances are asked of a bank that has no trunk, and as
    :func:`join_engine.renders.packs.read_packs` and
    :func:`join_engine.evaluation.generators.distances.check_comparable`.

    Args:
        packs: of real images, with every component of the bank.
        out: folder; made when absent.

    Returns:
        the pictures.
    """
    pictures: list[Path] = []
    distances: list[dict[str, Any]] = []
    for name, component in bank.components.items():
        data = read_packs(packs, name)
        check_comparable(bank, name, data)
        lines = [f"{bank.header.name}: {name}, {data.resolution} x {data.resolution} pixels"]
        if settings.compared:
            distances.append(report(bank, name, data, settings.compared, settings.seed, None))
            lines.append(_distance_line(distances[-1]))
        pictures.append(out / f"{bank.header.name}-{name}.png")
        save_picture(pictures[-1], draw_sheet(component, data, settings, lines))
    told = {
        "bank": {"name": bank.header.name, "sha256": bank.sha256},
        "settings": asdict(settings),
        "packs": [asdict(pack) for pack in data.packs],
        "distances": distances,
    }
    write_text(out / f"{bank.header.name}-samples.json", json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    return pictures


def draw_sheet(
    component: BankComponent, data: ImageSet, settings: SheetSettings, lines: Sequence[str] = ()
) -> Image.Image:
    """Generated on the left, real on the right, both as the transform T makes them visible; neither is a selection.
    ``lines``: to write above."""
    count = settings.columns * settings.rows
    zoom = max(1, _TILE // data.resolution)
    packs = sorted({f"{pack.dataset}, {pack.split}" for pack in data.packs})
    halves = [
        (generated(component, count, settings.seed), f"generated: z within ±2, seed {settings.seed}, no selection"),
        (real(data, count, settings.seed), f"real: {'; '.join(packs)}, {len(data.images):,} to draw from"),
    ]
    # By whole pixels, so that one sees what is there.
    sheets = [
        ImageOps.scale(contact_sheet(images, settings.columns), zoom, Image.Resampling.NEAREST) for images, _ in halves
    ]
    columns = [_labelled(sheet, label) for sheet, (_, label) in zip(sheets, halves, strict=True)]
    width = sum(column.width for column in columns) + _GAP
    body = Image.new("RGB", (width, max(column.height for column in columns)), "white")
    left = 0
    for column in columns:
        body.paste(column, (left, body.height - column.height))
        left += column.width + _GAP
    return _labelled(body, *lines)


@torch.no_grad()
def generated(component: BankComponent, count: int, seed: int) -> torch.Tensor:
    """[count, C, H, W] in the generator's range, from codes of :meth:`BankComponent.sample_codes`."""
    codes = component.sample_codes(count, seed)
    return torch.cat([component.generator.synthesis(part) for part in codes.split(16)])


def real(data: ImageSet, count: int, seed: int) -> torch.Tensor:
    """[count, C, H, W] in the generator's range, chosen at random, none twice; all there are where they are fewer."""
    chosen = torch.randperm(len(data.images), generator=torch.Generator().manual_seed(seed))
    return data.batch(chosen[:count])


def _distance_line(found: dict[str, Any]) -> str:
    def pair(kind: str) -> str:
        key = f"trunk {kind} distance"
        # Pillow's own font has no é.
        label = key.replace("é", "e")
        return f"{label} {found[key]:.4f} (halves of the real ones {found[f'{key}, real halves']:.4f})"

    return f"{pair('Fréchet')}, {pair('kernel')}; {found['real']:,} real, {found['generated']:,} generated, untruncated"


def _labelled(picture: Image.Image, *lines: str) -> Image.Image:
    """The picture with text above it, broken where it is wider."""
    font = ImageFont.load_default(size=_TEXT)
    broken = [part for line in lines for part in _broken(line, font, picture.width)]
    height = (_TEXT + 5) * len(broken)
    whole = Image.new("RGB", (picture.width, picture.height + height), "white")
    draw = ImageDraw.Draw(whole)
    for index, line in enumerate(broken):
        draw.text((2, index * (_TEXT + 5)), line, fill="black", font=font)
    whole.paste(picture, (0, height))
    return whole


def _broken(line: str, font: Any, width: int) -> list[str]:
    """The line in parts that are no wider than ``width`` pixels, broken between words."""
    parts = [""]
    for word in line.split():
        longer = f"{parts[-1]} {word}".strip()
        if parts[-1] and font.getlength(longer) > width:
            parts.append(word)
        else:
            parts[-1] = longer
    return parts
