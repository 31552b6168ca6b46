# SPDX-License-Identifier: GPL-3.0-or-later
"""JoIN's Tables 2 and 3 on held-out renders, beside what the paper prints.

--data is a float pack, of heads for a bank of faces. --out gets table2.md, table3.md and paper.json, and what
`evaluate` writes: all metrics, sheets, and the figures of every render. May be killed at any moment; the same command
goes on.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ...images.files import write_text
from ...options import add_inversion_options, as_json, load_bank_named
from ...renders.samples import read_samples
from ..methods.by_name import GROUPS, UNET, Method, make_methods
from ..methods.unet import unet_of
from ..options import add_evaluation_options, forget, rows_of
from ..results import RESULTS_NAME, Found, read_results
from ..tables import interval, lpips_columns, lpips_note, markdown, plus_minus, write_tables
from .evaluate import Run, evaluate

# Of the presets those that a person may choose for a photo with a face.
METHODS = (*GROUPS["table2"], "mean-code", *GROUPS["baselines"], UNET, "draft", "standard", "portrait")

Figures = tuple[float, float, float]  # LPIPS, MSE, PSNR in dB
_METRICS = {
    "elpips": ("E-LPIPS ↓", "LPIPS ↓", ".4f"),
    "mse": ("MSE ↓", "MSE ↓", ".4f"),
    "psnr": ("PSNR ↑", "PSNR ↑", ".2f"),
}
_COLUMNS = ("albedo", "shading", "specular", "image")
# Table 2, by the keys of methods: Lumos Faces, of which there is no copy.
TABLE_2: dict[str, tuple[Figures | None, Figures | None, Figures | None, Figures | None]] = {
    "single": ((0.1954, 0.1269, 14.1662), (0.2657, 0.07021, 18.2450), None, (0.09342, 0.03133, 24.4665)),
    "opt": ((0.1311, 0.0417, 22.4763), (0.2832, 0.0518, 18.8636), (0.2544, 0.0336, 32.3207), (0.0879, 0.0308, 24.2962)),
    "opt-in-domain": (
        (0.1209, 0.0400, 22.5891),
        (0.2738, 0.0497, 19.1599),
        (0.2444, 0.0332, 32.8339),
        (0.0876, 0.0302, 24.1644),
    ),
    "opt-knn": (
        (0.1047, 0.0357, 23.5331),
        (0.2603, 0.0487, 20.911),
        (0.2361, 0.0320, 32.9050),
        (0.0868, 0.0301, 24.1144),
    ),
    "encoder-opt": (
        (0.0887, 0.0345, 24.1467),
        (0.2039, 0.0414, 21.0323),
        (0.1722, 0.0282, 33.4090),
        (0.0713, 0.0306, 26.4451),
    ),
    "encoder-opt-pti": (
        (0.0784, 0.0155, 24.1160),
        (0.2775, 0.0519, 18.1651),
        (0.1550, 0.0278, 32.8380),
        (0.0136, 0.0011, 33.5454),
    ),
    "encoder-opt-pti-d": (
        (0.0765, 0.0072, 27.3401),
        (0.1703, 0.0285, 22.4754),
        (0.0774, 0.0251, 34.5475),
        (0.0194, 0.0022, 32.5175),
    ),
}
# Table 3, of what others made of the same renders.
COMPETITORS: dict[str, Figures] = {
    "Total Relighting": (0.2220, 0.0644, 17.1470),
    "PieNet": (0.1843, 0.0501, 19.4761),
    "InverseRenderNet++": (0.3794, 0.1550, 14.5227),
    "NextFace": (0.2034, 0.0791, 19.0699),
}
_FULL = "encoder-opt-pti-d"
_ENCODER = "encoder"  # a row of ours, which the paper does not print
_TABLE_3 = ("opt", "opt-knn", _ENCODER, "encoder-opt", "encoder-opt-pti", _FULL)
_FELL_SHORT, _REACHED = "missed", "reached"


def compare(table: Mapping[str, Any], found: Found, methods: Sequence[Method]) -> dict[str, Any]:
    """What the tables come to, plain JSON values.

    Args:
        table: of :func:`join_engine.evaluation.paper.evaluate.evaluate`.
        found: the figures that it was made of.
        methods: those of it.

    Returns:
        ``steps``: of each row of Table 2 that there is, from the one before: by component, the mean difference of the
        PSNR in dB, render by render, its 95 % interval, and the paper's difference; ``order``: by component, Kendall's
        τ of the rows' PSNR and the paper's; ``aims``: by component, the full method's PSNR, its interval, the paper's,
        and whether it is reached.
    """
    rows = {
        method.key: method.title for method in methods if method.key in TABLE_2 and method.title in table["methods"]
    }
    keys, names = list(rows), _names(found, list(rows.values()))
    steps = []
    for before, key in itertools.pairwise(keys):
        told = {}
        for index, column in enumerate(_COLUMNS):
            ours, papers = _psnr(found, rows, (before, key), names, column), _papers((before, key), index)
            if ours is not None and papers is not None:
                told[column] = {**interval(ours[1] - ours[0]), "paper": papers[1] - papers[0]}
        steps.append({"from": rows[before], "to": rows[key], **told})
    order, aims = {}, {}
    for index, column in enumerate(_COLUMNS):
        shared = [key for key in keys if _papers((key,), index) and column in table["methods"][rows[key]]]
        means = [table["methods"][rows[key]][column]["psnr"]["mean"] for key in shared]
        theirs = [values[2] for key in shared if (values := TABLE_2[key][index]) is not None]
        if len(shared) > 1:
            order[column] = _kendall(means, theirs)
        aim = TABLE_2[_FULL][index]
        if _FULL in shared and aim is not None:
            score = table["methods"][rows[_FULL]][column]["psnr"]
            aims[column] = {**score, "paper": aim[2], "reached": score["mean"] >= aim[2]}
    return {"steps": steps, "order": order, "aims": aims}


def _names(found: Found, titles: Sequence[str]) -> list[str]:
    """Samples that every one of these rows has."""
    rows = [found[title] for title in titles]
    return [name for name in rows[0] if all(name in row for row in rows)] if rows else []


def _psnr(
    found: Found, rows: Mapping[str, str], keys: Sequence[str], names: Sequence[str], column: str
) -> list[np.ndarray] | None:
    """Of each row the PSNR of every sample; None where one has no such component."""
    if not names or any(column not in found[rows[key]][names[0]]["scores"] for key in keys):
        return None
    return [np.array([found[rows[key]][name]["scores"][column]["psnr"] for name in names]) for key in keys]


def _papers(keys: Sequence[str], index: int) -> list[float] | None:
    values = [TABLE_2[key][index] for key in keys]
    return None if any(value is None for value in values) else [value[2] for value in values if value is not None]


def _kendall(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Pairs in the same order less pairs in the other, of all pairs."""
    one, other = np.sign(np.subtract.outer(ours, ours)), np.sign(np.subtract.outer(theirs, theirs))
    return float((one * other).sum() / (len(ours) * (len(ours) - 1)))


