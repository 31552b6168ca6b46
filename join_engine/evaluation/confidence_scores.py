# SPDX-License-Identifier: GPL-3.0-or-later
"""How well a bank's figures of a picture tell whether it is of a kind that the bank has not learned from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from ..bank import Bank
from ..color import LUMINANCE_WEIGHTS
from ..errors import JoinError
from ..inversion.codebook import CodeBook
from ..inversion.presets import Preset
from ..pipeline import decompose

# Figures of a picture (see :func:`join_engine.pipeline.decompose_batch`): more of it is less sure, or less of it.
FIGURES = {"unfamiliarity": 1.0, "albedo_error": 1.0, "psnr_fit": -1.0}
METERED = 0.18
"""Mean luminance of what a camera meters."""
_LEAST_LIGHT = 1e-4

Rows = list[dict[str, float]]


def photograph_of(bank: Bank, components: Mapping[str, np.ndarray]) -> np.ndarray:
    """A render as a metering camera shows it: linear [H, W, 4] in [0, 1], transparent where it shows nothing.

    Args:
        components: of the bank's forward model, linear [H, W, 3].
    """
    return metered(bank, components)[0]


def metered(bank: Bank, components: Mapping[str, np.ndarray], luminance: float = METERED) -> tuple[np.ndarray, float]:
    """As :func:`photograph_of`, of that luminance, and the factor that the camera takes the render's light times."""
    image = np.asarray(bank.forward_model.compose(components))
    visible = sum(components[name].sum(axis=2) for name in bank.forward_model.components) > 0.0
    light = np.minimum(image @ np.array(LUMINANCE_WEIGHTS, np.float32), 2.0)
    mean = float(light[visible].mean()) if visible.any() else 0.0
    exposure = luminance / max(mean, _LEAST_LIGHT)
    shown = (image * exposure).clip(0.0, 1.0)
    return np.concatenate([shown, visible[..., None]], axis=2).astype(np.float32), exposure


def photographed(
    bank: Bank, components: Mapping[str, np.ndarray], luminance: float = METERED
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """As :func:`photograph_of`, of that luminance, and the components at the camera's exposure, linear [H, W, 3]."""
    photo, exposure = metered(bank, components, luminance)
    return photo, {name: part if name == "albedo" else part * exposure for name, part in components.items()}


def figures_of(
    bank: Bank, images: Sequence[np.ndarray], preset: Preset, seed: int = 0, codebook: CodeBook | None = None
) -> Rows:
    """:data:`FIGURES` and ``unusual`` of each linear image [H, W, 3 or 4].

    Raises:
        JoinError: ``settings_invalid`` for a bank that has no idea how sure it is; as :func:`decompose`.
    """
    codebook = codebook or CodeBook(bank)
    rows: Rows = []
    for image in images:
        metrics = decompose(image, bank, preset, seed, codebook=codebook).decomposition.metrics
        if "unfamiliarity" not in metrics:
            message = f"The bank '{bank.header.name}' does not tell how sure it is."
            raise JoinError(
                "settings_invalid",
                message,
                "Give one with encoders and a split network that was judged beside them, and a preset with detail.",
            )
        rows.append({name: float(metrics[name]) for name in (*FIGURES, "unusual")})
    return rows


def area_under_curve(inside: Sequence[float], outside: Sequence[float]) -> float:
    """Probability that a value of the second kind is above one of the first: the area under the ROC curve."""
    one, other = np.asarray(inside, np.float64)[:, None], np.asarray(outside, np.float64)[None]
    return float((other > one).mean() + 0.5 * (other == one).mean())


def format_table(known: Mapping[str, Rows], unknown: Mapping[str, Rows]) -> str:
    """Markdown: of each set how many are called unusual, and of the unknown ones the area under the curve of each
    figure against all known pictures together."""
    inside = [row for rows in known.values() for row in rows]
    lines = [f"| set | pictures | called unusual | {' | '.join(f'area, {name}' for name in FIGURES)} |"]
    lines.append("| --- |" + " --- |" * (2 + len(FIGURES)))
    for name, rows in (*known.items(), *unknown.items()):
        share = np.mean([row["unusual"] for row in rows])
        areas = [
            f"{area_under_curve([sign * row[key] for row in inside], [sign * row[key] for row in rows]):.3f}"
            if name in unknown
            else "known"
            for key, sign in FIGURES.items()
        ]
        lines.append(f"| {name} | {len(rows)} | {share:.0%} | {' | '.join(areas)} |")
    return "\n".join([*lines, ""])
