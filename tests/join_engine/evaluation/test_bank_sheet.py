# SPDX-License-Identifier: GPL-3.0-or-later
"""Sample sheets of a bank: what is on them, where it stands, and what is said when it cannot be drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from join_engine.bank import Bank, BankHeader, ComponentHeader, save_bank
from join_engine.bank.bank_wide import TrunkHeader
from join_engine.commands.main import main
from join_engine.evaluation.generators.distances import report
from join_engine.evaluation.sheets.bank_samples import SheetSettings, _broken, draw_sheet
from join_engine.networks.stylegan2 import Generator, GeneratorConfig
from join_engine.networks.trunk import Trunk, TrunkConfig
from join_engine.renders.packs import read_packs, to_pixels

from ..fake_packs import write_pack

ZOOM = 4  # of 16 pixels
SETTINGS = SheetSettings(columns=3, rows=2)


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pack(tmp_path_factory.mktemp("packs") / "fake.tar")


def tile(picture: Image.Image, half: int, row: int, column: int) -> np.ndarray:
    """One of the images on the sheet, [16, 16, 3]; the images stand at the bottom, the text above them."""
    pixels = np.asarray(picture)
    side = (3 * 18 + 2) * ZOOM
    left = half * (side + 16) + (2 + 18 * column) * ZOOM
    top = pixels.shape[0] - (2 * 18 + 2) * ZOOM + (2 + 18 * row) * ZOOM
    enlarged = pixels[top : top + 16 * ZOOM, left : left + 16 * ZOOM]
    small = enlarged[::ZOOM, ::ZOOM]
    assert np.array_equal(enlarged, small.repeat(ZOOM, 0).repeat(ZOOM, 1))
    return small


def test_generated_images_stand_beside_real_ones(tiny_bank: Bank, pack: Path) -> None:
    data, component = read_packs([pack], "albedo"), tiny_bank.components["albedo"]
    picture = draw_sheet(component, data, SETTINGS, ["title"])
    assert picture.width == 2 * (3 * 18 + 2) * ZOOM + 16
    made = to_pixels(component.generator.synthesis(component.sample_codes(6, 0))).permute(0, 2, 3, 1).numpy()
    for index in range(6):
        assert np.array_equal(tile(picture, 0, *divmod(index, 3)), made[index])
    stored = {image.permute(1, 2, 0).numpy().tobytes() for image in data.images}
    shown = [tile(picture, 1, *divmod(index, 3)).tobytes() for index in range(6)]
    assert set(shown) <= stored and len(set(shown)) == 6
    # The text has not run over what it stands above.
    assert (np.asarray(picture)[:20] < 128).any()


def test_a_seed_means_the_same_sheet(tiny_bank: Bank, pack: Path) -> None:
    data, component = read_packs([pack], "shading"), tiny_bank.components["shading"]
    first, second = (draw_sheet(component, data, SETTINGS).tobytes() for _ in range(2))
    other = draw_sheet(component, data, SheetSettings(3, 2, seed=1)).tobytes()
    assert first == second != other


@pytest.mark.slow
def test_the_command_writes_a_sheet_for_each_component(
    seeing_bank: Bank, pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "docs"
    words = ["banks", "sheet", str(seeing_bank.path), "--data", str(pack), "--out", str(out)]
    assert main([*words, "--columns", "3", "--rows", "2", "--compared", "12"]) == 0
    paths = [out / f"seeing-{name}.png" for name in ("albedo", "shading")]
    assert capsys.readouterr().out.split() == [str(path) for path in paths]
    assert all(Image.open(path).size[0] == 2 * (3 * 18 + 2) * ZOOM + 16 for path in paths)
    told = json.loads((out / "seeing-samples.json").read_text("utf-8"))
    assert told["bank"]["sha256"] == seeing_bank.sha256 and told["settings"]["seed"] == 0
    assert told["packs"][0]["file"] == "fake.tar"
    found, again = told["distances"][1], report(seeing_bank, "shading", read_packs([pack], "shading"), 12, 0, None)
    assert found.keys() == again.keys() and found["component"] == "shading"
    numbers = [name for name, value in again.items() if isinstance(value, float)]
    assert len(numbers) > 2
    for name in numbers:  # matrix products round by where in memory they lie
        assert found[name] == pytest.approx(again[name], rel=1e-4), name


def test_what_does_not_fit_gets_one_sentence(
    tiny_bank: Bank, pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    large = write_pack(tmp_path / "large.tar", resolution=32)
    half = write_pack(tmp_path / "half.tar", components=("albedo",))
    words = ["banks", "sheet", str(tiny_bank.path), "--out", str(tmp_path / "out"), "--data"]
    for more, expected in (
        ([str(large)], "differ in resolution"),
        ([str(half)], "'half.tar' has no shading"),
        ([str(pack), "--compared", "12"], "no perceptual trunk"),
    ):
        assert main([*words, *more]) == 2
        message = capsys.readouterr().err
        assert expected in message and message.count("\n") == 1
    with pytest.raises(SystemExit):
        main([*words, str(pack), "--rows", "0"])
    assert "'0' is not a whole number from 1 on" in capsys.readouterr().err


def test_a_single_gan_shows_its_components_side_by_side(
    pack: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = GeneratorConfig(16, 8, 8, 64, 4, 2, image_channels=6)
    shape = TrunkConfig((4, 8, 8), (1, 1, 1))
    header = BankHeader(
        "both",
        16,
        "lambertian_single",
        {"albedo+shading": ComponentHeader("srgb+reinhard", config, has_discriminator=False)},
        trunk=TrunkHeader(shape),
    )
    path = tmp_path / "both.safetensors"
    networks = {"albedo+shading": (Generator(config), None)}
    save_bank(path, header, networks, trunk=Trunk(shape))
    words = ["banks", "sheet", str(path), "--data", str(pack), "--out", str(tmp_path), "--columns=3", "--rows=2"]
    assert main(words) == 0
    assert Image.open(tmp_path / "both-albedo+shading.png").width == 2 * (3 * 34 + 2) * ZOOM + 16
    capsys.readouterr()
    assert main([*words, "--compared", "12"]) == 2
    assert "not of albedo+shading" in capsys.readouterr().err


def test_text_is_broken_between_words() -> None:
    font = ImageFont.load_default(size=15)
    parts = _broken("some words that are wider than what they stand above", font, 120)
    assert len(parts) > 2 and " ".join(parts) == "some words that are wider than what they stand above"
    assert all(font.getlength(part) <= 120 for part in parts)
    assert _broken("unbreakable", font, 10) == ["unbreakable"]


def test_fewer_real_images_are_all_shown_once(tiny_bank: Bank, tmp_path: Path) -> None:
    few = read_packs([write_pack(tmp_path / "few.tar", count=2)], "albedo")
    picture = draw_sheet(tiny_bank.components["albedo"], few, SETTINGS)
    shown = {tile(picture, 1, 1, column).tobytes() for column in (0, 1)}  # halves end at the same line
    assert shown == {image.permute(1, 2, 0).numpy().tobytes() for image in few.images}
