# SPDX-License-Identifier: GPL-3.0-or-later
"""What is done with layers in Blender: recombined, relit, animated, made into materials, exported."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import numpy as np
import OpenEXR
import pytest

from join_engine.bank import DirectionsHeader, DirectionVectors, find_bank, fingerprint, load_bank
from join_engine.color import srgb_encode
from join_engine.commands.main import main
from join_engine.layers.decomposition import load_decomposition
from join_engine.layers.maps import maps_of, network_of
from join_engine.layers.tileable import tileable
from join_engine.training.make_bank import Parts, make_bank
from tests.join_blender.support import HERE, Blender, blender_python

pytestmark = pytest.mark.slow  # each test has a Blender of its own

CONTROLS = {
    "Albedo Exposure": -0.5,
    "Albedo Saturation": 0.3,
    "Shading Exposure": 1.5,
    "Shading Tint": (1.0, 0.8, 0.6, 1.0),
    "Specular Tint": (0.5, 1.0, 2.0, 1.0),
    "Specular Saturation": 2.0,
}


@pytest.fixture(scope="module")
def blender(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> Blender:
    return Blender(tmp_path_factory.mktemp("Blender – grün"), archive, blender_python(), HERE / "inside_layers.py")


def picture(path: Path) -> np.ndarray:
    with OpenEXR.File(str(path)) as file:
        return np.asarray(file.channels()["RGB"].pixels, dtype=np.float32)


def graded(rgb: np.ndarray, exposure: float = 0.0, tint: tuple[float, ...] = (1, 1, 1), saturation: float = 1.0):
    grey = (rgb @ np.array([0.2126, 0.7152, 0.0722]))[..., None]
    return (grey + (rgb - grey) * saturation) * 2.0**exposure * np.array(tint)


STRENGTHS = {"albedo": 1.0, "shading": 8.0, "specular": 3.0}


def test_the_group_recombines_and_grades(tmp_path: Path, blender: Blender) -> None:
    formula = [["albedo", "shading"], ["specular"]]
    report = blender.run("graded", "none", folder=tmp_path, controls=CONTROLS, formula=formula, strengths=STRENGTHS)
    assert report["groups"] == ["JoIN Recombine"] and report["described"]
    assert report["inputs"][:3] == ["Albedo", "Shading", "Specular"] and len(report["inputs"]) == 12
    albedo, shading, specular = (np.load(tmp_path / f"{name}.npy") for name in ("albedo", "shading", "specular"))
    assert np.abs(picture(tmp_path / "plain.exr") - (albedo * shading + specular)).max() < 1e-4
    expected = graded(albedo, -0.5, saturation=0.3) * graded(shading, 1.5, (1.0, 0.8, 0.6))
    expected += graded(specular, tint=(0.5, 1.0, 2.0), saturation=2.0)
    assert np.abs(picture(tmp_path / "graded.exr") - expected).max() < 1e-4


def test_the_group_is_built_of_the_formula(tmp_path: Path, blender: Blender) -> None:
    """Another model than the shipped ones: four components, a component that is shared, and a number."""
    formula = [["albedo", "shading"], ["specular"], ["emission"], [0.25, "veil", "shading"]]
    strengths = {**STRENGTHS, "emission": 5.0, "veil": 1.0}
    controls = {"Emission Exposure": 1.0, "Shading Tint": (1.0, 0.8, 0.6, 1.0)}
    report = blender.run("graded", "none", folder=tmp_path, controls=controls, formula=formula, strengths=strengths)
    assert report["inputs"][:5] == ["Albedo", "Shading", "Specular", "Emission", "Veil"]
    a, s, p, e, v = (
        np.load(tmp_path / f"{name}.npy") for name in ("albedo", "shading", "specular", "emission", "veil")
    )
    assert np.abs(picture(tmp_path / "plain.exr") - (a * s + p + e + v * s / 4)).max() < 1e-4
    tinted = graded(s, tint=(1.0, 0.8, 0.6))
    assert np.abs(picture(tmp_path / "graded.exr") - (a * tinted + p + 2.0 * e + v * tinted / 4)).max() < 1e-4


@pytest.fixture(scope="module")
def lit(tmp_path_factory: pytest.TempPathFactory, blender: Blender, bank: Path) -> tuple[Path, dict]:
    """A saved file with a relit set in it, and what was found while it was made."""
    folder = tmp_path_factory.mktemp("ein Ordner – grün")
    return folder, blender.run("relight", sys.executable, folder=folder, bank=bank, alpha=True)


def test_values_move_the_light_and_nothing_else(lit: tuple[Path, dict]) -> None:
    _, report = lit
    assert report["names"][:2] == ["Shading 1", "Shading 2"] and "Specular 1" in report["names"]
    assert report["told"] and report["path"] == "join_relights[0].values[0].amount"
    moved = report["moved"]
    assert moved["albedo"] == 0.0 and moved["shading"] > 0.01 and moved["specular"] > 1e-4
    assert report["alpha_kept"]
    assert report["original"] and report["again"] and report["reset"], report
    assert report["same_random"] and len(set(report["random"])) > 4


def test_originals_are_kept_and_go_with_their_layers(lit: tuple[Path, dict]) -> None:
    _, report = lit
    assert report["hidden"] == [2, True]
    assert report["update"] == [None, None, None], "new pixels do not show the light of the old ones"
    assert report["orphans_gone"]


def test_another_material_is_mixed_in(tmp_path: Path, blender: Blender, bank: Path) -> None:
    report = blender.run("mix", sys.executable, folder=tmp_path, bank=bank)
    assert "with itself" in report["refused"][0] and "No other material" in report["refused"][1]
    assert len(report["refused"]) == 3 and report["with"] == "other"
    assert report["values"] == [[name, "albedo"] for name in ("Colour", "Pattern", "Layout")]
    everything = ["albedo", "shading", "specular"]
    assert report["nothing yet"] == report["other left alone"] == report["back"] == everything
    assert report["mixed"] == ["shading", "specular"] and report["moved"] > 1e-3
    assert "albedo" in report["lit"] and "shading" not in report["lit"]
    assert report["reset light"] == report["reopened"] == report["tomorrow"] == everything
    exported = load_decomposition(tmp_path / "mixed.join")
    assert set(exported.other) == {"albedo"}
    assert {edit["direction"] for edit in exported.settings["edits"]} == {"mix.colour", "sefa.0"}


def test_confidence_is_a_view_of_each_layer(tmp_path: Path, blender: Blender) -> None:
    """Of the shipped bank, which alone has a split network."""
    report = blender.run("confidence", sys.executable, 300, folder=tmp_path)
    assert report["size"] == [64, 96, 4] and report["differ"] > 0.01
    mean, share, other = report["figures"]["albedo"]
    assert abs(mean - report["albedo_error"]) < 0.01 and 0.0 <= share <= 1.0 and not other
    assert report["same in another light"]
    assert "do not tell how sure" in report["refused"]


def test_layers_are_taken_out_of_blender_once_and_one_at_a_time(tmp_path: Path, blender: Blender, bank: Path) -> None:
    """Each copy may take longer than Blender's window should wait."""
    report = blender.run("at_hand", sys.executable, folder=tmp_path, bank=bank)
    everything = ["albedo", "shading", "specular"]
    assert report["far"] == report["near"] == everything
    assert report["sizes"] == [[40, 24]] and report["whole"] == [0.0, 0.0, 1.0, 1.0] and not report["decoded"]
    # One for each layer, one that makes room for the input and one that reads it.
    assert report["pieces"] >= 5 and report["same"] and report["no copies"]
    assert report["gone"] and "gone" in report["gone"][0]
    assert report["taken"] == 3
    assert not report["stale"] and not report["error made anew"]
    assert report["kept over it"] and report["then gone"]
    assert report["painted"] and report["packed anew"]


