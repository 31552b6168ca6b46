# SPDX-License-Identifier: GPL-3.0-or-later
"""Files and messages that announce more than they hold, hold more than they say, or are nested without end."""

from __future__ import annotations

import io
import json
import os
import resource
import struct
import subprocess
import sys
import tarfile
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
import torch
from PIL import Image
from safetensors.numpy import save_file

from join_engine.bank import load_bank
from join_engine.bank.file import truncated_normal
from join_engine.errors import JoinError
from join_engine.images.announced import npy_array
from join_engine.images.files import png_writer, read_image, write_exr
from join_engine.public_checkpoints import read_public_checkpoint
from join_engine.renders.packs import read_packs
from join_engine.renders.samples import read_samples
from join_engine.server.channel import read_messages
from join_engine.server.pixels import load_array
from join_engine.server.requests import LONGEST_MESSAGE
from join_engine.untrusted import inflate, read_json

ROOM = 2**30


@pytest.fixture(autouse=True)
def little_memory() -> Iterator[None]:
    """No more than a gibibyte beyond what the process has: who takes what a file announces fails."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + ROOM, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


# --- JSON -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('{"a": ' + "[" * 200_000, "nested"),
        ('{"a":' * 100_000 + "1" + "}" * 100_000, "nested"),
        ('{"a": Infinity}', "no number"),
        ('{"a": -NaN}', "Expecting value"),
        ('{"a": 1e999}', "too large"),
        ('{"a": ' + "9" * 40 + "}", "too large"),
        ('{"a": ' + "9" * 100_000 + "}", "too large"),
        (b'{"a": "\xff"}', "utf-8"),
        ("[]", "no JSON object"),
        ("{" + " " * (17 * 2**20) + "}", "longer"),
    ],
)
def test_json_with_limits(text: str | bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_json(text)
    assert read_json('{"a": [1, 2.5, -9223372036854775807]}') == {"a": [1, 2.5, -(2**63 - 1)]}


# --- pictures ---------------------------------------------------------------------------------------------------


def png(width: int, height: int, data: bytes, depth: int = 16, colour: int = 2) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(data, 9)) + chunk(b"IEND", b"")


def exr_with(key: bytes, value: bytes) -> Callable[[Path], bytes]:
    """A sound EXR with the beginning of one attribute's value replaced."""

    def damaged(folder: Path) -> bytes:
        write_exr(folder / "sound.exr", np.full((32, 32, 3), 0.5, np.float32))
        data = bytearray((folder / "sound.exr").read_bytes())
        place = data.index(key) + len(key)
        data[place : place + len(value)] = value
        return bytes(data)

    return damaged


WINDOW = b"dataWindow\0box2i\0" + struct.pack("<i", 16)


def npy(shape: tuple[int, ...], kind: str = "<f4") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": kind, "fortran_order": False, "shape": shape})
    return file.getvalue() + bytes(1000)


