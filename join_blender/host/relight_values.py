# SPDX-License-Identifier: GPL-3.0-or-later
"""The light that the user asks for: ``scene.join_relights``, an item per set with a value per direction. Properties of
the scene, so that they can be animated; ``ui.relight`` says what their types are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import bpy

from ..engine.relight import Edits
from . import relight, undo
from .sets import label_of, layers_of

_filling = False


def find(scene: Any, set_id: str | None) -> Any:
    """The scene's values for a set, or None."""
    return next((item for item in scene.join_relights if set_id and item.set_id == set_id), None)


def items_of(scene: Any) -> list[Any]:
    """The scene's values, where the layers that they are about still exist."""
    return [item for item in scene.join_relights if item.values and layers_of(item.set_id)]


def edits_of(item: Any) -> Edits:
    """What the values ask for; nothing while the original is shown."""
    if item.show_original:
        return ()
    return tuple(
        (component, value.direction, round(_amount_of(value), 6))
        for value in item.values
        for component in value.components.split(",")
        if abs(_amount_of(value)) > 1e-6
    )


def _amount_of(value: Any) -> float:
    return float(value.share if value.mixes or value.restyles else value.amount)


def components_of(item: Any) -> list[str]:
    """Those that can change."""
    return list(dict.fromkeys(name for value in item.values for name in value.components.split(",")))


def add_item(scene: Any, set_id: str, directions: list[dict[str, Any]]) -> Any:
    """The scene's values for a set, one per direction; amounts are kept where they were there before."""
    item = find(scene, set_id) or next((item for item in scene.join_relights if not item.set_id), None)
    if item is None:
        item = scene.join_relights.add()
    if item.set_id != set_id:
        taken = {other.name for other in scene.join_relights}
        label = label_of(set_id)
        item.name, item.set_id = f"{label} {set_id[:6]}" if label in taken else label, set_id
    before = {value.name: (value.amount, value.share) for value in item.values}
    with _quietly():
        item.values.clear()
        _add_values(item, directions, before)
    for component in components_of(item):  # now, so that an undo never comes to a time without them
        relight.keep_original(set_id, component)
    undo.include_everything()
    return item


def forget(set_id: str) -> None:
    """A set has got other layers, or none: its values are about directions that are gone. The item stays, empty, as
    animations name items by their number; one of a set that is gone is used again."""
    scenes: Any = bpy.data.scenes
    for scene in scenes:
        item = find(scene, set_id)
        if item is None:
            continue
        with _quietly():
            item.values.clear()
            item.show_original = False
        if not layers_of(set_id):
            item.set_id = ""


def set_amounts(item: Any, amounts: Sequence[float]) -> None:
    """All values of the light at once; those of the material, and that mix with another set, stay."""
    with _quietly():
        for value, amount in zip(item.values, amounts, strict=True):
            value.amount = amount
        item.show_original = False
    undo.include_everything()


def place(item: Any, amounts: Mapping[str, float]) -> None:
    """Some values of the light, by name, at once, while a hand moves them: no step of undo comes of it yet."""
    with _quietly():
        for name, amount in amounts.items():
            if (value := item.values.get(name)) is not None:
                value.amount = amount


def are_filled() -> bool:
    """Whether a value that changes just now does so from here, and not by the user's hand."""
    return _filling


def is_animated(scene: Any) -> bool:
    """Whether something of the scene is, as the values may be."""
    return scene.animation_data is not None and scene.animation_data.action is not None


@contextmanager
def _quietly() -> Iterator[None]:
    global _filling
    _filling = True
    try:
        yield
    finally:
        _filling = False


def _add_values(item: Any, directions: list[dict[str, Any]], before: Mapping[str, tuple[float, float]]) -> None:
    """A name that several components have is one value."""
    for direction in directions:
        named = not direction["name"].startswith("sefa.")
        key = direction["name"] if named else direction["label"]  # SeFa's names say nothing of the component
        value = item.values.get(key)
        if value is not None:
            value.components += f",{direction['component']}"
            continue
        value = item.values.add()
        value.name, value.set_id, value.named = key, item.set_id, named
        value.direction, value.components = direction["name"], direction["component"]
        value.label, value.about = direction["label"], direction["description"]
        value.mixes = direction["name"].startswith("mix.")
        value.restyles = direction["name"].startswith("material.")
        value.unit, value.at = direction.get("unit") or 0.0, direction.get("at") or 0.0
        value.amount, value.share = before.get(key, (0.0, 0.0))
