# SPDX-License-Identifier: GPL-3.0-or-later
"""Shapes turned about an axis: fruit, pottery, tins, bottles, turned wood; with stems, handles and lids. No bpy.

``numbers``: "profile 0", "profile 1", … are runs of (radius, z) from the bottom up, each smooth in itself, with a sharp
edge between; "owner" is the part of each run. "lobes" are (count, depth, phase, sharpness) of ribs, "waves" dents (see
:func:`curves.waves`), "bend" how far the top leans over; "stem" and "handle" are (radius, radius at the end, then
x, y, z of points on the path).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from dataset_tools.description.forms import Form, Numbers
from dataset_tools.description.sampling import choose, uniform
from dataset_tools.shapes import curves
from dataset_tools.shapes.mesh import MeshData, quads

KIND = "lathe"

_AROUND = 64
_STEPS = 7
_POLE = 1e-4

Points = Sequence[tuple[float, float]]


def build(form: Form) -> list[list[MeshData]]:
    """The meshes of every part."""
    numbers = form.numbers
    parts: list[list[MeshData]] = [[] for _ in form.parts]
    runs = [np.asarray(numbers[f"profile {n}"]).reshape(-1, 2) for n in range(len(numbers["owner"]))]
    height = max(float(run[:, 1].max()) for run in runs)
    for run, owner in zip(runs, numbers["owner"], strict=True):
        parts[int(owner)].append(_turned(numbers, run, height))
    for limb in ("stem", "handle"):
        if limb in numbers:
            parts[form.parts.index(limb)].append(_limb(numbers, limb, height))
    return parts


def _turned(numbers: Numbers, run: np.ndarray, height: float) -> MeshData:
    profile = curves.spline(run, _STEPS)
    radius, z = np.maximum(profile[:, 0], _POLE), profile[:, 1]
    turn = np.linspace(0.0, 2.0 * math.pi, _AROUND, endpoint=False)
    # Seen from the front, the seam is behind.
    turn = turn + 0.5 * math.pi
    factor = np.ones(_AROUND)
    if "lobes" in numbers:
        count, depth, phase, sharpness = numbers["lobes"]
        factor = 1.0 - depth * (1.0 - np.abs(np.cos(0.5 * count * turn + phase))) ** sharpness
    round_ = np.stack([np.cos(turn) * factor, np.sin(turn) * factor], axis=-1)
    vertices = np.concatenate(
        [radius[:, None, None] * round_, np.broadcast_to(z[:, None, None], (len(z), _AROUND, 1))], axis=-1
    ).reshape(-1, 3)
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(profile, axis=0), axis=1))])
    girth = 2.0 * math.pi * float(radius.max())
    uvs = curves.ring_uvs(_AROUND, lengths - 0.5 * lengths[-1], girth)
    return quads(_misshapen(numbers, vertices, height), curves.ring_faces(_AROUND, len(z)), uvs, smooth=True)


def _misshapen(numbers: Numbers, vertices: np.ndarray, height: float) -> np.ndarray:
    """Dented by the waves and bent over."""
    moved = vertices.copy()
    if "waves" in numbers:
        moved[:, :2] *= 1.0 + curves.waves(vertices, numbers["waves"])[:, None]
    if "bend" in numbers:
        moved[:, 0] += numbers["bend"][0] * (vertices[:, 2] / height) ** 2
    return moved


def _limb(numbers: Numbers, name: str, height: float) -> MeshData:
    first, last, *rest = numbers[name]
    path = curves.spline(np.asarray(rest).reshape(-1, 3), 6)
    radii = np.linspace(first, last, len(path))
    path, radii = curves.rounded_ends(_misshapen(numbers, path, height) if name == "stem" else path, radii)
    return curves.tube(path, radii, flat=0.6 if name == "handle" else 1.0)


def _numbers(runs: Sequence[tuple[int, Points]]) -> dict[str, tuple[float, ...]]:
    """Runs with the part that each belongs to, as numbers."""
    found = {
        f"profile {n}": tuple(round(float(c), 4) for point in points for c in point)
        for n, (_, points) in enumerate(runs)
    }
    return {**found, "owner": tuple(float(owner) for owner, _ in runs)}


# Half profiles of fruit, radius and z, from the bottom pole up to the top one; about one unit large.
_FRUIT: dict[str, Points] = {
    "apple": ((0, 0.07), (0.14, 0.01), (0.3, 0.06), (0.46, 0.3), (0.5, 0.52), (0.42, 0.76), (0.22, 0.86), (0, 0.74)),
    "pear": ((0, 0.03), (0.16, 0.0), (0.36, 0.14), (0.41, 0.36), (0.29, 0.62), (0.19, 0.82), (0.12, 0.97), (0, 0.98)),
    "orange": ((0, 0.02), (0.18, 0.02), (0.4, 0.2), (0.48, 0.46), (0.4, 0.74), (0.18, 0.91), (0, 0.91)),
    "lemon": ((0, 0.0), (0.06, 0.03), (0.2, 0.12), (0.34, 0.34), (0.36, 0.52), (0.24, 0.82), (0.07, 0.94), (0, 1.0)),
    "peach": ((0, 0.05), (0.14, 0.01), (0.38, 0.16), (0.48, 0.44), (0.38, 0.74), (0.16, 0.84), (0, 0.76)),
    "tomato": ((0, 0.04), (0.2, 0.0), (0.42, 0.12), (0.5, 0.34), (0.42, 0.6), (0.2, 0.7), (0, 0.63)),
    "pumpkin": ((0, 0.08), (0.2, 0.0), (0.42, 0.14), (0.5, 0.36), (0.42, 0.6), (0.2, 0.7), (0, 0.6)),
    "plum": ((0, 0.0), (0.15, 0.02), (0.33, 0.2), (0.38, 0.46), (0.3, 0.78), (0.13, 0.93), (0, 0.92)),
    "egg": ((0, 0.0), (0.18, 0.04), (0.34, 0.22), (0.37, 0.42), (0.3, 0.7), (0.16, 0.92), (0, 1.0)),
    "onion": ((0, 0.02), (0.12, 0.0), (0.38, 0.16), (0.48, 0.38), (0.36, 0.62), (0.12, 0.8), (0.05, 0.95), (0, 0.98)),
    "pepper": ((0, 0.08), (0.12, 0.01), (0.24, 0.06), (0.33, 0.34), (0.42, 0.68), (0.34, 0.9), (0.16, 0.94), (0, 0.85)),
    "aubergine": (
        (0, 0.0),
        (0.14, 0.02),
        (0.27, 0.18),
        (0.28, 0.38),
        (0.2, 0.66),
        (0.15, 0.86),
        (0.08, 0.95),
        (0, 0.96),
    ),
}
_RIBS = {"tomato": (5, 8), "pumpkin": (9, 15), "pepper": (3, 4), "peach": (1, 1), "plum": (1, 1)}
_STEMMED = ("apple", "pear", "pumpkin", "pepper", "aubergine", "tomato", "onion")


def fruit(rng: np.random.Generator) -> Form:
    """A random fruit or vegetable; parts: flesh, and often a stem."""
    shape = choose(rng, tuple(_FRUIT), (3.0, 2.0, 2.0, *[1.0] * 9))
    wide, tall = uniform(rng, 0.88, 1.1), uniform(rng, 0.88, 1.1)
    profile = [(wide * r * uniform(rng, 0.95, 1.05), tall * z) for r, z in _FRUIT[shape]]
    numbers = _numbers([(0, profile)])
    if shape in _RIBS:
        count = int(rng.integers(_RIBS[shape][0], _RIBS[shape][1] + 1))
        depth = uniform(rng, 0.05, 0.2) if count > 2 else uniform(rng, 0.03, 0.1)
        sharpness = uniform(rng, 1.0, 3.0) if count > 2 else uniform(rng, 8.0, 16.0)
        numbers["lobes"] = (float(count), depth, uniform(rng, 0.0, math.pi), sharpness)
    numbers["waves"] = curves.draw_waves(rng, 6, uniform(rng, 0.01, 0.06), 2.0, 6.0)
    numbers["bend"] = (uniform(rng, -0.3, 0.3) if shape in ("pear", "aubergine") else uniform(rng, -0.06, 0.06),)
    if shape not in _STEMMED or rng.random() < 0.2:
        return Form(KIND, shape, ("flesh",), numbers)
    top = profile[-1][1]
    lean, length = uniform(rng, -0.12, 0.12), uniform(rng, 0.1, 0.26)
    thick = uniform(rng, 0.035, 0.06) if shape in ("pumpkin", "pepper", "aubergine") else uniform(rng, 0.012, 0.024)
    path = (0.0, 0.0, top - 0.04, 0.3 * lean, 0.0, top + 0.5 * length, lean, 0.4 * lean, top + length)
    numbers["stem"] = (thick, thick * uniform(rng, 0.7, 1.4), *path)
    return Form(KIND, shape, ("flesh", "stem"), numbers)


# Outer profiles of vessels, radius and z as shares of the largest radius and the height, from the foot to the rim.
_VESSELS: dict[str, Points] = {
    "bowl": ((0.42, 0.0), (0.7, 0.3), (0.9, 0.65), (1.0, 1.0)),
    "mug": ((0.9, 0.0), (0.97, 0.06), (1.0, 0.5), (1.0, 1.0)),
    "cup": ((0.55, 0.0), (0.82, 0.25), (0.95, 0.6), (1.0, 1.0)),
    "beaker": ((0.74, 0.0), (0.83, 0.35), (0.92, 0.7), (1.0, 1.0)),
    "vase": ((0.5, 0.0), (0.85, 0.2), (1.0, 0.42), (0.7, 0.7), (0.42, 0.86), (0.55, 1.0)),
    "urn": ((0.4, 0.0), (0.6, 0.12), (1.0, 0.55), (0.95, 0.75), (0.6, 0.9), (0.7, 1.0)),
    "jug": ((0.7, 0.0), (0.96, 0.2), (1.0, 0.4), (0.7, 0.72), (0.6, 0.85), (0.72, 1.0)),
    "pot": ((0.66, 0.0), (0.78, 0.4), (0.88, 0.8), (0.9, 0.82), (1.0, 0.83), (1.0, 1.0)),
    "goblet": ((0.7, 0.0), (0.6, 0.03), (0.16, 0.12), (0.13, 0.35), (0.5, 0.5), (0.9, 0.7), (1.0, 1.0)),
    "plate": ((0.55, 0.0), (0.62, 0.25), (0.8, 0.45), (1.0, 1.0)),
}
# Height over width, from and to.
_PROPORTIONS = {
    "bowl": (0.38, 0.62),
    "mug": (1.0, 1.3),
    "cup": (0.7, 0.95),
    "beaker": (1.1, 1.5),
    "vase": (1.2, 2.2),
    "urn": (1.0, 1.5),
    "jug": (1.2, 1.7),
    "pot": (0.8, 1.1),
    "goblet": (1.3, 1.9),
    "plate": (0.1, 0.18),
}
_HANDLED = {"mug": 0.9, "cup": 0.7, "jug": 0.8, "beaker": 0.0}


def vessel(rng: np.random.Generator) -> Form:
    """A random open vessel with an inside; parts: wall, inside, and perhaps a handle."""
    shape = choose(rng, tuple(_VESSELS), (2.0, 2.5, 1.5, 1.5, 2.5, 1.0, 1.5, 1.0, 0.7, 1.0))
    proportion = uniform(rng, *_PROPORTIONS[shape])
    width = 0.5 if proportion < 1.0 else 0.5 / proportion
    height = 2.0 * width * proportion
    wall = max(0.05 * width, 0.012) * uniform(rng, 0.8, 1.8)
    outer = [(width * r * uniform(rng, 0.94, 1.04), height * z) for r, z in _VESSELS[shape]]
    rim_radius, rim = outer[-1]
    floor = max(2.0 * wall, 0.45 * height if shape == "goblet" else 0.0)
    lip = [(rim_radius - 0.15 * wall, rim + 0.4 * wall), (rim_radius - 0.85 * wall, rim + 0.4 * wall)]
    outside = curves.spline(np.array(outer), _STEPS)
    order = np.argsort(outside[:, 1], kind="stable")
    levels = [floor + share * (rim - floor) for share in (0.08, 0.25, 0.45, 0.65, 0.85, 1.0)]
    inner = [(max(float(np.interp(z, outside[order, 1], outside[order, 0])) - wall, 0.01), z) for z in levels]
    inside = [(0.0, floor), (0.5 * inner[0][0], floor), (0.85 * inner[0][0], floor + 0.02 * (rim - floor)), *inner]
    runs = [(0, [(0.0, 0.0), (outer[0][0], 0.0)]), (0, [*outer, *lip]), (1, [lip[-1], *inside[::-1]])]
    numbers = _numbers(runs)
    if rng.random() < 0.15:
        numbers["lobes"] = (float(rng.integers(8, 24)), uniform(rng, 0.02, 0.06), 0.0, uniform(rng, 1.0, 2.0))
    if rng.random() < 0.4:
        numbers["waves"] = curves.draw_waves(rng, 4, uniform(rng, 0.005, 0.025), 2.0, 6.0)
    if rng.random() >= _HANDLED.get(shape, 0.0):
        return Form(KIND, shape, ("wall", "inside"), numbers)
    numbers["handle"] = _handle(rng, outer, height)
    return Form(KIND, shape, ("wall", "inside", "handle"), numbers)


def _handle(rng: np.random.Generator, outer: list[tuple[float, float]], height: float) -> tuple[float, ...]:
    """An ear at the right side of a vessel."""
    radii, heights = np.array([r for r, _ in outer]), np.array([z for _, z in outer])
    low, high = height * uniform(rng, 0.15, 0.3), height * uniform(rng, 0.72, 0.9)
    thick = uniform(rng, 0.022, 0.04)
    start, end = (float(np.interp(z, heights, radii)) + 0.5 * thick for z in (low, high))
    reach = max(start, end) + (high - low) * uniform(rng, 0.35, 0.6)
    middle = 0.5 * (low + high)
    points = (
        (start, low),
        (0.5 * (start + reach), low + 0.04 * height),
        (reach, middle),
        (0.5 * (end + reach) + 0.05, high + 0.02 * height),
        (end, high),
    )
    return (thick, thick, *(c for x, z in points for c in (x, 0.0, z)))


def container(rng: np.random.Generator) -> Form:
    """A random closed container with a label: bottle, tin, jar or tube; parts: body, label, cap."""
    shape = choose(rng, ("bottle", "tin", "jar", "canister"), (3.0, 2.0, 2.0, 1.0))
    radius = {"bottle": uniform(rng, 0.14, 0.24), "tin": uniform(rng, 0.28, 0.42)}.get(shape, uniform(rng, 0.25, 0.36))
    shoulder = {"bottle": uniform(rng, 0.45, 0.65), "tin": 0.86}.get(shape, uniform(rng, 0.62, 0.78))
    low, high = sorted((uniform(rng, 0.06, 0.15), shoulder - uniform(rng, 0.04, 0.12)))
    proud = 1.004
    if shape == "tin":
        low, high = 0.04, shoulder - 0.04
    neck = radius * (uniform(rng, 0.28, 0.42) if shape == "bottle" else uniform(rng, 0.78, 0.92))
    cap_radius = neck * uniform(rng, 1.04, 1.2)
    top = {"bottle": uniform(rng, 0.86, 0.92), "tin": shoulder}.get(shape, shoulder + uniform(rng, 0.05, 0.09))
    cap = top + (uniform(rng, 0.06, 0.1) if shape == "bottle" else uniform(rng, 0.07, 0.16))
    foot = [(0.0, 0.015), (0.86 * radius, 0.0), (0.97 * radius, 0.012), (radius, 0.04)]
    runs: list[tuple[int, Points]] = [
        (0, foot),
        (0, [(radius, 0.04), (radius, low)]),
        (1, [(radius * proud, low), (radius * proud, high)]),
    ]
    if shape == "tin":
        edge = 0.02
        runs += [
            (2, [(radius, 0.0), (radius * 1.025, edge / 2), (radius, edge)]),
            (0, [(radius, high), (radius, shoulder)]),
            (2, [(radius, shoulder - edge), (radius * 1.03, shoulder), (radius * 0.98, shoulder + edge / 2)]),
            (2, [(radius * 0.97, shoulder + edge / 2), (radius * 0.95, shoulder - 0.015), (0.0, shoulder - 0.015)]),
        ]
    else:
        rise = top - shoulder
        slope = [(radius, high), (radius, shoulder), (0.9 * radius + 0.1 * neck, shoulder + 0.25 * rise)]
        slope += [(0.25 * radius + 0.75 * neck, shoulder + 0.65 * rise), (neck, top - 0.05 * rise), (neck, top)]
        runs += [
            (0, slope),
            (2, [(0.9 * cap_radius, top - 0.01), (cap_radius, top - 0.005), (cap_radius, cap - 0.012)]),
            (2, [(cap_radius, cap - 0.012), (0.96 * cap_radius, cap), (0.0, cap)]),
        ]
    return Form(KIND, shape, ("body", "label", "cap"), _numbers(runs))


def turned(rng: np.random.Generator) -> Form:
    """A random solid thing off the lathe, such as a candlestick, a chessman, a skittle or a knob; one part."""
    count = int(rng.integers(3, 7))
    heights = np.cumsum(rng.uniform(0.4, 1.0, count))
    heights = 0.06 + 0.9 * heights / heights[-1]
    base = uniform(rng, 0.2, 0.38)
    runs: list[tuple[int, Points]] = [(0, [(0.0, 0.0), (base, 0.0)])]
    at = (base, 0.0)
    for number, z in enumerate(heights):
        radius = base * uniform(rng, 0.3, 0.95) * (1.0 - 0.35 * number / count)
        bulge = max(0.04, 0.5 * (at[0] + radius) * uniform(rng, 0.7, 1.35))
        middle = (bulge, 0.5 * (at[1] + float(z)))
        last = (0.0, float(z)) if number == count - 1 else (radius, float(z))
        # Every other edge is a smooth neck, the others are cut.
        if number % 2 and number < count - 1:
            runs[-1] = (0, [*runs[-1][1], middle, last])
        else:
            runs.append((0, [at, middle, last]))
        at = last
    return Form(KIND, "turned", ("body",), _numbers(runs))