LYING = {
    "png of 16 bits with more than it says": ("png", lambda _: png(64, 64, bytes(2**27))),
    "png of 16 bits that says more": ("png", lambda _: png(2**15, 2**15, bytes(10_000))),
    "png of 16 bits with alpha": ("png", lambda _: png(2**30, 2**30, bytes(10_000), colour=6)),
    "png of 8 bits that says more": ("png", lambda _: png(12_000, 14_000, bytes(10_000), 8)),
    "grey png of 1 bit": ("png", lambda _: png(2**17, 2**17, bytes(2**20), 1, 0)),
    "exr with a wide window": ("exr", exr_with(WINDOW, struct.pack("<4i", 0, 0, 2**27, 31))),
    "exr with a high window": ("exr", exr_with(WINDOW, struct.pack("<4i", 0, 0, 31, 2**27))),
    "exr with a window of all there is": ("exr", exr_with(WINDOW, struct.pack("<4i", -(2**31), 0, 2**31 - 1, 31))),
    "exr with an empty window": ("exr", exr_with(WINDOW, struct.pack("<4i", 9, 9, 0, 0))),
    "exr with a negative size": ("exr", exr_with(b"dataWindow\0box2i\0", struct.pack("<i", -40))),
    "npy of a tebibyte": ("npy", lambda _: npy((2**19, 2**19, 1))),
    "npy with too much for any machine": ("npy", lambda _: npy((2**31, 2**31, 3))),
    "npy of objects": ("npy", lambda _: npy((8, 8, 3), "|O")),
    "npy of long strings": ("npy", lambda _: npy((64, 64, 3), "<U1000000")),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", LYING)
def test_pictures_that_lie_about_their_size(tmp_path: Path, case: str) -> None:
    suffix, make = LYING[case]
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(make(tmp_path))
    start = time.process_time()
    if case.endswith("with more than it says"):  # its own pixels come first
        assert read_image(path).shape == (64, 64, 3)
    else:
        with pytest.raises(JoinError) as caught:
            read_image(path)
        assert caught.value.code == "image_unreadable"
    assert time.process_time() - start < 10
    if suffix != "png":
        with pytest.raises(JoinError):
            load_array(str(path))


def test_sound_pictures_of_all_kinds_are_still_read(tmp_path: Path) -> None:
    """Tiles, several parts, and flat ones, which compress a thousand times."""
    flat = np.full((512, 512, 3), 0.5, np.float16)
    for name, compression in (("zip", OpenEXR.ZIP_COMPRESSION), ("dwab", OpenEXR.DWAB_COMPRESSION)):
        header = {"compression": compression, "type": OpenEXR.scanlineimage}
        OpenEXR.File(header, {"RGB": flat}).write(str(tmp_path / f"{name}.exr"))
        assert read_image(tmp_path / f"{name}.exr").shape == (512, 512, 3)
    tiled = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.tiledimage,
        "tiles": OpenEXR.TileDescription(),
    }
    OpenEXR.File(tiled, {"RGB": np.ascontiguousarray(flat[:256, :256])}).write(str(tmp_path / "tiled.exr"))
    parts = [
        OpenEXR.Part({"name": name, "type": OpenEXR.scanlineimage}, {"RGB": np.ascontiguousarray(flat[:64, :64])})
        for name in ("one", "two")
    ]
    OpenEXR.File(parts).write(str(tmp_path / "parts.exr"))
    Image.new("RGB", (512, 512), (128, 128, 128)).save(tmp_path / "flat.png", compress_level=9)
    with png_writer(tmp_path / "flat16.png", (64, 64), 3, depth=16) as write:
        write(np.full((64, 64, 3), 0.5))
    np.save(tmp_path / "columns.npy", np.asfortranarray(flat[:32, :48].astype(np.float32)))
    for name, shape in {
        "tiled.exr": (256, 256, 3),
        "parts.exr": (64, 64, 3),
        "flat.png": (512, 512, 3),
        "flat16.png": (64, 64, 3),
        "columns.npy": (32, 48, 3),
    }.items():
        assert read_image(tmp_path / name).shape == shape


def test_arrays_in_memory_are_read_as_numpy_does() -> None:
    for array in (np.arange(24.0).reshape(2, 4, 3), np.asfortranarray(np.ones((3, 5), np.float16)), np.int8(3)):
        file = io.BytesIO()
        np.save(file, array)
        np.testing.assert_array_equal(npy_array(file.getvalue()), array)
    for shape in ((2**40,), (-1,), (300,)):
        with pytest.raises(ValueError):
            npy_array(npy(shape))


@pytest.mark.slow
def test_inflating_stops_where_it_should() -> None:
    bomb = zlib.compress(bytes(2**27), 9)
    assert inflate(bomb, 1000) == bytes(1000)
    for damaged in (bomb[:100], b"nonsense", bomb[:20] + b"\xff" * 100):
        with pytest.raises(ValueError):
            inflate(damaged, 2**20)
    with pytest.raises(ValueError):
        inflate(bomb[:1000], 2**40)


# --- banks ------------------------------------------------------------------------------------------------------


