# SPDX-License-Identifier: GPL-3.0-or-later
"""How well the directions of a bank's light do what their names say, against true renders under a moved light.

--data is a folder that `dataset_tools/render.py relit` has written. Each scene's image is decomposed, its light is
moved by as much as that of the render was, and what has changed is compared with what has changed between the two
renders; once on the layers that the bank found in the image, and once on the true ones, where only the edit can be
wrong. --out gets relighting.json, relighting.md and sheet.png; --card writes the table into the bank's card, and
--image draws a sheet of a photo, too. With --methods the scenes are inverted by published methods instead, as they are
published, and --out gets edits.json and edits.md: what is left of how near each comes when its codes are edited (SAM's
Fig. 4.2 and 4.3).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...bank import Bank
from ...bank.card import put_part
from ...color import srgb_encode
from ...errors import JoinError
from ...images.files import display_encode, read_image
from ...images.frame import Frame
from ...images.metrics import mse, psnr
from ...inversion.codebook import CodeBook
from ...inversion.presets import PRESETS, Preset, get_preset
from ...layers.decomposition import Decomposition
from ...options import add_bank_option, add_device_options, load_bank_named, natural, positive, say
from ...pipeline import decompose
from ...relighting.directions_file import Learned, read_directions
from ...relighting.relighter import LIGHT, Edit, Relighter
from ...renders.relit import Layers, MovedViews, RelitScenes, View, read_relit
from ..methods.by_name import Method, Rows, make_methods
from ..options import keep
from ..sheets.relighting import write_photo_sheet, write_render_sheet
from ..tables import interval, markdown, plus_minus

BEGIN = "<!-- relighting, written by `python -m join_engine relighting-scores`: begin -->"
END = "<!-- relighting: end -->"
ALBEDO, SPECULAR, IMAGE, ALL = "albedo", "specular", "image", "all"
OURS, TRUE = "found", "true"
REMAINING = "remaining"
# Of the true specular: a highlight is where it is half as bright as its brightest pixels and at least so bright, and it
# has left where half of it or more has gone.
_PEAK, _HALF, _FAINT, _FEWEST = 0.995, 0.5, 0.02, 4

Row = dict[str, Any]


def measure(
    bank: Bank,
    scenes: RelitScenes,
    preset: Preset,
    seed: int = 0,
    learned: Learned | None = None,
) -> dict[str, Any]:
    """Edit every scene's light as each move did, and compare. Raises JoinError ``directions_missing``; ``data_missing``
    when no move is one of them; whatever the decomposition raises.

    Args:
        bank: with directions of the light.
        scenes: true renders.
        preset, seed: of the decompositions.
        learned: the directions' file, whose reading tells how far an image's light has moved; None does without, and
            so does a bank without encoders.

    Returns:
        A table for JSON. ``rows``: of each scene and move ``amount``, which the light was moved by, in standard
        deviations; ``read`` and ``read_true``, the same as read off the relit image and off the true render; and under
        "found" and "true" (layers) and component: ``agreement``, the cosine between the change of the edit and the true
        change, ``correlation``, which leaves the mean change out, ``length``, how far the edit goes along the true
        change (1 is all the way), and ``psnr`` and ``psnr_unmoved``, of the edited and of the unedited layer against
        the true render. All in the tone-mapped domains of :mod:`join_engine.images.metrics`. Where a highlight
        leaves in the true renders, "remaining" tells of the edited specular and image what share of its energy has
        stayed (:func:`remaining`). ``summary``: their means by attribute and over all, with 95 % intervals.
    """
    header = bank.header.directions
    if header is None:
        hint = "Learn them with learn-directions and put them in with make-bank --directions."
        raise JoinError("directions_missing", f"The bank '{bank.header.name}' knows no named directions.", hint)
    reader = _Reader(bank, learned) if learned is not None and bank.has_encoders else None
    codebook = CodeBook(bank)
    rows: list[Row] = []
    for number, (index, view) in enumerate(scenes.originals.items()):
        scene = _Scene(bank, view, preset, seed, codebook)
        for move in scenes.moves:
            if index in move.views and move.attribute in header.attributes:
                unit = header.units[move.attribute]
                rows.append({"scene": index, "move": move.name, **scene.compare(move, move.views[index], unit, reader)})
        say(f"{number + 1} of {len(scenes.originals)} scenes")
    if not rows:
        known = ", ".join(header.attributes)
        raise JoinError("data_missing", "No render moves the light in a way that the bank knows.", f"It knows {known}.")
    return {
        "bank": {"name": bank.header.name, "sha256": bank.sha256},
        "settings": {"preset": preset.name, "seed": seed},
        "scenes": len(scenes.originals),
        "summary": summarise(rows),
        "rows": rows,
    }


def measure_methods(bank: Bank, scenes: RelitScenes, methods: Sequence[Method], seed: int = 0) -> dict[str, Any]:
    """:func:`measure` of each method, without detail: of the layers that it finds, PSNR in dB of the image and of each
    component but the albedo against the true render under the moved light, and how much nearer that is than before the
    edit. Raises JoinError ``method_lacking`` for a method that the bank has not all for; as :func:`measure`."""
    presets: dict[str, Preset] = {}
    for method in methods:
        if method.preset is None or method.lacks:
            why = method.lacks or "it has no codes"
            raise JoinError("method_lacking", f"'{method.key}' cannot be edited: {why}.", "Choose another one.")
        presets[method.title] = method.preset
    found: dict[str, Any] = {}
    for title, preset in presets.items():
        say(title)
        summary = measure(bank, scenes, preset, seed)["summary"][ALL]
        found[title] = {
            name: {"psnr": one["psnr"], "gain": one["gain"]} for name, one in summary[OURS].items() if name != REMAINING
        }
    return {"bank": {"name": bank.header.name, "sha256": bank.sha256}, "seed": seed, "methods": found}


def format_methods(table: Mapping[str, Any]) -> str:
    """Markdown of :func:`measure_methods`."""
    columns = list(next(iter(table["methods"].values())))
    heads = ["method", *(f"{name}, edited: dB ↑" for name in columns), *(f"{name}: dB gained ↑" for name in columns)]
    rows = [
        [
            title,
            *(plus_minus(scores[name]["psnr"]) for name in columns),
            *(plus_minus(scores[name]["gain"], "+.2f") for name in columns),
        ]
        for title, scores in table["methods"].items()
    ]
    return "\n".join([*markdown(heads, rows), ""])


class _Scene:
    """One scene, decomposed once."""

    def __init__(self, bank: Bank, view: View, preset: Preset, seed: int, codebook: CodeBook) -> None:
        self._bank = bank
        self._view = view
        self._truth = _with_image(bank, view.components)
        found = decompose(self._truth[IMAGE], bank, preset, seed, codebook=codebook).decomposition
        true = replace(found, layers={name: np.ascontiguousarray(view.components[name]) for name in found.layers})
        self._starts = {OURS: found, TRUE: true}
        self._relighters = {kind: Relighter(start, bank) for kind, start in self._starts.items()}

    def compare(self, move: MovedViews, moved: View, unit: float, reader: _Reader | None) -> Row:
        """What the edit did beside what the move did."""
        amount = (moved.light[move.attribute] - self._view.light[move.attribute]) / unit
        edit = Edit(LIGHT, move.attribute, amount)
        truth = _with_image(self._bank, moved.components)
        row: Row = {"attribute": move.attribute, "amount": amount}
        lit: dict[str, Decomposition] = {}
        for kind, relighter in self._relighters.items():
            lit[kind] = relighter.relight([edit])
            edited = _with_image(self._bank, lit[kind].layers)
            row[kind] = compare_layers(_with_image(self._bank, self._starts[kind].layers), edited, self._truth, truth)
            if SPECULAR in truth and (old := old_highlight(self._truth[SPECULAR], truth[SPECULAR])).any():
                row[kind][REMAINING] = {
                    name: remaining(old, self._truth[name], edited[name], truth[name]) for name in (SPECULAR, IMAGE)
                }
        if reader is not None:
            before = reader(self._truth[IMAGE])
            row["read"] = reader.difference(before, lit[OURS].recomposed, move.attribute)
            row["read_true"] = reader.difference(before, truth[IMAGE], move.attribute)
        return row


def compare_layers(start: Layers, edited: Layers, before: Layers, after: Layers) -> dict[str, dict[str, float]]:
    """Of each component but the albedo: the change from ``start`` to ``edited`` beside that from ``before`` to
    ``after``; all linear [H, W, 3]. See :func:`measure` for the figures."""
    found = {}
    for name in start:
        if name != ALBEDO:
            seen = [display_encode(name, layers[name]).astype(np.float64) for layers in (start, edited, before, after)]
            made, true = (seen[1] - seen[0]).ravel(), (seen[3] - seen[2]).ravel()
            found[name] = {
                "agreement": _cosine(made, true),
                "correlation": _cosine(made - made.mean(), true - true.mean()),
                "length": float(made @ true / max(float(true @ true), 1e-12)),
                "psnr": psnr(mse(seen[1], seen[3])),
                "psnr_unmoved": psnr(mse(seen[0], seen[3])),
            }
    return found


def old_highlight(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Where the highlight was that a moved light has taken away, [H, W] booleans: from the true specular layers, linear
    [H, W, 3]. Nowhere, where it is too faint or too small."""
    there, then = before.mean(axis=2), after.mean(axis=2)
    top = float(np.quantile(there, _PEAK))
    found = (there > _HALF * top) & (then < _HALF * there)
    if top < _FAINT or found.sum() < _FEWEST:
        found[:] = False
    return found  # type: ignore[no-any-return]


