# SPDX-License-Identifier: GPL-3.0-or-later
"""Large pictures: layers rows after rows are the layers at once; what does not fit is refused before it starts; no
layer that is no number gets out."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from join_engine import memory, pipeline
from join_engine.bank import Bank
from join_engine.commands.main import main
from join_engine.errors import JoinError, is_out_of_memory
from join_engine.face_crop import FaceCrop
from join_engine.images import files, room
from join_engine.images.files import exr_writer, npy_writer, opaque, png_writer, read_image, strips
from join_engine.images.frame import Frame, shrunk
from join_engine.inversion.presets import Detail, Preset
from join_engine.inversion.stages.joint import Joint
from join_engine.inversion.stages.mean_start import MeanStart
from join_engine.layers import strips as kept_strips
from join_engine.layers.decomposition import Decomposition, load_decomposition, save_decomposition
from join_engine.layers.layer_files import write_confidence, write_result
from join_engine.layers.strips import Strips, rows_of
from join_engine.relighting.relighter import Edit, Relighter

from .test_split import SMALL, wild

SHORT = Preset("short", (MeanStart(), Joint(steps=2)), Detail(2.0, 0.5))


def _layers(seed: int = 0, size: tuple[int, int] = (37, 29)) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {name: rng.random((*size, 3), dtype=np.float32) for name in ("albedo", "shading")}


def with_split(bank: Bank) -> Bank:
    return replace(bank, split=wild(replace(SMALL, specular=False), std=0.05))


def _as_strips(layers: dict[str, np.ndarray], step: int) -> tuple[Strips, list[int]]:
    """The same row by row, and how often they were made."""
    height, width = layers["albedo"].shape[:2]
    made: list[int] = []

    def make():  # type: ignore[no-untyped-def]
        made.append(1)
        for top in range(0, height, step):
            rows = slice(top, min(top + step, height))
            yield rows, {name: layer[rows] for name, layer in layers.items()}

    return Strips(tuple(layers), (height, width), make), made


def _decomposition(layers: object, bank: Bank) -> Decomposition:
    codes = {name: np.zeros((1, 16), np.float32) for name in ("albedo", "shading")}
    return Decomposition(layers, codes, "lambertian", "tiny", bank.sha256, metrics={"psnr": 50.0})  # type: ignore[arg-type]


@pytest.mark.parametrize("step", [1, 5, 16, 1000])
def test_files_of_rows_are_the_files_of_whole_layers(tmp_path: Path, tiny_bank: Bank, step: int) -> None:
    layers = _layers()
    parts, made = _as_strips(layers, step)
    for name, what in (("whole", layers), ("parts", parts)):
        (tmp_path / name).mkdir()
        write_result(tmp_path / name, _decomposition(what, tiny_bank))
    assert len(made) == 1  # all files out of one making
    names = sorted(path.name for path in (tmp_path / "whole").iterdir())
    assert names == sorted(path.name for path in (tmp_path / "parts").iterdir()) and len(names) == 6
    assert all((tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes() for name in names)
    found = load_decomposition(tmp_path / "parts" / "decomposition.join")
    assert all(np.array_equal(found.layers[name], layers[name]) for name in layers) and found.metrics["psnr"] == 50.0


def test_strips_are_layers_like_others() -> None:
    layers = _layers()
    parts, made = _as_strips(layers, 8)
    assert list(parts) == ["albedo", "shading"] and len(parts) == 2 and parts.size == (37, 29)
    assert np.array_equal(parts["shading"], layers["shading"]) and parts["shading"] is parts["shading"]
    list(parts.rows())
    assert len(made) == 1
    with pytest.raises(KeyError):
        parts["specular"]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["split", "detail", "brightness", "without"])
def test_a_large_image_is_not_kept_whole(
    tiny_bank: Bank, seeing_bank: Bank, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    bank = {"split": with_split(tiny_bank), "brightness": seeing_bank}.get(way, tiny_bank)
    preset = replace(SHORT, detail=None) if way == "without" else SHORT
    whole = pipeline.decompose(picture, bank, preset).decomposition
    monkeypatch.setattr(kept_strips, "KEPT", 10)
    monkeypatch.setattr(files, "_STRIP", 5 * picture.shape[1])
    monkeypatch.setattr(Strips, "whole", lambda self: pytest.fail("nobody holds them"))
    parts = pipeline.decompose(picture, bank, preset).decomposition
    assert isinstance(parts.layers, Strips) and not isinstance(whole.layers, Strips)
    assert parts.metrics["psnr"] == pytest.approx(whole.metrics["psnr"], abs=1e-3)
    count = 0
    for rows, layers in rows_of(parts.layers):
        count += 1
        assert list(layers) == list(whole.layers)
        assert all(np.allclose(layer, whole.layers[name][rows], rtol=1e-4, atol=1e-6) for name, layer in layers.items())
    assert count == 8


@pytest.mark.parametrize(("size", "resolution"), [((90, 70), 16), ((33, 1200), 32), ((1100, 20), 64), ((8, 12), 16)])
def test_a_picture_is_fitted_rows_after_rows(size: tuple[int, int], resolution: int) -> None:
    image = np.random.default_rng(0).random((*size, 3), dtype=np.float32)
    frame = Frame(*size, resolution)
    parts = ((slice(top, min(top + 7, size[0])), image[top : top + 7]) for top in range(0, size[0], 7))
    np.testing.assert_allclose(frame.fit_rows(parts), frame.fit(image), rtol=1e-5, atol=1e-6)


def test_a_column_is_fitted_like_a_row() -> None:
    image = np.random.default_rng(0).random((1100, 20, 3), dtype=np.float32)
    standing, lying = Frame(1100, 20, 64).fit(image), Frame(20, 1100, 64).fit(image.transpose(1, 0, 2))
    np.testing.assert_allclose(standing, lying.transpose(2, 3), atol=1e-6)
    assert standing.std() > 0.005


@pytest.mark.parametrize("detail", [True, False])
def test_a_large_decomposition_is_relit_from_its_file(
    tmp_path: Path, tiny_bank: Bank, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch, detail: bool
) -> None:
    preset = SHORT if detail else replace(SHORT, detail=None)
    found = pipeline.decompose(picture, tiny_bank, preset).decomposition
    stored = tmp_path / "a.join"
    save_decomposition(stored, found)
    edits = [Edit("shading", "sefa.0", 1.5)]
    whole = Relighter(found, tiny_bank).relight(edits)
    monkeypatch.setattr(kept_strips, "KEPT", 10)
    monkeypatch.setattr(files, "_STRIP", 5 * picture.shape[1])
    monkeypatch.setattr(Strips, "whole", lambda self: pytest.fail("nobody holds them"))
    loaded = load_decomposition(stored)
    lit = Relighter(loaded, tiny_bank).relight(edits)
    assert isinstance(lit.layers, Strips) and lit.size == found.size
    for rows, layers in rows_of(lit.layers):
        assert np.array_equal(layers["albedo"], found.layers["albedo"][rows])
        assert np.allclose(layers["shading"], whole.layers["shading"][rows], rtol=1e-4, atol=1e-5)
    out = tmp_path / "lit"
    words = ["relight", str(stored), "--bank", str(tiny_bank.path), "--out", str(out), "--exr", "32"]
    assert main([*words, "--set", "shading.sefa.0=1.5"]) == 0
    again = load_decomposition(out / "decomposition.join")
    for (_, layers), (_, wanted) in zip(rows_of(again.layers), rows_of(lit.layers), strict=True):
        assert all(np.allclose(layer, wanted[name], rtol=1e-4, atol=1e-5) for name, layer in layers.items())
    assert {"albedo.exr", "shading.exr", "layers.exr", "recomposed.png"} <= {path.name for path in out.iterdir()}
    assert main([*words, "--set", "shading.sefa.0=1e300"]) == 2  # found in the midst of it, and nothing of it stays
    assert load_decomposition(out / "decomposition.join").size == found.size
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.join", "lit"]


@pytest.mark.parametrize("where", ["first", "last"])
def test_a_large_decomposition_with_what_is_no_number_is_refused(
    tmp_path: Path, tiny_bank: Bank, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    found = pipeline.decompose(picture, tiny_bank, SHORT).decomposition
    layers = {name: layer.copy() for name, layer in found.layers.items()}
    layers["shading"][0 if where == "first" else -1, -1, 2] = np.nan
    save_decomposition(tmp_path / "a.join", replace(found, layers=layers))
    monkeypatch.setattr(kept_strips, "KEPT", 10)
    with pytest.raises(JoinError, match="not finite"):
        load_decomposition(tmp_path / "a.join")


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_are_shrunk_channel_by_channel(channels: int) -> None:
    import torch
    from torch.nn import functional

    image = np.random.default_rng(0).random((90, 70, channels), dtype=np.float32)
    planes = torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))[None]
    wanted = functional.interpolate(planes, (45, 35), mode="bilinear", align_corners=False, antialias=True)
    assert torch.allclose(shrunk(image, 45), wanted, atol=1e-6)
    assert torch.equal(shrunk(image, 90), planes)
    if channels == 3:
        assert Frame(90, 70, 32).fit(image).shape == (1, 3, 32, 32)


def test_a_cut_out_is_filled_alike_in_strips(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).random((40, 30, 4), dtype=np.float32) * 1.2 - 0.1
    pixels[5:20, :, 3] = 0
    whole = opaque(pixels)
    monkeypatch.setattr(files, "_STRIP", 7 * 30)
    assert np.allclose(opaque(pixels), whole, atol=1e-6)
    assert [rows.stop - rows.start for rows in strips(40, 30)] == [7, 7, 7, 7, 7, 5]


@pytest.mark.parametrize("rows", [1, 6, 40])
def test_writers_take_rows(tmp_path: Path, rows: int) -> None:
    pixels = np.random.default_rng(0).random((40, 30, 4), dtype=np.float32)
    with (
        exr_writer(tmp_path / "a.exr", (40, 30), "RGB") as exr,
        exr_writer(tmp_path / "h.exr", (40, 30), "RGB", 16) as half,
        png_writer(tmp_path / "a.png", (40, 30), 3) as png,
        png_writer(tmp_path / "b.png", (40, 30), 4, 16) as deep,
        npy_writer(tmp_path / "a.npy", (40, 30)) as npy,
    ):
        for top in range(0, 40, rows):
            part = pixels[top : top + rows]
            exr(part[..., :3])
            half(part[..., :3] * 1e6)
            png(part[..., :3])
            deep(part)
            npy(part[..., :3])
    assert np.array_equal(read_image(tmp_path / "a.exr"), pixels[..., :3])
    assert np.array_equal(read_image(tmp_path / "a.npy"), pixels[..., :3])
    assert np.isfinite(read_image(tmp_path / "h.exr")).all()
    shown = np.asarray(Image.open(tmp_path / "a.png"), float)
    assert np.abs(shown / 255 - pixels[..., :3]).max() <= 0.5 / 255 + 1e-6
    alpha = read_image(tmp_path / "b.png")[..., 3]
    assert np.abs(alpha - pixels[..., 3]).max() <= 1e-5


@pytest.mark.parametrize("kind", ["exr", "png", "npy"])
def test_a_writer_that_fails_leaves_nothing(tmp_path: Path, kind: str) -> None:
    opened = {
        "exr": lambda: exr_writer(tmp_path / "a", (8, 8), "RGB"),
        "png": lambda: png_writer(tmp_path / "a", (8, 8), 3),
        "npy": lambda: npy_writer(tmp_path / "a", (8, 8)),
    }[kind]()
    with pytest.raises(RuntimeError, match="stop"), opened as write:
        write(np.zeros((4, 8, 3), np.float32))
        raise RuntimeError("stop")
    assert not list(tmp_path.iterdir())


def test_the_map_of_confidence_has_the_size_of_the_image(tmp_path: Path) -> None:
    write_confidence(tmp_path, np.full((10, 8, 3), 0.5, np.float32), (45, 33))
    assert np.allclose(read_image(tmp_path / "confidence.exr"), np.exp(-0.5))
    assert read_image(tmp_path / "confidence.exr").shape == (45, 33, 3)


# --- what is too large ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.bmp", "a.exr"])
def test_what_is_too_large_is_refused_with_the_size_that_fits(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    if name.endswith(".exr"):
        files.write_exr(path, np.zeros((150, 200, 3), np.float32))
    else:
        Image.new("RGB", (200, 150)).save(path)
    monkeypatch.setattr(room, "_ALWAYS_TRIED", 100)
    monkeypatch.setattr(room, "available", lambda: memory.BASE + 60 * 70 * memory.BYTES_PER_PIXEL)
    with pytest.raises(JoinError) as caught:
        read_image(path)
    assert caught.value.code == "image_too_large" and "200 × 150" in caught.value.message
    assert "66 × 50" in caught.value.hint
    monkeypatch.setattr(room, "available", lambda: 1000)
    with pytest.raises(JoinError) as caught:
        read_image(path)
    assert "Close" in caught.value.hint
    monkeypatch.setattr(room, "available", lambda: None)
    assert read_image(path).shape == (150, 200, 3)


def test_layers_that_are_made_in_one_piece_need_more(
    tiny_bank: Bank, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "_ALWAYS_TRIED", 100)
    height, width = picture.shape[:2]
    monkeypatch.setattr(room, "available", lambda: memory.BASE + height * width * 2 * memory.BYTES_PER_PIXEL)
    pipeline.decompose(picture, tiny_bank, SHORT)
    with pytest.raises(JoinError) as caught:
        pipeline.decompose(picture, tiny_bank, SHORT, face=FaceCrop((width / 2, height / 2), (height / 4, 0.0)))
    assert caught.value.code == "image_too_large"


def test_memory_is_asked_of_the_system() -> None:
    free = memory.available()
    assert free is not None and 0 < free < 1 << 50
    asked = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30)); "
    asked += "from join_engine import memory; print(memory.available())"
    told = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert int(told.stdout) < 2 << 30


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (MemoryError(), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("another"), False),
    ],
)
def test_a_lack_of_memory_is_a_sentence(
    error: Exception, is_one: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert is_out_of_memory(error) == is_one

    def fails(_: object) -> None:
        raise error

    monkeypatch.setattr("join_engine.commands.banks.run", fails)
    if not is_one:
        with pytest.raises(RuntimeError):
            main(["banks", "list"])
        return
    assert main(["banks", "list"]) == 2 and "not enough memory" in capsys.readouterr().err


def test_idle_threads_sleep() -> None:
    """Beside a render they would else keep the processor from those that work."""
    asked = "import os, runpy, sys; sys.argv = ['join_engine', '--version']\n"
    asked += "try: runpy.run_module('join_engine', run_name='__main__')\nexcept SystemExit: pass\n"
    asked += "print(os.environ['OMP_WAIT_POLICY'])"
    without = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    for environment, wanted in ((without, "PASSIVE"), ({**without, "OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")):
        told = subprocess.run(
            [sys.executable, "-c", asked], capture_output=True, text=True, check=True, env=environment
        )
        assert told.stdout.splitlines()[-1] == wanted


# --- nothing that is no number gets out -----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("amount", [1e300, -1e300, 1e38, 3e38])
def test_light_that_is_moved_to_nowhere_is_refused(
    tmp_path: Path, tiny_bank_path: Path, tiny_bank: Bank, picture: np.ndarray, amount: float
) -> None:
    found = pipeline.decompose(picture, tiny_bank, SHORT).decomposition
    for act in (Relighter(found, tiny_bank).relight, Relighter(found, tiny_bank).preview):
        with pytest.raises(JoinError) as caught:
            act([Edit("shading", "sefa.0", amount)])
        assert caught.value.code == "edit_invalid"
    save_decomposition(tmp_path / "a.join", found)
    words = ["relight", str(tmp_path / "a.join"), "--bank", str(tiny_bank_path), "--out", str(tmp_path / "out")]
    assert main([*words, "--set", f"shading.sefa.0={amount}"]) == 2
    assert not (tmp_path / "out").exists()


def test_light_that_is_moved_far_stays_a_number(tiny_bank: Bank, picture: np.ndarray) -> None:
    found = pipeline.decompose(picture, tiny_bank, SHORT).decomposition
    for amount in (-1e4, 30.0, 1e6):
        layers = Relighter(found, tiny_bank).relight([Edit("shading", "sefa.0", amount)]).layers
        assert all(np.isfinite(layer).all() for layer in layers.values())


@pytest.mark.parametrize("factor", [1e-30, 1e6, 9e11])
def test_pictures_of_any_brightness_give_numbers(tiny_bank: Bank, picture: np.ndarray, factor: float) -> None:
    for bank in (tiny_bank, with_split(tiny_bank)):
        found = pipeline.decompose((picture * factor).astype(np.float32), bank, SHORT).decomposition
        assert all(np.isfinite(layer).all() and layer.min() >= 0 for layer in found.layers.values())
        assert np.isfinite(found.recomposed).all()
        json.dumps(found.summary(), allow_nan=False)


def test_layers_that_are_no_numbers_are_no_success(
    tiny_bank: Bank, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: object, image: np.ndarray, layers: dict[str, np.ndarray], *__: object) -> dict[str, np.ndarray]:
        return {**layers, "shading": np.where(np.arange(image.shape[1])[None, :, None] == 3, np.nan, layers["shading"])}

    monkeypatch.setattr(pipeline, "add_detail", broken)
    with pytest.raises(JoinError) as caught:
        pipeline.decompose(picture, tiny_bank, SHORT)
    assert caught.value.code == "result_not_finite"


def test_large_pictures_are_no_bombs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    noise = np.random.default_rng(0).integers(0, 255, (40, 50, 3)).astype(np.uint8)
    for name in ("a.jpg", "a.bmp", "a.webp"):
        Image.fromarray(noise).save(tmp_path / name)
        assert read_image(tmp_path / name).shape == (40, 50, 3)
    assert Image.MAX_IMAGE_PIXELS == 100