def bank_announcing(bank: Path, out: Path, where: tuple[str, ...], value: Any) -> None:
    """The same tensors under a header that says something else."""
    from safetensors import safe_open

    with safe_open(bank, framework="numpy") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a dict)
        header = json.loads(file.metadata()["join_bank"])
    part = header
    for key in where[:-1]:
        part = part[key]
    part[where[-1]] = value
    save_file(tensors, out, metadata={"join_bank": json.dumps(header)})


ARCHITECTURE = ("components", "albedo", "architecture")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "value"),
    [
        ((*ARCHITECTURE, "w_dim"), 20_000),
        ((*ARCHITECTURE, "w_dim"), 2048),
        ((*ARCHITECTURE, "z_dim"), 2_000_000),
        ((*ARCHITECTURE, "mapping_layers"), 2**20),
        ((*ARCHITECTURE, "mapping_layers"), 64),
        ((*ARCHITECTURE, "channel_max"), 16_384),
        ((*ARCHITECTURE, "resolution"), 2**15),
        (("resolution",), 2**40),
        (("format_version",), float("inf")),
        (("scores",), [[]] * 3),
        (("components",), {str(n): {} for n in range(1000)}),
        (("trunk",), {"architecture": {"widths": [8] * 100_000, "depths": [1] * 100_000}, "training": {}}),
        (("trunk",), {"architecture": {"widths": [16_384] * 4, "depths": [60] * 4}, "training": {}}),
        (("brightness",), {"architecture": {"widths": [16_384] * 8, "hidden": 16_384}, "training": {}}),
        (("split",), {"architecture": {"widths": [16_384] * 8, "blocks": 10**6}, "training": {}}),
    ],
)
def test_banks_that_announce_more_than_they_hold(
    tiny_bank_path: Path, tmp_path: Path, where: tuple[str, ...], value: Any
) -> None:
    path = tmp_path / "lying.safetensors"
    bank_announcing(tiny_bank_path, path, where, value)
    start = time.process_time()
    with pytest.raises(JoinError) as caught:
        load_bank(path)
    assert caught.value.code == "bank_broken" and time.process_time() - start < 10


@pytest.mark.parametrize("text", ["[" * 200_000, '{"format_version": ' + "[" * 9999, '{"format_version": 1e999}', ""])
def test_headers_without_end(tmp_path: Path, text: str) -> None:
    save_file({"x": np.zeros(1, np.float32)}, tmp_path / "a.safetensors", metadata={"join_bank": text})
    with pytest.raises(JoinError) as caught:
        load_bank(tmp_path / "a.safetensors")
    assert caught.value.code == "bank_broken"


def test_codes_are_the_same_however_many_are_drawn_at_once() -> None:
    rng = torch.Generator().manual_seed(5)
    whole = torch.rand(25_000, 7, generator=rng, dtype=torch.float64)
    tail = 0.5 * torch.erfc(torch.tensor(2.0 / 2**0.5, dtype=torch.float64)).item()
    expected = torch.special.ndtri(tail + whole * (1.0 - 2.0 * tail)).clamp(-2.0, 2.0).float()
    assert torch.equal(truncated_normal(25_000, 7, seed=5), expected)


# --- checkpoints of others --------------------------------------------------------------------------------------


def torch_zip(folder: Path, **tensors: torch.Tensor) -> Path:
    torch.save({"g_ema": tensors}, folder / "a.pt")
    return folder / "a.pt"


def test_torch_files_that_announce_more_than_they_hold(tmp_path: Path) -> None:
    endless = torch.zeros(1).as_strided((2**40,), (0,))
    path = torch_zip(tmp_path, **{"style.1.weight": endless})
    with pytest.raises(JoinError) as caught:
        read_public_checkpoint(path)
    assert caught.value.code == "checkpoint_broken" and "larger than its storage" in caught.value.message
    for old in (False, True):  # more numbers than there are bytes
        torch.save({"g_ema": {"x": torch.zeros(77)}}, path, _use_new_zipfile_serialization=not old)
        path.write_bytes(path.read_bytes().replace(b"K\x4d", b"K\xff"))
        with pytest.raises(JoinError) as caught:
            read_public_checkpoint(path)
        assert caught.value.code == "checkpoint_broken"


