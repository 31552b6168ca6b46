# SPDX-License-Identifier: GPL-3.0-or-later
"""From an image to layers of its own size, to a file and back, to another light."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from torch import Tensor

from join_engine.bank import Bank
from join_engine.color import srgb_encode
from join_engine.errors import JoinError
from join_engine.images.frame import Frame
from join_engine.inversion.invert import Reached, invert
from join_engine.inversion.presets import Detail, Preset
from join_engine.inversion.progress import Monitor
from join_engine.inversion.stages.encoder_start import EncoderStart
from join_engine.inversion.stages.joint import Joint
from join_engine.inversion.stages.mean_start import MeanStart
from join_engine.inversion.stages.tuning import Tuning
from join_engine.inversion.state import InversionState
from join_engine.layers.caution import caution
from join_engine.layers.decomposition import FORMAT_VERSION, Decomposition, load_decomposition, save_decomposition
from join_engine.pipeline import _Work, decompose, decompose_batch
from join_engine.relighting.directions import sefa_directions, style_weights
from join_engine.relighting.relighter import Edit, Relighter

SHORT = Preset("short", (MeanStart(), Joint(steps=10)))


@pytest.fixture(scope="module")
def decomposition(tiny_bank: Bank) -> Decomposition:
    image = np.random.default_rng(0).random((40, 56, 3), dtype=np.float32)
    return decompose(image, tiny_bank, SHORT).decomposition


@pytest.mark.parametrize("size", [(16, 16), (40, 56), (16, 128), (128, 16), (61, 33), (10, 12)])
def test_frame_goes_there_and_back(size: tuple[int, int]) -> None:
    height, width = size
    ramp = np.linspace(0.2, 0.8, height, dtype=np.float32)[:, None, None] * np.ones((1, width, 3), np.float32)
    frame = Frame(height, width, 16)
    square = frame.fit(ramp)
    assert square.shape == (1, 3, 16, 16)
    back = frame.restore(square)
    assert back.shape == (1, 3, height, width)
    # A square of 16 holds very elongated images in two pixels; then only the mean survives.
    assert abs(back.mean().item() - ramp.mean()) < 0.02


def test_frame_of_the_same_size_changes_nothing() -> None:
    image = np.random.default_rng(0).random((16, 16, 3), dtype=np.float32)
    frame = Frame(16, 16, 16)
    assert np.array_equal(frame.fit(image)[0].permute(1, 2, 0).numpy(), image)
    square = torch.rand(1, 3, 16, 16)
    assert torch.equal(frame.restore(square), square)


def test_frame_mirrors_around_the_image() -> None:
    image = np.repeat(np.arange(8, dtype=np.float32)[:, None, None] * np.ones(3, np.float32), 16, axis=1)
    rows = Frame(8, 16, 16).fit(image)[0, 0, :, 0].tolist()
    assert rows == [3, 2, 1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 7, 6, 5, 4]


@pytest.mark.parametrize("shape", [(40, 56, 3), (16, 16, 3), (16, 100, 4)])
def test_layers_have_the_size_of_the_image(tiny_bank: Bank, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).random(shape, dtype=np.float32)
    result = decompose(image, tiny_bank, SHORT).decomposition
    assert result.size == shape[:2]
    for pixels in result.layers.values():
        assert pixels.dtype == np.float32 and pixels.shape == (*shape[:2], 3)
        assert np.isfinite(pixels).all() and pixels.min() >= 0
    assert np.array_equal(result.recomposed, result.layers["albedo"] * result.layers["shading"])
    assert set(result.metrics) == {"loss", "psnr", "psnr_fit"}
    assert {"prepare", "joint", "finish"} <= set(result.seconds)
    json.dumps(result.summary())


@pytest.mark.slow
def test_an_image_of_the_bank_is_recovered(tiny_bank: Bank, own_targets: torch.Tensor) -> None:
    from join_engine.color import srgb_decode

    image = srgb_decode(own_targets[0]).permute(1, 2, 0).numpy()
    result = decompose(image, tiny_bank, Preset("long", (MeanStart(), Joint(steps=300)))).decomposition
    assert result.metrics["psnr"] > 30
    assert result.metrics["psnr"] == pytest.approx(result.metrics["psnr_fit"], abs=1e-3)


def test_high_dynamic_range_is_fine(tiny_bank: Bank, picture: np.ndarray) -> None:
    result = decompose(picture * 1e4, tiny_bank, SHORT).decomposition
    assert all(np.isfinite(pixels).all() for pixels in result.layers.values())


def test_bad_images_are_refused(tiny_bank: Bank) -> None:
    with pytest.raises(JoinError):
        decompose(np.zeros((4, 4, 3), np.float32), tiny_bank, SHORT)


def test_what_one_preset_has_reached_another_goes_on_from(tiny_bank: Bank, picture: np.ndarray) -> None:
    reached: Reached = {}
    first, longer = Preset("first", (MeanStart(),)), Preset("longer", (MeanStart(), Joint(steps=1)))
    decompose_batch([picture], tiny_bank, first, reached=reached)
    assert list(reached) == [first.stages]
    decompose_batch([picture], tiny_bank, longer, reached=reached)
    assert list(reached) == [first.stages, longer.stages]
    at_once: Reached = {}
    decompose_batch([picture], tiny_bank, longer, reached=at_once)
    assert list(at_once) == [first.stages, longer.stages]


def test_one_image_is_a_batch_of_one(tiny_bank: Bank, picture: np.ndarray) -> None:
    """What the tables measure is what people get: to the bit."""
    preset = Preset("x", SHORT.stages, Detail())
    (batched,) = decompose_batch([picture], tiny_bank, preset, 3)
    alone = decompose(picture, tiny_bank, preset, 3)
    for name, layer in alone.decomposition.layers.items():
        assert np.array_equal(batched.decomposition.layers[name], layer)
        assert np.array_equal(batched.generated[name], alone.generated[name])
        assert not np.array_equal(alone.generated[name], layer)
    assert batched.decomposition.metrics == alone.decomposition.metrics
    assert batched.decomposition.settings == alone.decomposition.settings


@pytest.mark.slow
def test_images_of_several_sizes_make_a_batch(seeing_bank: Bank, picture: np.ndarray) -> None:
    search = Joint(steps=2, features="pixels", knn_weight=0.0, learning_rate=1e-3)
    tuning = Tuning(steps=1, discriminator_weight=0.0, learning_rate=1e-4)
    preset = Preset("x", (EncoderStart(), search, tuning), Detail())
    images = [picture, picture[:20, :20] * 0.5, picture[::-1] ** 2]
    together = [outcome.decomposition for outcome in decompose_batch(images, seeing_bank, preset)]
    for image, found in zip(images, together, strict=True):
        alone = decompose(image, seeing_bank, preset).decomposition
        assert found.size == image.shape[:2] and found.metrics["psnr"] > 60
        assert found.metrics == pytest.approx(alone.metrics, rel=1e-3)
        for kept in ("layers", "codes", "tuned"):  # a step of the tuning moves every weight by 1e-4, up or down
            for name, values in getattr(alone, kept).items():
                assert np.abs(getattr(found, kept)[name] - values).mean() < 2e-5, name
    fits, losses = ({round(found.metrics[name], 2) for found in together} for name in ("psnr_fit", "loss"))
    assert len(fits) == len(losses) == 3


def test_the_white_of_a_photo_may_have_been_brighter(tiny_bank: Bank, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only where a display has cut it off: an image that exceeds 1 tells how bright it is."""
    given: list[torch.Tensor | None] = []

    def watched(*arguments: Any) -> InversionState:
        given.append(arguments[6])
        return invert(*arguments)

    monkeypatch.setattr("join_engine.pipeline.invert", watched)
    photo = np.full((16, 16, 3), 0.2, np.float32)
    photo[4:8, :, 1] = 1.0
    for images in ([photo], [photo * 3.0], [photo * 3.0, photo]):
        decompose_batch(images, tiny_bank, Preset("x", (MeanStart(),)))
    white = torch.from_numpy(photo == 1.0).permute(2, 0, 1)
    alone, scene, both = given
    assert alone is not None and torch.equal(alone[0], white)
    assert scene is None
    assert both is not None and not both[0].any() and torch.equal(both[1], white)


