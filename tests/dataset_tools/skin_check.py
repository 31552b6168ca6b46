# SPDX-License-Identifier: GPL-3.0-or-later
"""Where Cycles puts a skin's light: renders balls of skin, of skin with a coat and of skin with sheen, in this process.

Prints a JSON object: by ball, the mean of every layer in its middle.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from dataset_tools.description.scene import Camera, Environment, Scene
from dataset_tools.rendering import render as renders
from dataset_tools.storage import passes

BASE = (0.5, 0.3, 0.2)
# Principled inputs of each ball beside its base colour.
BALLS = {
    "skin": {"Subsurface Weight": 1.0, "Subsurface Scale": 0.002, "Specular IOR Level": 0.0},
    "matt": {"Specular IOR Level": 0.0},
    "coat": {"Subsurface Weight": 1.0, "Specular IOR Level": 0.0, "Coat Weight": 1.0},
    "sheen": {"Specular IOR Level": 0.0, "Sheen Weight": 1.0},
}


def main() -> None:
    """Render each ball under even light."""
    import bpy  # type: ignore[import]

    found = {}
    camera = Camera((0.0, -1.0, 0.0), (0.0, 0.0, 0.0), 0.25)
    even = Environment("overcast", 1.0)
    scene = Scene(dataset="heads", seed=0, index=0, attempt=0, noise_seed=1, lights=(), camera=camera, environment=even)
    build = renders.build_scene
    for name, inputs in BALLS.items():

        def with_ball(described: Scene, *folders: Path | None, inputs: dict[str, float] = inputs) -> None:
            build(described, *folders)
            bpy.ops.mesh.primitive_uv_sphere_add(radius=0.1)
            item = bpy.context.object
            material = bpy.data.materials.new("ball")
            material.use_nodes = True
            shader = next(node for node in material.node_tree.nodes if node.type == "BSDF_PRINCIPLED")
            shader.subsurface_method = "BURLEY"
            shader.inputs["Base Color"].default_value = (*BASE, 1.0)
            for key, value in inputs.items():
                shader.inputs[key].default_value = value
            item.data.materials.append(material)

        renders.build_scene = with_ball
        renderer = renders.Renderer(renders.Quality(32, 64))
        rendered = renderer.render(scene).passes
        renderer.close()
        middle = {layer: image[12:20, 12:20].mean(axis=(0, 1)).tolist() for layer, image in rendered.items()}
        found[name] = {**middle, "error": passes.identity_error(rendered)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
