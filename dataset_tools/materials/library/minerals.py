# SPDX-License-Identifier: GPL-3.0-or-later
"""Stone, polished or raw, and what is cast and rendered from it: marble, terrazzo, granite, concrete, plaster."""

from __future__ import annotations

from dataset_tools.description.covering import Material
from dataset_tools.description.sampling import choose, palettes, uniform
from dataset_tools.materials.family import family
from dataset_tools.materials.graph import Graph, Socket, Value
from dataset_tools.materials.layout import blocks
from dataset_tools.materials.surface import Coordinates, Surface


def _line(graph: Graph, noise: Socket, width: Value) -> Socket:
    """1 where a noise passes its middle, falling to 0 within ``width``: winding lines, as veins and cracks are."""
    off = abs(noise - 0.5)
    return graph.math("SUBTRACT", 1.0, off / width, clamp=True)


@family(
    3,
    (0.35, 1.0),
    natural=palettes(
        ("#8a867e", "#6d6963", "#a39c90"),
        ("#b89f7c", "#94795a", "#cdb894"),
        ("#8f7462", "#6d5749", "#ab9482"),
        ("#6a7078", "#50555c", "#8a8f94"),
        ("#c9bfa9", "#ab9f88", "#8c8370"),
        ("#9c6e58", "#7d4f3f", "#bb9479"),
        ("#7c8070", "#5f6456", "#a0a18f"),
    ),
    parameters=lambda rng: {
        "bedding": choose(rng, (1.0, uniform(rng, 2.0, 5.0)), (2.0, 1.0)),
        "cracks": uniform(rng, 0.0, 1.0),
        "grain": uniform(rng, 0.3, 1.0),
    },
    roughness=(0.6, 0.95),
    specular=(0.15, 0.5),
    relief=(0.08, 0.35),
    displaced=True,
)
def stone(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Raw, clouded rock, bedded or not: weathered patches, a few fine cracks, and a broken face."""
    parameters, size = material.parameters, material.scale
    stretched = graph.vector("MULTIPLY", at.solid, (1.0, parameters["bedding"], parameters["bedding"]))
    bent = graph.warp(stretched, 0.8 / size, 0.35 * size)
    clouds = graph.noise(bent, 0.8 / size, detail=5.0, roughness=0.62)
    patches = graph.noise(bent, 2.1 / size, detail=5.0, roughness=0.7)
    color = graph.mix(graph.ramp(clouds, 0.36, 0.64), material.colors[0], material.colors[1])
    color = graph.mix(graph.ramp(patches, 0.48, 0.66, 0.0, 0.85), color, material.colors[2])
    grain = graph.noise(at.solid, 24.0 / size, detail=3.0, roughness=0.7)
    depth = 0.3 * parameters["grain"]
    color = graph.shade(color, graph.ramp(grain, 0.3, 0.7, 1.0 - depth, 1.0 + depth))
    # Cracks run where a noise passes its middle, and only in some places.
    seams = graph.noise(graph.warp(at.solid, 3.0 / size, 0.1 * size), 0.7 / size, detail=1.0)
    some = graph.ramp(graph.noise(at.solid, 0.9 / size, detail=2.0), 0.48, 0.62, 0.0, parameters["cracks"])
    crack = _line(graph, seams, 0.005) * some
    color = graph.shade(color, graph.ramp(crack, 0.0, 1.0, 1.0, 0.6))
    broken = graph.noise(bent, 3.5 / size, detail=5.0, roughness=0.72)
    body = clouds * 0.5 + broken * 0.36
    body = body + grain * (0.08 * parameters["grain"])
    return Surface(
        color,
        height=body - crack * 0.05,
        roughness=graph.ramp(patches, 0.35, 0.65, material.roughness - 0.1, material.roughness),
    )


@family(
    3,
    (0.6, 1.4),
    natural=palettes(
        ("#e4e1da", "#cfccc7", "#8a8b8e"),
        ("#efece6", "#dcd6ca", "#a88f6a"),
        ("#dfd3c0", "#cbb799", "#8d6b4a"),
        ("#3b3c40", "#4a4b4f", "#c9c4ba"),
        ("#3f5a4c", "#2f463b", "#a9bcae"),
        ("#a5655a", "#8a4a42", "#dccbc0"),
        ("#b8bcc2", "#9da3ab", "#5d636c"),
        ("#d9c7b8", "#c9a997", "#8f5f52"),
    ),
    parameters=lambda rng: {
        "veins": uniform(rng, 0.3, 1.0),
        "twist": uniform(rng, 0.2, 0.7),
        "stretch": uniform(rng, 1.0, 3.0),
        "slabs": choose(rng, (0.0, uniform(rng, 0.8, 1.6)), (2.0, 1.0)),
    },
    roughness=(0.04, 0.3),
    specular=(0.35, 0.65),
    relief=(0.002, 0.006),
)
def marble(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Polished marble: soft clouds, and veins of several strengths that fade in and out; whole, or laid as slabs."""
    parameters, size = material.parameters, material.scale
    solid = at.solid
    joint: Value = 0.0
    if parameters["slabs"]:
        slab = size * parameters["slabs"]
        found = blocks(graph, at.uv, slab, slab)
        # Every slab is sawn from another place of the block.
        solid = graph.vector("ADD", solid, graph.vector("SCALE", graph.random(found.name), 20.0 * size))
        joint = graph.ramp(found.edge, 0.002 * size, 0.006 * size, 1.0, 0.0)
    laid = graph.vector("MULTIPLY", solid, (1.0, parameters["stretch"], 1.0))
    bent = graph.warp(laid, 1.1 / size, parameters["twist"] * size, detail=4.0)
    clouds = graph.noise(bent, 0.9 / size, detail=5.0, roughness=0.6)
    strength = graph.noise(solid, 1.3 / size, detail=2.0)
    wide = graph.noise(bent, 0.7 / size, detail=3.0, roughness=0.45)
    fine = graph.noise(bent, 2.3 / size, detail=4.0, roughness=0.5)
    main = _line(graph, wide, graph.ramp(strength, 0.35, 0.65, 0.008, 0.06)) ** 1.6
    main = main * graph.ramp(graph.noise(bent, 5.0 / size, detail=3.0), 0.35, 0.6, 0.3, 1.0)
    side = _line(graph, fine, 0.02) * graph.ramp(strength, 0.42, 0.62, 0.0, 0.6)
    halo = _line(graph, wide, 0.12) * graph.ramp(strength, 0.35, 0.65, 0.02, 0.22)
    vein = graph.math("MAXIMUM", graph.math("MAXIMUM", main, side), halo)
    vein = vein * parameters["veins"]
    color = graph.mix(graph.ramp(clouds, 0.35, 0.65), material.colors[0], material.colors[1])
    color = graph.mix(vein, color, material.colors[2])
    crystals = graph.noise(solid, 40.0 / size, detail=2.0)
    color = graph.shade(color, graph.ramp(crystals, 0.3, 0.7, 0.96, 1.03))
    if parameters["slabs"]:
        color = graph.mix(joint, color, graph.shade(material.colors[2], 0.8))
    scuffs = graph.noise(solid, 3.0 / size, detail=4.0, roughness=0.65)
    return Surface(
        color,
        height=1.0 - joint if parameters["slabs"] else 0.0,
        roughness=graph.ramp(scuffs, 0.4, 0.7, material.roughness, material.roughness + 0.1),
    )


def _chips(graph: Graph, at: Coordinates, scale: float, share: float, binder: float) -> tuple[Socket, Socket]:
    """Where angular chips lie, and a random colour for each: the cells of a Voronoi diagram, a ``share`` of them."""
    edge = graph.voronoi(at.uv, scale, "DISTANCE_TO_EDGE", voronoi_dimensions="2D").outputs[0]
    tint = graph.voronoi(at.uv, scale, voronoi_dimensions="2D").outputs[1]
    present, smaller, _ = graph.xyz(tint)
    margin = graph.ramp(smaller, 0.0, 1.0, binder, binder + 0.12)
    inside = graph.step(edge - margin, 0.0, 0.02)
    return inside * (present < share), tint


@family(
    4,
    (0.12, 0.35),
    natural=palettes(
        ("#cfcac0", "#8f8a82", "#e6e1d6", "#5f5c58"),
        ("#e2ddd2", "#b5694a", "#4f6a5c", "#c9a86a"),
        ("#a8a39a", "#d9d2c4", "#6e5a4a", "#8d8a86"),
        ("#4a4b4d", "#8f8c86", "#c9c2b4", "#6a5f55"),
        ("#d8c3b0", "#a3553f", "#e9dfd0", "#6e4b40"),
        ("#b4bdb4", "#5f7a6a", "#e2e4dc", "#8a8f80"),
        ("#dcdad6", "#3f4044", "#8c8f94", "#b9b6b0"),
    ),
    parameters=lambda rng: {
        "density": uniform(rng, 0.35, 0.8),
        "fines": uniform(rng, 0.3, 0.8),
        "binder": uniform(rng, 0.04, 0.1),
    },
    roughness=(0.06, 0.35),
    specular=(0.3, 0.6),
    weight=0.8,
)
def terrazzo(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Chips of three stones and two sizes in ground and polished cement."""
    parameters, size = material.parameters, material.scale
    warped = Coordinates(graph.warp(at.uv, 2.5 / size, 0.08 * size), at.solid)
    large, large_tint = _chips(graph, warped, 1.0 / size, parameters["density"], parameters["binder"])
    small, small_tint = _chips(graph, warped, 3.3 / size, parameters["fines"], parameters["binder"])
    stones = material.colors[1:]
    clouds = graph.noise(at.solid, 0.7 / size, detail=4.0, roughness=0.65)
    dust = graph.noise(at.solid, 14.0 / size, detail=3.0, roughness=0.7)
    color = graph.shade(material.colors[0], graph.ramp(clouds, 0.3, 0.7, 0.88, 1.08))
    color = graph.shade(color, graph.ramp(dust, 0.3, 0.7, 0.86, 1.1))
    for inside, tint in ((small, small_tint), (large, large_tint)):
        _, light, kind = graph.xyz(tint)
        chip = graph.shade(graph.palette(kind, stones), graph.ramp(light, 0.0, 1.0, 0.8, 1.15))
        chip = graph.shade(chip, graph.ramp(graph.noise(at.solid, 4.0 / size, detail=4.0), 0.3, 0.7, 0.86, 1.12))
        color = graph.mix(inside, color, chip)
    solid_stone = graph.math("MAXIMUM", small, large)
    worn = graph.ramp(clouds, 0.35, 0.65, 0.0, 0.12)
    cement = worn + 0.1 + material.roughness
    return Surface(color, roughness=graph.mix_number(solid_stone, cement, worn + material.roughness))


@family(
    4,
    (0.05, 0.16),
    natural=palettes(
        ("#b5b0a8", "#8a8782", "#d0cbc2", "#3f3f40"),
        ("#3a3a3c", "#2c2c2e", "#55544f", "#8c8a84"),
        ("#b08070", "#94685a", "#c9a698", "#4a4442"),
        ("#8f949a", "#6f757c", "#b3b7ba", "#33363a"),
        ("#4a4338", "#38332b", "#7a6a4a", "#a39473"),
        ("#3f4a44", "#2e3733", "#5f6b62", "#8a9088"),
        ("#cdbfa4", "#b09e80", "#dfd5c0", "#6a5444"),
    ),
    parameters=lambda rng: {
        "clusters": uniform(rng, 0.0, 0.5),
        "mica": uniform(rng, 0.1, 0.35),
        "lime": choose(rng, (0.0, 1.0), (3.0, 1.0)),
    },
    roughness=(0.04, 0.3),
    specular=(0.35, 0.7),
)
def granite(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Polished granite: crystals of three minerals grown into one another, dark mica, here and there dull lime."""
    parameters, size = material.parameters, material.scale
    frayed = graph.warp(at.solid, 2.5 / size, 0.3 * size, detail=2.0)
    crystals = graph.voronoi(frayed, 1.3 / size).outputs[1]
    kind, light, _ = graph.xyz(crystals)
    clusters = graph.noise(at.solid, 0.22 / size, detail=3.0)
    kind = kind + (clusters - 0.5) * (4.0 * parameters["clusters"])
    color = graph.palette(kind, material.colors[:3])
    color = graph.shade(color, graph.ramp(light, 0.0, 1.0, 0.78, 1.18))
    specks = graph.voronoi(frayed, 3.0 / size)
    present, glint, _ = graph.xyz(specks.outputs[1])
    mica = present < parameters["mica"]
    color = graph.mix(mica, color, graph.shade(material.colors[3], graph.ramp(glint, 0.0, 1.0, 0.7, 1.3)))
    roughness: Value = graph.mix_number(mica, material.roughness, material.roughness + 0.08)
    scuffs = graph.noise(at.solid, 0.35 / size, detail=5.0, roughness=0.7)
    if parameters["lime"]:
        # What hard water leaves: pale rings around dried puddles.
        level = graph.noise(graph.warp(at.solid, 0.5 / size, 0.5 * size), 0.14 / size, detail=2.0)
        dried = graph.ramp(level, 0.57, 0.6)
        rings = graph.math("PINGPONG", level + scuffs * 0.02, 0.012)
        chalk = dried * graph.ramp(rings, 0.0, 0.012, 0.25, 0.75)
        color = graph.mix(chalk, color, (0.36, 0.33, 0.29))
        roughness = graph.mix_number(chalk, roughness, 0.9)
    return Surface(color, roughness=roughness + graph.ramp(scuffs, 0.45, 0.7, 0.0, 0.12))


@family(
    2,
    (0.6, 1.4),
    natural=palettes(
        ("#a09d97", "#85827d"),
        ("#b8b4ab", "#9a958b"),
        ("#8a8a88", "#6c6c6b"),
        ("#aaa291", "#8c8371"),
        ("#c8c5bd", "#aba79e"),
        ("#777876", "#5d5e5d"),
    ),
    parameters=lambda rng: {
        # Formwork: none (trowelled), large panels, or boards.
        "form": choose(rng, (0.0, 1.0, 2.0), (4.0, 4.0, 2.0)),
        "pores": uniform(rng, 0.03, 0.35),
        "stains": uniform(rng, 0.3, 1.0),
    },
    roughness=(0.5, 0.95),
    specular=(0.15, 0.5),
    relief=(0.012, 0.035),
)
def concrete(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Cast concrete: cement clouds, run-off stains, air pores, and the print of the panels or boards of its form."""
    parameters, size = material.parameters, material.scale
    clouds = graph.noise(graph.warp(at.solid, 0.9 / size, 0.25 * size), 0.9 / size, detail=5.0, roughness=0.62)
    runs = graph.noise(graph.vector("MULTIPLY", at.solid, (3.0, 0.5, 3.0)), 1.1 / size, detail=4.0, roughness=0.6)
    grain = graph.noise(at.solid, 26.0 / size, detail=3.0, roughness=0.65)
    share = graph.ramp(clouds, 0.35, 0.65, 0.0, 0.9) + graph.ramp(runs, 0.48, 0.68, 0.0, 0.35)
    share = share * parameters["stains"]
    height: Value = 0.6 + clouds * 0.12
    if parameters["form"]:
        boards = parameters["form"] > 1.5
        width, length = (0.16, 1.6) if boards else (1.3, 0.9)
        found = blocks(
            graph, graph.combine(*reversed(graph.xyz(at.uv)[:2])), length * size, width * size, 0.37 * boards
        )
        tone, level, _ = graph.xyz(graph.random(found.name))
        share = share + graph.ramp(tone, 0.0, 1.0, -0.1, 0.2)
        height = height + graph.ramp(level, 0.0, 1.0, -0.2, 0.12 if boards else -0.1)
        seam = graph.ramp(found.edge, 0.003 * size, 0.012 * size, 1.0, 0.0)
        share = share + seam * 0.35
        height = height - seam * 0.25
        if boards:
            along = graph.vector("MULTIPLY", graph.combine(found.x, found.y, level), (2.0, 36.0, 90.0))
            veins = graph.noise(along, 1.0 / size, detail=3.0, roughness=0.6, distortion=0.4)
            height = height + veins * 0.3
    pits = graph.voronoi(at.solid, 19.0 / size)
    present, radius, _ = graph.xyz(pits.outputs[1])
    reach = (present < parameters["pores"]) * radius
    pore = graph.ramp(reach * 0.4 - pits.outputs[0], 0.0, 0.1)
    height = height - pore * 0.35
    height = height + grain * 0.06
    color = graph.mix(share, material.colors[0], material.colors[1])
    # Dirt settles in the pores.
    factor = graph.ramp(grain, 0.3, 0.7, 0.9, 1.08) * graph.ramp(pore, 0.0, 1.0, 1.0, 0.72)
    return Surface(
        graph.shade(color, factor),
        height=height,
        roughness=graph.ramp(clouds, 0.35, 0.65, material.roughness - 0.12, material.roughness),
    )


@family(
    1,
    (0.3, 0.9),
    natural=palettes(
        ("#8f8058",),
        ("#b8a888",),
        ("#d9d0bf",),
        ("#e8e4da",),
        ("#c9a77c",),
        ("#c28f74",),
        ("#a8a59c",),
        ("#d2c08a",),
        ("#9aa394",),
        ("#7d705c",),
    ),
    parameters=lambda rng: {
        "sand": uniform(rng, 0.2, 1.0),
        "strokes": uniform(rng, 0.2, 1.0),
        "pits": uniform(rng, 0.0, 0.6),
    },
    roughness=(0.75, 1.0),
    specular=(0.1, 0.35),
    relief=(0.1, 0.27),
)
def plaster(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Sand plaster: one colour throughout, grains of sand, and the sweeps of the float that dragged them along."""
    parameters, size = material.parameters, material.scale
    bent = graph.warp(at.solid, 0.9 / size, 0.5 * size, detail=1.0)
    drag = graph.noise(graph.vector("MULTIPLY", bent, (1.0, 6.0, 6.0)), 2.5 / size, detail=4.0, roughness=0.6)
    waves = graph.noise(at.solid, 1.4 / size, detail=2.0)
    sand = graph.noise(at.solid, 13.0 / size, detail=3.0, roughness=0.75)
    some = graph.ramp(waves, 0.35, 0.65, 0.35, 1.0)
    lumps = graph.ramp(sand, 0.25, 0.75) * (some * (0.32 * parameters["sand"]))
    height = waves * 0.35 + lumps
    height = height + drag * (0.3 * parameters["strokes"])
    torn = graph.noise(bent, 9.0 / size, detail=4.0, roughness=0.65)
    height = height - graph.ramp(torn, 0.6, 0.7, 0.0, 0.3 * parameters["pits"])
    tone = graph.ramp(graph.noise(at.solid, 0.5 / size, detail=3.0), 0.3, 0.7, 0.95, 1.04)
    return Surface(graph.shade(material.colors[0], tone), height=graph.math("MAXIMUM", height, 0.0))


@family(
    2,
    (0.07, 0.2),
    natural=palettes(
        ("#e2ddd0", "#a89f8c"),
        ("#d8bf8e", "#a08a62"),
        ("#c79a7c", "#96705a"),
        ("#b4b4ae", "#83827a"),
        ("#cfd0c4", "#8b8d78"),
        ("#d9a08a", "#a8756a"),
    ),
    parameters=lambda rng: {
        "density": uniform(rng, 0.4, 1.0),
        "flat": choose(rng, (0.0, 1.0), (2.0, 1.0)),
        "dirt": uniform(rng, 0.0, 0.8),
    },
    roughness=(0.75, 1.0),
    specular=(0.1, 0.35),
    relief=(0.3, 0.7),
    weight=0.7,
)
def roughcast(graph: Graph, at: Coordinates, material: Material) -> Surface:
    """Thrown render: lumps of two sizes, some pressed flat with a trowel, painted over and streaked by rain."""
    parameters, size = material.parameters, material.scale
    bent = graph.warp(at.solid, 1.5 / size, 0.35 * size, detail=2.0)
    height: Value = 0.0
    for scale, part in ((1.0 / size, 1.0), (2.6 / size, 0.5)):
        lump = graph.voronoi(bent, scale)
        present, tall, _ = graph.xyz(lump.outputs[1])
        dome = graph.ramp(lump.outputs[0], 0.05, 0.62, 1.0, 0.0) ** 0.7
        dome = dome * graph.ramp(tall, 0.0, 1.0, 0.35 * part, part)
        dome = dome * (present < parameters["density"])
        height = graph.math("MAXIMUM", height, dome)
    grain = graph.noise(at.solid, 5.0 / size, detail=5.0, roughness=0.7)
    if parameters["flat"]:
        height = graph.math("MINIMUM", height, 0.4) / 0.4
    height = height * 0.8 + grain * 0.2
    dirt = graph.noise(graph.vector("MULTIPLY", at.solid, (1.0, 0.35, 1.0)), 0.5 / size, detail=5.0, roughness=0.65)
    # Dirt keeps to the hollows, where rain does not wash it off.
    low = graph.ramp(dirt, 0.42, 0.68) * graph.ramp(height, 0.1, 0.6, 1.0, 0.35)
    color = graph.mix(low * parameters["dirt"], material.colors[0], material.colors[1])
    return Surface(graph.shade(color, graph.ramp(grain, 0.3, 0.7, 0.95, 1.04)), height=height)


FAMILIES = (stone, marble, terrazzo, granite, concrete, plaster, roughcast)
