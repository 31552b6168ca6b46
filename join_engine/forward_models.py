# SPDX-License-Identifier: GPL-3.0-or-later
"""Forward models f of JoIN's Eq. 1: how linear components make a linear image.

A model is registered by name and names its components in order; a bank's header names the model it was made for.
To add one, write a function of the components and decorate it with :func:`register`; nothing else has to change.
Works on numpy arrays and torch tensors alike and imports neither.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from .color import Array, srgb_encode
from .errors import JoinError


@dataclass(frozen=True)
class ForwardModel:
    """f of Eq. 1, with the names of the components that it takes."""

    name: str
    components: tuple[str, ...]
    linear: Callable[..., Array]

    def compose(self, components: Mapping[str, Array]) -> Array:
        """Linear components, each of one shape ([B, 3, H, W] or [H, W, 3]) → linear Rec.709 image of that shape.

        Raises:
            JoinError: ``component_missing`` when a component of this model is not given.
        """
        missing = [name for name in self.components if name not in components]
        if missing:
            raise JoinError("component_missing", f"The forward model '{self.name}' needs {', '.join(missing)}.")
        return self.linear(*(components[name] for name in self.components))

    def render(self, components: Mapping[str, Array]) -> Array:
        """As :meth:`compose`, but sRGB-encoded: the image of Eq. 5 and 6 that is compared with the target."""
        return srgb_encode(self.compose(components))


FORWARD_MODELS: dict[str, ForwardModel] = {}


def register(name: str, *components: str) -> Callable[[Callable[..., Array]], Callable[..., Array]]:
    """Register ``function(component, …) -> linear image`` as the forward model ``name``."""

    def add(function: Callable[..., Array]) -> Callable[..., Array]:
        if name in FORWARD_MODELS:
            raise ValueError(f"a forward model named {name!r} is registered already")
        FORWARD_MODELS[name] = ForwardModel(name, components, function)
        return function

    return add


def get_forward_model(name: str) -> ForwardModel:
    """The registered model, or JoinError ``forward_model_unknown``."""
    if name not in FORWARD_MODELS:
        known = ", ".join(sorted(FORWARD_MODELS))
        raise JoinError("forward_model_unknown", f"There is no forward model '{name}'.", f"Known are: {known}.")
    return FORWARD_MODELS[name]


@register("lambertian", "albedo", "shading")
def lambertian(albedo: Array, shading: Array) -> Array:
    """Lambertian surfaces (Eq. 5, before the sRGB curve)."""
    return albedo * shading


@register("lambertian_specular", "albedo", "shading", "specular")
def lambertian_specular(albedo: Array, shading: Array, specular: Array) -> Array:
    """Lambertian surfaces and an additive specular layer (Eq. 6 and 14, before the sRGB curve)."""
    return albedo * shading + specular


@register("image", "image")
def composed_image(image: Array) -> Array:
    """No decomposition at all: a GAN of composed images, whose inversion JoIN's Table 4 is about."""
    return image
