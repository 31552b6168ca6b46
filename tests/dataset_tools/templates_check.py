# SPDX-License-Identifier: GPL-3.0-or-later
"""Run inside Blender by test_materials.py: are materials copied from templates those that are built from nothing?

Prints as JSON how many materials were compared, how many of them were copies, and the numbers of those that differ.
"""

from __future__ import annotations

import json
import sys
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
    """Build everything from nothing, then again with templates."""
    bpy.ops.wm.read_factory_settings(use_empty=True)
    coverings = [
        (covering, dataset == "materials")
        for dataset in specs.DATASETS
        for index in range(SAMPLES)
        for covering in describe(dataset, 5, index).coverings
    ]

    def dump(number: int) -> str:
        covering, flat = coverings[number]
        found = _dump(build_material(covering, "some", flat=flat))
        clear_scene()
        return found

    fresh = []
    for number in range(len(coverings)):
        trees.forget()
        clear_scene()
        fresh.append(dump(number))
    trees.forget()
    clear_scene()
    templates = [dump(number) for number in range(len(coverings))]
    wrong = [number for number, (a, b) in enumerate(zip(fresh, templates, strict=True)) if a != b]
    common = sum(len(covering.layers) == 1 for covering, _ in coverings)
    copies = common - len(bpy.data.materials)
    print(json.dumps({"compared": len(fresh), "copies": copies, "different": wrong}))


main()