def test_previews_are_layers(tiny_bank: Bank, picture: np.ndarray) -> None:
    seen: list[tuple[int, tuple[int, ...]]] = []

    def show(step: int, layers: dict[str, np.ndarray]) -> None:
        seen.append((step, layers["shading"].shape))

    decompose(picture, tiny_bank, SHORT, 0, Monitor(preview_every=5), show)
    assert seen == [(5, (40, 56, 3)), (10, (40, 56, 3))]


def test_cancelled_work_is_told_and_kept(tiny_bank: Bank, picture: np.ndarray) -> None:
    steps: list[object] = []
    monitor = Monitor(on_progress=steps.append, cancelled=lambda: len(steps) == 3)
    outcome = decompose(picture, tiny_bank, SHORT, 0, monitor)
    assert outcome.cancelled and len(steps) == 3
    assert outcome.decomposition.size == (40, 56)


# --- the file ---------------------------------------------------------------------------------------------------


def test_files_of_stages_that_are_gone_read(tmp_path: Path, decomposition: Decomposition) -> None:
    settings = {"preset": "best", "stages": [{"kind": "pool_start", "starts": 4}, {"kind": "keep_best", "starts": 1}]}
    old = replace(decomposition, settings=settings)
    save_decomposition(tmp_path / "old.join", old)
    assert load_decomposition(tmp_path / "old.join").settings == settings


