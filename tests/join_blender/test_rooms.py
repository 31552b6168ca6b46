# SPDX-License-Identifier: GPL-3.0-or-later
"""Who may know whom, read from the syntax tree: what a room imports, and that only ``host`` touches Blender's data."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.join_blender.support import ROOT

ADDON = ROOT / "join_blender"
ROOMS = {
    "engine": set(),
    "install": {"engine"},
    "host": {"engine"},
    "overlay": {"engine", "host"},
    "ui": {"engine", "install", "host", "overlay"},
}
"""Room → the rooms that it may import from, beside itself."""
WITH_BLENDER = {"host", "overlay", "ui"}


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
            if path.name not in ("vocabulary.py", "exr.py"):
                assert top not in ("torch", "join_engine", "dataset_tools"), f"{path}: {name}"
            assert level < 3, f"{path} reaches out of the add-on: {name}"
            if level == 0:
                assert top != "bpy" or room in WITH_BLENDER, f"{path} knows Blender"
            elif level == 2:
                assert top in ROOMS[room], f"{path} imports {name}"
        assert "sys.path" not in path.read_text(encoding="utf-8"), f"{path} changes what Blender's Python finds"


def test_the_vocabulary_needs_nothing() -> None:
    """Of the engine the add-on imports nine modules of data and arithmetic, wherever they lie, and one with numpy."""
    (codec,) = [path for path in modules("engine") if path.name == "exr.py"]
    assert {name for _, name in imported(codec) if name.startswith("join_engine")} == {
        "join_engine.exr_codec",
        "join_engine.exr_layers.Layer",
    }
    (path,) = [path for path in modules("engine") if path.name == "vocabulary.py"]
    assert {name for _, name in imported(path) if name.startswith("join_engine")} == {
        "join_engine.forward_models.Formula",
        "join_engine.color",
        "join_engine.components",
        "join_engine.errors",
        "join_engine.face_crop",
        "join_engine.forward_models",
        "join_engine.leftovers",
        "join_engine.memory",
        "join_engine.names",
    }
    program = """
import sys, join_blender.engine.vocabulary
loaded = {name for name in sys.modules if name.split(".")[0] in ("join_engine", "torch", "numpy", "bpy")}
modules = ("color", "components", "errors", "face_crop", "forward_models", "leftovers", "memory", "names")
vocabulary = {"join_engine", *(f"join_engine.{name}" for name in modules)}
assert loaded == vocabulary, loaded
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


DATA = {
    *("data", "blend_data", "pixels", "nodes", "links", "node_tree", "node_groups", "compositing_node_group"),
    *("materials", "material_slots", "colorspace_settings", "packed_file", "animation_data", "use_fake_user"),
}
"""Attributes through which one gets at, or into, the datablocks of a file."""
OWN = {"self", "layout", "row", "column", "box", "button", "keeps", "picture"}
"""What the interface may change: itself, its layout and its small pictures,"""
ALLOWED = {"context.space_data.image", "area.spaces.active.image"} | {
    f"_SCENE.join_{name}" for name in ("intrinsics", "relights", "photos", "photo_index")
}
"""and beside that which image an editor shows, and which properties a scene can have."""


def chain(node: ast.expr) -> str:
    """``scene.join_relights`` of what that stands in; the name at the root is what counts."""
    while isinstance(node, ast.Subscript | ast.Call):
        node = node.value if isinstance(node, ast.Subscript) else node.func
    return f"{chain(node.value)}.{node.attr}" if isinstance(node, ast.Attribute) else ast.unparse(node)


def targets(node: ast.AST) -> Iterator[ast.expr]:
    """What a statement assigns to or deletes."""
    if isinstance(node, ast.Assign | ast.Delete):
        found = node.targets
    else:
        found = [node.target] if isinstance(node, ast.AugAssign | ast.AnnAssign) else []
    for target in found:
        yield from target.elts if isinstance(target, ast.Tuple) else [target]


@pytest.mark.parametrize("path", modules("ui"), ids=lambda path: path.stem)
def test_only_host_touches_data(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        where = f"{path.name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Attribute):
            assert node.attr not in DATA, f"{where} reaches into data: {ast.unparse(node)}"
        for target in targets(node):
            assert is_allowed(target), f"{where} changes what is no interface: {ast.unparse(target)}"


def is_allowed(target: ast.expr) -> bool:
    written = chain(target)
    return "." not in written or written.split(".")[0] in OWN or written in ALLOWED


def test_the_rule_about_data_sees_what_it_shall() -> None:
    """Or it would pass for ever."""
    for code in ("image.name = 'x'", "del scene.x", "item.values[0].amount += 1", "a, thing.b = 1, 2", "x().y = 1"):
        assert not all(map(is_allowed, targets(ast.parse(code).body[0]))), code
    assert all(map(is_allowed, targets(ast.parse("self.a, layout.b, c = 1, 2, 3").body[0])))


def test_rooms_are_small() -> None:
    assert {path.name for path in ADDON.iterdir() if path.is_dir() and path.name != "__pycache__"} == {
        *ROOMS,
        "engine_requirements",
    }
    assert max(len(modules(room)) for room in ROOMS) <= 18
