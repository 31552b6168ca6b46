# SPDX-License-Identifier: GPL-3.0-or-later
"""E-LPIPS: the properties of the ensemble, and the published trunks over files that the test makes itself."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch

from join_engine.bank import Bank
from join_engine.errors import JoinError
from join_engine.inversion.invert import invert
from join_engine.inversion.losses import elpips_weights
from join_engine.inversion.losses.elpips import Dropout, ELpips, Transforms, elpips_metric
from join_engine.inversion.presets import Preset
from join_engine.inversion.stages.joint import Joint
from join_engine.inversion.stages.mean_start import MeanStart
from join_engine.inversion.stages.tuning import Tuning
from join_engine.networks.features import DiscriminatorFeatures, RandomFeatures
from join_engine.networks.stylegan2 import Discriminator, GeneratorConfig
from join_engine.networks.trunk import Trunk, TrunkConfig


def _images(count: int = 2, size: int = 32, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, size, size, generator=torch.Generator().manual_seed(seed))


def _trunk() -> Trunk:
    torch.manual_seed(0)
    return Trunk(TrunkConfig((4, 8, 8), (1, 1, 1))).requires_grad_(False)


@pytest.mark.parametrize("make", [RandomFeatures, _trunk])
def test_zero_on_equal_images_symmetric_in_its_draw_and_deterministic(make: Callable[[], torch.nn.Module]) -> None:
    features, one, other = make(), _images(seed=1), _images(seed=2)
    assert ELpips(features, one, draws=3)(one).tolist() == [0.0, 0.0]
    there, back = ELpips(features, one, 3, seed=5)(other), ELpips(features, other, 3, seed=5)(one)
    assert torch.allclose(there, back, rtol=1e-5) and (there > 0).all()
    assert torch.equal(there, ELpips(features, one, 3, seed=5)(other))
    assert not torch.equal(there, ELpips(features, one, 3, seed=6)(other))
    loss = ELpips(features, one)
    assert not torch.equal(loss(other), loss(other))  # every call draws anew


def test_images_of_a_batch_get_what_they_would_get_alone() -> None:
    images, targets = _images(3, seed=1), _images(3, seed=2)
    loss = ELpips(_trunk(), targets, 2, seed=5)
    together = [loss(images) for _ in range(3)]
    for item in range(3):
        own = ELpips(_trunk(), targets[item : item + 1], 2, seed=5)
        for values in together:  # call by call
            assert torch.allclose(own(images[item : item + 1]), values[item], rtol=1e-5)


def test_bfloat16_is_near() -> None:
    one, other = _images(seed=1), _images(seed=2)
    exact, rough = (ELpips(_trunk(), one, 4, dtype=dtype)(other) for dtype in (torch.float32, torch.bfloat16))
    assert rough.dtype == torch.float32 and torch.allclose(exact, rough, rtol=0.02) and not torch.equal(exact, rough)


def test_gradient_is_finite() -> None:
    for image in (_images(), torch.zeros(2, 3, 32, 32)):
        variable = image.clone().requires_grad_()
        ELpips(_trunk(), _images())(variable).sum().backward()
        assert variable.grad is not None and variable.grad.isfinite().all()


def test_transforms_keep_what_they_should() -> None:
    rng = torch.Generator().manual_seed(0)
    image = torch.rand(1, 3, 24, 30).expand(3, -1, -1, -1)
    seen = set()
    for _ in range(40):
        draw = Transforms.draw(rng, (24, 30))
        out = draw(image)
        assert out.shape == ((3, 3, 37, 31) if draw.transpose else (3, 3, 31, 37))
        seen.add(draw.transpose)
        # Undo by hand: the middle of the image comes out unchanged, wherever the border went.
        upright = out.transpose(2, 3) if draw.transpose else out
        axes = [axis + 2 for axis in (0, 1) if draw.flip[axis]]
        top, left = draw.shift
        inner = upright.flip(axes)[:, :, top : top + 24, left : left + 30]
        for channel in range(3):
            expected = image[:, draw.channels[channel]] * draw.colour[channel]
            assert torch.allclose(inner[:, channel], expected)
    assert seen == {True, False}


def test_scales_are_box_means_and_rarer_the_larger() -> None:
    rng = torch.Generator().manual_seed(1)
    draws = [Transforms.draw(rng, (256, 256)) for _ in range(400)]
    counts = [sum(draw.scale == scale for draw in draws) for scale in (1, 2, 3, 4)]
    assert counts == sorted(counts, reverse=True) and sum(counts) == 400 and counts[3] > 5
    plain = torch.full((1, 3, 256, 256), 0.5)
    half = next(draw for draw in draws if draw.scale == 3)
    assert torch.allclose(half(plain) / half.colour[:, None, None], torch.tensor(0.5))


def test_dropout_drops_a_hundredth_and_replays_its_masks() -> None:
    dropout = Dropout(torch.Generator().manual_seed(0))
    first = dropout(torch.ones(1, 8, 64, 64))
    assert torch.equal(first, dropout.again()(torch.ones(1, 8, 64, 64)))
    assert abs(float((first == 0).float().mean()) - 0.01) < 0.003 and abs(float(first.mean()) - 1.0) < 0.003


def test_discriminators_get_images_of_their_size() -> None:
    torch.manual_seed(0)
    features = DiscriminatorFeatures([Discriminator(GeneratorConfig(16, 8, 8, 128, 8, 2))])
    assert (ELpips(features, _images(size=16))(_images(size=16, seed=3)) > 0).all()


def test_the_metric_gives_every_image_the_same_draws() -> None:
    image, truth = _images(1).expand(3, -1, -1, -1), _images(1, seed=4).expand(3, -1, -1, -1)
    values = elpips_metric(_trunk(), image, truth, draws=4)
    assert torch.allclose(values, values[:1].expand(3), rtol=1e-5)


@pytest.mark.slow
def test_inversion_and_tuning_take_it_and_are_deterministic(seeing_bank: Bank, own_targets: torch.Tensor) -> None:
    joint = Joint(steps=40, features="trunk", ensemble=True)
    preset = Preset("ensemble", (MeanStart(), joint, Tuning(steps=2, features="trunk", ensemble=True)))
    first, second = (invert(seeing_bank, own_targets[:2], preset, seed=3) for _ in range(2))
    assert all(torch.equal(first.latents[name], second.latents[name]) for name in first.latents)
    start = invert(seeing_bank, own_targets[:2], Preset("start", (MeanStart(), replace(joint, steps=1))))
    assert (first.loss < start.loss).all()


@pytest.mark.slow
def test_in_domain_loss_draws_the_codes_to_the_mean(tiny_bank: Bank, own_targets: torch.Tensor) -> None:
    far = {}
    for weight in (0.0, 1.0):
        joint = Joint(steps=60, knn_weight=0.0, in_domain_weight=weight, features="pixels")
        state = invert(tiny_bank, own_targets, Preset("in domain", (MeanStart(), joint)))
        far[weight] = sum(float((w - tiny_bank.components[n].w_avg).norm()) for n, w in state.latents.items())
    assert far[1.0] < 0.5 * far[0.0]


_VGG = {0: (3, 64), 2: (64, 64), 5: (64, 128), 7: (128, 128), 10: (128, 256), 12: (256, 256), 14: (256, 256)}
_VGG |= {17: (256, 512), **dict.fromkeys((19, 21, 24, 26, 28), (512, 512))}
_FIRE = {3: (64, 16, 64), 4: (128, 16, 64), 6: (128, 32, 128), 7: (256, 32, 128), 9: (256, 48, 192)}
_FIRE |= {10: (384, 48, 192), 11: (384, 64, 256), 12: (512, 64, 256)}
_HEADS = {"vgg16": (64, 128, 256, 512, 512), "squeezenet": (64, 128, 256, 384, 384, 512, 512)}


def _state(kind: str) -> dict[str, torch.Tensor]:
    """Random weights in torchvision's layout."""
    rng = torch.Generator().manual_seed(0)
    state = {}

    def add(name: str, inputs: int, outputs: int, side: int) -> None:
        scale = (2.0 / (inputs * side * side)) ** 0.5
        state[f"features.{name}.weight"] = torch.randn(outputs, inputs, side, side, generator=rng) * scale
        state[f"features.{name}.bias"] = torch.zeros(outputs)

    if kind == "vgg16":
        for layer, (inputs, outputs) in _VGG.items():
            add(str(layer), inputs, outputs, 3)
    else:
        add("0", 3, 64, 3)
        for layer, (inputs, squeezed, expanded) in _FIRE.items():
            add(f"{layer}.squeeze", inputs, squeezed, 1)
            add(f"{layer}.expand1x1", squeezed, expanded, 1)
            add(f"{layer}.expand3x3", squeezed, expanded, 3)
    return state


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(elpips_weights.FOLDER_VARIABLE, str(tmp_path / "Gewichte"))
    return tmp_path


