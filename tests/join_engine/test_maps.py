# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps of a material out of layers: their geometry, how they are learned, made and measured."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from join_engine.bank import Bank, SplitHeader, load_bank
from join_engine.bank.bank_wide import MapsHeader
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.evaluation.scores.maps_scores import angle, format_table
from join_engine.images.files import read_image
from join_engine.inversion.presets import PRESETS, Detail, Preset
from join_engine.inversion.stages.joint import Joint
from join_engine.inversion.stages.mean_start import MeanStart
from join_engine.layers.decomposition import load_decomposition
from join_engine.layers.maps import height_of, maps_of, network_of, normals_of, roughness_of
from join_engine.networks.maps import LEVEL_AT_FIRST, ROUGHNESS_AT_FIRST, Maps, MapsConfig
from join_engine.networks.split import Split, SplitConfig
from join_engine.renders.map_sets import read_map_sets, turned_upright
from join_engine.training.maps import slopes_of, varied

from .conftest import MakeBank, stored

PARTS = (("albedo", "srgb"), ("shading", "reinhard"), ("specular", "reinhard"))
MODEL = "lambertian_specular"
SMALL = MapsConfig((8, 8))
SPLIT = SplitConfig((4, 4), 4, 1, 4, 8)
CHOICE = ["--device", "cpu", "--preset", "draft"]


def wild() -> Maps:
    """One that has an opinion about everything."""
    torch.manual_seed(3)
    found = Maps(SMALL).eval().requires_grad_(False)
    torch.nn.init.normal_(found.out.weight, std=0.1)
    return found


def slopes(height: np.ndarray) -> torch.Tensor:
    """Of a height [H, W] in widths of a pixel, [2, H, W]: to the right, and upwards."""
    down, right = np.gradient(height)
    return torch.from_numpy(np.stack([right, -down]).astype(np.float32))


def hills(rng: np.random.Generator, side: int = 32, steep: float = 1.0) -> np.ndarray:
    """A smooth height [side, side], level at its edges."""
    y, x = np.mgrid[:side, :side] / (side - 1)
    waves = sum(
        rng.normal() * np.sin(np.pi * i * x) ** 2 * np.sin(np.pi * j * y) ** 2 for i in (1, 2, 3) for j in (1, 2, 3)
    )
    return steep * np.asarray(waves * side / 8.0)


def layers(size: tuple[int, int] = (48, 64), seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: 0.7 * rng.random((*size, 3), dtype=np.float32) for name in ("albedo", "shading", "specular")}


def sample(height: np.ndarray, rough: float = 0.4) -> dict[str, np.ndarray]:
    """A render of that height, whose paint is the darker the deeper it lies, as dataset_tools/render.py maps tells
    it."""
    normal = normals_of(height.astype(np.float32))
    whole = np.ones((*height.shape, 3), np.float32)
    paint = 0.5 * np.exp(((height - height.max()) / 4.0).clip(-2.0, 0.0)).astype(np.float32)
    return {
        "albedo": paint[..., None] * whole,
        "shading": normal[..., 2:] * whole,
        "specular": 0.02 * whole,
        "normal": normal,
        "roughness": rough * whole,
        "specular_level": 0.3 * whole,
    }


def pack(path: Path, samples: Sequence[Mapping[str, np.ndarray]]) -> Path:
    """As dataset_tools/render.py maps writes one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    header = {"dataset": "hills", "seed": 0, "split": "all", "count": len(samples)}
    with tarfile.open(path, "w") as archive:
        files = {"pack.json": json.dumps(header).encode()}
        for index, one in enumerate(samples):
            for name, pixels in one.items():
                stream = io.BytesIO()
                np.save(stream, pixels.astype(np.float32))
                files[f"{index:08d}.{name}.npy"] = stream.getvalue()
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


@pytest.fixture(scope="module")
def mapping_bank(bank_maker: MakeBank, tmp_path_factory: pytest.TempPathFactory) -> Bank:
    """A bank with a split network and a network of maps."""
    folder = tmp_path_factory.mktemp("maps")
    bank = load_bank(bank_maker(folder / "plain.safetensors", MODEL, PARTS), with_discriminators=True)
    header = replace(bank.header, name="mapping", split=SplitHeader(SPLIT), maps=MapsHeader(SMALL))
    return stored(bank, folder / "mapping.safetensors", header, split=Split(SPLIT), maps=wild())


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search of one step, for a bank without encoders."""
    monkeypatch.setitem(PRESETS, "draft", Preset("draft", (MeanStart(), Joint(steps=1)), Detail()).to_json())


# Geometry


