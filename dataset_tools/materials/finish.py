# SPDX-License-Identifier: GPL-3.0-or-later
"""What has been done to a surface since it was made: lacquered, worn, scratched, fingered, wetted. No bpy."""

from __future__ import annotations

import math
from dataclasses import replace

from dataset_tools.description.covering import Finish, Material
from dataset_tools.description.sampling import LIGHTEST
from dataset_tools.materials.graph import Graph, Socket, Value
from dataset_tools.materials.surface import Coordinates, Surface

_SMOOTHEST = 0.03
# The linear luminance that a change of contrast leaves as it is.
_KEPT = 0.3
# And what it leaves of the darkest at least.
_DARKENED = 0.08
# Of what is wet: roughness of the film, and how much light matter that soaked loses (Lekner and Dorf: to about 0.6).
_FILM, _SOAKED = 0.05, 0.6


def finished(graph: Graph, at: Coordinates, material: Material, made: Surface) -> Surface:
    """A surface (roughness given, height in [0, 1]) with its material's finish."""
    finish = material.finish
    if finish is None:
        return made
    if finish.contrast != 1.0:
        bright = graph.node("ShaderNodeRGBToBW", {"Color": made.color}).outputs[0]
        relative = graph.math("MAXIMUM", bright, 0.001) / _KEPT
        factor = graph.math("MAXIMUM", relative ** (finish.contrast - 1.0), _DARKENED)
        made = replace(made, color=graph.shade(made.color, factor))
    if finish.gloss:
        made = replace(made, roughness=material.roughness)
    if finish.variation:
        worn = _wear(graph, at, finish) * finish.variation
        roughness = graph.math("SUBTRACT" if finish.wear == "polish" else "ADD", made.roughness, worn)
        made = replace(made, roughness=graph.math("MINIMUM", graph.math("MAXIMUM", roughness, _SMOOTHEST), 1.0))
    if finish.coat:
        made = replace(made, coat=finish.coat, coat_roughness=_coat_roughness(graph, at, finish))
    if finish.anisotropy:
        made = replace(
            made,
            anisotropic=finish.anisotropy,
            anisotropic_rotation=(material.angle + finish.anisotropy_angle) / (2.0 * math.pi),
        )
    return _wet(graph, at, material, finish, made) if finish.wetness else made


def uneven(graph: Graph, at: Coordinates, finish: Finish) -> Socket:
    """The height of the finish's waves in metres."""
    noise = graph.noise(at.uv, 1.0 / finish.wave_scale, detail=2.5, roughness=0.45)
    return noise * finish.waves


def _wear(graph: Graph, at: Coordinates, finish: Finish) -> Socket:
    """Where it is worn, 0 to 1."""
    scale = finish.wear_scale
    if finish.wear == "scratches":
        # Long along one direction, bent by a slow noise so that they cross.
        bent = graph.warp(at.uv, 0.7 / scale, 0.35 * scale, detail=1.0)
        lines = graph.noise(graph.vector("MULTIPLY", bent, (1.0, 26.0, 1.0)), 1.6 / scale, detail=3.0, roughness=0.75)
        return graph.ramp(lines, 0.56, 0.72)
    if finish.wear == "smudges":
        # Prints: patches in which fine ridges show.
        patches = graph.noise(at.uv, 1.3 / scale, detail=2.0, distortion=0.4)
        ridges = graph.noise(at.uv, 9.0 / scale, detail=3.0, roughness=0.7)
        return graph.ramp(patches, 0.48, 0.66) * graph.ramp(ridges, 0.3, 0.62, 0.35, 1.0)
    rubbed = graph.noise(at.uv, 0.8 / scale, detail=5.0, roughness=0.65)
    return graph.ramp(rubbed, 0.38, 0.66)


def _coat_roughness(graph: Graph, at: Coordinates, finish: Finish) -> Value:
    if not finish.variation or finish.wear == "polish":
        return finish.coat_roughness
    worn = _wear(graph, at, finish) * (0.5 * finish.variation)
    return graph.math("MINIMUM", finish.coat_roughness + worn, 0.6)


def _wet(graph: Graph, at: Coordinates, material: Material, finish: Finish, made: Surface) -> Surface:
    """Soaked in patches whose rims dry; what lies low is wet first, and stands under a smooth film."""
    patches = graph.noise(at.uv, 0.7 / finish.wear_scale, detail=4.0, roughness=0.6)
    low = graph.math("MULTIPLY", graph.math("SUBTRACT", 1.0, made.height), 0.12)
    level = 0.56 + 0.34 * (0.5 - finish.wetness)
    wet = graph.ramp(patches + low, level - 0.05, level + 0.05)
    # Dark and more saturated: what comes back has gone through the matter more often.
    soaked = graph.vector("MULTIPLY", made.color, graph.mix(0.35, made.color, (LIGHTEST,) * 3))
    darker = graph.mix(0.5, graph.vector("SCALE", made.color, _SOAKED), soaked)
    return replace(
        made,
        color=graph.mix(wet, made.color, darker),
        roughness=graph.mix_number(wet, made.roughness, graph.math("MULTIPLY", made.roughness, 0.45)),
        coat=graph.math("MAXIMUM", wet, made.coat),
        coat_roughness=graph.mix_number(wet, made.coat_roughness, _FILM),
    )
