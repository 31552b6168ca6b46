# SPDX-License-Identifier: GPL-3.0-or-later
"""Materials as one meets them: varnished, polished, worn, scratched, brushed, wet, uneven at several scales."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from dataset_tools.description.covering import Color, Covering, Finish, Material
from dataset_tools.description.sampling import choose, log_uniform, uniform
from dataset_tools.materials.library import FAMILIES
from dataset_tools.sources import scanned
from dataset_tools.sources.scanned import Scans
from dataset_tools.specs.coverings import sample_mask, sample_material

# Bare metal has no diffuse colour: there is little of it, and it is labelled.
_METALS = 0.05
# Darker than any colour that is drawn: black leather, rubber and lacquer reflect so little.
_BLACK = 0.012
_MIXED = 0.12

# How often a family is found polished, lacquered, glazed or oiled; the others never are.
_POLISHED: Mapping[str, float] = {
    **dict.fromkeys(("planks", "veneer", "parquet"), 0.7),
    **dict.fromkeys(("leather", "rubber", "plastic", "linoleum", "ceramic", "car_paint", "sign"), 0.75),
    **dict.fromkeys(("tiles", "marble", "granite", "terrazzo", "painted_metal", "paint"), 0.7),
    **dict.fromkeys(("checker", "stripes", "dots", "zigzag", "emblems", "lettering", "tread_plate"), 0.45),
    **dict.fromkeys(("stone", "flagstones", "concrete", "cork", "hazard_stripes", "camouflage"), 0.25),
}
# A coat of its own, over a duller base: what is varnished. The others are smooth themselves.
_COATED = frozenset(("planks", "veneer", "parquet", "leather", "cork", "stone", "flagstones", "paint", "lettering"))
_BRUSHED = frozenset(("brushed_metal", "veneer", "planks", "tartan", "denim", "woven_cloth"))
_RAIN = (
    *("bricks", "cobbles", "flagstones", "stone", "concrete", "asphalt", "gravel", "sand", "soil", "cracked_mud"),
    *("planks", "bark", "plaster", "tiles", "rubber", "moss", "grass", "tread_plate", "painted_metal"),
)
# What the names of scans begin with, and the family that such a scan is finished like; the others stay as they are.
_LIKE: Mapping[str, str] = {
    **dict.fromkeys(("woodfloor", "wood", "rosewood", "bamboo"), "veneer"),
    **dict.fromkeys(("planks", "woodsiding", "chipboard", "logs", "factory"), "planks"),
    **dict.fromkeys(("tiles", "glazedterracotta", "porcelain", "facade", "ice", "solarpanel"), "tiles"),
    **dict.fromkeys(("marble", "onyx", "travertine"), "marble"),
    **dict.fromkeys(("granite", "terrazzo", "terrazzox"), "granite"),
    **dict.fromkeys(("plastic", "foil", "wallpaper", "officeceiling"), "plastic"),
    **dict.fromkeys(("rubber", "leather"), "leather"),
    **dict.fromkeys(("paint", "diamondplate", "corrugatedsteel", "corrugatedsteelx", "rust", "rusty"), "painted_metal"),
    **dict.fromkeys(("bricks", "bricksx", "roofingtiles", "defense"), "bricks"),
    **dict.fromkeys(("pavingstones", "rock", "rockx", "rocks", "stone"), "stone"),
    **dict.fromkeys(("concrete", "plaster", "clay"), "concrete"),
    **dict.fromkeys(("asphalt", "asphaltx", "road", "tactilepaving"), "asphalt"),
    **dict.fromkeys(("ground", "groundx", "gravel", "gravelx"), "gravel"),
    **dict.fromkeys(("fabric", "carpet"), "woven_cloth"),
    "metal": "brushed_metal",
}


def sample_dressed(rng: np.random.Generator, size: float, width: float, scans: Scans | None) -> Covering:
    """A covering of one to three finished materials, scanned as often as ``scans`` say.

    ``size`` multiplies the features of procedural ones; ``width`` is what the picture shows, in metres: a scan repeats
    once or twice over it.
    """
    count = choose(rng, (2, 3), (2.0, 1.0)) if rng.random() < _MIXED else 1
    layers = tuple(
        dressed_scan(rng, scans, size, width) if scans and rng.random() < scans.share else _procedural(rng, size)
        for _ in range(count)
    )
    return Covering(layers, tuple(sample_mask(rng, size) for _ in layers[1:]))


def _procedural(rng: np.random.Generator, size: float) -> Material:
    bare = rng.random() < _METALS
    options = [family for family in FAMILIES.values() if family.weight > 0.0 and family.metal == bare]
    weights = [family.weight * (1.0 + 1.5 * _POLISHED.get(family.name, 0.0)) for family in options]
    family = choose(rng, options, weights).name
    drawn = sample_material(rng, size=size, darkest=0.2, natural=0.88, family=family)
    dressed = finished(rng, drawn, family, size)
    return replace(dressed, relief=drawn.relief * log_uniform(rng, 0.25, 2.5))


def dressed_scan(rng: np.random.Generator, scans: Scans, size: float, width: float) -> Material:
    """A scan; one of colours alone gets its relief from them and from noise, and its roughness from its like."""
    drawn = scans.sample(rng, size)
    name = scanned.group_of(drawn.textures["color"])
    like = _LIKE.get(name.rstrip("0123456789").partition("_")[0], "")
    parameters = {"shade": 1.0}
    if "height" not in drawn.textures and "normal" not in drawn.textures:
        # Joints and pores are dark and deep; of prints and veins colour says nothing.
        parameters["luminance"] = choose(rng, (uniform(rng, 0.3, 0.9), 0.0, -uniform(rng, 0.2, 0.6)), (0.7, 0.2, 0.1))
        parameters["grain"] = log_uniform(rng, 4.0, 40.0)
    if "roughness" not in drawn.textures:
        parameters["spread"] = uniform(rng, -0.15, 0.15)
    bare = like == "brushed_metal" and "metalness" not in drawn.textures and rng.random() < 0.5
    if bare:
        parameters["metallic"] = 1.0
    family = FAMILIES.get(like)
    dressed = finished(
        rng,
        replace(
            drawn,
            scale=width * log_uniform(rng, 0.45, 1.15),
            roughness=uniform(rng, *family.roughness) if family else uniform(rng, 0.55, 1.0),
            relief=log_uniform(rng, 0.001, 0.02),
            metal=drawn.metal or bare,
            parameters=parameters,
        ),
        like,
        size,
    )
    if like == "brushed_metal" and "metalness" not in drawn.textures and not bare:
        # Colour alone does not tell bare metal from a painted one.
        return replace(dressed, finish=replace(dressed.finish or Finish(), anisotropy=0.0))
    return dressed


def finished(rng: np.random.Generator, drawn: Material, like: str, size: float) -> Material:
    """The material polished or not, worn or not, wet or not, as the family ``like`` is found; "" is never polished."""
    finish = Finish(wear_scale=size * log_uniform(rng, 0.1, 0.8))
    roughness, specular, colors, parameters = drawn.roughness, drawn.specular, drawn.colors, dict(drawn.parameters)
    polished = rng.random() < _POLISHED.get(like, 0.0)
    if polished:
        smooth = log_uniform(rng, 0.03, 0.5)
        if like in _COATED:
            finish = replace(finish, coat=uniform(rng, 0.6, 1.0), coat_roughness=smooth)
            roughness = uniform(rng, 0.25, 0.7)
        else:
            roughness = smooth
        finish = replace(finish, gloss=True)
        specular = uniform(rng, 0.4, 0.7)
    if polished and not drawn.metal and rng.random() < 0.5:
        shade = log_uniform(rng, 0.12, 0.6)
        colors = tuple(_darker(color, shade) for color in colors)
        parameters = {**parameters, "shade": shade} if "shade" in parameters else parameters
    elif not drawn.metal and (drawn.textures or len(colors) > 1) and rng.random() < 0.8:
        # Only where there is a pattern: what is evenly dark would become blacker than anything is.
        finish = replace(finish, contrast=uniform(rng, 1.1, 5.5))
    if rng.random() < (0.75 if polished or drawn.metal else 0.5):
        wear = choose(rng, ("smudges", "scratches", "polish"), (1.0, 1.0, 0.5) if polished else (0.5, 0.5, 1.0))
        finish = replace(finish, wear=wear, variation=uniform(rng, 0.05, 0.4))
    if like in _BRUSHED and rng.random() < (0.8 if drawn.metal else 0.3):
        finish = replace(finish, anisotropy=uniform(rng, 0.3, 0.9))
    if like in _RAIN and not drawn.metal and rng.random() < 0.16:
        finish = replace(finish, wetness=uniform(rng, 0.15, 1.0))
    if rng.random() < 0.45:
        # Nothing is quite flat: dents, folds, the skin of paint; seen in highlights before anywhere else.
        wave = size * log_uniform(rng, 0.03, 0.6)
        finish = replace(finish, wave_scale=wave, waves=wave * log_uniform(rng, 0.003, 0.08))
    return replace(drawn, roughness=roughness, specular=specular, colors=colors, parameters=parameters, finish=finish)


def _darker(color: Color, factor: float) -> Color:
    r, g, b = (max(channel * factor, _BLACK) for channel in color)
    return (r, g, b)
