# SPDX-License-Identifier: GPL-3.0-or-later
"""Our reader and writer of EXR against the OpenEXR package, and against files that are not what we read."""

from __future__ import annotations

import struct
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import OpenEXR
import pytest

from join_engine import exr_codec as exr


def _write(path: Path, compression: str, height: int = 37, width: int = 21) -> dict[str, np.ndarray]:
    """Smooth, noisy and constant channels of both types; the height is no multiple of a block."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0.0, 9.0, height * width, dtype=np.float32).reshape(height, width)
    channels = {
        "ViewLayer.DiffCol.R": ramp.astype(np.float16),
        "ViewLayer.DiffCol.G": rng.normal(size=(height, width)).astype(np.float16),
        "Z": rng.normal(size=(height, width)).astype(np.float32),
        "constant": np.full((height, width), 0.25, np.float16),
    }
    header = {"compression": getattr(OpenEXR, f"{compression}_COMPRESSION"), "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, dict(channels)) as file:
        file.write(str(path))
    return channels


@pytest.mark.parametrize("compression", ["ZIP", "ZIPS", "NO"])
def test_reads_what_openexr_writes(compression: str, tmp_path: Path) -> None:
    channels = _write(tmp_path / "a.exr", compression)
    found = exr.read_channels((tmp_path / "a.exr").read_bytes())
    assert found.keys() == channels.keys()
    for name, channel in channels.items():
        assert found[name].dtype == np.float32
        np.testing.assert_array_equal(found[name], channel.astype(np.float32))


def test_reads_one_of_several_parts(tmp_path: Path) -> None:
    """As Blender 5 saves its passes: each in a part of its own, of any compression."""
    rng = np.random.default_rng(2)
    made, parts = [], []
    for name, compression in (("a", "ZIP"), ("b.Beauty", "ZIPS"), ("c", "NO")):
        channels = {f"{name}.{letter}": rng.random((20, 7), np.float32) for letter in "RGB"}
        header = {
            "name": name,
            "type": OpenEXR.scanlineimage,
            "compression": getattr(OpenEXR, f"{compression}_COMPRESSION"),
        }
        parts.append(OpenEXR.Part(header, dict(channels)))
        made.append(channels)
    OpenEXR.File(parts).write(str(tmp_path / "a.exr"))
    data = (tmp_path / "a.exr").read_bytes()
    layers = exr.layers(data)
    assert [(layer.part, layer.title) for layer in layers] == [(0, "a"), (1, "b.Beauty"), (2, "c")]
    for layer, channels in zip(layers, made, strict=True):
        found = exr.read_channels(data, layer.part, layer.channels)
        assert found.keys() == channels.keys()
        assert all(np.array_equal(found[name], channel) for name, channel in channels.items())
    assert list(exr.read_channels(data, 1, ["b.Beauty.G"])) == ["b.Beauty.G"]
    assert exr.layers(data[:60]) == exr.layers(b"") == []
    with pytest.raises(ValueError):
        exr.read_channels(data, 3)


def test_other_files_are_refused_in_a_sentence(tmp_path: Path) -> None:
    _write(tmp_path / "a.exr", "ZIP")
    data = (tmp_path / "a.exr").read_bytes()
    _write(tmp_path / "b.exr", "PIZ")
    for broken in (b"", b"\x89PNG\r\n\x1a\n", data[:200], data[: len(data) // 2], (tmp_path / "b.exr").read_bytes()):
        with pytest.raises(ValueError):
            exr.read_channels(broken)


def _channels(height: int, width: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    noise = rng.normal(size=(height, width))
    return {
        "b.R": noise.astype(np.float16),
        "a.R": np.full((height, width), 0.25, np.float16),
        "b.G": noise.astype(np.float32),
        # Bytes without any order, which deflating would only make longer.
        "c.V": rng.integers(0, 2**16, (height, width), np.uint16).view(np.float16),
    }


@pytest.mark.parametrize("size", [(37, 21), (16, 16), (1, 1)])
def test_openexr_and_we_read_what_we_write(size: tuple[int, int], tmp_path: Path) -> None:
    channels = _channels(*size)
    data = exr.write_channels(channels)
    found = exr.read_channels(data)
    (tmp_path / "ours.exr").write_bytes(data)
    with OpenEXR.File(str(tmp_path / "ours.exr"), separate_channels=True) as file:
        theirs = {name: channel.pixels for name, channel in file.channels().items()}
    assert found.keys() == theirs.keys() == channels.keys()
    for name, channel in channels.items():
        assert theirs[name].dtype == channel.dtype
        assert theirs[name].tobytes() == channel.tobytes()
        np.testing.assert_array_equal(found[name], channel.astype(np.float32))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: _with(data, b"dataWindow\0box2i\0", struct.pack("<i", -30)),
        lambda data: _with(
            data, b"dataWindow\0box2i\0" + struct.pack("<i", 16), struct.pack("<4i", 0, 0, 2**20, 2**20)
        ),
        lambda data: _with(data, b"dataWindow\0box2i\0" + struct.pack("<i", 16), struct.pack("<4i", 9, 9, 0, 0)),
        lambda data: _with(data, b"channels\0chlist\0", struct.pack("<i", 2**30)),
        lambda data: data[:100],
        lambda data: data[:-9],
        lambda data: data[:-400] + zlib.compress(bytes(2**26), 9)[:400],
        lambda data: data[:8],
        lambda data: _first_block_at(data, 2**63),
        lambda data: _first_block_at(data, 2**64 - 1),
        lambda data: _first_block_at(data, len(data) - 7),
    ],
)
def test_files_that_announce_more_than_they_hold(damage: Callable[[bytes], bytes]) -> None:
    whole = exr.write_channels({"V": np.arange(12000, dtype=np.float32).reshape(400, 30)})
    damaged, start = damage(whole), time.process_time()
    with pytest.raises(ValueError):
        exr.read_channels(damaged)
    assert time.process_time() - start < 1


def _first_block_at(data: bytes, offset: int) -> bytes:
    table = {name: start for name, start, _ in exr.attributes(data)}[""]
    return data[:table] + struct.pack("<Q", offset) + data[table + 8 :]


def _with(data: bytes, key: bytes, value: bytes) -> bytes:
    place = data.index(key) + len(key)
    return data[:place] + value + data[place + len(value) :]


def test_equal_channels_give_equal_bytes() -> None:
    channels = _channels(37, 21)
    data = exr.write_channels(channels)
    assert exr.write_channels(dict(reversed(channels.items()))) == data
    channels["a.R"][5, 5] = 0.5
    assert exr.write_channels(channels) != data
