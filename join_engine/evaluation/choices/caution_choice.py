# SPDX-License-Identifier: GPL-3.0-or-later
"""How much say simple methods should have where the split network is unsure.

Their shares in the light follow from the error that the network expects and those that colour Retinex and the prior of
few paints are taken to make. Prints the figures of layer-scores with each of --errors and of --few-paints, over the
first renders of each pack, as a metering camera shows them; --flat paints them as toys, pottery and prints are painted.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from itertools import product

import torch

from ...images.frame import picture_of, planes_of
from ...renders.samples import Sample
from ...training.split import flat_colours
from .split_ways import add_options, run_ways

ERRORS = (0.15, 0.2, 0.3, 0.45, 0.6, math.inf)
_LESS_GLOSS = 0.25  # of what is painted with flat colours


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_options(parser)
    parser.add_argument(
        "--errors", nargs="+", type=float, default=ERRORS, help="of the logarithm of Retinex's light; inf: no say"
    )
    parser.add_argument(
        "--few-paints", nargs="+", type=float, help="of an albedo of few paints; inf: no say (default: the bank's)"
    )
    parser.add_argument("--flat", action="store_true", help="a few flat colours for paint, and a quarter of the gloss")


def run(options: argparse.Namespace) -> None:
    ways = {
        f"{error:g}" + ("" if few is None else f", few paints {few:g}"): {"retinex_error": error}
        | ({} if few is None else {"few_paints_error": few})
        for error, few in product(options.errors, options.few_paints or (None,))
    }
    run_ways(options, ways, seen_as=painted if options.flat else None)


def painted(sample: Sample) -> Sample:
    """With a few flat colours for its paint, the same ones for the same name, and a quarter of its gloss."""
    rng = torch.Generator().manual_seed(sum(sample.name.encode()))
    albedo = picture_of(flat_colours(planes_of(sample.components["albedo"]), rng))
    less = {name: _LESS_GLOSS * sample.components[name] for name in ("specular",) if name in sample.components}
    return replace(sample, components={**sample.components, "albedo": albedo, **less})