def format_table_2(table: Mapping[str, Any], compared: Mapping[str, Any], methods: Sequence[Method]) -> str:
    """Markdown of Table 2, the paper's figures beside ours, and of :func:`compare`."""
    rows = [method for method in methods if method.key in {*TABLE_2, _ENCODER}]
    lines = [*_about(table), ""]
    for index, column in enumerate(_COLUMNS):
        if not any(column in scores for scores in table["methods"].values()):
            continue
        lines += [f"### {column}", "", *_header(table, "row", "the paper's ")]
        for method in rows:
            printed = TABLE_2.get(method.key, (None,) * 4)[index]
            lines.append(f"| {method.title} | {_ours(table, method, column)} | {_theirs(printed)} |")
        lines.append("")
    lines += ["### Row after row", "", *_steps(compared)]
    return "\n".join(lines)


def format_table_3(table: Mapping[str, Any], methods: Sequence[Method]) -> str:
    """Markdown of Table 3: the albedo alone, by JoIN's rows, our presets and baselines; and what the paper prints."""
    named = {method.key: method for method in methods}
    ours = [named[key] for key in _TABLE_3 if key in named]
    others = [method for method in methods if method.key not in {*TABLE_2, _ENCODER}]
    lines = [*_about(table), "", *_header(table, "albedo", "")]
    lines += [
        f"| {title} | {_ours(table, method, 'albedo', title)} |"
        for method in (*others, *ours)
        for title in method.titles
    ]
    lines += ["", "What the paper prints, on renders of its own that nobody else has:", ""]
    lines += markdown(("albedo", "LPIPS ↓", "MSE ↓", "PSNR ↑"), ())
    lines += [f"| {name} | {_theirs(figures)} |" for name, figures in COMPETITORS.items()]
    lines += [
        f"| {named[key].title} | {_theirs(TABLE_2[key][0])} |" for key in _TABLE_3 if key in named and key in TABLE_2
    ]
    return "\n".join([*lines, ""])


