# SPDX-License-Identifier: GPL-3.0-or-later
"""A bank that is chosen by the picture: by what its own pictures look like, and never without a clear margin."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from join_engine.bank import AUTO, Bank, BankHeader, choose_bank, find_bank, load_bank, read_header, save_bank
from join_engine.bank import file as bank_file
from join_engine.bank.choice import ALIKE, MARGIN, decide
from join_engine.bank.pictures import STATISTICS, PicturesHeader, describe, measure
from join_engine.color import srgb_encode
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.images.files import write_png
from join_engine.layers.decomposition import load_decomposition
from join_engine.relighting.relighter import Relighter
from tests.join_engine.conftest import MakeBank
from tests.join_engine.invented_renders import write_renders
from tests.join_engine.test_faces import of_faces


def photo(level: float, rng: np.random.Generator | None = None) -> np.ndarray:
    """Linear [40, 56, 3] of about that brightness, with a slope of light and grain of its own; without ``rng`` such a
    one as is in their middle."""
    factor, grain, *slope = (
        (1.0, 0.2, 0.0, 0.0) if rng is None else rng.uniform((0.7, 0.1, -0.3, -0.3), (1.4, 0.3, 0.3, 0.3))
    )
    rows, columns = np.mgrid[-0.5:0.5:40j, -0.5:0.5:56j]
    light = level * factor * np.exp(slope[0] * rows + slope[1] * columns)
    noise = (rng or np.random.default_rng(38)).normal(size=(40, 56, 3))
    return np.asarray(light[..., None] * (1.0 + grain * noise), np.float32).clip(0.0, 1.0)


def like(level: float) -> PicturesHeader:
    rng = np.random.default_rng(round(1000 * level))
    return describe(torch.cat([measure(photo(level, rng=rng)) for _ in range(300)]), {})


DARK, LIGHT = like(0.03), like(0.4)


def write(bank: Bank, path: Path, **changes: Any) -> None:
    modules = {name: (part.generator, part.discriminator) for name, part in bank.components.items()}
    encoders = {name: part.encoder for name, part in bank.components.items() if part.encoder is not None}
    wide = {"trunk": bank.trunk, "brightness": bank.brightness}
    save_bank(path, replace(bank.header, name=path.stem, **changes), modules, encoders, **wide)


def save(path: Path, linear: np.ndarray) -> None:
    write_png(path, np.asarray(srgb_encode(linear)))


@pytest.fixture
def installed(seeing_bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of banks: the default has learned from dark pictures, another one from light ones."""
    folder = tmp_path / "banks"
    folder.mkdir()
    write(seeing_bank, folder / "materials.safetensors", pictures=DARK)
    write(seeing_bank, folder / "snow.safetensors", pictures=LIGHT)
    monkeypatch.setattr(bank_file, "BANKS_FOLDER", folder)
    return folder


def test_statistics_tell_pictures_apart() -> None:
    dark, light = measure(photo(0.03)), measure(photo(0.4))
    assert dark.shape == (1, len(STATISTICS))
    assert DARK.log_likelihoods(dark) > LIGHT.log_likelihoods(dark) + MARGIN
    assert LIGHT.log_likelihoods(light) > DARK.log_likelihoods(light) + MARGIN
    assert float(LIGHT.distances(light)) < 3.0 * LIGHT.usual < float(LIGHT.distances(dark))
    rng = np.random.default_rng(1)
    own = torch.cat([measure(photo(0.4, rng=rng)) for _ in range(100)])
    assert 0.85 < float((LIGHT.distances(own) <= LIGHT.usual).double().mean()) <= 1.0
    # As one would have it from the formula.
    beside = light[0].double() - torch.tensor(LIGHT.mean, dtype=torch.float64)
    covariance = torch.tensor(LIGHT.covariance, dtype=torch.float64)
    expected = -0.5 * (beside @ torch.linalg.solve(covariance, beside) + torch.logdet(covariance))
    assert float(LIGHT.log_likelihoods(light)) == pytest.approx(float(expected), abs=1e-6)


def test_the_statistics_are_what_their_names_say() -> None:
    image = np.full((64, 64, 3), 0.2, np.float32)
    named = dict(zip(STATISTICS, measure(image)[0].tolist(), strict=True))
    assert all(abs(named[name]) < 1e-5 for name in ("contrast", "saturation", "top against bottom"))
    image[:32] *= 2.0
    image[..., 0] *= 1.5
    named = dict(zip(STATISTICS, measure(image)[0].tolist(), strict=True))
    assert named["top against bottom"] > 0.1 and named["left against right"] == pytest.approx(0.0, abs=1e-6)
    assert named["red against green"] > 0.05 and named["blue against green"] == pytest.approx(0.0, abs=1e-6)
    image[16:48, 16:48] = 1.0
    assert dict(zip(STATISTICS, measure(image)[0].tolist(), strict=True))["corners against middle"] < -0.1
    # What nobody sees tells nothing.
    cut_out = np.concatenate([image, np.ones((64, 64, 1), np.float32)], axis=2)
    cut_out[:8, :, 3] = 0.0
    other = cut_out.copy()
    other[:8, :, :3] = 0.7
    assert torch.equal(measure(cut_out), measure(other)) and not torch.equal(measure(cut_out), measure(image))


