# SPDX-License-Identifier: GPL-3.0-or-later
"""Single GANs, which make several components as one image of 6 or 9 channels: what JoIN's section 5.4 compares with.

A bank of such a GAN has one component, called ``albedo+shading`` or ``albedo+shading+specular``, with the transforms of
its parts joined the same way; its forward model is that of the parts with ``_single`` behind its name. Made by
``train-gan --component albedo+shading`` and ``make-bank --forward-model lambertian_single``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from .color import COMPONENT_TRANSFORMS, ComponentTransform
from .components import COMPONENTS
from .forward_models import FORWARD_MODELS, ForwardModel, register

_SUFFIX = "_single"
# By joined names, such as srgb+reinhard: on [..., 3·n, H, W].
SINGLE_TRANSFORMS: dict[str, ComponentTransform] = {}


def base_model(model: ForwardModel) -> ForwardModel:
    """The forward model of the parts, for that of a single GAN; any other model itself."""
    return FORWARD_MODELS[model.name.removesuffix(_SUFFIX)]


def split_parts(layers: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Linear layers [B, 3·n, H, W] by joined names → [B, 3, H, W] by the names of the parts; others as they are."""
    parts: dict[str, Tensor] = {}
    for name, layer in layers.items():
        for index, part in enumerate(name.split("+")):
            parts[part] = layer[:, 3 * index : 3 * index + 3]
    return parts


def _by_parts(functions: list[Callable[[Tensor], Tensor]]) -> Callable[[Tensor], Tensor]:
    def apply(joined: Tensor) -> Tensor:
        channels = joined.split(3, dim=-3)
        return torch.cat([function(part) for function, part in zip(functions, channels, strict=True)], dim=-3)

    return apply


def _add_single(base: ForwardModel) -> None:
    register(ForwardModel(base.name + _SUFFIX, base.formula, single=True))
    parts = [COMPONENT_TRANSFORMS[COMPONENTS[name].transform] for name in base.components]
    name = "+".join(part.name for part in parts)
    encode, decode = _by_parts([part.encode for part in parts]), _by_parts([part.decode for part in parts])
    SINGLE_TRANSFORMS[name] = ComponentTransform(name, encode, decode)


for _name in ("lambertian", "lambertian_specular"):
    _add_single(FORWARD_MODELS[_name])