def remaining(where: np.ndarray, before: np.ndarray, edited: np.ndarray, after: np.ndarray) -> float:
    """The share of the light that should have left which has not: 1 for a layer that stays as it truly was, 0 where
    nothing is brighter than under the moved light; linear [H, W, 3]."""
    start, made, wanted = (layer.mean(axis=2)[where].astype(np.float64) for layer in (before, edited, after))
    gone = np.maximum(start - wanted, 0.0).sum()
    return float(np.maximum(made - wanted, 0.0).sum() / max(gone, 1e-9))


class _Reader:
    """Reads the light off an image: encoders, then the regression that was learned beside the directions."""

    def __init__(self, bank: Bank, learned: Learned) -> None:
        self._bank = bank
        self._learned = learned
        self._names = list(learned.header.attributes)

    @torch.no_grad()
    def __call__(self, image: np.ndarray) -> Tensor:
        """Linear [H, W, 3] → attributes [K], in standard deviations."""
        frame = Frame(image.shape[0], image.shape[1], self._bank.header.resolution)
        square = srgb_encode(frame.fit(np.asarray(image, np.float32)))
        codes = {}
        for name in self._learned.vectors:
            component = self._bank.components[name]
            codes[name] = component.encode(square.to(component.w_avg)).cpu()
        return self._learned.read(codes)[0]

    def difference(self, before: Tensor, image: np.ndarray, attribute: str) -> dict[str, float]:
        """How far the attribute has moved in an image, and the others, by their root mean square."""
        moved = self(image) - before
        index = self._names.index(attribute)
        others = torch.cat([moved[:index], moved[index + 1 :]])
        return {"itself": float(moved[index]), "others": float(others.square().mean().sqrt()) if len(others) else 0.0}


