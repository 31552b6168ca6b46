# SPDX-License-Identifier: GPL-3.0-or-later
"""What covers the parts of things and what they stand on: for each kind of thing, the materials that it is made of."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from dataset_tools.description.covering import Color, Covering, Material
from dataset_tools.description.forms import Form
from dataset_tools.description.sampling import choose, from_hsv, log_uniform, natural, uniform
from dataset_tools.materials.library import FAMILIES
from dataset_tools.sources.scanned import Scan, Scans
from dataset_tools.specs.coverings import sample_mask, sample_material
from dataset_tools.specs.dressing import dressed_scan, finished

Weights = Mapping[str, float]

# Families whose features know where the thing begins and ends.
_FITTED = ("fruit_skin", "painted_figure", "strokes", "glaze", "label")

_FRUIT: Weights = {"fruit_skin": 9.0, "paint": 0.4, "ceramic": 0.2, "veneer": 0.2, "strokes": 0.2}
_POTTERY: Weights = {
    **{"glaze": 6.0, "strokes": 2.0, "ceramic": 1.2, "plaster": 0.8, "paint": 1.0, "plastic": 0.8, "marble": 0.5},
    **{"veneer": 0.5, "painted_metal": 0.5, "brushed_metal": 0.2, "rusted_metal": 0.1, "stripes": 0.4, "dots": 0.5},
    **{"terrazzo": 0.3, "concrete": 0.4, "wicker": 0.4, "zigzag": 0.3, "checker": 0.2, "stone": 0.3, "emblems": 0.3},
}
_HARD: Weights = {"plastic": 2.0, "ceramic": 1.0, "paint": 1.5, "painted_metal": 1.5, "car_paint": 0.4}
_CAPS: Weights = {"plastic": 2.0, "painted_metal": 1.5, "brushed_metal": 0.4, "paint": 1.0, "cork": 0.4}
_TURNED: Weights = {"veneer": 2.5, "paint": 1.5, "ceramic": 0.7, "marble": 0.7, "plastic": 0.8, "painted_metal": 0.6}
_STONES: Weights = {"stone": 3.0, "granite": 1.5, "marble": 1.2, "concrete": 1.0, "soil": 0.3, "asphalt": 0.3}
_CLAY: Weights = {"plaster": 1.5, "paint": 2.0, "plastic": 1.5, "strokes": 0.8, "painted_figure": 1.0, "felt": 0.4}
_SHEETS: Weights = {"paper": 2.5, "strokes": 2.5, "lettering": 1.2, "paint": 1.0, "cardboard": 0.6, "label": 0.5}
_TEXTILES: Weights = {
    **{"woven_cloth": 2.0, "denim": 1.0, "tartan": 1.2, "knit": 0.8, "felt": 1.5, "stripes": 1.0, "dots": 0.8},
    **{"checker": 0.8, "leather": 0.6, "zigzag": 0.4, "emblems": 0.4, "camouflage": 0.3, "paint": 1.0},
}
_PACKETS: Weights = {"label": 5.0, "plastic": 0.6, "paper": 0.8, "lettering": 0.4, "emblems": 0.3}
_COVERS: Weights = {"leather": 1.0, "woven_cloth": 1.0, "label": 2.0, "paint": 1.0, "emblems": 0.4, "paper": 0.5}
_CRATES: Weights = {
    **{"strokes": 2.0, "planks": 2.0, "wicker": 1.0, "plaster": 0.8, "cardboard": 1.5, "painted_metal": 0.6},
    **{"ceramic": 0.8, "concrete": 0.6, "paint": 1.0, "plastic": 0.8, "veneer": 0.6, "glaze": 0.5},
}
_BLOCKS: Weights = {"paint": 2.0, "plastic": 2.0, "veneer": 1.5, "planks": 0.6, "strokes": 0.3, "dots": 0.2}
_FIGURES: Weights = {
    **{
        "painted_figure": 6.0,
        "strokes": 2.0,
        "glaze": 0.8,
        "ceramic": 0.8,
        "plaster": 0.8,
        "stone": 0.5,
        "marble": 0.5,
    },
    **{
        "paint": 1.2,
        "plastic": 0.8,
        "felt": 0.6,
        "veneer": 0.6,
        "brushed_metal": 0.15,
        "rusted_metal": 0.1,
        "moss": 0.1,
    },
}
_BODIES: Mapping[str, Weights] = {
    "fruit": _FRUIT,
    "vessel": _POTTERY,
    "container": _HARD,
    "turned": _TURNED,
    "paper": _SHEETS,
    "cloth": _TEXTILES,
    "book": _COVERS,
    "planter": _CRATES,
    "blocks": _BLOCKS,
    "stone": _STONES,
    "figure": _FIGURES,
}
_LUMPS: Mapping[str, Weights] = {
    "pebble": _STONES,
    "rock": _STONES,
    "clay": _CLAY,
    "potato": {"fruit_skin": 1.0},
    "loaf": {"fruit_skin": 1.0},
}
_GROUNDS: Weights = {
    **{"planks": 2.0, "veneer": 3.0, "parquet": 0.6, "paint": 3.5, "paper": 1.0, "plaster": 0.6, "concrete": 1.2},
    **{"marble": 0.8, "granite": 0.6, "terrazzo": 0.4, "tiles": 0.8, "linoleum": 0.6, "woven_cloth": 1.2, "felt": 0.6},
    **{"denim": 0.3, "tartan": 0.4, "checker": 0.3, "stripes": 0.3, "leather": 0.3, "cardboard": 0.4, "cork": 0.3},
    **{"painted_metal": 0.2, "carpet": 0.4, "ceramic": 0.2},
}
_OUTDOORS: Weights = {
    **{"planks": 2.0, "concrete": 2.0, "flagstones": 1.0, "asphalt": 1.0, "gravel": 0.7, "sand": 0.8, "soil": 0.7},
    **{"grass": 1.0, "stone": 1.0, "bricks": 0.5, "cobbles": 0.4, "tiles": 0.4, "moss": 0.2, "cracked_mud": 0.3},
}
_WALLS: Weights = {
    **{"paint": 4.0, "plaster": 2.0, "roughcast": 0.4, "tiles": 0.8, "bricks": 0.6, "concrete": 0.6, "planks": 0.6},
    **{"emblems": 0.5, "stripes": 0.4, "veneer": 0.4, "dots": 0.2},
}
# What the names of scans begin with that a thing of a kind may be made of; anything may lie under it.
_SCANNED: Mapping[str, tuple[str, ...]] = {
    "vessel": ("marble", "onyx", "wood", "terrazzo", "clay", "travertine", "porcelain", "metal", "rust"),
    "turned": ("marble", "onyx", "wood", "travertine", "bamboo"),
    "lump": ("rock", "concrete", "granite", "marble", "moss", "bark", "clay"),
    "stone": ("rock", "concrete", "granite", "marble", "onyx", "travertine", "bricks"),
    "cloth": ("fabric", "leather", "carpet"),
    "pillow": ("fabric", "leather"),
    "book": ("fabric", "leather", "paper", "wallpaper"),
    "planter": ("planks", "wood", "metal", "rust", "concrete", "cardboard", "clay", "chipboard", "paint"),
    "blocks": ("wood", "paint", "plastic", "bamboo"),
    "figure": ("rock", "marble", "onyx", "wood", "clay", "travertine", "bark"),
}
_NO_GROUND = ("facade", "roofing", "thatched", "solar", "office", "chainmail", "net", "logs", "ice", "foil")


def cover(rng: np.random.Generator, kind: str, form: Form, size: float, scans: Scans | None) -> tuple[Covering, ...]:
    """A covering for each part of a form of a kind (a name of ``shapes.SAMPLERS``) that is made ``size`` as large."""
    if kind == "container":
        low, high = _band(form)
        body = _plain(rng, _HARD, size)
        return (body, _label(rng, size * (high - low), _girth(form) / (high - low)), _plain(rng, _CAPS, size))
    if kind == "package":
        return _package(rng, form, size)
    if form.shape == "packet" and rng.random() < 0.75:
        width, tall = form.numbers["extent"]
        return (_label(rng, size * tall, width / tall),)
    weights = _LUMPS[form.shape] if kind == "lump" else _BODIES.get(kind, _PACKETS)
    if form.shape == "cushion":
        weights = _TEXTILES
    body = _body(rng, kind, weights, size, scans)
    others = {
        "stem": lambda: _painted(_tint(rng, ("#5a4428", "#6a5a30", "#4a5a2a", "#3a2c1c")), rng, size),
        "inside": lambda: (
            body if rng.random() < 0.5 else _painted(_tint(rng, ("#e9e4d8", "#c9b89c", "#a8714a")), rng, size)
        ),
        "handle": lambda: body,
        "pages": lambda: _painted(_tint(rng, ("#e6dcc4", "#ece6d6", "#d9c9a8")), rng, size),
        "eyes": lambda: _painted(_tint(rng, ("#1c1814", "#2a1c10", "#141820", "#c9a03a", "#b8562a")), rng, size, 0.12),
    }
    found = []
    for part in form.parts:
        if part in others:
            found.append(others[part]())
        else:
            # Building blocks differ, as sets of them do: other colours of the same stuff, now and then other stuff.
            found.append(_another(rng, body, size) if found and kind == "blocks" else body)
    return tuple(found)


def cover_ground(rng: np.random.Generator, scans: Scans | None, *, outdoors: bool) -> Covering:
    """What is under things of about one metre: a table, a cloth, a floor; outdoors the ground there is."""
    if scans and rng.random() < scans.share:
        names = [scan for scan in scans.materials if not _name(scan).startswith(_NO_GROUND)]
        return Covering(
            (dressed_scan(rng, Scans(tuple(names) or scans.materials, 1.0), 1.0, log_uniform(rng, 1.0, 3.0)),)
        )
    weights = _OUTDOORS if outdoors else _GROUNDS
    return Covering((_muted(rng, _material(rng, weights, log_uniform(rng, 0.5, 1.4))),))


def cover_wall(rng: np.random.Generator) -> Covering:
    """A wall behind things."""
    return Covering((_muted(rng, _material(rng, _WALLS, log_uniform(rng, 0.7, 1.6))),))


def cover_backdrop(rng: np.random.Generator) -> Covering:
    """A roll of coloured paper or a painted board that bends up behind things."""
    value = choose(rng, (uniform(rng, 0.12, 0.4), uniform(rng, 0.45, 0.97)), (1.0, 2.0))
    saturation = uniform(rng, 0.0, 0.1) if rng.random() < 0.6 else uniform(rng, 0.1, 0.5)
    return _painted(from_hsv(uniform(rng, 0.0, 1.0), saturation, value), rng, 1.0, uniform(rng, 0.5, 1.0))


def _material(rng: np.random.Generator, weights: Weights, size: float) -> Material:
    family = choose(rng, tuple(weights), tuple(weights.values()))
    drawn = sample_material(rng, size=size, darkest=0.2, natural=0.9, family=family)
    if FAMILIES[family].natural is None and rng.random() < 0.6:
        drawn = _muted(rng, drawn)
    return _used(rng, drawn, family, size)


def _used(rng: np.random.Generator, material: Material, like: str, size: float) -> Material:
    """Most things have been finished, handled or worn."""
    return finished(rng, material, like, size) if rng.random() < 0.6 else material


def _muted(rng: np.random.Generator, material: Material) -> Material:
    """With the colours of tables and walls, which are seldom as bright as those of things."""
    share = uniform(rng, 0.3, 1.0) ** 1.5

    def greyer(color: Color) -> Color:
        grey = sum(color) / 3.0
        r, g, b = (grey + share * (channel - grey) for channel in color)
        return (r, g, b)

    return replace(material, colors=tuple(greyer(color) for color in material.colors))


def _fitted(rng: np.random.Generator, family: str, size: float) -> Material:
    """A material that is as large as its thing and does not move over it."""
    drawn = sample_material(rng, natural=1.0, family=family)
    relief = drawn.relief * (rng.random() < 0.6)
    drawn = replace(drawn, scale=size, angle=0.0, offset=(0.0, 0.0, 0.0), relief=relief)
    return _used(rng, drawn, "ceramic" if family == "glaze" else "", 0.5 * size)


def _plain(rng: np.random.Generator, weights: Weights, size: float) -> Covering:
    return Covering((_material(rng, weights, size * log_uniform(rng, 0.25, 0.6)),))


def _body(rng: np.random.Generator, kind: str, weights: Weights, size: float, scans: Scans | None) -> Covering:
    words = _SCANNED.get(kind, ())
    if scans and words and rng.random() < 0.6 * scans.share:
        fitting = tuple(scan for scan in scans.materials if _name(scan).startswith(words))
        if fitting:
            return Covering((dressed_scan(rng, Scans(fitting, 1.0), 0.5 * size, 1.2 * size),))
    family = choose(rng, tuple(weights), tuple(weights.values()))
    fitted = family in _FITTED
    drawn = _fitted(rng, family, size) if fitted else _material(rng, {family: 1.0}, size * log_uniform(rng, 0.25, 0.6))
    if rng.random() > 0.1:
        return Covering((drawn,))
    # Something has been spilt on it, or it is worn down to something else.
    second = _material(rng, {"paint": 2.0, "plaster": 1.0, "soil": 0.6, "rusted_metal": 0.3, "moss": 0.3}, 0.4 * size)
    return Covering((drawn, second), (sample_mask(rng, 0.5 * size),))


def _name(scan: Scan) -> str:
    return scan.group.rpartition("/")[2].lower()


def _painted(color: Color, rng: np.random.Generator, size: float, roughness: float | None = None) -> Covering:
    drawn = sample_material(rng, size=size, family="paint")
    rough = uniform(rng, 0.4, 0.95) if roughness is None else roughness
    return Covering((replace(drawn, colors=(color,), roughness=rough),))


def _tint(rng: np.random.Generator, anchors: Sequence[str]) -> Color:
    return natural(rng, *((anchor,) for anchor in anchors))[0]


def _another(rng: np.random.Generator, body: Covering, size: float) -> Covering:
    family = body.layers[0].family if rng.random() < 0.8 else "paint"
    if family in _FITTED or family == "scanned":
        family = "paint"
    return Covering((_material(rng, {family: 1.0}, size * log_uniform(rng, 0.25, 0.6)),))


def _label(rng: np.random.Generator, height: float, aspect: float) -> Covering:
    """A label of a height in metres, ``aspect`` times as wide."""
    drawn = _fitted(rng, "label", height)
    return Covering((replace(drawn, parameters={**drawn.parameters, "aspect": aspect}),))


def _band(form: Form) -> tuple[float, float]:
    """Foot and head of a container's label."""
    numbers = form.numbers["profile 2"]
    return numbers[1], numbers[3]