def test_another_material_is_pasted_into_this_light(tmp_path: Path, blender: Blender, bank: Path) -> None:
    report = blender.run("paste", sys.executable, folder=tmp_path, bank=bank)
    refused = report["refused"]
    assert len(refused) == 3
    assert "into itself" in refused[0] and "No other material" in refused[1] and "No mask" in refused[2]
    assert report["new"] and report["told"].endswith("pasted") and report["left alone"]
    assert report["same"] == ["shading", "specular"] and not report["outside"] and report["inside"] > 0.9
    assert report["paint"] < 1e-4 and report["alpha"] and report["reopened"]
    assert "pasted into this layer" in report["repair"]


@pytest.fixture(scope="module")
def wet_bank(bank: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """That of random weights with a direction *wet*, which moves the albedo."""
    loaded = load_bank(bank, with_discriminators=True)
    parts, part = Parts.of_bank(loaded), loaded.components["albedo"]
    vectors = DirectionVectors(1, 1, part.generator.config.w_dim)
    vectors.vectors.copy_(part.sample_codes()[:200].std(dim=0)[None, None] * 3.0)
    told = {"unit": 0.7, "pairs": 4, "moves": ["albedo"], "gain_albedo": [1.0, 0.5], "gain_image": [1.0, 0.5]}
    header = DirectionsHeader({"wet": told}, {"albedo": fingerprint(part.generator)}, {"albedo": 1}, {"scenes": 4})
    parts.materials = header, {"albedo": vectors}
    path = tmp_path_factory.mktemp("wet") / "wet.safetensors"
    make_bank(path, "wet", loaded.header.forward_model, parts, {})
    return path


def test_a_slider_changes_the_material_and_not_its_light(tmp_path: Path, blender: Blender, wet_bank: Path) -> None:
    report = blender.run("restyled", sys.executable, folder=tmp_path, bank=wet_bank)
    assert report["values"] == [["Wet", "albedo", True]]
    assert report["same"] == ["shading", "specular"] and report["moved"] > 1e-3
    assert report["left alone"] and report["reopened"] == 0.8 and report["back"]


def test_undo_takes_a_mixture_back(tmp_path: Path, blender: Blender, bank: Path) -> None:
    """States: shares of the sliders, whether the albedo is what it was, whether the set knows the other."""
    report = blender.run("mix_undone", sys.executable, folder=tmp_path, bank=bank)
    begun, mixed, slider, button, again, at_last = report["states"]
    assert begun == [[0.0, 0.0, 0.0], True, True]
    assert mixed == at_last == [[1.0, 0.0, 0.0], False, True]
    assert slider == again == begun
    assert not button[0] and button[1:] == [True, False]


def test_undo_takes_the_light_back_in_edit_mode_too(tmp_path: Path, blender: Blender, bank: Path) -> None:
    report = blender.run("undo", sys.executable, folder=tmp_path, bank=bank)
    assert not report["recorded"] and report["strays"] == []
    random, moved, *seen = report["amounts"]
    assert moved[0] == 1.5 and moved[1] == random[1] != 0.0
    assert seen == [random, [0.0, 0.0], None, [0.0, 0.0], random, moved]


def test_a_saved_file_relights_tomorrow(blender: Blender, lit: tuple[Path, dict]) -> None:
    folder, _ = lit
    report = blender.run("tomorrow", sys.executable, folder=folder)
    assert report["shown"] and report["engine_left_alone"] and report["back"]
    assert report["moved"] > 0.01
    assert "do not know how they were made" in report["refused"]


def test_a_dead_engine_costs_one_message(blender: Blender, bank: Path, lit: tuple[Path, dict]) -> None:
    report = blender.run("killed", sys.executable, folder=lit[0], bank=bank)
    assert report["between"] == report["afterwards"] == ["FINISHED"]
    assert "The engine stopped in the middle of the work" in report["in the middle"]
    assert report["unchanged"] and report["moved"] > 1e-3


def test_keyframes_render_to_video(blender: Blender, lit: tuple[Path, dict]) -> None:
    folder, _ = lit
    report = blender.run("animate", sys.executable, folder=folder)
    assert report["frame_1"] and report["frame_3"] > 0.01
    frames = [picture(folder / f"frame_{number:04d}.exr") for number in (1, 2, 3)]
    slider = np.load(folder / "slider.npy")[..., :3]
    expected = np.load(folder / "albedo.npy") * slider + np.load(folder / "specular.npy")
    assert np.abs(frames[0] - expected).max() < 1e-4
    assert min(np.abs(a - b).max() for a, b in itertools.pairwise(frames)) > 1e-3


def test_the_albedo_is_painted_on_and_kept_and_the_material_becomes_an_asset(
    blender: Blender, lit: tuple[Path, dict]
) -> None:
    folder = lit[0]
    report = blender.run("paint", "none", folder=folder)
    assert "No mesh is active" in report["nothing"] and "No mesh is active" in report["empty"]
    assert "has no UV map" in report["flat"][0] and report["flat"][1] == 0, "a refusal changes nothing"
    assert report["slot"] == "photo albedo"
    assert report["mode"] == ["TEXTURE_PAINT", "MATERIAL", "photo", True] and report["again"]
    assert report["kept"], "what was painted is lost on saving"
    assert set(report["marked"]) == {"photo", "JoIN Recombine"}
    assert report["marked"]["photo"][0].startswith("photo: ") and report["marked"]["photo"][1] == 1
    layers = {name: np.load(folder / f"shown {name}.npy") for name in ("albedo", "shading", "specular")}
    image = srgb_encode((layers["albedo"] * layers["shading"] + layers["specular"]).clip(0.0)).clip(0.0, 1.0)
    preview = np.load(folder / "preview.npy")
    height, width = image.shape[:2]
    times, side = len(preview) // max(height, width), len(preview)
    top = (side - times * height) // 2
    shown = preview[top : top + times * height : times, ::times][:, :width]
    np.testing.assert_allclose(shown[..., :3], image, atol=0.01)  # of 8 bits
    assert (preview[: top - 1, :, 3] == 0.0).all() and side >= 200
    assert report["made for it"] == ["photo"]


def test_one_click_makes_a_material(blender: Blender, lit: tuple[Path, dict]) -> None:
    report = blender.run("material", "none", folder=lit[0])
    assert report["name"] == "photo" and report["kept"], "the user's own material would be lost on saving"
    assert report["full"]["inputs"] == {
        "Base Color": "albedo",
        "Alpha": "albedo",
        "Roughness": "Roughness (estimate)",
        "Specular IOR Level": "Specular IOR Level (estimate)",
    }
    assert ["Estimate" in frame for frame in report["full"]["frames"]] == [True]
    assert not report["full"]["generated"] and report["lambertian"]["generated"]
    assert set(report["lambertian"]["inputs"]) == {"Base Color", "Alpha"} and not report["lambertian"]["frames"]
    assert "'Empty' cannot have a material" in report["empty"] and "No object is active" in report["nothing"]
    assert report["count"] == 0


def test_one_click_makes_a_tile(blender: Blender, lit: tuple[Path, dict]) -> None:
    """The same texels in all layers, of those that are shown."""
    folder, _ = lit
    report = blender.run("tile", sys.executable, folder=folder)
    names = ("albedo", "shading", "specular")
    assert report["made"] == [f"photo tile {name}" for name in names] and report["kept"] and report["undone"] == []
    width, height = report["of"]
    assert report["sizes"] == [[width - round(width / 6), height - round(height / 6)]] * 3
    assert report["known"] == list(names) and report["shader"]["inputs"]["Base Color"] == "photo tile albedo"
    expected = tileable({name: np.load(folder / f"whole {name}.npy") for name in names}).layers
    for name in names:
        np.testing.assert_allclose(np.load(folder / f"tile {name}.npy"), expected[name], atol=1e-5)


def test_one_click_makes_a_material_with_maps(blender: Blender, lit: tuple[Path, dict]) -> None:
    """Of the light of the photo, whatever light the layers show."""
    folder, _ = lit
    report = blender.run("maps", sys.executable, folder=folder)
    assert report["made"] == ["roughness"] and report["kept"]
    assert report["plain"]["inputs"] == {"Base Color": "albedo", "Alpha": "albedo", "Roughness": "roughness"}
    assert report["undone"] == [[], False] and report["redone"] == [["roughness"], True]
    assert report["relief"]["inputs"] == {**report["plain"]["inputs"], "Normal": "Normal Map"}
    assert report["relief"]["frames"] == ["Guesses from shading and specular: adjust to taste"] and report["displaced"]
    width, height = np.load(folder / "of shading.npy").shape[1::-1]
    for name in ("roughness", "normal", "height"):
        assert report["images"][name] == [f"photo {name}", "Non-Color", [width, height], True]
    assert report["known"] == [True] * 3 + [["albedo", "shading", "specular"]] and report["covered"] == [""] * 3
    assert report["untouched"] and report["renamed"] == ["bark height", "bark normal", "bark roughness"]
    of = {name: np.load(folder / f"of {name}.npy") for name in ("albedo", "shading", "specular")}
    expected, _ = maps_of(network_of(load_bank(find_bank())), of, relief=1.0)
    for name in ("normal", "height"):
        np.testing.assert_allclose(np.load(folder / f"map {name}.npy"), expected[name], atol=1e-5)
    means = {name: float(np.load(folder / f"map {name}.npy")[..., 2].mean()) for name in expected}
    assert report["reopened"] == {name: pytest.approx(mean, abs=1e-5) for name, mean in means.items()}
    assert report["left"] == [] and "has no finished layers" in report["nothing"]


def test_layers_leave_blender(blender: Blender, bank: Path, lit: tuple[Path, dict]) -> None:
    folder, _ = lit
    report = blender.run("export", sys.executable, folder=folder)
    assert all(said == ["FINISHED"] for how, said in report["said"].items() if how.isupper())
    assert "cannot be written" in report["said"]["in the way"]
    assert report["added"] == 5
    now = {name: np.load(folder / f"now {name}.npy") for name in ("albedo", "shading", "specular")}
    for how, tolerance in (("EXR16", 1e-3), ("EXR32", 0.0)):
        with OpenEXR.File(str(folder / f"out {how}.exr"), separate_channels=True) as file:
            channels = {name: channel.pixels for name, channel in file.channels().items()}
        for name, pixels in now.items():
            np.testing.assert_allclose(channels[f"{name}.G"], pixels[..., 1], rtol=tolerance, atol=tolerance)
        assert np.array_equal(channels["A"].astype(np.float16), now["albedo"][..., 3].astype(np.float16))
    for how in ("PNG8", "PNG16"):
        assert all((folder / f"out {how} {name}.png").stat().st_size > 500 for name in now)
    stored = load_decomposition(folder / "out JOIN.join")
    for name, pixels in now.items():
        np.testing.assert_allclose(stored.layers[name], pixels[..., :3], rtol=1e-5, atol=1e-6)
    assert [edit["amount"] for edit in stored.settings["edits"]] == [2.0, -1.0]
    back = ["--set", "shading.sefa.0=-2", "--set", "specular.sefa.0=1", "--out", str(folder / "back")]
    assert main(["relight", str(folder / "out JOIN.join"), *back, "--bank", str(bank)]) == 0
    original = load_decomposition(folder / "back" / "decomposition.join")
    assert np.abs(original.layers["shading"] - now["shading"][..., :3]).max() > 0.01


def test_a_slider_is_answered_at_once(tmp_path: Path, blender: Blender, bank: Path) -> None:
    report = blender.run("speed", sys.executable, folder=tmp_path, bank=bank, side=256)
    assert report["previews"] < 2 * 12 + 1, "values that were overtaken were computed as well"
    assert np.median(report["times"]) < 0.2, report["times"]
