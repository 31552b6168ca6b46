# SPDX-License-Identifier: GPL-3.0-or-later
"""A component that this file adds goes all the way through Blender: light that surfaces emit, a·s + x + e.

The file is also the engine's program: the real one, which knows the component because it is registered first.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from join_engine.color import srgb_decode
from join_engine.components import COMPONENTS, Component
from join_engine.components import register as register_component
from join_engine.forward_models import FORWARD_MODELS, ForwardModel, register

pytestmark = pytest.mark.slow  # each test has a Blender of its own

NAMES = ("albedo", "shading", "specular", "emission")
FORMULA = (("albedo", "shading"), ("specular",), ("emission",))


def add_emission() -> None:
    register_component(Component("emission", "reinhard", 0.0))
    register(ForwardModel("emissive", FORMULA))


def test_decomposed_shown_recombined_exported(tmp_path: Path, archive: Path) -> None:
    import OpenEXR

    from join_engine.layers.decomposition import load_decomposition
    from tests.join_blender.support import Blender, blender_python, fake_python, photo, write_png
    from tests.join_engine.conftest import make_bank

    def channels(name: str) -> dict[str, np.ndarray]:
        with OpenEXR.File(str(tmp_path / name), separate_channels=True) as file:
            return {name: np.asarray(channel.pixels) for name, channel in file.channels().items()}

    add_emission()
    try:
        parts = [(name, COMPONENTS[name].transform) for name in NAMES]
        bank = make_bank(tmp_path / "glow.safetensors", "emissive", tuple(parts))
        blender = Blender(tmp_path / "blender", archive, blender_python())
        engine = fake_python(tmp_path, Path(__file__))
        image = write_png(tmp_path / "lamp.png", photo())
        options = {"bank": str(bank), "preset": "STANDARD", "steps": 20, "seed": 3}
        report = blender.run("emission", engine, folder=tmp_path, image=image, options=options)
        blender.run("render", engine, folder=tmp_path)
        stored = load_decomposition(tmp_path / "out.join")
        assert stored.model.formula == FORMULA
    finally:
        del COMPONENTS["emission"], FORWARD_MODELS["emissive"]
    assert set(report["layers"]) == {f"lamp {name}" for name in NAMES}
    layers = {name: np.load(tmp_path / f"{name}.npy")[..., :3] for name in NAMES}
    whole = layers["albedo"] * layers["shading"] + layers["specular"] + layers["emission"]
    assert all(np.ptp(layer) > 1e-3 for layer in layers.values())
    # The generators' own layers: only models of which it is known how light multiplies are completed to be exact.
    error = np.abs(srgb_decode(photo().astype(np.float32) / 255) - whole)
    np.testing.assert_allclose(report["error"], [error.max(), error.mean()], rtol=1e-4)
    np.testing.assert_allclose(np.load(tmp_path / "shown.npy")[..., :3], whole, rtol=1e-6)
    rendered = channels("rendered.exr")
    np.testing.assert_allclose(np.stack([rendered[c] for c in "RGB"], axis=2), whole, atol=2e-3)
    exported = channels("out.exr")
    for name, layer in layers.items():
        np.testing.assert_array_equal(np.stack([exported[f"{name}.{c}"] for c in "RGB"], axis=2), layer)
        np.testing.assert_allclose(stored.layers[name], layer, rtol=1e-6)


if __name__ == "__main__":
    add_emission()
    from join_engine.commands.main import main

    sys.exit(main(sys.argv[sys.argv.index("join_engine") + 1 :]))
