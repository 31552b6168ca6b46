# SPDX-License-Identifier: GPL-3.0-or-later
"""Named directions of materials: learned from pairs of renders, kept only where they do what they say, and as edits."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest
import torch

from join_engine.bank import Bank, load_bank
from join_engine.bank.card import materials_table
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.inversion.presets import Detail, Preset
from join_engine.inversion.stages.encoder_start import EncoderStart
from join_engine.networks.stylegan2 import generate
from join_engine.pipeline import decompose
from join_engine.relighting.directions_file import Learned, read_directions, write_directions
from join_engine.relighting.relighter import Edit, Relighter, to_layer
from join_engine.renders.restyled import Layers, Pair, Restyled, read_restyled
from join_engine.training import materials
from join_engine.training.make_bank import Parts, make_bank

SCENES = 6


def layers_of(bank: Bank, codes: dict[str, torch.Tensor]) -> Layers:
    made = {}
    for name, code in codes.items():
        part = bank.components[name]
        with torch.no_grad():
            made[name] = to_layer(part.transform.from_generator(generate(part.generator, code[None])))
    return made


@pytest.fixture(scope="module")
def known(seeing_bank: Bank) -> tuple[list[Restyled], dict[int, dict[str, torch.Tensor]], torch.Tensor]:
    """Scenes of the bank's own: *wet* is a step of the albedo's code, *lost* another one for each scene; the codes of
    all, by the layers' identity; and the step."""
    step = seeing_bank.components["albedo"].sample_codes()[:200].std(dim=0)
    rng, codes, pairs = torch.Generator().manual_seed(0), {}, {"wet": [], "lost": []}
    for number in range(SCENES):
        before = {name: part.sample_codes()[number][None] for name, part in seeing_bank.components.items()}
        first = layers_of(seeing_bank, before)
        codes[id(first)] = before
        wild = step * torch.randn(step.shape, generator=rng) * 2.0
        for name, own in (("wet", step), ("lost", wild)):
            after = {**before, "albedo": before["albedo"] + own}
            second = layers_of(seeing_bank, after)
            codes[id(second)] = after
            pairs[name].append(Pair(f"scene {number}", first, second))
    return [Restyled(name, 0.7, found) for name, found in pairs.items()], codes, step


@pytest.fixture(scope="module")
def learned(seeing_bank: Bank, known: tuple) -> Learned:
    """By encoders that see everything rightly."""
    moves, codes, _ = known
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(materials, "_seen", lambda bank, layers, mirror=True: codes[id(layers)])
        return materials.learn(seeing_bank, moves)


def test_what_all_scenes_have_in_common_is_learned_and_nothing_else(learned: Learned, known: tuple) -> None:
    header = learned.header
    assert list(header.attributes) == ["wet"] and list(header.training["left_out"]) == ["lost"]
    figures = header.attributes["wet"]
    assert figures["moves"] == ["albedo"] and figures["unit"] == 0.7 and figures["pairs"] == SCENES
    assert figures["gain_albedo"][0] > 10.0 and figures["gain_image"][0] - figures["gain_image"][1] > 0.0
    assert set(learned.vectors) == {"albedo"} and header.training["scenes"] == SCENES
    torch.testing.assert_close(learned.vectors["albedo"].vectors[0, 0], known[2])
    assert learned.reading is None
    with pytest.raises(JoinError, match="not of the light"):
        learned.read({"albedo": torch.zeros(1, 1, 16)})
    lines = materials_table(header)
    assert any(line.startswith("| wet | 6 |") and "| albedo |" in line for line in lines)
    assert any(line.startswith("| lost |") and "left out" in line for line in lines)


def test_too_few_pairs_and_nothing_learned_are_refused(seeing_bank: Bank, known: tuple) -> None:
    moves, codes, _ = known
    with pytest.raises(JoinError, match="3 pairs"):
        materials.learn(seeing_bank, [Restyled("wet", 0.7, moves[0].pairs[:3])])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(materials, "_seen", lambda bank, layers, mirror=True: codes[id(layers)])
        with pytest.raises(JoinError, match="none of these properties"):
            materials.learn(seeing_bank, moves[1:])


@pytest.fixture(scope="module")
def wet_bank(seeing_bank: Bank, learned: Learned, tmp_path_factory: pytest.TempPathFactory) -> Bank:
    """On a shell's way: the file, and a bank of it."""
    folder = tmp_path_factory.mktemp("wet")
    write_directions(folder / "materials.safetensors", learned)
    again = read_directions(folder / "materials.safetensors")
    assert again.header == learned.header and again.reading is None
    command = ["make-bank", "--bank", str(seeing_bank.path), "--materials", str(folder / "materials.safetensors")]
    assert main([*command, "--out", str(folder / "wet.safetensors")]) == 0
    assert "Directions of materials" in (folder / "wet.md").read_text("utf-8")
    return load_bank(folder / "wet.safetensors", with_discriminators=True)