def test_normals_are_those_of_the_height() -> None:
    """Of a slope that rises to the right by 1 in 2, and of one that rises upwards."""
    y, x = np.mgrid[:8, :8].astype(np.float32)
    np.testing.assert_allclose(normals_of(0.5 * x), np.full((8, 8, 3), (-1, 0, 2)) / np.sqrt(5), atol=1e-6)
    np.testing.assert_allclose(normals_of(-0.5 * y), np.full((8, 8, 3), (0, -1, 2)) / np.sqrt(5), atol=1e-6)


def test_what_is_darker_than_its_surroundings_is_deeper() -> None:
    shading = np.ones((96, 128, 3), np.float32) * np.linspace(0.2, 2.0, 128, dtype=np.float32)[:, None]
    shading[40:44] *= 0.5  # a groove across light that falls off
    height = height_of(shading)
    assert height[41:43].max() < -0.3 < height[20:30].min() and abs(height[20:30, 30:100]).max() < 0.05
    np.testing.assert_allclose(height_of(3.0 * shading), height, atol=1e-5)  # the exposure is no relief
    normal = maps_of(wild(), {"shading": shading}, relief=2.0)[0]["normal"] * 2.0 - 1.0
    np.testing.assert_allclose(np.linalg.norm(normal, axis=2), 1.0, atol=1e-5)
    assert normal[39, 64, 1] < -0.2 and normal[44, 64, 1] > 0.2  # into the groove, from above and from below


def test_height_and_span_say_how_many_pixels() -> None:
    shading = np.exp(np.random.default_rng(0).normal(0.0, 0.2, (64, 64, 1))).repeat(3, axis=2).astype(np.float32)
    found, span = maps_of(wild(), {"shading": shading}, relief=3.0)
    raised = 3.0 * height_of(shading)
    told = found["height"][..., 0]
    inside = (told > 0.0) & (told < 1.0)
    np.testing.assert_allclose(
        (told * span)[inside] - (told * span)[inside].mean(), (raised - raised[inside].mean())[inside], atol=1e-4
    )
    assert inside.mean() > 0.99 and set(found) == {"height", "normal"}


def test_normals_are_compared_upright() -> None:
    rng = np.random.default_rng(1)
    bumps = normals_of(rng.normal(0.0, 0.1, (32, 32)).astype(np.float32))
    a, b = 0.5, -0.3
    turn = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    turn = turn @ np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    upright = turned_upright((bumps @ turn.T).astype(np.float32))
    mean = upright.reshape(-1, 3).mean(axis=0)
    np.testing.assert_allclose(mean / np.linalg.norm(mean), (0, 0, 1), atol=1e-5)
    up = np.array([0.0, 0.0, 1.0], np.float32)
    assert angle(upright, up) == pytest.approx(angle(turned_upright(bumps), up), abs=1e-3)
    assert angle(np.full((2, 2, 3), (1.0, 0.0, 0.0)), up) == pytest.approx(90.0)


def test_slopes_are_those_of_the_height() -> None:
    height = hills(np.random.default_rng(4)).astype(np.float32)
    found, own = slopes_of(torch.from_numpy(height)[None, None])[0], slopes(height)
    torch.testing.assert_close(found[:, 1:-1, 1:-1], own[:, 1:-1, 1:-1])


def test_what_is_mirrored_or_turned_slopes_the_other_way() -> None:
    """A height that is varied like a picture has the slopes that were varied with it."""
    rng = np.random.default_rng(0)
    heights = np.stack([hills(rng) for _ in range(24)]).astype(np.float32)
    maps = torch.stack([torch.cat([slopes(one), torch.ones(2, 32, 32)]) for one in heights])
    found = varied({"height": torch.from_numpy(heights)[:, None], "maps": maps}, torch.Generator().manual_seed(0))
    assert not torch.equal(found["height"][:, 0], torch.from_numpy(heights))
    for height, told in zip(found["height"][:, 0], found["maps"], strict=True):
        torch.testing.assert_close(told[:2], slopes(height.numpy()), atol=1e-4, rtol=0.0)


# What the network says


def test_what_cannot_be_halved_so_often_is_no_architecture() -> None:
    assert MapsConfig.from_dict(json.loads(json.dumps(SMALL.to_dict()))) == SMALL
    with pytest.raises(ValueError, match="cannot be halved 8 times"):
        MapsConfig((8,) * 9)


def test_at_first_everything_is_flat_and_as_rough_as_the_mean() -> None:
    told = Maps(SMALL)(*(torch.rand(1, 3, 8, 8) for _ in range(3)))
    for plane, value in zip(told[0], (0.0, ROUGHNESS_AT_FIRST, LEVEL_AT_FIRST), strict=True):
        torch.testing.assert_close(plane, torch.full_like(plane, value))
    assert roughness_of(Maps(SMALL), layers()) == pytest.approx(ROUGHNESS_AT_FIRST)


