# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompose Image, and the way to stop it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import bpy
import numpy as np

from ..core import locate
from ..core.failure import Failure
from ..core.job import Phase
from ..core.protocol import Options
from ..core.session import Session
from ..host import images, results
from . import running, wording
from .preferences import chosen_python
from .properties import bank_property, preset_property, seed_property

Outcome = set[Literal["RUNNING_MODAL", "CANCELLED", "FINISHED", "PASS_THROUGH", "INTERFACE"]]

_TICK = 0.1
"""Seconds between two looks at the engine."""


class JOIN_OT_decompose(bpy.types.Operator):
    """Split the image into layers that multiply and add back to it, while Blender stays usable"""

    bl_idname = "join.decompose"
    bl_label = "Decompose Image"
    # No REGISTER: the redo panel would run execute(), and so the whole job, at each change of a number.
    bl_options = {"UNDO"}

    image: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Image", description="Name of the image; empty for the one in the Image Editor", options={"SKIP_SAVE"}
    )
    preset: preset_property()  # type: ignore[valid-type]
    seed: seed_property()  # type: ignore[valid-type]
    bank: bank_property()  # type: ignore[valid-type]
    steps: bpy.props.IntProperty(  # type: ignore[valid-type]
        name="Steps",
        description="Optimiser steps instead of the preset's; 0 for the preset's",
        min=0,
        options={"SKIP_SAVE"},
    )
    save_directory: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Save Directory",
        description="Folder in which to keep decomposition.join, for relighting later; empty for none",
        subtype="DIR_PATH",
        options={"SKIP_SAVE"},
    )

    _session: Session | None = None
    _writer: results.Writer | None = None
    _writing: Iterator[str] | None = None
    _timer: bpy.types.Timer | None = None
    _shown: tuple[str, str] | None = None

    def invoke(self, context: Any, _event: Any) -> Outcome:
        """From a button: start, and return at once."""
        if bpy.app.background:
            return self.execute(context)
        try:
            self._take_settings(context)
            self._begin(context)
        except Failure as failure:
            return self._refuse(failure)
        manager = context.window_manager
        self._timer = manager.event_timer_add(_TICK, window=context.window)
        manager.modal_handler_add(self)
        _redraw()
        return {"RUNNING_MODAL"}

    def execute(self, context: Any) -> Outcome:
        """From a script or in background mode: wait for the result."""
        try:
            self._take_settings(context)
            session, writer = self._begin(context)
            try:
                session.wait()
                return self._outcome(session, writer)
            finally:
                running.end(session)
        except Failure as failure:
            return self._refuse(failure)

    def modal(self, context: Any, event: Any) -> Outcome:
        """Each tick looks at the engine, or writes one layer; everything else passes through to Blender."""
        session = self._session
        if session is None or running.current() is not session:  # the add-on was switched off meanwhile
            return self._leave(context, {"CANCELLED"})
        if event.type == "ESC" and event.value == "PRESS" and self._writing is None:
            session.stop(keep=False)
            return {"RUNNING_MODAL"}
        if event.type != "TIMER":
            return {"PASS_THROUGH"}
        try:
            finished = self._tick(session)
        except Failure as failure:
            return self._leave(context, self._refuse(failure))
        except BaseException:
            self._leave(context, {"CANCELLED"})  # a bug must not leave a dead button behind
            raise
        self._show(session)
        return self._leave(context, finished) if finished else {"PASS_THROUGH"}

    def _show(self, session: Session) -> None:
        """Redraw the sidebars, but only where they would read differently: drawing a window is not free."""
        words = wording.describe(session.job), wording.time_left(session.job)
        if words != self._shown:
            self._shown = words
            _redraw()

    def cancel(self, context: Any) -> None:
        """Blender takes the operator away: another file is being loaded, or the window closes."""
        self._leave(context, {"CANCELLED"})

    def _take_settings(self, context: Any) -> None:
        """What the caller did not say comes from the panel's settings."""
        settings = context.scene.join_intrinsics
        for name in ("preset", "seed", "bank"):
            if not self.properties.is_property_set(name):
                setattr(self, name, getattr(settings, name))

    def _begin(self, context: Any) -> tuple[Session, results.Writer]:
        """Read the image and start the engine."""
        running.refuse_second()
        image = images.find_image(self.image) if self.image else _shown_image(context)
        python = chosen_python()
        pixels = images.read_pixels(image)
        options = Options(_bank_reference(self.bank), self.preset.lower(), self.seed, self.steps or None)
        session = Session(python.path, locate.engine_root(), pixels, options, image.name, bpy.app.tempdir or None)
        running.begin(session)
        alpha = np.ascontiguousarray(pixels[..., 3]) if pixels.shape[2] == 4 else None
        self._session = session
        self._writer = results.Writer(image.name, options, {}, context.scene.name, alpha)
        return session, self._writer

    def _tick(self, session: Session) -> Outcome | None:
        """One look; returns how the operator ends, or None."""
        if self._writing is not None:
            return None if next(self._writing, None) else self._report_layers()
        if not session.step():
            return None
        if not self._has_result(session):
            return {"CANCELLED"}
        assert self._writer is not None and session.job.result is not None
        self._keep_decomposition(session)
        self._writer.result = session.job.result
        self._writing = self._writer.steps()
        return None

    def _outcome(self, session: Session, writer: results.Writer) -> Outcome:
        if not self._has_result(session):
            return {"CANCELLED"}
        assert session.job.result is not None
        self._keep_decomposition(session)
        writer.result = session.job.result
        writer.finish()
        return self._report_layers()

    def _has_result(self, session: Session) -> bool:
        """Whether a finished job has layers to write; says so where it has none."""
        if session.failure is not None:
            raise session.failure
        if session.job.result is None:
            self.report({"INFO"}, "Cancelled: nothing was changed")
        return session.job.result is not None

    def _keep_decomposition(self, session: Session) -> None:
        if self.save_directory:
            session.save_decomposition(Path(bpy.path.abspath(self.save_directory)))

    def _report_layers(self) -> Outcome:
        assert self._writer is not None and self._session is not None
        early = " (stopped early)" if self._session.job.phase is Phase.CANCELLED else ""
        self.report({"INFO"}, f"New layers{early}: {', '.join(self._writer.written.values())}")
        return {"FINISHED"}

    def _refuse(self, failure: Failure) -> Outcome:
        self.report({"ERROR"}, str(failure))
        return {"CANCELLED"}

    def _leave(self, context: Any, how: Outcome) -> Outcome:
        """Clean up; whatever happened, the button works again."""
        if self._timer is not None:
            context.window_manager.event_timer_remove(self._timer)
            self._timer = None
        if self._writing is not None and how == {"CANCELLED"} and self._writer is not None:
            self._writer.discard()
        if self._session is not None:
            running.end(self._session)
            self._session = None
        _redraw()
        return how


