# SPDX-License-Identifier: GPL-3.0-or-later
"""A network that tells, pixel by pixel, whose an image's brightness is: the paint's, the light's or the gloss's.

Not in the paper, whose generators know no texture of the image at hand. It works from coarse to fine: a U-Net looks at
the picture at about 32 pixels, beside what the bank's generators make of it, and one small network, the same at every
scale, goes on from there, level by level. At each level it says which share of what is new at that scale is shading
(what is not is albedo), and which share of the darkest channel is specular. Shares of the image cannot invent anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..color import LUMINANCE_WEIGHTS, srgb_encode
from ..json_data import LATER, Described
from .limits import DEEPEST, LARGEST_SIDE, WIDEST, check_size, check_sizes
from .retinex import log_shading

EPSILON = 0.004  # of linear light: the logarithm of darker pixels is mostly that of noise
_SEEN = 9  # channels of _seen()
_CUES = 7  # channels of cues()
# Retinex with jumps of intensity and of chromaticity as they are best on objects, and with finer ones.
_RETINEX = ((0.4, 0.1), (0.15, 0.05))
# With jumps of chromaticity alone: where white paint meets dark, the light does not change, nor where a box has edges.
_CHROMATIC = ((math.inf, 0.1), (math.inf, 0.03))
_LIGHTS = {"retinex": _RETINEX, "chromatic": _CHROMATIC}
"""By the name in :class:`SplitConfig`: jumps of intensity and of chromaticity, pair by pair."""
_SHARE_REACH = 0.1  # a share of shading may go that far below 0 and above 1
# Natural logarithms of the expected error: at first, at least and at most.
_ERROR, _LEAST_ERROR, _LARGEST_ERROR = -1.5, -7.0, 3.0


@dataclass(frozen=True)
class SplitConfig(Described):
    """Architecture of a split network.

    Attributes:
        widths: channels of the U-Net at the coarsest level, at 1, 1/2, 1/4 … of its size.
        width: channels at the finer levels.
        blocks: residual blocks at the finer levels.
        state: channels that are handed from level to level.
        coarsest: the shorter side of the coarsest level is at least that many pixels, and less than twice as many.
        specular: whether there is a specular layer.
        inner: channels of the U-Net around the middle of the finer levels' blocks, at 1/2, 1/4 … of a level's size;
            none for no such U-Net.
        retinex: whether it sees what colour Retinex makes of each level.
        chromatic: whether it sees what Retinex by chromaticity alone makes of it.
    """

    widths: tuple[int, ...] = (48, 96, 128, 160)
    width: int = 28
    blocks: int = 2
    state: int = 16
    coarsest: int = 32
    specular: bool = True
    inner: tuple[int, ...] = field(default=(), metadata=LATER)
    retinex: bool = field(default=False, metadata=LATER)
    chromatic: bool = field(default=False, metadata=LATER)

    def __post_init__(self) -> None:
        check_sizes("widths", self.widths, WIDEST)
        if self.inner:
            check_sizes("inner", self.inner, WIDEST)
        check_size("width", self.width, WIDEST)
        check_size("blocks", self.blocks, DEEPEST)
        check_size("state", self.state, WIDEST)
        check_size("coarsest", self.coarsest, LARGEST_SIDE)

    def grows_to(self, larger: SplitConfig) -> bool:
        """Whether a larger network can begin as this one, so that what is new changes nothing at first: more blocks
        (not around a U-Net, which stands in their middle), a U-Net inside them or one that goes deeper, the sight of
        Retinex, by chromaticity alone or not."""
        blocks = larger.blocks if self.blocks <= larger.blocks and not self.inner else self.blocks
        inner = larger.inner if larger.inner[: len(self.inner)] == self.inner else self.inner
        sees = {name: getattr(self, name) or getattr(larger, name) for name in ("retinex", "chromatic")}
        return replace(self, blocks=blocks, inner=inner, **sees) == larger


class Level(NamedTuple):
    """What the network says of one level; all [B, C, h, w].

    Attributes:
        image: the picture at this size, linear, [B, 3, h, w].
        share: of what is new at this level, how much is shading (1 channel).
        shading: natural logarithm of the grey shading, but for a constant (1).
        gloss: share of the specular in the darkest channel (1).
        specular: linear, grey (1).
        error: natural logarithm of the errors that it expects: of the albedo's and the shading's logarithm and of the
            specular, sRGB-encoded (3).
    """

    image: Tensor
    share: Tensor
    shading: Tensor
    gloss: Tensor
    specular: Tensor
    error: Tensor


class Split(nn.Module):
    """See the module. What :meth:`SplitConfig.grows_to` allows changes nothing before it is trained."""

    def __init__(self, config: SplitConfig) -> None:
        super().__init__()
        self.config = config
        first, *rest = self.config.widths
        said = 5 + self.config.state
        self.into = nn.Conv2d(_SEEN + _CUES, first, 3, padding=1)
        self.first = _Block(first, normed=True)
        pairs = list(zip(self.config.widths, rest, strict=False))
        self.downs = nn.ModuleList(
            nn.Sequential(nn.Conv2d(a, b, 3, stride=2, padding=1), _Block(b, normed=True)) for a, b in pairs
        )
        last = self.config.widths[-1]
        self.whole = nn.Linear(2 * last, last)
        self.narrows = nn.ModuleList(nn.Conv2d(b, a, 1) for a, b in pairs)
        self.ups = nn.ModuleList(_Block(a, normed=True) for a, _ in pairs)
        self.out = nn.Conv2d(first, said + 1, 3, padding=1)
        self.finer_into = nn.Conv2d(_SEEN + 8 + self.config.state, self.config.width, 3, padding=1)
        self.finer = nn.Sequential(*(_Block(self.config.width) for _ in range(self.config.blocks)))
        self.finer_out = nn.Conv2d(self.config.width, said, 3, padding=1)
        inner = self.config.inner
        self.inner = _Inner((self.config.width, *inner)) if inner else nn.Identity()
        for name in self._lights:
            for place, width in (("into", first), ("finer_into", self.config.width)):
                sight = _silent(nn.Conv2d(2 * len(_LIGHTS[name]), width, 3, padding=1, bias=False))
                self.add_module(f"{name}_{place}", sight)

    def forward(self, image: Tensor, visible: Tensor, cues: Tensor) -> list[Level]:
        """What it says at each level, coarse to fine.

        Args:
            image: linear [B, 3, H, W] in [0, 1].
            visible: [B, 1, H, W] in [0, 1]: 0 where the picture is cut out.
            cues: [B, 7, h, w] of any size, from :func:`cues`.
        """
        images, masks = self._pyramid(image), self._pyramid(visible)
        x = self.into(torch.cat([_seen(images[-1], masks[-1]), _fitted(cues, images[-1])], dim=1))
        lights = {name: [_retinex(level, _LIGHTS[name]) for level in images] for name in self._lights}
        for name, found in lights.items():
            finer = halved(found[-2]) if len(images) > 1 else found[-1]
            x = x + self.get_submodule(f"{name}_into")(torch.cat([found[-1], finer], dim=1))
        said = self._coarsest(x)
        level, state = self._level(images[-1], said[:, 1:], said[:, :1], centred_light)
        levels = [level]
        for index in range(len(images) - 2, -1, -1):
            beside = {name: found[index] for name, found in lights.items()}
            level, state = self._finer(images[index], masks[index], beside, level, state)
            levels.append(level)
        return levels

    def fitting_size(self, height: int, width: int) -> tuple[int, int]:
        """The size next to that of a picture at which it can be halved evenly, level by level, and in the U-Net.

        At another one the U-Net's grids do not lie over each other, as they did in training.
        """
        while True:
            shorter, step = min(height, width), 2 ** (len(self.config.widths) - 1)
            while shorter >= 2 * self.config.coarsest:
                shorter, step = (shorter + 1) // 2, 2 * step
            size = max(step, round(height / step) * step), max(step, round(width / step) * step)
            if size == (height, width):
                return size
            height, width = size

    @property
    def _lights(self) -> list[str]:
        """Which simple methods' light it sees, names of :data:`_LIGHTS`."""
        return [name for name in _LIGHTS if getattr(self.config, name)]

    def _pyramid(self, image: Tensor) -> list[Tensor]:
        levels = [image]
        while min(levels[-1].shape[2:]) >= 2 * self.config.coarsest:
            levels.append(halved(levels[-1]))
        return levels

    def _coarsest(self, x: Tensor) -> Tensor:
        x = self.first(x)
        kept = []
        for down in self.downs:
            kept.append(x)
            x = down(x)
        whole = self.whole(torch.cat([x.mean(dim=(2, 3)), x.amax(dim=(2, 3))], dim=1))
        x = x + whole[:, :, None, None]
        for narrow, up, beside in zip(reversed(self.narrows), reversed(self.ups), reversed(kept), strict=True):
            x = up(resized(narrow(x), beside) + beside)
        return self.out(functional.silu(x)).float()  # type: ignore[no-any-return]

    def _finer(
        self, image: Tensor, mask: Tensor, lights: Mapping[str, Tensor], before: Level, state: Tensor
    ) -> tuple[Level, Tensor]:
        specular = resized(before.specular, image)
        shading = resized(before.shading, image)
        diffuse = log_light(luminance((image - specular).clamp_min(0.0)))
        told = [
            shading / 3.0,
            (specular + EPSILON).log() / 3.0,
            resized(before.error, image) / 3.0,
            diffuse - resized(halved(diffuse), image),
            resized(before.share, image),
            resized(before.gloss, image),
        ]
        x = self.finer_into(torch.cat([_seen(image, mask), resized(state, image), *told], dim=1))
        for name, light in lights.items():
            fine = light - resized(halved(light), light)
            x = x + self.get_submodule(f"{name}_finer_into")(torch.cat([light, fine], dim=1))
        middle = (len(self.finer) + 1) // 2
        x = self.finer[middle:](self.inner(self.finer[:middle](x)))
        said = self.finer_out(functional.silu(x)).float()
        return self._level(image, said, shading, new_light)

    def _level(
        self, image: Tensor, said: Tensor, shading: Tensor, change: Callable[[Tensor], Tensor]
    ) -> tuple[Level, Tensor]:
        """From the raw numbers to a level; ``shading`` is that of the level before, brought to this size, and
        ``change`` tells of diffuse light what the share is a share of."""
        share = said[:, :1].sigmoid() * (1.0 + 2.0 * _SHARE_REACH) - _SHARE_REACH
        gloss = said[:, 1:2].sigmoid() if self.config.specular else torch.zeros_like(share)
        specular = specular_of(image, gloss)
        error = (said[:, 2:5] + _ERROR).clamp(_LEAST_ERROR, _LARGEST_ERROR)
        level = Level(image, share, shading + share * change(image - specular), gloss, specular, error)
        return level, said[:, 5:]


