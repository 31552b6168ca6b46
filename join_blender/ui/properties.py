# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user chooses, kept in the scene so that it is still there tomorrow."""

from typing import Any

import bpy

from ..core.locate import find_banks

PRESETS = (
    ("DRAFT", "Draft", "A quick look: few optimiser steps"),
    ("STANDARD", "Standard", "The usual number of optimiser steps"),
    ("BEST", "Best", "Every stage and all optimiser steps; takes the longest"),
)


def _suggest_banks(_self: Any, _context: Any, edit_text: str) -> list[str]:
    return [name for name in find_banks() if edit_text.lower() in name.lower()]


def preset_property() -> Any:
    """How much work goes into a decomposition."""
    return bpy.props.EnumProperty(
        name="Preset", description="How much work goes into it", items=PRESETS, default="STANDARD"
    )


def seed_property() -> Any:
    """The seed of all that is random."""
    return bpy.props.IntProperty(
        name="Seed", description="The same seed gives the same layers again on the same machine", min=0, default=0
    )


def bank_property() -> Any:
    """A bank's name or file; the empty string is the engine's default."""
    return bpy.props.StringProperty(
        name="Bank",
        description="Name of a shipped bank, or path of a .safetensors bank file; empty for the default bank",
        search=_suggest_banks,
        search_options={"SUGGESTION"},
    )


class JoinSettings(bpy.types.PropertyGroup):
    """``scene.join_intrinsics``."""

    preset: preset_property()  # type: ignore[valid-type]
    seed: seed_property()  # type: ignore[valid-type]
    bank: bank_property()  # type: ignore[valid-type]
