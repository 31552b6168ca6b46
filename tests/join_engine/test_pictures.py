# SPDX-License-Identifier: GPL-3.0-or-later
"""What files say of their colours, layers, frames and range is honoured, or told."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import OpenImageIO as oiio
import pytest
from PIL import EpsImagePlugin, Image, ImageCms

from join_engine.color import srgb_decode, srgb_encode
from join_engine.errors import JoinError
from join_engine.images import room
from join_engine.images.files import Picture, opaque, read_image, read_picture, validate_image
from join_engine.images.profiles import (
    REC709,
    SRGB,
    TableProfile,
    space_of_chromaticities,
    space_of_icc,
)

P3 = (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.3127, 0.3290)
ADOBE = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06, 0.3127, 0.3290)
ACES = (0.7347, 0.2653, 0.0, 1.0, 0.0001, -0.077, 0.32168, 0.33767)
ACESCG = (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, 0.32168, 0.33767)
_GREY = float(srgb_decode(np.array(128 / 255)))
LIGHT = np.array([0.5, 0.05, 0.05])  # linear Rec.709


def _matrix(primaries: tuple[float, ...]) -> np.ndarray:
    """Linear RGB of these primaries → linear Rec.709 where both have the same white: plain colorimetry."""

    def to_xyz(chromaticities: tuple[float, ...]) -> np.ndarray:
        columns = [
            (x / y, 1.0, (1 - x - y) / y) for x, y in zip(chromaticities[::2], chromaticities[1::2], strict=True)
        ]
        rgb, white = np.array(columns[:3]).T, np.array(columns[3])
        return rgb * np.linalg.solve(rgb, white)

    return np.linalg.solve(to_xyz(REC709), to_xyz(primaries))


def _in(primaries: tuple[float, ...], linear: np.ndarray = LIGHT) -> np.ndarray:
    return np.linalg.solve(_matrix(primaries), linear)


def _icc(space: bytes, colorants: np.ndarray | None, curve: bytes, name: bytes = b"test") -> bytes:
    """A profile of version 2 with one curve for all channels; colorants are rows of XYZ under D50."""
    tags = {b"desc": b"desc" + bytes(4) + struct.pack(">I", len(name) + 1) + name + b"\0" + bytes(78)}
    tags[b"wtpt"] = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    if colorants is None:
        tags[b"kTRC"] = curve
    else:
        for letter, row in zip((b"r", b"g", b"b"), colorants, strict=True):
            tags[letter + b"XYZ"] = b"XYZ " + bytes(4) + struct.pack(">3i", *(round(v * 65536) for v in row))
            tags[letter + b"TRC"] = curve
    table, data, at = b"", b"", 132 + 12 * len(tags)
    for name, tag in tags.items():
        tag += bytes(-len(tag) % 4)
        table += struct.pack(">4sII", name, at + len(data), len(tag))
        data += tag
    head = bytearray(128)
    head[8:12], head[12:16], head[16:20], head[20:24] = b"\x02\x40\0\0", b"mntr", space, b"XYZ "
    head[36:40], head[68:80] = b"acsp", struct.pack(">3i", 63190, 65536, 54061)
    body = bytes(head) + struct.pack(">I", len(tags)) + table + data
    return struct.pack(">I", len(body)) + body[4:]


def _colorants(primaries: tuple[float, ...]) -> np.ndarray:
    """As a profile has them; made of the known ones of sRGB, whose white is the same."""
    srgb = np.array([[0.43607, 0.22249, 0.01392], [0.38515, 0.71687, 0.09708], [0.14307, 0.06061, 0.71410]])
    return (srgb.T @ _matrix(primaries)).T


def _gamma(value: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(value * 256))


_SRGB_CURVE = (
    b"para"
    + bytes(4)
    + struct.pack(">HH5i", 3, 0, *(round(v * 65536) for v in (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)))
)
DISPLAY_P3 = _icc(b"RGB ", _colorants(P3), _SRGB_CURVE, b"Display P3")
ADOBE_RGB = _icc(b"RGB ", _colorants(ADOBE), _gamma(563 / 256), b"Adobe RGB (1998)")
GREY_18 = _icc(b"GRAY", None, _gamma(1.8))


def _plain(colour: np.ndarray, dtype: Any = np.uint8) -> np.ndarray:
    """[24, 32, C] of encoded values in [0, 1]."""
    return np.tile(np.rint(colour * np.iinfo(dtype).max).astype(dtype), (24, 32, 1))


def _save(path: Path, encoded: np.ndarray, icc: bytes) -> None:
    Image.fromarray(_plain(encoded).squeeze()).save(
        path,
        icc_profile=icc,
        **(
            {"quality": 100, "subsampling": 0}
            if path.suffix == ".jpg"
            else {"lossless": True}
            if path.suffix == ".webp"
            else {}
        ),
    )


_TYPES = {"float32": "float", "float64": "double", "int32": "int", "uint32": "uint"}


def _write(path: Path, pixels: np.ndarray, **attributes: Any) -> None:
    """By OpenImageIO, in the array's own type."""
    kind = oiio.TypeDesc(_TYPES.get(str(pixels.dtype), str(pixels.dtype)))
    spec = oiio.ImageSpec(pixels.shape[1], pixels.shape[0], pixels.shape[2], kind)
    for name, value in attributes.items():
        if isinstance(value, bytes):
            spec.attribute(name, oiio.TypeDesc(f"uint8[{len(value)}]"), np.frombuffer(value, np.uint8))
        else:
            spec.attribute(name.replace("__", ":"), value)
    file = oiio.ImageOutput.create(str(path))
    assert file.open(str(path), spec) and file.write_image(pixels), file.geterror()
    file.close()


