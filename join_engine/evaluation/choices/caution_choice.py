# SPDX-License-Identifier: GPL-3.0-or-later
"""How much say simple methods should have where the split network is unsure.

Their shares in the light follow from the error that the network expects and those that colour Retinex and the prior of
few paints are taken to make. Prints the figures of layer-scores with each of --errors, of --few-paints and of --jumps,
over the first renders of each pack, as a metering camera shows them, with --cut-out of those that do not fill their
picture alone; --flat paints them as toys, pottery and prints are painted, --figurines as figurines are, on a relief,
--drawn with thin lines over flat colours, a share of the colours of both --pale, --glints gives them a glossy relief,
--backdrop shows those that are cut out as products are photographed.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import product

import torch

from ...images.frame import picture_of, planes_of
from ...layers.caution import Jumps
from ...layers.split import is_cut_out
from ...renders.samples import Sample
from ...training.split import SplitSettings, another_light, as_rendered, before_backdrop, flat_colours, visible
from ..camera import METERED
from .split_ways import add_options, run_ways

ERRORS = (0.15, 0.2, 0.3, 0.45, 0.6, math.inf)
_LESS_GLOSS = 0.25  # of what is painted with flat colours
_FIGURINE = replace(as_rendered(SplitSettings()), flat=1.0, airbrushed=1.0, relief=1.0)
_DRAWN = replace(as_rendered(SplitSettings()), flat=1.0, strokes=1.0)
_GLINTS = replace(as_rendered(SplitSettings()), relief=1.0, glints=1.0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_options(parser)
    parser.add_argument(
        "--errors", nargs="+", type=float, default=ERRORS, help="of the logarithm of Retinex's light; inf: no say"
    )
    parser.add_argument(
        "--few-paints", nargs="+", type=float, help="of an albedo of few paints; inf: no say (default: the bank's)"
    )
    parser.add_argument(
        "--jumps",
        nargs="+",
        type=_jumps,
        default=[None],
        metavar="I,C[/I,C …]",
        help="of intensity and chromaticity, above which Retinex sees paint; of several the mean (default: what suits)",
    )
    parser.add_argument("--cut-out", action="store_true", help="leave out renders that fill their picture")
    seen_as = parser.add_mutually_exclusive_group()
    seen_as.add_argument("--flat", action="store_true", help="a few flat colours for paint, and a quarter of the gloss")
    seen_as.add_argument(
        "--figurines",
        action="store_true",
        help="flat colours that run into each other, on a relief, and as little gloss",
    )
    seen_as.add_argument("--drawn", action="store_true", help="thin lines over flat colours, and as little gloss")
    parser.add_argument(
        "--pale", type=float, default=0.0, help="share of the colours of both that are white or nearly so"
    )
    seen_as.add_argument(
        "--glints", action="store_true", help="a glossy relief, whose slopes mirror a lamp here and there"
    )
    seen_as.add_argument("--backdrop", action="store_true", help="what is cut out before a backdrop, mostly white")


def run(options: argparse.Namespace) -> None:
    ways = {
        f"{error:g}"
        + ("" if few is None else f", few paints {few:g}")
        + ("" if jumps is None else f", jumps {'/'.join('{:g},{:g}'.format(*pair) for pair in jumps)}"): {
            "retinex_error": error,
            "jumps": jumps,
            **({} if few is None else {"few_paints_error": few}),
        }
        for error, few, jumps in product(options.errors, options.few_paints or (None,), options.jumps)
    }
    shown: Callable[[Sample], Sample | None] = lambda sample: sample  # noqa: E731
    if options.backdrop:
        shown = as_product
    elif options.figurines:
        shown = partial(painted_as, settings=replace(_FIGURINE, pale=options.pale))
    elif options.drawn:
        shown = partial(painted_as, settings=replace(_DRAWN, pale=options.pale))
    elif options.glints:
        shown = partial(painted_as, settings=_GLINTS, gloss=1.0)
    elif options.flat:
        shown = painted
    seen_as = (lambda sample: shown(sample) if _cut_out(sample) else None) if options.cut_out else shown
    run_ways(options, ways, seen_as=seen_as, luminance=None if options.backdrop else METERED)


def _jumps(text: str) -> Jumps:
    try:
        return tuple((float(intensity), float(colour)) for intensity, colour in (p.split(",") for p in text.split("/")))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no pair of numbers such as 0.4,0.1") from error


def _cut_out(sample: Sample) -> bool:
    return is_cut_out(visible({name: planes_of(part) for name, part in sample.components.items()}))


def painted(sample: Sample) -> Sample:
    """With a few flat colours for its paint, the same ones for the same name, and a quarter of its gloss."""
    rng = _draws_of(sample)
    albedo = picture_of(flat_colours(planes_of(sample.components["albedo"]), rng))
    less = {name: _LESS_GLOSS * sample.components[name] for name in ("specular",) if name in sample.components}
    return replace(sample, components={**sample.components, "albedo": albedo, **less})


def painted_as(sample: Sample, settings: SplitSettings, gloss: float = _LESS_GLOSS) -> Sample:
    """With the paint and the relief that such a training draws, the same ones for the same name, and a share of its
    gloss."""
    parts = {name: planes_of(part) for name, part in sample.components.items()}
    albedo, shading, specular = another_light(parts, settings, _draws_of(sample))
    shown = {"albedo": albedo, "shading": shading, "specular": gloss * specular}
    return replace(sample, components={name: picture_of(shown[name]) for name in sample.components})


def as_product(sample: Sample) -> Sample | None:
    """Before a backdrop, the same one for the same name; None where hardly anything is cut out."""
    if not _cut_out(sample):
        return None
    rng, parts = _draws_of(sample), {name: planes_of(part) for name, part in sample.components.items()}
    names = "albedo", "shading", "specular"
    parts.setdefault("specular", torch.zeros_like(parts["albedo"]))
    albedo, shading, specular = (parts[name] for name in names)
    shown = dict(zip(names, before_backdrop(albedo, shading, specular, rng), strict=True))
    return replace(sample, components={name: picture_of(shown[name]) for name in sample.components})


def _draws_of(sample: Sample) -> torch.Generator:
    return torch.Generator().manual_seed(sum(sample.name.encode()))
