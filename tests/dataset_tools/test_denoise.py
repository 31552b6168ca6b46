# SPDX-License-Identifier: GPL-3.0-or-later
"""The denoiser alone, with the library that comes with the bpy package; bpy itself is not loaded."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from dataset_tools.errors import UserError
from dataset_tools.rendering import denoise
from dataset_tools.rendering.denoise import Denoiser

SIZE = 64
_SPEC = importlib.util.find_spec("bpy")
FOLDERS = [Path(place) / "lib" for place in (_SPEC and _SPEC.submodule_search_locations) or ()]


@pytest.fixture
def denoiser() -> Iterator[Denoiser]:
    try:
        made = Denoiser([Path("nowhere"), *FOLDERS], SIZE)
    except UserError:
        pytest.skip("needs the bpy package with Open Image Denoise")
    yield made
    made.close()


def _ramp_and_noise(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Smooth light with an edge, well above 1, and a noisy render of it; [S, S, 3]."""
    across = np.linspace(0.2, 3.0, SIZE, dtype=np.float32)
    truth = np.repeat(np.outer(across, across[::-1])[..., None], 3, axis=-1)
    truth[:, SIZE // 2 :] *= 0.4
    noise = np.random.default_rng(seed).gamma(4.0, 0.25, truth.shape).astype(np.float32)
    return truth, truth * noise


def test_comes_nearer_to_the_truth(denoiser: Denoiser) -> None:
    truth, noisy = _ramp_and_noise(0)
    before = noisy.copy()
    clean = denoiser(noisy)
    assert clean.dtype == np.float32 and clean.shape == noisy.shape
    assert np.abs(clean - truth).mean() < 0.25 * np.abs(noisy - truth).mean()
    assert clean.mean() == pytest.approx(truth.mean(), rel=0.05)
    np.testing.assert_array_equal(noisy, before)


def test_a_layer_is_the_same_whatever_came_before(denoiser: Denoiser) -> None:
    layers = [_ramp_and_noise(seed)[1] for seed in (1, 2)]
    first = denoiser(layers[0])
    denoiser(layers[1])
    again = denoiser(layers[0])
    other = Denoiser(FOLDERS, SIZE)
    assert first.tobytes() == again.tobytes() == other(layers[0]).tobytes()
    other.close()


def test_nothing_stays_nothing(denoiser: Denoiser) -> None:
    np.testing.assert_allclose(denoiser(np.zeros((SIZE, SIZE, 3), np.float32)), 0.0, atol=1e-4)


def test_without_the_library_there_is_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = "libnosuchdenoiser.so"
    (tmp_path / name).write_bytes(b"not a library")
    monkeypatch.setattr(denoise, "_FILES", dict.fromkeys(denoise._FILES, (name,)))
    with pytest.raises(UserError, match="without Open Image Denoise 2"):
        Denoiser([tmp_path], SIZE)
