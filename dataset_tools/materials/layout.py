# SPDX-License-Identifier: GPL-3.0-or-later
"""Blocks in rows, the ground plan of bricks, tiles, boards and weaves. No bpy."""

from __future__ import annotations

from dataclasses import dataclass

from dataset_tools.materials.graph import Graph, Socket, Value


@dataclass(frozen=True)
class Blocks:
    """Where a point lies in its block: a vector that names the block, the position from its lower left corner and
    the distance to its nearest edge, in metres."""

    name: Socket
    x: Socket
    y: Socket
    edge: Socket

    def centred(self, width: float, height: float) -> tuple[Socket, Socket]:
        """The position from the middle of the block, which is so large."""
        return self.x - 0.5 * width, self.y - 0.5 * height


def blocks(graph: Graph, uv: Socket, width: float, height: float, shift: Value = 0.0) -> Blocks:
    """Rows of blocks; every row is shifted against the one below by ``shift`` widths."""
    u, v, _ = graph.xyz(uv)
    row = graph.math("FLOOR", v / height)
    moved = u / width + row * shift
    column = graph.math("FLOOR", moved)
    x = (moved - column) * width
    y = v - row * height
    across = graph.math("MINIMUM", x, width - x)
    along = graph.math("MINIMUM", y, height - y)
    return Blocks(graph.combine(column, row), x, y, graph.math("MINIMUM", across, along))
