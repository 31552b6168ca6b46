# SPDX-License-Identifier: GPL-3.0-or-later
"""The hair of a head, beards, brows and lashes as strands: a style says where they grow and which way they go."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from dataset_tools.description.person import Hair
from dataset_tools.heads import masks
from dataset_tools.heads.figure import Figure
from dataset_tools.heads.strands import Flow, Roots, cut_off, following, grown, roots

Array = np.ndarray


@dataclass(frozen=True)
class Strands:
    """Strands [N, S, 3] of a straight figure, with the heights [N, S] of their places on the base mesh and the radius
    of their roots in metres."""

    points: Array
    heights: Array
    radius: float


@dataclass(frozen=True)
class Style:
    """How a head's hair lies: ``flow`` makes the directions of a figure's hair, ``count`` is how many strands a full
    head has, ``volume`` how far the hair stands off the head in metres, ``radius`` that of a strand."""

    flow: Callable[[Figure, Hair], Flow]
    count: int
    volume: float
    radius: float
    steps: int = 10


def _falling(strength: float, side: float = 0.0) -> Callable[[Figure, Hair], Flow]:
    """Away from a parting ``side`` metres beside the middle, and down."""

    def made(figure: Figure, hair: Hair) -> Flow:
        middle = figure.shift + np.array((side, 0.0, 0.80))
        # Which side the parting is on is as good as a coin.
        if hair.seed % 2:
            middle = middle - (2.0 * side, 0.0, 0.0)

        def flow(places: Array, share: float) -> Array:
            around = places - middle
            out = np.sign(around[:, :1] + 1e-6) * np.clip(np.abs(around[:, :1]) / 0.03, 0.35, 1.0)
            back = np.where(around[:, 1:2] < -0.06, 0.35, 0.1)
            weight = min(1.0, 0.15 + strength * share)
            return np.concatenate([out * (1.0 - weight) ** 1.3, back * (1.0 - weight), -weight - 0.0 * out], axis=1)

        return flow

    return made


def _towards(direction: tuple[float, float, float], lift: float) -> Callable[[Figure, Hair], Flow]:
    """Combed one way, standing up by ``lift``; the sign of x is a coin."""

    def made(figure: Figure, hair: Hair) -> Flow:
        combed = np.array(direction) * ((-1.0 if hair.seed % 2 else 1.0), 1.0, 1.0)
        middle = figure.shift + np.array((0.0, -0.055, 0.735))

        def flow(places: Array, share: float) -> Array:
            out = places - middle
            out /= np.linalg.norm(out, axis=1, keepdims=True)
            # Around the ears and at the nape hair falls, however it is combed above.
            low = np.clip((0.03 - (places - middle)[:, 2:3]) / 0.05, 0.0, 1.0)
            side = (1.0 - low) * combed + low * (0.0, 0.35, -1.0)
            flat = side - (side * out).sum(axis=1, keepdims=True) * out
            return flat + lift * (1.0 - 0.6 * share) * out

        return flow

    return made


def _outwards(figure: Figure, hair: Hair) -> Flow:
    """On end."""
    middle = figure.shift + np.array((0.0, -0.055, 0.735))

    def flow(places: Array, share: float) -> Array:
        out = places - middle
        return out / np.linalg.norm(out, axis=1, keepdims=True) - (0.0, 0.0, 0.25 * share)

    return flow


STYLES = {
    "buzz": Style(_towards((0.0, -0.5, -0.3), 0.5), 14000, 0.0, 2.6e-4, 3),
    "short": Style(_towards((0.35, -1.0, -0.1), 0.30), 15000, 0.006, 3.0e-4, 6),
    "side": Style(_towards((1.0, 0.35, 0.0), 0.30), 14000, 0.010, 3.2e-4, 8),
    "back": Style(_towards((0.15, 1.0, 0.1), 0.28), 14000, 0.009, 3.2e-4, 8),
    "up": Style(_outwards, 13000, 0.012, 3.2e-4, 6),
    "tied": Style(_towards((0.0, 1.0, 0.25), 0.05), 11000, 0.004, 3.2e-4, 9),
    "parted": Style(_falling(1.6, 0.028), 13000, 0.014, 3.4e-4, 12),
    "middle": Style(_falling(1.5, 0.0), 13000, 0.012, 3.4e-4, 12),
    "curly": Style(_falling(0.9, 0.02), 12000, 0.022, 3.6e-4, 14),
    "afro": Style(_outwards, 14000, 0.010, 3.6e-4, 8),
}

_GUIDES = 320


def head_hair(figure: Figure, hair: Hair, covered: Callable[[Array], Array] | None) -> Strands:
    """The hair of a head; ``covered`` says of places [N, 3] whether a hat is there."""
    style = STYLES[hair.style]
    receding = hair.parameters.get("receding", 0.0)
    rng = np.random.default_rng((hair.seed, 0))
    surface = figure.surface
    begin = roots(rng, surface, lambda rest: masks.scalp(rest, receding), round(style.count * hair.density))
    origins = roots(rng, surface, lambda rest: masks.scalp(rest, 0.0) > 0.05, _GUIDES)
    if covered:
        begin = begin.taken(~covered(begin.places))
    # Hair at temples and nape is shorter than on top.
    lengths = hair.length * (1.0 - 0.35 * np.clip((0.745 - origins.rest[:, 2]) / 0.08, 0.0, 1.0))
    volume = style.volume * min(1.0, hair.length / 0.05)
    guides = grown(
        origins, style.flow(figure, hair), lengths, style.steps, surface, lambda share: 1e-3 + volume * share**0.5
    )
    points = following(
        rng,
        begin,
        guides,
        rng.uniform(0.75, 1.0, len(begin.places)),
        curl=0.012 * hair.curl,
        frizz=(0.0015 + 0.012 * hair.frizz**1.5) * min(1.0, hair.length / 0.06),
    )
    points = cut_off(points, _face(figure))
    if covered:
        points = cut_off(points, covered)
    return Strands(points, _heights(begin, points), style.radius * (1.0 if hair.length > 0.02 else 0.8))


def _face(figure: Figure) -> Callable[[Array], Array]:
    """The part of the air before the face that hair does not hang into: the forehead stays, the eyes are free."""
    shift = figure.shift

    def inside(places: Array) -> Array:
        rest = places - shift
        azimuth = np.degrees(np.arctan2(np.abs(rest[:, 0]), -(rest[:, 1] + 0.055)))
        brow = 0.766 + 0.010 * np.clip((azimuth - 25.0) / 25.0, 0.0, 1.0)
        return (azimuth < 47.0) & (rest[:, 2] < brow) & (rest[:, 2] > 0.62) & (rest[:, 1] < -0.04)

    return inside


BEARDS = {"full": "full", "stubble": "full", "goatee": "goatee", "moustache": "moustache"}


def beard(figure: Figure, hair: Hair) -> Strands:
    """A beard of one of BEARDS' styles."""
    rng = np.random.default_rng((hair.seed, 1))
    part = BEARDS[hair.style]
    count = round((7000 if part == "full" else 2600) * hair.density)
    begin = roots(rng, figure.surface, lambda rest: masks.beard(rest, part), count)
    origins = roots(rng, figure.surface, lambda rest: masks.beard(rest, part), 160)
    mouth = 0.5 * (figure.place("mouth_left") + figure.place("mouth_right"))

    def flow(places: Array, share: float) -> Array:
        around = places - mouth
        # Above the mouth hair goes to the side, below it down and forward.
        upper = np.clip(around[:, 2:3] / 0.012, 0.0, 1.0)
        side = np.clip(around[:, :1] / 0.02, -1.0, 1.0)
        down = np.concatenate([0.25 * side, -0.25 + 0.0 * side, -1.0 + 0.0 * side], axis=1)
        away = np.concatenate([1.1 * side, -0.3 + 0.0 * side, -0.55 + 0.0 * side], axis=1)
        return (1.0 - upper) * down + upper * away

    # The moustache is shorter than the beard: it ends at the lip.
    low = np.clip((mouth[2] - origins.places[:, 2]) / 0.02, 0.0, 1.0)
    lengths = np.minimum(hair.length, 0.010 + 0.05 * low)
    volume = min(0.010, 0.35 * hair.length)
    guides = grown(origins, flow, lengths, 6, figure.surface, lambda share: 5e-4 + volume * share)
    points = following(
        rng,
        begin,
        guides,
        rng.uniform(0.6, 1.0, len(begin.places)),
        curl=0.004 * hair.curl,
        frizz=(0.1 + 0.25 * hair.frizz) * min(hair.length, 0.03),
    )
    return Strands(points, _heights(begin, points), 2.2e-4)


