# SPDX-License-Identifier: GPL-3.0-or-later
"""Files that earlier versions wrote are read as what they were: banks and .join files of the first engine (4fa9de2) and
of the one with encoders, trunk and brightness (64e1a70), a dataset and a pack of the latter.

These versions' own code wrote them (16 px, random weights). Beside each bank stand, from the same run, its hash,
the colour that each generator makes at one place from one code, and the hash of each layer.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from dataset_tools.inspection.verify import verify
from dataset_tools.packs.exports import ALL_SPLITS, Export, export
from dataset_tools.storage import passes, shards
from join_engine.bank import load_bank, verify_bank
from join_engine.inversion.presets import Detail, Preset, get_preset
from join_engine.inversion.stages.joint import Joint
from join_engine.inversion.stages.mean_start import MeanStart
from join_engine.layers.decomposition import load_decomposition, save_decomposition
from join_engine.pipeline import decompose
from join_engine.relighting.relighter import Edit, Relighter
from join_engine.renders.packs import read_packs
from join_engine.renders.samples import read_samples
from tests.dataset_tools.invented import SEED, invented_passes

OLD = Path(__file__).parent / "old_files"
VERSIONS = ("4fa9de2", "64e1a70")
MATERIALS = ("albedo", "shading", "specular")


@pytest.mark.parametrize("version", VERSIONS)
def test_banks(version: str) -> None:
    bank = load_bank(OLD / f"{version}.safetensors", with_discriminators=True)
    told = json.loads((OLD / f"{version}.json").read_text("utf-8"))
    verify_bank(bank)
    assert bank.sha256 == told["sha256"] and bank.header.name == version and set(bank.components) == set(told["made"])
    for name, component in bank.components.items():
        codes = component.generator.mapping(torch.linspace(-1, 1, 4)[None])
        codes = codes[:, None].expand(-1, component.generator.synthesis.num_ws, -1)
        made = component.generator.synthesis(codes, noise="const")[0, :, 3, 4]
        assert torch.allclose(made, torch.tensor(told["made"][name]), rtol=1e-4, atol=1e-5), name
    has = version == "64e1a70"
    assert (bank.trunk is not None) == (bank.brightness is not None) == has and bank.split is bank.seeing is None
    assert all((part.encoder is not None) == has for part in bank.header.components.values())
    picture = np.random.default_rng(0).random((24, 32, 3), dtype=np.float32)
    preset = get_preset("draft") if has else Preset("plain", (MeanStart(), Joint(steps=1)), Detail())
    found = decompose(picture, bank, preset).decomposition
    assert np.allclose(found.recomposed, picture, atol=1e-5)


@pytest.mark.parametrize("version", VERSIONS)
def test_decompositions(version: str, tmp_path: Path) -> None:
    found, bank = load_decomposition(OLD / f"{version}.join"), load_bank(OLD / f"{version}.safetensors")
    told = json.loads((OLD / f"{version}.json").read_text("utf-8"))
    hashes = {name: hashlib.sha256(layer.astype("<f4").tobytes()).hexdigest() for name, layer in found.layers.items()}
    assert hashes == told["layers"] and found.size == (16, 20) and found.bank_sha256 == bank.sha256
    assert found.settings["preset"] and found.metrics and found.seconds
    lit = Relighter(found, bank).relight([Edit("shading", "sefa.0", 1.0)])
    assert np.array_equal(lit.layers["albedo"], found.layers["albedo"])
    assert not np.allclose(lit.layers["shading"], found.layers["shading"], atol=1e-3)
    save_decomposition(tmp_path / "again.join", found)  # today's file of it is one that yesterday's engine reads
    assert load_decomposition(tmp_path / "again.join").summary() == found.summary()


def test_datasets(tmp_path: Path) -> None:
    folder = tmp_path / "dataset"
    shutil.copytree(OLD / "64e1a70-dataset", folder)
    shards.open_dataset(folder, {"dataset": "primeshapes", "seed": SEED, "resolution": 8})  # it can be gone on with
    assert shards.missing(folder, "primeshapes", range(3)) == []
    assert [sample.first for sample in shards.missing(folder, "primeshapes", range(64))] == [3]
    told = list(shards.read_samples(folder, shards.entries(folder)))
    assert [index for index, *_ in told] == [0, 1, 2]
    for index, exr, _ in told:
        read, made = passes.read(exr), invented_passes(index, 8)
        assert all(np.allclose(read[name], made[name], atol=1e-3) for name in ("combined", "diffuse_color"))
    assert verify(folder).findings == []


def test_packs(tmp_path: Path) -> None:
    """An old pack is read, and today's of the same old dataset has the same pixels."""
    export(OLD / "64e1a70-dataset", Export(8, MATERIALS[:2], ALL_SPLITS, floats=True), tmp_path / "now.tar")
    then, now = (read_samples(pack, MATERIALS[:2], 3) for pack in (OLD / "64e1a70-float.tar", tmp_path / "now.tar"))
    for one, other in zip(then, now, strict=True):
        assert all(np.array_equal(one.components[name], other.components[name]) for name in MATERIALS[:2])
    trained_on = read_packs([OLD / "64e1a70.tar"], "albedo")
    assert trained_on.images.shape == (3, 3, 8, 8) and trained_on.transform == "srgb"
