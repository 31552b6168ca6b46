# SPDX-License-Identifier: GPL-3.0-or-later
"""Maps of a material out of layers: their geometry, what they do not depend on, and how they are measured."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.evaluation.scores.maps_scores import CONSTANT, angle, format_table, turned_upright
from join_engine.images.files import read_image
from join_engine.inversion.presets import PRESETS, Detail, Preset
from join_engine.inversion.stages.joint import Joint
from join_engine.inversion.stages.mean_start import MeanStart
from join_engine.layers.decomposition import load_decomposition
from join_engine.layers.maps import height_of, maps_of, normals_of, roughness_of

from .conftest import MakeBank

PARTS = (("albedo", "srgb"), ("shading", "reinhard"), ("specular", "reinhard"))
MODEL = "lambertian_specular"
CHOICE = ["--device", "cpu", "--preset", "draft"]


def layers(specular: np.ndarray, shading: float = 0.8) -> dict[str, np.ndarray]:
    """Of one paint and light, and that gloss [H, W]."""
    grey = np.repeat(specular.astype(np.float32)[..., None], 3, axis=2)
    return {"albedo": np.full_like(grey, 0.4), "shading": np.full_like(grey, shading), "specular": grey}


def spot(width: float, size: int = 64) -> np.ndarray:
    """A highlight in the middle, of that many pixels."""
    y, x = np.mgrid[:size, :size] - size / 2
    return np.exp(-(x * x + y * y) / (2.0 * width**2))


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
    normal = maps_of({"shading": shading}, relief=2.0)[0]["normal"] * 2.0 - 1.0
    np.testing.assert_allclose(np.linalg.norm(normal, axis=2), 1.0, atol=1e-5)
    assert normal[39, 64, 1] < -0.2 and normal[44, 64, 1] > 0.2  # into the groove, from above and from below


def test_height_and_span_say_how_many_pixels() -> None:
    shading = np.exp(np.random.default_rng(0).normal(0.0, 0.2, (64, 64, 1))).repeat(3, axis=2).astype(np.float32)
    found, span = maps_of({"shading": shading}, relief=3.0)
    raised = 3.0 * height_of(shading)
    told = found["height"][..., 0]
    inside = (told > 0.0) & (told < 1.0)
    np.testing.assert_allclose(
        (told * span)[inside] - (told * span)[inside].mean(), (raised - raised[inside].mean())[inside], atol=1e-4
    )
    assert inside.mean() > 0.99 and set(found) == {"height", "normal"}


def test_concentrated_highlights_are_those_of_a_smooth_surface() -> None:
    values = [roughness_of(layers(20.0 * spot(width))) for width in (4.0, 8.0, 16.0, 64.0)]
    assert values == sorted(values) and values[0] < 0.3 and values[-1] > 0.55
    assert roughness_of(layers(np.zeros((32, 32)))) == pytest.approx(0.64)
    glossy = layers(20.0 * spot(8.0))
    brighter = {**glossy, "shading": 2.0 * glossy["shading"], "specular": 2.0 * glossy["specular"]}
    assert roughness_of(brighter) == pytest.approx(roughness_of(glossy), abs=1e-4)
    cut = np.zeros((64, 64), np.float32)
    cut[:, 54:] = 1.0  # what the highlight lies on is cut out
    assert roughness_of(layers(0.1 + 20.0 * spot(4.0)), cut) == pytest.approx(0.64, abs=0.01)
    assert roughness_of(glossy, np.zeros((64, 64))) == pytest.approx(0.64)


def test_only_what_the_layers_tell_is_made() -> None:
    found, span = maps_of(layers(spot(4.0)))
    assert set(found) == {"roughness"} and span == 0.0
    assert np.ptp(found["roughness"]) == 0.0 and found["roughness"].shape == (64, 64, 3)
    assert maps_of({"shading": np.ones((8, 8, 3), np.float32)})[0] == {}
    with pytest.raises(JoinError, match="no shading"):
        maps_of({"albedo": np.ones((8, 8, 3), np.float32)})


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


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search of one step, for a bank without encoders."""
    monkeypatch.setitem(PRESETS, "draft", Preset("draft", (MeanStart(), Joint(steps=1)), Detail()).to_json())


