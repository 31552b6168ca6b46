# SPDX-License-Identifier: GPL-3.0-or-later
"""What files say of their colours, read without Blender."""

from __future__ import annotations

import io
import struct
import zlib

import pytest
from PIL import Image, ImageCms, PngImagePlugin

from join_blender.engine.embedded import profile_in
from tests.join_engine.test_pictures import ADOBE_RGB, DISPLAY_P3

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
TOLD = [(None, None), (SRGB, None), (DISPLAY_P3, "Display P3"), (ADOBE_RGB, "Adobe RGB (1998)"), (b"no profile", None)]


def said(data: bytes) -> str | None:
    """What a file of these bytes says."""
    return profile_in(io.BytesIO(data))


def saved(kind: str, profile: bytes | None = None, **chunks: bytes) -> bytes:
    """A small picture with a profile, and with further chunks by name."""
    file, info = io.BytesIO(), PngImagePlugin.PngInfo()
    for name, content in chunks.items():
        info.add(name.encode(), content)
    more = {"pnginfo": info} if kind == "PNG" else {}
    Image.new("RGB", (8, 8), (200, 50, 10)).save(file, kind, icc_profile=profile, **more)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize(("profile", "name"), TOLD, ids=["none", "srgb", "p3", "adobe", "broken"])
def test_profiles(kind: str, profile: bytes | None, name: str | None) -> None:
    assert said(saved(kind, profile)) == name


def test_a_profile_in_several_parts() -> None:
    """JPEG has room for 64 KiB in one."""
    longer = DISPLAY_P3 + bytes(100_000)
    data = saved("JPEG", longer)
    assert data.count(b"ICC_PROFILE") == 2 and said(data) == "Display P3"


def test_chunks_of_png() -> None:
    gamma = struct.pack(">I", 55556)
    assert said(saved("PNG", gAMA=gamma)) == "of gamma 0.56"
    assert said(saved("PNG", gAMA=struct.pack(">I", 45455))) is None
    assert said(saved("PNG", gAMA=gamma, sRGB=b"\0")) is None  # which counts before it
    assert said(saved("PNG", cICP=bytes((12, 13, 0, 1)))) == "Display P3"
    assert said(saved("PNG", cICP=bytes((1, 13, 0, 1)))) is None
    assert said(saved("PNG", DISPLAY_P3, cICP=bytes((9, 16, 0, 1)))) == "Rec.2100-PQ"


def tiff(order: str, big: bool, between: int) -> bytes:
    """A profile and the directory that names it, each ``between`` bytes behind what comes before it; no pixels."""
    mark = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}H", 43 if big else 42)
    head, numbers, word = (16, "Q", "QHHQQ") if big else (8, "I", "HHHII")
    place = head + between
    start = place + struct.calcsize(f"{order}{word}{numbers}") + between
    directory = struct.pack(f"{order}{word}{numbers}", 1, 34675, 7, len(DISPLAY_P3), start, 0)
    lead = struct.pack(f"{order}HH", 8, 0) if big else b""
    return (
        mark + lead + struct.pack(f"{order}{numbers}", place) + bytes(between) + directory + bytes(between) + DISPLAY_P3
    )


@pytest.mark.parametrize("between", [0, 3 << 20])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_tiff_with_its_directory_anywhere(order: str, big: bool, between: int) -> None:
    data = tiff(order, big, between)
    assert said(data) == "Display P3"
    assert said(data[: len(data) - len(DISPLAY_P3)]) is None


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_what_comes_before_the_profile_may_be_long_and_is_not_read(kind: str) -> None:
    """A camera's preview, an editor's history: up to several MiB, in front of the profile."""
    data = saved(kind, DISPLAY_P3)
    if kind == "PNG":
        long, place = struct.pack(">I4s", 5 << 20, b"zTXt") + bytes((5 << 20) + 4), 33
    else:
        long, place = (b"\xff\xe1" + struct.pack(">H", 65535) + bytes(65533)) * 80, 2
    file = Counted(data[:place] + long + data[place:])
    assert profile_in(file) == "Display P3" and file.count < 20_000


class Counted(io.BytesIO):
    """Knows how much of it was read."""

    count = 0

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self.count += len(found)
        return found


def test_a_camera_says_adobe_rgb_without_a_profile() -> None:
    """By the name of its file's kind (DCF): R03, where R98 is sRGB."""
    for index, wanted in (("R03", "Adobe RGB (1998)"), ("R98", None)):
        picture, file = Image.new("RGB", (8, 8)), io.BytesIO()
        exif = picture.getexif()
        exif[0x8769] = {0xA001: 65535, 0xA005: {0x0001: index}}
        picture.save(file, "JPEG", exif=exif)
        assert said(file.getvalue()) == wanted
        cut = file.getvalue()
        assert {said(cut[:length]) for length in range(0, len(cut), 3)} <= {None, wanted}
        picture.save(file := io.BytesIO(), "JPEG", exif=exif, icc_profile=DISPLAY_P3)
        assert said(file.getvalue()) == "Display P3"  # which counts before it


@pytest.mark.slow
def test_what_cannot_be_read_says_nothing() -> None:
    whole = [saved(kind, DISPLAY_P3) for kind in ("JPEG", "PNG", "TIFF", "WEBP")]
    for data in whole:
        found = {said(data[:length]) for length in range(0, min(len(data), 900), 7)}
        assert found <= {None, "Display P3"}
    assert said(b"") is said(b"GIF89a") is None
    bomb = zlib.compress(bytes(200 << 20))  # a profile that would be 200 MiB
    assert said(saved("PNG", iCCP=b"x\0\0" + bomb)) is None