@pytest.mark.parametrize("size", [(5, 3), (128, 128), (331, 257)])
def test_roughness_is_one_value_of_all_that_is_shown(size: tuple[int, int]) -> None:
    given = layers(size)
    found = maps_of(wild(), given)[0]
    assert set(found) == {"roughness"} and found["roughness"].shape == (*size, 3)
    assert np.ptp(found["roughness"]) == 0.0 and found["roughness"][0, 0, 0] == pytest.approx(
        roughness_of(wild(), given)
    )
    brighter = {name: layer * (1.0 if name == "albedo" else 40.0) for name, layer in given.items()}
    dimmer = {name: layer * (1.0 if name == "albedo" else 80.0) for name, layer in given.items()}
    assert roughness_of(wild(), brighter) == pytest.approx(roughness_of(wild(), dimmer), abs=1e-3)


def test_what_is_cut_out_has_no_say() -> None:
    given = layers((128, 128))
    one, other = np.zeros((128, 128), np.float32), np.ones((128, 128), np.float32)
    one[:, :64] = 1.0
    left, right = roughness_of(wild(), given, one), roughness_of(wild(), given, 1.0 - one)
    whole = roughness_of(wild(), given)
    assert abs(left - right) > 1e-5 and (left + right) / 2.0 == pytest.approx(whole, abs=1e-5)
    assert roughness_of(wild(), given, other) == roughness_of(wild(), given, 0.0 * other) == pytest.approx(whole)


def test_only_what_the_layers_tell_is_made() -> None:
    assert maps_of(wild(), {"shading": np.ones((8, 8, 3), np.float32)})[0] == {}
    with pytest.raises(JoinError, match="no shading"):
        maps_of(wild(), {"albedo": np.ones((8, 8, 3), np.float32)})


# Learning