def pack(path: Path, samples: list[Mapping[str, np.ndarray]]) -> Path:
    """As dataset_tools/render.py maps writes one."""
    with tarfile.open(path, "w") as archive:
        files = {"pack.json": b"{}"}
        for index, sample in enumerate(samples):
            for name, pixels in sample.items():
                stream = io.BytesIO()
                np.save(stream, pixels.astype(np.float32))
                files[f"{index:08d}.{name}.npy"] = stream.getvalue()
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return path


def test_scores_stand_beside_the_plainest_guesses(
    tmp_path: Path, bank_maker: MakeBank, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two renders of known normals and roughness: a flat one, and one that slopes by 45 degrees to either side."""
    flat = np.broadcast_to(np.array([0.0, 0.0, 1.0]), (48, 48, 3))
    gable = np.where(np.arange(48)[None, :, None] < 24, (-1.0, 0.0, 1.0), (1.0, 0.0, 1.0)) / np.sqrt(2.0)
    samples = [
        {
            **layers(spot(8.0, 48)),
            "normal": normal + np.zeros((48, 48, 3)),
            **{name: np.full((48, 48, 3), value) for name in ("roughness", "specular_level")},
        }
        for normal, value in ((flat, 0.3), (gable, 0.7))
    ]
    bank, figures = bank_maker(tmp_path / "bank.safetensors", MODEL, PARTS), tmp_path / "figures.json"
    told = ["--data", f"two={pack(tmp_path / 'maps.tar', samples)}", "--bank", str(bank), "--out", str(figures)]
    assert main(["maps-scores", *told, *CHOICE]) == 0
    rows = json.loads(figures.read_text())["two"]
    assert [row["flat"] for row in rows] == pytest.approx([0.0, 45.0], abs=0.05)
    assert [row["roughness mean"] for row in rows] == pytest.approx([0.3, 0.7])
    assert rows[0]["true relief 0.1"] == pytest.approx(0.0, abs=0.05)  # its own shading is even
    table = format_table({"two": rows})
    assert table.strip() == capsys.readouterr().out.strip()
    cells = dict(zip(*([cell.strip() for cell in line.split("|")] for line in table.splitlines()[::2]), strict=True))
    assert cells["flat"] == "22.500°" and float(cells["best constant"]) == pytest.approx(0.2, abs=1e-3)
    assert float(cells[f"constant {CONSTANT:g}"]) == pytest.approx(np.sqrt((0.24**2 + 0.16**2) / 2), abs=1e-3)
    own = [row["true roughness"] for row in rows]
    expected = np.sqrt(np.mean([(own[0] - 0.3) ** 2, (own[1] - 0.7) ** 2]))
    assert float(cells["true roughness"]) == pytest.approx(expected, abs=1e-3)


def test_the_command_writes_maps(tmp_path: Path, bank_maker: MakeBank, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    bank = bank_maker(tmp_path / "bank.safetensors", MODEL, PARTS)
    photo = np.random.default_rng(0).integers(40, 200, (24, 40, 3), dtype=np.uint8)
    Image.fromarray(photo).save(tmp_path / "photo.png")
    common = ["--bank", str(bank), *CHOICE]
    assert main(["decompose", str(tmp_path / "photo.png"), "--out", str(tmp_path / "out"), *common]) == 0
    stored = tmp_path / "out" / "photo" / "decomposition.join"
    assert main(["maps", str(stored), "--out", str(tmp_path / "plain")]) == 0
    assert {path.name for path in (tmp_path / "plain").iterdir()} == {"roughness.exr", "roughness.png", "made.json"}
    capsys.readouterr()
    assert main(["maps", str(stored), "--out", str(tmp_path / "maps"), "--relief", "1"]) == 0
    assert "pixels above" in capsys.readouterr().err
    expected, _ = maps_of(load_decomposition(stored).layers, relief=1.0)
    assert set(expected) == {"roughness", "normal", "height"}
    for name, pixels in expected.items():
        np.testing.assert_array_equal(read_image(tmp_path / "maps" / f"{name}.exr"), pixels)
        with Image.open(tmp_path / "maps" / f"{name}.png") as image:
            assert image.size == (40, 24)
    assert main(["maps", str(stored), "--out", str(tmp_path / "out")]) == 2
    assert "holds something that maps did not make" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["maps", str(stored), "--out", str(tmp_path / "x"), "--relief", "-1"])
