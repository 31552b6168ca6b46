# SPDX-License-Identifier: GPL-3.0-or-later
"""The add-on in Blender (the bpy wheel), each test in a process of its own, as bpy keeps its state for ever."""

from __future__ import annotations

import os
import re
import sys
import venv
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
from PIL import Image, PngImagePlugin

from join_engine import leftovers
from join_engine.bank import list_banks, load_bank
from join_engine.bank.file import DEFAULT_BANK
from join_engine.color import srgb_decode
from join_engine.images.files import read_image, read_picture
from join_engine.images.profiles import space_of_chromaticities
from join_engine.inversion.presets import get_preset
from join_engine.pipeline import decompose
from tests.join_blender.support import ROOT, Blender, blender_python, photo, write_png
from tests.join_engine.test_pictures import ADOBE_RGB, DISPLAY_P3

pytestmark = pytest.mark.slow  # each test has a Blender of its own

COMPONENTS = ("albedo", "shading", "specular")


@pytest.fixture(scope="module")
def blender(tmp_path_factory: pytest.TempPathFactory, archive: Path) -> Blender:
    return Blender(tmp_path_factory.mktemp("Ein Blender für Zoë"), archive, blender_python())


def rendered(folder: Path) -> np.ndarray:
    with OpenEXR.File(str(folder / "rendered.exr")) as file:
        return np.asarray(file.channels()["RGB"].pixels, dtype=np.float32)


def check_layers(layers: dict[str, Any], stem: str, size: list[int]) -> None:
    assert set(layers) == {f"{stem} {component}" for component in COMPONENTS}
    for facts in layers.values():
        assert facts["float"] and facts["packed"] and facts["fake_user"]
        assert facts["space"] == "Linear Rec.709" and facts["size"] == size


def test_photo_becomes_layers_that_render_back(tmp_path: Path, blender: Blender, bank: Path) -> None:
    """The real engine; and the saved file, in another process, renders what the engine recomposed."""
    image = write_png(tmp_path / "ein Foto – grün.png", photo())
    options = {"bank": str(bank), "preset": "STANDARD", "steps": 2, "seed": 3}
    report = blender.run("photo", sys.executable, folder=tmp_path, image=image, options=options)
    check_layers(report["layers"], "ein Foto – grün", [40, 24])
    assert report["source_unchanged"]
    assert report["untouched"], "decomposing changed what the scene renders"
    assert report["resolution"] == [40, 24, 100]
    properties = report["layers"]["ein Foto – grün albedo"]["properties"]
    assert properties["join_bank"] == "tiny" and len(properties["join_bank_sha256"]) == 64
    assert properties["join_seed"] == 3 and properties["join_preset"] == "standard"
    assert properties["join_source"] == "ein Foto – grün.png"
    again = blender.run("render", sys.executable, folder=tmp_path)
    assert again["layers"] == report["layers"] and not again["camera"]
    assert np.abs(rendered(tmp_path) - np.load(tmp_path / "recomposed.npy")).max() < 2e-3


def test_alpha_and_names_that_are_taken(tmp_path: Path, blender: Blender, fake: Path) -> None:
    pixels = photo(channels=4)
    pixels[:, ::2, 3] = 100
    image = write_png(tmp_path / "cut out.png", pixels)
    report = blender.run("photo", fake, folder=tmp_path, image=image, again=True)
    assert len(report["layers"]) == 6 and "cut out albedo.001" in report["layers"]
    assert report["groups"] == ["JoIN Recombine"]
    blender.run("render", fake, folder=tmp_path)
    assert np.abs(rendered(tmp_path) - np.load(tmp_path / "recomposed.npy")).max() < 2e-3


def test_the_architecture_tells_the_way_of_the_pixels(tmp_path: Path, blender: Blender, fake: Path) -> None:
    """Not the order: the threads run beside one another."""
    image = write_png(tmp_path / "photo.png", photo())
    walk = blender.run("walk", fake, image=image, FAKE_ENGINE="at_once")["walk"]
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    told = re.findall(r"^\d+\. `((?:ui|host|engine)/\w+\.py)`: `([\w.]+)`", text, re.MULTILINE)
    assert {": ".join(step) for step in told} == set(walk)
    files = {step.split(":")[0] for step in walk}
    assert f"{len(walk)} functions in {len(files)} files, and one state machine" in text


