# SPDX-License-Identifier: GPL-3.0-or-later
"""Put trained networks together to a bank, and write its card.

From trainings of GANs:

    make-bank --component albedo=runs/albedo --component shading=runs/shading --trunk runs/trunk --name primeshapes
    --forward-model lambertian --out build/primeshapes.safetensors

With --bank, too, they begin with that bank's trunk, brightness network and split network, which need no generator.

Encoders are trained for the generators of a bank, and put into it afterwards:

    make-bank --bank build/primeshapes.safetensors --encoder albedo=runs/encoder-albedo
    --encoder shading=runs/encoder-shading --out primeshapes.safetensors

And so are directions of the light, by --directions, those of materials, by --materials, the network that tells how
bright an albedo is, by --brightness, the one that tells paint, light and gloss apart, by --split, the encoder of all
components at once, by --seeing, and the one that tells in which latent space what can be inverted, by --invertibility.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from ..errors import JoinError
from .options import named


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--component", action="append", default=[], type=named("RUN"), metavar="NAME=RUN", help="trained GANs"
    )
    parser.add_argument(
        "--bank",
        help="name or path of a bank whose networks are taken over; with --component, those that need no generator",
    )
    parser.add_argument("--trunk", type=Path, metavar="RUN", help="trained perceptual trunk")
    parser.add_argument("--encoder", action="append", default=[], type=named("RUN"), metavar="NAME=RUN")
    parser.add_argument("--directions", type=Path, metavar="FILE", help="learned directions of the light")
    parser.add_argument("--materials", type=Path, metavar="FILE", help="learned directions of materials")
    parser.add_argument("--brightness", type=Path, metavar="RUN", help="trained brightness network")
    parser.add_argument("--split", type=Path, metavar="RUN", help="trained split network")
    parser.add_argument("--invertibility", type=Path, metavar="RUN", help="trained invertibility network")
    parser.add_argument("--seeing", type=Path, metavar="RUN", help="trained seeing encoder")
    parser.add_argument("--name", help="of the bank (default: the file's)")
    parser.add_argument("--forward-model", help="of --component without --bank (default: lambertian)")
    parser.add_argument("--out", required=True, type=Path, metavar="BANK.safetensors")
    parser.add_argument("--scores", type=Path, metavar="SCORES.json", help="what the evaluation measured")
    parser.add_argument("--machine", default="", help="where it was trained, in plain words")
    parser.add_argument(
        "--detail-share", type=float, help="of the detail, what is light (default: the bank's own, or 0.7)"
    )
    parser.add_argument(
        "--detail-radius", type=float, metavar="PIXELS", help="how smooth that is (default: the bank's own, or 2)"
    )
    parser.add_argument("--time-encoders", action="store_true", help="measure their speed here, for the card")


def run(options: argparse.Namespace) -> None:
    from ..bank import find_bank, load_bank
    from ..bank.bank_wide import BANK_WIDE
    from ..bank.header import DETAIL_RADIUS, DETAIL_SHARE
    from ..training.make_bank import Parts, encoder_speed, make_bank

    scores, machine = _read_scores(options.scores), options.machine
    bank = load_bank(find_bank(options.bank), with_discriminators=True) if options.bank else None
    model = options.forward_model or "lambertian"
    share, radius = DETAIL_SHARE, DETAIL_RADIUS
    if bank is not None:
        model = bank.header.forward_model
        share, radius = bank.header.detail_share, bank.header.detail_radius
    if options.component:
        parts = Parts.of_runs(model, {name: Path(run) for name, run in options.component})
        if bank is not None:
            parts.take_over(Parts.of_bank(bank))
    elif bank is not None:
        parts = Parts.of_bank(bank)
        scores, machine = scores or dict(bank.header.scores), machine or bank.header.machine
    else:
        raise JoinError("settings_invalid", "There are no generators.", "Name trainings by --component, or a --bank.")
    for kind in BANK_WIDE:
        if getattr(options, kind) is not None:
            parts.add_bank_wide(kind, getattr(options, kind))
    for name, run in options.encoder:
        parts.add_encoder(name, Path(run))
    if options.directions is not None:
        parts.add_directions(options.directions)
    if options.materials is not None:
        parts.add_directions(options.materials, "materials")
    if options.detail_share is not None:
        share = options.detail_share
    if options.detail_radius is not None:
        radius = options.detail_radius
    if options.time_encoders:
        scores["encoders"] = encoder_speed(parts.encoders)
    make_bank(options.out, options.name or options.out.stem, model, parts, scores, machine, share, radius)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB")


def _read_scores(path: Path | None) -> dict[str, Any]:
    from ..training.make_bank import summary

    if path is None:
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it holds no object")
        return summary(values) if "methods" in values else values
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JoinError("scores_unreadable", f"The scores '{path}' cannot be read: {error}.") from error