@pytest.mark.slow
def test_published_trunks(folder: Path) -> None:
    for kind, widths in _HEADS.items():
        path, heads = folder / f"{kind}.pth", folder / "heads.pth"
        torch.save(_state(kind), path)
        torch.save({f"lin{i}.model.1.weight": torch.full((1, w, 1, 1), 2.0) for i, w in enumerate(widths)}, heads)
        with_heads = elpips_weights.load_published(kind, path, heads)
        assert tuple(tap.shape[1] for tap in with_heads(_images(1))) == widths and "lpips heads" in with_heads.label
        without = elpips_weights.PublishedFeatures(kind, _state(kind), None)
        twice = ELpips(with_heads, _images(1))(_images(1, seed=1))
        assert torch.allclose(twice, 2.0 * ELpips(without, _images(1))(_images(1, seed=1)), rtol=1e-5)
        torch.save({"lin0.model.1.weight": torch.ones(1, 64, 1, 1)}, heads)
        with pytest.raises(JoinError) as raised:
            elpips_weights.load_published(kind, path, heads)
        assert raised.value.code == "weights_unreadable"
    assert not {"torchvision", "lpips"} & set(sys.modules)


@pytest.mark.slow
def test_fetch_from_a_server_keeps_only_what_has_the_right_hash(
    folder: Path, tiny_bank: Bank, own_targets: torch.Tensor
) -> None:
    with pytest.raises(JoinError) as missing:
        elpips_weights.load_published("squeezenet")
    assert missing.value.code == "weights_missing"
    served = folder / "served"
    served.mkdir()
    torch.save(_state("squeezenet"), served / "weights.pth")
    digest = hashlib.sha256((served / "weights.pth").read_bytes()).hexdigest()

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(served)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        for source, code in (("weights.pth", "checksum_mismatch"), ("none.pth", "download_failed")):
            with pytest.raises(JoinError) as raised:
                elpips_weights.fetch("squeezenet", f"{url}/{source}")
            assert raised.value.code == code
        assert not elpips_weights.weights_folder().exists()
        elpips_weights.fetch("squeezenet", f"{url}/weights.pth", digest[:16])
    finally:
        server.shutdown()
        server.server_close()
    assert len(elpips_weights.load_published("squeezenet")(_images(1))) == 7
    joint = Joint(steps=3, features="squeezenet", ensemble=True)
    assert invert(tiny_bank, own_targets[:1], Preset("published", (joint,))).loss.isfinite().all()
    assert elpips_weights.adopt("squeezenet", served / "weights.pth", digest).is_file()


def test_a_file_that_is_no_weights(folder: Path) -> None:
    (folder / "text.pth").write_text("no weights")
    with pytest.raises(JoinError) as raised:
        elpips_weights.load_published("vgg16", folder / "text.pth")
    assert raised.value.code == "weights_unreadable"