@pytest.mark.parametrize(("level", "chosen"), [(0.03, "materials"), (0.4, "snow")])
def test_the_bank_whose_pictures_it_is_like(installed: Path, level: float, chosen: str) -> None:
    choice = choose_bank([photo(level)])
    assert choice.name == chosen and choice.path == installed / f"{chosen}.safetensors"
    assert choice.why.startswith(f"{chosen}: ") and set(choice.banks) == {"materials", "snow"}
    assert choice.passed_over == ()
    told = json.loads(json.dumps(choice.to_json()))
    assert told["chosen"] == chosen and told["banks"]["snow"]["distance"] >= 0.0


def test_the_order_of_photos_is_nothing(installed: Path) -> None:
    photos = [photo(0.4), photo(0.35), photo(0.5)]
    assert choose_bank(photos) == choose_bank(photos[::-1])


def test_the_default_is_left_by_a_clear_margin_alone() -> None:
    def found(ahead: float, distance: float = ALIKE) -> Mapping[str, Mapping[str, float]]:
        mine = {"log_likelihood": 2.0, "distance": 9.0}
        return {"materials": mine, "snow": {"log_likelihood": 2.0 + ahead, "distance": distance}}

    assert decide(found(MARGIN + 0.1), "materials")[0] == "snow"
    assert decide(found(MARGIN), "materials")[0] == "materials"
    assert decide(found(MARGIN + 0.1), "snow")[0] == "snow"
    # However far behind the default is: a bank that does not know such pictures either is no better.
    assert decide(found(1000.0, distance=ALIKE + 0.01), "materials")[0] == "materials"


def test_who_can_be_chosen(installed: Path, seeing_bank: Bank, tiny_bank: Bank, bank_maker: MakeBank) -> None:
    light = photo(0.4)
    snow = installed / "snow.safetensors"
    snow.unlink()
    alone = choose_bank([light])
    assert alone.name == "materials" and "no other bank" in alone.why
    # One that does not tell, one of faces, one that makes other layers, one that another version has measured.
    write(seeing_bank, installed / "silent.safetensors")
    of_faces(replace(tiny_bank, header=replace(tiny_bank.header, pictures=LIGHT)), installed / "heads.safetensors")
    glossy = (("albedo", "srgb"), ("shading", "reinhard"), ("specular", "reinhard"))
    path = bank_maker(installed / "glossy.safetensors", "lambertian_specular", glossy)
    write(load_bank(path, with_discriminators=True), path, pictures=LIGHT)
    others = replace(LIGHT, statistics=("another", *STATISTICS[1:]))
    write(seeing_bank, installed / "older.safetensors", pictures=others)
    choice = choose_bank([light])
    assert choice.name == "materials" and set(choice.banks) == {"materials"}
    # Where the default does not tell, nothing can be compared; where it is gone, another one begins.
    write(seeing_bank, snow, pictures=LIGHT)
    write(seeing_bank, installed / "materials.safetensors")
    assert choose_bank([light]).name == "materials"
    for path in installed.iterdir():
        path.unlink()
    with pytest.raises(JoinError) as caught:
        choose_bank([light])
    assert caught.value.code == "bank_missing"
    write(seeing_bank, snow, pictures=LIGHT)
    assert choose_bank([photo(0.03)]).name == "snow"


