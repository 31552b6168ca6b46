# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators and panels have in common."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from ..engine import problem
from ..engine.failure import Failure
from ..host.images import find_image
from . import engine_state

_LETTERS = 64
Outcome = set[Literal["RUNNING_MODAL", "CANCELLED", "FINISHED", "PASS_THROUGH", "INTERFACE"]]
"""What Blender wants an operator to return."""


def report(operator: Any, failure: Failure) -> Outcome:
    """End an operator with Blender's error message."""
    problem.note(f"{operator.bl_label}: {failure}")
    operator.report({"ERROR"}, str(failure))
    return {"CANCELLED"}


class Acting:
    """An operator that does something, or says why not: ``act`` does it, and raises Failure where that cannot be."""

    def execute(self: Any, context: Any) -> Outcome:
        """Do it, or end with the message of its Failure; finished, unless ``act`` returns how else it ended."""
        try:
            return self.act(context) or {"FINISHED"}
        except Failure as failure:
            return report(self, failure)


class OneAtATime:
    """An operator that begins a task about the engine."""

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """While none runs."""
        return engine_state.current() is None


class Asking(Acting):
    """One that does not act yet when its button is pressed: ``prepare`` asks for what it needs, or raises Failure."""

    def invoke(self: Any, context: Any, _event: Any) -> Outcome:
        """From a button."""
        try:
            return self.prepare(context)  # type: ignore[no-any-return]
        except Failure as failure:
            return report(self, failure)


class InSidebar:
    """A panel of the tab JoIN, in the sidebar of Image Editors."""

    bl_space_type: Any = "IMAGE_EDITOR"
    bl_region_type: Any = "UI"
    bl_category = "JoIN"
    section = ""
    """The heading in the manual that tells of it, as links name it."""

    def draw_header_preset(self: Any, _context: Any) -> None:
        """At the right of the header, the way into the manual."""
        if self.section:
            self.layout.operator("join.open_manual", text="", icon="HELP", emboss=False).section = self.section


class WithSettings(InSidebar):
    """One that shows properties, their names beside them."""

    def draw(self: Any, context: Any) -> None:
        """As :meth:`show` does; no property is animated."""
        layout: Any = self.layout
        layout.use_property_split = True
        layout.use_property_decorate = False
        self.show(context, layout)


def draw_path(layout: Any, path: Path, icon: str) -> None:
    """In labels of lines that fit into a dialog, the icon in front of the first."""
    text = str(path)
    for start in range(0, len(text), _LETTERS):
        layout.label(text=text[start : start + _LETTERS], icon="BLANK1" if start else icon)


def shown_image(context: Any) -> Any:
    """The image in the Image Editor.

    Raises:
        Failure: ``image_missing``.
    """
    space: Any = context.space_data
    image = space.image if space is not None and space.type == "IMAGE_EDITOR" else None
    if image is None:
        raise Failure("image_missing", "No image is chosen.", "Open one in the Image Editor, or name it.")
    return image


def chosen_image(name: str, context: Any) -> Any:
    """The image of that name; without one, the one in the Image Editor. Raises Failure ``image_missing``."""
    return find_image(name) if name else shown_image(context)