def test_an_edit_of_the_material_moves_what_it_has_learned_and_nothing_else(wet_bank: Bank, known: tuple) -> None:
    image = np.random.default_rng(0).random((40, 56, 3), dtype=np.float32)
    found = decompose(image, wet_bank, Preset("x", (EncoderStart(),), Detail(share=0.5, radius=2.0))).decomposition
    relighter = Relighter(found, wet_bank)
    listed = relighter.directions(sefa=1)
    assert [(one.component, one.name, one.label, one.minimum, one.maximum) for one in listed] == [
        ("albedo", "material.wet", "Wet", 0.0, 1.0),
        ("shading", "sefa.0", "Shading 1", -3.0, 3.0),
    ]
    wet = relighter.relight([Edit("material", "wet", 0.5)])
    np.testing.assert_allclose(wet.codes["albedo"] - found.codes["albedo"], 0.5 * known[2][None].numpy(), atol=1e-5)
    np.testing.assert_array_equal(wet.layers["shading"], found.layers["shading"])
    assert np.abs(wet.layers["albedo"] - found.layers["albedo"]).max() > 1e-3
    same = relighter.relight([Edit("albedo", "material.wet", 0.5)])
    np.testing.assert_array_equal(same.layers["albedo"], wet.layers["albedo"])
    nothing = relighter.relight([Edit("material", "wet", 0.0)])
    np.testing.assert_allclose(nothing.layers["albedo"], found.layers["albedo"], rtol=1e-6)
    with pytest.raises(JoinError, match=r"has learned no direction 'material\.dry'"):
        relighter.relight([Edit("material", "dry", 1.0)])


def test_the_bank_goes_on_with_its_materials(wet_bank: Bank, tmp_path: Path) -> None:
    make_bank(tmp_path / "again.safetensors", "again", "lambertian", Parts.of_bank(wet_bank), {})
    again = load_bank(tmp_path / "again.safetensors")
    assert again.header.materials == wet_bank.header.materials
    for name, part in wet_bank.components.items():
        assert list(again.components[name].directions) == list(part.directions)
    torch.testing.assert_close(
        again.components["albedo"].directions["material.wet"], wet_bank.components["albedo"].directions["material.wet"]
    )
    assert not wet_bank.components["shading"].directions


def write_pack(path: Path, move: dict | None, scenes: dict[str, float]) -> None:
    files = {"pack.json": json.dumps({"move": move, "count": len(scenes)}).encode()}
    for index, value in scenes.items():
        for name in ("albedo", "shading"):
            stream = io.BytesIO()
            np.save(stream, np.full((8, 8, 3), value, np.float32))
            files[f"{index}.{name}.npy"] = stream.getvalue()
    with tarfile.open(path, "w") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def test_pairs_are_read_from_folders_of_restyle(tmp_path: Path) -> None:
    for number in (1, 2):
        folder = tmp_path / str(number)
        folder.mkdir()
        write_pack(folder / "original.tar", None, {"00000000": 0.1 * number, "00000001": 0.2})
        write_pack(folder / "wet+0.7.tar", {"property": "wet", "amount": 0.7}, {"00000000": 0.5})
    write_pack(tmp_path / "2" / "relief-1.tar", {"property": "relief", "amount": -1.0}, {"00000001": 0.6})
    found = read_restyled([tmp_path / "1", tmp_path / "2"], ("albedo", "shading"))
    assert {(one.name, one.amount, len(one.pairs)) for one in found} == {("wet", 0.7, 2), ("relief", -1.0, 1)}
    wet = next(one for one in found if one.name == "wet")
    assert [pair.scene for pair in wet.pairs] == ["1 00000000", "2 00000000"]
    assert wet.pairs[1].before["albedo"][0, 0, 0] == pytest.approx(0.2) and wet.pairs[1].after["albedo"].max() == 0.5
    with pytest.raises(JoinError, match="holds no scenes"):
        read_restyled([tmp_path], ("albedo", "shading"))
    write_pack(tmp_path / "1" / "odd.tar", {"attribute": "size"}, {"00000000": 0.5})
    with pytest.raises(JoinError, match="does not say how"):
        read_restyled([tmp_path / "1"], ("albedo", "shading"))
