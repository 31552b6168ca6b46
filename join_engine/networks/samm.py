# SPDX-License-Identifier: GPL-3.0-or-later
"""The spatial alignment and masking module of SAMM (Yang et al., "Out-of-domain GAN inversion via invertibility
decomposition"; supplement, section 2.1, Tab. 1 and 2): what the encoders see of a picture is compared with what the
generators make of their codes, which tells how the generators' features are to be moved and what the picture shows that
they cannot make.

As published: features F_i of the encoder and g_i of the generator at several resolutions, f_i of a learned 1×1
convolution of F_i, and for each resolution a module of its own that tells flow and mask from f_i and g_i, twice, the
second time from what the first flow has moved; the moved features go on through the generator. Here one flow and one
mask belong to all generators of a bank: F_i and g_i are those of all its encoders and generators side by side, and g_i,
too, is narrowed by a 1×1 convolution, as three generators would make a module nine times as large. There are encoders'
features up to half of the picture's side; at the whole, F_i is the picture itself.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..json_data import Described
from .encoder import Encoder, EncoderConfig
from .limits import DEEPEST, LARGEST_SIDE, WIDEST, check_size, check_sizes
from .residuals import aligned, smoothed
from .stylegan2 import Generator, GeneratorConfig, Hooks

REACH = 0.08
"""How far one flow goes at most, in halves of the side, as in SAMM's code."""
_HALVINGS = (3, 2, 1, 0)  # of the picture's side, at which flows and masks are told
_CYCLES = 2
_SMALLEST = 4
_SHY = -2.0  # what masks begin with, before the sigmoid


@dataclass(frozen=True)
class SammConfig(Described):
    """Architecture of the modules of a bank.

    Attributes:
        components: whose generators they align.
        resolution: side of the pictures.
        sides: resolutions at which they tell, coarse to fine.
        seen: channels of F_i at each of these.
        made: channels of g_i.
        widths: channels of f_i, and of g_i when it is compared.
    """

    components: tuple[str, ...]
    resolution: int
    sides: tuple[int, ...]
    seen: tuple[int, ...]
    made: tuple[int, ...]
    widths: tuple[int, ...] = (32, 32, 24, 16)

    def __post_init__(self) -> None:
        check_size("resolution", self.resolution, LARGEST_SIDE)
        check_sizes("sides", self.sides, self.resolution)
        for name in ("seen", "made", "widths"):
            check_sizes(name, getattr(self, name), WIDEST)
            if len(getattr(self, name)) != len(self.sides):
                raise ValueError(f"{name} must be told of each of {', '.join(map(str, self.sides))}")
        if not 1 <= len(self.components) <= DEEPEST or len(set(self.components)) != len(self.components):
            raise ValueError(f"it needs components, each once, not {self.components}")

    @classmethod
    def of(
        cls,
        generators: Mapping[str, GeneratorConfig],
        encoders: Mapping[str, EncoderConfig],
        widths: tuple[int, ...] | None = None,
    ) -> SammConfig:
        """For generators and their encoders, by component. Raises ValueError where that is impossible."""
        resolution = next(iter(generators.values())).resolution
        halvings = [each for each in _HALVINGS if resolution >> each >= _SMALLEST]
        sides = tuple(resolution >> each for each in halvings)
        seen = tuple(sum(config.widths[each - 1] for config in encoders.values()) if each else 3 for each in halvings)
        made = tuple(sum(config.width(side) for config in generators.values()) for side in sides)
        widths = tuple(widths or cls.widths[-len(sides) :])
        return cls(tuple(generators), resolution, sides, seen, made, widths)

    def check_fits(self, generators: Mapping[str, GeneratorConfig]) -> None:
        """Raises ValueError where it aligns other generators than these."""
        if not set(self.components) <= set(generators):
            raise ValueError(f"the alignment module is of {', '.join(self.components)}")
        mine = [generators[name] for name in self.components]
        made = tuple(sum(config.width(side) for config in mine) for side in self.sides)
        if {config.resolution for config in mine} != {self.resolution} or made != self.made:
            raise ValueError("the alignment module does not fit the generators")


class Aligned(NamedTuple):
    """What comes of it.

    Attributes:
        outputs: of the generators, by component, [B, 3, R, R].
        flows: by resolution, [B, 2, r, r] (:func:`join_engine.networks.residuals.aligned`).
        masks: by resolution, [B, 1, r, r] in [0, 1]: what is foreign.
    """

    outputs: dict[str, Tensor]
    flows: dict[int, Tensor]
    masks: dict[int, Tensor]


