# SPDX-License-Identifier: GPL-3.0-or-later
"""Random StyleGAN2 weights, a plain float64 formula for what they compute, and both public file layouts of them.

The formula uses numpy alone and follows the papers: one kernel per sample, zeros inserted and filtered to go up.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

Array = np.ndarray
Weights = dict[str, Any]
WIDTHS = {4: 8, 8: 8, 16: 4}
CODE = 6
TAPS = np.array([1.0, 3.0, 3.0, 1.0]) / 8.0
FILTER = np.outer(TAPS, TAPS)


def random_weights(seed: int = 0) -> Weights:
    """Weights as they are stored, before their gains, in float32 precision."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int) -> Array:
        return rng.standard_normal(shape).astype(np.float32)

    def modulated(inputs: int, outputs: int, kernel: int) -> Weights:
        affine = {"affine_weight": normal(inputs, CODE), "affine_bias": 1 + 0.2 * normal(inputs)}
        return affine | {"weight": normal(outputs, inputs, kernel, kernel), "bias": 0.3 * normal(outputs)}

    weights: Weights = {
        "mapping": [(normal(CODE, CODE) * 100, normal(CODE) * 10) for _ in range(3)],
        "w_avg": normal(CODE),
        "const": normal(WIDTHS[4], 4, 4),
        "convs": [],
        "rgbs": [],
        "blocks": [],
    }
    before = WIDTHS[4]
    for resolution, width in WIDTHS.items():
        for inputs in (before, width)[resolution == 4 :]:
            noise = {"strength": float(normal()), "noise": normal(resolution, resolution)}
            weights["convs"].append(modulated(inputs, width, 3) | noise)
        weights["rgbs"].append(modulated(width, 3, 1))
        before = width
    weights["fromrgb"] = (normal(WIDTHS[16], 3, 1, 1), 0.3 * normal(WIDTHS[16]))
    for resolution in (16, 8):
        inputs, outputs = WIDTHS[resolution], WIDTHS[resolution // 2]
        conv0 = (normal(inputs, inputs, 3, 3), 0.3 * normal(inputs))
        conv1 = (normal(outputs, inputs, 3, 3), 0.3 * normal(outputs))
        weights["blocks"].append({"conv0": conv0, "conv1": conv1, "skip": normal(outputs, inputs, 1, 1)})
    width = WIDTHS[4]
    weights["end"] = (normal(width, width + 1, 3, 3), 0.3 * normal(width))
    weights["fc"] = (normal(width, width * 16), 0.3 * normal(width))
    weights["out"] = (normal(1, width), 0.3 * normal(1))
    return weights


# The formula


def correlate(image: Array, kernel: Array, stride: int = 1) -> Array:
    """[C, H, W] with [O, C, k, k], only where the kernel fits."""
    size = kernel.shape[-1]
    rows, columns = (image.shape[axis] - size + 1 for axis in (1, 2))
    result = np.zeros((len(kernel), rows, columns))
    for y in range(size):
        for x in range(size):
            result += np.einsum("oc,chw->ohw", kernel[:, :, y, x], image[:, y : y + rows, x : x + columns])
    return result[:, ::stride, ::stride]


def pad(image: Array, amount: int) -> Array:
    return np.pad(image, ((0, 0), (amount, amount), (amount, amount)))


def low_pass(image: Array) -> Array:
    return np.stack([correlate(channel[None], FILTER[None, None])[0] for channel in image])


def spread(image: Array, kernel: Array, first: int) -> Array:
    """Twice the size: pixel i puts ``kernel`` times its value at 2i − first and after. [C, H, W], [O, C, k, k]."""
    side = 2 * image.shape[1]
    result = np.zeros((len(kernel), side + 16, side + 16))
    size = kernel.shape[-1]
    for y in range(image.shape[1]):
        for x in range(image.shape[2]):
            patch = np.einsum("ocyx,c->oyx", kernel, image[:, y, x])
            result[:, 8 + 2 * y - first :, 8 + 2 * x - first :][:, :size, :size] += patch
    return result[:, 8 : 8 + side, 8 : 8 + side]


def smoothed(kernel: Array) -> Array:
    """The 3×3 kernel and the filter in one: their full convolution, times 4 for the inserted zeros. [O, C, 6, 6]."""
    result = np.zeros((*kernel.shape[:2], 6, 6))
    for y in range(4):
        for x in range(4):
            result[:, :, y : y + 3, x : x + 3] += kernel * FILTER[y, x] * 4.0
    return result


def activate(values: Array) -> Array:
    return np.where(values < 0, 0.2 * values, values) * np.sqrt(2.0)


def map_code(weights: Weights, z: Array) -> Array:
    code = z / np.sqrt((z**2).mean() + 1e-8)
    for weight, bias in weights["mapping"]:
        code = activate(weight.astype(float) @ code * 0.01 / np.sqrt(len(code)) + bias.astype(float) * 0.01)
    return code


def style(layer: Mapping[str, Any], w: Array) -> Array:
    return layer["affine_weight"].astype(float) @ w / np.sqrt(len(w)) + layer["affine_bias"].astype(float)


def generate(weights: Weights, ws: Array) -> Array:
    """Codes [num_ws, CODE] → image [3, 16, 16], with the stored noise."""
    features, image = weights["const"].astype(float), np.zeros((3, 2, 2))
    for index, layer in enumerate(weights["convs"]):
        kernel = layer["weight"] * style(layer, ws[index])[None, :, None, None]
        kernel = kernel / np.sqrt((kernel**2).sum(axis=(1, 2, 3), keepdims=True) + 1e-8)
        goes_up = index % 2 == 1
        features = spread(features, smoothed(kernel), 2) if goes_up else correlate(pad(features, 1), kernel)
        features = features + layer["strength"] * layer["noise"].astype(float)
        features = activate(features + layer["bias"][:, None, None])
        if not goes_up:
            rgb = weights["rgbs"][index // 2]
            kernel = rgb["weight"] * style(rgb, ws[index + 1])[None, :, None, None] / np.sqrt(len(features))
            grown = spread(image, np.einsum("oc,yx->ocyx", np.eye(3), FILTER * 4.0), 1)
            image = grown + correlate(features, kernel) + rgb["bias"][:, None, None]
    return image


def judge(weights: Weights, images: Array) -> Array:
    """[B, 3, 16, 16], B at most 4 → logits [B]."""
    ends = np.stack([_judge_to_4(weights, image) for image in images])
    deviation = np.sqrt(((ends - ends.mean(axis=0)) ** 2).mean(axis=0) + 1e-8).mean()
    logits = []
    for end in ends:
        end = np.concatenate([end, np.full((1, 4, 4), deviation)])
        end = _convolve(pad(end, 1), *weights["end"])
        code = activate(weights["fc"][0] @ end.reshape(-1) / np.sqrt(end.size) + weights["fc"][1])
        logits.append((weights["out"][0] @ code / np.sqrt(len(code)) + weights["out"][1])[0])
    return np.array(logits)


def _convolve(image: Array, weight: Array, bias: Array, stride: int = 1) -> Array:
    gain = 1 / np.sqrt(weight[0].size)
    return activate(correlate(image, weight.astype(float) * gain, stride) + bias[:, None, None])


def _judge_to_4(weights: Weights, image: Array) -> Array:
    features = _convolve(image.astype(float), *weights["fromrgb"])
    for block in weights["blocks"]:
        main = _convolve(pad(features, 1), *block["conv0"])
        main = _convolve(low_pass(pad(main, 2)), *block["conv1"], stride=2)
        skip = correlate(low_pass(pad(features, 1)), block["skip"] / np.sqrt(len(features)), stride=2)
        features = (main + skip) / np.sqrt(2.0)
    return features


# The layouts


def tensor(values: Any) -> torch.Tensor:
    return torch.tensor(np.asarray(values, np.float32))


def write_rosinality(path: Path, weights: Weights, old: bool = False, with_mean: bool = True) -> Path:
    """A ``.pt``; ``old`` is torch's format before 1.6."""
    generator: dict[str, torch.Tensor] = {"input.input": tensor(weights["const"])[None]}
    for index, (weight, bias) in enumerate(weights["mapping"]):
        generator |= {f"style.{index + 1}.weight": tensor(weight), f"style.{index + 1}.bias": tensor(bias)}
    for index, layer in enumerate(weights["convs"]):
        name = "conv1" if index == 0 else f"convs.{index - 1}"
        generator |= _rosinality_modulation(name, layer)
        generator |= {f"{name}.noise.weight": tensor([layer["strength"]])}
        generator |= {f"{name}.activate.bias": tensor(layer["bias"])}
        generator |= {f"noises.noise_{index}": tensor(layer["noise"])[None, None]}
        if index % 2:
            generator[f"{name}.conv.blur.kernel"] = tensor(FILTER * 4)
    for index, layer in enumerate(weights["rgbs"]):
        name = "to_rgb1" if index == 0 else f"to_rgbs.{index - 1}"
        generator |= _rosinality_modulation(name, layer) | {f"{name}.bias": tensor(layer["bias"]).view(1, 3, 1, 1)}
        if index:
            generator[f"{name}.upsample.kernel"] = tensor(FILTER * 4)
    judge_: dict[str, torch.Tensor] = {}
    judge_ |= {"convs.0.0.weight": tensor(weights["fromrgb"][0]), "convs.0.1.bias": tensor(weights["fromrgb"][1])}
    for index, block in enumerate(weights["blocks"]):
        name = f"convs.{index + 1}"
        judge_ |= {
            f"{name}.conv1.0.weight": tensor(block["conv0"][0]),
            f"{name}.conv1.1.bias": tensor(block["conv0"][1]),
        }
        judge_ |= {f"{name}.conv2.0.kernel": tensor(FILTER), f"{name}.skip.0.kernel": tensor(FILTER)}
        judge_ |= {
            f"{name}.conv2.1.weight": tensor(block["conv1"][0]),
            f"{name}.conv2.2.bias": tensor(block["conv1"][1]),
        }
        judge_ |= {f"{name}.skip.1.weight": tensor(block["skip"])}
    judge_ |= {"final_conv.0.weight": tensor(weights["end"][0]), "final_conv.1.bias": tensor(weights["end"][1])}
    for index, name in enumerate(("fc", "out")):
        judge_ |= {f"final_linear.{index}.weight": tensor(weights[name][0])}
        judge_ |= {f"final_linear.{index}.bias": tensor(weights[name][1])}
    values: dict[str, Any] = {"g": generator, "g_ema": generator, "d": judge_, "args": argparse.Namespace(batch=4)}
    if with_mean:
        values["latent_avg"] = tensor(weights["w_avg"])
    torch.save(values, path, _use_new_zipfile_serialization=not old)
    return path


def _rosinality_modulation(name: str, layer: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    return {
        f"{name}.conv.weight": tensor(layer["weight"])[None],
        f"{name}.conv.modulation.weight": tensor(layer["affine_weight"]),
        f"{name}.conv.modulation.bias": tensor(layer["affine_bias"]),
    }


class Persistent:
    """Pickles as NVlabs' persistent modules do: a call to their own function with source and state."""

    reconstruct: Callable[..., Any]
    source = "raise SystemExit('the source of a pickle was executed')"

    def __init__(self, class_name: str, **state: Any) -> None:
        plain = {"training": False, "_init_args": (), "_non_persistent_buffers_set": set()}
        parts = {"_parameters": OrderedDict(), "_buffers": OrderedDict(), "_modules": OrderedDict()}
        self.meta = {
            "type": "class",
            "version": 6,
            "module_src": self.source,
            "class_name": class_name,
            "state": {**plain, **parts, **state},
        }

    def __reduce__(self) -> tuple[Any, ...]:
        return (Persistent.reconstruct, (self.meta,))


def nvlabs_modules(weights: Weights, **changes: Any) -> dict[str, Any]:
    """The modules of a pickle; ``changes`` go into the state of the generator."""
    mapping = _module("MappingNetwork")
    mapping.meta["state"]["_buffers"]["w_avg"] = tensor(weights["w_avg"])
    for index, pair in enumerate(weights["mapping"]):
        layer = _leaf("FullyConnectedLayer", *pair)
        layer.meta["state"]["bias_gain"] = 0.01
        _add(mapping, f"fc{index}", layer)
    synthesis = _module("SynthesisNetwork")
    for number, resolution in enumerate(WIDTHS):
        block = _module("SynthesisBlock", filtered=True)
        if number == 0:
            block.meta["state"]["_parameters"]["const"] = _parameter(weights["const"])
        else:
            _add(block, "conv0", _nvlabs_layer(weights["convs"][2 * number - 1]))
        _add(block, "conv1", _nvlabs_layer(weights["convs"][2 * number]))
        _add(block, "torgb", _nvlabs_layer(weights["rgbs"][number]))
        _add(synthesis, f"b{resolution}", block)
    generator = _module("Generator", c_dim=0, _init_kwargs=sys.modules["dnnlib.util"].EasyDict(z_dim=CODE), **changes)
    _add(generator, "synthesis", synthesis)
    _add(generator, "mapping", mapping)
    critic = _module("Discriminator", c_dim=0)
    for number, (resolution, stored) in enumerate(zip((16, 8), weights["blocks"], strict=True)):
        block = _module("DiscriminatorBlock", filtered=True)
        if number == 0:
            _add(block, "fromrgb", _leaf("Conv2dLayer", *weights["fromrgb"], filtered=True))
        _add(block, "conv0", _leaf("Conv2dLayer", *stored["conv0"], filtered=True))
        _add(block, "conv1", _leaf("Conv2dLayer", *stored["conv1"], filtered=True))
        _add(block, "skip", _leaf("Conv2dLayer", stored["skip"], None, filtered=True))
        _add(critic, f"b{resolution}", block)
    end = _module("DiscriminatorEpilogue")
    _add(end, "mbstd", _module("MinibatchStdLayer", group_size=4))
    _add(end, "conv", _leaf("Conv2dLayer", *weights["end"], filtered=True))
    _add(end, "fc", _leaf("FullyConnectedLayer", *weights["fc"]))
    _add(end, "out", _leaf("FullyConnectedLayer", *weights["out"]))
    _add(critic, "b4", end)
    return {"training_set_kwargs": {"path": "x"}, "G": generator, "G_ema": generator, "D": critic, "augment_pipe": None}


def _module(class_name: str, filtered: bool = False, **state: Any) -> Persistent:
    module = Persistent(class_name, **state)
    if filtered:
        module.meta["state"]["_buffers"]["resample_filter"] = tensor(FILTER)
    return module


def _leaf(class_name: str, weight: Array, bias: Array | None, filtered: bool = False) -> Persistent:
    """The published code keeps gains beside the weights, which np.sqrt makes numpy's own numbers of."""
    gains = {"weight_gain": 1 / np.sqrt(weight[0].size), "act_gain": np.sqrt(2)}
    module = _module(class_name, filtered, **gains)
    module.meta["state"]["_parameters"]["weight"] = _parameter(weight)
    module.meta["state"]["_parameters"]["bias"] = None if bias is None else _parameter(bias)
    return module


def _nvlabs_layer(layer: Mapping[str, Any]) -> Persistent:
    module = _leaf("SynthesisLayer", layer["weight"], layer["bias"], filtered="noise" in layer)
    if "noise" in layer:
        module.meta["state"]["_parameters"]["noise_strength"] = _parameter(layer["strength"])
        module.meta["state"]["_buffers"]["noise_const"] = tensor(layer["noise"])
    _add(module, "affine", _leaf("FullyConnectedLayer", layer["affine_weight"], layer["affine_bias"]))
    return module


def _add(parent: Persistent, name: str, child: Persistent) -> None:
    parent.meta["state"]["_modules"][name] = child


def _parameter(values: Any) -> torch.nn.Parameter:
    return torch.nn.Parameter(tensor(values))


def install_nvlabs_names(monkeypatch: Any) -> None:
    """Modules of the names that such pickles refer to, for writing them; what reads must not need them."""
    package, persistence, util = (types.ModuleType(name) for name in ("t", "torch_utils.persistence", "dnnlib.util"))

    def _reconstruct_persistent_obj(meta: Any) -> Any:
        raise SystemExit("a pickle was loaded the unsafe way")

    _reconstruct_persistent_obj.__module__ = "torch_utils.persistence"
    _reconstruct_persistent_obj.__qualname__ = "_reconstruct_persistent_obj"
    persistence.__dict__["_reconstruct_persistent_obj"] = _reconstruct_persistent_obj
    util.__dict__["EasyDict"] = type("EasyDict", (dict,), {"__module__": "dnnlib.util", "__qualname__": "EasyDict"})
    for name, module in {"torch_utils": package, "dnnlib": package, persistence.__name__: persistence}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setitem(sys.modules, "dnnlib.util", util)
    monkeypatch.setattr(Persistent, "reconstruct", _reconstruct_persistent_obj, raising=False)


def write_nvlabs(path: Path, values: Any, protocol: int = 3) -> Path:
    """A ``.pkl``; 3 is the protocol of those that are public."""
    path.write_bytes(pickle.dumps(values, protocol=protocol))
    return path
