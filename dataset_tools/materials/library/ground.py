# SPDX-License-Identifier: GPL-3.0-or-later
"""What one walks on out of doors: asphalt, gravel, sand, soil, mud, grass, moss."""

from __future__ import annotations

from typing import Any

from dataset_tools.description.covering import Material
from dataset_tools.description.sampling import choose, palettes, uniform
from dataset_tools.materials.family import family
from dataset_tools.materials.graph import Graph, Socket, Value
from dataset_tools.materials.surface import Coordinates, Surface


def _pebble(graph: Graph, vector: Socket, scale: float, radius: float = 0.75) -> tuple[Socket, Socket]:
    """Rounded lumps side by side: the height of each, 0 beyond ``radius`` cells, and a random colour for each."""
    cell = graph.voronoi(vector, scale)
    return graph.ramp(cell.outputs[0], 0.05, radius, 1.0, 0.0) ** 0.6, cell.outputs[1]


def _strewn(graph: Graph, cells: Any, share: Value, radius: float) -> tuple[Socket, Socket]:
    """Small round bits in a ``share`` of a Voronoi diagram's cells: where they are, and a random number for each."""
    present, light, _ = graph.xyz(cells.outputs[1])
    inside = graph.ramp(cells.outputs[0], radius * 0.85, radius, 1.0, 0.0)
    return (present < share) * inside, light


