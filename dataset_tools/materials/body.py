# SPDX-License-Identifier: GPL-3.0-or-later
"""Skin, hair, eyes and teeth as node graphs. No bpy.

Sheen is left out of all of them: Cycles counts it as diffuse colour, where Eq. 16 wants it in the specular layer. Light
that was scattered below the skin is in the diffuse passes, divided by the albedo (Eq. 15), and the coat's is in the
glossy ones (Eq. 16).
"""

from __future__ import annotations

import numpy as np

from dataset_tools.description.covering import Color
from dataset_tools.description.person import Eyes, Hair, Skin
from dataset_tools.materials.graph import Graph, Socket, Value

# Mean free paths of green and blue light in skin as shares of that of red light.
_SCATTER = (1.0, 0.36, 0.2)
# Of the eye's UVs: one unit is two radians.
_UNIT = 2.0


def skin(graph: Graph, described: Skin, hair: Color, covered: float, mean: Color | None) -> None:
    """The skin's shader.

    The mesh brings the place on the base mesh as the attribute "rest" and the strengths of ``heads.figure.tints``.
    ``hair`` is the colour that shows through where hair grows, for a share ``covered`` of the scalp. ``mean`` is the
    linear mean of the face in the skin's picture, if it has one.
    """
    rest = graph.node("ShaderNodeAttribute", attribute_name="rest").outputs["Vector"]
    at = graph.vector("ADD", rest, described.offset)
    color = _toned(graph, described, mean)
    mottled = graph.noise(at, 38.0, detail=3.0)
    fine = graph.noise(at, 420.0, detail=2.0)
    color = graph.shade(color, graph.ramp(mottled, 0.25, 0.75, 0.93, 1.07))
    color = graph.shade(color, graph.ramp(fine, 0.25, 0.75, 1.0 - 0.06 * described.pores, 1.0 + 0.06 * described.pores))
    color = _tinted(graph, color, _share(graph, "blush", described.blush, mottled), (1.06, 0.72, 0.70))
    color = _tinted(graph, color, _share(graph, "sockets", 0.35), (0.80, 0.72, 0.76))
    if described.freckles > 0.0:
        spots = graph.voronoi(at, 330.0).outputs["Distance"]
        spots = graph.ramp(spots, 0.22, 0.36, 1.0, 0.0) * graph.ramp(mottled, 0.42, 0.6)
        color = _tinted(graph, color, _share(graph, "freckles", described.freckles, spots), (0.62, 0.44, 0.34))
    if described.spots > 0.0:
        marks = graph.ramp(graph.voronoi(at, 55.0).outputs["Distance"], 0.05, 0.09, described.spots, 0.0)
        color = _tinted(graph, color, marks, (0.55, 0.42, 0.36))
    color = graph.mix(
        _share(graph, "lips", 0.85), color, graph.shade(described.lips, graph.ramp(fine, 0.2, 0.8, 0.9, 1.1))
    )
    speckled = graph.ramp(graph.noise(at, 900.0, detail=1.0), 0.35, 0.65, 0.55, 1.0)
    shadow = tuple(0.55 * c for c in hair)
    if described.stubble > 0.0:
        shaven = _share(graph, "beard", described.stubble) * speckled
        color = graph.mix(shaven, color, graph.mix(0.45, graph.shade(color, 0.7), shadow))
    if covered > 0.0:
        color = graph.mix(_share(graph, "scalp", covered) * speckled, color, shadow)
    rough = graph.ramp(mottled, 0.25, 0.75, described.roughness - 0.07, described.roughness + 0.07)
    rough = rough - _share(graph, "lips", 0.08)
    inputs = {
        "Base Color": graph.vector("MINIMUM", graph.vector("MAXIMUM", color, (0.006,) * 3), (0.85,) * 3),
        "Roughness": rough,
        "Specular IOR Level": 0.38,
        "Subsurface Weight": 1.0,
        "Subsurface Radius": _SCATTER,
        "Subsurface Scale": described.scatter,
        "Coat Weight": described.oil,
        "Coat Roughness": 0.25,
        "Normal": _relief(graph, described, at),
    }
    # Of the ways to scatter, this one keeps all light and is the least noisy (measured).
    _output(graph, graph.node("ShaderNodeBsdfPrincipled", inputs, subsurface_method="BURLEY").outputs[0])


def _toned(graph: Graph, described: Skin, mean: Color | None) -> Value:
    """The skin's colour, or its picture with the mean carried to it."""
    if mean is None:
        return described.color
    uv = graph.node("ShaderNodeTexCoord").outputs["UV"]
    picture = graph.picture(described.textures["color"], uv, data=False)
    factor = tuple(want / max(have, 1e-3) for want, have in zip(described.color, mean, strict=True))
    return graph.vector("MULTIPLY", picture, factor)


def _share(graph: Graph, mask: str, strength: float, pattern: Value = 1.0) -> Socket:
    found = graph.node("ShaderNodeAttribute", attribute_name=mask).outputs["Fac"]
    return found * strength * pattern


def _tinted(graph: Graph, color: Value, factor: Value, tint: Color) -> Socket:
    return graph.mix(factor, color, graph.vector("MULTIPLY", color, tint))


def _relief(graph: Graph, described: Skin, at: Socket) -> Socket:
    pores = graph.noise(at, 700.0, detail=2.0) * (2.2e-4 * described.pores)
    lines = graph.wave(graph.vector("MULTIPLY", at, (0.25, 0.25, 1.0)), 55.0, 3.0, 2.0, bands_direction="Z")
    folds = _share(graph, "folds", 9e-4 * described.wrinkles) * lines
    inputs = {"Height": pores + folds, "Distance": 1.0, "Strength": 1.0}
    return graph.node("ShaderNodeBump", inputs, optional={"Filter Width": 1.0}).outputs[0]