def test_the_users_compositor_stays(tmp_path: Path, blender: Blender, fake: Path) -> None:
    report = blender.run("own_tree", fake, image=write_png(tmp_path / "photo.png", photo()))
    assert report["kept"] and report["crossing"] == []
    assert report["framed"] and report["below"] and report["again_below"]
    assert report["resolution"] == [123, 45]
    assert report["added"].count("CompositorNodeImage") == 3


def test_what_the_engine_gets(tmp_path: Path, blender: Blender, fake: Path) -> None:
    pixels = photo(6, 5)
    report = blender.run("pixels", fake, image=write_png(tmp_path / "photo.png", pixels))
    encoded = pixels.astype(np.float32) / 255
    np.testing.assert_allclose(report["srgb"], srgb_decode(encoded), atol=1e-6)
    np.testing.assert_allclose(report["data"], encoded, atol=1e-6)
    np.testing.assert_allclose(report["float"], [[[0.2, 0.4, 0.8, 0.5]], [[2.5, 0.5, 0.25, 1.0]]], atol=1e-6)
    np.testing.assert_allclose(report["opaque"], [[[0.1, 0.2, 0.4]], [[2.5, 0.5, 0.25]]], atol=1e-6)
    # Other spaces are Blender's own business; here those are looked at whose mathematics is known.
    p3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3127, 0.3290)
    rec2020 = (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, 0.3127, 0.3290)
    as_p3 = space_of_chromaticities(p3, "P3", srgb_decode).linear(encoded)
    np.testing.assert_allclose(report["Display P3"], as_p3, atol=2e-3)
    np.testing.assert_allclose(
        report["Linear Rec.2020"], space_of_chromaticities(rec2020, "").linear(encoded), atol=2e-3
    )
    for space in ("Rec.2020", "Filmic sRGB"):
        assert np.isfinite(report[space]).all() and not np.allclose(report[space], report["srgb"], atol=0.01)
    np.testing.assert_allclose(report["flame"], [[[0, 0, 0, 0]], [[3.0, 1.0, 0.1, 1.0]]], atol=1e-6)
    assert (
        report["left behind"] == [] and report["spoilt"] == 5
    )  # no copy stays behind; few broken pixels are the engine's


def test_every_bad_input_gets_one_clear_sentence(tmp_path: Path, blender: Blender, fake: Path) -> None:
    (tmp_path / "words.png").write_text("this is no image", encoding="utf-8")
    rows = np.zeros((4, 4), np.float32)
    OpenEXR.File({}, {"R": rows, "G": rows}).write(str(tmp_path / "two.exr"))
    (tmp_path / "no program").write_text("nor is this a program", encoding="utf-8")
    venv.create(tmp_path / "without torch", with_pip=False)
    report = blender.run(
        "refused",
        fake,
        image=write_png(tmp_path / "photo.png", photo()),
        text=tmp_path / "words.png",
        two=tmp_path / "two.exr",
        fake=fake,
        pythons={
            "gone": str(tmp_path / "gone"),
            "no program": str(tmp_path / "no program"),
            "true": "/bin/true",
            "without torch": str(tmp_path / "without torch"),
        },
    )
    expected = {
        "nobody": "There is no image 'nobody'",
        "blank": "transparent everywhere",
        "nan": "no numbers",
        "missing": "Its file is missing or is no image",
        "words.png": "Its file is missing or is no image",
        "two channels": "only the channels",
        "": "No image is chosen",
        "python gone": "does not exist",
        "python no program": "could not be started",
        "python true": "The engine did not start (exit code 0)",
        "python without torch": "cannot import torch",
        "torch_missing": "This Python cannot import torch. Install torch.",
        "garbage": "no engine's message ('Usage: something else entirely')",
        "dies": "The engine did not start (exit code 1: the last words)",
        "dies_later": "in the middle of the work (exit code 9: Traceback: the last words)",
        "newer": "protocol 2",
        "half_layers": "A layer of the engine cannot be read",
        "killed": "in the middle of the work (signal 9",
    }
    for case, words in expected.items():
        message = report["messages"][case]
        assert words in message, f"{case}: {message}"
        assert message.strip().count("\n") == 0, f"{case} is more than one line: {message}"
    assert report["unchanged"], "a refused image left something behind"
    assert report["works_after"] == ""
    assert report["left"] == []


