# SPDX-License-Identifier: GPL-3.0-or-later
"""How good the layers of renders are at the renders' own size, as a metering camera shows them.

The packs' validation split decides about everything between the generators and the layers: `evaluate` compares at the
bank's resolution, where the grain of a picture and what a highlight leaves of it are averaged away. Printed are mean
errors, how bright albedo and shading are not counting.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import numpy as np

from ...color import srgb_encode
from ...images.metrics import lmse
from ..options import add_pack_options, run_on_packs
from ..tables import markdown

# Column → what it tells; all are errors.
COLUMNS = {
    "lmse": 'mean LMSE of albedo and shading, as "mit" is measured',
    "albedo": "of the albedo's logarithm",
    "shading": "of the shading's logarithm",
    "under gloss": "the same where over 30 % of the light is specular",
    "left under gloss": "how much brighter than the paint the albedo is there, 0 where it is darker",
    "colour under gloss": "of its colour alone",
    "grain under gloss": "of the logarithm of the albedo's contrast there, between neighbouring pixels",
    "specular": "sRGB-encoded",
    "tinted": "how much more the specular's strongest channel has than its weakest, sRGB-encoded",
}
_GLOSSY = 0.3
_LEAST_ALBEDO = 0.004  # what is darker is no paint
_DARK = 0.004
_NO_CONTRAST = 0.002  # of logarithms: less is seen by nobody

Row = dict[str, float]


def scores(layers: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], photo: np.ndarray) -> Row | None:
    """:data:`COLUMNS` of one picture, NaN where it has no gloss to speak of; None where it hardly shows any paint.
    ``layers``, ``truth``: linear [H, W, 3] of one exposure. ``photo``: linear [H, W, 4]."""
    where = (photo[..., 3] > 0.5) & (truth["albedo"].min(axis=2) > _LEAST_ALBEDO)
    if where.mean() < 0.05:
        return None
    masked = {name: (layers[name] * where[..., None], truth[name] * where[..., None]) for name in layers}
    albedo = np.log(layers["albedo"] + _DARK) - np.log(truth["albedo"] + _DARK)
    albedo -= np.median(albedo[where].mean(axis=1))
    colour = albedo - albedo.mean(axis=2, keepdims=True)
    shading = np.log(layers["shading"].mean(axis=2) + _DARK) - np.log(truth["shading"].mean(axis=2) + _DARK)
    row = {
        "lmse": float(np.mean([lmse(*(one.mean(axis=2) for one in masked[name])) for name in ("albedo", "shading")])),
        "albedo": float(np.abs(albedo[where]).mean()),
        "shading": float(np.abs(shading[where] - np.median(shading[where])).mean()),
    }
    if "specular" in layers:
        light = truth["specular"].mean(axis=2)
        glossy = where & (light > _GLOSSY * (photo[..., :3].mean(axis=2) + _DARK))
        enough = glossy.sum() > 0.01 * where.sum()
        encoded = np.asarray(srgb_encode(layers["specular"].clip(0.0, 1.0)))
        seen = np.asarray(srgb_encode(truth["specular"].clip(0.0, 1.0)))
        row |= {
            "under gloss": float(np.abs(albedo[glossy]).mean()) if enough else np.nan,
            "left under gloss": float(albedo.mean(axis=2)[glossy].clip(min=0.0).mean()) if enough else np.nan,
            "colour under gloss": float(np.abs(colour[glossy]).mean()) if enough else np.nan,
            "grain under gloss": _grain(layers["albedo"], truth["albedo"], glossy) if enough else np.nan,
            "specular": float(np.abs(encoded - seen)[where].mean()),
            "tinted": float((encoded.max(axis=2) - encoded.min(axis=2))[where].mean()),
        }
    return row


def _grain(albedo: np.ndarray, truth: np.ndarray, where: np.ndarray) -> float:
    contrasts = []
    for layer in (albedo, truth):
        light = np.log(layer.mean(axis=2) + _DARK)
        steps = [np.diff(light, axis=axis)[_both(where, axis)] for axis in (0, 1)]
        contrasts.append(float(np.abs(np.concatenate(steps)).mean()))
    one, other = contrasts
    return abs(float(np.log((one + _NO_CONTRAST) / (other + _NO_CONTRAST))))


def _both(where: np.ndarray, axis: int) -> np.ndarray:
    """Where a pixel and the next one along an axis are both in ``where``."""
    ahead, behind = (np.delete(where, edge, axis=axis) for edge in (0, -1))
    return ahead & behind


def format_table(found: Mapping[str, list[Row]]) -> str:
    """Markdown: of each set the mean of each column."""
    names = [name for name in COLUMNS if any(name in row for rows in found.values() for row in rows)]
    cells = [
        [title, str(len(rows)), *(f"{np.nanmean([row.get(name, np.nan) for row in rows]):.4f}" for name in names)]
        for title, rows in found.items()
    ]
    return "\n".join([*markdown(["set", "renders", *names], cells), ""])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_pack_options(parser, 40)


def run(options: argparse.Namespace) -> None:
    run_on_packs(options, lambda shot: scores(shot.layers, shot.truth, shot.photo), format_table)
