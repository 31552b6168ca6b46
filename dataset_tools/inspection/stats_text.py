# SPDX-License-Identifier: GPL-3.0-or-later
"""Statistics of a dataset (:mod:`dataset_tools.inspection.stats`) as Markdown, which also reads well on a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dataset_tools.inspection.photos import MIDDLE
from dataset_tools.inspection.stats import PERCENTILES

_BARS = " ▁▂▃▄▅▆▇█"


def markdown(stats: Mapping[str, Any]) -> str:
    """Tables of the values, the lights and everything else; ends with a line break."""
    part = f", pixels of {stats['measured']} of them" if stats["measured"] < stats["samples"] else ""
    splits = ", ".join(f"{count} {name}" for name, count in stats["splits"].items())
    blocks = [
        f"{stats['samples']} samples ({splits}){part}",
        _table(
            ("linear values, percentile", *map(str, PERCENTILES), "tone-mapped 0…1"),
            [
                (
                    name,
                    *(f"{v:.3g}" for v in item["linear_percentiles"].values()),
                    sparkline(item["tone_mapped_shares"]),
                )
                for name, item in stats["components"].items()
            ],
        ),
        _table(("", "mean", "min", "p25", "median", "p75", "max"), list(_spreads(stats))),
        "\n".join(f"- {line}" for line in _lines(stats)),
        *_photos(stats.get("photos", {})),
    ]
    return "\n\n".join(blocks) + "\n"


def sparkline(shares: Sequence[float]) -> str:
    """A row of bars as high as the shares."""
    highest = max(shares) or 1.0
    return "".join(_BARS[max(int(share > 0), round(share / highest * (len(_BARS) - 1)))] for share in shares)


def _spreads(stats: Mapping[str, Any]) -> list[tuple[str, ...]]:
    highlight = stats["highlight_share"]
    named = {
        f"share of highlights (specular luminance > {highlight['above_luminance']:g})": highlight,
        "share of invalid pixels": stats["invalid_share"],
        "light azimuth (°)": stats["lights"]["azimuth"],
        "light elevation (°)": stats["lights"]["elevation"],
        "light distance (m)": stats["lights"]["distance"],
        "light size (m)": stats["lights"]["size"],
        "light intensity": stats["lights"]["intensity"],
        "identity error, float32": stats["identity_error"],
        "identity error, as stored": stats["identity_error_half"],
        "seconds a sample": stats["seconds"],
    }
    keys = ("mean", "min", "p25", "median", "p75", "max")
    return [(name, *(f"{spread[key]:.3g}" for key in keys)) for name, spread in named.items() if "mean" in spread]


def _photos(compared: Mapping[str, Any]) -> list[str]:
    """A table of the measures beside those of photos, and what they mean."""
    if not compared:
        return []
    rows = [
        (
            name,
            f"{item['low']:.3g} … {item['high']:.3g}",
            f"{item['median']:.3g}",
            sparkline(item["shares"]),
            sparkline(item["photo_shares"]),
            f"{len(item['photos']) - len(item['below']) - len(item['above'])} of {len(item['photos'])}",
        )
        for name, item in compared.items()
    ]
    head = ("beside photos", f"middle {MIDDLE:g}%", "median", "dataset", "photos", "photos within")
    correlation = compared["highlights"]["rank_correlation"]
    agrees = "" if correlation is None else f" (rank correlation with the true share of highlights {correlation:.2f})"
    lines = [f"- {name}: {item['how']}{agrees if name == 'highlights' else ''}" for name, item in compared.items()]
    for name, item in compared.items():
        for side in ("below", "above"):
            outside = ", ".join(f"{photo} {item['photos'][photo]:.3g}" for photo in item[side])
            lines += [f"- {name}, {side} the middle: {outside}"] if outside else []
    return [_table(head, rows), "\n".join(lines)]


def _lines(stats: Mapping[str, Any]) -> list[str]:
    metal = "" if stats["metal_share"] is None else f", {stats['metal_share']:.1%} of them with bare metal"
    redraws = stats["redraws"]
    reasons = "".join(f"; {reason}: {count}" for reason, count in redraws["reasons"].items())
    lines = []
    if stats["families"]:
        lines.append(f"{sum(stats['families'].values())} materials of {len(stats['families'])} families{metal}")
        lines.append("families: " + _listed(stats["families"]))
    if stats["shapes"]:
        lines.append("shapes: " + _listed(stats["shapes"]))
    if stats["tones"]:
        lines.append("tones of skin: " + _listed(stats["tones"]))
    if stats["lightings"]:
        lines.append("samples by kind of light: " + _listed(stats["lightings"]))
    if stats["cutouts"]:
        lines.append(f"cut-outs: {stats['cutouts']} of {stats['measured']}")
    if stats["lights"]["per_sample"]:
        lines.append("samples by number of lights: " + _listed(stats["lights"]["per_sample"]))
    return [*lines, f"redrawn by the quality gate: {redraws['samples']} samples{reasons}"]


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items())


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns are aligned in plain text too."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )
