# SPDX-License-Identifier: GPL-3.0-or-later
"""From figures of single images to tables: means with 95 % intervals, as JSON and Markdown."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..images.files import write_text
from ..inversion.presets import DEFAULT_PRESET
from .methods.by_name import Method
from .results import Found

_BOOTSTRAPS = 10_000
# Metric → heading and form.
_COLUMNS = {
    "psnr": ("PSNR ↑", ".2f"),
    "mse": ("MSE ↓", ".4f"),
    "ssim": ("SSIM ↑", ".3f"),
    "elpips": ("E-LPIPS ↓", ".4f"),
    "si_mse": ("si-MSE ↓", ".4f"),
    "lmse": ("LMSE ↓", ".4f"),
}


def lpips_key(kind: str) -> str:
    """The metric's name of the published LPIPS over a trunk."""
    return f"lpips-{kind}"


def lpips_columns(table: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Metric → heading and form of the published LPIPS that a table has; none where its weights were not at hand."""
    return {lpips_key(kind): (f"LPIPS, {kind} ↓", ".4f") for kind in table.get("lpips", ())}


def lpips_note(table: Mapping[str, Any]) -> str:
    """What a table's LPIPS are, or that it has none."""
    if not table.get("lpips"):
        return "No published LPIPS (its weights are not at hand)."
    return "LPIPS as published: the lpips package's heads (0.1) over torchvision's trunks, without random transforms."


def summarise(found: Found, methods: Sequence[Method], samples: Sequence[str]) -> dict[str, Any]:
    """What the rows come to.

    Returns:
        ``methods``: title → component (and "image") → metric → ``mean`` and ``interval`` (95 %, of the mean, by
        bootstrap over the samples); ``seconds_per_image`` and ``steps`` of each; ``differences``: the same for the
        difference of each row, sample by sample, to what the default preset gives one, or to the first row where that
        is not among them (``reference``), whose interval tells whether one is ahead; ``not_available``: title → why.
    """
    titles = [title for method in methods if not method.lacks for title in method.titles if title in found]
    values = {title: _values(found[title], samples) for title in titles}
    reference = _reference(methods, titles)
    differences = {
        title: _each(values[title], lambda one, other: interval(np.subtract(one, other)), values[reference])
        for title in titles
        if reference is not None and title != reference
    }
    return {
        "methods": {title: _each(own, lambda one, _: interval(one), own) for title, own in values.items()},
        "seconds_per_image": {
            title: float(np.mean([found[title][name]["seconds"] for name in samples])) for title in titles
        },
        "steps": {title: method.steps for method in methods for title in method.titles if title in values},
        "reference": reference,
        "differences": differences,
        "not_available": {method.title: method.lacks for method in methods if method.lacks},
    }


def _reference(methods: Sequence[Method], titles: Sequence[str]) -> str | None:
    own = [method.titles[-1] for method in methods if method.key == DEFAULT_PRESET]
    return next((title for title in (*own, *titles) if title in titles), None)


def format_table(table: Mapping[str, Any]) -> str:
    """Markdown: a table for each component and for the image, mean ± half the 95 % interval."""
    scale = table["settings"].get("steps_scale", 1.0)
    note = f"**A quick look: every row with only {scale:g} times its optimiser steps.**"
    lines: list[str] = [] if scale == 1.0 else [note, ""]
    metrics = {**_COLUMNS, **lpips_columns(table)}
    headings = ["method", *(heading for heading, _ in metrics.values()), "s per image"]
    for column in next(iter(table["methods"].values()), {}):
        rows = []
        for title, scores in table["methods"].items():
            cells = [plus_minus(scores[column][metric], form) for metric, (_, form) in metrics.items()]
            rows.append([title, *cells, f"{table['seconds_per_image'][title]:.2f}"])
        lines += [f"### {column}", "", *markdown(headings, rows)]
        lines += [f"| {title} | not available |" + " |" * len(metrics) for title in table["not_available"]] + [""]
    lines += [f"Not available: {title}: {why}." for title, why in table["not_available"].items()]
    if table["not_available"]:
        lines.append("")
    return "\n".join([*lines, *_distances(table), *_costs(table), _about(table), ""])


def write_tables(out: Path, table: Mapping[str, Any]) -> str:
    """Write ``table.json`` and ``table.md`` into a folder; returns the Markdown. Raises ``output_unwritable``."""
    text = format_table(table)
    write_text(out / "table.json", json.dumps(table, indent=2, ensure_ascii=False) + "\n")
    write_text(out / "table.md", text)
    return text


def _distances(table: Mapping[str, Any]) -> list[str]:
    """How far the rows' images are from the true ones as distributions, where that was asked for."""
    rows = table.get("distances", {})
    headings = {"frechet": "trunk Fréchet distance ↓", "swd": "SWD ↓"}
    known = [key for key in headings if all(key in row for row in rows.values())]
    cells = [[title, *(f"{row[key]:.4g}" for key in known)] for title, row in rows.items()]
    title = f"### {table['samples']} images as a distribution"
    return [title, "", *markdown(["method", *(headings[key] for key in known)], cells), ""] if cells else []


def _costs(table: Mapping[str, Any]) -> list[str]:
    """What each row did for how many images in what time."""
    count = table["samples"]
    rows = [
        [title, str(count), str(table["steps"][title] or "none"), f"{seconds:.2f}", f"{seconds * count / 60:.1f}"]
        for title, seconds in table["seconds_per_image"].items()
    ]
    headings = ("method", "images", "optimiser steps per image", "s per image", "min in all")
    lines = ["### Time", "", *markdown(headings, rows)]
    note = "Wall time, other work on the machine included; stages that rows have in common are counted in each of them."
    return [*lines, "", note, ""]


def _about(table: Mapping[str, Any]) -> str:
    settings = ", ".join(
        f"{key.replace('_', ' ')} {value}" for key, value in table["settings"].items() if value is not None
    )
    return (
        f"{table['samples']} samples at {table['resolution']} px, bank {table['bank']['name']} "
        f"({table['bank']['sha256'][:12]}); {settings}. PSNR, MSE, SSIM and E-LPIPS (over {table['elpips']}, mean of "
        "16 draws) with albedo and image sRGB-encoded, shading and specular through Reinhard, clipped to [0, 1]; "
        f"si-MSE and LMSE in linear light. {lpips_note(table)} Mean ± half the 95 % interval of the mean."
    )


Values = dict[str, dict[str, list[float]]]  # component → metric → value of each sample


def _values(found: Mapping[str, Mapping[str, Any]], samples: Sequence[str]) -> Values:
    values: Values = {}
    for name in samples:
        for component, metrics in found[name]["scores"].items():
            for metric, value in metrics.items():
                values.setdefault(component, {}).setdefault(metric, []).append(value)
    return values


def _each(one: Values, function: Any, other: Values) -> dict[str, Any]:
    return {
        component: {metric: function(values, other[component][metric]) for metric, values in metrics.items()}
        for component, metrics in one.items()
    }


def markdown(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    lines = [headings, ["---"] * len(headings), *rows]
    return [f"| {' | '.join(cells)} |" for cells in lines]


def plus_minus(figure: Mapping[str, Any], form: str = ".2f") -> str:
    """Mean ± half the 95 % interval of one of :func:`interval`."""
    low, high = figure["interval"]
    return f"{figure['mean']:{form}} ± {(high - low) / 2:{form.lstrip('+')}}"


def interval(values: Sequence[float] | np.ndarray) -> dict[str, Any]:
    """Mean and the 95 % percentile-bootstrap interval of it; always the same for the same values."""
    rng = np.random.default_rng(0)
    array = np.asarray(values, np.float64)
    means = np.concatenate(
        [rng.choice(array, size=(1000, len(array))).mean(axis=1) for _ in range(_BOOTSTRAPS // 1000)]
    )
    return {"mean": float(array.mean()), "interval": [float(bound) for bound in np.percentile(means, (2.5, 97.5))]}


def area_under_curve(inside: Sequence[float], outside: Sequence[float]) -> float:
    """Probability that a value of the second kind is above one of the first: the area under the ROC curve."""
    one, other = np.asarray(inside, np.float64)[:, None], np.asarray(outside, np.float64)[None]
    return float((other > one).mean() + 0.5 * (other == one).mean())