def _png_with(path: Path, samples: np.ndarray, *chunks: tuple[bytes, bytes]) -> None:
    """A PNG with chunks before its pixels."""
    buffer = io.BytesIO()
    Image.fromarray(samples.squeeze()).save(buffer, "PNG")
    data = buffer.getvalue()
    extra = b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )
    path.write_bytes(data[:33] + extra + data[33:])


# --- colours ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp"])
@pytest.mark.parametrize(("icc", "primaries"), [(DISPLAY_P3, P3), (ADOBE_RGB, ADOBE)], ids=["p3", "adobe"])
def test_icc_profiles_are_honoured(tmp_path: Path, suffix: str, icc: bytes, primaries: tuple[float, ...]) -> None:
    encode = srgb_encode if icc is DISPLAY_P3 else lambda linear: linear ** (256 / 563)
    _save(tmp_path / f"a{suffix}", encode(_in(primaries)), icc)
    assert np.allclose(read_image(tmp_path / f"a{suffix}")[5, 5], LIGHT, atol=0.012 if suffix == ".jpg" else 4e-3)


def test_a_profile_at_16_bits_keeps_them(tmp_path: Path) -> None:
    _write(tmp_path / "a.png", _plain(srgb_encode(_in(P3)), np.uint16), ICCProfile=DISPLAY_P3)
    _write(tmp_path / "a.tif", _plain(srgb_encode(_in(P3)), np.uint16), ICCProfile=DISPLAY_P3)
    for name in ("a.png", "a.tif"):
        assert np.allclose(read_image(tmp_path / name)[5, 5], LIGHT, atol=2e-4)


def test_colours_beyond_rec709_are_not_cut(tmp_path: Path) -> None:
    _save(tmp_path / "a.png", np.array([1.0, 0.0, 0.0]), DISPLAY_P3)
    assert np.allclose(read_image(tmp_path / "a.png")[5, 5], _matrix(P3) @ [1, 0, 0], atol=1e-3)


def test_profiles_agree_with_littlecms() -> None:
    """Over the colours that both can show: LittleCMS gives 8 bits of sRGB."""
    colours = np.random.default_rng(0).integers(90, 170, (16, 16, 3)).astype(np.uint8)
    for icc in (DISPLAY_P3, ADOBE_RGB):
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        theirs = ImageCms.profileToProfile(Image.fromarray(colours), profile, ImageCms.createProfile("sRGB"), 1, "RGB")
        ours = srgb_encode(space_of_icc(icc, 3).linear(colours / np.float32(255)))
        assert np.abs(ours * 255 - np.asarray(theirs, float)).max() < 1.5


def test_a_profile_of_srgb_changes_no_bit(tmp_path: Path) -> None:
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    colours = np.arange(24 * 32 * 3, dtype=np.uint32).reshape(24, 32, 3).astype(np.uint8)
    Image.fromarray(colours).save(tmp_path / "with.png", icc_profile=icc)
    Image.fromarray(colours).save(tmp_path / "without.png")
    assert space_of_icc(icc, 3) is SRGB
    assert np.array_equal(read_image(tmp_path / "with.png"), read_image(tmp_path / "without.png"))