def cues(albedo: Tensor | None, shading: Tensor | None, specular: Tensor | None, like: Tensor) -> Tensor:
    """What a bank's generators make of a picture, as the network looks at it: [B, 7, R, R].

    Args:
        albedo, shading, specular: linear [B, 3, R, R] ≥ 0; None for one that is not there, and the albedo's None for a
            picture of which nothing is told.
        like: a tensor [B, …] for batch and device.
    """
    if albedo is None or shading is None:
        return torch.zeros(len(like), _CUES, 1, 1, device=like.device)
    gloss = luminance(specular) if specular is not None else torch.zeros_like(albedo[:, :1])
    said = [log_light(albedo) / 3.0 + 0.5, log_light(luminance(shading)) / 3.0, srgb_encode(gloss.clamp(0.0, 1.0))]
    return torch.cat([*said, luminance(albedo), torch.ones_like(gloss)], dim=1)


def specular_of(image: Tensor, gloss: Tensor) -> Tensor:
    """The grey specular layer [B, 1, H, W]: a share [B, 1, H, W] of the most that grey light leaves room for."""
    return gloss * image.amin(dim=1, keepdim=True)


def log_light(linear: Tensor) -> Tensor:
    """Natural logarithm of linear light, finite in the dark."""
    return (linear + EPSILON).log()


