# SPDX-License-Identifier: GPL-3.0-or-later
"""StyleGAN2: generator with skip connections, residual discriminator (Karras et al. 2020, arXiv:1912.04958).

Written from the paper. Equal in function to the published networks, and modules carry the published names
(``mapping.fc0``, ``synthesis.b8.conv0.affine``, ``b64.fromrgb`` …), so that a public checkpoint maps one to one.
Weights are float32. ``dtype=torch.bfloat16`` runs the convolutions in bfloat16; codes, styles, demodulation, the
sum of the RGB outputs and the logits stay in float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import nn

from ..json_data import Described
from .convolutions import ACTIVATION_GAIN, LEAK, EqualizedConv, EqualizedLinear, add_filter, modulated_conv2d
from .limits import DEEPEST, LARGEST_SIDE, LONGEST_CODE, WIDEST, check_size
from .resample import upsample

NOISE_MODES = ("const", "random", "none")
# By resolution, what is made of the features [B, C, r, r] there before they go on, and into the RGB output.
Hooks = Mapping[int, Callable[[torch.Tensor], torch.Tensor]]
_LARGEST = {
    "resolution": LARGEST_SIDE,
    "z_dim": LONGEST_CODE,
    "w_dim": LONGEST_CODE,
    "channel_base": WIDEST * LARGEST_SIDE,
    "mapping_layers": DEEPEST,
}


@dataclass(frozen=True)
class GeneratorConfig(Described):
    """Architecture of a generator and of the discriminator that goes with it.

    Attributes:
        resolution: side of the square image, a power of two, at least 8.
        z_dim: size of the Gaussian input.
        w_dim: size of a latent code.
        channel_base: width at resolution 1; a layer at resolution r is min(channel_max, channel_base // r) wide.
        channel_max: the greatest width.
        mapping_layers: depth of the mapping network.
        image_channels: channels of the image.
    """

    resolution: int = 64
    z_dim: int = 128
    w_dim: int = 128
    channel_base: int = 1024
    channel_max: int = 64
    mapping_layers: int = 8
    image_channels: int = 3

    def __post_init__(self) -> None:
        for field in fields(self):
            check_size(field.name, getattr(self, field.name), _LARGEST.get(field.name, WIDEST))
        if self.resolution < 8 or self.resolution & (self.resolution - 1):
            raise ValueError(f"resolution must be a power of two from 8 on, not {self.resolution}")
        if self.channel_base < self.resolution:
            raise ValueError(f"channel_base must be at least the resolution, not {self.channel_base}")

    @property
    def block_resolutions(self) -> list[int]:
        """[4, 8, …, resolution]."""
        return [2**power for power in range(2, int(math.log2(self.resolution)) + 1)]

    @property
    def num_ws(self) -> int:
        """How many codes the synthesis takes: one per convolution and one for the last RGB output."""
        return 2 * int(math.log2(self.resolution)) - 2

    def width(self, resolution: int) -> int:
        """Channels of the layers at ``resolution``."""
        return min(self.channel_max, self.channel_base // resolution)

    @classmethod
    def published(cls, resolution: int, image_channels: int = 3) -> GeneratorConfig:
        """StyleGAN2's own sizes: 512 channels up to 64², then half as many at each doubling, 32 at 1024²."""
        return cls(resolution, 512, 512, 32768, 512, 8, image_channels)


class MappingNetwork(nn.Module):
    """z → w: [B, z_dim] → [B, w_dim]; z is normalised to unit second moment first."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.layers = config.mapping_layers
        for index in range(self.layers):
            in_features = config.z_dim if index == 0 else config.w_dim
            layer = EqualizedLinear(in_features, config.w_dim, activate=True, lr_multiplier=0.01)
            self.add_module(f"fc{index}", layer)

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        codes = z * (z.square().mean(dim=1, keepdim=True) + 1e-8).rsqrt()
        for index in range(self.layers):
            codes = self.get_submodule(f"fc{index}")(codes)
        return codes


class SynthesisLayer(nn.Module):
    """Modulated 3×3 convolution, noise, bias, leaky ReLU; ``up`` doubles the resolution.

    Args:
        resolution: of the output.

    Attributes:
        noise_share: (k, n): this process makes the samples k, k + n, k + 2n … of a batch that n processes share, and
            takes their part of the random noise of the whole batch.
    """

    noise_const: torch.Tensor
    kernel: torch.Tensor

    def __init__(self, in_channels: int, out_channels: int, w_dim: int, resolution: int, up: bool) -> None:
        super().__init__()
        self.resolution = resolution
        self.up = up
        self.noise_share = (0, 1)
        self.affine = EqualizedLinear(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 3, 3))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.noise_strength = nn.Parameter(torch.zeros(()))
        self.register_buffer("noise_const", torch.randn(resolution, resolution))
        add_filter(self)

    def forward(self, features: torch.Tensor, w: torch.Tensor, noise: str) -> torch.Tensor:
        """[B, in, H, W] and [B, w_dim] → [B, out, resolution, resolution]."""
        features = modulated_conv2d(
            features,
            self.weight,
            self.affine(w),
            upsample_filter=self.kernel if self.up else None,
            output_gain=ACTIVATION_GAIN,  # before the leaky ReLU instead of after it: it is homogeneous
            bias=self.bias,
        )
        if noise != "none":
            features = features + (self._noise(len(features), noise) * ACTIVATION_GAIN).to(features.dtype)
        return F.leaky_relu(features, LEAK)

    def _noise(self, count: int, noise: str) -> torch.Tensor:
        """[1 or B, 1, H, W], already times its strength."""
        size = self.resolution
        if noise == "const":
            return self.noise_const.view(1, 1, size, size) * self.noise_strength
        part, parts = self.noise_share
        drawn = torch.randn(count * parts, 1, size, size, device=self.noise_strength.device)
        return drawn[part::parts] * self.noise_strength


class ToRGB(nn.Module):
    """Modulated 1×1 convolution to the image's channels, without demodulation."""

    def __init__(self, in_channels: int, out_channels: int, w_dim: int) -> None:
        super().__init__()
        self.affine = EqualizedLinear(w_dim, in_channels, bias_init=1.0)
        self.weight = nn.Parameter(torch.randn(out_channels, in_channels, 1, 1))
        self.bias = nn.Parameter(torch.zeros(out_channels))
        self.weight_gain = 1.0 / math.sqrt(in_channels)

    def forward(self, features: torch.Tensor, w: torch.Tensor) -> torch.Tensor:
        """[B, in, H, W] and [B, w_dim] → [B, out, H, W]."""
        styles = self.affine(w) * self.weight_gain
        return modulated_conv2d(features, self.weight, styles, demodulate=False, bias=self.bias)


class SynthesisBlock(nn.Module):
    """All layers of one resolution; the one at 4×4 starts from a learnt constant."""

    kernel: torch.Tensor

    def __init__(self, config: GeneratorConfig, resolution: int) -> None:
        super().__init__()
        self.is_first = resolution == 4
        width = config.width(resolution)
        if self.is_first:
            self.const = nn.Parameter(torch.randn(width, 4, 4))
        else:
            self.conv0 = SynthesisLayer(config.width(resolution // 2), width, config.w_dim, resolution, up=True)
        self.conv1 = SynthesisLayer(width, width, config.w_dim, resolution, up=False)
        self.torgb = ToRGB(width, config.image_channels, config.w_dim)
        add_filter(self)

    @property
    def num_convs(self) -> int:
        """Convolutions in this block, each with a code of its own."""
        return 1 if self.is_first else 2

    def convolved(
        self, features: torch.Tensor | None, ws: torch.Tensor, noise: str, dtype: torch.dtype
    ) -> torch.Tensor:
        """Features at half the resolution → at this one; ``ws`` is [B, num_convs + 1, w_dim]."""
        if features is None:
            features = self.const.to(dtype).expand(len(ws), -1, -1, -1)
        else:
            features = self.conv0(features, ws[:, 0], noise)
        return self.conv1(features, ws[:, self.num_convs - 1], noise)  # type: ignore[no-any-return]

    def shown(self, features: torch.Tensor, image: torch.Tensor | None, ws: torch.Tensor) -> torch.Tensor:
        """The image at half the resolution, and features at this one → the image at this one."""
        rgb = self.torgb(features, ws[:, self.num_convs]).to(self.torgb.weight.dtype)
        return rgb if image is None else upsample(image, self.kernel) + rgb


class SynthesisNetwork(nn.Module):
    """Codes → image."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.num_ws = config.num_ws
        self.w_dim = config.w_dim
        self.block_resolutions = config.block_resolutions
        for resolution in self.block_resolutions:
            self.add_module(f"b{resolution}", SynthesisBlock(config, resolution))

    def forward(
        self, ws: torch.Tensor, noise: str = "const", dtype: torch.dtype = torch.float32, hooks: Hooks | None = None
    ) -> torch.Tensor:
        """Codes → image in the generator's range, about [-1, 1] but not clipped.

        Args:
            ws: [B, num_ws, w_dim], or [B, w_dim] to use one code throughout.
            noise: "const" (the stored noise), "random" or "none".
            dtype: precision of the convolutions.
            hooks: by resolution, what is made of a block's features between its last convolution and its RGB output.

        Returns:
            [B, 3, H, W] in the precision of the weights (float32).

        Raises:
            ValueError: codes of the wrong shape, an unknown kind of noise, or a hook where no RGB output follows.
        """
        if noise not in NOISE_MODES:
            raise ValueError(f"noise must be one of {', '.join(NOISE_MODES)}, not {noise!r}")
        if ws.dim() == 2:
            ws = ws[:, None].expand(-1, self.num_ws, -1)
        if ws.dim() != 3 or ws.shape[1:] != (self.num_ws, self.w_dim):
            raise ValueError(f"codes must be [B, {self.num_ws}, {self.w_dim}], not {list(ws.shape)}")
        hooks = hooks or {}
        unknown = sorted(set(hooks) - set(self.block_resolutions))
        if unknown:
            raise ValueError(f"no RGB output follows features at {unknown[0]} pixels, so they would change nothing")
        features: torch.Tensor | None = None
        image: torch.Tensor | None = None
        for resolution, block, codes in self.blocks(ws):
            features = block.convolved(features, codes, noise, dtype)
            if resolution in hooks:
                features = hooks[resolution](features)
            image = block.shown(features, image, codes)
        assert image is not None
        return image

    def blocks(self, ws: torch.Tensor) -> Iterator[tuple[int, SynthesisBlock, torch.Tensor]]:
        """From coarse to fine: the resolution, the block, and its share of the codes [B, num_ws, w_dim]."""
        first = 0
        for resolution in self.block_resolutions:
            block = self.get_submodule(f"b{resolution}")
            assert isinstance(block, SynthesisBlock)
            # The RGB output shares its code with the first convolution of the next block.
            yield resolution, block, ws[:, first : first + block.num_convs + 1]
            first += block.num_convs


class Generator(nn.Module):
    """z → w → image. ``w_avg`` is the running mean of w, [w_dim]; training keeps it, files store it apart."""

    w_avg: torch.Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.mapping = MappingNetwork(config)
        self.synthesis = SynthesisNetwork(config)
        self.register_buffer("w_avg", torch.zeros(config.w_dim))

    @property
    def num_ws(self) -> int:
        """How many codes :attr:`synthesis` takes."""
        return self.config.num_ws

    def truncate(self, w: torch.Tensor, psi: float) -> torch.Tensor:
        """Pull codes towards ``w_avg``: psi 1 leaves them, 0 gives the mean; any shape that ends in w_dim."""
        return self.w_avg + (w - self.w_avg) * psi

    def forward(self, z: torch.Tensor, noise: str = "random", psi: float = 1.0) -> torch.Tensor:
        """[B, z_dim] → [B, 3, H, W] in the generator's range."""
        return self.synthesis(self.truncate(self.mapping(z), psi), noise)


class DiscriminatorBlock(nn.Module):
    """Residual block: [B, in, H, W] → [B, out, H/2, W/2]."""

    def __init__(self, config: GeneratorConfig, resolution: int) -> None:
        super().__init__()
        width = config.width(resolution)
        next_width = config.width(resolution // 2)
        if resolution == config.resolution:
            self.fromrgb = EqualizedConv(config.image_channels, width, 1)
        self.conv0 = EqualizedConv(width, width, 3)
        self.conv1 = EqualizedConv(width, next_width, 3, down=True)
        self.skip = EqualizedConv(width, next_width, 1, bias=False, activate=False, down=True)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        half = math.sqrt(0.5)  # the sum of the two branches keeps their variance
        skipped = self.skip(features, gain=half)
        return skipped + self.conv1(self.conv0(features), gain=half)


class MinibatchStandardDeviation(nn.Module):
    """One more channel: how much the images of a group of 4 differ (Karras et al. 2018, section 3). A batch that is not
    a multiple of that makes groups of its greatest divisor below."""

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """[B, C, H, W] → [B, C + 1, H, W]."""
        count, channels, height, width = features.shape
        group = next(size for size in range(min(4, count), 0, -1) if count % size == 0)
        # Member g of group m is image g · (B / group) + m, as published.
        grouped = features.reshape(group, count // group, channels, height, width)
        deviation = (grouped - grouped.mean(dim=0)).square().mean(dim=0).add(1e-8).sqrt()
        mean = deviation.mean(dim=(1, 2, 3)).view(1, -1, 1, 1, 1)  # [1, B/group, 1, 1, 1]
        mean = mean.expand(group, -1, 1, height, width).reshape(count, 1, height, width)
        return torch.cat([features, mean], dim=1)


class DiscriminatorEpilogue(nn.Module):
    """[B, C, 4, 4] → [B, 1]."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        width = config.width(4)
        self.mbstd = MinibatchStandardDeviation()
        self.conv = EqualizedConv(width + 1, width, 3)
        self.fc = EqualizedLinear(width * 16, width, activate=True)
        self.out = EqualizedLinear(width, 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        features = self.conv(self.mbstd(features))
        return self.out(self.fc(features.flatten(1)))


class Discriminator(nn.Module):
    """Images → logits, large for real ones. Mirrors the generator of the same ``config``."""

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        for resolution in reversed(config.block_resolutions[1:]):
            self.add_module(f"b{resolution}", DiscriminatorBlock(config, resolution))
        self.b4 = DiscriminatorEpilogue(config)

    def forward(self, images: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        """[B, 3, H, W] in the generator's range → logits [B, 1] in the precision of the weights.

        Raises:
            ValueError: images of another size than the discriminator's.
        """
        expected = (self.config.image_channels, self.config.resolution, self.config.resolution)
        if images.dim() != 4 or images.shape[1:] != expected:
            raise ValueError(f"images must be [B, {', '.join(map(str, expected))}], not {list(images.shape)}")
        first = self.get_submodule(f"b{self.config.resolution}")
        assert isinstance(first, DiscriminatorBlock)
        features = first.fromrgb(images.to(dtype))
        for resolution in reversed(self.config.block_resolutions[1:]):
            features = self.get_submodule(f"b{resolution}")(features)
        return self.b4(features.to(self.b4.out.weight.dtype))


def generate(
    generator: Generator, w: torch.Tensor, dtype: torch.dtype | None = None, hooks: Hooks | None = None
) -> torch.Tensor:
    """G(w) with fixed noise: codes [B, 1 or num_ws, w_dim] → [B, 3, R, R] in the generator's range.

    ``dtype`` is that of the convolutions (None: of the codes); what comes out is in the precision of the weights.
    ``hooks``: see :class:`SynthesisNetwork`.
    """
    return generator.synthesis(w.expand(-1, generator.num_ws, -1), "const", dtype or w.dtype, hooks)
