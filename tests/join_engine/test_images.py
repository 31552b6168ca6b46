# SPDX-License-Identifier: GPL-3.0-or-later
"""Every kind of image comes in right, and every bad one gets its own error."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from join_engine.color import srgb_decode, srgb_encode
from join_engine.errors import JoinError
from join_engine.images.files import (
    display_encode,
    opaque,
    read_image,
    validate_image,
    write_exr,
    write_npy,
    write_png,
)

NAME = "ein Bild mit Ümläut"


def _write_png16(path: Path, samples: np.ndarray, row_filter: int) -> None:
    """A 16-bit PNG, every row filtered alike; pure Python, to have something to compare with."""
    height, width, channels = samples.shape
    rows = [list(row) for row in samples.astype(">u2").view(np.uint8).reshape(height, -1)]
    step, packed = channels * 2, bytearray()
    for y, row in enumerate(rows):
        packed.append(row_filter)
        for x, value in enumerate(row):
            left = int(row[x - step]) if x >= step else 0
            up = int(rows[y - 1][x]) if y else 0
            corner = int(rows[y - 1][x - step]) if y and x >= step else 0
            guess = left + up - corner
            paeth = min((left, up, corner), key=lambda candidate: abs(guess - candidate))
            packed.append((int(value) - (0, left, up, (left + up) // 2, paeth)[row_filter]) & 255)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 16, {1: 0, 2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(packed))) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


@pytest.mark.parametrize("row_filter", range(5))
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_of_16_bits_keeps_them(tmp_path: Path, channels: int, row_filter: int) -> None:
    samples = np.random.default_rng(0).integers(1, 65536, (17, 19, channels)).astype(np.uint16)
    path = tmp_path / f"{NAME}.png"
    _write_png16(path, samples, row_filter)
    colour, alpha = ([0, 0, 0], [1]) if channels < 3 else ([0, 1, 2], [3])
    pixels = read_image(path)
    assert np.allclose(srgb_encode(pixels[..., :3]) * 65535, samples[..., colour], atol=0.5)
    if channels in (2, 4):
        assert np.allclose(pixels[..., 3:] * 65535, samples[..., alpha], atol=0.5)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".jpeg"])
def test_files_of_8_bits_are_srgb(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"{NAME}{suffix}"
    Image.new("RGB", (20, 16), (188, 64, 255)).save(path)
    pixels = read_image(path)
    assert pixels.shape == (16, 20, 3) and pixels.dtype == np.float32
    tolerance = 0.03 if suffix.startswith(".j") else 1e-6
    assert np.allclose(pixels, srgb_decode(np.array([188, 64, 255]) / 255), atol=tolerance)


@pytest.mark.parametrize("mode", ["L", "1", "P", "CMYK", "I;16", "LA", "RGBA"])
def test_all_modes_become_colour(tmp_path: Path, mode: str) -> None:
    source = Image.new("I;16", (16, 16), 40000) if mode == "I;16" else Image.new("RGB", (16, 16), "white").convert(mode)
    path = tmp_path / ("image.tif" if mode in ("CMYK", "I;16") else "image.png")
    source.save(path)
    pixels = read_image(path)
    assert pixels.shape == (16, 16, 4 if mode in ("LA", "RGBA") else 3)
    assert np.allclose(pixels[..., :3], srgb_decode(np.array(40000 / 65535)) if mode == "I;16" else 1.0, atol=1e-5)


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    picture = Image.new("RGB", (32, 16), "black")
    exif = picture.getexif()
    exif[0x0112] = 6  # turn clockwise
    picture.save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").shape == (32, 16, 3)


def test_exr_and_npy_are_linear(tmp_path: Path, picture: np.ndarray) -> None:
    for suffix, write in ((".exr", write_exr), (".npy", write_npy)):
        path = tmp_path / f"{NAME}{suffix}"
        write(path, picture * 10)
        assert np.array_equal(read_image(path), picture * 10)
    assert not [path for path in tmp_path.iterdir() if path.suffix == ".tmp"]


def test_exr_of_several_layers_gives_the_combined_one(tmp_path: Path, picture: np.ndarray) -> None:
    import OpenEXR

    layers = {"Depth.Z": picture[..., 0].copy(), "ViewLayer.Albedo": picture * 0, "ViewLayer.Combined": picture}
    OpenEXR.File({}, layers).write(str(tmp_path / "layers.exr"))
    assert np.array_equal(read_image(tmp_path / "layers.exr"), picture)


def test_exr_alpha_is_premultiplied(tmp_path: Path) -> None:
    import OpenEXR

    pixels = np.full((16, 16, 4), 0.25, np.float32)
    OpenEXR.File({}, {"RGBA": pixels}).write(str(tmp_path / "alpha.exr"))
    assert np.allclose(read_image(tmp_path / "alpha.exr"), [1, 1, 1, 0.25])


def test_transparent_pixels_take_the_visible_mean() -> None:
    pixels = np.zeros((16, 16, 4), np.float32)
    pixels[:8] = [0.2, 0.4, 0.6, 1.0]
    pixels[8:, :, :3] = 9.0  # what hides there must not show
    assert np.allclose(opaque(pixels), [0.2, 0.4, 0.6])


def test_half_transparent_pixels_keep_their_colour() -> None:
    pixels = np.full((16, 16, 4), 0.5, np.float32)
    pixels[:8, :, :3] = [0.9, 0.1, 0.3]
    assert opaque(pixels).dtype == np.float32 and np.array_equal(opaque(pixels), pixels[..., :3])


def test_png_shows_shading_through_reinhard(tmp_path: Path) -> None:
    write_png(tmp_path / "a.png", display_encode("shading", np.full((16, 16, 3), 3.0)))
    assert np.asarray(Image.open(tmp_path / "a.png"))[0, 0, 0] == round(0.75 * 255)


def _png(path: Path, size: tuple[int, int], colour: tuple[int, ...] = (10, 10, 10)) -> None:
    Image.new("RGBA" if len(colour) == 4 else "RGB", size, colour).save(path)


def _npy(path: Path, array: np.ndarray) -> None:
    np.save(path, array)


_GREY = np.full((32, 32, 3), 0.5, np.float32)
_HOLE = np.where(np.arange(32 * 32).reshape(32, 32, 1) < 12, np.nan, _GREY).astype(np.float32)

BAD = {
    "missing.png": ("image_missing", lambda path: None),
    "folder.png": ("image_unreadable", lambda path: path.mkdir()),
    "nothing.png": ("image_empty", lambda path: path.write_bytes(b"")),
    "text.png": ("image_unreadable", lambda path: path.write_text("not an image")),
    "text.exr": ("image_unreadable", lambda path: path.write_text("not an image")),
    "text.npy": ("image_unreadable", lambda path: path.write_text("not an image")),
    "text.jpg": ("image_unreadable", lambda path: path.write_text("not an image")),
    "pickle.npy": ("image_unreadable", lambda path: np.save(path, np.array([{}]), allow_pickle=True)),
    "whole.npy": ("image_unreadable", lambda path: _npy(path, np.zeros((32, 32, 3), np.uint8))),
    "shape.npy": ("image_unreadable", lambda path: _npy(path, np.zeros((2, 32, 32, 3), np.float32))),
    "empty.npy": ("image_empty", lambda path: _npy(path, np.zeros((0, 32, 3), np.float32))),
    "dot.png": ("image_too_small", lambda path: _png(path, (1, 1))),
    "small.png": ("image_too_small", lambda path: _png(path, (100, 15))),
    "long.png": ("image_too_long", lambda path: _png(path, (1, 5000))),
    "wide.png": ("image_too_long", lambda path: _png(path, (145, 18))),
    "nan.npy": ("image_not_finite", lambda path: _npy(path, _GREY * np.nan)),
    "hole.npy": ("image_not_finite", lambda path: _npy(path, _HOLE)),
    "inf.npy": ("image_not_finite", lambda path: _npy(path, _GREY + np.inf)),
    "huge.npy": ("image_not_finite", lambda path: _npy(path, _GREY * 6e38)),
    "inf.exr": ("image_not_finite", lambda path: write_exr(path, _GREY + np.inf)),
    "clear.png": ("image_transparent", lambda path: _png(path, (32, 32), (255, 255, 255, 0))),
}


@pytest.mark.parametrize("name", BAD)
def test_each_bad_image_has_its_error(tmp_path: Path, name: str) -> None:
    code, make = BAD[name]
    path = tmp_path / f"{NAME} {name}"
    make(path)
    with pytest.raises(JoinError) as caught:
        read_image(path)
    assert caught.value.code == code
    assert name in caught.value.message
    assert caught.value.hint


def test_truncated_files_are_unreadable(tmp_path: Path, picture: np.ndarray) -> None:
    write_exr(tmp_path / "a.exr", picture)
    write_npy(tmp_path / "a.npy", picture)
    Image.fromarray((picture * 255).astype(np.uint8)).save(tmp_path / "a.png")
    Image.fromarray((picture * 255).astype(np.uint8)).save(tmp_path / "a.jpg")
    _write_png16(tmp_path / "b.png", (picture * 65535).astype(np.uint16), 4)
    for path in list(tmp_path.iterdir()):
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(JoinError) as caught:
            read_image(path)
        assert caught.value.code == "image_unreadable"


def test_grey_arrays_become_colour() -> None:
    assert validate_image(np.zeros((16, 16))).shape == (16, 16, 3)
    assert validate_image(np.ones((16, 16, 2))).shape == (16, 16, 4)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(JoinError) as caught:
        write_npy(tmp_path / "file" / "a.npy", np.zeros((2, 2)))
    assert caught.value.code == "output_unwritable"
