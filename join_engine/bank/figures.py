# SPDX-License-Identifier: GPL-3.0-or-later
"""Figures for a bank's card: hours, what the encoders find alone, what more compute would be spent on, the scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .bank_wide import present
from .header import BankHeader

# Karras et al. 2020, Analyzing and Improving the Image Quality of StyleGAN: FFHQ, 70,000 photos, 25 million shown.
_PUBLISHED_IMAGES, _PUBLISHED_RENDERS = 25_000_000, 70_000


def seconds_of(header: BankHeader) -> dict[str, float]:
    """Training time by kind of network."""
    components = header.components.values()
    encoders = [component.encoder.training for component in components if component.encoder is not None]
    generators = [component.training for component in components]
    shared = {name: [found.training] for name, _, found in present(header)}
    kinds = {"generators": generators, "encoders": encoders, **shared}
    seconds = {kind: sum(item.get("seconds", 0) for item in told) for kind, told in kinds.items() if told}
    for name, kind, found in present(header):
        other = getattr(header, kind.trained_as) if kind.trained_as else None
        before = {} if other is None else other.training
        stretches = before.get("stretches", [])
        # A training that went on from another one has its stretches as its first ones.
        if stretches and found.training.get("stretches", [])[: len(stretches)] == stretches:
            seconds[name] -= before["seconds"]
    return seconds


def hours(header: BankHeader) -> list[str]:
    """The sum of the training times."""
    by_kind = seconds_of(header)
    parts = ", ".join(f"{kind} {seconds / 3600:.2f}" for kind, seconds in by_kind.items())
    total = sum(by_kind.values()) / 3600
    return [f"All trainings one after the other: {total:.2f} hours ({parts}). Renders are not in it.", ""]


def encoders_alone(header: BankHeader) -> list[str]:
    """What the encoders find without optimisation, and how fast; nothing for a bank without encoders."""
    if all(component.encoder is None for component in header.components.values()):
        return []
    samples, found, mean = (header.scores.get(key, {}) for key in ("samples", "encoder", "mean code"))
    lines = ["", "## Encoders alone", ""]
    if _is_method(found):
        lines += [
            f"On {samples} samples, without any optimisation: the floor for the inversion.",
            "",
            "| component | MSE ↓ | PSNR ↑ | PSNR of the mean code |",
            "|---|---|---|---|",
        ]
        for name, values in found.items():
            other = f"{mean[name]['psnr']:.2f}" if name in mean else ""
            lines.append(f"| {name} | {values['mse']:.4f} | {_with_interval(values)} | {other} |")
    else:
        lines.append("How good they are is not measured.")
    timing = header.scores.get("encoders")
    if timing:
        lines += [
            "",
            f"All encoders together: {timing['milliseconds']:.0f} ms for one image (median of {timing['repeats']}; the "
            f"fastest {timing['fastest']:.0f}), on {timing['threads']} thread(s).",
        ]
    return lines


def ten_times(header: BankHeader) -> list[str]:
    """What more compute would be spent on, from how much each generator has seen."""
    seen = {
        name: (component.training["images_shown"], _passes(component.training), images_in(component.training))
        for name, component in header.components.items()
        if "stretches" in component.training
    }
    if not seen:
        return []
    lines = ["", "## Ten times the compute", ""]
    lines += ["| generator | shown | passes over the last packs | ten times as many |", "|---|---|---|---|"]
    for name, (shown, own, images) in seen.items():
        more = f"{shown / 100:,.0f} thousand, {10 * shown / images:,.0f} passes"
        lines.append(f"| {name} | {shown / 1e3:,.0f} thousand | {own:,.0f} | {more} |")
    passes = _PUBLISHED_IMAGES / _PUBLISHED_RENDERS
    short = [name for name, (shown, _, images) in seen.items() if 10 * shown / images > passes]
    renders = f"first on more renders for {' and '.join(short)}, then on" if short else "on"
    total = sum(seconds_of(header).values()) / 360
    text = (
        f"StyleGAN2's published faces saw {_PUBLISHED_IMAGES / 1e3:,.0f} thousand images in {passes:,.0f} passes over "
        f"{_PUBLISHED_RENDERS:,} photos. Ten times this bank's time, {total:.1f} hours, would be spent {renders} "
        "showing more images, and only then on wider networks. This order is a judgement, not a measurement."
    )
    return [*lines, "", text]


def images_in(training: Mapping[str, Any]) -> int:
    """In the packs of the last stretch that has shown as many as it had, if one has."""
    told = [
        (sum(pack["count"] for pack in stretch["packs"]), stretch["to_images"] - stretch["from_images"])
        for stretch in training["stretches"]
    ]
    enough = [count for count, shown in told if shown >= count] or [count for count, _ in told]
    return max(1, enough[-1])


def _passes(training: Mapping[str, Any]) -> float:
    """How often each image of the last packs was shown."""
    stretches = training["stretches"]
    shown = sum(
        item["to_images"] - item["from_images"] for item in stretches if item["packs"] == stretches[-1]["packs"]
    )
    return shown / images_in(training)


def measured(scores: Mapping[str, Any]) -> list[str]:
    """A table of the methods' PSNR and MSE by component; whatever else was measured, below it."""
    methods = {name: item for name, item in scores.items() if _is_method(item)}
    rest = {name: item for name, item in scores.items() if name not in methods}
    if not methods:
        return nested(scores)
    lines = ["| method | component | PSNR ↑ | MSE ↓ |", "|---|---|---|---|"]
    for method, components in methods.items():
        for name, values in components.items():
            lines.append(f"| {method} | {name} | {_with_interval(values)} | {values['mse']:.4f} |")
    return [*lines, "", "PSNR with the 95 % interval of the mean.", *(["", *nested(rest)] if rest else [])]


def nested(scores: Mapping[str, Any]) -> list[str]:
    """Nested values, one line each."""
    if not scores:
        return ["Not measured."]
    lines = ["| measure | value |", "|---|---|"]
    pending: list[tuple[str, Any]] = [(str(key), value) for key, value in scores.items()]
    while pending:
        key, value = pending.pop(0)
        if isinstance(value, Mapping):
            pending = [(f"{key} · {inner}", item) for inner, item in value.items()] + pending
        else:
            lines.append(f"| {key} | {value:.4g} |" if isinstance(value, float) else f"| {key} | {value} |")
    return lines


def _is_method(item: Any) -> bool:
    """Whether it is one of the evaluation's methods, each component of which has its PSNR and MSE."""
    if not isinstance(item, Mapping) or not item:
        return False
    return all(isinstance(values, Mapping) and {"psnr", "mse"} <= set(values) for values in item.values())


def _with_interval(values: Mapping[str, Any]) -> str:
    bounds = values.get("psnr_interval")
    return f"{values['psnr']:.2f}" + ("" if bounds is None else f" [{bounds[0]:.2f}, {bounds[1]:.2f}]")