def test_file_goes_there_and_back(tmp_path: Path, decomposition: Decomposition) -> None:
    path = tmp_path / "Ümläut und Leerzeichen.join"
    save_decomposition(path, decomposition)
    loaded = load_decomposition(path)
    assert loaded.summary() == decomposition.summary()
    for name in decomposition.layers:
        assert np.array_equal(loaded.layers[name], decomposition.layers[name])
        assert np.array_equal(loaded.codes[name], decomposition.codes[name])
    assert list(tmp_path.iterdir()) == [path]


def _header(**changes: object) -> dict[str, str]:
    header = {
        "format": "join-decomposition", "version": 1, "bank": {"name": "b", "sha256": "0"},
        "forward_model": "lambertian", "settings": {}, "metrics": {}, "seconds": {}, **changes,
    }  # fmt: skip
    return {"join": json.dumps(header)}


_CODE = np.zeros((1, 16), np.float32)
_LAYER = np.zeros((16, 16, 3), np.float32)
_TENSORS = {"layer.albedo": _LAYER, "layer.shading": _LAYER, "code.albedo": _CODE, "code.shading": _CODE}

BROKEN = {
    "no header": ("decomposition_broken", _TENSORS, {}),
    "another format": ("decomposition_broken", _TENSORS, _header(format="bank")),
    "not JSON": ("decomposition_broken", _TENSORS, {"join": "{"}),
    "newer": ("decomposition_newer", _TENSORS, _header(version=FORMAT_VERSION + 1)),
    "no bank": ("decomposition_broken", _TENSORS, _header(bank=None)),
    "unknown model": ("forward_model_unknown", _TENSORS, _header(forward_model="phong")),
    "sizes": ("decomposition_broken", {**_TENSORS, "layer.shading": _LAYER[:8]}, _header()),
    "a code too few": ("decomposition_broken", {key: _TENSORS[key] for key in list(_TENSORS)[:3]}, _header()),
    "not finite": ("decomposition_broken", {**_TENSORS, "layer.albedo": _LAYER * np.nan}, _header()),
    "doubles": ("decomposition_broken", {**_TENSORS, "code.albedo": np.zeros((1, 16))}, _header()),
    "settings of a wrong kind": ("decomposition_broken", _TENSORS, _header(settings=[1])),
    "edits of a wrong kind": ("decomposition_broken", _TENSORS, _header(settings={"edits": "left"})),
    "edits that are none": ("decomposition_broken", _TENSORS, _header(settings={"edits": [1, None]})),
    "metrics of a wrong kind": ("decomposition_broken", _TENSORS, _header(metrics={"psnr": "high"})),
    "seconds of a wrong kind": ("decomposition_broken", _TENSORS, _header(seconds=3)),
    "numbers too large": ("decomposition_broken", _TENSORS, {"join": _header()["join"].replace("1", "1e999", 1)}),
    "deep": ("decomposition_broken", _TENSORS, {"join": '{"settings":' * 100_000}),
    "no pixels": ("decomposition_broken", {**_TENSORS, "layer.albedo": _LAYER[:0], "layer.shading": _LAYER[:0]},
                  _header()),
    "flat": ("decomposition_broken", {**_TENSORS, "layer.albedo": _CODE[0], "layer.shading": _CODE[0]}, _header()),
    "codes of a wrong rank": ("decomposition_broken", {**_TENSORS, "code.albedo": _CODE[0]}, _header()),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_refused(tmp_path: Path, case: str) -> None:
    code, tensors, metadata = BROKEN[case]
    save_file(tensors, tmp_path / "a.join", metadata=metadata)
    with pytest.raises(JoinError) as caught:
        load_decomposition(tmp_path / "a.join")
    assert caught.value.code == code


def test_truncated_and_missing_files(tmp_path: Path, decomposition: Decomposition) -> None:
    path = tmp_path / "a.join"
    save_decomposition(path, decomposition)
    path.write_bytes(path.read_bytes()[:-100])
    for name, code in (("a.join", "decomposition_broken"), ("b.join", "decomposition_missing")):
        with pytest.raises(JoinError) as caught:
            load_decomposition(tmp_path / name)
        assert caught.value.code == code


# --- relighting -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"codes": {"albedo": np.zeros((1, 16), np.float32), "shading": np.zeros((3, 16), np.float32)}},
        {"codes": {"albedo": np.zeros((1, 16), np.float32), "shading": np.zeros((1, 15), np.float32)}},
        {"codes": {"albedo": np.zeros((0, 16), np.float32), "shading": np.zeros((1, 16), np.float32)}},
        {"tuned": {"shading.synthesis.b4.const": np.zeros((1, 1, 1), np.float32)}},
        {"tuned": {"shading.nothing": np.zeros(1, np.float32)}},
        {"tuned": {"nothing": np.zeros(1, np.float32)}},
    ],
)
def test_files_with_what_the_bank_cannot_take(
    tmp_path: Path, tiny_bank: Bank, decomposition: Decomposition, changes: dict[str, Any]
) -> None:
    save_decomposition(tmp_path / "a.join", replace(decomposition, **changes))
    with pytest.raises(JoinError) as caught:
        Relighter(load_decomposition(tmp_path / "a.join"), tiny_bank).relight([Edit("shading", 0, 1.0)])
    assert caught.value.code == "decomposition_broken" and caught.value.hint == "Decompose the image again."


