# SPDX-License-Identifier: GPL-3.0-or-later
"""Random people: build, the shape of the face, expression, tone of the skin, hair, and what they wear."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from dataset_tools.description.covering import Color, Covering, Vector
from dataset_tools.description.person import Build, Eyes, Garment, Glasses, Hair, Hat, Person, Skin
from dataset_tools.description.sampling import choose, from_hsv, log_uniform, uniform, vector
from dataset_tools.sources.skins import Skins
from dataset_tools.specs.coverings import sample_material
from dataset_tools.specs.tones import TONES, skin_color

# Targets by their two ends; "l-" stands for both sides. The number is the standard deviation of their weights.
_FEATURES: tuple[tuple[str, str, str, float], ...] = (
    ("head/head-fat", "decr", "incr", 0.18),
    ("head/head-angle", "in", "out", 0.2),
    ("head/head-scale-depth", "decr", "incr", 0.2),
    ("head/head-scale-horiz", "decr", "incr", 0.18),
    ("head/head-scale-vert", "decr", "incr", 0.14),
    ("head/head-back-scale-depth", "decr", "incr", 0.25),
    ("forehead/forehead-nubian", "decr", "incr", 0.3),
    ("forehead/forehead-scale-vert", "decr", "incr", 0.3),
    ("forehead/forehead-temple", "decr", "incr", 0.35),
    ("forehead/forehead-trans", "backward", "forward", 0.25),
    ("eyebrows/eyebrows-angle", "down", "up", 0.35),
    ("eyebrows/eyebrows-trans", "down", "up", 0.3),
    ("eyes/l-eye-bag", "decr", "incr", 0.4),
    ("eyes/l-eye-corner1", "down", "up", 0.35),
    ("eyes/l-eye-corner2", "down", "up", 0.35),
    ("eyes/l-eye-eyefold-angle", "down", "up", 0.4),
    ("eyes/l-eye-eyefold", "down", "up", 0.35),
    ("eyes/l-eye-height1", "decr", "incr", 0.25),
    ("eyes/l-eye-height2", "decr", "incr", 0.25),
    ("eyes/l-eye-height3", "decr", "incr", 0.25),
    ("eyes/l-eye-push1", "in", "out", 0.25),
    ("eyes/l-eye-scale", "decr", "incr", 0.25),
    ("eyes/l-eye-trans", "in", "out", 0.25),
    ("nose/nose-base", "down", "up", 0.35),
    ("nose/nose-compression", "compress", "uncompress", 0.3),
    ("nose/nose-curve", "concave", "convex", 0.4),
    ("nose/nose-flaring", "decr", "incr", 0.4),
    ("nose/nose-greek", "decr", "incr", 0.35),
    ("nose/nose-hump", "decr", "incr", 0.4),
    ("nose/nose-nostrils-width", "decr", "incr", 0.35),
    ("nose/nose-point", "down", "up", 0.4),
    ("nose/nose-point-width", "decr", "incr", 0.4),
    ("nose/nose-scale-depth", "decr", "incr", 0.3),
    ("nose/nose-scale-horiz", "decr", "incr", 0.35),
    ("nose/nose-scale-vert", "decr", "incr", 0.3),
    ("nose/nose-volume", "decr", "incr", 0.3),
    ("nose/nose-width1", "decr", "incr", 0.35),
    ("nose/nose-width2", "decr", "incr", 0.35),
    ("nose/nose-width3", "decr", "incr", 0.35),
    ("mouth/mouth-cupidsbow", "decr", "incr", 0.4),
    ("mouth/mouth-laugh-lines", "in", "out", 0.3),
    ("mouth/mouth-lowerlip-height", "decr", "incr", 0.35),
    ("mouth/mouth-lowerlip-volume", "decr", "incr", 0.35),
    ("mouth/mouth-philtrum-volume", "decr", "incr", 0.35),
    ("mouth/mouth-scale-horiz", "decr", "incr", 0.35),
    ("mouth/mouth-scale-vert", "decr", "incr", 0.3),
    ("mouth/mouth-trans", "down", "up", 0.25),
    ("mouth/mouth-upperlip-height", "decr", "incr", 0.35),
    ("mouth/mouth-upperlip-volume", "decr", "incr", 0.35),
    ("chin/chin-bones", "decr", "incr", 0.35),
    ("chin/chin-cleft", "decr", "incr", 0.3),
    ("chin/chin-height", "decr", "incr", 0.35),
    ("chin/chin-jaw-drop", "decr", "incr", 0.35),
    ("chin/chin-prognathism", "decr", "incr", 0.25),
    ("chin/chin-prominent", "decr", "incr", 0.35),
    ("chin/chin-width", "decr", "incr", 0.35),
    ("cheek/l-cheek-bones", "decr", "incr", 0.4),
    ("cheek/l-cheek-inner", "decr", "incr", 0.35),
    ("cheek/l-cheek-volume", "decr", "incr", 0.35),
    ("ears/l-ear-flap", "decr", "incr", 0.3),
    ("ears/l-ear-lobe", "decr", "incr", 0.4),
    ("ears/l-ear-rot", "backward", "forward", 0.3),
    ("ears/l-ear-scale", "decr", "incr", 0.3),
    ("ears/l-ear-wing", "decr", "incr", 0.4),
    ("neck/neck-scale-depth", "decr", "incr", 0.25),
    ("neck/neck-scale-horiz", "decr", "incr", 0.25),
)
_OUTLINES = ("oval", "round", "rectangular", "square", "triangular", "invertedtriangular", "diamond")
# Weights above this turn faces into masks.
_MOST = 0.85
_SIDES = ("left", "right")

_HAIR_COLORS: dict[str, Color] = {
    "black": (0.012, 0.010, 0.009),
    "dark brown": (0.030, 0.018, 0.011),
    "brown": (0.075, 0.040, 0.020),
    "light brown": (0.16, 0.092, 0.047),
    "blond": (0.36, 0.235, 0.115),
    "pale blond": (0.52, 0.39, 0.235),
    "red": (0.20, 0.055, 0.016),
    "auburn": (0.10, 0.030, 0.014),
}
_IRISES: dict[str, tuple[Color, Color]] = {
    "brown": ((0.070, 0.028, 0.011), (0.13, 0.055, 0.018)),
    "dark brown": ((0.026, 0.012, 0.007), (0.045, 0.020, 0.010)),
    "hazel": ((0.10, 0.075, 0.030), (0.19, 0.095, 0.028)),
    "green": ((0.075, 0.11, 0.055), (0.16, 0.14, 0.055)),
    "blue": ((0.060, 0.115, 0.20), (0.15, 0.21, 0.27)),
    "grey": ((0.12, 0.15, 0.165), (0.21, 0.225, 0.215)),
}


def sample_person(rng: np.random.Generator, skins: Skins | None) -> Person:
    """A random person; ``skins`` are pictures of skins and eyes to draw from beside the painted ones."""
    tone = choose(rng, tuple(TONES))
    build = _build(rng, tone)
    expression = _expression(rng)
    gaze = _gaze(rng)
    if gaze[1] < 0.0:
        # The upper lid goes down with the gaze.
        for side in _SIDES:
            name = f"eye-{side}-closure"
            expression[name] = min(0.5, expression.get(name, 0.0) - 0.8 * gaze[1])
    male = build.gender > 0.5
    color, grey = _hair_color(rng, tone, build.age)
    hair = _hair(rng, build, tone, color, grey)
    stubble, beard = _beard(rng, build, color, grey)
    hat = _hat(rng)
    skin = _skin(rng, tone, build, stubble, skins)
    return Person(
        build=build,
        features=_features(rng, build),
        expression=expression,
        pose=_pose(rng),
        skin=skin,
        eyes=_eyes(rng, tone, gaze, skins),
        brows=_brow_hair(rng, male, color, grey),
        hair=hair,
        beard=beard,
        garment=_garment(rng),
        hat=hat,
        glasses=_glasses(rng, hat is None),
    )


def _normal(rng: np.random.Generator, mean: float, deviation: float, low: float, high: float) -> float:
    return float(np.clip(rng.normal(mean, deviation), low, high))


def _build(rng: np.random.Generator, tone: str) -> Build:
    low, high = choose(rng, ((6.0, 18.0), (18.0, 40.0), (40.0, 60.0), (60.0, 84.0)), (0.12, 0.48, 0.25, 0.15))
    age = uniform(rng, low, high)
    male = rng.random() < 0.5
    gender = uniform(rng, 0.82, 1.0) if male else uniform(rng, 0.0, 0.18)
    dark = tuple(TONES).index(tone) / (len(TONES) - 1)
    # Any face goes with any tone, but some more often than others.
    african, asian, caucasian = (float(x) for x in rng.dirichlet((0.25 + 2.2 * dark**2, 0.7, 0.3 + 1.3 * (1.0 - dark))))
    return Build(
        age=age,
        gender=gender,
        muscle=_normal(rng, 0.55 if male else 0.45, 0.15, 0.05, 0.95),
        weight=_normal(rng, 0.5, 0.17, 0.05, 0.98),
        african=african,
        asian=asian,
        caucasian=caucasian,
    )


def _features(rng: np.random.Generator, build: Build) -> dict[str, float]:
    found: dict[str, float] = {}
    # Children's faces differ less.
    spread = 0.5 if build.age < 14.0 else 0.8
    for stem, low, high, deviation in _FEATURES:
        weight = spread * _normal(rng, 0.0, deviation, -_MOST, _MOST)
        sides = [stem.replace("/l-", f"/{side}-") for side in "lr"] if "/l-" in stem else [stem]
        for side in sides:
            # No face is symmetric.
            own = weight + (_normal(rng, 0.0, 0.05, -0.12, 0.12) if len(sides) > 1 else 0.0)
            found[f"{side}-{low if own < 0.0 else high}"] = abs(own)
    if rng.random() < 0.7:
        found[f"head/head-{choose(rng, _OUTLINES)}"] = uniform(rng, 0.1, 0.5)
    epicanthus = _normal(rng, 0.55 * build.asian, 0.15, 0.0, 0.9)
    for side in "lr":
        found[f"eyes/{side}-eye-epicanthus-in"] = epicanthus
    if build.age > 50.0:
        found["head/head-age-incr"] = uniform(rng, 0.1, 0.5)
    if build.weight > 0.7:
        found["neck/neck-double-incr"] = uniform(rng, 0.1, 0.8)
    return found


def _expression(rng: np.random.Generator) -> dict[str, float]:
    kind = choose(rng, ("calm", "smile", "laugh", "talk", "stern", "surprised", "sad"), (34, 26, 14, 8, 8, 5, 5))
    strength = uniform(rng, 0.3, 1.0)
    found: dict[str, float] = {}

    def both(stem: str, weight: float) -> None:
        for side in _SIDES:
            # Faces are a little lopsided in expression, too.
            found[stem.format(side)] = max(0.0, weight * strength * uniform(rng, 0.85, 1.15))

    if kind == "smile":
        found["mouth-corner-puller"] = 0.85 * strength
        both("eye-{}-slit", 0.25)
    elif kind == "laugh":
        found["mouth-corner-puller"] = 0.9 * strength
        found["mouth-part-later"] = 0.55 * strength
        found["mouth-open"] = 0.16 * strength
        both("eye-{}-slit", 0.4)
    elif kind == "talk":
        found["mouth-open"] = 0.32 * strength
    elif kind == "stern":
        both("eyebrows-{}-down", 0.7)
        found["mouth-compression"] = 0.5 * strength
    elif kind == "surprised":
        both("eyebrows-{}-up", 0.8)
        both("eye-{}-opened-up", 0.5)
        found["mouth-open"] = 0.30 * strength
    elif kind == "sad":
        both("eyebrows-{}-inner-up", 0.8)
        found["mouth-depression"] = 0.5 * strength
    if kind != "surprised":
        lids = uniform(rng, 0.0, 0.14)
        for side in _SIDES:
            found[f"eye-{side}-closure"] = lids
    return found


def _pose(rng: np.random.Generator) -> Vector:
    """Most look into the camera, some past it; hardly a profile."""
    yaw = math.radians(_normal(rng, 0.0, 16.0, -48.0, 48.0))
    pitch = math.radians(_normal(rng, -1.0, 7.0, -18.0, 16.0))
    return (yaw, pitch, math.radians(_normal(rng, 0.0, 5.0, -14.0, 14.0)))


def _gaze(rng: np.random.Generator) -> tuple[float, float]:
    if rng.random() < 0.35:
        return (math.radians(_normal(rng, 0.0, 12.0, -24.0, 24.0)), math.radians(_normal(rng, -2.0, 6.0, -16.0, 9.0)))
    return (math.radians(_normal(rng, 0.0, 3.0, -8.0, 8.0)), math.radians(_normal(rng, 0.0, 2.0, -5.0, 5.0)))


def _skin(rng: np.random.Generator, tone: str, build: Build, stubble: float, skins: Skins | None) -> Skin:
    low, high = TONES[tone]
    ita = uniform(rng, low, high)
    color = skin_color(ita, uniform(rng, -1.0, 1.0), uniform(rng, -1.0, 1.0))
    light = max(0.0, min(1.0, (ita + 30.0) / 90.0))
    painted = build.gender < 0.5 and build.age > 16.0 and rng.random() < 0.35
    redder = (1.0, 0.62 - 0.18 * light, 0.66 - 0.14 * light)
    natural: Color = tuple(0.92 * c * r for c, r in zip(color, redder, strict=True))  # type: ignore[assignment]
    lipstick = from_hsv(uniform(rng, -0.06, 0.02), uniform(rng, 0.5, 0.85), uniform(rng, 0.35, 0.75))
    old = max(0.0, min(1.0, (build.age - 40.0) / 40.0))
    picture = skins.skin(rng, build) if skins and rng.random() < skins.share else None
    return Skin(
        color=color,
        ita=ita,
        tone=tone,
        lips=lipstick if painted else natural,
        blush=uniform(rng, 0.1, 0.75),
        freckles=uniform(rng, 0.3, 0.9) if rng.random() < 0.35 * light else 0.0,
        spots=uniform(rng, 0.3, 0.8) if rng.random() < 0.25 + 0.5 * old else 0.0,
        pores=uniform(rng, 0.2, 1.0),
        wrinkles=old * uniform(rng, 0.4, 1.0),
        stubble=stubble,
        oil=uniform(rng, 0.0, 0.08) if rng.random() < 0.75 else uniform(rng, 0.08, 0.25),
        roughness=uniform(rng, 0.40, 0.60),
        scatter=log_uniform(rng, 0.0012, 0.0032),
        offset=vector(rng, (0.0, 0.0, 0.0), (9.0, 9.0, 9.0)),
        textures={"color": picture} if picture else {},
    )


def _eyes(rng: np.random.Generator, tone: str, gaze: tuple[float, float], skins: Skins | None) -> Eyes:
    dark = tuple(TONES).index(tone)
    weights = {
        "dark brown": 1.0 + 1.6 * dark,
        "brown": 2.0,
        "hazel": max(0.1, 1.2 - 0.25 * dark),
        "green": max(0.05, 0.9 - 0.25 * dark),
        "blue": max(0.04, 2.0 - 0.55 * dark),
        "grey": max(0.02, 0.7 - 0.2 * dark),
    }
    name = choose(rng, tuple(weights), tuple(weights.values()))
    picture = skins.eye(rng) if skins and rng.random() < 0.5 * skins.share else None
    return Eyes(
        iris=_IRISES[name],
        pupil=uniform(rng, 0.25, 0.5),
        gaze=gaze,
        redness=uniform(rng, 0.0, 0.5),
        textures={"color": picture} if picture else {},
    )


def _hair_color(rng: np.random.Generator, tone: str, age: float) -> tuple[Color, float]:
    dark = tuple(TONES).index(tone) / (len(TONES) - 1)
    weights = (1.0 + 6.0 * dark, 2.0 + dark, *(max(0.04, w * (1.0 - dark)) for w in (2.2, 1.6, 1.4, 0.6, 0.6, 0.6)))
    name = choose(rng, tuple(_HAIR_COLORS), weights)
    color = _HAIR_COLORS[name]
    if rng.random() < 0.03:
        color = from_hsv(uniform(rng, 0.0, 1.0), uniform(rng, 0.4, 0.8), uniform(rng, 0.3, 0.8))
    factor = log_uniform(rng, 0.75, 1.35)
    moved: Color = tuple(min(0.7, c * factor) for c in color)  # type: ignore[assignment]
    grey = float(np.clip((age - 38.0) / 34.0 + rng.normal(0.0, 0.28), 0.0, 1.0)) if age > 34.0 else 0.0
    return moved, grey


# Styles with their lengths in metres, and how often men and women wear them.
_STYLES: dict[str, tuple[float, float, float, float]] = {
    "buzz": (0.003, 0.009, 2.0, 0.15),
    "short": (0.018, 0.050, 3.0, 0.5),
    "side": (0.030, 0.080, 2.2, 0.8),
    "back": (0.040, 0.100, 1.5, 0.6),
    "up": (0.015, 0.045, 1.0, 0.1),
    "tied": (0.090, 0.120, 0.3, 2.2),
    "parted": (0.120, 0.320, 0.35, 3.0),
    "middle": (0.140, 0.340, 0.25, 2.4),
    "curly": (0.060, 0.200, 0.5, 1.6),
    "afro": (0.025, 0.080, 0.4, 0.5),
}


def _hair(rng: np.random.Generator, build: Build, tone: str, color: Color, grey: float) -> Hair | None:
    male = build.gender > 0.5
    bald = male and rng.random() < min(0.35, max(0.02, (build.age - 22.0) / 110.0))
    receding = uniform(rng, 0.3, 1.0) if male and build.age > 30.0 and rng.random() < 0.4 else 0.0
    dark = tuple(TONES).index(tone) >= 4
    weights = [
        (man if male else woman) * (4.0 if dark and name in ("afro", "buzz", "curly") else 1.0)
        for name, (_, _, man, woman) in _STYLES.items()
    ]
    style = choose(rng, tuple(_STYLES), weights)
    low, high = _STYLES[style][:2]
    curled = style in ("curly", "afro")
    made = Hair(
        style=style,
        color=color,
        length=log_uniform(rng, low, high),
        curl=uniform(rng, 0.5, 1.0) if curled else (uniform(rng, 0.1, 0.6) if rng.random() < 0.35 else 0.0),
        frizz=uniform(rng, 0.4, 1.0) if curled else uniform(rng, 0.05, 0.5),
        density=uniform(rng, 0.55, 0.85) if receding else uniform(rng, 0.8, 1.0),
        grey=grey,
        roughness=uniform(rng, 0.18, 0.42),
        seed=_seed(rng),
        parameters={"receding": receding},
    )
    return None if bald else made


def _beard(rng: np.random.Generator, build: Build, color: Color, grey: float) -> tuple[float, Hair | None]:
    """How dark a shaven or stubbly skin is, and the beard that stands on it."""
    if build.gender < 0.5 or build.age < 17.0:
        return 0.0, None
    style = choose(rng, ("shaven", "stubble", "full", "goatee", "moustache"), (0.45, 0.2, 0.2, 0.09, 0.06))
    length = {"stubble": (0.002, 0.005), "full": (0.008, 0.045), "goatee": (0.006, 0.025), "moustache": (0.006, 0.012)}
    stubble = uniform(rng, 0.0, 0.45)
    if style == "shaven":
        return stubble, None
    beard = Hair(
        style=style,
        color=color,
        length=log_uniform(rng, *length[style]),
        curl=uniform(rng, 0.0, 0.8),
        frizz=uniform(rng, 0.2, 0.9),
        density=uniform(rng, 0.5, 1.0),
        grey=min(1.0, 1.2 * grey),
        roughness=uniform(rng, 0.25, 0.45),
        seed=_seed(rng),
    )
    return (0.6 if style in ("stubble", "full") else stubble), beard


def _brow_hair(rng: np.random.Generator, male: bool, color: Color, grey: float) -> Hair:
    return Hair(
        style="brows",
        color=color,
        length=uniform(rng, 0.0045, 0.0075),
        curl=0.0,
        frizz=0.0,
        density=uniform(rng, 0.4, 0.9) if male else uniform(rng, 0.3, 0.7),
        grey=0.5 * grey,
        roughness=0.35,
        seed=_seed(rng),
        parameters={
            "thickness": uniform(rng, 0.0055, 0.0095) if male else uniform(rng, 0.0035, 0.007),
            "arch": uniform(rng, 0.000, 0.004) if male else uniform(rng, 0.002, 0.006),
        },
    )


_CLOTHS = ("woven_cloth", "denim", "tartan", "knit", "felt", "paint", "stripes", "dots", "leather")


def _cloth(rng: np.random.Generator, family: str | None) -> Covering:
    drawn = family or choose(rng, _CLOTHS, (3.0, 1.2, 0.8, 2.0, 1.2, 3.0, 0.8, 0.3, 0.6))
    size = 1.6 * 0.05 if drawn in ("paint", "stripes", "dots", "tartan") else 0.05
    return Covering((sample_material(rng, size=size, darkest=0.12, family=drawn, metals=0.0),))


def _garment(rng: np.random.Generator) -> Garment:
    cut = choose(rng, ("crew", "vee", "turtleneck", "shirt", "jacket"), (3.0, 1.4, 1.0, 2.4, 1.4))
    return Garment(cut, uniform(rng, 0.0, 1.0), _cloth(rng, "knit" if cut == "turtleneck" else None))


def _hat(rng: np.random.Generator) -> Hat | None:
    kind = choose(rng, ("beanie", "cap", "brimmed", "turban"), (2.0, 2.0, 1.6, 0.8))
    family = {"beanie": "knit", "brimmed": "felt", "turban": "woven_cloth"}.get(kind)
    made = Hat(kind, uniform(rng, -0.010, 0.016), math.radians(_normal(rng, 0.0, 3.0, -7.0, 7.0)), _cloth(rng, family))
    return made if rng.random() < 0.13 else None


def _glasses(rng: np.random.Generator, allowed: bool) -> Glasses | None:
    kind = "sun" if rng.random() < 0.2 else "frame"
    metal = rng.random() < 0.35
    frame = sample_material(rng, size=0.02, darkest=0.05, family="brushed_metal" if metal else "plastic")
    dark = uniform(rng, 0.006, 0.03)
    lens = replace(sample_material(rng, size=0.5, family="plastic"), colors=((dark, dark, dark),), roughness=0.05)
    made = Glasses(
        kind=kind,
        width=uniform(rng, 0.044, 0.054),
        height=uniform(rng, 0.028, 0.046),
        round=uniform(rng, 0.0, 1.0),
        thickness=uniform(rng, 0.0007, 0.0013) if metal else uniform(rng, 0.0012, 0.0026),
        covering=Covering((frame,)),
        lenses=Covering((lens,)) if kind == "sun" else None,
    )
    return made if rng.random() < (0.16 if allowed else 0.08) else None


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(1 << 31))