def new_light(diffuse: Tensor) -> Tensor:
    """What is new at this size: the logarithm of the luminance against that of the size below, [B, 1, H, W]."""
    light = log_light(luminance(diffuse.clamp_min(0.0)))
    return light - resized(halved(light), light)


def centred_light(diffuse: Tensor) -> Tensor:
    """The logarithm of the luminance against its mean, [B, 1, H, W]."""
    light = log_light(luminance(diffuse.clamp_min(0.0)))
    return light - light.mean(dim=(2, 3), keepdim=True)


def luminance(linear: Tensor) -> Tensor:
    """[B, 3, H, W] → [B, 1, H, W]."""
    weights = linear.new_tensor(LUMINANCE_WEIGHTS)[None, :, None, None]
    return (linear * weights).sum(dim=1, keepdim=True)


def halved(image: Tensor) -> Tensor:
    """Half as wide and high (rounded up), averaged."""
    height, width = image.shape[2:]
    if height % 2 or width % 2:
        size = (height + 1) // 2, (width + 1) // 2
        return functional.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)
    return functional.avg_pool2d(image, 2)


def in_cells(shorter: int, *planes: Tensor, most: float = math.inf) -> tuple[Tensor, ...]:
    """Planes [B, C, H, W] of one size, halved until there are fewer than twice ``shorter`` cells on the shorter side,
    and at most ``most`` in all."""
    while min(planes[0].shape[2:]) >= 2 * shorter or math.prod(planes[0].shape[2:]) > most:
        planes = tuple(halved(part) for part in planes)
    return planes


