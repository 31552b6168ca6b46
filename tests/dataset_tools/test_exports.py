# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs and single samples: their names, their values, and that averaging happens in linear space."""

from __future__ import annotations

import errno
import io
import json
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from dataset_tools.commands.main import main
from dataset_tools.description.seeds import split
from dataset_tools.errors import UserError
from dataset_tools.packs.exports import ALL_SPLITS, Export, Exported, export, light_member, person_member
from dataset_tools.packs.samples import write_sample
from dataset_tools.specs import describe
from dataset_tools.specs.relighting import held_attributes, light_attributes
from dataset_tools.storage import contents, passes, shards
from dataset_tools.storage.layers import tone_mapped
from join_engine.color import reinhard_encode, srgb_encode
from tests.dataset_tools.invented import SEED, invented_passes

Image = pytest.importorskip("PIL.Image")
OpenEXR = pytest.importorskip("OpenEXR")

TRAIN = [index for index in range(70) if split(SEED, index) == "train"]
HELD_OUT = next(index for index in range(70) if split(SEED, index) == "test")


def _linear(index: int, name: str) -> np.ndarray:
    """What a component must be after an area average of 16² → 8² in linear space."""
    image = passes.component(invented_passes(index), name)
    return image.reshape(8, 2, 8, 2, 3).mean(axis=(1, 3))