def test_grey_profiles(tmp_path: Path) -> None:
    for suffix in (".png", ".jpg", ".tif"):
        _save(tmp_path / f"a{suffix}", np.array([0.5]), GREY_18)
        assert np.allclose(read_image(tmp_path / f"a{suffix}")[5, 5], (128 / 255) ** 1.8, atol=2e-3)
    grey = Image.new("LA", (32, 24), (128, 255))
    grey.save(tmp_path / "alpha.png", icc_profile=GREY_18)
    assert np.allclose(read_image(tmp_path / "alpha.png")[5, 5], [*[(128 / 255) ** 1.8] * 3, 1], atol=1e-3)


def test_a_grey_picture_in_a_profile_of_colours_uses_its_curve(tmp_path: Path) -> None:
    _save(tmp_path / "a.jpg", np.array([0.5]), ADOBE_RGB)
    assert np.allclose(read_image(tmp_path / "a.jpg")[5, 5], (128 / 255) ** (563 / 256), atol=2e-3)


def test_curves_of_every_kind() -> None:
    encoded = np.array([0.02, 0.3, 0.9], np.float32)
    table = b"curv" + bytes(4) + struct.pack(">I", 3) + struct.pack(">3H", 0, 16384, 65535)
    kinds = {
        b"curv" + bytes(4) + struct.pack(">I", 0): encoded,
        table: np.interp(encoded, [0, 0.5, 1], [0, 16384 / 65535, 1]),
        b"para" + bytes(4) + struct.pack(">HHi", 0, 0, 2 * 65536): encoded**2,
        _SRGB_CURVE: srgb_decode(encoded),
    }
    for curve, wanted in kinds.items():
        found = space_of_icc(_icc(b"GRAY", None, curve), 1).linear(encoded)
        assert np.allclose(found, wanted, atol=2e-4)


def test_tables_go_through_littlecms(tmp_path: Path) -> None:
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    with pytest.raises(TableProfile):
        space_of_icc(lab, 3)
    picture = Image.new("LAB", (32, 24), (128, 128, 128))
    picture.save(tmp_path / "lab.tif", icc_profile=lab)
    assert np.allclose(read_image(tmp_path / "lab.tif")[5, 5], 0.184, atol=0.01)  # L* 50 is a luminance of 18.4 %


@pytest.mark.parametrize("cut", [40, 140, 200])
def test_a_damaged_profile_is_told_and_left_out(tmp_path: Path, cut: int) -> None:
    _save(tmp_path / "a.jpg", np.array([0.5, 0.5, 0.5]), DISPLAY_P3[:cut])
    found = read_picture(tmp_path / "a.jpg")
    assert np.allclose(found.pixels[5, 5], _GREY, atol=2e-3)
    assert "profile" in found.notes[0]


def test_adobe_rgb_of_cameras_without_a_profile(tmp_path: Path) -> None:
    picture = Image.fromarray(_plain(_in(ADOBE) ** (256 / 563)))
    exif = picture.getexif()
    exif.get_ifd(0x8769)[0xA001] = 65535
    exif.get_ifd(0xA005)[0x0001] = "R03"
    exif[0x8769] = {0xA001: 65535, 0xA005: {0x0001: "R03"}}
    picture.save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    assert np.allclose(read_image(tmp_path / "a.jpg")[5, 5], LIGHT, atol=0.012)


def test_gamma_of_png(tmp_path: Path) -> None:
    grey = np.full((24, 32), 128, np.uint8)
    for written, wanted in ((100_000, 128 / 255), (55_556, (128 / 255) ** 1.8), (45_455, _GREY)):
        _png_with(tmp_path / "a.png", grey, (b"gAMA", struct.pack(">I", written)))
        assert np.allclose(read_image(tmp_path / "a.png")[5, 5], wanted, atol=1e-4)
    _png_with(tmp_path / "a.png", grey, (b"gAMA", struct.pack(">I", 100_000)), (b"sRGB", b"\0"))
    assert np.allclose(read_image(tmp_path / "a.png")[5, 5], _GREY, atol=1e-6)