def test_packs_are_read_whole(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    one = pack(tmp_path / "one" / "maps.tar", [sample(hills(rng)), sample(hills(rng), 0.9)])
    data = read_map_sets([one, pack(tmp_path / "two" / "maps.tar", [sample(hills(rng))])], MODEL)
    assert data.maps.shape == (3, 4, 32, 32) and len(data) == 3 and data.resolution == 32
    assert data.maps[:, 2, 0, 0].tolist() == pytest.approx([0.4, 0.9, 0.4], abs=1e-3)
    assert [info.file for info in data.packs] == ["one/maps.tar", "two/maps.tar"]
    linear = data.linear(data.batch(torch.tensor([0])))
    assert float(linear["albedo"].max()) == pytest.approx(0.5, abs=5e-3)
    small = pack(tmp_path / "small.tar", [sample(hills(rng, 16))])
    with pytest.raises(JoinError, match="differ in resolution"):
        read_map_sets([one, small], MODEL)


@pytest.mark.slow
def test_from_renders_to_a_bank(tmp_path: Path, mapping_bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    """Hills that are lighter than their valleys are learned in seconds."""
    rng = np.random.default_rng(5)
    packs = [
        pack(tmp_path / name / "maps.tar", [sample(hills(rng, steep=0.4), rng.uniform(0.2, 0.9)) for _ in range(count)])
        for name, count in (("train", 24), ("val", 6))
    ]
    run, bank = tmp_path / "run", str(mapping_bank.path)
    command = ["train-maps", "--bank", bank, "--data", str(packs[0]), "--out", str(run), "--widths", "8", "16"]
    command += ["--device", "cpu", "--threads", "1", "--lr", "0.02", "--crop", "16", "--whole", "1"]
    assert main([*command, "--kimg", "0.016", "--crop", "12"]) == 2
    assert "is not 12 doubled" in capsys.readouterr().err
    command += ["--repaint", "0", "--hard", "0", "--share", "0", "--validation", str(packs[1]), "--batch", "16"]
    assert main([*command, "--kimg", "0.8"]) == 0
    made = tmp_path / "learned.safetensors"
    assert main(["make-bank", "--bank", bank, "--maps", str(run), "--out", str(made), "--name", "learned"]) == 0
    found = load_bank(made)
    assert found.header.maps is not None and found.maps is not None and found.split is not None
    scores = found.header.maps.training["scores"]
    assert scores["samples"] == 6 and scores["flat"] > 3.0
    assert scores["normals"] < 0.9 * scores["flat"]
    assert scores["roughness"] < 1.05 * scores["constant_roughness"]
    assert main([*command, "--kimg", "0.816"]) == 0  # goes on where it was


def test_a_bank_without_a_split_network_cannot_teach(
    tmp_path: Path, bank_maker: MakeBank, capsys: pytest.CaptureFixture[str]
) -> None:
    bank = bank_maker(tmp_path / "plain.safetensors", MODEL, PARTS)
    told = [
        "--bank",
        str(bank),
        "--data",
        str(tmp_path / "none.tar"),
        "--out",
        str(tmp_path / "run"),
        "--device",
        "cpu",
    ]
    assert main(["train-maps", *told]) == 2
    assert "no split network" in capsys.readouterr().err


# Measuring and making


@pytest.mark.slow
def test_scores_stand_beside_the_plainest_guesses(
    tmp_path: Path, mapping_bank: Bank, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two renders of known normals and roughness: a flat one, and one that slopes by 45 degrees to either side."""
    flat = np.broadcast_to(np.array([0.0, 0.0, 1.0]), (48, 48, 3))
    gable = np.where(np.arange(48)[None, :, None] < 24, (-1.0, 0.0, 1.0), (1.0, 0.0, 1.0)) / np.sqrt(2.0)
    samples = [
        {
            **{name: np.full((48, 48, 3), 0.4) for name in ("albedo", "shading", "specular")},
            "normal": normal + np.zeros((48, 48, 3)),
            **{name: np.full((48, 48, 3), value) for name in ("roughness", "specular_level")},
        }
        for normal, value in ((flat, 0.3), (gable, 0.7))
    ]
    figures = tmp_path / "figures.json"
    told = ["--data", f"two={pack(tmp_path / 'maps.tar', samples)}", "--bank", str(mapping_bank.path)]
    assert main(["maps-scores", *told, "--out", str(figures), *CHOICE]) == 0
    rows = json.loads(figures.read_text())["two"]
    assert [row["flat"] for row in rows] == pytest.approx([0.0, 45.0], abs=0.05)
    assert [row["roughness mean"] for row in rows] == pytest.approx([0.3, 0.7])
    assert rows[0]["true relief 0.1"] == pytest.approx(0.0, abs=0.05)  # its own shading is even
    table = format_table({"two": rows})
    assert table.strip() == capsys.readouterr().out.strip()
    cells = dict(zip(*([cell.strip() for cell in line.split("|")] for line in table.splitlines()[::2]), strict=True))
    assert cells["flat"] == "22.500°" and float(cells["best constant"]) == pytest.approx(0.2, abs=1e-3)
    assert float(cells[f"constant {ROUGHNESS_AT_FIRST:g}"]) == pytest.approx(np.sqrt((0.27**2 + 0.13**2) / 2), abs=1e-3)
    own = [row["true roughness"] for row in rows]
    expected = np.sqrt(np.mean([(own[0] - 0.3) ** 2, (own[1] - 0.7) ** 2]))
    assert float(cells["true roughness"]) == pytest.approx(expected, abs=1e-3)


@pytest.mark.slow
def test_the_command_writes_maps(tmp_path: Path, mapping_bank: Bank, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    photo = np.random.default_rng(0).integers(40, 200, (24, 40, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    bank = ["--bank", str(mapping_bank.path)]
    assert main(["decompose", str(tmp_path / "photo.png"), "--out", str(tmp_path / "out"), *bank, *CHOICE]) == 0
    made = tmp_path / "out" / "photo" / "decomposition.join"
    assert main(["maps", str(made), "--out", str(tmp_path / "plain"), *bank]) == 0
    assert {path.name for path in (tmp_path / "plain").iterdir()} == {"roughness.exr", "roughness.png", "made.json"}
    capsys.readouterr()
    assert main(["maps", str(made), "--out", str(tmp_path / "maps"), "--relief", "1", *bank]) == 0
    assert "pixels above" in capsys.readouterr().err
    expected, _ = maps_of(mapping_bank.maps, load_decomposition(made).layers, relief=1.0)  # type: ignore[arg-type]
    assert set(expected) == {"roughness", "normal", "height"}
    for name, pixels in expected.items():
        np.testing.assert_allclose(read_image(tmp_path / "maps" / f"{name}.exr"), pixels, atol=1e-6)
        with Image.open(tmp_path / "maps" / f"{name}.png") as image:
            assert image.size == (40, 24)
    assert main(["maps", str(made), "--out", str(tmp_path / "out"), *bank]) == 2
    assert "holds something that maps did not make" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["maps", str(made), "--out", str(tmp_path / "x"), "--relief", "-1"])


def test_a_bank_without_maps_is_refused_by_name(tmp_path: Path, bank_maker: MakeBank) -> None:
    bank = bank_maker(tmp_path / "plain.safetensors", MODEL, PARTS)
    with pytest.raises(JoinError, match="'plain' has no network of maps"):
        network_of(load_bank(bank))
