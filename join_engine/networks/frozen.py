# SPDX-License-Identifier: GPL-3.0-or-later
"""Generators whose weights stay, and of whose images only the codes get gradients: what
:func:`join_engine.networks.stylegan2.generate` makes, in three quarters of its time and, with gradients, of its memory.

What depends on the weights alone is made once: the demodulation's energies, the weights of the backward pass, noise
and bias as one. A layer is one node of autograd, whose passes work in place, and the RGB outputs of all generators go
up the resolutions together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .convolutions import ACTIVATION_GAIN, LEAK, EqualizedLinear
from .resample import blur, filter_kernel, upsample
from .stylegan2 import Generator, Hooks, SynthesisBlock, SynthesisLayer, ToRGB

_EPSILON = 1e-8  # of the demodulation


class Frozen:
    """The synthesis of several generators of one resolution, with their stored noise.

    Args:
        generators: by name. Their weights must not change as long as this is used.
        dtype: precision of the convolutions; None for that of the weights.
    """

    @torch.no_grad()
    def __init__(self, generators: Mapping[str, Generator], dtype: torch.dtype | None = None) -> None:
        self._kernel = filter_kernel()
        self._blocks: dict[str, list[_Block]] = {}
        for name, generator in generators.items():
            blocks = [generator.synthesis.get_submodule(f"b{side}") for side in generator.config.block_resolutions]
            self._blocks[name] = [_Block(block, dtype) for block in blocks if isinstance(block, SynthesisBlock)]

    def __call__(self, codes: Mapping[str, Tensor], hooks: Mapping[str, Hooks]) -> dict[str, Tensor]:
        """G(w) of each: codes [B, 1 or num_ws, w_dim] → [B, 3, R, R] in the generator's range, in the precision of the
        codes. ``hooks``: by generator, see :class:`join_engine.networks.stylegan2.SynthesisNetwork`."""
        made = [self._shown(self._blocks[name], w.unbind(1), hooks.get(name, {})) for name, w in codes.items()]
        image: Tensor | None = None
        for rgbs in zip(*made, strict=True):  # of one resolution
            rgb = torch.cat(rgbs, dim=1)
            image = rgb if image is None else upsample(image, self._kernel) + rgb
        assert image is not None
        return dict(zip(codes, image.split([rgb.shape[1] for rgb in rgbs], dim=1), strict=True))

    def _shown(self, blocks: Sequence[_Block], codes: Sequence[Tensor], hooks: Hooks) -> list[Tensor]:
        """The RGB outputs from coarse to fine; ``codes``: one for all layers, or one for each."""
        found, layers = [], 0
        features = blocks[0].const.expand(len(codes[0]), -1, -1, -1)
        for block in blocks:
            for layer in block.layers:
                features = _Modulated.apply(features, codes[min(layers, len(codes) - 1)], layer)
                layers += 1
            side = features.shape[-1]
            if side in hooks:
                features = hooks[side](features)
            # The RGB output shares its code with the first convolution of the next block.
            found.append(_ToRGB.apply(features, codes[min(layers, len(codes) - 1)], block.rgb))
        return found


class _Affine:
    """Codes [B, w_dim] → styles [B, in], times ``gain``."""

    def __init__(self, affine: EqualizedLinear, gain: float = 1.0) -> None:
        self.weight = affine.weight * (affine.weight_gain * gain)
        self._bias = affine.bias * (affine.bias_gain * gain)

    def __call__(self, code: Tensor) -> Tensor:
        return F.linear(code, self.weight, self._bias)


class _Layer:
    """Of a :class:`SynthesisLayer`: ``energy`` [in, out] is that of its weights and ``least`` what is added to it,
    ``shift`` [1, out, R, R] bias and noise; the activation's gain is in all of them."""

    def __init__(self, layer: SynthesisLayer, dtype: torch.dtype | None) -> None:
        weight = layer.weight
        dtype = dtype or weight.dtype
        self.affine = _Affine(layer.affine)
        self.energy = weight.square().sum(dim=(2, 3)).t() / ACTIVATION_GAIN**2
        self.least = weight.new_full((1,), _EPSILON / ACTIVATION_GAIN**2)
        shift = layer.bias[:, None, None] + layer.noise_const * layer.noise_strength
        self.shift = _laid_out((shift * ACTIVATION_GAIN)[None], dtype)
        self.kernel = layer.kernel * 4.0 if layer.up else None  # 4 makes up for the inserted zeros
        if layer.up:  # a transposed convolution; its adjoint is the plain one with the same weights
            self.weight = self.adjoint = _laid_out(weight.transpose(0, 1), dtype)
        else:
            self.weight = _laid_out(weight, dtype)
            self.adjoint = _laid_out(weight.transpose(0, 1).flip(2, 3), dtype)