def brows(figure: Figure, hair: Hair) -> Strands:
    """Both brows."""
    thickness, arch = hair.parameters["thickness"], hair.parameters["arch"]
    rng = np.random.default_rng((hair.seed, 2))
    begin = roots(rng, figure.surface, lambda rest: masks.brows(rest, thickness, arch), round(1100 * hair.density))
    side = np.sign(begin.rest[:, :1])
    along = np.clip((np.abs(begin.rest[:, :1]) - 0.013) / 0.042, 0.0, 1.0)
    direction = np.concatenate([side * (0.35 + along), 0.25 * along, 0.5 - 0.75 * along], axis=1)
    direction += rng.normal(0.0, 0.18, direction.shape)
    flat = direction - (direction * begin.normals).sum(axis=1, keepdims=True) * begin.normals
    flat /= np.maximum(np.linalg.norm(flat, axis=1, keepdims=True), 1e-9)
    share = np.linspace(0.0, 1.0, 4)[None, :, None]
    lengths = hair.length * rng.uniform(0.6, 1.0, (len(flat), 1, 1))
    lifted = begin.normals[:, None] * (3e-4 + 0.22 * lengths * share)
    points = begin.places[:, None] + lengths * share * flat[:, None] + lifted
    return Strands(points, _heights(begin, points), 1.7e-4)


def lashes(figure: Figure) -> Strands:
    """The upper lashes of both eyes, from the lid's rim forward and up."""
    sets = []
    for name in ("upper_lid_left", "upper_lid_right"):
        rim = figure.vertices[list(figure.base.numbers[name])]
        heights = figure.base.vertices[list(figure.base.numbers[name]), 2]
        place = np.linspace(0.0, len(rim) - 1.0, 48)
        columns = np.arange(len(rim))
        begin = np.stack([np.interp(place, columns, rim[:, axis]) for axis in range(3)], axis=1)
        outer = np.sign(rim[:, 0].mean()) * (place / place.max())
        direction = np.stack([0.55 * outer, np.full(48, -0.9), np.full(48, 0.05)], axis=1)
        share = np.linspace(0.0, 1.0, 5)[None, :, None]
        points = begin[:, None] + 0.0075 * share * direction[:, None] + 0.0045 * share**2 * (0.0, 0.0, 1.0)
        sets.append((points, np.broadcast_to(np.interp(place, columns, heights)[:, None], points.shape[:2])))
    return Strands(np.concatenate([p for p, _ in sets]), np.concatenate([h for _, h in sets]), 1.6e-4)


def _heights(begin: Roots, points: Array) -> Array:
    return np.asarray(begin.rest[:, None, 2] + points[..., 2] - begin.places[:, None, 2])
