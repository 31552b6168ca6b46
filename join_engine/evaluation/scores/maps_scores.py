# SPDX-License-Identifier: GPL-3.0-or-later
"""How far the maps made of layers are from those of renders, beside a flat surface and a constant roughness.

The packs are those of dataset_tools/render.py maps. Angles are means over all pixels, roughness errors root mean
squares; "true" are the maps of the render's own layers.

A render's normals are compared in the frame in which they point straight up in the mean: a photo does not tell how the
camera was held, and the flat map is the best one without relief. Of the constant roughnesses one is that of the renders
which the network has learned from, and the other the mean of the set that is measured, which nobody knows beforehand.

No map of the Principled BSDF's specular level is made: how the share of gloss in a picture goes with it says why.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from functools import partial

import numpy as np

from ...bank import find_bank, load_bank
from ...layers.maps import NORMAL, ROUGHNESS, luminance, maps_of, network_of
from ...networks.maps import ROUGHNESS_AT_FIRST, Maps
from ...renders.map_sets import LEVEL, MAPS, turned_upright
from ...renders.samples import Sample
from ..options import Shot, add_pack_options, run_on_packs
from ..tables import markdown

RELIEFS = (0.1, 0.3, 1.0)
"""Pixels of height for each natural logarithm of shading."""

_FAINT = 1e-3  # share of gloss in a picture

Row = dict[str, float]


def measure(network: Maps, shot: Shot) -> Row:
    """Of a render of ``dataset_tools/render.py maps``: see :func:`row_of`; once with the maps of the layers that are
    found, and (``true ``) once with those of the render's own."""
    own, true = (row_of(network, shot.sample, layers) for layers in (shot.layers, shot.truth))
    return own | {f"true {name}": value for name, value in true.items() if name in own}


def row_of(network: Maps, sample: Sample, layers: Mapping[str, np.ndarray]) -> Row:
    """``flat`` and ``relief 0.1`` …: mean angles in degrees between the normals and the render's. ``roughness``, the
    estimate, and mean and variance of the render's own (``roughness mean``, ``roughness variance``). ``gloss``, the
    natural logarithm of its share in the picture, and the render's ``specular level``."""
    upright = turned_upright(sample.components[NORMAL])
    row = {"flat": angle(upright, np.array([0.0, 0.0, 1.0], np.float32))}
    for relief in RELIEFS:
        found, _ = maps_of(network, layers, relief=relief)
        row[f"relief {relief:g}"] = angle(upright, found[NORMAL] * 2.0 - 1.0)
    own = sample.components[ROUGHNESS][..., 0]
    if ROUGHNESS in found:
        row[ROUGHNESS] = float(found[ROUGHNESS].mean())
        gloss = float(luminance(layers["specular"]).mean())
        picture = float(luminance(layers["albedo"] * layers["shading"]).mean()) + gloss
        row["gloss"] = float(np.log(gloss / max(picture, 1e-6) + _FAINT))
        row["specular level"] = float(sample.components[LEVEL].mean())
    return {**row, "roughness mean": float(own.mean()), "roughness variance": float(own.var())}


def angle(one: np.ndarray, other: np.ndarray) -> float:
    """Between unit vectors [H, W, 3], degrees in the mean."""
    return float(np.degrees(np.arccos((one * other).sum(axis=2).clip(-1.0, 1.0))).mean())


def format_table(found: Mapping[str, Sequence[Row]]) -> str:
    """Markdown: of each set the mean angles, the root of the mean square error of roughness, and how the share of gloss
    correlates with the specular level."""
    angles = ["flat", *(f"{prefix}relief {relief:g}" for prefix in ("", "true ") for relief in RELIEFS)]
    told = ["roughness", "true roughness"]
    columns = [*angles, f"constant {ROUGHNESS_AT_FIRST:g}", "best constant", *told, "r of specular level", "true r"]
    lines = []
    for title, rows in found.items():
        cells = [f"{np.mean([row[name] for row in rows]):.3f}°" for name in angles]
        for constant in (ROUGHNESS_AT_FIRST, float(np.mean([row["roughness mean"] for row in rows]))):
            cells.append(f"{_rmse(rows, [constant] * len(rows)):.4f}")
        glossy = all(ROUGHNESS in row for row in rows)
        cells += [f"{_rmse(rows, [row[name] for row in rows]):.4f}" if glossy else "" for name in told]
        cells += [f"{_correlation(rows, name):.2f}" if glossy else "" for name in ("gloss", "true gloss")]
        lines.append([title, str(len(rows)), *cells])
    return "\n".join([*markdown(["set", "renders", *columns], lines), ""])


def _correlation(rows: Sequence[Row], name: str) -> float:
    values = np.array([[row[name], row["specular level"]] for row in rows])
    return float(np.corrcoef(values.T)[0, 1]) if (values.std(axis=0) > 0.0).all() else 0.0


def _rmse(rows: Sequence[Row], told: Sequence[float]) -> float:
    """Over all pixels, of one value for each render."""
    errors = [
        (value - row["roughness mean"]) ** 2 + row["roughness variance"] for row, value in zip(rows, told, strict=True)
    ]
    return float(np.sqrt(np.mean(errors)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_pack_options(parser, 1000)


def run(options: argparse.Namespace) -> None:
    network = network_of(load_bank(find_bank(options.bank)))
    run_on_packs(options, partial(measure, network), format_table, MAPS)
