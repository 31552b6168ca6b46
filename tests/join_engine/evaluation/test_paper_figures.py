# SPDX-License-Identifier: GPL-3.0-or-later
"""The sheets of JoIN's figures of faces: what they show is what was decomposed, and what is missing is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from join_engine import portraits
from join_engine.bank import Bank, DirectionsHeader, fingerprint
from join_engine.commands.main import main
from join_engine.evaluation.methods.by_name import Rows
from join_engine.evaluation.paper import paper_figures as paper
from join_engine.evaluation.paper.paper_figures import (
    ALL,
    FIGURES,
    PORTRAITS,
    PaperFigures,
    add_arguments,
    two_component_bank,
)
from join_engine.face_crop import crop_of_box
from join_engine.images.files import display_encode, read_image
from join_engine.inversion.codebook import CodeBook
from join_engine.inversion.presets import Preset, get_preset
from join_engine.inversion.stages.encoder_start import EncoderStart
from join_engine.inversion.stages.mean_start import MeanStart
from join_engine.names import free_name
from join_engine.pipeline import decompose
from join_engine.relighting.directions import Direction
from join_engine.renders.samples import read_samples
from tests.join_engine.conftest import MakeBank
from tests.join_engine.evaluation.test_evaluate import _float_pack

ROWS = Rows(steps=2, tuning_steps=1)
PRESET = Preset("quick", (EncoderStart(required=False),))


@pytest.fixture
def photo(tmp_path: Path, picture: np.ndarray) -> Path:
    path = tmp_path / "somebody.png"
    Image.fromarray((picture * 255).astype(np.uint8)).save(path)
    return path


@pytest.fixture
def pack(tmp_path: Path) -> Path:
    _float_pack(tmp_path / "heads.tar", "test", 2)
    return tmp_path / "heads.tar"


@pytest.fixture(autouse=True)
def rest(tiny_bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any bank in place of the default one."""
    monkeypatch.setattr(paper, "load_rest", lambda device: portraits.Rest(tiny_bank, CodeBook(tiny_bank)))