class JOIN_OT_stop(bpy.types.Operator):
    """End the running decomposition"""

    bl_idname = "join.stop"
    bl_label = "Stop Decomposing"

    keep: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Keep", description="Take the best layers found so far instead of none", options={"SKIP_SAVE"}
    )

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """Only while something runs."""
        return running.current() is not None

    def execute(self, _context: Any) -> Outcome:
        """Ask; the running operator sees the end of it."""
        session = running.current()
        if session is None:
            return {"CANCELLED"}
        session.stop(keep=self.keep)
        return {"FINISHED"}


def _shown_image(context: Any) -> bpy.types.Image:
    space: Any = context.space_data
    image = space.image if space is not None and space.type == "IMAGE_EDITOR" else None
    if image is None:
        raise Failure("image_missing", "No image is chosen.", "Open one in the Image Editor, or name it.")
    return image


def _bank_reference(text: str) -> str | None:
    """A name as it is, a path made absolute (Blender's ``//`` means beside the .blend), nothing as None."""
    text = text.strip()
    return (bpy.path.abspath(text) if text.startswith("//") else text) or None


def _redraw() -> None:
    """Let the sidebars of all Image Editors show the new state."""
    manager: Any = bpy.context.window_manager
    for window in manager.windows:
        for area in window.screen.areas:
            for region in area.regions if area.type == "IMAGE_EDITOR" else ():
                if region.type == "UI":
                    region.tag_redraw()
