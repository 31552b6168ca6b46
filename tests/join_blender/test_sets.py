# SPDX-License-Identifier: GPL-3.0-or-later
"""Sets of layers in Blender: known by their ids and never by names, whole or not there at all, and one state with the
sliders and the views."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from join_engine.face_crop import crop_of_points
from tests.join_blender.support import HERE, Blender, blender_python

pytestmark = pytest.mark.slow  # each test has a Blender of its own

THREE = ("albedo", "shading", "specular")
STEPS = int(os.environ.get("JOIN_WALK_STEPS", "12"))
"""Of the random walk; ``make test-blenders`` walks 200."""


@pytest.fixture(scope="module")
def blender(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> Blender:
    return Blender(tmp_path_factory.mktemp("Sätze"), archive, blender_python(), HERE / "inside_sets.py")


def test_a_set_is_known_by_no_name(tmp_path: Path, blender: Blender, fake: Path) -> None:
    """Another picture of the same name, a renamed one, two that exchange their names, a copy, a renamed layer."""
    report = blender.run("names", fake, folder=tmp_path)
    assert report["same name"] == [True, True, 2] and report["first kept"]
    assert report["renamed"] == [True, True, 2]
    assert report["exchanged"] == [True] * 4
    assert report["copied"] == [True] * 3
    assert report["layer renamed"] == ["my own name", True] and report["error"] < 1e-5


def test_an_update_replaces_the_whole_set(tmp_path: Path, blender: Blender, fake: Path) -> None:
    """Fewer components, more, and the same again; in the compositor and where the user has used a layer, too."""
    report = blender.run("update", fake, folder=tmp_path)
    three = ["Albedo: albedo", "Shading: shading", "Specular: specular"]
    expected = {
        "before": (["albedo", "shading", "specular"], three),
        "fewer": (["albedo", "shading"], three[:2]),
        "more": (["albedo", "emission", "shading", "specular"], [*three, "Emission: emission"]),
        "as before": (["albedo", "shading", "specular"], three),
    }
    for step, (layers, group) in expected.items():
        state = report[step]
        assert state["layers"] == layers and state["groups"] == [group], step
        assert state["makes"] and state["rendered"] and state["same set"], step
        assert state["images"] == len(layers) and state["exposure"] == 1.5, step
    assert report["left"] == [0.0, []], "what the user uses has to leave the picture alone"
    assert report["error"] < 1e-5 and report["strays"] == []
    assert any("the user's own" in user for user in report["users"])


def test_linked_layers_are_refused_or_made_local(tmp_path: Path, blender: Blender, fake: Path) -> None:
    """Update, relight, rename and remove; beside a local picture of the same name."""
    report = blender.run("linked", fake, folder=tmp_path)
    assert report["source"] == ["photo", True] and "linked" in report["told"]
    for action in ("update", "relight", "rename", "remove"):
        assert "linked from 'library.blend'" in report[action] and "Make Local" in report[action], report[action]
    assert report["local"] == [True] * 4 and report["error"] < 1e-5
    assert report["made local"] == report["update local"] == ""
    assert report["after"] == [1, False, 2, True]
    assert report["renamed"] == ["mine albedo", "mine shading", "mine specular"]
    assert report["untouched"]


def test_photos_together_get_a_set_each_with_one_albedo(tmp_path: Path, blender: Blender, fake: Path) -> None:
    """Known as together, and each a set like any other."""
    report = blender.run("together", fake, folder=tmp_path)
    assert report["made"] == ""
    assert report["sets"] == [3, True] and report["one albedo"] and report["untouched"]
    assert report["layers"] == sorted(f"{p} {c}" for p in ("sun", "lamp", "window") for c in THREE)
    assert "together" in report["told"] and report["together"] == [True] * 3 and report["moved"] == [2.0, 0.0]
    assert report["words"] == "New layers of 3 photos with one albedo"
    assert "several photos together" in report["bring back"]
    assert report["one removed"] == [True, True]
    assert report["one updated"][0] == [] and len(report["one updated"][1]) == 1 and report["one updated"][2]
    assert report["reopened"] == [True, "morning", True]


def test_light_is_exposed_to_be_read(tmp_path: Path, blender: Blender, fake: Path) -> None:
    """By what its layers are in the light of the photo, photos that belong together alike; and a photo that was moved
    onto another is where it was moved to."""
    report = blender.run("readable", fake, folder=tmp_path)
    for step, stops in (("told", 0.0), ("exposed", 1.5)):
        told = report[step]
        for name, (stored, known, gain) in told.items():
            assert stored == pytest.approx(known, rel=0.02), name
            photo, component = name.split()
            brightest = stored if photo == "alone" else max(told[f"{p} {component}"][0] for p in ("sun", "lamp"))
            assert gain == pytest.approx(2.0**stops * 2.0 / max(brightest, 0.125)), name
    assert report["told"]["sun shading"][0] > 4 * report["told"]["lamp shading"][0]
    assert report["albedo"] == report["as render"] == report["off"] == 0.0 and report["older"] == 1.0
    assert report["view"] == [0.0] and report["untouched"]
    assert report["part"][0] == report["part"][2] == [0.0, 0.0, 1.0, 1.0]
    # moved one of its 30 rows down: its first row is above the photo
    assert report["part"][1] == pytest.approx([0.0, 1 / 30, 1.0, 31 / 30])
    assert report["reopened"] == [-2.0, pytest.approx(report["told"]["alone shading"][2] / 4)]


def test_photos_together_are_all_or_none(tmp_path: Path, blender: Blender, fake: Path) -> None:
    report = blender.run("together_ends", fake, folder=tmp_path)
    assert "One photo is not several" in report["alone"] and "One photo is not several" in report["empty list"]
    assert "'large' is 16 × 8 and 'sun' is 12 × 8: they must be of one size" in report["sizes"]
    assert "There is no image 'nobody'" in report["nobody"] and "There is no file" in report["no file"]
    assert report["list"] == ["sun", "lamp", "window"] and report["shorter"] == ["sun", "window"]
    assert report["opened"] == ["sun", "window", "file.png"]
    assert report["half saved"] == ["sun"]  # which the list of photos uses, and no layers
    assert report["finished"] == [3, True]
    assert report["cancelled while written"] == ["CANCELLED", []]
    assert "A layer of the engine cannot be read" in report["broken"] and report["nothing left"] == []
    assert report["keep False"] == ["CANCELLED", False, 0]
    assert report["keep True"] == ["DONE", True, 3]


def test_what_a_mask_covers_goes_to_the_engine(tmp_path: Path, blender: Blender, fake: Path) -> None:
    """A drawn Mask covers the pixels that it shows; a painted one adds to it; both are cut like the image."""
    report = blender.run("clean_up", fake, folder=tmp_path)
    assert report["box"] == [10, 14, 10, 19] and report["filled"] and report["inverted"]
    assert report["made"] == "" and "cleaned up" in report["told"] and "cleaned up" not in report["plain"]
    assert report["cleaned"] == [50 / 800, 80 / 800, 130 / 800, 50 / 400]
    assert "No mask is chosen" in report["no mask"] and "no mask 'nobody'" in report["nobody"]
    assert "covers nothing" in report["black"] and "Press Clean Up again" in report["bring back"]
    assert "'small' is 4 × 4 and the image 40 × 20" in report["size"]


def test_properties_that_somebody_else_has_changed(tmp_path: Path, blender: Blender, fake: Path) -> None:
    """A script, another add-on, a hand: the panels stay, and no operator ends in a traceback."""
    report = blender.run("spoiled", fake, folder=tmp_path)
    assert not report.get("wrong"), "\n".join(report["wrong"][:5])
    assert {"join_set", "join_settings", "join_metrics", "join_part", "join_input"} <= set(report["names"])
    assert report["looked"] == 8 * len(report["names"]) and report["makes"]


def test_the_face_that_one_points_at_goes_to_the_engine(tmp_path: Path, blender: Blender, fake: Path) -> None:
    """In pixels of what the engine gets, from its upper left corner."""
    report = blender.run("face", fake, folder=tmp_path)
    assert report["nothing"] is report["found again"] is report["of no face"] is None
    # Half of 20 pixels to each side of (10, 10), of 40 by 20.
    assert report["of layer"] == pytest.approx([0.125, 0.25, 0.375, 0.75])
    points = [[10.0, 5.0], [20.0, 6.0], [15.0, 13.0]]
    assert np.array(report["points"]["points"]) == pytest.approx(np.array(points), abs=1e-4)
    assert np.array(report["part"]["points"]) == pytest.approx(np.array(points) - (10.0, 4.0), abs=1e-4)
    assert np.array(report["half"]["points"]) == pytest.approx(np.array(points) / 2.0, abs=1e-4)
    crop = crop_of_points(*map(tuple, points))
    outline = np.array(crop.corners) / (40.0, 20.0) * (1.0, -1.0) + (0.0, 1.0)
    assert np.array(report["outline"]) == pytest.approx(outline, abs=1e-4)
    assert report["box"]["box"] == pytest.approx([10.0, 2.0, 30.0, 18.0], abs=1e-4)
    assert "make no face" in report["refused"] and report["kept"] and "no image 'nobody'" in report["no image"]
    assert report["brought back"]
    # A bank that the engine suggests is a button's, and no longer suggested once it was taken.
    assert "Use Bank faces" not in report["buttons"] and len(report["buttons"]) > 3
    assert report["suggested"] == ["faces", True] and report["chosen"] == ["faces", ""]
    # One that was chosen by the picture is told, and from then on is as good as named.
    assert report["named"] == [[], True, "faces", "faces"]
    assert report["by itself"] == [["Chosen by itself: the bank fake"], False, None, "fake"]


def test_no_file_is_saved_with_previews(tmp_path: Path, blender: Blender, fake: Path) -> None:
    """A save, a copy, a save that fails, a backup that Blender writes without asking, a job that is cancelled."""
    report = blender.run("saved", fake, folder=tmp_path)
    three = [f"photo {name}" for name in ("albedo", "shading", "specular")]
    assert report["shown"] == report["back"] == three
    assert report["in the file"] == report["in the copy"] == ["kept", "photo"]
    assert report["after a save that failed"] == three
    assert set(three) < set(report["in the backup"])
    assert report["done"] == ["DONE", [], three]
    assert report["finished file"] == ["kept", "photo", *three]
    assert report["cancelled"] == report["undone"] == report["redone"] == []
    assert report["backup opened"] == [[], []]


def test_a_set_is_written_whole_or_not_at_all(tmp_path: Path, blender: Blender, fake: Path) -> None:
    """A save, a stop and an undo between the first layer and the last."""
    report = blender.run("half_written", fake, folder=tmp_path)
    three = [f"photo {name}" for name in ("albedo", "shading", "specular")]
    assert report["new"] == [["photo"], True, [7], []]
    assert report["update"] == [["photo", *three], True, [7], []]
    assert report["stopped"] == ["", [8], True]
    assert report["undone"] == ["DONE", [11], True]


def test_sets_are_switched_renamed_and_removed(tmp_path: Path, blender: Blender, fake: Path) -> None:
    report = blender.run("list", fake, folder=tmp_path)
    assert report["labels"] == ["photo", "photo.001"] and report["listed"] == 3
    assert report["told"] == ["Standard, fake", "Standard, fake, seed 2"], "two sets have to be told apart"
    assert report["latest"] and report["switched"] and report["updated"] == [3, 2]
    assert report["renamed"] == ["warm light", ["by hand", "warm light albedo", "warm light shading"]]
    assert report["same name"] == [f"warm light {name}" for name in ("albedo.001", "shading.001", "specular")]
    assert "needs a name" in report["empty name"] and report["label kept"] == "warm light"
    names, switched, nodes, photo = report["removed"]
    assert names == [] and switched and nodes == 6 and photo == "photo"
    assert report["undone"] == [True, True] and report["redone"] == [[], 2]
    assert report["in the file"] == ["other", "other albedo", "other shading", "other specular", "photo"]
    assert "no such set" in report["no such set"]


def test_what_is_lost_is_found_or_has_a_way_out(tmp_path: Path, blender: Blender, bank: Path) -> None:
    """Deleted layers (any, two at once, relit ones); an input that is renamed, deleted, opened again."""
    report = blender.run("lost", sys.executable, 600, folder=tmp_path, bank=bank)
    assert report["missing"] == ["specular"]
    for action in ("relight", "view"):
        assert "The layer specular is gone" in report[action] and "Bring Back" in report[action]
    assert report["repair"] == "" and report["whole"] == [[], True, True]
    assert report["from original"] == [True, True] and report["lit again"]
    assert report["albedo"] == [["albedo"], "", True]
    assert report["two"] == [["albedo", "shading"], "", True]
    assert report["renamed"] == [True, ""]
    lost = report["no input"]
    assert lost["still listed"] and lost["recomposed"] == ""
    assert "Choose Input" in lost["error view"] and "Choose Input" in lost["repair"]
    assert "was not decomposed" in report["not by name"], "a new picture took over an older one's set by its name"
    assert "not as large" in report["wrong size"] and "is a layer itself" in report["a layer"]
    assert report["chosen"] == "" and report["repaired"] == ["", True]


def test_sets_of_older_files_are_taken_over(tmp_path: Path, blender: Blender, fake: Path) -> None:
    report = blender.run("older", fake, folder=tmp_path)
    assert report["found"] == [True, True, 1] and report["updated"] == [3, True]


def test_stereo_renders_are_taken(tmp_path: Path, blender: Blender, fake: Path) -> None:
    """Both views, one that is switched off, views that are switched off after the render, another stereo format, a part
    of a view, views of other names; and a lossy codec that the user has chosen changes nothing."""
    report = blender.run("stereo", fake, folder=tmp_path)
    assert report["sizes"] == [[12, 20, 3]] * 3 and report["differ"] > 1e-3 and report["kept"]
    assert report["lossy"] == 0.0
    for one in ("switched off after it", "anaglyph", "left alone", "right alone", "other names"):
        assert report[one] < 1e-6, one
    assert report["anaglyph kept"] == "ANAGLYPH" and report["decomposed"] == report["compared"] == ""
    assert report["layers"] == [[20, 12]] * 3 and report["cropped"] == [6, 10, 3]


def test_the_scene_is_the_users(tmp_path: Path, blender: Blender, fake: Path) -> None:
    """Nodes come on request, with a Viewer; what is rendered changes on request; trees of others stay theirs."""
    report: dict[str, Any] = blender.run("nodes", fake, folder=tmp_path)
    assert report["before"] == ["", 1920] and report["added"] == ["CompositorNodeRLayers", 1920]
    assert report["viewer"] == ["CompositorNodeGroup"] and report["twice"] == 1
    assert report["asked for"] == report["bare asked for"] == ["CompositorNodeGroup", 12]
    assert report["bare"] == [["", 1920], False, 1]
    if "shared" in report:  # from Blender 5.0 on
        assert report["shared"] == [True, ["CompositorNodeRLayers", 1920]]
        ours, theirs, kept = report["shared asked for"]
        assert ours == ["CompositorNodeGroup", 12] and theirs == ["CompositorNodeRLayers", 1920] and kept
        assert report["linked"] == [True, True]


def test_a_random_walk_keeps_everything_in_step(tmp_path: Path, archive: Path, bank: Path) -> None:
    """Sliders, undo, redo, update, delete, rename, save and reopen, in an order that is drawn. The real engine."""
    blender = Blender(tmp_path / "blender", archive, blender_python(), HERE / "inside_walk.py")
    report = blender.run("random_walk", sys.executable, 1500, folder=tmp_path, bank=bank, steps=STEPS, seed=1)
    assert report["steps"] == STEPS and report["lights"] >= 1
    if STEPS >= 200:
        assert set(report["done"]) >= {"slider", "undo", "redo", "update", "remove", "rename", "delete_layer", "save"}