def test_sefa_equals_the_singular_vectors(tiny_bank: Bank) -> None:
    weights = style_weights(tiny_bank.components["shading"].generator)
    directions = sefa_directions(weights)
    normalised = (weights / weights.norm(dim=1, keepdim=True)).double()
    _, _, right = torch.linalg.svd(normalised, full_matrices=False)
    assert torch.allclose(
        (directions.double() * right).sum(dim=1).abs(), torch.ones(16, dtype=torch.float64), atol=1e-4
    )
    assert (directions.gather(1, directions.abs().argmax(dim=1, keepdim=True)) > 0).all()


def test_sefa_is_about_the_convolutions_and_the_last_output(tiny_bank: Bank) -> None:
    generator = copy.deepcopy(tiny_bank.components["shading"].generator)
    synthesis, before = generator.synthesis, sefa_directions(style_weights(generator))
    first, last = synthesis.block_resolutions[0], synthesis.block_resolutions[-1]

    def after(layer: str) -> Tensor:
        weight = synthesis.get_submodule(layer).affine.weight
        with torch.no_grad():
            kept = weight.clone()
            weight.copy_(torch.randn_like(weight))
        directions = sefa_directions(style_weights(generator))
        with torch.no_grad():
            weight.copy_(kept)
        return directions

    torch.manual_seed(0)
    assert torch.equal(after(f"b{first}.torgb"), before)
    assert not torch.equal(after(f"b{first}.conv1"), before)
    assert not torch.equal(after(f"b{last}.conv0"), before)
    assert not torch.equal(after(f"b{last}.torgb"), before)


