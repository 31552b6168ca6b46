# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person wears as meshes of the straight figure: garments with collars, hats, spectacles.

A garment or a hat is a surface around a centre inside the body: for every direction it lies so far out as the body
reaches there, and a little more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from dataset_tools.description.person import Garment, Glasses, Hat
from dataset_tools.heads.figure import Figure
from dataset_tools.heads.sheets import directions, reach, sheet, tube
from dataset_tools.shapes.mesh import MeshData

Array = np.ndarray

_COLUMNS = 96
# Inside the chest, on the base mesh, in metres; and inside the skull.
_CHEST = np.array((0.0, -0.012, 0.555))
_SKULL = np.array((0.0, -0.055, 0.745))
# Lengths along a garment are reckoned with this radius for its pattern.
_GIRTH = 0.09


@dataclass(frozen=True)
class Cut:
    """A cut: the neckline's elevation in degrees as seen from the chest, front (0°) to back (180°), closed and open;
    how far the cloth stands off, and how many rows of a hem stand out by how much (metres)."""

    closed: tuple[float, ...]
    opened: tuple[float, ...]
    off: float = 0.004
    hem: float = 0.002
    hem_rows: int = 3
    collar: str = ""


_AZIMUTHS = (0.0, 30.0, 60.0, 90.0, 130.0, 180.0)
CUTS = {
    "crew": Cut((24, 30, 42, 50, 56, 58), (4, 14, 32, 44, 52, 55)),
    "vee": Cut((-5, 20, 38, 48, 55, 58), (-38, 2, 30, 44, 52, 56)),
    "turtleneck": Cut((57, 58, 62, 66, 68, 68), (48, 50, 56, 62, 64, 66), 0.006, 0.003, 8),
    "shirt": Cut((26, 32, 44, 52, 58, 60), (0, 16, 38, 50, 56, 58), collar="folded"),
    "jacket": Cut((-30, 6, 34, 46, 54, 56), (-45, -10, 30, 44, 52, 54), 0.012, 0.004, 4, collar="folded"),
}


def garment(figure: Figure, worn: Garment) -> list[MeshData]:
    """The garment, from its neckline down, and its collar."""
    cut = CUTS[worn.cut]
    center = _CHEST + figure.chest
    used = figure.surface.used
    # Chin and jaw are not dressed.
    body = used[figure.surface.rest[used, 2] < (0.63 if worn.cut == "turtleneck" else 0.615)]
    vertices = figure.vertices[body]
    azimuth = np.linspace(-180.0, 180.0, _COLUMNS, endpoint=False)
    top = (1.0 - worn.opening) * np.interp(np.abs(azimuth), _AZIMUTHS, cut.closed) + worn.opening * np.interp(
        np.abs(azimuth), _AZIMUTHS, cut.opened
    )
    rows = np.concatenate([np.linspace(0.0, 0.12, cut.hem_rows + 1)[:-1], np.linspace(0.12, 1.0, 22)])
    elevation = top + rows[:, None] * (-70.0 - top)
    off = np.where(np.arange(len(rows)) < cut.hem_rows, cut.off + cut.hem, cut.off)[:, None]
    main = _around(vertices, center, azimuth, elevation, off + 0.0 * elevation)
    parts = [_edged(main, center)]
    if cut.collar:
        parts.append(_collar(vertices, center, azimuth, top))
    return parts


def _around(vertices: Array, center: Array, azimuth: Array, elevation: Array, off: Array) -> Array:
    """Places [R, C, 3] around a centre."""
    towards = directions(np.broadcast_to(azimuth, elevation.shape), elevation)
    return center + towards * (reach(vertices, center, towards) + off)[..., None]


def _edged(places: Array, center: Array) -> MeshData:
    """A sheet from above downwards whose upper edge is turned in, so that cloth has a thickness."""
    first = places[:1]
    inward = first - center
    inward /= np.linalg.norm(inward, axis=-1, keepdims=True)
    turned = first - 0.006 * inward
    places = np.concatenate([turned - (0.0, 0.0, 0.012), turned, places])
    # From below upwards, so that faces look outwards.
    return _closed(places[::-1])


def _closed(places: Array) -> MeshData:
    around = np.linspace(0.0, 2.0 * np.pi * _GIRTH, places.shape[1], endpoint=False)
    return sheet(places, _uvs(places, around), around=True)


