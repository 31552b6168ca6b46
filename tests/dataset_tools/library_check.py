# SPDX-License-Identifier: GPL-3.0-or-later
"""Run inside Blender by test_materials.py: renders every family as a tile, small, and prints what it found as JSON."""

from __future__ import annotations

import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import bpy

from dataset_tools.description.covering import Covering, Mask
from dataset_tools.description.scene import Scene
from dataset_tools.materials.library import FAMILIES
from dataset_tools.rendering.render import Quality, Renderer
from dataset_tools.specs import describe
from dataset_tools.specs.coverings import sample_material

SIZE = 24


def _tile(family: str) -> Scene:
    """A tile of one family, looked at straight and lit from the right."""
    base = describe("materials", 1, 0)
    material = sample_material(np.random.default_rng(3), size=0.7, family=family)
    camera = replace(base.camera, location=(0.0, 0.0, 2.0))
    light = replace(base.lights[0], location=(1.0, 0.0, 1.0), energy=4.0 * math.pi**2 * 3.0, radius=0.05)
    assert base.tile is not None
    tile = replace(
        base.tile, covering=Covering((material,)), corners=((-2.0, -2.0), (2.0, -2.0), (2.0, 2.0), (-2.0, 2.0))
    )
    return replace(base, camera=camera, lights=(light,), tile=tile)


def _moved(scene: Scene) -> Scene:
    return replace(scene, lights=(replace(scene.lights[0], location=(-0.8, 0.5, 1.4)),))


def _measure(renderer: Renderer, name: str) -> dict[str, Any]:
    scene = _tile(name)
    first = renderer.render(scene).passes
    nodes = max(len(material.node_tree.nodes) for material in bpy.data.materials)
    second = renderer.render(_moved(scene)).passes
    albedo = first["diffuse_color"]
    shading = first["diffuse_direct"]
    return {
        "nodes": nodes,
        "albedo_moves": float(np.abs(albedo - second["diffuse_color"]).max()),
        "shading_moves": float(np.abs(shading - second["diffuse_direct"]).mean()),
        "albedo_range": [float(albedo.min()), float(albedo.max())],
        "albedo_spread": float(albedo.std(axis=(0, 1)).mean()),
        "no_albedo": float(np.mean(albedo.max(axis=-1) < 1e-4)),
        "finite": bool(all(np.isfinite(layer).all() for layer in first.values())),
    }


def _mixed(renderer: Renderer) -> dict[str, list[float]]:
    """Mean albedo of two paints alone and laid over one another."""
    scene = _tile("paint")
    assert scene.tile is not None
    red, blue = (replace(scene.materials[0], colors=(color,)) for color in ((0.7, 0.05, 0.05), (0.05, 0.05, 0.7)))
    mask = Mask(scale=0.3, cover=0.5, softness=0.02, offset=(3.0, 1.0, 0.0))
    coverings = {
        "red": Covering((red,)),
        "both": Covering((red, blue), (mask,)),
        "little": Covering((red, blue), (replace(mask, cover=0.2),)),
    }
    found = {}
    for name, covering in coverings.items():
        layers = renderer.render(replace(scene, tile=replace(scene.tile, covering=covering))).passes
        found[name] = [float(value) for value in layers["diffuse_color"].mean(axis=(0, 1))]
    return found


def main() -> None:
    """Measure everything; the last line on stdout is the JSON."""
    renderer = Renderer(Quality(SIZE, 4))
    try:
        drawn = [name for name, family in FAMILIES.items() if family.weight > 0.0]
        found = {name: _measure(renderer, name) for name in drawn}
        print(json.dumps({"families": found, "mixed": _mixed(renderer)}))
    finally:
        renderer.close()


main()
