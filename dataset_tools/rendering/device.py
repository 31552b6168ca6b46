# SPDX-License-Identifier: GPL-3.0-or-later
"""What Cycles renders on: the processor, or a graphics card through one of its interfaces.

The processor's bytes are the same on every run. A card is faster, and its bytes are that card's and driver's.
"""

from __future__ import annotations

from typing import Any

import bpy  # type: ignore[import]

from dataset_tools.errors import UserError
from dataset_tools.rendering.job import DEVICES

CPU = "cpu"
AUTO = "auto"


def _preferences() -> Any:
    """Cycles' own preferences. Raises UserError in a Blender without Cycles."""
    addon: Any = bpy.context.preferences.addons.get("cycles")
    render: Any = bpy.context.scene.render
    try:
        render.engine = "CYCLES"
    except TypeError:
        addon = None
    if addon is None:
        raise UserError("This Blender has no Cycles: use a Blender that was built with it, such as blender.org's.")
    return addon.preferences


def _cards(kind: str) -> list[Any]:
    """The cards that an interface finds; none where this build or system does not have it."""
    preferences = _preferences()
    try:
        preferences.compute_device_type = kind.upper()
    except TypeError:
        return []
    preferences.refresh_devices()
    return [card for card in preferences.devices if card.type == kind.upper()]


def available() -> list[str]:
    """Kinds of device of this machine, the best first; the processor is always there."""
    _preferences()
    return [kind for kind in DEVICES if kind not in (AUTO, CPU) and _cards(kind)] + [CPU]


def choose(wanted: str) -> str:
    """The kind to render on: what is wanted, or the best one for ``auto``. Raises UserError if it is not there."""
    _preferences()
    if wanted == CPU:
        return CPU
    found = available()
    if wanted == AUTO:
        return found[0]
    if wanted not in found:
        raise UserError(f"There is no {wanted} device here: choose --device {' or '.join((*found, AUTO))}.")
    return wanted


def name(kind: str) -> str:
    """For people: 'CPU', or the interface and its cards."""
    cards = [] if kind == CPU else _cards(kind)
    return f"{kind.upper()} ({', '.join(card.name for card in cards)})" if cards else "CPU"


def use(kind: str, scene: Any) -> None:
    """Have a scene rendered by Cycles on all devices of a kind."""
    scene.cycles.device = "CPU" if kind == CPU else "GPU"
    if kind != CPU:
        cards = {card.id for card in _cards(kind)}
        for card in _preferences().devices:
            card.use = card.id in cards and card.type == kind.upper()
