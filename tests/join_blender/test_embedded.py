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
    assert profile_in(saved(kind, profile)) == name


def test_a_profile_in_several_parts() -> None:
    """JPEG has room for 64 KiB in one."""
    longer = DISPLAY_P3 + bytes(100_000)
    data = saved("JPEG", longer)
    assert data.count(b"ICC_PROFILE") == 2 and profile_in(data) == "Display P3"


def test_chunks_of_png() -> None:
    gamma = struct.pack(">I", 55556)
    assert profile_in(saved("PNG", gAMA=gamma)) == "of gamma 0.56"
    assert profile_in(saved("PNG", gAMA=struct.pack(">I", 45455))) is None
    assert profile_in(saved("PNG", gAMA=gamma, sRGB=b"\0")) is None  # which counts before it
    assert profile_in(saved("PNG", cICP=bytes((12, 13, 0, 1)))) == "Display P3"
    assert profile_in(saved("PNG", cICP=bytes((1, 13, 0, 1)))) is None
    assert profile_in(saved("PNG", DISPLAY_P3, cICP=bytes((9, 16, 0, 1)))) == "Rec.2100-PQ"


def test_tiff_of_the_other_byte_order() -> None:
    packed = b"MM\0*" + struct.pack(">IHHHIII", 8, 1, 34675, 7, len(DISPLAY_P3), 26, 0) + DISPLAY_P3
    assert profile_in(packed) == "Display P3"


def test_what_cannot_be_read_says_nothing() -> None:
    whole = [saved(kind, DISPLAY_P3) for kind in ("JPEG", "PNG", "TIFF", "WEBP")]
    for data in whole:
        found = {profile_in(data[:length]) for length in range(0, min(len(data), 900), 7)}
        assert found <= {None, "Display P3"}
    assert profile_in(b"") is profile_in(b"GIF89a") is None
    bomb = zlib.compress(bytes(200 << 20))  # a profile that would be 200 MiB
    assert profile_in(saved("PNG", iCCP=b"x\0\0" + bomb)) is None