def test_all_splits_can_go_into_one_pack(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "all.tar"
    assert export(dataset, Export(8, ("albedo",), ALL_SPLITS, floats=True), out) == Exported(70, (out,))
    with tarfile.open(out) as archive:
        assert len(archive.getnames()) == 1 + 70 * 2


@pytest.mark.slow
def test_a_training_pack_is_tone_mapped_png_with_its_header_first(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "train.tar"
    assert main(["export", str(dataset), "--resolution", "8", "--out", str(out)]) == 0
    with tarfile.open(out) as archive:
        names = archive.getnames()
        header = json.load(archive.extractfile("pack.json"))  # type: ignore[arg-type]
        pictures = {
            name: np.asarray(Image.open(archive.extractfile(f"{TRAIN[3]:08d}.{name}.png")))
            for name in ("albedo", "shading")
        }
    assert names[0] == "pack.json"
    assert names[1:4] == [f"{TRAIN[0]:08d}.{ending}" for ending in ("albedo.png", "shading.png", "json")]
    assert header == {
        "resolution": 8,
        "components": {"albedo": {"transform": "srgb"}, "shading": {"transform": "reinhard"}},
        "split": "train",
        "count": len(TRAIN),
        "dataset": "primeshapes",
        "seed": SEED,
    }
    for name, curve in (("albedo", srgb_encode), ("shading", reinhard_encode)):
        assert pictures[name].dtype == np.uint8 and pictures[name].shape == (8, 8, 3)
        np.testing.assert_allclose(pictures[name] / 255.0, curve(_linear(TRAIN[3], name)), atol=0.6 / 255.0)


def test_a_float_pack_is_linear_and_holds_the_split_only(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "test.tar"
    command = ["export", str(dataset), "--resolution", "8", "--components", "specular", "albedo", "--split", "test"]
    assert main([*command, "--float", "--limit", "2", "--out", str(out)]) == 0
    with tarfile.open(out) as archive:
        names = archive.getnames()
        data = archive.extractfile(f"{HELD_OUT:08d}.specular.npy").read()  # type: ignore[union-attr]
    assert len(names) == 7 and all(split(SEED, int(name[:8])) == "test" for name in names[1:])
    array = np.load(io.BytesIO(data), allow_pickle=False)
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, _linear(HELD_OUT, "specular"), rtol=2e-3)


def test_a_pack_tells_the_light_of_samples_that_have_one(dataset: Path, tmp_path: Path) -> None:
    export(dataset, Export(8, ("albedo",), "test"), tmp_path / "test.tar")
    with tarfile.open(tmp_path / "test.tar") as archive:
        told = json.load(archive.extractfile(f"{HELD_OUT:08d}.json"))  # type: ignore[arg-type]
    scene = describe("primeshapes", SEED, HELD_OUT)
    assert told == {"light": light_attributes(scene), "held": held_attributes(scene)}
    assert list(light_member(3, contents.scene({"scene": {"dataset": "somebody's"}}))) == []


def test_a_pack_tells_the_tone_of_skin() -> None:
    scene = describe("heads", SEED, 5)
    assert scene.portrait is not None
    skin = scene.portrait.person.skin
    ((name, text),) = person_member(5, scene)
    assert name == "00000005.person.json" and json.loads(text) == {"tone": skin.tone, "ita": skin.ita}
    assert list(person_member(5, describe("primeshapes", SEED, 5))) == []


@pytest.mark.slow
def test_an_image_is_made_of_the_components_beside_it_and_a_mask_is_grey(dataset: Path, tmp_path: Path) -> None:
    two, three = tmp_path / "two.tar", tmp_path / "three.tar"
    assert export(dataset, Export(8, ("image", "albedo", "shading", "mask"), "train"), two).files == (two,)
    export(dataset, Export(8, ("image",), "train", floats=True), three)
    diffuse = _linear(TRAIN[0], "albedo") * _linear(TRAIN[0], "shading")
    with tarfile.open(two) as archive:
        header = json.load(archive.extractfile("pack.json"))  # type: ignore[arg-type]
        picture = np.asarray(Image.open(archive.extractfile(f"{TRAIN[0]:08d}.image.png")))
        mask = np.asarray(Image.open(archive.extractfile(f"{TRAIN[0]:08d}.mask.png")))
    assert header["components"]["image"] == {"transform": "srgb", "made_of": ["albedo", "shading"]}
    assert "mask" in header and "mask" not in header["components"]
    np.testing.assert_allclose(picture / 255.0, np.clip(srgb_encode(diffuse), 0.0, 1.0), atol=1.1 / 255.0)
    assert mask.shape == (8, 8) and mask.min() == 255
    with tarfile.open(three) as archive:
        data = archive.extractfile(f"{TRAIN[0]:08d}.image.npy").read()  # type: ignore[union-attr]
    whole = diffuse + _linear(TRAIN[0], "specular")
    np.testing.assert_allclose(np.load(io.BytesIO(data)), whole, rtol=3e-3)


@pytest.mark.slow
def test_a_divided_pack_keeps_its_size_and_every_part_can_be_read_alone(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "train.tar"
    command = ["export", str(dataset), "--resolution", "8", "--max-mib", "0.06", "--out", str(out)]
    assert main(command) == 0
    parts = sorted(tmp_path.glob("train*"))
    names = [f"train-{n:05d}-of-{len(parts):05d}.tar" for n in range(len(parts))]
    assert len(parts) > 2 and [part.name for part in parts] == names
    indices = []
    for number, part in enumerate(parts):
        assert part.stat().st_size <= 0.06 * 2**20
        with tarfile.open(part) as archive:
            members = archive.getnames()
            header = json.load(archive.extractfile("pack.json"))  # type: ignore[arg-type]
        assert members[0] == "pack.json" and (header["part"], header["parts"]) == (number, len(parts))
        assert header["count"] == len(members) // 3
        indices += [int(name[:8]) for name in members[1::3]]
    assert indices == TRAIN
    before = [part.read_bytes() for part in parts]
    assert main(command) == 0
    assert [part.read_bytes() for part in parts] == before
    # An export of the same name takes the place of an earlier one, whatever its number of parts.
    assert main([*command, "--limit", "2"]) == 0
    assert [path.name for path in tmp_path.glob("*train*")] == ["train-00000-of-00001.tar"]
    assert main([*command[:4], "--out", str(out)]) == 0
    assert [path.name for path in tmp_path.glob("*train*")] == ["train.tar"]


@pytest.mark.slow
def test_an_export_that_fails_leaves_the_earlier_one(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "train.tar"
    export(dataset, Export(8, ("albedo",), "train", max_mib=0.04), out)
    before = {path.name: path.read_bytes() for path in tmp_path.glob("*train*")}
    with pytest.raises(UserError, match=r"One sample needs .* raise --max-mib"):
        export(dataset, Export(16, ("albedo", "shading", "specular"), "train", floats=True, max_mib=0.012), out)
    damaged = sorted((dataset / "shards").glob("*.tar"))[1]
    damaged.write_bytes(damaged.read_bytes()[:-20000])
    with pytest.raises(UserError, match="is cut short or damaged"):
        export(dataset, Export(8, ("albedo",), "train", max_mib=0.04), out)
    assert {path.name: path.read_bytes() for path in tmp_path.glob("*train*")} == before


def test_a_full_disk_leaves_no_part_behind(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, written = shards.add_member, []

    def full(archive: tarfile.TarFile, name: str, data: bytes) -> None:
        written.append(name)
        if len(written) > 60:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(archive, name, data)

    monkeypatch.setattr(shards, "add_member", full)
    with pytest.raises(UserError, match=r"Could not write .*No space left on device.*make room"):
        export(dataset, Export(8, ("albedo",), "train", max_mib=0.04), tmp_path / "out" / "train.tar")
    assert written.count("pack.json") > 1 and list((tmp_path / "out").iterdir()) == []


def test_equal_exports_are_equal_bytes(dataset: Path, tmp_path: Path) -> None:
    for name in ("a.tar", "b.tar"):
        export(dataset, Export(16, ("albedo",), "val"), tmp_path / name)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_what_cannot_be_exported_is_said_and_leaves_no_file(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "pack.tar"
    with pytest.raises(UserError, match="choose a divisor of 16"):
        export(dataset, Export(5, ("albedo",), "train"), out)
    for path in (dataset / "shards").glob("*.jsonl"):
        path.unlink()
    with pytest.raises(UserError, match="no finished 'train' samples yet"):
        export(dataset, Export(8, ("albedo",), "train"), out)
    assert list(tmp_path.glob("*pack*")) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["materials", "primeshapes"])
def test_a_sample_comes_with_its_layers_and_provenance(dataset: Path, tmp_path: Path, kind: str) -> None:
    out = tmp_path / "sample"
    header = json.loads((dataset / "dataset.json").read_text("utf-8"))
    (dataset / "dataset.json").write_text(json.dumps({**header, "dataset": kind}), "utf-8")
    names = ("albedo", "shading", "specular") if kind == "materials" else ("albedo", "shading")
    assert write_sample(dataset, HELD_OUT, 8, out) == "test"
    layers = {}
    assert sorted(path.stem for path in out.glob("*.exr")) == sorted(names)
    for name in names:
        with OpenEXR.File(str(out / f"{name}.exr"), separate_channels=True) as file:
            layers[name] = np.stack([np.array(file.channels()[letter].pixels) for letter in "RGB"], axis=-1)
        np.testing.assert_allclose(layers[name], _linear(HELD_OUT, name), rtol=2e-3)
        np.testing.assert_array_equal(np.asarray(Image.open(out / f"{name}.png")), tone_mapped(name, layers[name]))
    linear = layers["albedo"] * layers["shading"] + layers.get("specular", 0.0)
    expected = np.clip(srgb_encode(linear), 0, 1) * 255.0
    np.testing.assert_allclose(np.asarray(Image.open(out / "image.png")), expected, atol=0.51)
    stored = json.loads((out / "sample.json").read_text("utf-8"))
    assert stored["index"] == HELD_OUT and stored["split"] == "test"
    assert f"--seed {SEED} --start {HELD_OUT} --count 1" in stored["written_as"]["commands"][0]
    with pytest.raises(UserError, match="no finished sample 500"):
        write_sample(dataset, 500, 8, out)