class Module(nn.Module):
    """Of one resolution (Tab. 2): instance norm, BottleNeck_1, BottleNeck_2 to three channels.

    The last instance norms of BottleNeck_2 are left out: they would give every mask the same share of the picture.
    """

    def __init__(self, seen: int, made: int, width: int) -> None:
        super().__init__()
        both = 2 * width
        self.see = nn.Conv2d(seen, width, 1, bias=False)
        self.narrow = nn.Conv2d(made, width, 1, bias=False)
        self.norm = nn.InstanceNorm2d(width)
        self.conv0 = nn.Conv2d(both, both, 3, padding=1, bias=False)
        self.slope0 = nn.PReLU(both)
        self.conv1 = nn.Conv2d(both, both, 3, padding=1, bias=False)
        self.norm1 = nn.InstanceNorm2d(both, affine=True)
        self.skip = nn.Conv2d(both, 3, 1, bias=False)
        self.conv2 = nn.Conv2d(both, 3, 3, padding=1, bias=False)
        self.slope1 = nn.PReLU(3)
        self.conv3 = nn.Conv2d(3, 3, 3, padding=1)
        for last in (self.skip, self.conv3):
            nn.init.normal_(last.weight, std=0.02)
        nn.init.zeros_(self.conv3.bias)  # type: ignore[arg-type]

    def forward(self, seen: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
        """F_i [B, seen, r, r] and g_i [B, made, r, r] → flow [B, 2, r, r] and mask [B, 1, r, r]."""
        picture = self.norm(self.see(seen))
        compared = torch.cat([self.norm(self.narrow(made)) - picture, picture], dim=1)
        compared = compared + self.norm1(self.conv1(self.slope0(self.conv0(compared))))
        told = self.skip(compared) + self.conv3(self.slope1(self.conv2(compared)))
        return REACH * smoothed(told[:, :2].float().tanh()), (told[:, 2:].float() + _SHY).sigmoid()


class Samm(nn.Module):
    """See the module."""

    def __init__(self, config: SammConfig) -> None:
        super().__init__()
        self.config = config
        self.modules_at = nn.ModuleDict(
            {
                str(side): Module(*channels)
                for side, *channels in zip(config.sides, config.seen, config.made, config.widths, strict=True)
            }
        )

    def seen(self, photos: Tensor, encoders: Mapping[str, Encoder]) -> dict[int, Tensor]:
        """F_i by resolution. ``photos``: sRGB-encoded [B, 3, R, R] in [0, 1]."""
        features = [encoders[name].features(photos) for name in self.config.components]
        found = {level[0].shape[-1]: torch.cat(level, dim=1) for level in zip(*features, strict=True)}
        return {**found, self.config.resolution: photos * 2.0 - 1.0}

    def forward(
        self,
        seen: Mapping[int, Tensor],
        generators: Mapping[str, Generator],
        codes: Mapping[str, Tensor],
        sides: Collection[int] | None = None,
        hooks: Mapping[str, Hooks] | None = None,
    ) -> Aligned:
        """All generators side by side, block by block.

        Args:
            seen: of :meth:`seen`.
            codes: by component, [B, 1 or num_ws, w_dim].
            sides: at which flows and masks are told; default: at all.
            hooks: of each generator, what becomes of its features behind their alignment.
        """
        names, flows, masks = self.config.components, dict[int, Tensor](), dict[int, Tensor]()
        features, images = dict[str, Tensor | None].fromkeys(names), dict[str, Tensor | None].fromkeys(names)
        each = (
            generators[name].synthesis.blocks(codes[name].expand(-1, generators[name].num_ws, -1)) for name in names
        )
        for blocks in zip(*each, strict=True):
            side = blocks[0][0]
            made = {
                name: block.convolved(features[name], ws, "const", torch.float32)
                for name, (_, block, ws) in zip(names, blocks, strict=True)
            }
            if side in (self.config.sides if sides is None else sides):
                flows[side], masks[side] = self._told(side, seen[side], torch.cat(list(made.values()), dim=1))
                made = {name: aligned(own, flows[side]) for name, own in made.items()}
            for name, (_, block, ws) in zip(names, blocks, strict=True):
                own = (hooks or {}).get(name, {})
                features[name] = moved = own[side](made[name]) if side in own else made[name]
                images[name] = block.shown(moved, images[name], ws)
        return Aligned({name: image for name, image in images.items() if image is not None}, flows, masks)

    def _told(self, side: int, seen: Tensor, made: Tensor) -> tuple[Tensor, Tensor]:
        """Flow and mask, told from what the flow so far has moved: m ← m (1 + d − m), clipped, as in SAMM's code."""
        module = self.modules_at[str(side)]
        flow, mask = module(seen, made)
        for _ in range(_CYCLES - 1):
            further, more = module(seen, aligned(made, flow))
            flow = (flow + further).clamp(-REACH, REACH)
            mask = (mask * (1.0 + more - mask)).clamp(0.0, 1.0)
        return flow, mask

    def tried(self) -> list[Tensor]:
        """What its modules make of features that are 1."""
        config = self.config
        rows = zip(config.sides, config.seen, config.made, strict=True)
        ones = next(self.parameters()).new_ones
        return [
            told
            for side, seen, made in rows
            for told in self.modules_at[str(side)](ones(1, seen, side, side), ones(1, made, side, side))
        ]