def summarise(rows: Sequence[Row]) -> dict[str, Any]:
    """Means and their 95 % intervals by attribute, and over all rows."""
    attributes = dict.fromkeys(row["attribute"] for row in rows)
    groups = {name: [row for row in rows if row["attribute"] == name] for name in attributes} | {ALL: list(rows)}
    return {name: _summary(group) for name, group in groups.items() if group}


def _summary(rows: Sequence[Row]) -> dict[str, Any]:
    summary: dict[str, Any] = {"pairs": len(rows), "amount": float(np.mean([abs(row["amount"]) for row in rows]))}
    for kind in (OURS, TRUE):
        summary[kind] = {}
        left = [row[kind][REMAINING] for row in rows if REMAINING in row[kind]]
        if left:
            shares = {name: interval([one[name] for one in left]) for name in left[0]}
            summary[kind][REMAINING] = {"pairs": len(left), **shares}
        for component in (name for name in rows[0][kind] if name != REMAINING):
            figures = [row[kind][component] for row in rows]
            summary[kind][component] = {name: interval([one[name] for one in figures]) for name in figures[0]}
            gains = [one["psnr"] - one["psnr_unmoved"] for one in figures]
            summary[kind][component]["gain"] = interval(gains)
    if "read" in rows[0]:
        for kind in ("read", "read_true"):
            right = [float(math.copysign(1.0, row["amount"]) * row[kind]["itself"] > 0.0) for row in rows]
            share = [row[kind]["itself"] / row["amount"] for row in rows]
            others = [row[kind]["others"] for row in rows]
            summary[kind] = {"right": interval(right), "length": interval(share), "others": interval(others)}
    return summary


def format_table(table: Mapping[str, Any]) -> str:
    """Markdown."""
    summary = table["summary"]
    components = [name for name in summary[ALL][TRUE] if name != REMAINING]
    glossy = REMAINING in summary[ALL][TRUE]
    reads = "read" in summary[ALL]
    heads = ["attribute", "pairs", "moved by"]
    heads += [f"{name}: agreement" for name in components if name != IMAGE]
    heads += ["length"]
    heads += [f"{name}: dB gained" for name in components]
    heads += [f"{name}, found layers: dB gained" for name in (components[0], IMAGE)]
    heads += ["old highlights", "left of them", "found layers: left of them"] if glossy else []
    heads += ["sign read right", "of true renders"] if reads else []
    rows = []
    for attribute, one in summary.items():
        cells = [attribute, str(one["pairs"]), f"{one['amount']:.2f} SD"]
        cells += [plus_minus(one[TRUE][name]["agreement"]) for name in components if name != IMAGE]
        cells += [plus_minus(one[TRUE][components[0]]["length"])]
        cells += [plus_minus(one[TRUE][name]["gain"], "+.2f") for name in components]
        cells += [plus_minus(one[OURS][name]["gain"], "+.2f") for name in (components[0], IMAGE)]
        cells += _left(one) if glossy else []
        cells += [f"{100 * one[kind]['right']['mean']:.0f} %" for kind in ("read", "read_true")] if reads else []
        rows.append(cells)
    return "\n".join([*markdown(heads, rows), "", _about(table, reads), ""])


