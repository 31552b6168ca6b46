# SPDX-License-Identifier: GPL-3.0-or-later
"""Sheets of a light that moves left, right, up, nearer and farther: of a photo, or beside the true renders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ...bank import Bank
from ...errors import JoinError
from ...images.files import display_encode, opaque
from ...inversion.presets import Preset
from ...pipeline import decompose
from ...relighting.relighter import LIGHT, Edit, Relighter
from ...renders.relit import RelitScenes
from .sheet import Panel, write_sheet

# What a person says, for an attribute and the sign of its change.
_WORDS = {
    ("left_right", False): "left",
    ("left_right", True): "right",
    ("up_down", True): "up",
    ("distance", False): "near",
    ("distance", True): "far",
}
IMAGE, ALBEDO = "image", "albedo"


def write_render_sheet(
    path: Path, bank: Bank, scenes: RelitScenes, index: str | None, preset: Preset, seed: int
) -> None:
    """One scene: its image and shading relit by the bank, each above the true render under that light.

    Only moves of attributes that the bank has directions of are drawn. Raises JoinError ``data_missing`` for a scene
    that is not there. ``index``: of the scene; None takes the first whose light could go all these ways, or else the
    first.
    """
    units = _units(bank)
    known = [move for move in scenes.moves if move.attribute in units]
    towards = {(move.attribute, move.deviations > 0.0): move for move in known}
    moves = {word: towards[key] for key, word in _WORDS.items() if key in towards}
    moves = moves or {move.name: move for move in known}
    whole = [scene for scene in scenes.originals if all(scene in move.views for move in moves.values())]
    index = index or next(iter(whole or scenes.originals))
    if index not in scenes.originals:
        there_are = ", ".join(scenes.originals)
        raise JoinError("data_missing", f"There is no scene '{index}'.", f"There are: {there_are}.")
    view = scenes.originals[index]
    relighter = _relighter(np.asarray(bank.forward_model.compose(view.components)), bank, preset, seed)
    names = (IMAGE, *(name for name in bank.forward_model.components if name != ALBEDO))
    first = _shown(bank, relighter.decomposition.layers)
    rows: dict[str, list[Panel]] = {}
    for name in names:
        about = "input" if name == IMAGE else f"{name}\nas the bank finds it"
        rows[f"{name} relit"] = [(about, first[name])]
        rows[f"{name} true"] = [(f"{name}\ntrue render", _shown(bank, view.components)[name])]
    for word, move in moves.items():
        if index not in move.views:
            continue
        amount = (move.views[index].light[move.attribute] - view.light[move.attribute]) / units[move.attribute]
        lit = _shown(bank, relighter.relight([Edit(LIGHT, move.attribute, amount)]).layers)
        true = _shown(bank, move.views[index].components)
        for name in names:
            rows[f"{name} relit"].append((f"{word}\nrelit, {amount:+.1f} SD", lit[name]))
            rows[f"{name} true"].append((f"{word}\ntrue render", true[name]))
    write_sheet(path, list(rows.values()))


def write_photo_sheet(path: Path, bank: Bank, image: np.ndarray, amount: float, preset: Preset, seed: int) -> None:
    """One image [H, W, 3 or 4], linear, and its layers but the albedo, with its light moved by so many deviations."""
    relighter = _relighter(opaque(image), bank, preset, seed)
    names = (IMAGE, *(name for name in relighter.decomposition.layers if name != ALBEDO))
    first = _shown(bank, relighter.decomposition.layers)
    rows: dict[str, list[Panel]] = {name: [(f"{name}\n", first[name])] for name in names}
    units = _units(bank)
    for (attribute, up), word in _WORDS.items():
        if attribute in units:
            edit = Edit(LIGHT, attribute, amount if up else -amount)
            lit = _shown(bank, relighter.relight([edit]).layers)
            for name in names:
                rows[name].append((f"{word}\n{edit.amount:+.1f} SD", lit[name]))
    write_sheet(path, list(rows.values()))


def _units(bank: Bank) -> dict[str, float]:
    """Of the light's attributes that the bank has directions of: one standard deviation."""
    return {} if bank.header.directions is None else bank.header.directions.units


def _relighter(image: np.ndarray, bank: Bank, preset: Preset, seed: int) -> Relighter:
    return Relighter(decompose(image, bank, preset, seed).decomposition, bank)


def _shown(bank: Bank, layers: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Display-encoded, with the image that they make."""
    own = {name: layers[name] for name in bank.forward_model.components}
    return {name: display_encode(name, pixels) for name, pixels in own.items()} | {
        IMAGE: display_encode(IMAGE, np.asarray(bank.forward_model.compose(own)))
    }