def _girth(form: Form) -> float:
    """How far around the container one label reaches: once or twice."""
    around = 2.0 * math.pi * form.numbers["profile 2"][0]
    low, high = _band(form)
    return around if around < 3.0 * (high - low) else 0.5 * around


def _package(rng: np.random.Generator, form: Form, size: float) -> tuple[Covering, ...]:
    """Front and sides of one print, its lid of its ground; or plain cardboard."""
    wide, deep, tall = form.numbers["boxes"][3:6]
    if rng.random() < 0.2:
        plain = Covering(
            (_material(rng, {"cardboard": 2.0, "paint": 1.0, "planks": 0.5}, size * uniform(rng, 0.3, 0.6)),)
        )
        return (plain, plain, plain)
    if tall < 0.6 * min(wide, deep):
        top = _label(rng, 2.0 * size * deep, wide / deep)
        edge = replace(sample_material(rng, size=size, family="paint"), colors=top.layers[0].colors[:1])
        return (Covering((edge,)), Covering((edge,)), top)
    front = _label(rng, 2.0 * size * tall, wide / tall).layers[0]
    side = {**_fitted(rng, "label", 1.0).parameters, "aspect": deep / tall}
    same = {name: front.parameters[name] for name in ("band", "foot", "wear")}
    lid = replace(sample_material(rng, size=size, family="paint"), colors=(front.colors[int(rng.integers(2))],))
    return (
        Covering((front,)),
        Covering((replace(front, parameters={**side, **same}),)),
        Covering((replace(lid, roughness=front.roughness, specular=front.specular),)),
    )
