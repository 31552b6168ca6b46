# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the errors that a bank expects of each pixel are those that it makes, on renders.

Printed are the mean errors of each component, expected and true, and how they correlate over the pixels of a render and
over the renders.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import numpy as np

from ...color import LUMINANCE_WEIGHTS, srgb_encode
from ...errors import JoinError
from ...layers.layer_files import grown
from ..options import Rows, Shot, add_pack_options, run_on_packs
from ..tables import markdown

CHANNELS = {"albedo": 0, "shading": 1, "specular": 2}
"""Component → channel of the map."""
_DARK = 0.004
_LEAST_ALBEDO = 0.004  # what is darker is no paint
_LEAST_SEEN = 0.05


def measure(shot: Shot) -> dict[str, float] | None:
    """Of each component of a render the mean of the errors that are ``expected`` and of those that are ``true``, and
    their ``correlation`` over the pixels: of the logarithms of albedo and shading but for a constant of the picture, as
    the network has learned them, and of the specular, sRGB-encoded. None where it hardly shows any paint. Raises
    JoinError ``settings_invalid`` for a bank that expects nothing."""
    found = shot.outcome.decomposition
    if shot.outcome.error is None:
        message = f"The bank '{found.bank_name}' does not tell how sure it is."
        raise JoinError("settings_invalid", message, "Give one with a split network, and a preset with detail.")
    where = (shot.photo[..., 3] > 0.5) & (shot.truth["albedo"].min(axis=2) > _LEAST_ALBEDO)
    if where.mean() <= _LEAST_SEEN:
        return None
    error = grown(shot.outcome.error, found.size, slice(0, len(shot.photo)))
    return _row(error, errors_of(shot.layers, shot.truth, where), where)


def errors_of(
    layers: Mapping[str, np.ndarray], truth: Mapping[str, np.ndarray], where: np.ndarray
) -> dict[str, np.ndarray]:
    """True errors of layers, [H, W] ≥ 0 by component; both linear [H, W, 3] of one exposure."""

    def logarithm(layer: np.ndarray, name: str) -> np.ndarray:
        grey = layer @ np.array(LUMINANCE_WEIGHTS, np.float32) if name == "shading" else layer
        return np.log(grey + _DARK) if name == "shading" else np.log(grey + _DARK).mean(axis=2)

    found = {}
    for name in ("albedo", "shading"):
        off = logarithm(layers[name], name) - logarithm(truth[name], name)
        found[name] = np.abs(off - off[where].mean())
    if "specular" in layers:
        encoded = (np.asarray(srgb_encode(one["specular"].clip(0.0, 1.0))) for one in (layers, truth))
        found["specular"] = np.abs(next(encoded) - next(encoded)).mean(axis=2)
    return found


def _row(expected: np.ndarray, true: Mapping[str, np.ndarray], where: np.ndarray) -> dict[str, float]:
    row = {}
    for name, errors in true.items():
        one, other = expected[..., CHANNELS[name]][where], errors[where]
        row[f"{name} expected"], row[f"{name} true"] = float(one.mean()), float(other.mean())
        row[f"{name} correlation"] = _correlation(one, other)
    return row


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """0 where one of them is the same everywhere."""
    if min(one.std(), other.std()) < 1e-9 or len(one) < 2:
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def format_table(found: Mapping[str, Rows]) -> str:
    """Markdown: of each set and component the means over the renders, and how the renders' means correlate."""
    cells = []
    for title, rows in found.items():
        for name in [name for name in CHANNELS if rows and f"{name} true" in rows[0]]:
            one, other, within = (
                np.array([row[f"{name} {key}"] for row in rows]) for key in ("expected", "true", "correlation")
            )
            means = f"{one.mean():.3f}", f"{other.mean():.3f}", f"{within.mean():.2f}"
            cells.append([title, str(len(rows)), name, *means, f"{_correlation(one, other):.2f}"])
    headings = "set", "renders", "component", "expected", "true", "correlation, pixels", "correlation, renders"
    return "\n".join([*markdown(headings, cells), ""])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_pack_options(parser, 40)


def run(options: argparse.Namespace) -> None:
    run_on_packs(options, measure, format_table)