def at_most(longer: int, *planes: Tensor) -> tuple[Tensor, ...]:
    """Planes [B, C, H, W] of one size, halved until their longer side has at most ``longer`` pixels."""
    while max(planes[0].shape[2:]) > longer:
        planes = tuple(halved(part) for part in planes)
    return planes


def resized(image: Tensor, like: Tensor) -> Tensor:
    """As large as another, smoothly."""
    return functional.interpolate(image, like.shape[2:], mode="bilinear", align_corners=False)


def _fitted(image: Tensor, like: Tensor) -> Tensor:
    """As large as another, averaged where it becomes smaller."""
    return functional.interpolate(image, like.shape[2:], mode="bilinear", align_corners=False, antialias=True)


def _seen(image: Tensor, visible: Tensor) -> Tensor:
    """A linear image as the networks look at it, [B, 9, H, W]."""
    light = log_light(image)
    grey = light.mean(dim=1, keepdim=True)
    colours = light[:, ::2] - light[:, 1:2]
    clipped = ((image.amax(dim=1, keepdim=True) - 0.9) * 10.0).clamp(0.0, 1.0)
    darkest = image.amin(dim=1, keepdim=True).clamp_min(0.0).sqrt()
    return torch.cat([srgb_encode(image) * 2.0 - 1.0, grey / 3.0 + 0.7, colours, clipped, darkest, visible], dim=1)


def _retinex(image: Tensor, thresholds: Sequence[tuple[float, float]]) -> Tensor:
    """What colour Retinex makes of a level, as the networks look at it, [B, C, H, W]: with each pair of thresholds."""
    light = torch.cat([log_shading(image, *pair) for pair in thresholds], dim=1)
    return (light - light.mean(dim=(2, 3), keepdim=True)) / 3.0


def _silent(layer: nn.Conv2d) -> nn.Conv2d:
    """A layer that says nothing before it is trained."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)
    return layer


class _Block(nn.Module):
    """Two convolutions beside a short cut: on normalised values, or such that they see nothing but their surroundings
    and say nothing before they are trained."""

    def __init__(self, width: int, normed: bool = False) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width) if normed else nn.Identity()
        self.first = nn.Conv2d(width, width, 3, padding=1)
        second = nn.Conv2d(width, width, 3, padding=1)
        self.second = second if normed else _silent(second)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(functional.silu(self.first(functional.silu(self.norm(x)))))  # type: ignore[no-any-return]


class _Inner(nn.Module):
    """A U-Net beside a short cut, which sees a wider surrounding: what relief does with the light shows in how its two
    sides differ.

    Args:
        widths: channels at 1, 1/2, 1/4 … of the size.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        width, half, *rest = widths
        self.down = nn.Conv2d(width, half, 3, stride=2, padding=1)
        self.before = _Block(half)
        self.inner = nn.Sequential(_Inner((half, *rest)), _Block(half)) if rest else nn.Identity()
        self.up = _silent(nn.Conv2d(half, width, 1))

    def forward(self, x: Tensor) -> Tensor:
        inside = self.inner(self.before(self.down(functional.silu(x))))
        return x + resized(self.up(functional.silu(inside)), x)  # type: ignore[no-any-return]