@pytest.mark.slow
def test_all_figures_from_tables_and_a_photo(
    seeing_bank: Bank, pack: Path, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = ["--bank", str(seeing_bank.path), "--data", str(pack), "--count", "2", "--steps", "2"]
    shared += ["--tuning-steps", "1"]
    tables, out = tmp_path / "tables", tmp_path / "figures"
    assert main(["paper-tables", *shared, "--rows", "table2", "--figures", "2", "--out", str(tables)]) == 0
    command = ["paper-figures", *shared, "--tables", str(tables), "--photos", str(photo), "--out", str(out)]
    capsys.readouterr()
    assert main([*command, "--preset", "standard", "--only", "5", "6", "7", "9", "12", "13"]) == 0
    written = [Path(line) for line in capsys.readouterr().out.splitlines()]
    assert [path.stem for path in written] == [FIGURES[n][0] for n in ("5", "6", "7", "9", "12", "13")]
    heights = {path.stem: Image.open(path).height for path in written}
    line = 44 + 288 + 12
    assert heights["fig06-three-components"] == 12 + 4 * line  # of each render the truth and what was found
    assert heights["fig12-ablation"] == 12 + 6 * line  # two renders, two components and their image
    assert main([*command[:-4], "--out", str(out), "--only", "7", "12"]) == 2  # neither photos nor tables enough
    said = capsys.readouterr()
    assert "Figure 7 is left out: There is no photo" in said.err and "fig12" in said.out


def test_without_tables_a_sentence_names_them(
    seeing_bank: Bank, pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples = read_samples(pack, seeing_bank.forward_model.components, 1)
    figures = PaperFigures(seeing_bank, samples, None, [], ROWS, PRESET)
    assert paper.write_figures(figures, tmp_path, ["6", "12"]) == {}
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and all("Run paper-tables" in line for line in said)


def test_a_photo_that_cannot_be_read_is_left_out_once(
    seeing_bank: Bank, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_text("no picture")
    figures = PaperFigures(seeing_bank, [], None, [broken, photo], ROWS, PRESET)
    assert len(figures.real()) == 1 and len(figures.compared()) == 1
    assert capsys.readouterr().err.count("broken.png is left out") == 1


def test_a_photo_beside_its_layers_and_other_methods(seeing_bank: Bank, photo: Path) -> None:
    figures = PaperFigures(seeing_bank, [], None, [photo], ROWS, PRESET)
    colour = read_image(photo)
    found = decompose(colour, seeing_bank, PRESET).decomposition
    (line,) = figures.real()
    assert [label.split("\n")[0] for label, _ in line] == [
        "somebody",
        "albedo",
        "shading",
        "recomposed",
        "generators alone",
    ]
    assert np.array_equal(line[1][1], display_encode("albedo", found.layers["albedo"]))
    assert np.allclose(line[3][1], display_encode("image", found.recomposed), atol=1e-6)
    (others,) = figures.compared()
    assert [label.split("\n")[1] for label, _ in others[1:]] == [
        "bank seeing",
        "bank tiny",
        "colour Retinex",
        "blurred light",
    ]
    shown = [pixels for _, pixels in others[1:]]
    assert all(not np.array_equal(one, shown[0]) for one in shown[1:])


def test_sefa_moves_the_light_and_leaves_the_rest(seeing_bank: Bank, photo: Path) -> None:
    figures = PaperFigures(seeing_bank, [], None, [photo], ROWS, PRESET)
    images, shadings = figures.relit()
    assert [label for label, _ in images[1:]] == [
        "SeFa 0\n-2 SD",
        "SeFa 0\n+2 SD",
        "SeFa 1\n-2 SD",
        "SeFa 1\n+2 SD",
    ]
    for line in (images, shadings):
        assert all(np.abs(pixels - line[0][1]).mean() > 1e-3 for _, pixels in line[1:])


def test_a_portrait_in_three_lights_keeps_its_pixels(
    seeing_bank: Bank, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = _with_left_and_right(seeing_bank)
    figures = PaperFigures(bank, [], None, [photo, photo.with_name("none.png")], ROWS, PRESET)
    written = paper.write_figures(figures, tmp_path / "out", [PORTRAITS, "5"])
    assert written == {PORTRAITS: [tmp_path / "out" / "portrait-somebody.png"]}
    assert "Figure 5 is left out: There is no render" in capsys.readouterr().err.splitlines()[-1]
    (above, below) = figures.portraits()["somebody"]
    assert [label.split("\n")[0] for label, _ in above] == ["somebody", "albedo", "shading", "recomposed"]
    assert [label.split("\n")[0] for label, _ in below] == [words for words, _ in paper._KEY_LIGHTS]
    amounts = [float(label.split()[-1]) for label, _ in below]
    assert amounts[0] < amounts[2] < amounts[1]
    shown = np.asarray(Image.open(written[PORTRAITS][0]))
    height, width = above[0][1].shape[:2]
    times = 288 // max(height, width)
    panel = shown[56 : 56 + times * height : times, 12 : 12 + times * width : times]
    assert np.abs(panel / 255.0 - above[0][1]).max() < 1 / 255
    assert np.abs(below[0][1] - below[1][1]).mean() > 1e-3


def test_a_light_stands_where_it_is_put() -> None:
    placed = Direction("shading", "left_right", "", "", unit=0.5, at=0.2)
    assert paper._lit_from(placed, -0.7).amount == pytest.approx(-1.8)
    assert paper._lit_from(replace(placed, unit=0.1), -0.7).amount == placed.minimum
    assert paper._lit_from(replace(placed, unit=None, at=None), 1.5).amount == 1.5


def test_without_a_light_of_a_name_a_sentence_says_so(
    seeing_bank: Bank, photo: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = PaperFigures(seeing_bank, [], None, [photo], ROWS, PRESET)
    assert paper.write_figures(figures, tmp_path, [PORTRAITS]) == {}
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Portraits are left out: The bank 'seeing' knows no light by name.")


def test_two_photos_of_one_name_have_a_sheet_each() -> None:
    taken: dict[str, paper.SheetRows] = {"me": []}
    assert free_name("me", taken) == "me-2" and free_name("ME", {**taken, "me-2": []}) == "ME-3"
    assert free_name("you", taken) == "you"


def _with_left_and_right(bank: Bank) -> Bank:
    part = bank.components["shading"]
    header = DirectionsHeader({"left_right": {"unit": 0.5}}, {"shading": fingerprint(part.generator)}, {"shading": 1})
    part = replace(part, directions={"left_right": 0.5 * part.sample_codes().std(dim=0)})
    components = {**bank.components, "shading": part}
    return replace(bank, header=replace(bank.header, directions=header), components=components)


def test_two_components_are_told_apart_without_gloss(
    bank_maker: MakeBank, tmp_path: Path, pack: Path, seeing_bank: Bank
) -> None:
    from join_engine.bank import load_bank

    parts = (("albedo", "srgb"), ("shading", "reinhard"), ("specular", "reinhard"))
    bank = load_bank(bank_maker(tmp_path / "three.safetensors", "lambertian_specular", parts))
    two = two_component_bank(bank)
    assert two.forward_model.name == "lambertian" and set(two.components) == {"albedo", "shading"}
    found = decompose(np.full((16, 16, 3), 0.2, np.float32), two, Preset("x", (MeanStart(),))).decomposition
    assert set(found.layers) == {"albedo", "shading"}
    rows = PaperFigures(
        seeing_bank, read_samples(pack, ("albedo", "shading"), 2), None, [], ROWS, PRESET
    ).two_components()
    assert len(rows) == 4 and all(len(line) == 3 for line in rows)
    truth = read_samples(pack, ("albedo", "shading"), 1)[0].components
    assert np.allclose(rows[0][0][1], display_encode("image", truth["albedo"] * truth["shading"]), atol=1e-5)


def test_of_a_photo_the_face_is_shown(seeing_bank: Bank, photo: Path) -> None:
    colour = read_image(photo)
    outcome = decompose(colour, seeing_bank, PRESET)
    shown = paper._Photo(photo, colour, outcome, crop_of_box(10, 5, 40, 35))
    assert np.array_equal(shown.cut(colour), colour[5:35, 10:40])
    assert np.array_equal(shown.cut(shown.back(shown.cut(colour))), colour[5:35, 10:40])
    assert shown.back(shown.cut(colour))[:5].max() == 0.0
    beyond = replace(shown, face=crop_of_box(-20, -20, 30, 30))
    assert np.array_equal(beyond.cut(colour), colour[:30, :30])
    square = shown.square(15)
    assert square.shape == (15, 15, 3)
    halves = colour[5:35, 10:40].reshape(15, 2, 15, 2, 3).mean(axis=(1, 3))
    assert np.abs(square - halves).mean() < 0.05


def test_the_command_knows_the_figures() -> None:
    import argparse

    parser = argparse.ArgumentParser()
    add_arguments(parser)
    options = parser.parse_args(["--out", "o"])
    assert options.only == list(ALL) and get_preset(options.preset).name == "portrait"
