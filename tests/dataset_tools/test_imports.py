# SPDX-License-Identifier: GPL-3.0-or-later
"""Other people's passes: a small set with names, encodings and sizes unlike ours becomes a dataset of ours."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset_tools.commands.main import main
from dataset_tools.description.seeds import SPLITS
from dataset_tools.errors import UserError
from dataset_tools.imports import importer as imports
from dataset_tools.imports.mapping import read_mapping
from dataset_tools.inspection.verify import verify
from dataset_tools.storage import layers, shards
from join_engine import exr_codec
from join_engine.color import srgb_decode

Image = pytest.importorskip("PIL.Image")

SHIPPED = Path(imports.__file__).with_name("lumos-faces.json")
SIZE = 8
# Eq. 15 and 16 over files as different as they come.
MAPPING: dict[str, Any] = {
    "name": "masks-and-lamps",
    "license": "CC BY 4.0, their authors",
    "group": r"^(person\d+)",
    "passes": {
        "base": {"file": "base colour/{id} (base).png", "space": "srgb"},
        "shadow": {"file": "light/{id}/all.exr", "layer": "Shadow"},
        "sss": {"file": "light/{id}/all.exr", "layer": "SSS"},
        "gloss": {"file": "light/{id}/{id}_gloss.npy", "scale": 2.0},
        "sheen": {"file": "grey/{id}.png", "space": 2.0},
        "beauty": {"file": "light/{id}/all.exr", "layer": "Beauty"},
        "unused": {"file": "nowhere/{id}.exr"},
    },
    "image": "beauty",
    "components": {
        "albedo": [["base"]],
        "shading": [["shadow"], ["sss", "/base"]],
        "specular": [["gloss", "base"], ["sheen"]],
    },
}


def _passes(number: int, height: int = SIZE, width: int = SIZE) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(number)
    made = {name: rng.uniform(0.1, 0.9, (height, width, 3)).astype(np.float32) for name in ("shadow", "sss", "gloss")}
    made["base"] = np.round(rng.uniform(0.3, 0.9, (height, width, 3)) * 255.0).astype(np.uint8)
    made["sheen"] = np.round(rng.uniform(0.0, 0.5, (height, width)) * 255.0).astype(np.uint8)
    return made


def _truth(number: int, height: int = SIZE, width: int = SIZE) -> dict[str, np.ndarray]:
    """The components that the mapping has to give."""
    made = _passes(number, height, width)
    base = srgb_decode(made["base"] / 255.0)
    return {
        "albedo": base,
        "shading": made["shadow"] + made["sss"] / base,
        "specular": 2.0 * made["gloss"] * base + ((made["sheen"] / 255.0) ** 2.0)[..., None],
    }


def _write_sources(folder: Path, names: list[str], height: int = SIZE, width: int = SIZE) -> Path:
    for number, name in enumerate(names):
        made = _passes(number, height, width)
        truth = _truth(number, height, width)
        light = folder / "light" / name
        for path in (folder / "base colour", folder / "grey", light):
            path.mkdir(parents=True, exist_ok=True)
        Image.fromarray(made["base"]).save(folder / "base colour" / f"{name} (base).png")
        Image.fromarray(made["sheen"]).save(folder / "grey" / f"{name}.png")
        np.save(light / f"{name}_gloss.npy", made["gloss"])
        beauty = (truth["albedo"] * truth["shading"] + truth["specular"]).astype(np.float32)
        stacked = {"Shadow": made["shadow"], "SSS": made["sss"], "Beauty": beauty}
        channels = {f"{key}.{c}": image[..., n] for key, image in stacked.items() for n, c in enumerate("RGB")}
        (light / "all.exr").write_bytes(exr_codec.write_channels(channels))
    return folder


def _mapping(folder: Path, **changes: Any) -> Path:
    path = folder / "mapping.json"
    path.write_text(json.dumps({**MAPPING, **changes}), "utf-8")
    return path


def _names(people: int = 12) -> list[str]:
    return [f"person{person}-{pose}" for person in range(people) for pose in ("a", "b")]


def test_components_follow_the_equations_and_groups_stay_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = _names()
    source, out = _write_sources(tmp_path / "thëir set", names), tmp_path / "ours"
    arguments = ["import", str(_mapping(tmp_path)), "--source", str(source), "--out", str(out)]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    assert (
        "24 samples" in printed and "100.0% of their pixels are valid" in printed and "differs from 'beauty'" in printed
    )
    entries = shards.entries(out)
    order = sorted(names)
    groups: dict[str, str] = {}
    for index, found, stored in layers.load(out, entries, layers.NAMES):
        truth = _truth(names.index(order[index]))
        assert stored["source"] == {"id": order[index], "group": order[index][:-2], "mapping": "masks-and-lamps"}
        for name, expected in truth.items():
            np.testing.assert_allclose(found[name], expected, rtol=2e-3, atol=1e-4)
        np.testing.assert_allclose(found["image"], truth["albedo"] * truth["shading"] + truth["specular"], rtol=4e-3)
        assert stored["identity_error"] < 1e-4 and np.all(found["mask"] == 1.0)
        assert groups.setdefault(order[index][:-2], entries[index]["split"]) == entries[index]["split"]
    assert set(groups.values()) <= set(SPLITS) and len(groups) == 12
    # Again: nothing to do, and the same bytes.
    before = {path.name: path.read_bytes() for path in (out / "shards").iterdir()}
    assert main(arguments) == 0
    assert {path.name: path.read_bytes() for path in (out / "shards").iterdir()} == before


def test_every_other_command_works_on_what_was_imported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "ours"
    source = _write_sources(tmp_path / "theirs", _names(3))
    assert main(["import", str(_mapping(tmp_path)), "--source", str(source), "--out", str(out)]) == 0
    assert main(["verify", str(out)]) == 0
    assert main(["preview", str(out), "--out", str(tmp_path / "sheet.png")]) == 0
    assert main(["stats", str(out)]) == 0
    pack = ["export", str(out), "--resolution", "4", "--components", "image", "albedo", "specular", "mask"]
    assert main([*pack, "--split", "all", "--out", str(tmp_path / "pack.tar")]) == 0
    card = (out / "README.md").read_text("utf-8")
    assert "CC BY 4.0, their authors" in card and "CC0" not in card and "6 samples of 8×8" in card
    capsys.readouterr()
    (tar,) = (out / "shards").glob("*.tar")
    tar.write_bytes(tar.read_bytes()[:-9000])
    assert main(["verify", str(out)]) == 1
    assert "is cut short" in capsys.readouterr().out


def test_a_divisor_near_zero_makes_a_pixel_invalid_and_so_does_what_is_no_number(tmp_path: Path) -> None:
    mapping = read_mapping(_mapping(tmp_path, floor=0.05))
    found = {name: np.full((2, 2, 3), 0.5, np.float32) for name in ("base", "shadow", "sss", "gloss", "sheen")}
    found["base"][0, 0] = 0.04
    found["shadow"][1, 1, 0] = np.nan
    components, mask = mapping.compose(found)
    np.testing.assert_array_equal(mask, [[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_allclose(components["shading"][0], [[0.5] * 3, [1.5] * 3])
    assert all(np.all(np.isfinite(image)) for image in components.values())


def test_the_shipped_mapping_is_the_papers(tmp_path: Path) -> None:
    mapping = read_mapping(SHIPPED)
    rng = np.random.default_rng(1)
    found = {name: rng.uniform(0.1, 1.0, (4, 4, 3)) for name in mapping.passes}
    components, mask = mapping.compose(found)
    np.testing.assert_allclose(
        components["shading"], found["shadow"] + found["subsurface"] / found["albedo"], rtol=1e-6
    )
    np.testing.assert_allclose(components["specular"], found["specular"] + found["sheen"] + found["coat"], rtol=1e-6)
    np.testing.assert_allclose(components["albedo"], found["albedo"], rtol=1e-6)
    assert mask.all() and mapping.group_of("0017_03") == mapping.group_of("0017_44") == "0017"


def test_pictures_that_are_not_square_are_refused_or_cropped_to_their_middle(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "ours"
    source = _write_sources(tmp_path / "theirs", ["person1-a"], width=SIZE + 4)
    arguments = ["import", str(_mapping(tmp_path)), "--source", str(source), "--out", str(out)]
    assert main(arguments) == 1
    assert "12×8, not square: pass --crop to keep the middle" in capsys.readouterr().err
    assert not out.exists()
    assert main([*arguments, "--crop"]) == 0
    (_, found, _), *_ = layers.load(out, shards.entries(out), ("shading",))
    np.testing.assert_allclose(found["shading"], _truth(0, width=SIZE + 4)["shading"][:, 2:-2], rtol=2e-3)


def test_missing_passes_and_other_sizes_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "ours"
    source = _write_sources(tmp_path / "theirs", _names(2))
    (source / "grey" / "person1-a.png").unlink()
    arguments = ["import", str(_mapping(tmp_path)), "--source", str(source), "--out", str(out)]
    assert main(arguments) == 1
    assert "1 of 4 samples lack a pass, such as 'sheen' of 'person1-a'" in capsys.readouterr().err
    Image.fromarray(np.full((6, 6), 9, np.uint8)).save(source / "grey" / "person1-b.png")
    assert main([*arguments, "--skip-incomplete"]) == 1
    assert "person1-b.png is 6 pixels high and the set 8" in capsys.readouterr().err
    (source / "grey" / "person1-b.png").unlink()
    assert main([*arguments, "--skip-incomplete", "--out", str(tmp_path / "other")]) == 0
    assert "2 samples" in capsys.readouterr().out
    assert verify(tmp_path / "other").findings == []
    assert main([*arguments[:3], str(tmp_path / "nowhere"), "--out", str(out)]) == 1
    assert "There is no folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"components": {"albedo": [["base"]], "shading": []}}, "components are albedo, shading, specular"),
        ({"components": {**MAPPING["components"], "shading": [["sun"]]}}, "'sun' is used and not described"),
        ({"passes": {**MAPPING["passes"], "base": {"file": "base.png"}}}, "'base' has no {id}"),
        ({"passes": {**MAPPING["passes"], "base": {"file": "{id}", "space": "aces"}}}, "neither linear nor srgb"),
        ({"passes": {**MAPPING["passes"], "base": {"path": "{id}"}}}, "path"),
        ({"name": "a/b"}, "its name may have letters"),
        ({"colour": 1}, "there is no setting 'colour'"),
        ({"group": "("}, "cannot be used"),
    ],
)
def test_a_wrong_mapping_is_said_in_one_sentence(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as raised:
        read_mapping(_mapping(tmp_path, **changes))
    assert words in str(raised.value) and str(raised.value).startswith("The mapping mapping.json cannot be used")
    (tmp_path / "broken.json").write_text("{", "utf-8")
    with pytest.raises(UserError, match="not valid JSON"):
        read_mapping(tmp_path / "broken.json")


def _sixteen_bit_png() -> bytes:
    """One pixel of three channels of 16 bits, which Pillow cannot write."""
    chunks = {b"IHDR": struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0), b"IDAT": zlib.compress(bytes(7)), b"IEND": b""}
    parts = [
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks.items()
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def test_pictures_of_sixteen_bits_keep_their_values_or_are_refused(tmp_path: Path) -> None:
    grey = np.arange(64, dtype=np.uint16).reshape(8, 8) * 1000
    Image.fromarray(grey).save(tmp_path / "grey.png")
    np.testing.assert_allclose(imports._read_png(tmp_path / "grey.png", "")[..., 1], grey / 65535.0, atol=1e-6)
    (tmp_path / "colour.png").write_bytes(_sixteen_bit_png())
    with pytest.raises(UserError, match="colours of 16 bits"):
        imports._read_png(tmp_path / "colour.png", "")
    openexr = pytest.importorskip("OpenEXR")
    header = {"compression": openexr.PIZ_COMPRESSION, "type": openexr.scanlineimage}
    rgb = np.random.default_rng(0).random((8, 8, 3)).astype(np.float32)
    with openexr.File(header, {"RGB": rgb}) as file:
        file.write(str(tmp_path / "piz.exr"))
    np.testing.assert_allclose(imports._read_exr(tmp_path / "piz.exr", ""), rgb)
    with pytest.raises(UserError, match="has no channels Depth"):
        imports._read_exr(tmp_path / "piz.exr", "Depth")
