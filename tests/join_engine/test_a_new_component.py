# SPDX-License-Identifier: GPL-3.0-or-later
"""A component and its forward model are data: this file adds light that surfaces emit, a·s + x + e, and uses it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from join_engine.bank import Bank, load_bank
from join_engine.commands.main import main
from join_engine.components import COMPONENTS, Component
from join_engine.components import register as register_component
from join_engine.forward_models import FORWARD_MODELS, ForwardModel, register
from join_engine.images.files import write_png
from join_engine.inversion.presets import PRESETS
from join_engine.layers.decomposition import load_decomposition

PARTS = (("albedo", "srgb"), ("shading", "reinhard"), ("specular", "reinhard"), ("emission", "reinhard"))


@pytest.fixture(scope="module", autouse=True)
def registered() -> Iterator[None]:
    register_component(Component("emission", "reinhard", 0.0))
    register(ForwardModel("emissive", (("albedo", "shading"), ("specular",), ("emission",))))
    yield
    del FORWARD_MODELS["emissive"], COMPONENTS["emission"]


@pytest.fixture(scope="module")
def bank(registered: None, tmp_path_factory: pytest.TempPathFactory) -> Bank:
    from .conftest import make_bank

    return load_bank(make_bank(tmp_path_factory.mktemp("bank") / "glow.safetensors", "emissive", PARTS))


@pytest.mark.slow
def test_from_an_image_to_files_and_another_light(
    bank: Bank, tmp_path: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = [{"kind": "mean_start"}, {"kind": "joint", "steps": 30, "features": "pixels", "knn_weight": 0.0}]
    monkeypatch.setitem(PRESETS, "draft", {"stages": stages, "detail": {}})
    write_png(tmp_path / "photo.png", picture)
    words = ["--bank", str(bank.path), "--preset", "draft", "--out", str(tmp_path)]
    assert main(["decompose", str(tmp_path / "photo.png"), *words]) == 0
    folder = tmp_path / "photo"
    found = load_decomposition(folder / "decomposition.join")
    layers = found.layers
    assert list(found.model.components) == [name for name, _ in PARTS] and set(layers) == set(found.model.components)
    whole = layers["albedo"] * layers["shading"] + layers["specular"] + layers["emission"]
    np.testing.assert_allclose(found.recomposed, whole, rtol=1e-6)
    shown = np.asarray(Image.open(folder / "emission.png"), np.float32) / 255
    np.testing.assert_allclose(shown, layers["emission"] / (1 + layers["emission"]), atol=0.5 / 255 + 1e-6)

    lit, stored = tmp_path / "lit", str(folder / "decomposition.join")
    moved = ["--set", "emission.sefa.0=2", "--exr", "32", "--bank", str(bank.path), "--out", str(lit)]
    assert main(["relight", stored, *moved]) == 0
    after = load_decomposition(lit / "decomposition.join").layers
    assert np.abs(after["emission"] - layers["emission"]).max() > 1e-3
    assert all(np.array_equal(after[name], layers[name]) for name in ("albedo", "shading", "specular"))
    with OpenEXR.File(str(lit / "layers.exr"), separate_channels=True) as file:
        channels = {name: np.asarray(channel.pixels) for name, channel in file.channels().items()}
    red = {name: channels[f"{name}.R"] for name, _ in PARTS}
    made = red["albedo"] * red["shading"] + red["specular"] + red["emission"]
    np.testing.assert_allclose(channels["R"], made, rtol=1e-5, atol=1e-6)


def test_components_have_one_entry_and_a_known_curve() -> None:
    assert list(COMPONENTS)[:3] == ["albedo", "shading", "specular"]
    for name, message in (("emission", "registered already"), ("glow", "no transform")):
        with pytest.raises(ValueError, match=message):
            register_component(Component(name, "reinhard" if name == "emission" else "gamma", 0.0))
