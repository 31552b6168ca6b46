# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may know whom, read from the syntax tree: what a room imports, and that only ``host`` touches Blender's data."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.join_blender.support import ROOT

ADDON = ROOT / "join_blender"
ROOMS = {
    "engine": set(),
    "install": {"engine"},
    "host": {"engine"},
    "ui": {"engine", "install", "host"},
}
"""Room → the rooms that it may import from, beside itself."""
WITH_BLENDER = {"host", "ui"}


def modules(room: str) -> list[Path]:
    return sorted((ADDON / room).glob("*.py"))


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """Level (0 for an absolute import) and dotted name of all that a module imports, wherever it does."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = f"{node.module}." if node.module else ""
            yield from ((node.level, base + alias.name) for alias in node.names)


@pytest.mark.parametrize("room", ROOMS)
def test_arrows_point_one_way(room: str) -> None:
    for path in modules(room):
        for level, name in imported(path):
            top = name.split(".")[0]
            assert top not in ("torch", "join_engine", "dataset_tools"), f"{path}: {name}"
            assert level < 3, f"{path} reaches out of the add-on: {name}"
            if level == 0:
                assert top != "bpy" or room in WITH_BLENDER, f"{path} knows Blender"
            elif level == 2:
                assert top in ROOMS[room], f"{path} imports {name}"
        assert "sys.path" not in path.read_text(encoding="utf-8"), f"{path} changes what Blender's Python finds"


def test_rooms_are_small() -> None:
    assert {path.name for path in ADDON.iterdir() if path.is_dir() and path.name != "__pycache__"} == {
        *ROOMS,
        "engine_requirements",
    }
    assert max(len(modules(room)) for room in ROOMS) <= 14
