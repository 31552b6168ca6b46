# SPDX-License-Identifier: GPL-3.0-or-later
"""What covers things rather than rooms: skins of fruit, painted figures, brush strokes, glazes, printed labels.

They know where the thing begins and ends: ``scale`` is its size in metres, its foot at z = 0, its face towards −y.
Never drawn as the others are: specs.clothing gives them to what they fit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dataset_tools.description.covering import Color, Material
from dataset_tools.description.sampling import choose, natural, palette, palettes, uniform
from dataset_tools.materials.family import PaletteSampler, family
from dataset_tools.materials.graph import Graph, Socket, Value
from dataset_tools.materials.layout import blocks
from dataset_tools.materials.library.printed import emblem
from dataset_tools.materials.surface import Coordinates, Surface


def _mostly(chance: float, *known: Sequence[str]) -> PaletteSampler:
    """Draws the colours of these palettes, ``chance`` times as often as any."""
    return lambda rng: choose(rng, (natural(rng, *known), palette(rng, len(known[0]))), (chance, 1.0))


def _unit(graph: Graph, at: Coordinates, material: Material) -> Socket:
    """The position in the thing as a share of its size."""
    return graph.vector("SCALE", at.solid, 1.0 / material.scale)


@family(
    4,
    (1.0, 1.0),
    natural=palettes(
        # Ground, blush, streaks and specks, the ends.
        ("#c9b84a", "#a8281f", "#d9c877", "#8f9a3c"),
        ("#8fa83a", "#b5402c", "#c9cf86", "#6a7a2c"),
        ("#8c1f22", "#6b1420", "#c46a4a", "#a88a3a"),
        ("#d9862a", "#c96a1c", "#e0a452", "#a8822f"),
        ("#dcc23c", "#cfae2e", "#e6d478", "#a0a03c"),
        ("#6d7f3a", "#566a2e", "#a3ae6a", "#4f5a2a"),
        ("#c23a26", "#a82a1e", "#d96a4a", "#5c7a2e"),
        ("#4a2a48", "#3a2038", "#7a5a78", "#5a6a3a"),
        ("#e0b48a", "#c9623c", "#ecd0a8", "#b89a5a"),
        ("#c98a4a", "#a8682c", "#dcae78", "#7a5a36"),
        ("#b98f5e", "#9c7244", "#cfb083", "#6f5233"),
        ("#e2cdb0", "#cfae88", "#efe0cc", "#b8a080"),
    ),
    parameters=lambda rng: {
        "blush": choose(rng, (0.0, uniform(rng, 0.3, 1.0)), (1.0, 2.0)),
        "side": uniform(rng, 0.0, 2.0 * math.pi),
        "streaks": choose(rng, (0.0, uniform(rng, 0.1, 0.7)), (1.0, 1.0)),
        "specks": choose(rng, (0.0, uniform(rng, 0.2, 0.9)), (1.0, 1.5)),
        "spacing": uniform(rng, 12.0, 34.0),
        "ends": choose(rng, (0.0, uniform(rng, 0.3, 0.9)), (1.0, 1.5)),
        "pores": uniform(rng, 20.0, 60.0),
    },
    roughness=(0.22, 0.75),
    specular=(0.25, 0.5),
    relief=(0.0, 0.006),
    weight=0.0,
)
def fruit_skin(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Fruit: a ground with a blush on one side, streaks from pole to pole, specks, another colour at the ends."""
    parameters = material.parameters
    ground, blush, speck, end = material.colors
    place = _unit(graph, at, material)
    x, y, z = graph.xyz(place)
    clouds = graph.noise(place, 2.2, detail=4.0, roughness=0.6)
    lean = x * math.cos(parameters["side"])
    lean = lean + y * math.sin(parameters["side"])
    side = lean * 0.8 + clouds
    color: Value = graph.mix(graph.ramp(side, 0.35, 0.75, 0.0, parameters["blush"]), ground, blush)
    if parameters["streaks"]:
        # Around the axis in short steps, along it in long ones.
        turn = graph.math("ARCTAN2", y, x)
        around = graph.combine(turn * 7.0, z * 1.2, 0.0)
        streak = graph.noise(around, 1.6, detail=4.0, roughness=0.7)
        color = graph.mix(graph.ramp(streak, 0.5, 0.68, 0.0, parameters["streaks"]), color, speck)
    if parameters["specks"]:
        dots = graph.voronoi(place, parameters["spacing"]).outputs["Distance"]
        color = graph.mix(graph.ramp(dots, 0.1, 0.2, parameters["specks"], 0.0), color, speck)
    if parameters["ends"]:
        pole = graph.length(graph.combine(x, y))
        near = pole + (clouds - 0.5) * 0.3
        color = graph.mix(graph.ramp(near, 0.08, 0.26, parameters["ends"], 0.0), color, end)
    color = graph.shade(color, graph.ramp(graph.noise(place, 9.0, detail=4.0), 0.3, 0.7, 0.92, 1.06))
    return Surface(color, height=graph.noise(place, parameters["pores"], detail=2.0))