def _uvs(places: Array, around: Array) -> Array:
    """Of a garment's rows of places: lengths around it, and from its first row on."""
    lengths = np.linalg.norm(np.diff(places, axis=0), axis=-1).mean(axis=1)
    along = np.concatenate([[0.0], np.cumsum(lengths)])
    return np.stack(np.broadcast_arrays(around[None], along[:, None]), axis=-1)


def _collar(vertices: Array, center: Array, azimuth: Array, top: Array) -> MeshData:
    """A folded collar that is open in front: up along the neck, over, and down over the garment."""
    chosen = np.abs(azimuth) > 9.0
    # From the right front around the back to the left front.
    order = np.argsort(np.where(azimuth < 0.0, azimuth + 360.0, azimuth)[chosen])
    around, line = azimuth[chosen][order], top[chosen][order]
    front = np.clip(1.0 - (np.abs(around) - 9.0) / 40.0, 0.0, 1.0)
    stand = 11.0 - 6.0 * front
    # The points reach far down in front.
    fall = -8.0 - 20.0 * front**1.5
    rows = ((0.0, 0.004), (0.6, 0.005), (1.0, 0.007), (1.05, 0.010), (1.0, 0.013), (0.5, 0.014))
    elevation = np.stack([line + share * stand for share, _ in rows] + [line + 0.4 * fall, line + fall])
    off = np.array([off for _, off in rows] + [0.013, 0.011])[:, None] + 0.0 * elevation
    places = _around(vertices, center, around, elevation, off)
    turn = np.radians(np.where(around < 0.0, around + 360.0, around)) * _GIRTH
    return sheet(places, _uvs(places, turn))


@dataclass(frozen=True)
class Crown:
    """A hat's edge as elevations in degrees seen from the skull, front to back, how far it stands off the head and
    how far the top is raised; ``brim`` is its width in metres, front, side and back."""

    edge: tuple[float, ...]
    off: float
    raised: float
    brim: tuple[float, float, float] | None = None


HATS = {
    "beanie": Crown((38, 33, 16, 6, -6, -14), 0.010, 0.012),
    "cap": Crown((35, 33, 27, 22, 12, 2), 0.010, 0.016, (0.070, 0.0, 0.0)),
    "brimmed": Crown((37, 35, 31, 28, 22, 16), 0.010, 0.030, (0.060, 0.065, 0.060)),
    "turban": Crown((40, 34, 18, 4, -6, -10), 0.026, 0.022),
}


def _edge(kind: Crown, hat: Hat, azimuth: Array) -> Array:
    tilt = np.degrees(hat.tilt) * np.sin(np.radians(azimuth))
    return np.asarray(np.interp(np.abs(azimuth), _AZIMUTHS, kind.edge) + np.degrees(hat.height / 0.1) + tilt)


def hat(figure: Figure, worn: Hat) -> list[MeshData]:
    """The hat's crown and, if it has one, its brim."""
    kind = HATS[worn.kind]
    center = _SKULL + figure.shift
    used = np.setdiff1d(figure.surface.used, figure.base.numbers["ears"])
    vertices = figure.vertices[used[figure.surface.rest[used, 2] > 0.66]]
    azimuth = np.linspace(-180.0, 180.0, _COLUMNS, endpoint=False)
    edge = _edge(kind, worn, azimuth)
    rows = np.linspace(0.0, 1.0, 20)
    elevation = edge + rows[:, None] * (89.5 - edge)
    off = kind.off + kind.raised * np.clip(rows * 2.0, 0.0, 1.0)[:, None] + 0.0 * elevation
    if worn.kind == "beanie":
        # The turned-up cuff.
        off += 0.006 * (rows < 0.27)[:, None]
    if worn.kind == "turban":
        # Cloth wound around.
        wound = np.sin(elevation / 4.2 + 1.4 * np.sin(np.radians(azimuth)) + 0.9 * np.abs(azimuth) / 60.0)
        off += 0.0035 * wound
    crown = _around(vertices, center, azimuth, elevation, off)
    if kind.brim is None:
        return [_closed(np.concatenate([crown[:1] - 0.008 * (crown[:1] - center) / 0.1, crown]))]
    return [_closed(crown), _brim(crown[0], azimuth, kind.brim)]