def test_odd_sizes_and_broken_banks(tmp_path: Path, blender: Blender, bank: Path) -> None:
    """The real engine, at the edges."""
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(bank.read_bytes()[: bank.stat().st_size // 2])
    report = blender.run("real", sys.executable, bank=bank, cut_bank=cut, sizes=[[1, 1], [1, 5000], [17, 33]])
    assert report["17x33"] == ""
    for size in ("1x1", "1x5000"):
        assert report[size] == "" or f"'{size}'" in report[size], report[size]
        assert (report[size] == "") == (f"{size} albedo" in report["layers"])
    assert "cut.safetensors" in report["cut bank"] and "no-such-bank" in report["no bank"]
    assert report["unchanged"]


def test_a_problem_is_reported_without_private_names(tmp_path: Path, blender: Blender, fake: Path) -> None:
    folder = tmp_path / "Acme Wedding"
    folder.mkdir()
    image = write_png(folder / "Zoë's passport.png", photo())
    report = blender.run("help", fake, image=image, blend=folder / "Secret.blend")
    text = report["text"]
    assert report["failures"][0] == "" and "nobody" in report["failures"][1]
    for private in ("Acme", "Zoë", "passport", "Secret", str(Path.home()), str(tmp_path)):
        assert private not in text, text
    for told in ("Blender: ", "System: ", "preset: STANDARD", "bank: <path>", "Name: <picture ", "Ended: done"):
        assert told in text, text
    assert re.search(r"\d\d:\d\d:\d\d New layers: <picture", text) and "There is no image '…' in this file" in text


def test_the_manual_is_in_the_zip(tmp_path: Path, blender: Blender, fake: Path) -> None:
    """And every operator leads to a heading of it."""
    image = write_png(tmp_path / "photo.png", photo())
    report = blender.run("help", fake, image=image, blend=tmp_path / "x.blend")
    page = Path(report["manual"])
    assert report["opened"] == [f"{page.as_uri()}#6-relight"]
    html = page.read_text("utf-8")
    ids = set(re.findall(r'<h2 id="([^"]+)"', html))
    for name, url in report["pages"].items():
        address, _, section = str(url).partition("#")
        assert address == page.as_uri() and section in ids, f"{name}: {url}"
    assert report["pages"]["bpy.ops.join.set_colorspace"].endswith("#3-decompose")
    assert report["pages"]["bpy.ops.join.set_rename"].endswith("#5-results-and-views")
    assert set(re.findall(r'href="#([^"]+)"', html)) <= ids, "a link leads nowhere"
    assert not re.findall(r'href="(?!#)', html), "the zip holds no other document"
    pictures = re.findall(r'src="([^"]+)"', html)
    assert len(pictures) > 15 and all((page.parent / name).is_file() for name in pictures)


def test_banks_are_chosen_by_what_they_are_for(tmp_path: Path, blender: Blender, fake: Path) -> None:
    report = blender.run("banks", fake)
    names = ["auto", *(path.stem for path in list_banks())]
    assert [item[0] for item in report["items"]] == names
    assert report["default"] == report["default bank"] == DEFAULT_BANK
    for name, label, sentence, *_ in report["items"]:
        assert (
            label == ("Automatic" if name == "auto" else name.capitalize())
            and sentence.endswith(".")
            and "*" not in sentence
        ), sentence
    assert report["written"] == [["" if name == DEFAULT_BANK else name, name] for name in names]
    assert report["own"] == ["//banks/marble.safetensors", "marble"]


def test_off_and_on_again(tmp_path: Path, blender: Blender, fake: Path) -> None:
    report = blender.run("toggle", fake, image=write_png(tmp_path / "photo.png", photo()))
    assert report["gone"] == [True, True]
    assert report["works"] == ""


def test_every_kind_of_image_arrives_as_it_is(tmp_path: Path, blender: Blender, fake: Path) -> None:
    pixels = photo()
    for number in (7, 8):
        write_png(tmp_path / f"shot.{number:04d}.png", np.full((4, 6, 3), 10 * number, np.uint8))
    shown, diffuse = write_multilayer(tmp_path)
    for name in ("wide.png", "wide.tif"):
        Image.fromarray(pixels).save(tmp_path / name, icc_profile=DISPLAY_P3)
    Image.fromarray(pixels).save(tmp_path / "adobe.jpg", icc_profile=ADOBE_RGB)
    report = blender.run("kinds", fake, folder=tmp_path, image=write_png(tmp_path / "photo.png", pixels))

    def got(label: str) -> np.ndarray:
        return np.load(tmp_path / f"{label}.sum.npy")

    decoded = srgb_decode(pixels.astype(np.float32) / 255)
    for label in ("file", "packed"):
        np.testing.assert_allclose(got(label), decoded, atol=1e-5)
    np.testing.assert_allclose(got("file crop"), decoded[:12, :20], atol=1e-5)
    halves = decoded.reshape(12, 2, 20, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(got("file half"), halves, atol=1e-5)
    linear = np.linspace(0.1, 4.0, 24, dtype=np.float32).reshape(2, 3, 4)[::-1, :, :3]
    alpha = np.linspace(0.1, 4.0, 24, dtype=np.float32).reshape(2, 3, 4)[::-1, :, 3:]
    np.testing.assert_allclose(got("linear"), linear / alpha, rtol=1e-4)
    np.testing.assert_allclose(got("Render Result")[8, 10], [0.25, 0.5, 2.0], rtol=1e-3)
    np.testing.assert_allclose(got("sequence"), np.full((4, 6, 3), srgb_decode(np.float32(80 / 255))), atol=1e-5)
    for name in ("layers", "parts"):  # the picture by itself; the other one by a part of its name, and cropped
        np.testing.assert_allclose(got(f"{name} itself"), shown, atol=1e-5)
        np.testing.assert_allclose(got(f"{name} diffuse"), diffuse[:12, :20], atol=1e-5)
    assert report["sets"] == ["ViewLayer.Combined", "ViewLayer.DiffCol"]
    assert sorted(report["layer names"]) == ["ViewLayer.Combined", "ViewLayer.DiffCol", "ViewLayer.Normal"]
    assert "It has ViewLayer.Combined" in report["no layer"] and "has no layer 'glossy'" in report["no layer"]
    assert "with the codec ZIP" in report["normals"]
    np.testing.assert_allclose(got("wide"), decoded, atol=1e-5)  # as Blender shows it
    told = "says that its colours are Display P3, and Blender takes them for sRGB. Set its Color Space to Display P3"
    assert told in report["messages"]["wide"] and "colours" not in report["messages"]["file"]
    # After its button the same comes in as the shell and Decompose Folder read. Blender has no Adobe RGB.
    for name in ("wide.png", "wide.tif"):
        np.testing.assert_allclose(got(f"colors {name}"), read_image(tmp_path / name), atol=5e-4)
        assert "colours" not in report["messages"][f"colors {name}"]
        assert {report["file colors"][f"colors {name}{more}"] for more in ("", " packed")} == {"Display P3"}
    assert {
        report["file colors"][f"colors {name}{more}"]
        for name in ("adobe.jpg", "shot.0007.png")
        for more in ("", " packed")
    } == {"sRGB"}
    assert report["sizes"]["generated"] == [24, 40] and "no pixels" in report["viewer"]
    assert report["format_kept"] and report["no_strays"] == []


def write_multilayer(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """``layers.exr``, ``parts.exr`` and ``piz.exr`` of a picture, of its diffuse colours and of normals, as Blender 4
    and 5 save them; the picture and the diffuse colours, float32 [24, 40, 3]."""
    picture, diffuse, normals = np.random.default_rng(0).random((3, 24, 40, 3), dtype=np.float32)
    covered = np.concatenate([picture, np.ones((24, 40, 1), np.float32)], axis=2)
    passes = {"Normal": ("XYZ", normals), "DiffCol": ("RGB", diffuse), "Combined": ("RGBA", covered)}
    groups = {
        f"ViewLayer.{name}": {
            f"ViewLayer.{name}.{letter}": pixels[..., number] for number, letter in enumerate(letters)
        }
        for name, (letters, pixels) in passes.items()
    }

    def header(compression: int, **more: str) -> dict[str, Any]:
        return {"type": OpenEXR.scanlineimage, "compression": compression, **more}

    def contiguous(channels: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return {name: np.ascontiguousarray(channel) for name, channel in channels.items()}

    every = contiguous({name: channel for group in groups.values() for name, channel in group.items()})
    for file, compression in (("layers", OpenEXR.ZIP_COMPRESSION), ("piz", OpenEXR.PIZ_COMPRESSION)):
        OpenEXR.File(header(compression), every).write(str(folder / f"{file}.exr"))
    zips = OpenEXR.ZIPS_COMPRESSION
    parts = [OpenEXR.Part(header(zips, name=name), contiguous(group)) for name, group in groups.items()]
    OpenEXR.File(parts).write(str(folder / "parts.exr"))
    return picture, diffuse


def test_colors_that_blender_has_no_space_for_are_converted(tmp_path: Path, blender: Blender, bank: Path) -> None:
    """By a button, to what the shell and Decompose Folder read; and so are the layers."""
    pixels = photo()
    covered = np.dstack([pixels, np.tile(np.arange(40, dtype=np.uint8) * 6, (24, 1))])
    grey = PngImagePlugin.PngInfo()
    grey.add(b"gAMA", (55556).to_bytes(4, "big"))
    Image.fromarray(pixels).save(tmp_path / "adobe.jpg", icc_profile=ADOBE_RGB, quality=95)
    Image.fromarray(pixels).save(tmp_path / "adobe.tif", icc_profile=ADOBE_RGB)
    Image.fromarray(covered).save(tmp_path / "covered.png", icc_profile=ADOBE_RGB)
    Image.fromarray(pixels).save(tmp_path / "gamma.png", pnginfo=grey)
    exif = Image.new("RGB", (1, 1)).getexif()
    exif[0x0112], exif[0x8769] = 6, {0xA001: 65535, 0xA005: {0x0001: "R03"}}
    Image.fromarray(pixels).save(tmp_path / "camera.jpg", exif=exif, quality=95)
    files = ["adobe.jpg", "adobe.tif", "covered.png", "gamma.png", "camera.jpg"]
    write_png(tmp_path / "plain.png", pixels)
    Image.fromarray(pixels).save(tmp_path / "wide.png", icc_profile=DISPLAY_P3)
    report = blender.run("convert", sys.executable, folder=tmp_path, files=files, bank=bank)
    for name in files:
        expected = read_picture(tmp_path / name, upright=False).pixels  # Blender turns no photo
        assert np.abs(expected[..., :3] - srgb_decode(pixels / 255.0)).max() > 0.02, "nothing to convert"
        for label in (name, f"{name} packed"):
            np.testing.assert_allclose(np.load(tmp_path / f"{label}.npy"), expected, atol=1e-6)
            assert "Press Convert in the JoIN tab first" in report["notes"][label][0]
    assert report["made"]["adobe.jpg"] == "adobe linear" and report["undone"]
    preset = get_preset("standard").with_steps(2)
    wanted = decompose(read_picture(tmp_path / files[0]).pixels, load_bank(bank), preset, 1).decomposition
    for name, layer in wanted.layers.items():
        np.testing.assert_allclose(np.load(tmp_path / f"{name}.npy"), layer, atol=1e-5)
    refused = report["refused"]
    assert "takes 'plain.png' for what its file says" in refused["plain.png"] and refused["wide.png"] == "{'FINISHED'}"
    assert "has been changed since it was opened" in refused["painted"] and "not-there.jpg" in refused["gone"]


def test_again_and_compared(tmp_path: Path, blender: Blender, fake: Path) -> None:
    report = blender.run("again", fake, image=write_png(tmp_path / "photo.png", photo()))
    assert report["first"] == ["good albedo", "good shading", "good specular"]
    assert report["updated"] == ["good shading", "good specular", "renamed by the user"] and report["seeds"] == [5]
    assert len(report["both"]) == 6 and "good albedo" in report["both"]
    assert report["error"] < 1e-5 and report["split"]


def test_the_engine_shot_at_fifty_moments(tmp_path: Path, blender: Blender, fake: Path) -> None:
    """Each time a message within 2 s, nothing lost, nothing left behind, and a restart that ends well."""
    report = blender.run("shot", fake, 400, image=write_png(tmp_path / "photo.png", photo()))
    assert max(report["seconds"]) < 2.0, report["seconds"]
    assert all("signal 9" in message for message in report["messages"]), report["messages"]
    assert report["stages"].count("RUNNING shown") >= 25, report["stages"]
    assert all(report["kept"]) and report["restarted"] == [3] * 50 and report["orphans"] == 0


def test_another_file_in_the_middle_of_a_job(tmp_path: Path, blender: Blender, fake: Path) -> None:
    image = write_png(tmp_path / "photo.png", photo())
    report = blender.run("load", fake, image=image, FAKE_ENGINE="slow")
    assert report["previews"] == list(COMPONENTS) and report["left"] == []
    assert report["cancelled"] == "CANCELLED" and report["works"] == "" and report["folders"] == []


def test_a_sequence_of_frames(tmp_path: Path, blender: Blender) -> None:
    """Real engine, real bank: a folder of EXR files for each layer, opened as sequences; a second run goes on."""
    for number in (7, 8):
        write_png(tmp_path / f"shot.000{number}.png", photo() // (number - 6))
    write_png(tmp_path / "other.0001.png", photo())
    report = blender.run("sequence", sys.executable, folder=tmp_path, bank="materials")
    assert "is no image sequence" in report["refused"]
    named = {f"shot {name} sequence": ["SEQUENCE", "Linear Rec.709", "shot.0007.exr"] for name in COMPONENTS}
    assert report["layers"] == [named, named]
    assert report["kept"][0] == report["kept"][1], "what was done was done again"
    for name in COMPONENTS:
        frames = sorted(path.name for path in (tmp_path / "layers" / name).iterdir())
        assert frames == ["shot.0007.exr", "shot.0008.exr", "shot.0010.exr"]
    albedo, shading, specular = (
        read_image(tmp_path / "layers" / name / "shot.0008.exr")[..., :3] for name in COMPONENTS
    )
    known = read_image(tmp_path / "shot.0008.png")[..., :3]
    assert np.abs(albedo * shading + specular - known).max() < 2e-3


def test_a_folder(tmp_path: Path, blender: Blender, fake: Path) -> None:
    folder = tmp_path / "Bilder – ü"
    folder.mkdir()
    write_png(folder / "a.png", photo())
    write_png(folder / "b.png", photo())
    (folder / "c.png").write_bytes(b"")
    with leftovers.alone_in(folder / "layers"):  # as a run on the shell, or another Blender, has it
        report = blender.run("folder", fake, folder=folder)
        assert all(f"process {os.getpid()} is at work already. Wait for its end" in text for text in report["messages"])
        assert [path.suffix for path in (folder / "layers").iterdir()] == [".lock"]
    report = blender.run("folder", fake, folder=folder)
    assert not list((folder / "layers").glob(".*"))  # nor is it taken any longer
    assert "1 of 3 images" in report["messages"][0] and "c.png' is empty" in report["messages"][0]
    assert "1 of 3 images" in report["messages"][1]
    assert (folder / "layers" / "a" / "report.json").exists() and (folder / "layers" / "b" / "albedo.exr").exists()


def test_a_folder_of_odd_names(tmp_path: Path, blender: Blender, bank: Path) -> None:
    """The real engine: each image gets layers of its own, in the output's folder; hidden ones get none; a rerun leaves
    out what is finished and nothing else."""
    folder, output = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    names = ["a.png", "a.jpg", "a.jpg.png", "A.png", "...png", "..png", "con.png", "b.webp", "c.bmp"]
    for number, name in enumerate(names):
        Image.fromarray(photo() ^ np.uint8(number)).save(folder / name, format="PNG")
    (folder / "._a.png").write_bytes(b"what a Mac leaves")
    (folder / "notes.txt").touch()
    report = blender.run("folder", sys.executable, folder=folder, output=output, bank=bank, steps=1)
    assert report["messages"] == ["", ""]
    assert "Passed over notes.txt and 3 hidden files" in report["log"]  # two of the names are hidden ones
    assert "7 images were decomposed\n" in report["log"]
    assert "0 images were decomposed, 7 were finished already" in report["log"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]
    results = sorted(path.name for path in output.iterdir())
    assert results == ["A", "a-2", "a-3", "a.jpg", "b", "c", "con_"]
    assert all((output / name / "specular.exr").is_file() for name in results)