@family(
    3,
    (1.0, 1.0),
    natural=_mostly(
        3.0,
        # Back, belly, marks.
        ("#3f6a48", "#e2ddcc", "#2c4a36"),
        ("#6a5236", "#e6e0d2", "#42321f"),
        ("#8a6a48", "#d9c4a0", "#5a4026"),
        ("#4a4a4c", "#dcdad6", "#2c2c2e"),
        ("#c98a3c", "#efe2c8", "#4a3422"),
        ("#b8b2a6", "#ece9e2", "#8a847a"),
        ("#d6d2c8", "#efece6", "#a89f92"),
        ("#5a7aa0", "#e2e6ea", "#2f4a6f"),
        ("#a8442f", "#e9cdb8", "#6a2a1f"),
        ("#d9b8a8", "#f0e2da", "#b87f72"),
    ),
    parameters=lambda rng: {
        "edge": uniform(rng, -0.1, 0.45),
        "softness": choose(rng, (0.015, uniform(rng, 0.05, 0.25))),
        "marks": choose(rng, (0.0, uniform(rng, 0.4, 1.0)), (1.0, 1.5)),
        "mark_size": uniform(rng, 3.0, 9.0),
        "stripes": choose(rng, (0.0, 1.0), (2.0, 1.0)),
        "brush": uniform(rng, 0.0, 0.25),
        "pores": uniform(rng, 20.0, 70.0),
    },
    roughness=(0.35, 0.95),
    specular=(0.15, 0.5),
    relief=(0.0, 0.012),
    weight=0.0,
)
def painted_figure(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """A figurine painted by hand: back and belly, patches or stripes, brush marks, paint thin where it stands out."""
    parameters = material.parameters
    back, belly, mark = material.colors
    place = _unit(graph, at, material)
    _, y, z = graph.xyz(place)
    wobble = graph.noise(place, 4.0, detail=3.0) - 0.5
    height = z + y * 0.3 + wobble * 0.5
    color: Value = graph.mix(graph.step(height, parameters["edge"], parameters["softness"]), belly, back)
    if parameters["marks"]:
        if parameters["stripes"]:
            bent = y * parameters["mark_size"] + wobble * 3.0
            spots = 0.5 + graph.math("SINE", bent * 6.0) * 0.2
        else:
            spots = graph.noise(place, parameters["mark_size"], detail=1.0, distortion=0.3)
        painted = graph.ramp(spots, 0.57, 0.6) * parameters["marks"]
        color = graph.mix(painted * graph.step(height, parameters["edge"], 0.1), color, mark)
    hairs = graph.noise(graph.vector("MULTIPLY", place, (1.0, 0.35, 1.0)), 40.0, detail=3.0, roughness=0.7)
    depth = parameters["brush"]
    color = graph.shade(color, graph.ramp(hairs, 0.3, 0.7, 1.0 - depth, 1.0 + depth))
    return Surface(color, height=graph.noise(place, parameters["pores"], detail=3.0, roughness=0.6))


def _stroke_colors(rng: np.random.Generator) -> tuple[Color, ...]:
    """Ground and three inks."""
    ground = natural(
        rng, ("#e6e2da",), ("#d8d0c2",), ("#ece9e4",), ("#c9c4ba",), ("#e0d3b8",), ("#b8c4cc",), ("#dcb8a8",)
    )
    inks = natural(
        rng,
        ("#2f5fa8", "#b8322c", "#2f8a6a"),
        ("#2b2a2c", "#a83a2a", "#3a5a8a"),
        ("#3f7fc4", "#2a4f9c", "#78a8d8"),
        ("#c96a2a", "#3a8a8a", "#6a3a7a"),
        ("#7a2a24", "#a84a3a", "#5a1f1c"),
        ("#3a6a3a", "#8aa848", "#c9a83a"),
    )
    return (*ground, *inks)


@family(
    4,
    (1.0, 1.0),
    natural=_stroke_colors,
    parameters=lambda rng: {
        "density": uniform(rng, 2.5, 7.0),
        "width": uniform(rng, 0.006, 0.03),
        "gaps": uniform(rng, 0.42, 0.56),
        "stretch": uniform(rng, 0.5, 1.0),
        "stars": choose(rng, (0.0, 1.0), (2.0, 1.0)),
    },
    roughness=(0.3, 0.98),
    specular=(0.15, 0.5),
    relief=(0.0, 0.003),
    weight=0.0,
)
def strokes(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Strokes of a brush or a pen in three inks, winding over a plain ground, and perhaps dots between them."""
    parameters = material.parameters
    place = graph.vector("MULTIPLY", _unit(graph, at, material), (1.0, 1.0, parameters["stretch"]))
    color: Value = material.colors[0]
    for number, ink in enumerate(material.colors[1:]):
        moved = graph.vector("ADD", place, (3.7 * number + 1.3, 11.1 * number, 5.9 * number))
        field = graph.noise(moved, parameters["density"], detail=0.5)
        away = abs(field - 0.5)
        line = graph.ramp(away, parameters["width"] * 0.7, parameters["width"], 1.0, 0.0)
        somewhere = graph.noise(graph.vector("ADD", moved, (0.0, 0.0, 31.0)), 1.5 * parameters["density"], detail=0.0)
        color = graph.mix(line * graph.ramp(somewhere, parameters["gaps"], parameters["gaps"] + 0.02), color, ink)
    if parameters["stars"]:
        dots = graph.voronoi(place, 1.6 * parameters["density"])
        chance, _, _ = graph.xyz(dots.outputs["Color"])
        drawn = (dots.outputs["Distance"] < 0.22) * (chance < 0.4)
        color = graph.mix(drawn, color, material.colors[1])
    grain = graph.noise(at.solid, 60.0 / material.scale, detail=3.0)
    return Surface(graph.shade(color, graph.ramp(grain, 0.3, 0.7, 0.96, 1.03)), height=grain)


@family(
    4,
    (1.0, 1.0),
    natural=_mostly(
        3.0,
        # Clay, glaze, second glaze, bands.
        ("#a8714a", "#d9d2c2", "#3f5a7a", "#2f3f5a"),
        ("#b5805a", "#6a8a8a", "#c9c2b0", "#4a3a2c"),
        ("#8f5a3c", "#3a3430", "#8a6a48", "#c9b08a"),
        ("#c9b89c", "#e6e2d8", "#2f5a9c", "#2f5a9c"),
        ("#b8694a", "#5a7a4a", "#8a9a5a", "#3a4a30"),
        ("#9c6a4c", "#b8542f", "#d9a05a", "#5a2a1c"),
        ("#c4a888", "#a8b8b0", "#6a8a86", "#3f5a58"),
        ("#d9cbb8", "#efece6", "#a83a34", "#2c2c30"),
    ),
    parameters=lambda rng: {
        "bare": choose(rng, (-1.0, uniform(rng, 0.04, 0.35)), (1.0, 1.0)),
        "drips": uniform(rng, 0.02, 0.2),
        "second": choose(rng, (9.0, uniform(rng, 0.4, 0.9)), (1.0, 1.0)),
        "bands": choose(rng, (0.0, uniform(rng, 5.0, 14.0)), (2.0, 1.0)),
        "duty": uniform(rng, 0.1, 0.5),
        "specks": choose(rng, (0.0, uniform(rng, 0.3, 0.9)), (1.0, 1.0)),
        "mottle": uniform(rng, 0.0, 0.3),
    },
    roughness=(0.06, 0.45),
    specular=(0.35, 0.6),
    relief=(0.0, 0.012),
    weight=0.0,
)
def glaze(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Pottery: bare clay at the foot, a glaze that ran down, a second one from the rim, painted bands, iron specks."""
    parameters = material.parameters
    clay, first, second, band = material.colors
    place = _unit(graph, at, material)
    _, _, z = graph.xyz(place)
    clouds = graph.noise(place, 3.0, detail=4.0, roughness=0.6)
    ran = graph.noise(graph.vector("MULTIPLY", place, (1.0, 1.0, 0.12)), 7.0, detail=2.0)
    edge = z + (ran - 0.5) * (3.0 * parameters["drips"])
    mottle = parameters["mottle"]
    color: Value = graph.shade(first, graph.ramp(clouds, 0.3, 0.7, 1.0 - mottle, 1.0 + 0.6 * mottle))
    color = graph.mix(graph.step(edge, parameters["second"], 0.05), color, second)
    if parameters["bands"]:
        ring = graph.math("FRACT", z * parameters["bands"])
        wobble = (clouds - 0.5) * 0.25
        some = graph.math("SINE", z * 9.0) > 0.0
        line = ring + wobble < parameters["duty"]
        color = graph.mix(line * some, color, band)
    if parameters["specks"]:
        dots = graph.voronoi(place, 45.0)
        chance, _, _ = graph.xyz(dots.outputs["Color"])
        speck = graph.ramp(dots.outputs["Distance"], 0.15, 0.3, 1.0, 0.0) * (chance < 0.3)
        color = graph.mix(speck * parameters["specks"], color, graph.shade(clay, 0.35))
    glazed = graph.step(edge, parameters["bare"], 0.012)
    grain = graph.noise(place, 40.0, detail=3.0)
    raw = graph.shade(clay, graph.ramp(grain, 0.3, 0.7, 0.88, 1.08))
    return Surface(
        graph.mix(glazed, raw, color),
        height=glazed * 0.4 + grain * 0.3,
        roughness=graph.mix_number(glazed, 0.85, material.roughness),
    )


def _label(rng: np.random.Generator) -> dict[str, float]:
    """``aspect`` is the label's width over its height, which the description knows."""
    return {
        "aspect": 1.0,
        "band": choose(rng, (0.0, uniform(rng, 0.08, 0.3)), (1.0, 3.0)),
        "foot": choose(rng, (0.0, uniform(rng, 0.05, 0.3)), (1.0, 2.0)),
        "round": choose(rng, (2.0, 8.0), (2.0, 1.0)),
        "badge": choose(rng, (0.0, uniform(rng, 0.22, 0.42)), (1.0, 4.0)),
        "badge_at": uniform(rng, -0.12, 0.15),
        "badge_wide": uniform(rng, 0.7, 1.5),
        "border": uniform(rng, 0.03, 0.14),
        "title": uniform(rng, 0.1, 0.2),
        "picture": choose(rng, (0.0, 1.0), (1.0, 1.0)),
        "small": choose(rng, (0.0, 1.0), (1.0, 2.0)),
        "wear": choose(rng, (0.0, uniform(rng, 0.0, 0.5))),
    }


def _words(graph: Graph, x: Socket, y: Socket, height: float, seed: float) -> Socket:
    """1 on the letters of lines of print of this height; x, y in the label's heights."""
    width = 0.62 * height
    found = blocks(graph, graph.combine(x, y), width, height)
    inner_x, inner_y = found.centred(width, height)
    name = graph.vector("ADD", found.name, (seed, 0.0, seed))
    space, _, _ = graph.xyz(graph.random(graph.vector("ADD", name, (0.5, 0.5, 3.0))))
    letter = emblem(graph, inner_x, inner_y, 0.75 * height, name)
    return letter * (space > 0.12)


def _between(graph: Graph, value: Socket, middle: float, half: float) -> Socket:
    return abs(value - middle) < half


@family(
    5,
    (1.0, 1.0),
    natural=_mostly(
        4.0,
        # Ground, band, badge, ink, second ink.
        ("#1f6a4a", "#174f38", "#ece6d6", "#2c2c2c", "#c9a24a"),
        ("#b8282a", "#8a1a1e", "#efe9dc", "#b8282a", "#e0b84a"),
        ("#e9e4d8", "#2f5a9c", "#2f5a9c", "#ece9e2", "#c23a2c"),
        ("#e8c23a", "#c9362c", "#efe9dc", "#2c2a28", "#c9362c"),
        ("#2c2a2b", "#8a6a3a", "#1f1e1f", "#d9b86a", "#e6e0d2"),
        ("#efe9e0", "#d98a9c", "#efe9e0", "#7a3a4a", "#5a8a6a"),
        ("#3a7fb8", "#ece9e2", "#ece9e2", "#1f4a7a", "#e08a2c"),
        ("#d9d0bc", "#6a5236", "#c9b894", "#3a2c20", "#8a3a2a"),
        ("#6a3a7a", "#e0c44a", "#ece6f0", "#4a2458", "#e0c44a"),
        ("#5a9a4a", "#e9e6da", "#e0d84a", "#2c5a2c", "#c9362c"),
    ),
    parameters=_label,
    roughness=(0.2, 0.8),
    specular=(0.3, 0.55),
    relief=(0.0, 0.001),
    weight=0.0,
)
def label(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """A printed label or packaging: bands at head and foot, a badge with a title, a picture, small print."""
    parameters = material.parameters
    ground, band, badge, ink, second = material.colors
    aspect = parameters["aspect"]
    u, v, _ = graph.xyz(graph.vector("SCALE", at.uv, 1.0 / material.scale))
    # Around a tin the same label comes again.
    u = (u + 0.5 * aspect) % aspect - 0.5 * aspect
    color: Value = ground
    if parameters["picture"]:
        figure = graph.noise(graph.combine(u, v, parameters["title"] * 50.0), 2.2, detail=2.0, distortion=0.6)
        shown = graph.ramp(figure, 0.54, 0.56) * (v < 0.1)
        color = graph.mix(shown, color, second)
    for limit, sign in ((parameters["band"], 1.0), (parameters["foot"], -1.0)):
        if limit:
            color = graph.mix(v * sign > 0.5 - limit, color, band)
    middle = parameters["badge_at"]
    if parameters["badge"]:
        reach = parameters["badge"]
        wide = min(reach * parameters["badge_wide"], 0.46 * aspect)
        power = parameters["round"]
        across = abs(u / wide) ** power
        along = (v - middle) / (0.6 * reach)
        along = abs(along) ** power
        inside = across + along
        color = graph.mix(inside < (1.0 + parameters["border"]) ** power, color, second)
        color = graph.mix(inside < 1.0, color, badge)
    high = parameters["title"]
    length = min(0.42 * aspect, max(0.7 * parameters["badge"] * parameters["badge_wide"], 0.2))
    lifted = v - (middle - 0.5 * high)
    title = _words(graph, u, lifted, high, 3.0) * _between(graph, v, middle, 0.5 * high)
    color = graph.mix(title * _between(graph, u, 0.0, length), color, ink)
    if parameters["small"]:
        lines = _words(graph, u, v, 0.035, 9.0)
        block = _between(graph, v, -0.33, 0.1) * _between(graph, u, 0.0, 0.38 * aspect)
        color = graph.mix(lines * block, color, graph.mix(0.5, ink, band))
    worn = graph.noise(at.solid, 3.0 / material.scale, detail=5.0, roughness=0.7)
    color = graph.mix(
        graph.ramp(worn, 0.6, 0.75, 0.0, parameters["wear"]), color, graph.mix(0.5, ground, (0.5, 0.47, 0.42))
    )
    return Surface(
        color, height=worn, roughness=graph.ramp(worn, 0.4, 0.7, material.roughness, material.roughness + 0.08)
    )


FAMILIES = (fruit_skin, painted_figure, strokes, glaze, label)
