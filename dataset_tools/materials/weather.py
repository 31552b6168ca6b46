# SPDX-License-Identifier: GPL-3.0-or-later
"""What time does to a surface, over its finish: worn, dusty, rusty; and its roughness or hue moved. No bpy."""

from __future__ import annotations

from dataclasses import replace

from dataset_tools.description.covering import Material, Weather
from dataset_tools.materials.graph import Graph, Socket, Value
from dataset_tools.materials.library.metal import rust_color
from dataset_tools.materials.surface import Coordinates, Surface
from join_engine.color import LUMINANCE_WEIGHTS

_SMOOTHEST = 0.03
# Household dust, linear; it hides what it covers but for a tenth.
_DUST, _HIDES = (0.4, 0.36, 0.3), 0.9
# Roughness of what is rubbed, of dust and of rust; how glossy the last two are.
_RUBBED, _POWDER, _CRUST, _DULL = 0.5, 0.95, 0.9, 0.15


def weathered(graph: Graph, at: Coordinates, material: Material, made: Surface) -> Surface:
    """A surface (roughness and specular given, height in [0, 1]) with its material's weather."""
    weather = material.weather
    if weather is None:
        return made
    if weather.hue:
        inputs = {"Hue": 0.5 + weather.hue / 360.0, "Color": made.color}
        made = replace(made, color=graph.node("ShaderNodeHueSaturation", inputs).outputs[0])
    if weather.roughness:
        made = replace(
            made,
            roughness=_moved(graph, made.roughness, weather.roughness),
            coat_roughness=_moved(graph, made.coat_roughness, weather.roughness),
        )
    if weather.worn:
        made = _worn(graph, at, weather, made)
    if weather.rusty:
        made = _rusty(graph, at, weather, made)
    return _dusty(graph, at, weather, made) if weather.dusty else made


def _moved(graph: Graph, roughness: Value, change: float) -> Value:
    return graph.math("MINIMUM", graph.math("MAXIMUM", graph.math("ADD", roughness, change), _SMOOTHEST), 1.0)


def _patches(graph: Graph, at: Coordinates, place: float, features: float, detail: float) -> Socket:
    """Noise of so many features a metre; each ``place`` has its own."""
    return graph.noise(graph.vector("ADD", at.uv, (place, -place, 0.0)), features, detail=detail, roughness=0.65)


def _covered(graph: Graph, made: Surface, cover: Socket, color: Value, roughness: float) -> Surface:
    """Matter of another kind lies over the surface, dull and without metal or coat."""
    bare = 1.0 - cover
    return replace(
        made,
        color=graph.mix(cover, made.color, color),
        roughness=graph.mix_number(cover, made.roughness, roughness),
        specular=graph.mix_number(cover, made.specular, _DULL),
        metallic=made.metallic * bare,
        coat=made.coat * bare,
    )


def _worn(graph: Graph, at: Coordinates, weather: Weather, made: Surface) -> Surface:
    """Rubbed in patches, first what stands out, and scratched: pale, its gloss and its coat gone."""
    high = graph.math("MULTIPLY", graph.math("SUBTRACT", made.height, 0.5), 0.14)
    rubbed = _patches(graph, at, 11.0, 1.2 / weather.scale, 6.0) + high
    level = 0.5 + 0.36 * (0.5 - weather.worn)
    fine = graph.vector("MULTIPLY", graph.warp(at.uv, 1.0 / weather.scale, 0.25 * weather.scale), (1.0, 24.0, 1.0))
    scratches = graph.ramp(graph.noise(fine, 2.0 / weather.scale, detail=3.0, roughness=0.75), 0.58, 0.7, 0.0, 0.8)
    scratched = scratches * weather.worn
    worn = graph.math("MAXIMUM", graph.ramp(rubbed, level - 0.05, level + 0.07), scratched)
    inputs = {0: made.color, 1: LUMINANCE_WEIGHTS}
    grey = graph.node("ShaderNodeVectorMath", inputs, operation="DOT_PRODUCT").outputs[1]
    # A third of the way to white, and half of its colour lost.
    pale = grey * 0.67 + 0.16
    faded = graph.mix(0.5, made.color, graph.combine(pale, pale, pale))
    return replace(
        made,
        color=graph.mix(worn, made.color, faded),
        roughness=graph.mix_number(worn, made.roughness, _RUBBED),
        coat=made.coat * (1.0 - worn),
    )


def _rusty(graph: Graph, at: Coordinates, weather: Weather, made: Surface) -> Surface:
    """Crusts of rust with a thin rim, whatever they grow on."""
    level = 0.5 + 0.32 * (0.5 - weather.rusty)
    crust = graph.ramp(_patches(graph, at, 23.0, 1.1 / weather.scale, 7.0), level - 0.03, level + 0.05)
    return _covered(graph, made, crust, rust_color(graph, at, 2.0 * weather.scale), _CRUST)


def _dusty(graph: Graph, at: Coordinates, weather: Weather, made: Surface) -> Surface:
    """A film of dust, thicker in patches and where it is low."""
    low = graph.math("MULTIPLY", graph.math("SUBTRACT", 0.5, made.height), 0.2)
    broad = _patches(graph, at, 37.0, 0.8 / weather.scale, 4.0) * 0.75
    grains = _patches(graph, at, 41.0, 30.0 / weather.scale, 2.0) * 0.25
    lies = broad + grains + low
    thin, thick = (_HIDES * (1.3 * weather.dusty - gap) for gap in (0.75, 0.3))
    film = graph.ramp(lies, 0.35, 0.65, thin, thick)
    cover = graph.math("MINIMUM", graph.math("MAXIMUM", film, 0.0), _HIDES)
    return _covered(graph, made, cover, _DUST, _POWDER)
