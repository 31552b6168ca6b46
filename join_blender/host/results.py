# SPDX-License-Identifier: GPL-3.0-or-later
"""From the engine's result to datablocks: all of them, or none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import bpy
import numpy as np

from ..core.failure import Failure
from ..core.protocol import Message, Options
from ..core.session import load_layer
from . import compositor, images


@dataclass
class Writer:
    """Writes a result in steps, so that the interface can draw in between.

    Datablocks are remembered by name: between two steps the user may undo, and a pointer would then be a crash.
    """

    source: str
    options: Options
    result: Message
    scene: str
    alpha: np.ndarray | None = None
    """The source's alpha, ``[H, W]``, or None for opaque."""
    written: dict[str, str] = field(default_factory=dict)
    """Component → name of the image that was made for it."""

    def steps(self) -> Iterator[str]:
        """Write one layer per step and the compositor's nodes in the last; yields what was made.

        Raises:
            Failure: and then no image of this result is left.
        """
        try:
            for component, path in self.result["layers"].items():
                self.written[component] = self._write(component, load_layer(path)).name
                yield self.written[component]
            self._compose()
        except Exception:
            self.discard()
            raise

    def finish(self) -> None:
        """All steps at once: for background mode."""
        for _ in self.steps():
            pass

    def discard(self) -> None:
        """Remove what was written."""
        for name in self.written.values():
            image: bpy.types.Image | None = bpy.data.images.get(name)
            if image is not None:
                bpy.data.images.remove(image)
        self.written.clear()

    def _write(self, component: str, rgb: np.ndarray) -> bpy.types.Image:
        alpha = self.alpha if self.alpha is not None and self.alpha.shape == rgb.shape[:2] else None
        return images.write_layer(images.layer_name(self.source, component), rgb, alpha, self._properties(component))

    def _compose(self) -> None:
        scene: bpy.types.Scene | None = bpy.data.scenes.get(self.scene)
        layers: dict[str, bpy.types.Image | None] = {
            component: bpy.data.images.get(name) for component, name in self.written.items()
        }
        if scene is None or any(image is None for image in layers.values()):
            raise Failure(
                "result_undone", "The file was changed by an undo while the layers were written.", "Try again."
            )
        compositor.add_layers(scene, f"JoIN: {self.source}", {key: value for key, value in layers.items() if value})

    def _properties(self, component: str) -> dict[str, Any]:
        bank = self.result.get("bank") or {}
        return {
            "join_component": component,
            "join_source": self.source,
            "join_bank": str(bank.get("name", "")),
            "join_bank_sha256": str(bank.get("sha256", "")),
            "join_preset": self.options.preset,
            "join_seed": self.options.seed,
            "join_settings": json.dumps(self.result.get("settings") or {}),
            "join_metrics": json.dumps(self.result.get("metrics") or {}),
        }