class _Rgb:
    def __init__(self, rgb: ToRGB) -> None:
        self.affine = _Affine(rgb.affine, rgb.weight_gain)
        self.weight, self.bias = rgb.weight[:, :, 0, 0], rgb.bias[:, None]


class _Block:
    def __init__(self, block: SynthesisBlock, dtype: torch.dtype | None) -> None:
        self.layers = [_Layer(layer, dtype) for layer in ([] if block.is_first else [block.conv0]) + [block.conv1]]
        self.rgb = _Rgb(block.torgb)
        if block.is_first:
            self.const = _laid_out(block.const[None], dtype or block.const.dtype)


def _laid_out(values: Tensor, dtype: torch.dtype) -> Tensor:
    """[…, C, H, W] as convolutions on CPUs like it best."""
    return values.to(dtype).contiguous(memory_format=torch.channels_last)


class _Modulated(torch.autograd.Function):
    """Features [B, in, H, W] and codes [B, w_dim] → a layer's [B, out, R, R]: y = leak(shift + d · W ∗ (s · x)), where
    s are the styles and d = (s² · energy + ε)^−½ (:func:`join_engine.networks.convolutions.modulated_conv2d`)."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, code: Tensor, layer: _Layer) -> Tensor:
        styles = layer.affine(code)
        scale = torch.addmm(layer.least, styles.square(), layer.energy).rsqrt_()
        scaled = features * _per_channel(styles, features)
        if layer.kernel is None:
            raw = F.conv2d(scaled, layer.weight, padding=1)
        else:
            raw = blur(F.conv_transpose2d(scaled, layer.weight, stride=2), layer.kernel, padding=(1, 1))
        found = F.leaky_relu_(torch.addcmul(layer.shift, raw, _per_channel(scale, raw)), LEAK)
        ctx.save_for_backward(features, styles, scale, raw, found)
        ctx.layer = layer
        return found

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, None]:  # type: ignore[override]
        features, styles, scale, raw, found = ctx.saved_tensors
        layer: _Layer = ctx.layer
        grad = torch.ops.aten.leaky_relu_backward(grad, found, LEAK, True)
        to_scale = (grad * raw).sum(dim=(2, 3)).to(scale.dtype)
        grad.mul_(_per_channel(scale, grad))
        if layer.kernel is None:
            grad = F.conv2d(grad, layer.adjoint, padding=1)
        else:
            grad = F.conv2d(blur(grad, layer.kernel, padding=(2, 2)), layer.adjoint, stride=2)
        to_styles = (grad * features).sum(dim=(2, 3)).to(styles.dtype)
        to_styles -= styles * ((to_scale * scale**3) @ layer.energy.t())
        to_features = grad.mul_(_per_channel(styles, grad)) if ctx.needs_input_grad[0] else None
        return to_features, to_styles @ layer.affine.weight, None


class _ToRGB(torch.autograd.Function):
    """Features [B, C, R, R] and codes [B, w_dim] → [B, 3, R, R]; as a product of matrices, whose weights, unlike the
    features, are small enough to be scaled."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, code: Tensor, rgb: _Rgb) -> Tensor:
        weight = (rgb.weight * rgb.affine(code)[:, None]).to(features.dtype)  # [B, 3, C]
        flat = features.permute(0, 2, 3, 1).flatten(1, 2)  # [B, R², C]
        ctx.save_for_backward(flat, weight)
        ctx.rgb, ctx.size = rgb, features.shape[2:]
        return (torch.bmm(weight, flat.transpose(1, 2)).to(code.dtype) + rgb.bias).unflatten(2, ctx.size)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:  # type: ignore[override]
        flat, weight = ctx.saved_tensors
        rgb: _Rgb = ctx.rgb
        grad = grad.flatten(2).to(flat.dtype)
        to_features = torch.bmm(grad.transpose(1, 2), weight).unflatten(1, ctx.size).permute(0, 3, 1, 2)
        to_styles = (torch.bmm(grad, flat).to(rgb.weight.dtype) * rgb.weight).sum(dim=1)
        return to_features, to_styles @ rgb.affine.weight, None


def _per_channel(values: Tensor, features: Tensor) -> Tensor:
    """[B, C] → what multiplies features [B, C, H, W]."""
    return values.to(features.dtype)[:, :, None, None]
