# SPDX-License-Identifier: GPL-3.0-or-later
"""StyleGAN2's building blocks: layers with an equalised learning rate and the modulated convolution.

Equalised learning rate (Karras et al. 2018, section 4.1): weights are stored with unit variance and scaled by
He's constant when used, so that Adam's step has the same relative size in every layer.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from .resample import blur, downsample, filter_kernel

LEAK = 0.2
# Keeps the second moment through a leaky ReLU (√2 as StyleGAN2 has it, exact for a plain ReLU).
ACTIVATION_GAIN = math.sqrt(2.0)
_EPSILON = 1e-8  # of the demodulation


class EqualizedLinear(nn.Module):
    """Linear layer [B, in] → [B, out] with an equalised learning rate.

    Args:
        activate: apply the scaled leaky ReLU.
        lr_multiplier: this layer learns so many times as fast as the optimiser's rate says (0.01 in the mapping).
        bias_init: the bias at the start.
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        activate: bool = False,
        lr_multiplier: float = 1.0,
        bias_init: float = 0.0,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_features, in_features) / lr_multiplier)
        self.bias = nn.Parameter(torch.full((out_features,), bias_init / lr_multiplier))
        self.weight_gain = lr_multiplier / math.sqrt(in_features)
        self.bias_gain = lr_multiplier
        self.activate = activate

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        outputs = F.linear(inputs, self.weight * self.weight_gain, self.bias * self.bias_gain)
        return F.leaky_relu(outputs, LEAK) * ACTIVATION_GAIN if self.activate else outputs


class EqualizedConv(nn.Module):
    """Convolution [B, in, H, W] → [B, out, H, W], or half that size, with an equalised learning rate.

    Args:
        kernel_size: 1 or 3.
        bias: learn a bias.
        activate: apply the scaled leaky ReLU.
        down: filter with [1, 3, 3, 1] and halve the resolution.
    """

    kernel: torch.Tensor

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        bias: bool = True,
        activate: bool = True,
        down: bool = False,
    ) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, kernel_size, kernel_size))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        self.weight_gain = 1.0 / math.sqrt(in_channels * kernel_size**2)
        self.activate = activate
        self.down = down
        add_filter(self)

    def forward(self, inputs: torch.Tensor, gain: float = 1.0) -> torch.Tensor:
        """The output is multiplied by ``gain``; it is folded into the weights, which are smaller than the images."""
        if self.activate:
            gain *= ACTIVATION_GAIN  # a leaky ReLU is homogeneous: gain before it is gain after it
        weight = (self.weight * (self.weight_gain * gain)).to(inputs.dtype)
        bias = None if self.bias is None else (self.bias * gain).to(inputs.dtype)
        outputs = self._convolve(inputs, weight, bias)
        return F.leaky_relu(outputs, LEAK) if self.activate else outputs

    def _convolve(self, inputs: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        if not self.down:
            return F.conv2d(inputs, weight, bias, padding=weight.shape[-1] // 2)
        if weight.shape[-1] == 1:
            return F.conv2d(downsample(inputs, self.kernel), weight, bias)
        return F.conv2d(blur(inputs, self.kernel, padding=(2, 2)), weight, bias, stride=2)


def add_filter(module: nn.Module) -> None:
    """Give ``module`` the resampling filter as a buffer ``kernel``, which no file needs to store."""
    module.register_buffer("kernel", filter_kernel(), persistent=False)


def modulated_conv2d(
    inputs: torch.Tensor,
    weight: torch.Tensor,
    styles: torch.Tensor,
    demodulate: bool = True,
    upsample_filter: torch.Tensor | None = None,
    output_gain: float = 1.0,
    bias: torch.Tensor | None = None,
) -> torch.Tensor:
    """Modulated convolution (StyleGAN2, section 2.2): one shared weight, scaled per sample by ``styles``.

    Scales the input by the style and the output by the demodulation, which equals the published per-sample weights
    exactly, needs no grouped convolution and, when the weight is frozen, only the gradient of the input.

    Args:
        inputs: [B, in, H, W].
        weight: [out, in, k, k].
        styles: [B, in].
        demodulate: divide by the expected standard deviation of the output, √(Σ (style · weight)² + ε) of Eq. 3.
        upsample_filter: a [4, 4] filter of sum 1; doubles the resolution with it.
        output_gain: multiplies output and ``bias``.
        bias: [out] or anything that broadcasts to the output; added at the end.

    Returns:
        [B, out, H, W] or [B, out, 2H, 2W], in the precision of ``inputs``.
    """
    dtype = inputs.dtype
    inputs = inputs * styles.to(dtype)[:, :, None, None]
    shared = weight.to(dtype)
    if upsample_filter is None:
        outputs = F.conv2d(inputs, shared, padding=weight.shape[-1] // 2)
    else:
        # Zero-insertion and convolution in one, then the filter; 4 makes up for the inserted zeros.
        outputs = F.conv_transpose2d(inputs, shared.transpose(0, 1), stride=2)
        outputs = blur(outputs, upsample_filter * 4.0, padding=(1, 1))
    scale = None if output_gain == 1.0 else styles.new_full((1, 1, 1, 1), output_gain)
    if demodulate:
        energy = weight.square().sum(dim=(2, 3))  # [out, in]
        scale = ((styles.square() @ energy.t() + _EPSILON).rsqrt() * output_gain)[:, :, None, None]
    if bias is None:
        return outputs if scale is None else outputs * scale.to(dtype)
    shift = (bias * output_gain).to(dtype)
    shift = shift[None, :, None, None] if shift.dim() == 1 else shift
    return outputs + shift if scale is None else torch.addcmul(shift, outputs, scale.to(dtype))