def test_a_broken_file_is_passed_over_with_a_sentence(
    installed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (installed / "broken.safetensors").write_bytes(b"garbage" * 1000)
    choice = choose_bank([photo(0.4)])
    assert choice.name == "snow"
    assert len(choice.passed_over) == 1 and "broken.safetensors" in choice.passed_over[0]
    save(tmp_path / "light.png", photo(0.4))
    assert main(_command(tmp_path, AUTO, "out", "light.png")) == 0
    assert capsys.readouterr().err.count("broken.safetensors was passed over") == 1


def _command(folder: Path, bank: str, out: str, *images: str) -> list[str]:
    paths = [str(folder / image) for image in images]
    return ["decompose", *paths, "--bank", bank, "--preset", "draft", "--device", "cpu", "--out", str(folder / out)]


@pytest.mark.slow
def test_the_command_takes_a_bank_for_each_picture(
    installed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    save(tmp_path / "dark.png", photo(0.2) * 0.15)
    save(tmp_path / "light.png", photo(0.4))
    assert main(_command(tmp_path, AUTO, "auto", "dark.png", "light.png")) == 0
    capsys.readouterr()
    for picture, bank in (("dark", "materials"), ("light", "snow")):
        report = json.loads((tmp_path / "auto" / picture / "report.json").read_text("utf-8"))
        assert report["seconds"]["choose"] > 0.0
        assert report["bank"]["name"] == bank and report["settings"]["bank_choice"]["chosen"] == bank
        assert main(_command(tmp_path, bank, "named", f"{picture}.png")) == 0
        chosen, named = (
            load_decomposition(tmp_path / out / picture / "decomposition.join") for out in ("auto", "named")
        )
        assert chosen.bank_sha256 == named.bank_sha256 and chosen.metrics == named.metrics
        assert all(np.array_equal(chosen.layers[name], named.layers[name]) for name in named.layers)
        assert all(np.array_equal(chosen.codes[name], named.codes[name]) for name in named.codes)
        assert chosen.settings["bank_choice"]["chosen"] == bank and "bank_choice" not in named.settings
    # What is finished is what that bank would make, whoever chose it.
    assert main([*_command(tmp_path, AUTO, "named", "light.png"), "--skip-existing"]) == 0
    assert "finished already" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["clean-up", "decompose-together", "decompose-sequence"])
def test_other_commands_choose_too(
    installed: Path, tmp_path: Path, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    first = photo(0.4)
    save(tmp_path / "one.png", first)
    save(tmp_path / "two.png", first * 0.9)
    mask = np.zeros((40, 56, 3), np.float32)
    mask[10:16, 10:16] = 1.0
    save(tmp_path / "mask.png", mask)
    images = [str(tmp_path / "one.png"), str(tmp_path / "two.png")]
    words = [images[0], "--mask", str(tmp_path / "mask.png")] if command == "clean-up" else images
    chosen = ["--bank", AUTO, "--preset", "draft", "--device", "cpu", "--out", str(tmp_path / "out")]
    assert main([command, *words, *chosen]) == 0
    assert "Bank snow: " in capsys.readouterr().err
    if command != "decompose-sequence":
        assert '"chosen": "snow"' in (tmp_path / "out" / "report.json").read_text("utf-8")


def test_without_a_picture_there_is_nothing_to_choose_by(installed: Path) -> None:
    with pytest.raises(JoinError) as caught:
        find_bank(AUTO)
    assert caught.value.code == "bank_missing" and "no picture to choose by" in caught.value.message
    assert "materials, snow" in caught.value.hint


@pytest.mark.slow
def test_a_bank_is_told_what_its_pictures_look_like(
    seeing_bank: Bank, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    few, many = write_renders(tmp_path / "few.tar", 5), write_renders(tmp_path / "many.tar", 40)
    out, again = tmp_path / "told.safetensors", tmp_path / "again.safetensors"
    command = ["make-bank", "--bank", str(seeing_bank.path), "--out", str(out), "--pictures"]
    assert main([*command, str(few)]) == 2
    assert "too few" in capsys.readouterr().err
    assert main([*command, str(few), str(many)]) == 0
    header = read_header(out)
    assert header.pictures is not None and header.pictures.is_known
    assert [pack["count"] for pack in header.pictures.training["packs"]] == [5, 40]
    assert header.formerly == (seeing_bank.sha256,)
    # It stays with the bank, and what was made before can still be relit.
    assert main(["make-bank", "--bank", str(out), "--detail-share", "0.3", "--out", str(again)]) == 0
    assert read_header(again).pictures == header.pictures and len(read_header(again).formerly) == 2
    image = tmp_path / "image.png"
    save(image, photo(0.3))
    assert main(_command(tmp_path, str(seeing_bank.path), "old", "image.png")) == 0
    stored = load_decomposition(tmp_path / "old" / "image" / "decomposition.join")
    relit = Relighter(stored, load_bank(again)).relight([])
    assert np.array_equal(relit.layers["shading"], stored.layers["shading"])
    with pytest.raises(JoinError) as caught:
        Relighter(replace(stored, bank_sha256="0" * 64), load_bank(again))
    assert caught.value.code == "bank_mismatch"


@pytest.mark.parametrize(
    "change",
    [
        lambda told: told["mean"].pop(),
        lambda told: told["covariance"].pop(),
        lambda told: told["covariance"][0].__setitem__(0, -1.0),
        lambda told: told["mean"].__setitem__(0, float("nan")),
        lambda told: told["mean"].__setitem__(0, 10**400),
        lambda told: told.update(usual="much"),
        lambda told: told.update(usual=0.0),
        lambda told: told.update(statistics=[]),
    ],
)
def test_spoiled_statistics_are_refused(seeing_bank: Bank, change: Any) -> None:
    values = json.loads(json.dumps(replace(seeing_bank.header, pictures=LIGHT).to_dict()))
    assert BankHeader.from_dict(values).pictures == LIGHT
    change(values["pictures"])
    with pytest.raises((ValueError, TypeError)):
        BankHeader.from_dict(values)