def _about(table: Mapping[str, Any]) -> list[str]:
    settings = table["settings"]
    told = [
        f"{table['samples']} renders at {table['resolution']} px, bank {table['bank']['name']} "
        f"({table['bank']['sha256'][:12]}), mean ± half the 95 % interval of the mean; E-LPIPS over {table['elpips']}. "
        f"{lpips_note(table)}"
    ]
    if settings["steps"] != 1000 or settings["tuning_steps"] != 350 or settings["steps_scale"] != 1.0:
        scale = settings["steps_scale"]
        told.append(
            f"**A short run:** {scale * settings['steps']:.0f} steps of optimisation and "
            f"{scale * settings['tuning_steps']:.0f} of tuning, the paper has 1,000 and 350."
        )
    return told


def _shown(table: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Metric → heading and form of our figures."""
    return {**lpips_columns(table), **{metric: (heading, form) for metric, (heading, _, form) in _METRICS.items()}}


def _header(table: Mapping[str, Any], first: str, others: str) -> list[str]:
    """Of a table with our figures and, where ``others`` names them, those of somebody else."""
    cells = [first, *(heading for heading, _ in _shown(table).values())]
    cells += [f"{others}{heading}" for _, heading, _ in _METRICS.values()] if others else []
    return markdown(cells, ())


def _ours(table: Mapping[str, Any], method: Method, column: str, title: str = "") -> str:
    shown = _shown(table)
    if method.lacks:
        return f"not available: {method.lacks}{' |' * (len(shown) - 1)}"
    scores = table["methods"][title or method.title]
    if column not in scores:
        return f"none{' |' * (len(shown) - 1)}"
    return " | ".join(plus_minus(scores[column][metric], form) for metric, (_, form) in shown.items())


def _theirs(figures: Figures | None) -> str:
    if figures is None:
        return "none | | "
    return " | ".join(f"{value:{form}}" for value, (_, _, form) in zip(figures, _METRICS.values(), strict=True))


def _steps(compared: Mapping[str, Any]) -> list[str]:
    """What each row gains over the one before, and what the paper says of it."""
    columns = [column for column in _COLUMNS if any(column in step for step in compared["steps"])]
    rows = []
    for step in compared["steps"]:
        cells = [f"{step['from']} → {step['to']}"]
        for told in map(step.get, columns):
            cells += ["none", "none"] if told is None else [_difference(told), f"{told['paper']:+.2f}"]
        rows.append(cells)
    headings = [heading for column in columns for heading in (column, "the paper's")]
    lines = markdown(["PSNR, dB: from … to …", *headings], rows)
    lines += ["", "Bold where the interval does not hold 0 and the sign is not the paper's.", ""]
    order = ", ".join(f"{column} {tau:+.2f}" for column, tau in compared["order"].items())
    lines += [f"Kendall's τ of our order of rows and the paper's (1 is the same, 0 chance): {order or 'none'}.", ""]
    for column, aim in compared["aims"].items():
        low, high = aim["interval"]
        word = _REACHED if aim["reached"] else _FELL_SHORT
        ours = f"{aim['mean']:.2f} dB ({low:.2f} to {high:.2f})"
        lines.append(f"- {column}: {ours}, the paper's full method {aim['paper']:.2f}: {word}.")
    return [*lines, ""]


def _difference(told: Mapping[str, Any]) -> str:
    low, high = told["interval"]
    text = plus_minus(told, "+.2f")
    against = (low > 0.0 or high < 0.0) and told["mean"] * told["paper"] < 0.0
    return f"**{text}**" if against else text


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="PACK.tar", help="a pack, or a folder of packs")
    parser.add_argument("--split", help="only the folder's packs of this split, such as test")
    parser.add_argument("--rows", nargs="+", metavar="METHOD", help="as --methods of evaluate (default: all of both)")
    parser.add_argument("--single-bank", metavar="BANK", help="bank of a single GAN, for the first row of Table 2")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    add_evaluation_options(parser, count=50)
    add_inversion_options(parser)


def run(options: argparse.Namespace) -> None:
    bank = load_bank_named(options)
    single = None if options.single_bank is None else load_bank_named(options, options.single_bank)
    unet = unet_of(options, next(iter(bank.components.values())).w_avg.device)
    methods = make_methods(options.rows or METHODS, rows_of(options), bank, single, unet)
    forget(options)
    samples = read_samples(options.data, bank.forward_model.components, options.count, options.split)
    run = Run.of(options, asdict(rows_of(options)))
    table = evaluate(bank, samples, methods, run, options.out, single)
    write_tables(options.out, table)
    compared = compare(table, read_results(options.out / RESULTS_NAME), methods)
    write_text(options.out / "paper.json", as_json(compared))
    for name, text in (
        ("table2.md", format_table_2(table, compared, methods)),
        ("table3.md", format_table_3(table, methods)),
    ):
        write_text(options.out / name, text)
        print(text)