@family(
    3,
    (0.025, 0.065),
    natural=palettes(
        ("#3a3a3b", "#6d6c6a", "#8f8b84"),
        ("#4a4949", "#77746f", "#a09a90"),
        ("#5c5b59", "#84817b", "#a39e95"),
        ("#47403d", "#7a6a5f", "#9a8c80"),
        ("#2f3033", "#5a5c60", "#83858a"),
        ("#6b4038", "#8c5f52", "#a58a7c"),
    ),
    parameters=lambda rng: {
        "bare": uniform(rng, 0.35, 1.0),
        "cracks": choose(rng, (0.0, uniform(rng, 0.3, 1.0)), (2.0, 1.0)),
        "stains": uniform(rng, 0.0, 1.0),
    },
    roughness=(0.65, 0.95),
    specular=(0.2, 0.5),
    relief=(0.25, 0.6),
)
def asphalt(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Crushed stone in bitumen, worn bare by tyres in patches, stained by oil, sometimes cracked and sealed."""
    parameters, size = material.parameters, material.scale
    dome, tint = _pebble(graph, at.solid, 1.0 / size)
    chip, chip_tint = _pebble(graph, at.solid, 2.1 / size)
    kind, light, bare = graph.xyz(tint)
    wear = graph.noise(at.solid, 0.06 / size, detail=4.0, roughness=0.6)
    level = parameters["bare"] + graph.ramp(wear, 0.35, 0.65, -0.3, 0.3)
    shows = (bare < level) * graph.ramp(dome, 0.35, 0.55)
    _, chip_light, chip_bare = graph.xyz(chip_tint)
    fines = (chip_bare < level) * graph.ramp(chip, 0.35, 0.55)
    stone = graph.shade(graph.mix(kind, material.colors[1], material.colors[2]), graph.ramp(light, 0.0, 1.0, 0.7, 1.25))
    grit = graph.noise(at.solid, 2.6 / size, detail=3.0, roughness=0.7)
    binder = graph.shade(material.colors[0], graph.ramp(grit, 0.3, 0.7, 0.75, 1.25))
    sand_grain = graph.shade(material.colors[1], graph.ramp(chip_light, 0.0, 1.0, 0.6, 1.1))
    color = graph.mix(shows, graph.mix(fines, binder, sand_grain), stone)
    oil = graph.ramp(graph.noise(at.solid, 0.035 / size, detail=4.0, roughness=0.55), 0.56, 0.68)
    oil = oil * parameters["stains"]
    color = graph.shade(color, graph.ramp(oil, 0.0, 1.0, 1.0, 0.5))
    height = graph.math("MAXIMUM", dome, chip) * 0.7 + grit * 0.3
    roughness: Value = graph.mix_number(oil, material.roughness, material.roughness - 0.25)
    if parameters["cracks"]:
        far = graph.warp(at.uv, 0.12 / size, 2.0 * size)
        edge = graph.voronoi(far, 0.04 / size, "DISTANCE_TO_EDGE", voronoi_dimensions="2D").outputs[0]
        crack = graph.ramp(edge, 0.004, 0.02 * parameters["cracks"] + 0.006, 1.0, 0.0)
        color = graph.mix(crack, color, graph.shade(material.colors[0], 0.6))
        height = graph.mix_number(crack, height, 0.0)
    return Surface(color, height=height, roughness=roughness)


@family(
    5,
    (0.05, 0.14),
    natural=palettes(
        ("#8a7f73", "#5f5a55", "#b3a798", "#6f7478", "#9a7a60"),
        ("#a39a8c", "#7c766d", "#c9c1b4", "#8f8172", "#5a5754"),
        ("#b59a78", "#8d7355", "#d1bd9c", "#a3825c", "#77644f"),
        ("#777b80", "#54585d", "#9a9ea3", "#6a6460", "#bdbfc0"),
        ("#c9c4ba", "#e0dcd3", "#a8a298", "#b5a996", "#8d8a85"),
        ("#94685a", "#6f5048", "#b08a78", "#7d7873", "#a89a8a"),
    ),
    parameters=lambda rng: {
        "coarse": uniform(rng, 0.0, 0.45),
        "dust": uniform(rng, 0.0, 0.6),
        "flat": uniform(rng, 1.0, 1.7),
    },
    roughness=(0.6, 0.95),
    specular=(0.15, 0.5),
    relief=(0.5, 1.1),
)
def gravel(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Many small stones of five colours, larger ones strewn among them, dust in between."""
    parameters, size = material.parameters, material.scale
    bent = graph.vector("MULTIPLY", graph.warp(at.solid, 1.2 / size, 0.12 * size), (1.0, parameters["flat"], 1.0))
    fine, fine_tint = _pebble(graph, bent, 1.0 / size, 0.8)
    coarse, coarse_tint = _pebble(graph, graph.vector("ADD", bent, (5.0, 3.0, 0.0)), 0.42 / size, 0.55)
    present, _, _ = graph.xyz(coarse_tint)
    on_top = present < parameters["coarse"]
    on_top = on_top * (coarse > 0.02)
    tint = graph.mix(on_top, fine_tint, coarse_tint)
    _, kind, light = graph.xyz(tint)
    stone = graph.shade(graph.palette(kind, material.colors), graph.ramp(light, 0.0, 1.0, 0.7, 1.25))
    veins = graph.noise(graph.vector("ADD", at.solid, tint), 3.5 / size, detail=3.0, roughness=0.65)
    stone = graph.shade(stone, graph.ramp(veins, 0.3, 0.7, 0.8, 1.18))
    small = fine * graph.ramp(light, 0.0, 1.0, 0.3, 0.62)
    large = coarse * 0.55 + 0.35
    height = graph.mix_number(on_top, small, large)
    dust = graph.ramp(height, 0.05, 0.3, parameters["dust"], 0.0)
    color = graph.mix(dust, stone, graph.shade(material.colors[0], 0.8))
    return Surface(color, height=height + veins * 0.06)


@family(
    2,
    (0.2, 0.5),
    natural=palettes(
        ("#d2b98c", "#b09468"),
        ("#e0d0ad", "#c2ab80"),
        ("#c29a68", "#99734a"),
        ("#b5a68c", "#8f7f66"),
        ("#e6ddca", "#c4b79c"),
        ("#8a7d6e", "#6a5e51"),
        ("#b8714a", "#96583a"),
    ),
    parameters=lambda rng: {
        "ripples": choose(rng, (uniform(rng, 0.5, 1.0), uniform(rng, 0.0, 0.3)), (3.0, 2.0)),
        "bend": uniform(rng, 1.0, 5.0),
        "shells": uniform(rng, 0.0, 0.03),
        "damp": choose(rng, (0.0, uniform(rng, 0.3, 1.0)), (2.0, 1.0)),
    },
    roughness=(0.8, 1.0),
    specular=(0.1, 0.4),
    relief=(0.2, 0.5),
)
def sand(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Sand with wind ripples that split and join, darker minerals on their lee side, or trodden; dry or damp."""
    parameters, size = material.parameters, material.scale
    bent = graph.warp(at.solid, 0.35 / size, 0.16 * size * parameters["bend"])
    # A period of the wave is 0.314 metres at scale 1; the size is one ripple.
    ripple = graph.wave(bent, 0.314 / size, distortion=1.2, detail=2.0, wave_profile="SIN")
    ripple = ripple**1.4
    dunes = graph.noise(at.solid, 0.5 / size, detail=4.0, roughness=0.6)
    grain = graph.noise(at.solid, 24.0 / size, detail=2.0, roughness=0.7)
    calm = graph.ramp(dunes, 0.3, 0.6, 0.4, 1.0) * parameters["ripples"]
    height = ripple * (calm * 0.5) + dunes * 0.35
    height = height + grain * 0.13
    lee = (1.0 - ripple) * (calm * 0.6)
    share = lee + graph.ramp(dunes, 0.3, 0.7, 0.0, 0.4)
    color = graph.shade(
        graph.mix(share, material.colors[0], material.colors[1]), graph.ramp(grain, 0.3, 0.7, 0.84, 1.14)
    )
    shell, light = _strewn(graph, graph.voronoi(at.solid, 7.0 / size), parameters["shells"], 0.4)
    color = graph.mix(shell, color, graph.palette(light, ((0.6, 0.54, 0.45), (0.12, 0.1, 0.09), (0.3, 0.2, 0.13))))
    height = height + shell * 0.06
    roughness: Value = material.roughness
    if parameters["damp"]:
        wet = graph.ramp(graph.noise(at.solid, 0.22 / size, detail=3.0), 0.42, 0.56) * parameters["damp"]
        color = graph.shade(color, graph.ramp(wet, 0.0, 1.0, 1.0, 0.55))
        roughness = graph.mix_number(wet, material.roughness, 0.45)
    return Surface(color, height=height, roughness=roughness)


@family(
    4,
    (0.12, 0.4),
    natural=palettes(
        ("#4a3a2c", "#6b5540", "#8d8375", "#a88a5c"),
        ("#5c4433", "#7d604a", "#9a8c7a", "#b59a6a"),
        ("#3b322a", "#554838", "#77706a", "#93805c"),
        ("#7a5138", "#9a6c4c", "#a89784", "#bfa070"),
        ("#6a5c4a", "#8a7a62", "#a39c90", "#b8a67c"),
        ("#8a4f35", "#a5684a", "#b59480", "#c2a072"),
    ),
    parameters=lambda rng: {
        "stones": uniform(rng, 0.0, 0.22),
        "straw": uniform(rng, 0.0, 0.25),
        "damp": uniform(rng, 0.0, 1.0),
    },
    roughness=(0.8, 1.0),
    specular=(0.1, 0.35),
    relief=(0.35, 0.8),
)
def soil(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Dug earth: clods and crumbs, pebbles and dead stalks in it, drier and paler where it stands up."""
    parameters, size = material.parameters, material.scale
    bent = graph.warp(at.solid, 1.6 / size, 0.35 * size)
    clod, tint = _pebble(graph, bent, 1.0 / size)
    crumb, crumb_tint = _pebble(graph, bent, 2.9 / size)
    tall, tone, _ = graph.xyz(tint)
    _, light, _ = graph.xyz(crumb_tint)
    crumbs = graph.noise(at.solid, 7.0 / size, detail=5.0, roughness=0.72)
    clods = clod * graph.ramp(tall, 0.0, 1.0, 0.1, 1.0)
    height = clods * 0.45 + crumb * 0.17
    height = height + crumbs * 0.32
    damp = graph.noise(at.solid, 0.4 / size, detail=4.0, roughness=0.6)
    dry = graph.ramp(damp, 0.35, 0.65, 0.0, 0.6) + graph.ramp(tone, 0.0, 1.0, -0.2, 0.5)
    color = graph.mix(dry, material.colors[0], material.colors[1])
    color = graph.shade(color, graph.ramp(light, 0.0, 1.0, 0.82, 1.15))
    color = graph.shade(color, graph.ramp(crumbs, 0.3, 0.7, 0.72, 1.25))
    pebble, light = _strewn(graph, graph.voronoi(bent, 3.6 / size), parameters["stones"], 0.45)
    color = graph.mix(pebble, color, graph.shade(material.colors[2], graph.ramp(light, 0.0, 1.0, 0.65, 1.2)))
    height = height + pebble * 0.06
    lying = graph.vector("MULTIPLY", _turned(graph, at.uv, 0.4 / size, 1.2 * size), (0.8, 8.0, 1.0))
    stalks = graph.voronoi(lying, 1.0 / size, voronoi_dimensions="2D")
    stalk, light = _strewn(graph, stalks, parameters["straw"], 0.32)
    color = graph.mix(stalk, color, graph.shade(material.colors[3], graph.ramp(light, 0.0, 1.0, 0.6, 1.15)))
    height = height + stalk * 0.06
    wet = graph.ramp(damp, 0.35, 0.5, 1.0, 0.0) * (0.35 * parameters["damp"])
    return Surface(color, height=height, roughness=material.roughness - wet)


def _turned(graph: Graph, uv: Socket, scale: float, bend: float, angle: float = 0.0) -> Socket:
    """The plane turned by ``angle`` and bent by noise, so that stalks and blades laid on it lie in many directions."""
    inputs = {"Vector": graph.warp(uv, scale, bend), "Rotation": (0.0, 0.0, angle)}
    return graph.node("ShaderNodeMapping", inputs).outputs[0]


@family(
    3,
    (0.2, 0.5),
    natural=palettes(
        ("#a08a70", "#8a745c", "#5a4a3a"),
        ("#b8a68c", "#a08e74", "#6f604c"),
        ("#8f8578", "#7a7066", "#4f4840"),
        ("#a5735a", "#8f6048", "#5f4032"),
        ("#c9bca6", "#b3a58c", "#82745e"),
    ),
    parameters=lambda rng: {
        "gap": uniform(rng, 0.02, 0.07),
        "curl": uniform(rng, 0.0, 0.5),
        "fine": uniform(rng, 0.0, 1.0),
    },
    roughness=(0.7, 1.0),
    specular=(0.1, 0.4),
    relief=(0.08, 0.2),
    displaced=True,
    weight=0.6,
)
def cracked_mud(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """A dried puddle: plates with curled rims, cracks in two generations, damper earth at their ground."""
    parameters, size = material.parameters, material.scale
    bent = graph.warp(at.uv, 2.2 / size, 0.1 * size)
    edge = graph.voronoi(bent, 1.0 / size, "DISTANCE_TO_EDGE", voronoi_dimensions="2D").outputs[0]
    tone, light, _ = graph.xyz(graph.voronoi(bent, 1.0 / size, voronoi_dimensions="2D").outputs[1])
    second = graph.voronoi(bent, 2.4 / size, "DISTANCE_TO_EDGE", voronoi_dimensions="2D").outputs[0]
    clouds = graph.noise(at.solid, 0.9 / size, detail=5.0, roughness=0.65)
    grain = graph.noise(at.solid, 16.0 / size, detail=3.0, roughness=0.7)
    gap = parameters["gap"]
    depth = graph.ramp(edge, gap * 0.6, gap * 1.4)
    hair = graph.ramp(second, 0.008, 0.03, 1.0 - 0.7 * parameters["fine"], 1.0)
    plate = depth * hair
    share = graph.ramp(clouds, 0.35, 0.65) + graph.ramp(tone, 0.0, 1.0, -0.25, 0.25)
    top = graph.shade(graph.mix(share, material.colors[0], material.colors[1]), graph.ramp(light, 0.0, 1.0, 0.93, 1.06))
    color = graph.mix(plate, material.colors[2], top)
    color = graph.shade(color, graph.ramp(grain, 0.3, 0.7, 0.88, 1.1))
    rim = graph.ramp(edge, gap, gap + 0.2, 0.3 * parameters["curl"], 0.0)
    body = 0.55 + rim + graph.ramp(clouds, 0.3, 0.7, 0.0, 0.15)
    height = plate * body + grain * 0.12
    return Surface(color, height=height)


@family(
    4,
    (0.25, 0.55),
    natural=palettes(
        ("#4f6b2c", "#7a9440", "#a8a05c", "#3f3527"),
        ("#5a7a34", "#88a54c", "#b5a868", "#4a3d2c"),
        ("#6a7a3c", "#99a058", "#c2b070", "#544530"),
        ("#8a8450", "#b09f62", "#cdb980", "#5c4b36"),
        ("#3c5f34", "#5f8648", "#8fa35c", "#33302a"),
    ),
    parameters=lambda rng: {
        "dry": uniform(rng, 0.0, 0.6),
        "bald": uniform(rng, 0.0, 0.5),
        "thin": uniform(rng, 6.0, 10.0),
    },
    roughness=(0.5, 0.85),
    specular=(0.15, 0.4),
    relief=(0.12, 0.3),
)
def grass(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """A lawn from above: three layers of blades across one another, dry ones among them, bald spots of earth."""
    parameters, size = material.parameters, material.scale
    patches = graph.noise(at.solid, 0.35 / size, detail=4.0, roughness=0.6)
    grain = graph.noise(at.solid, 12.0 / size, detail=3.0, roughness=0.7)
    height: Value = grain * 0.3
    color: Value = graph.shade(material.colors[3], graph.ramp(grain, 0.3, 0.7, 0.7, 1.3))
    for layer in range(3):
        turned = _turned(graph, at.uv, (0.55 + 0.2 * layer) / size, 0.55 * size, 1.05 * layer + 0.4)
        stretched = graph.vector("MULTIPLY", turned, (1.0, parameters["thin"], 1.0))
        blade = graph.voronoi(stretched, 1.0 / size, voronoi_dimensions="2D")
        hue, light, lift = graph.xyz(blade.outputs[1])
        profile = graph.ramp(blade.outputs[0], 0.1, 0.5, 0.3, 0.0)
        base = graph.ramp(lift, 0.0, 1.0, 0.15 + 0.05 * layer, 0.55 + 0.05 * layer)
        sparse = graph.ramp(patches, 0.3, 0.5, parameters["bald"], 0.0)
        tall = base + profile - sparse
        tall = tall * (blade.outputs[0] < 0.5)
        green = graph.mix(light, material.colors[0], material.colors[1])
        dry = hue < graph.ramp(patches, 0.35, 0.65, parameters["dry"], 0.0)
        green = graph.shade(graph.mix(dry, green, material.colors[2]), graph.ramp(hue, 0.0, 1.0, 0.72, 1.2))
        above = tall > height
        color = graph.mix(above, color, green)
        height = graph.math("MAXIMUM", tall, height)
    return Surface(color, height=height)


@family(
    4,
    (0.15, 0.45),
    natural=palettes(
        ("#4c5a26", "#76803a", "#9c9c54", "#5a4a38"),
        ("#3f5228", "#627a34", "#8c9a4a", "#6a6258"),
        ("#5f6430", "#8a8440", "#aaa060", "#4a4036"),
        ("#4a5f44", "#6f8460", "#a3ac84", "#77746c"),
    ),
    parameters=lambda rng: {"bald": uniform(rng, 0.0, 0.6)},
    roughness=(0.85, 1.0),
    specular=(0.05, 0.25),
    relief=(0.35, 0.8),
    weight=0.6,
)
def moss(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Cushions of moss, brighter at their tips, with the ground showing where they have not closed yet."""
    parameters, size = material.parameters, material.scale
    bent = graph.warp(at.solid, 1.4 / size, 0.25 * size)
    puff, _ = _pebble(graph, bent, 1.0 / size)
    tufts, tint = _pebble(graph, graph.warp(bent, 9.0 / size, 0.06 * size), 5.0 / size)
    _, own, _ = graph.xyz(tint)
    clouds = graph.noise(at.solid, 0.6 / size, detail=5.0, roughness=0.65)
    fuzz = graph.noise(at.solid, 20.0 / size, detail=3.0, roughness=0.75)
    cover = puff * 0.4 + graph.ramp(clouds, 0.3, 0.7, 0.0, 1.0)
    bald = parameters["bald"]
    grown = graph.ramp(cover, bald - 0.05, bald + 0.12)
    color = graph.mix(graph.ramp(clouds, 0.35, 0.65), material.colors[0], material.colors[1])
    tips = graph.ramp(tufts, 0.45, 0.9) * graph.ramp(own, 0.0, 1.0, 0.1, 0.55)
    tips = tips * graph.ramp(fuzz, 0.35, 0.6)
    color = graph.mix(tips, color, material.colors[2])
    color = graph.shade(color, graph.ramp(fuzz, 0.3, 0.7, 0.72, 1.25))
    earth = graph.shade(material.colors[3], graph.ramp(fuzz, 0.3, 0.7, 0.75, 1.2))
    height = puff * 0.4 + tufts * 0.25
    height = height * grown + grown * 0.1
    return Surface(graph.mix(grown, earth, color), height=height + fuzz * 0.2)


FAMILIES = (asphalt, gravel, sand, soil, cracked_mud, grass, moss)