@pytest.mark.parametrize("bomb", ["deflated", "the same bytes twice", "a flipped bit"])
def test_zips_that_are_bombs(tmp_path: Path, bomb: str) -> None:
    path = torch_zip(tmp_path, **{"style.1.weight": torch.randn(200_000 if bomb == "a flipped bit" else 2**21)})
    with zipfile.ZipFile(path) as archive:
        members = [(member.filename, archive.read(member)) for member in archive.infolist()]
    if bomb == "a flipped bit":
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    else:
        kind = zipfile.ZIP_DEFLATED if bomb == "deflated" else zipfile.ZIP_STORED
        with zipfile.ZipFile(path, "w", kind) as archive:
            for name, data in members:
                archive.writestr(name, bytes(len(data)) if "/data/" in name and bomb == "deflated" else data)
            if bomb != "deflated":
                info = archive.getinfo(next(name for name, _ in members if "/data/" in name))
                for number in range(50):
                    twin = zipfile.ZipInfo(f"a/data/{number + 1}")
                    twin.header_offset, twin.CRC = info.header_offset, info.CRC
                    twin.file_size, twin.compress_size = info.file_size, info.compress_size
                    archive.filelist.append(twin)
    with pytest.raises(JoinError) as caught:
        read_public_checkpoint(path)
    assert caught.value.code == "checkpoint_broken"


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x04N\x8a\x00r\xff\xff\xff\x7f.",  # a place in the memo that would take 16 GiB
        b"\x80\x05\x96" + struct.pack("<Q", 2**36) + b"a.",  # an array of bytes that is not there
        b"\x80\x04N"
        + b"\x94h\x00h\x00\x86" * 1
        + b"".join(b"\x94h" + bytes([n]) + b"h" + bytes([n]) + b"\x86" for n in range(1, 60))
        + b"\x94}h\x3cK\x01s.",
        b"\x80\x04" + b"(" * 100_000 + b".",
        b"\x80\x04]" + b"\x94" * 10 + b".",
    ],
    ids=["memo", "bytes", "a key of 2^60 parts", "marks", "no mapping"],
)
def test_pickles_that_want_memory_or_time(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.pkl").write_bytes(data)
    start = time.process_time()
    with pytest.raises(JoinError) as caught:
        read_public_checkpoint(tmp_path / "a.pkl")
    assert caught.value.code == "checkpoint_broken" and time.process_time() - start < 5


# --- packs ------------------------------------------------------------------------------------------------------


def pack(path: Path, members: dict[str, bytes], change: Callable[[tarfile.TarInfo], None] = lambda _: None) -> None:
    with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            change(info)
            with suppress(OSError):
                archive.addfile(info, io.BytesIO(data))


HEADER = {
    "resolution": 16,
    "components": {"albedo": {"transform": "srgb"}},
    "split": "train",
    "count": 1,
    "dataset": "x",
    "seed": 0,
}


def sparse(info: tarfile.TarInfo) -> None:
    info.type = tarfile.GNUTYPE_SPARSE if info.name.endswith("png") else info.type


def far_too_long(info: tarfile.TarInfo) -> None:
    """The header is written by :meth:`addfile` before it misses the bytes."""
    info.size = 2**33 if not info.name.endswith("json") else info.size


PACKS: dict[str, tuple[dict[str, Any], bytes, Callable[[tarfile.TarInfo], None]]] = {
    "a picture that says more": ({}, png(2**15, 2**15, bytes(9999), 8), lambda _: None),
    "a picture that is cut": ({}, png(16, 16, bytes(16 * 49), 8)[:50], lambda _: None),
    "a member that is longer than the tar": ({}, png(16, 16, bytes(16 * 49), 8), far_too_long),
    "a sparse member": ({}, png(16, 16, bytes(16 * 49), 8), sparse),
    "more samples than there are": ({"count": 2**40}, png(16, 16, bytes(16 * 49), 8), lambda _: None),
    "another size": ({"resolution": 2**40}, png(16, 16, bytes(16 * 49), 8), lambda _: None),
}


@pytest.mark.parametrize("case", PACKS)
def test_packs_that_lie(tmp_path: Path, case: str) -> None:
    changes, picture, change = PACKS[case]
    members = {"pack.json": json.dumps({**HEADER, **changes}).encode(), "0.albedo.png": picture}
    pack(tmp_path / "a.tar", members, change)
    with pytest.raises(JoinError) as caught:
        read_packs([tmp_path / "a.tar"], "albedo")
    assert caught.value.code == "pack_broken" and caught.value.hint


@pytest.mark.parametrize("data", [npy((2**20, 2**20, 3)), npy((5,)), npy((4, 4, 3), "|O"), b"\x93NUMPY\x09\x00"])
def test_samples_that_lie(tmp_path: Path, data: bytes) -> None:
    pack(tmp_path / "a.tar", {"pack.json": json.dumps(HEADER).encode(), "0.albedo.npy": data})
    with pytest.raises(JoinError) as caught:
        read_samples(tmp_path / "a.tar", ["albedo"], 1)
    assert caught.value.code == "data_broken"


def test_compressed_tars_are_refused(tmp_path: Path) -> None:
    for mode in ("w:gz", "w:bz2", "w:xz"):
        with tarfile.open(tmp_path / "a.tar", mode) as archive:
            info = tarfile.TarInfo("pack.json")
            info.size = 2**20
            archive.addfile(info, io.BytesIO(bytes(2**20)))
        with pytest.raises(JoinError) as caught:
            read_packs([tmp_path / "a.tar"], "albedo")
        assert caught.value.code == "pack_broken"


# --- messages ---------------------------------------------------------------------------------------------------


def through_a_pipe(data: bytes, script: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-c", script], input=data, capture_output=True, timeout=60, check=True)


@pytest.mark.slow
def test_long_messages_take_time_in_proportion_and_are_cut() -> None:
    script = (
        "from join_engine.server.channel import read_messages\n"
        "import time\nstart = time.process_time()\n"
        "print(*(len(message) for message in read_messages(0)))\n"
        "print(time.process_time() - start)"
    )
    for size in (4, 64):
        lengths, seconds = through_a_pipe(bytes([97]) * (size * 2**20) + b"\0short\0\0", script).stdout.split(b"\n")[:2]
        assert lengths.split() == [str(LONGEST_MESSAGE + 1).encode(), b"5", b"0"]
        assert float(seconds) < 5


@pytest.mark.parametrize("size", [1, 7, 65_536, 65_537])
def test_messages_come_in_any_pieces(size: int) -> None:
    sent = [b"", b"a", b"b" * 65_535, b"c" * 65_536, b"", b"d" * 200_000]
    data = b"".join(message + b"\0" for message in sent) if size > 1 else b"ab\0\0c\0"
    reading, writing = os.pipe()
    if os.fork() == 0:
        os.close(reading)
        for start in range(0, len(data), size):
            os.write(writing, data[start : start + size])
        os._exit(0)
    os.close(writing)
    assert list(read_messages(reading)) == (sent if size > 1 else [b"ab", b"", b"c"])
    os.close(reading)
    os.wait()


@pytest.mark.parametrize("formula", [[], [[]], [["albedo"], []], [[2.0]], [[1, 2], [3]]])
def test_a_formula_that_makes_no_picture_is_refused(formula: list[list[Any]]) -> None:
    from join_engine.server.requests import check

    wanted = {"type": "export", "id": 1, "layers": {"albedo": "a.npy"}, "format": "exr", "depth": 16, "output": "out"}
    with pytest.raises(JoinError) as caught:
        check({**wanted, "formula": formula})
    assert caught.value.code == "request_invalid"
    check({**wanted, "formula": [["albedo"], [0.5]]})
    check(wanted)
