# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node function is given and what it returns. No bpy."""

from __future__ import annotations

from dataclasses import dataclass, replace

from dataset_tools.materials.graph import Graph, Socket, Value


@dataclass(frozen=True)
class Coordinates:
    """Metric coordinates of the shaded point, already moved by the material's offset and angle.

    ``uv`` runs over the surface, for patterns laid on it; ``solid`` is the position inside the object, for matter
    that goes through it. Both are vectors in metres.
    """

    uv: Socket
    solid: Socket


@dataclass(frozen=True)
class Surface:
    """A surface as sockets or constants: the inputs of a Principled BSDF, and its relief.

    ``height`` is in [0, 1] of the material's relief: low in joints, high on what stands out. ``None`` for what the
    description decides (roughness, specular). ``normal`` is for scanned materials that come with a normal map.
    ``anisotropic_rotation`` is in turns from the u axis.
    """

    color: Value
    height: Value = 0.0
    roughness: Value | None = None
    specular: Value | None = None
    metallic: Value = 0.0
    coat: Value = 0.0
    coat_roughness: Value = 0.1
    normal: Socket | None = None
    anisotropic: Value = 0.0
    anisotropic_rotation: Value = 0.0


def blended(graph: Graph, factor: Value, below: Surface, above: Surface) -> Surface:
    """``below`` where ``factor`` is 0, ``above`` where it is 1; roughness and specular must be given."""
    names = (
        "height",
        "roughness",
        "specular",
        "metallic",
        "coat",
        "coat_roughness",
        "anisotropic",
        "anisotropic_rotation",
    )
    mixed = {name: graph.mix_number(factor, getattr(below, name), getattr(above, name)) for name in names}
    if below.normal is not None or above.normal is not None:
        mixed["normal"] = graph.mix_vector(factor, *(graph.normal(side.normal) for side in (below, above)))
    return replace(below, color=graph.mix(factor, below.color, above.color), **mixed)