def test_relighting_leaves_the_albedo_alone(tiny_bank: Bank, decomposition: Decomposition, tmp_path: Path) -> None:
    save_decomposition(tmp_path / "a.join", decomposition)
    tomorrow = load_decomposition(tmp_path / "a.join")
    lit = Relighter(tomorrow, tiny_bank).relight([Edit("shading", 0, 2.0), Edit("shading", 1, -1.0)])
    assert np.array_equal(lit.layers["albedo"], decomposition.layers["albedo"])
    assert not np.allclose(lit.layers["shading"], decomposition.layers["shading"])
    assert lit.settings["edits"][0] == {"component": "shading", "direction": 0, "amount": 2.0}
    assert lit.metrics == {}


@pytest.mark.slow
def test_relighting_after_tuning_uses_the_tuned_weights(tiny_bank: Bank, picture: np.ndarray, tmp_path: Path) -> None:
    tuned = decompose(picture, tiny_bank, Preset("pti", (*SHORT.stages, Tuning(steps=3)))).decomposition
    save_decomposition(tmp_path / "a.join", tuned)
    loaded = load_decomposition(tmp_path / "a.join")
    lit = Relighter(loaded, tiny_bank).relight([Edit("shading", 0, 0.0)])
    assert np.allclose(lit.layers["shading"], tuned.layers["shading"], atol=1e-5)
    plain = Relighter(replace(loaded, tuned={}), tiny_bank).relight([Edit("shading", 0, 0.0)])
    assert not np.allclose(plain.layers["shading"], tuned.layers["shading"], atol=1e-5)


def test_no_edit_and_there_and_back_change_nothing(tiny_bank: Bank, decomposition: Decomposition) -> None:
    assert Relighter(decomposition, tiny_bank).relight([]).layers == decomposition.layers
    edits = [Edit("shading", 0, 2.0), Edit("shading", 0, -2.0)]
    back = Relighter(decomposition, tiny_bank).relight(edits)
    assert np.allclose(back.layers["shading"], decomposition.layers["shading"], atol=1e-4)


@pytest.mark.parametrize("edit", [Edit("specular", 0, 1.0), Edit("shading", 16, 1.0), Edit("shading", -1, 1.0)])
def test_impossible_edits_are_refused(tiny_bank: Bank, decomposition: Decomposition, edit: Edit) -> None:
    with pytest.raises(JoinError) as caught:
        Relighter(decomposition, tiny_bank).relight([edit])
    assert caught.value.code == "edit_invalid"


@pytest.mark.parametrize("data", [None, {}, {"component": "shading", "direction": None, "amount": 1}, 3])
def test_malformed_edits_are_refused(data: object) -> None:
    with pytest.raises(JoinError):
        Edit.from_json(data)
    with pytest.raises(JoinError):
        Edit.from_json({"component": "shading", "direction": 0, "amount": float("nan")})


def test_another_bank_is_refused(tiny_bank: Bank, decomposition: Decomposition) -> None:
    with pytest.raises(JoinError) as caught:
        Relighter(replace(decomposition, bank_sha256="0" * 64), tiny_bank).relight([])
    assert caught.value.code == "bank_mismatch"


def test_cancelled_before_the_first_step(tiny_bank: Bank, picture: np.ndarray) -> None:
    outcome = decompose(picture, tiny_bank, SHORT, 0, Monitor(cancelled=lambda: True))
    assert outcome.cancelled
    json.dumps(outcome.decomposition.summary(), allow_nan=False)


@pytest.mark.slow
def test_white_areas_are_no_limit(tiny_bank: Bank) -> None:
    image = np.ones((16, 16, 3), np.float32)
    result = decompose(image, tiny_bank, Preset("short", (MeanStart(), Joint(steps=30)))).decomposition
    # The fit counts what exceeds white as white.
    assert result.metrics["psnr_fit"] >= result.metrics["psnr"] - 1e-6
    assert np.isfinite(srgb_encode(result.recomposed)).all()


def test_how_sure_it_is_follows_from_the_errors_of_albedo_and_shading(seeing_bank: Bank) -> None:
    work = _Work([np.full((16, 16, 3), 0.5, np.float32)], seeing_bank, Preset("x", (MeanStart(),)))
    error = np.broadcast_to(np.array([0.1, 0.4, 0.9], np.float32), (4, 4, 3))
    found = work._confidence(0, error)
    assert found["albedo_error"] == pytest.approx(0.1) and found["caution"] == pytest.approx(caution(0.4))