def test_primaries_of_png(tmp_path: Path) -> None:
    order = (*P3[6:], *P3[:6])
    chunk = struct.pack(">8I", *(round(value * 100_000) for value in order))
    _png_with(tmp_path / "a.png", _plain(srgb_encode(_in(P3))), (b"gAMA", struct.pack(">I", 45_455)), (b"cHRM", chunk))
    assert np.allclose(read_image(tmp_path / "a.png")[5, 5], LIGHT, atol=4e-3)


def test_cicp_of_png(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    _png_with(path, _plain(srgb_encode(_in(P3))), (b"cICP", bytes([12, 13, 0, 1])), (b"sRGB", b"\0"))
    assert np.allclose(read_image(path)[5, 5], LIGHT, atol=4e-3)
    nits = 203 / 10_000  # ST 2084 of diffuse white
    power = nits**0.1593017578125
    white = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    _png_with(path, _plain(np.array([white] * 3)), (b"cICP", bytes([9, 16, 0, 1])))
    assert np.allclose(read_image(path)[5, 5], 1.0, atol=0.02)
    _png_with(path, _plain(np.array([0.75] * 3)), (b"cICP", bytes([9, 18, 0, 1])))
    assert np.allclose(read_image(path)[5, 5], 1.0, atol=0.02)
    _png_with(path, _plain(np.array([0.75] * 3)), (b"cICP", bytes([1, 13, 9, 1])))
    with pytest.raises(JoinError) as caught:
        read_image(path)
    assert caught.value.code == "image_colours"


@pytest.mark.parametrize("primaries", [P3, ACES, ACESCG], ids=["p3", "ap0", "acescg"])
def test_chromaticities_of_exr(tmp_path: Path, primaries: tuple[float, ...]) -> None:
    white = np.ones((24, 32, 3), np.float32)
    white[0] = [0.2, 0.5, 0.3]
    OpenEXR.File({"chromaticities": primaries}, {"RGB": white}).write(str(tmp_path / "a.exr"))
    pixels = read_image(tmp_path / "a.exr")
    assert np.allclose(pixels[1:], 1.0, atol=2e-3)  # white stays white
    if primaries == P3:
        assert np.allclose(pixels[0], _matrix(P3) @ [0.2, 0.5, 0.3], atol=1e-4)
    assert not np.allclose(pixels[0], white[0], atol=0.02)


def test_chromaticities_that_are_no_colours() -> None:
    for values in ((0.3, 0.3) * 4, (0.0,) * 8, (np.nan,) * 8):
        with pytest.raises(ValueError, match="chromaticities"):
            space_of_chromaticities(values, "odd")


# --- integers, floats -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "int32"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_integers_of_tiff_mean_0_to_their_greatest(tmp_path: Path, dtype: str, channels: int) -> None:
    values = np.random.default_rng(0).random((24, 32, channels)) * 0.9 + 0.05
    samples = np.rint(values * np.iinfo(dtype).max).astype(dtype)
    _write(tmp_path / "a.tif", samples, compression="lzw", oiio__UnassociatedAlpha=1)
    found = read_image(tmp_path / "a.tif")
    assert np.allclose(srgb_encode(found[..., :3]), values[..., :3], atol=3e-3 if dtype == "uint8" else 1e-4)


@pytest.mark.parametrize("compression", ["none", "lzw", "zip", "packbits"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_float_tiff_is_linear(tmp_path: Path, dtype: str, compression: str, picture: np.ndarray) -> None:
    _write(tmp_path / "a.tif", (picture * 5).astype(dtype), compression=compression)
    assert np.allclose(read_image(tmp_path / "a.tif"), picture * 5, rtol=1e-6)


def test_tiled_and_planar_tiff(tmp_path: Path, picture: np.ndarray) -> None:
    _write(tmp_path / "a.tif", picture, planarconfig="separate")
    assert np.array_equal(read_image(tmp_path / "a.tif"), picture)


def test_premultiplied_tiff_becomes_straight(tmp_path: Path) -> None:
    _write(tmp_path / "a.tif", np.full((24, 32, 4), 0.25, np.float32))
    assert np.allclose(read_image(tmp_path / "a.tif"), [1, 1, 1, 0.25])


def test_radiance(tmp_path: Path, picture: np.ndarray) -> None:
    _write(tmp_path / "a.hdr", picture * 50)
    assert np.allclose(read_image(tmp_path / "a.hdr"), picture * 50, rtol=0.02, atol=0.3)


def test_what_a_file_is_its_first_bytes_say(tmp_path: Path, picture: np.ndarray) -> None:
    _write(tmp_path / "a.tif", picture)
    _write(tmp_path / "a.hdr", picture)
    OpenEXR.File({}, {"RGB": picture}).write(str(tmp_path / "a.exr"))
    for name in ("a.tif", "a.hdr", "a.exr"):
        (tmp_path / name).rename(tmp_path / "wrong.png")
        assert read_image(tmp_path / "wrong.png").shape == picture.shape


# --- animations, pages, orientation ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".gif", ".png", ".webp", ".tif"])
def test_animations_and_pages_are_told(tmp_path: Path, suffix: str) -> None:
    frames = [Image.new("RGB", (32, 24), colour) for colour in ("red", "green", "blue")]
    path = tmp_path / f"a{suffix}"
    frames[0].save(path, save_all=True, append_images=frames[1:], **({"lossless": True} if suffix == ".webp" else {}))
    found = read_picture(path)
    assert np.allclose(found.pixels[5, 5, :3], [1, 0, 0], atol=0.01)
    assert "first" in found.notes[0] and path.name in found.notes[0]
    frames[0].save(path)
    assert read_picture(path).notes == ()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif"])
def test_exif_turns_or_not(tmp_path: Path, suffix: str, orientation: int) -> None:
    from PIL import ImageOps

    picture = Image.fromarray(
        (np.add.outer(np.arange(24) * 3, np.arange(32) * 5)[..., None] * [0.5, 1, 0.2]).astype(np.uint8)
    )
    exif = picture.getexif()
    exif[0x0112] = orientation
    path = tmp_path / f"a{suffix}"
    picture.save(path, exif=exif, **({"quality": 100, "subsampling": 0} if suffix == ".jpg" else {}))
    with Image.open(path) as stored:
        shown = np.asarray(ImageOps.exif_transpose(stored).convert("RGB"), float) / 255
    assert np.allclose(srgb_encode(read_image(path)), shown, atol=0.01)
    assert read_picture(path, upright=False).pixels.shape == (24, 32, 3)


# --- EXR -------------------------------------------------------------------------------------------------------------


def _exr(path: Path, channels: dict[str, np.ndarray], header: dict[str, Any] | None = None) -> Picture:
    OpenEXR.File(header or {}, channels).write(str(path))
    return read_picture(path)


@pytest.mark.parametrize(
    ("names", "wanted"),
    [
        (["A_Normal", "Z_beauty"], "Z_beauty"),
        (["ViewLayer.Normal", "ViewLayer.Combined", "ViewLayer.DiffCol"], "ViewLayer.Combined"),
        (["N", "P", "rgba"], "rgba"),
        (["Albedo", "Beauty", "Specular"], "Beauty"),
        (["worldNormal", "lighting"], "lighting"),
        (["crypto00", "uvs", "key_light"], "key_light"),
        (["left.Depth", "left.Combined", "right.Combined"], "left.Combined"),
    ],
)
def test_the_picture_among_layers(tmp_path: Path, picture: np.ndarray, names: list[str], wanted: str) -> None:
    channels = {}
    for name in names:
        pixels = picture if name == wanted else picture * 0 + 0.3
        channels |= {f"{name}.{letter}": np.ascontiguousarray(pixels[..., i]) for i, letter in enumerate("RGB")}
    found = _exr(tmp_path / "a.exr", channels)
    # "Z_beauty" and "worldNormal" are no words of their own: what is measured is still told from what is seen.
    assert np.array_equal(found.pixels, picture)
    assert wanted in found.notes[0]


def test_a_layer_can_be_chosen(tmp_path: Path, picture: np.ndarray) -> None:
    channels: dict[str, np.ndarray] = {"RGB": picture, "Z": picture[..., 0].copy()}
    channels |= {"Layer.Combined": picture * 2, "Layer.DiffDir": picture * 3}
    _exr(tmp_path / "a.exr", channels)
    for name, factor in (("combined", 2), ("Layer.DiffDir", 3), ("diffdir", 3), ("RGB", 1)):
        assert np.allclose(read_picture(tmp_path / "a.exr", name).pixels, picture * factor)
    assert np.allclose(read_picture(tmp_path / "a.exr", "z").pixels, picture[..., :1])
    with pytest.raises(JoinError) as caught:
        read_picture(tmp_path / "a.exr", "gloss")
    assert caught.value.code == "layer_missing" and "Layer.DiffDir" in caught.value.hint
    with pytest.raises(JoinError) as caught:
        read_picture(_png(tmp_path), "gloss")
    assert caught.value.code == "layer_missing"


def _png(folder: Path) -> Path:
    Image.new("RGB", (32, 24)).save(folder / "a.png")
    return folder / "a.png"


@pytest.mark.parametrize("names", [["normal", "beauty"], ["depth", "uv", "rgba"], ["albedo", "main"]])
def test_the_picture_among_parts(tmp_path: Path, picture: np.ndarray, names: list[str]) -> None:
    parts = [OpenEXR.Part({}, {"RGB": picture * 0.1 if name != names[-1] else picture}, name) for name in names]
    OpenEXR.File(parts).write(str(tmp_path / "a.exr"))
    assert np.array_equal(read_image(tmp_path / "a.exr"), picture)
    assert np.allclose(read_picture(tmp_path / "a.exr", names[0]).pixels, picture * 0.1)


@pytest.mark.parametrize("names", ["rgb", "RGB", "Rgb"])
def test_letters_of_any_case(tmp_path: Path, picture: np.ndarray, names: str) -> None:
    channels = {name: np.ascontiguousarray(picture[..., i]) for i, name in enumerate(names)}
    assert np.array_equal(_exr(tmp_path / "a.exr", channels).pixels, picture)


@pytest.mark.parametrize("mixed", [False, True])
def test_whole_numbers_of_an_exr_are_taken_as_they_are(tmp_path: Path, mixed: bool) -> None:
    import OpenEXR

    counts = np.arange(40 * 50, dtype=np.uint32).reshape(40, 50)
    green = (counts / 1000).astype(np.float32) if mixed else counts
    OpenEXR.File({}, {"R": counts, "G": green, "B": counts}).write(str(tmp_path / "a.exr"))
    pixels = read_image(tmp_path / "a.exr")
    assert np.allclose(pixels[..., 0], counts, rtol=1e-6) and np.allclose(pixels[..., 1], green, rtol=1e-6)


@pytest.mark.parametrize("name", ["Y", "V", "mask", "Layer.Fac"])
def test_single_channels_are_grey(tmp_path: Path, picture: np.ndarray, name: str) -> None:
    grey = np.ascontiguousarray(picture[..., 1])
    assert np.array_equal(_exr(tmp_path / "a.exr", {name: grey}).pixels, np.repeat(grey[..., None], 3, 2))


def test_grey_with_alpha(tmp_path: Path, picture: np.ndarray) -> None:
    grey = np.ascontiguousarray(picture[..., 1])
    found = _exr(tmp_path / "a.exr", {"Y": grey * 0.5, "A": grey * 0 + 0.5}).pixels
    assert np.allclose(found[..., :3], grey[..., None]) and np.allclose(found[..., 3], 0.5)


def test_channels_that_make_no_picture_are_refused_by_name(tmp_path: Path, picture: np.ndarray) -> None:
    with pytest.raises(JoinError) as caught:
        _exr(tmp_path / "a.exr", {"R": picture[..., 0].copy(), "G": picture[..., 1].copy()})
    assert "'R', 'G'" in caught.value.message or "'G', 'R'" in caught.value.message


def test_luminance_and_chroma(tmp_path: Path, picture: np.ndarray) -> None:
    smooth = np.repeat(np.repeat(picture[::8, ::8], 8, 0), 8, 1)[:32, :40]
    weights = np.array([0.2126, 0.7152, 0.0722], np.float32)
    y = smooth @ weights + 1e-3
    red, blue = (smooth[..., 0] - y) / y, (smooth[..., 2] - y) / y
    for step in (1, 2):
        planes = {"BY": blue[::step, ::step], "RY": red[::step, ::step], "Y": y}
        (tmp_path / "a.exr").write_bytes(_subsampled(planes, {"BY": step, "RY": step, "Y": 1}, 32, 40))
        found = read_image(tmp_path / "a.exr")
        assert np.allclose(found[4::8, 4::8], smooth[4::8, 4::8], atol=0.01)


def _subsampled(planes: dict[str, np.ndarray], steps: dict[str, int], height: int, width: int) -> bytes:
    """An uncompressed EXR, row by row, of planes by name; some for every n-th row and column only."""

    def attribute(name: str, kind: str, data: bytes) -> bytes:
        return name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<I", len(data)) + data

    channels = b"".join(
        name.encode() + b"\0" + struct.pack("<iB3xii", 2, 0, steps[name], steps[name]) for name in planes
    )
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    head = struct.pack("<II", 20000630, 2) + attribute("channels", "chlist", channels + b"\0")
    head += attribute("compression", "compression", b"\0") + attribute("dataWindow", "box2i", window)
    head += attribute("displayWindow", "box2i", window) + attribute("lineOrder", "lineOrder", b"\0")
    head += attribute("pixelAspectRatio", "float", struct.pack("<f", 1.0))
    head += attribute("screenWindowCenter", "v2f", bytes(8)) + attribute(
        "screenWindowWidth", "float", struct.pack("<f", 1.0)
    )
    rows = []
    for y in range(height):
        data = b"".join(
            plane[y // steps[n]].astype("<f4").tobytes() for n, plane in planes.items() if y % steps[n] == 0
        )
        rows.append(struct.pack("<iI", y, len(data)) + data)
    at, offsets = len(head) + 1 + 8 * height, []
    for row in rows:
        offsets.append(at)
        at += len(row)
    return head + b"\0" + struct.pack(f"<{height}Q", *offsets) + b"".join(rows)


def _window(first: tuple[int, int], last: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    return np.array(first, np.int32), np.array(last, np.int32)


def test_display_window(tmp_path: Path, picture: np.ndarray) -> None:
    height, width = picture.shape[:2]
    inside = {"dataWindow": _window((10, 5), (9 + width, 4 + height)), "displayWindow": _window((0, 0), (99, 79))}
    found = _exr(tmp_path / "inside.exr", {"RGB": picture}, inside)
    assert found.pixels.shape == (80, 100, 4) and "frame" in found.notes[0]
    assert np.array_equal(found.pixels[5 : 5 + height, 10 : 10 + width, :3], picture)
    assert found.pixels[..., 3].sum() == height * width
    over = {"dataWindow": _window((-3, -2), (width - 4, height - 3)), "displayWindow": _window((0, 0), (19, 17))}
    found = _exr(tmp_path / "over.exr", {"RGB": picture}, over)
    assert np.array_equal(found.pixels, picture[2:20, 3:23])
    beside = {"dataWindow": _window((0, 0), (width - 1, height - 1)), "displayWindow": _window((500, 0), (599, 79))}
    with pytest.raises(JoinError) as caught:
        _exr(tmp_path / "beside.exr", {"RGB": picture}, beside)
    assert caught.value.code == "image_empty"


@pytest.mark.parametrize("frame", [(65535, 65535), (2**29, 23), (31, 2**29), (20000, 20000)])
def test_a_frame_far_larger_than_the_file_is_refused(tmp_path: Path, frame: tuple[int, int]) -> None:
    """The frame, too, is announced by the header, and all of it would be filled."""
    header = {"displayWindow": _window((0, 0), frame)}
    with pytest.raises(JoinError, match="announces") as caught:
        _exr(tmp_path / "a.exr", {"RGBA": np.ones((24, 32, 4), np.float32)}, header)
    assert caught.value.code == "image_unreadable"


def test_a_frame_that_memory_has_no_room_for_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "available", lambda: 1100 << 20)
    with pytest.raises(JoinError, match="4000 × 3000") as caught:
        _exr(
            tmp_path / "a.exr",
            {"RGB": np.ones((24, 32, 3), np.float32)},
            {"displayWindow": _window((0, 0), (3999, 2999))},
        )
    assert caught.value.code == "image_too_large"


def test_light_without_cover_is_kept(tmp_path: Path) -> None:
    pixels = np.zeros((24, 32, 4), np.float32)
    pixels[:8] = [0.2, 0.2, 0.2, 0.5]  # a half-transparent grey of 0.4
    pixels[8:16] = [3.0, 1.0, 0.1, 0.0]  # a flame
    pixels[16:20] = [3.0, 1.0, 0.1, 1e-4]  # its edge
    found = _exr(tmp_path / "a.exr", {"RGBA": pixels}).pixels
    assert np.allclose(found[0, 0], [0.4, 0.4, 0.4, 0.5])
    assert np.allclose(found[8:20], [3.0, 1.0, 0.1, 1.0])
    assert np.allclose(found[20:], 0.0)


def test_deep_images_are_refused_in_words(tmp_path: Path) -> None:
    pixels = np.empty((16, 16), object)
    for place in np.ndindex(16, 16):
        pixels[place] = np.array([1.0], np.float32)
    header = {"type": OpenEXR.deepscanline, "compression": OpenEXR.ZIPS_COMPRESSION}
    OpenEXR.File(header, {"R": pixels, "G": pixels, "B": pixels}).write(str(tmp_path / "a.exr"))
    with pytest.raises(JoinError) as caught:
        read_image(tmp_path / "a.exr")
    assert "deep" in caught.value.message


# --- broken pixels ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38, -3e38, 1e13])
def test_few_broken_pixels_are_filled_and_told(tmp_path: Path, picture: np.ndarray, value: float) -> None:
    pixels = np.tile(picture, (2, 2, 1)).astype(np.float32)
    whole = pixels.copy()
    pixels[10:13, 10:13, 1] = value
    pixels[0, 0] = value
    OpenEXR.File({}, {"RGB": pixels}).write(str(tmp_path / "a.exr"))
    found = read_picture(tmp_path / "a.exr")
    assert "10 pixels" in found.notes[0]
    known = np.isfinite(pixels).all(axis=2) & (np.abs(pixels) < 1e12).all(axis=2)
    assert np.array_equal(found.pixels[known], whole[known])
    assert found.pixels.min() >= whole.min() and found.pixels.max() <= whole.max()


def test_a_broken_alpha_counts_as_broken(picture: np.ndarray) -> None:
    pixels = np.concatenate([picture, np.ones_like(picture[..., :1])], axis=2)
    pixels[3, 3, 3] = np.nan
    notes: list[str] = []
    assert np.isfinite(validate_image(pixels, "a", notes)).all() and notes[0].startswith("1 pixel was")
    assert np.isnan(pixels[3, 3, 3])  # the caller's own array stays as it is


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.eps"])
def test_postscript_is_no_picture(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it is called: Pillow would run Ghostscript on it."""
    Image.new("RGB", (32, 32)).save(tmp_path / "made.eps")
    (tmp_path / "made.eps").rename(tmp_path / name)
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch '{tmp_path / 'ran'}'\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    with pytest.raises(JoinError, match="cannot be read as an image"):
        read_picture(tmp_path / name)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("kind", ["jpg", "jp2", "webp", "gif", "bmp", "tga", "ppm", "qoi", "ico", "dds", "mpo"])
def test_other_kinds_are_still_read(tmp_path: Path, kind: str) -> None:
    picture = Image.fromarray(_plain(srgb_encode(LIGHT))).resize((32, 32))
    picture.save(tmp_path / f"a.{kind}", **({"save_all": True, "append_images": [picture]} if kind == "mpo" else {}))
    assert np.allclose(read_image(tmp_path / f"a.{kind}")[5, 5, :3], LIGHT, atol=0.03)


@pytest.mark.parametrize(("count", "more"), [(2, ""), (13, ""), (40, " and 27 more."), (300, " and 287 more.")])
def test_of_many_layers_some_are_named(tmp_path: Path, count: int, more: str) -> None:
    plane = np.full((24, 32), 0.5, np.float32)
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    channels = {f"L{number:03}.{channel}": plane for number in range(count) for channel in "RGB"}
    with OpenEXR.File(header, channels) as file:
        file.write(str(tmp_path / "a.exr"))
    (note,) = read_picture(tmp_path / "a.exr").notes
    assert note.endswith(more or f"'L{count - 1:03}'.") and len(note) < 300
    with pytest.raises(JoinError) as caught:
        read_picture(tmp_path / "a.exr", "none")
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize("kind", ["png", "jpg", "tif", "bmp", "webp"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_black_is_no_less_than_nothing(tmp_path: Path, kind: str, mode: str) -> None:
    """Else a large photo with one black pixel takes half as much memory again."""
    Image.new(mode, (32, 24)).save(tmp_path / f"a.{kind}")
    pixels = read_image(tmp_path / f"a.{kind}")
    assert pixels.min() == pixels.max() == 0.0 and opaque(pixels) is pixels