def _left(one: Mapping[str, Any]) -> list[str]:
    """How many old highlights there are, and what is left of their energy."""
    if REMAINING not in one[TRUE]:
        return ["0", "", ""]
    shares = [one[kind][REMAINING][SPECULAR] for kind in (TRUE, OURS)]
    return [str(one[TRUE][REMAINING]["pairs"]), *(plus_minus(share) for share in shares)]


def _about(table: Mapping[str, Any], reads: bool) -> str:
    settings = table["settings"]
    text = (
        f"{table['scenes']} held-out scenes, bank {table['bank']['name']} ({table['bank']['sha256'][:12]}), preset "
        f"{settings['preset']}, seed {settings['seed']}. Each pair is a scene and a true render of it under the moved "
        "light. Agreement: cosine between the change that the edit makes and the true one (1 is the same change, 0 "
        "another one). Length: how far the edit of the first component goes along the true change. dB gained: PSNR of "
        "the edited layer against the true render, less that of the layer left as it was; on the true layers of the "
        "scene, where only the edit can be wrong, and on those that the bank found in its image. Tone-mapped as in all "
        "tables. Mean ± half the 95 % interval of the mean. Left of old highlights: of the specular's light that truly "
        "left, where at least half of a highlight did, the share that the edited specular still has (1 when nothing "
        "moves)."
    )
    reading = " Sign read right: how often encoders and regression read the asked-for side off the relit image."
    return text + (reading if reads else "")


def _with_image(bank: Bank, layers: Layers) -> dict[str, np.ndarray]:
    own = {name: np.asarray(layers[name], np.float32) for name in bank.forward_model.components}
    return {**own, IMAGE: np.asarray(bank.forward_model.compose(own))}


def _cosine(one: np.ndarray, other: np.ndarray) -> float:
    """0 where one of them is zero everywhere: nothing has changed, whatever should have."""
    lengths = float(np.linalg.norm(one) * np.linalg.norm(other))
    return float(one @ other) / lengths if lengths > 1e-9 else 0.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bank_option(parser)
    parser.add_argument("--data", type=Path, metavar="RELIT", help="folder of dataset_tools/render.py relit")
    parser.add_argument("--directions", type=Path, metavar="FILE", help="of learn-directions: reads lights off images")
    parser.add_argument("--count", type=positive, default=100, help="how many scenes (default 100)")
    parser.add_argument("--preset", choices=tuple(PRESETS), help="default: draft; without encoders standard")
    parser.add_argument("--methods", nargs="+", metavar="METHOD", help="invert by these, such as hybrid-w+ pti sam")
    parser.add_argument("--steps", type=positive, default=100, help="of each of --methods, and of tuning (default 100)")
    parser.add_argument("--card", action="store_true", help="write the table into the bank's card")
    parser.add_argument("--scene", metavar="INDEX", help="of the sheet (default: the first one)")
    parser.add_argument("--image", type=Path, nargs="+", default=[], help="photos to draw a sheet of")
    parser.add_argument("--amount", type=float, default=1.5, help="of the photos' moves, in SD (default 1.5)")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    parser.add_argument("--seed", type=natural, default=0)
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    bank = load_bank_named(options)
    preset = get_preset(options.preset or ("draft" if bank.has_encoders else "standard"))
    if options.data is not None:
        learned = None if options.directions is None else read_directions(options.directions)
        scenes = read_relit(options.data, bank.forward_model.components, options.count)
        if options.methods:
            rows = Rows("lpips", steps=options.steps, tuning_steps=options.steps)
            edits = measure_methods(bank, scenes, make_methods(options.methods, rows, bank), options.seed)
            keep(options.out, "edits", edits, format_methods(edits))
            return
        table = measure(bank, scenes, preset, options.seed, learned)
        text = format_table(table)
        keep(options.out, "relighting", table, text)
        if options.card:
            put_part(bank.path.with_suffix(".md"), BEGIN, END, f"{BEGIN}\n\n## Relighting\n\n{text}\n{END}")
        write_render_sheet(options.out / "sheet.png", bank, scenes, options.scene, preset, options.seed)
    for image in options.image:
        sheet = options.out / f"{image.stem}.png"
        write_photo_sheet(sheet, bank, read_image(image), options.amount, preset, options.seed)
        print(sheet)
