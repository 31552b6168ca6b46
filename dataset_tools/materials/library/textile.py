# SPDX-License-Identifier: GPL-3.0-or-later
"""Cloth: woven, twilled, checked, knitted, felted, tufted; and wicker, which is woven too."""

from __future__ import annotations

from dataclasses import dataclass

from dataset_tools.description.covering import Material
from dataset_tools.description.sampling import choose, palettes, uniform
from dataset_tools.materials.family import family
from dataset_tools.materials.graph import Graph, Socket, Value
from dataset_tools.materials.surface import Coordinates, Surface


@dataclass(frozen=True)
class _Threads:
    """Interlaced threads at a point: which lies on top (1: warp, along v), where the point lies in the part of it
    that is seen (across and along, in [-0.5, 0.5]), how high, in [0, 1], and vectors that name the thread and run
    along it."""

    warp: Socket
    across: Socket
    height: Socket
    name: Socket
    strand: Socket


def _interlaced(graph: Graph, u: Socket, v: Socket, float_length: float, group: float = 1.0) -> _Threads:
    """Warp and weft; ``u`` and ``v`` count threads.

    The warp passes over ``float_length`` wefts, then under one, each thread one step later than its neighbour: 1 is
    plain weave, 2 or 3 is twill. ``group`` threads lie side by side as one.
    """
    period = float_length + 1.0
    bundle_u = u / group
    step = (v / group + graph.math("FLOOR", bundle_u)) % period
    warp = step < float_length
    across_u = graph.math("FRACT", u) - 0.5
    across_v = graph.math("FRACT", v) - 0.5
    along_warp = step / float_length - 0.5
    along_weft = graph.math("FRACT", bundle_u) - 0.5
    across = graph.mix_number(warp, across_v, across_u)
    along = graph.mix_number(warp, along_weft, along_warp)
    # A thread is round, and dives at the ends of its float.
    roundness = 1.0 - across * across * 3.0
    squared = along * along
    bulge = 1.0 - squared * squared * 10.0
    height = graph.math("MULTIPLY", roundness, bulge, clamp=True)
    number = graph.mix_number(warp, graph.math("FLOOR", v), graph.math("FLOOR", u))
    run = graph.mix_number(warp, u, v)
    return _Threads(warp, across, height, graph.combine(number, warp), graph.combine(run, across, number))


def _yarn_tone(graph: Graph, threads: _Threads, spread: float) -> Socket:
    """How light a thread is: each of its own tone, and thick and thin along its length."""
    own = graph.ramp(graph.xyz(graph.random(threads.name))[0], 0.0, 1.0, 1.0 - spread, 1.0 + 0.6 * spread)
    slub = graph.noise(graph.vector("MULTIPLY", threads.strand, (0.22, 0.0, 7.3)), 1.0, detail=2.0)
    return own * graph.ramp(slub, 0.3, 0.7, 1.0 - 0.7 * spread, 1.0 + 0.4 * spread)


def _fibres(graph: Graph, threads: _Threads) -> Socket:
    """Spun fibres that twist around their thread: a height, or a tone, in [0, 1]."""
    run, across, number = graph.xyz(threads.strand)
    twisted = graph.combine(run + across * 0.8, across, number)
    return graph.noise(graph.vector("MULTIPLY", twisted, (3.0, 3.0, 7.3)), 1.6, detail=2.0, roughness=0.6)


def _soiled(graph: Graph, at: Coordinates, scale: float, amount: float = 0.15) -> Socket:
    """Faint broad stains and fading, as a factor for a colour."""
    broad = graph.noise(at.solid, 1.0 / scale, detail=4.0, roughness=0.6)
    return graph.ramp(broad, 0.3, 0.7, 1.0 - amount, 1.0 + 0.4 * amount)


def _counts(graph: Graph, at: Coordinates, width: float, sag: float) -> tuple[Socket, Socket]:
    """Threads counted across and up, pulled out of line here and there; ``sag`` is in threads."""
    pull = graph.vector("SUBTRACT", graph.noise_color(at.uv, 0.12 / width, 1.0), (0.5, 0.5, 0.5))
    counted = graph.vector("ADD", graph.vector("SCALE", at.uv, 1.0 / width), graph.vector("SCALE", pull, sag))
    u, v, _ = graph.xyz(counted)
    return u, v