def hair(graph: Graph, described: Hair) -> None:
    """Strands: diffuse, with the sheen of fibres as a specular reflection, which Cycles counts as glossy."""
    info = graph.node("ShaderNodeHairInfo").outputs
    varied = graph.shade(described.color, graph.ramp(info["Random"], 0.0, 1.0, 0.72, 1.28))
    # Roots lie in each other's shadow and grow darker; tips have seen the sun.
    varied = graph.shade(varied, graph.ramp(info["Intercept"], 0.0, 1.0, 0.85, 1.12))
    if described.grey > 0.0:
        other = graph.math("FRACT", info["Random"] * 37.0)
        varied = graph.mix(
            graph.ramp(other, described.grey - 1e-3, described.grey, 1.0, 0.0), varied, (0.52, 0.51, 0.49)
        )
    dull = graph.node(
        "ShaderNodeBsdfPrincipled", {"Base Color": varied, "Roughness": 0.8, "Specular IOR Level": 0.0}
    ).outputs[0]
    tint = graph.mix(0.6, varied, (0.9, 0.9, 0.9))
    inputs = {"Color": tint, "Offset": -0.05, "RoughnessU": described.roughness, "RoughnessV": 0.9}
    shine = graph.node("ShaderNodeBsdfHair", inputs, component="Reflection").outputs[0]
    _output(graph, graph.mix_shader(0.16, dull, shine))


def eye(graph: Graph, described: Eyes) -> None:
    """An eyeball: sclera, iris and pupil under a wet surface; UVs as ``heads.eyes`` makes them."""
    uv = graph.node("ShaderNodeTexCoord").outputs["UV"]
    from_axis = graph.vector("SUBTRACT", uv, (0.5, 0.5, 0.0))
    # The iris's rim is at 1.
    radius = graph.length(from_axis) * (_UNIT / float(np.radians(28.5)))
    if described.textures:
        color: Value = _pictured(graph, described, from_axis, radius)
    else:
        color = _painted(graph, described, from_axis, radius)
    inputs = {
        "Base Color": graph.vector("MAXIMUM", color, (0.006,) * 3),
        "Roughness": 0.12,
        "Specular IOR Level": 0.5,
        "Coat Weight": 1.0,
        "Coat Roughness": 0.015,
    }
    _output(graph, graph.node("ShaderNodeBsdfPrincipled", inputs).outputs[0])


def _painted(graph: Graph, described: Eyes, from_axis: Socket, radius: Socket) -> Socket:
    outer, inner = described.iris
    x, y, _ = graph.xyz(from_axis)
    angle = graph.math("ARCTAN2", y, x)
    around = graph.combine(graph.math("COSINE", angle), graph.math("SINE", angle), radius * 0.15)
    fibres = graph.noise(around, 9.0, detail=3.0)
    iris = graph.mix(graph.ramp(radius, described.pupil, 0.8), inner, outer)
    iris = graph.shade(iris, graph.ramp(fibres, 0.3, 0.7, 0.6, 1.4))
    # The rim of the iris is dark.
    iris = graph.shade(iris, graph.ramp(radius, 0.78, 0.98, 1.0, 0.35))
    iris = graph.shade(iris, graph.ramp(radius, described.pupil, described.pupil + 0.08, 0.03, 1.0))
    veins = graph.ramp(graph.noise(from_axis, 14.0, detail=5.0, distortion=2.0), 0.5, 0.68)
    white = graph.mix(0.55 * described.redness, (0.62, 0.58, 0.54), (0.60, 0.34, 0.30))
    white = graph.mix(veins * (0.4 * described.redness), white, (0.45, 0.12, 0.10))
    # Towards the corners flesh shines through.
    white = graph.mix(graph.ramp(radius, 1.6, 2.6, 0.0, 0.5), white, (0.50, 0.28, 0.24))
    return graph.mix(graph.ramp(radius, 0.94, 1.06), iris, white)


# Where the pictures of eyes have an eyeball's middle and the radius of its iris, as shares of their width.
_MIDDLE = (0.714, 0.709, 0.0)
_RIM = 0.112


def _pictured(graph: Graph, described: Eyes, from_axis: Socket, radius: Socket) -> Value:
    """A picture laid on so that its iris has the eye's size; what it does not show of the white is held."""
    unit = graph.vector("SCALE", from_axis, 1.0 / graph.math("MAXIMUM", graph.length(from_axis), 1e-4))
    held = graph.math("MINIMUM", radius, 2.3) * _RIM
    place = graph.vector("ADD", graph.vector("SCALE", unit, held), _MIDDLE)
    return graph.picture(described.textures["color"], place, data=False)


def teeth(graph: Graph) -> None:
    """Ivory with a wet surface, darker towards the back of the mouth, where light seldom comes."""
    inputs = {"Base Color": (0.55, 0.50, 0.40), "Roughness": 0.25, "Specular IOR Level": 0.5}
    _output(graph, graph.node("ShaderNodeBsdfPrincipled", inputs).outputs[0])


def tongue(graph: Graph) -> None:
    """Wet flesh."""
    inputs = {"Base Color": (0.35, 0.10, 0.09), "Roughness": 0.3, "Specular IOR Level": 0.5}
    _output(graph, graph.node("ShaderNodeBsdfPrincipled", inputs).outputs[0])


def _output(graph: Graph, shader: Socket) -> None:
    graph.node("ShaderNodeOutputMaterial", {"Surface": shader})
