# SPDX-License-Identifier: GPL-3.0-or-later
"""One image as the plainest script makes it: a fresh Blender, File Output nodes that write each pass, all threads.

``… plain_loop.py -- DATASET SEED INDEX RESOLUTION SAMPLES FOLDER``. Scene and Cycles' settings are those of our own
renderer, so that what is compared is everything around the path tracer.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import bpy  # type: ignore[import]

from dataset_tools.rendering.render import Quality, Renderer
from dataset_tools.scenes.build import build_scene, clear_scene
from dataset_tools.specs import describe
from dataset_tools.storage import passes


def main(dataset: str, seed: str, index: str, resolution: str, samples: str, folder: str) -> None:
    """Render one sample and write an EXR of each pass into ``folder``."""
    renderer = Renderer(Quality(int(resolution), int(samples)))
    clear_scene()
    build_scene(describe(dataset, int(seed), int(index)))
    scene: Any = bpy.context.scene
    scene.render.threads_mode = "AUTO"
    scene.render.use_compositing = True
    _write_passes(scene, Path(folder))
    bpy.ops.render.render(write_still=False)
    renderer.close()


def _write_passes(scene: Any, folder: Path) -> None:
    if hasattr(scene, "compositing_node_group"):  # Blender 5.0 and newer
        tree = bpy.data.node_groups.new("passes", "CompositorNodeTree")
        scene.compositing_node_group = tree
    else:
        scene.use_nodes = True
        tree = scene.node_tree
        tree.nodes.clear()
    layers: Any = tree.nodes.new("CompositorNodeRLayers")
    output: Any = tree.nodes.new("CompositorNodeOutputFile")
    if hasattr(output, "file_output_items"):
        output.directory = str(folder)
        output.format.media_type = "IMAGE"
        add = lambda name: output.file_output_items.new("RGBA", name)  # noqa: E731
    else:
        output.base_path = str(folder)
        output.file_slots.clear()
        add = output.file_slots.new
    output.format.file_format = "OPEN_EXR"
    output.format.color_depth = "16"
    wanted = [socket for socket in layers.outputs if socket.enabled and socket.name not in ("Alpha", "Depth")]
    assert len(wanted) == len(passes.PASSES) + 1, [socket.name for socket in wanted]
    for number, socket in enumerate(wanted):
        add(socket.name)
        tree.links.new(socket, output.inputs[number])


if __name__ == "__main__":
    main(*sys.argv[sys.argv.index("--") + 1 :])
