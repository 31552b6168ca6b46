# SPDX-License-Identifier: GPL-3.0-or-later
"""Run inside Blender by test_materials.py: are materials that Blender looks over once those that it looks over after
every step?

Prints as JSON how many materials were compared, the numbers of those that differ, and what building leaves behind.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import bpy

from dataset_tools import specs
from dataset_tools.materials import trees
from dataset_tools.materials.build import build_material
from dataset_tools.scenes.build import clear_scene
from dataset_tools.specs import describe

SAMPLES = 12


def _plain(value: Any) -> Any:
    return list(value) if hasattr(value, "__len__") and not isinstance(value, str) else value


def _properties(item: Any) -> dict[str, Any]:
    kinds = ("BOOLEAN", "INT", "FLOAT", "STRING", "ENUM")
    return {p.identifier: _plain(getattr(item, p.identifier)) for p in item.bl_rna.properties if p.type in kinds}


def _node(node: Any) -> Any:
    ramp = getattr(node, "color_ramp", None)
    stops = [(stop.position, list(stop.color)) for stop in ramp.elements] if ramp else []
    return _properties(node), [_properties(s) for s in (*node.inputs, *node.outputs)], stops, ramp and _properties(ramp)


def _link(link: Any) -> Any:
    ends = (link.from_node, link.from_socket, link.to_node, link.to_socket)
    return [end.identifier if hasattr(end, "is_output") else end.name for end in ends], link.is_valid


def _dump(material: Any) -> str:
    """All of a material that can make a difference; nodes' random identifiers are no properties."""
    tree = material.node_tree
    found = [_node(node) for node in tree.nodes], [_link(link) for link in tree.links], material.displacement_method
    return json.dumps([material.name, *found], sort_keys=True, default=str)


def main() -> None:
    """Build everything in both ways."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    coverings = [
        (covering, dataset == "materials")
        for dataset in specs.DATASETS
        for index in range(SAMPLES)
        for covering in describe(dataset, 5, index).coverings
    ]

    def dumped() -> tuple[list[str], float]:
        found, seconds = [], 0.0
        for covering, flat in coverings:
            began = time.process_time()
            material = build_material(covering, "some", flat=flat)
            seconds += time.process_time() - began
            found.append(_dump(material))
            clear_scene()
        return found, seconds

    clear_scene()
    quick, quick_seconds = dumped()
    unobserved, called = trees._unobserved, 0

    def observed(work: Any) -> None:
        nonlocal called
        called += 1
        work()

    trees._unobserved = observed
    slow, slow_seconds = dumped()
    assert called == len(coverings) and trees._unobserved is not unobserved
    wrong = [number for number, (a, b) in enumerate(zip(quick, slow, strict=True)) if a != b]
    left = [*(["class"] if hasattr(bpy.types, "JoinWork") else []), *bpy.data.node_groups.keys()]
    print(
        json.dumps({"compared": len(quick), "different": wrong, "left": left, "seconds": [quick_seconds, slow_seconds]})
    )


main()
