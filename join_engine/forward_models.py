# SPDX-License-Identifier: GPL-3.0-or-later
"""Forward models f of JoIN's Eq. 1: how linear components make a linear image.

A model is data: a name and a formula, which the engine computes, Blender's compositor group is built of, and an export
goes by. A bank's header names the model it was made for. To add one, :func:`register` it; nothing else has to change.
Works on numpy arrays and torch tensors alike and imports neither.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

from .color import Array, srgb_encode
from .errors import JoinError

Formula = tuple[tuple[str | float, ...], ...]
"""A sum of products: each term holds the names of components, and numbers. albedo × shading + specular is
``(("albedo", "shading"), ("specular",))``. In JSON it is the same in lists."""


def components_in(formula: Formula) -> tuple[str, ...]:
    """The names in a formula, in the order in which they first occur."""
    return tuple(dict.fromkeys(factor for term in formula for factor in term if isinstance(factor, str)))


def compose(formula: Formula, components: Mapping[str, Array]) -> Array:
    """Linear components, each of one shape → the linear image of that shape. Raises KeyError for a component that is
    missing."""
    terms = ((components[factor] if isinstance(factor, str) else factor for factor in term) for term in formula)
    return reduce(operator.add, (reduce(operator.mul, term) for term in terms))


@dataclass(frozen=True)
class ForwardModel:
    """f of Eq. 1.

    Args:
        name: what banks call it.
        formula: what it computes.
        single: a single component, named ``albedo+shading`` and so on, holds all that the formula names, as
            [B, 3·n, H, W].
    """

    name: str
    formula: Formula
    single: bool = False

    @property
    def components(self) -> tuple[str, ...]:
        """The names of the components that it takes, in order."""
        names = components_in(self.formula)
        return ("+".join(names),) if self.single else names

    def compose(self, components: Mapping[str, Array]) -> Array:
        """Linear components, each of one shape ([B, 3, H, W] or [H, W, 3]) → linear Rec.709 image of that shape. Raises
        JoinError ``component_missing`` when a component of this model is not given."""
        missing = [name for name in self.components if name not in components]
        if missing:
            raise JoinError("component_missing", f"The forward model '{self.name}' needs {', '.join(missing)}.")
        if self.single:
            (whole,) = self.components
            parts = enumerate(components_in(self.formula))
            components = {name: components[whole][..., 3 * i : 3 * i + 3, :, :] for i, name in parts}
        return compose(self.formula, components)

    def render(self, components: Mapping[str, Array]) -> Array:
        """As :meth:`compose`, but sRGB-encoded: the image of Eq. 5 and 6 that is compared with the target."""
        return srgb_encode(self.compose(components))


FORWARD_MODELS: dict[str, ForwardModel] = {}
# Models of which is known how light and reflectance multiply: those whose layers can take up detail.
DETAILED = {"lambertian", "lambertian_specular"}


def register(model: ForwardModel) -> ForwardModel:
    """Let banks name a model."""
    if model.name in FORWARD_MODELS:
        raise ValueError(f"a forward model named {model.name!r} is registered already")
    FORWARD_MODELS[model.name] = model
    return model


def get_forward_model(name: str) -> ForwardModel:
    """The registered model, or JoinError ``forward_model_unknown``."""
    if name not in FORWARD_MODELS:
        known = ", ".join(sorted(FORWARD_MODELS))
        raise JoinError("forward_model_unknown", f"There is no forward model '{name}'.", f"Known are: {known}.")
    return FORWARD_MODELS[name]


# Lambertian surfaces (Eq. 5, before the sRGB curve).
register(ForwardModel("lambertian", (("albedo", "shading"),)))
# Lambertian surfaces and an additive specular layer (Eq. 6 and 14, before the sRGB curve).
register(ForwardModel("lambertian_specular", (("albedo", "shading"), ("specular",))))
# No decomposition at all: a GAN of composed images, whose inversion JoIN's Table 4 is about.
register(ForwardModel("image", (("image",),)))