def _brim(edge: Array, azimuth: Array, widths: tuple[float, float, float]) -> MeshData:
    """From a hat's edge outwards, drooping a little."""
    width = np.interp(np.abs(azimuth), (0.0, 25.0, 62.0, 180.0), (widths[0], widths[0] * 0.96, widths[1], widths[2]))
    out = directions(azimuth, np.zeros_like(azimuth))
    share = np.linspace(0.0, 1.0, 7)[:, None, None]
    droop = np.array((0.0, 0.0, -1.0)) * (0.20 * share**2 + 0.08 * share)
    upper = edge + (share * out + droop) * width[None, :, None]
    lower = upper[::-1] - (0.0, 0.0, 0.0025)
    return _closed(np.concatenate([lower, upper])[::-1])


def under_hat(figure: Figure, worn: Hat) -> Callable[[Array], Array]:
    """Whether places [N, 3] of the straight figure lie where a hat is, so that no hair comes through."""
    kind = HATS[worn.kind]
    center = _SKULL + figure.shift

    def covered(places: Array) -> Array:
        around = places - center
        azimuth = np.degrees(np.arctan2(around[:, 0], -around[:, 1]))
        elevation = np.degrees(np.arctan2(around[:, 2], np.hypot(around[:, 0], around[:, 1])))
        return elevation > _edge(kind, worn, azimuth) - 1.0

    return covered


def glasses(figure: Figure, worn: Glasses) -> Mapping[str, list[MeshData]]:
    """Meshes of the "frame" and, of sunglasses, of the "lenses"."""
    left, right = figure.place("eye_left"), figure.place("eye_right")
    apart = 0.5 * float(right[0] - left[0])
    bridge = 0.5 * (left + right)
    # Before the lashes, as far as the nose carries them.
    front = float(min(left[1], right[1])) - 0.013
    turn = np.linspace(0.0, 2.0 * np.pi, 48, endpoint=False)
    power = 2.0 / (2.0 + 5.0 * (1.0 - worn.round))
    shape_x = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** power
    shape_z = np.sign(np.sin(turn)) * np.abs(np.sin(turn)) ** power
    frame: list[MeshData] = []
    lenses: list[MeshData] = []
    for side, eye in ((-1.0, left), (1.0, right)):
        middle = np.array((bridge[0] + side * (apart + 0.001), 0.0, eye[2] - 0.002))
        rim = np.stack([0.5 * worn.width * shape_x, 0.0 * turn, 0.5 * worn.height * shape_z], axis=1) + middle
        # Lenses lie on a slight curve around the face.
        rim[:, 1] = front + 2.2 * (rim[:, 0] - bridge[0]) ** 2
        frame.append(tube(rim, worn.thickness, closed=True))
        if worn.kind == "sun":
            lenses.append(_lens(rim))
        hinge = np.array((middle[0] + side * 0.5 * worn.width, 0.0, middle[2] + 0.25 * worn.height))
        hinge[1] = front + 2.2 * (hinge[0] - bridge[0]) ** 2
        ear = _ear(figure, side)
        frame.append(tube(np.linspace(hinge, ear, 12), 0.9 * worn.thickness))
    half = apart - 0.5 * worn.width + 0.001
    across = np.linspace(-1.0, 1.0, 9)
    arch = np.stack([bridge[0] + half * across, np.full(9, front), bridge[2] + 0.004 * (1.0 - across**2)], axis=1)
    frame.append(tube(arch, worn.thickness))
    return {"frame": frame, "lenses": lenses}


def _lens(rim: Array) -> MeshData:
    share = np.linspace(1e-3, 1.0, 5)[:, None, None]
    middle = rim.mean(axis=0)
    places = middle + share * (rim - middle)
    places[..., 1] -= 0.002 * (1.0 - share[..., 0] ** 2)
    return sheet(places, places[..., (0, 2)], around=True)


def _ear(figure: Figure, side: float) -> Array:
    """Where a temple rests: above the root of an ear."""
    ears = np.asarray(figure.base.numbers["ears"])
    own = ears[np.sign(figure.base.vertices[ears, 0]) == side]
    places = figure.vertices[own]
    top = places[np.argmax(places[:, 2])]
    root = float(np.abs(places[:, 0]).min())
    return np.array((side * (root + 0.004), top[1] + 0.004, top[2] - 0.012))