def _woven_surface(graph: Graph, at: Coordinates, material: Material, threads: _Threads, color: Socket) -> Surface:
    parameters = material.parameters
    fibres = _fibres(graph, threads)
    tone = _yarn_tone(graph, threads, parameters["variation"]) * graph.ramp(fibres, 0.3, 0.7, 0.75, 1.12)
    color = graph.shade(color, tone * _soiled(graph, at, 8.0 * material.scale))
    height = threads.height * graph.ramp(fibres, 0.25, 0.75, 0.78, 1.0)
    return Surface(color, height=height)


@family(
    2,
    (0.06, 0.14),
    natural=palettes(
        ("#d8cdb8", "#bfae90"),  # raw linen
        ("#e6e1d6", "#cfc8ba"),  # cotton
        ("#9b8b74", "#75664f"),  # burlap
        ("#44577a", "#b9bfc8"),
        ("#7d2f33", "#a86a5a"),
        ("#5c6b4c", "#8d946f"),
        ("#3f4247", "#85898f"),
        ("#c28a3c", "#8b5a2a"),
        ("#4d7a80", "#d3cfbe"),
    ),
    parameters=lambda rng: {
        "group": choose(rng, (1.0, 2.0, 3.0), (2.0, 1.0, 0.5)),
        "variation": uniform(rng, 0.05, 0.3),
        "sag": uniform(rng, 0.3, 1.6),
    },
    roughness=(0.75, 1.0),
    specular=(0.05, 0.3),
    relief=(0.25, 0.6),
)
def woven_cloth(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Plain weave of thick yarn, over and under; or two or three threads side by side, as basket weave."""
    u, v = _counts(graph, at, material.scale, material.parameters["sag"])
    threads = _interlaced(graph, u, v, 1.0, material.parameters["group"])
    color = graph.mix(threads.warp, material.colors[1], material.colors[0])
    return _woven_surface(graph, at, material, threads, color)


@family(
    2,
    (0.045, 0.1),
    natural=palettes(
        ("#3d5378", "#c6ccd3"),
        ("#2c3a55", "#9fa9b8"),
        ("#6d8aae", "#dfe3e6"),
        ("#3a3b3f", "#8e8f92"),
        ("#8a7b5e", "#c9bfa6"),
        ("#5a6350", "#aeb09c"),
    ),
    parameters=lambda rng: {
        "float": choose(rng, (2.0, 3.0)),
        "variation": uniform(rng, 0.1, 0.35),
        "wash": uniform(rng, 0.0, 0.6),
        "sag": uniform(rng, 0.2, 0.8),
    },
    roughness=(0.8, 1.0),
    specular=(0.05, 0.25),
    relief=(0.25, 0.55),
)
def denim(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Twill: dyed warp over white weft in diagonal ribs, washed out in places."""
    u, v = _counts(graph, at, material.scale, material.parameters["sag"])
    threads = _interlaced(graph, u, v, material.parameters["float"])
    wash = graph.noise(at.solid, 0.07 / material.scale, detail=4.0, roughness=0.6)
    worn = graph.ramp(wash, 0.4, 0.7) * material.parameters["wash"]
    # What stands out is rubbed off first.
    dyed = graph.mix(worn * threads.height, material.colors[0], material.colors[1])
    color = graph.mix(threads.warp, material.colors[1], dyed)
    return _woven_surface(graph, at, material, threads, color)


def _sett(graph: Graph, count: Socket, material: Material) -> Socket:
    """The colour of a thread: broad bands, mirrored about their middles, with narrow stripes in them."""
    parameters = material.parameters
    middle = graph.math("FLOOR", count) + 0.5
    x = graph.math("PINGPONG", middle, parameters["threads"]) / parameters["threads"]
    broad = parameters["broad"]
    color = graph.mix(x > broad, material.colors[0], material.colors[1])
    inner = abs(x - (broad + parameters["inner"] * (1.0 - broad))) < 0.07
    color = graph.mix(inner, color, material.colors[2])
    line = abs(x - 0.5 * broad) < 0.5 * parameters["line"]
    line = graph.math("MAXIMUM", line, x < 0.5 * parameters["middle"])
    return graph.mix(line, color, material.colors[3])


@family(
    4,
    (0.5, 1.1),
    natural=palettes(
        ("#a3282c", "#2d4a36", "#2b3350", "#e0c95a"),
        ("#2f4f3a", "#26304f", "#3c3a3a", "#d9d4c5"),
        ("#d6c7a5", "#3a3735", "#b3302f", "#f0ece0"),
        ("#6f7478", "#3b3e43", "#a9adb0", "#8f3338"),
        ("#31436b", "#6d7f9e", "#22283a", "#d8dde2"),
        ("#8c6b48", "#4f3a2a", "#c9b592", "#5a7052"),
        ("#e8e4da", "#a43a3a", "#a43a3a", "#c77a72"),  # kitchen cloth
    ),
    parameters=lambda rng: {
        "threads": choose(rng, (14.0, 18.0, 24.0, 32.0)),
        "broad": uniform(rng, 0.35, 0.65),
        "inner": uniform(rng, 0.3, 0.9),
        "line": uniform(rng, 0.06, 0.14),
        "middle": uniform(rng, 0.05, 0.14),
        "variation": uniform(rng, 0.03, 0.15),
        "sag": uniform(rng, 0.2, 1.2),
    },
    roughness=(0.8, 1.0),
    specular=(0.05, 0.25),
    relief=(0.008, 0.022),
)
def tartan(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Plaid: coloured stripes in warp and weft that mix thread by thread where they cross."""
    u, v = _counts(graph, at, material.scale / material.parameters["threads"], material.parameters["sag"])
    warp, weft = _sett(graph, u, material), _sett(graph, v, material)
    # Two over, two under, one step later each thread.
    step = (graph.math("FLOOR", u) + graph.math("FLOOR", v)) % 4.0
    top = step < 1.5
    across = graph.math("FRACT", graph.mix_number(top, v, u)) - 0.5
    height = 1.0 - across * across * 3.0
    number = graph.mix_number(top, graph.math("FLOOR", v), graph.math("FLOOR", u))
    run = graph.mix_number(top, u, v)
    threads = _Threads(top, across, height, graph.combine(number, top), graph.combine(run, across, number))
    return _woven_surface(graph, at, material, threads, graph.mix(top, weft, warp))


@family(
    3,
    (0.08, 0.17),
    natural=palettes(
        ("#c9a36a", "#a97f48", "#3c2c1e"),
        ("#a8743f", "#7c5029", "#2d2019"),
        ("#dcc79c", "#bfa26e", "#54432f"),
        ("#6b4a30", "#4c3322", "#261b16"),
        ("#d9d5cc", "#b9b4a9", "#55504a"),
        ("#a9a58f", "#847f6a", "#3a372e"),
    ),
    parameters=lambda rng: {
        "stakes": uniform(rng, 1.5, 3.0),
        "group": choose(rng, (1.0, 2.0)),
        "gap": uniform(rng, 0.36, 0.47),
        "variation": uniform(rng, 0.3, 0.9),
    },
    roughness=(0.4, 0.85),
    relief=(0.2, 0.45),
)
def wicker(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Rattan or willow rods around stakes, dark where one sees through; each rod with streaks of its own."""
    parameters = material.parameters
    u, v = _counts(graph, at, material.scale, 0.6)
    threads = _interlaced(graph, u / parameters["stakes"], v, 1.0, 1.0)
    streaks = graph.noise(graph.vector("MULTIPLY", threads.strand, (0.35, 5.0, 7.3)), 1.3, detail=3.0, roughness=0.6)
    tone = graph.xyz(graph.random(threads.name))[0]
    mixed = tone * parameters["variation"] + graph.ramp(streaks, 0.3, 0.7, -0.15, 0.6)
    rod = graph.shade(
        graph.mix(mixed, material.colors[0], material.colors[1]), _soiled(graph, at, 6.0 * material.scale, 0.25)
    )
    inside = abs(threads.across)
    hole = graph.ramp(inside, parameters["gap"], parameters["gap"] + 0.04)
    height = threads.height * graph.ramp(streaks, 0.3, 0.7, 0.9, 1.0)
    height = height * (1.0 - hole)
    return Surface(graph.mix(hole, rod, material.colors[2]), height=height)


def _motif(graph: Graph, column: Socket, row: Socket, material: Material) -> Value:
    """Which yarn a stitch is knitted of: one colour, stripes, or stripes with lozenges between."""
    parameters, colors = material.parameters, material.colors
    if parameters["motif"] == 0.0:
        return colors[0]
    repeat = parameters["repeat"]
    band = graph.math("FLOOR", row / repeat)
    kind = band % 3.0
    second = kind > 0.5
    third = kind > 1.5
    if parameters["motif"] == 2.0:
        half = 0.5 * repeat
        x = abs(column % repeat - half)
        y = abs(row % repeat - half)
        lozenge = x + y < half - 0.5
        return graph.mix(lozenge * second, graph.mix(third, colors[0], colors[2]), colors[1])
    return graph.mix(third, graph.mix(second, colors[0], colors[1]), colors[2])


@family(
    3,
    (0.1, 0.22),
    natural=palettes(
        ("#d9cfbd", "#8c3b3b", "#3d4a5e"),
        ("#7b8794", "#c9cdd0", "#4a525b"),
        ("#a33e3a", "#e4dccb", "#5f2b2b"),
        ("#3f5d52", "#d4c9a8", "#8c9a6b"),
        ("#c9a24f", "#7a5a2e", "#efe6cf"),
        ("#4a4440", "#8b8178", "#d0c8bc"),
        ("#b98a93", "#e2d3cf", "#7f5560"),
        ("#3a4f78", "#e0e0dc", "#a33e3a"),
    ),
    parameters=lambda rng: {
        "aspect": uniform(rng, 0.6, 0.85),
        "slope": uniform(rng, 1.6, 2.4),
        "motif": choose(rng, (0.0, 1.0, 2.0), (2.0, 1.0, 1.0)),
        "repeat": choose(rng, (4.0, 6.0, 8.0)),
        "variation": uniform(rng, 0.05, 0.2),
    },
    roughness=(0.8, 1.0),
    specular=(0.05, 0.25),
    relief=(0.25, 0.6),
)
def knit(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Stocking stitch: columns of V, each of two round, leaning legs of woolly yarn; plain, striped or patterned."""
    parameters = material.parameters
    u, v = _counts(graph, at, material.scale, 0.7)
    column = graph.math("FLOOR", u)
    side = abs(graph.math("FRACT", u) - 0.5)
    # The legs rise outwards from the middle of their column.
    climbed = v / parameters["aspect"] - side * parameters["slope"]
    row = graph.math("FLOOR", climbed)
    y = graph.math("FRACT", climbed) - 0.5
    x = (side - 0.25) * 4.0
    hollow = y * y * 2.9
    ends = x * x * 0.8
    leg = graph.math("SUBTRACT", 1.0 - hollow, ends, clamp=True)
    # The plies of the yarn run along the leg, which leans against the row.
    plies = graph.noise(graph.combine(u * 1.5, climbed * 6.0, row), 1.0, detail=2.0)
    fuzz = graph.noise(at.uv, 7.0 / material.scale, detail=3.0, roughness=0.7)
    yarn = _motif(graph, column, row, material)
    own = graph.xyz(graph.random(graph.combine(column, row)))[0]
    tone = graph.ramp(own, 0.0, 1.0, 1.0 - parameters["variation"], 1.0 + 0.4 * parameters["variation"])
    tone = tone * graph.ramp(fuzz, 0.3, 0.7, 0.76, 1.12)
    tone = tone * graph.ramp(plies, 0.3, 0.7, 0.8, 1.08)
    color = graph.shade(yarn, tone * _soiled(graph, at, 8.0 * material.scale))
    rough = graph.ramp(plies, 0.3, 0.7, 0.6, 0.8) + fuzz * 0.2
    return Surface(color, height=leg * rough)


def _strands(graph: Graph, at: Coordinates, scale: float, turn: float) -> Socket:
    """Curly hairs in one direction, as a noise."""
    # As a texture's mapping, which turns first and then stretches.
    inputs = {"Vector": at.solid, "Rotation": (0.0, 0.3, turn), "Scale": (5.0, 1.0, 1.0)}
    turned = graph.node("ShaderNodeMapping", inputs, vector_type="TEXTURE").outputs[0]
    return graph.noise(turned, 11.0 / scale, detail=2.0, roughness=0.6, distortion=0.7)


@family(
    2,
    (0.3, 0.7),
    natural=palettes(
        ("#8b8c8c", "#d2d1cd"),
        ("#4b4d50", "#8f8f90"),
        ("#3e6b4a", "#5f8a66"),
        ("#8f2f34", "#b4565a"),
        ("#c9bba0", "#9c8b6f"),
        ("#3b5072", "#6a7fa1"),
        ("#c58f2e", "#dfb565"),
        ("#6d5a7a", "#9a88a6"),
    ),
    parameters=lambda rng: {
        "mottling": uniform(rng, 0.15, 0.8),
        "fuzz": uniform(rng, 0.08, 0.25),
        "dents": uniform(rng, 0.1, 0.6),
    },
    roughness=(0.85, 1.0),
    specular=(0.03, 0.2),
    relief=(0.015, 0.05),
)
def felt(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Matted wool: hairs of two tones lying in all directions, mottled, a little dented."""
    parameters, scale = material.parameters, material.scale
    first, second = _strands(graph, at, scale, 0.4), _strands(graph, at, scale, 2.1)
    third = _strands(graph, at, scale, 1.2)
    hairs = graph.math("MAXIMUM", first, graph.math("MAXIMUM", second, third))
    cloud = graph.noise(at.solid, 1.1 / scale, detail=4.0, roughness=0.6)
    mixed = (graph.ramp(hairs, 0.5, 0.7) + graph.ramp(cloud, 0.35, 0.7, -0.3, 0.5)) * parameters["mottling"]
    color = graph.mix(mixed, material.colors[0], material.colors[1])
    color = graph.shade(color, graph.ramp(third, 0.3, 0.7, 1.0 - parameters["fuzz"], 1.0 + 0.5 * parameters["fuzz"]))
    height = graph.mix_number(parameters["dents"], graph.ramp(hairs, 0.4, 0.75), cloud)
    return Surface(color, height=height)


@family(
    3,
    (0.035, 0.07),
    natural=palettes(
        ("#a39a8c", "#857b6d", "#c4bcae"),
        ("#6d7278", "#555a60", "#8f959b"),
        ("#7a2f33", "#5a2428", "#a8825a"),
        ("#33466b", "#26324d", "#8c97ae"),
        ("#c8b896", "#a5916b", "#6f5c42"),
        ("#4f5d47", "#3c4637", "#a39d7e"),
        ("#8c6a4f", "#6b4f3a", "#c9b08e"),
    ),
    parameters=lambda rng: {
        "randomness": choose(rng, (0.6, 0.8, 1.0)),
        "speckle": uniform(rng, 0.1, 0.9),
        "design": choose(rng, (0.0, 1.0, 2.0), (2.0, 1.0, 1.0)),
        "period": uniform(rng, 7.0, 16.0),
    },
    roughness=(0.85, 1.0),
    specular=(0.03, 0.2),
    relief=(0.4, 0.9),
)
def carpet(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Loops or tufts of pile side by side, flecked, trodden down in places; plain, with bands or with blotches."""
    parameters, scale = material.parameters, material.scale
    plan = graph.warp(at.uv, 0.6 / scale, 0.3 * scale, detail=3.0)
    found = graph.voronoi(plan, 1.0 / scale, randomness=parameters["randomness"], voronoi_dimensions="2D").outputs
    pick, light, third = graph.xyz(found[1])
    color: Value = material.colors[0]
    if parameters["design"]:
        # Every tuft is of one colour, that of the design at its middle.
        x, _, _ = graph.xyz(found[2])
        if parameters["design"] == 1.0:
            chosen = graph.math("PINGPONG", x, parameters["period"] * scale) > 0.6 * parameters["period"] * scale
        else:
            blotch = graph.noise(found[2], 1.6 / (parameters["period"] * scale), detail=2.0, distortion=0.8)
            chosen = blotch > 0.53
        color = graph.mix(chosen, color, material.colors[2])
    flecked = (pick > 0.6) * parameters["speckle"]
    color = graph.mix(flecked, color, material.colors[1])
    fuzz = graph.noise(at.uv, 4.0 / scale, detail=3.0, roughness=0.75)
    trodden = graph.noise(at.uv, 0.09 / scale, detail=3.0)
    tone = graph.ramp(light, 0.0, 1.0, 0.85, 1.08) * graph.ramp(fuzz, 0.32, 0.68, 0.66, 1.15)
    color = graph.shade(color, tone * graph.ramp(trodden, 0.35, 0.65, 0.85, 1.06))
    dome = graph.ramp(found[0], 0.05, 0.65, 1.0, 0.0)
    height = dome * graph.ramp(third, 0.0, 1.0, 0.65, 1.0)
    return Surface(color, height=height * graph.ramp(fuzz, 0.25, 0.75, 0.6, 1.0))


FAMILIES = (woven_cloth, denim, tartan, wicker, knit, felt, carpet)
