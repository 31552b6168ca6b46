# SPDX-License-Identifier: GPL-3.0-or-later
"""The components that an image is decomposed into, as data, in the order in which people see them.

Imports neither torch nor numpy. To add one, :func:`register` it, and a forward model that uses it
(:mod:`join_engine.forward_models`).
"""

from __future__ import annotations

from dataclasses import dataclass

from .color import COMPONENT_TRANSFORMS


@dataclass(frozen=True)
class Component:
    """What is known of a component wherever it occurs.

    Attributes:
        name: in files, banks and forward models.
        transform: name of the curve between its linear values and a generator's range (JoIN, section 7,
            "Tone-mapping"), by which it is shown, too; a bank's header may name another one.
        neutral: linear value of all channels at which it leaves the image alone: 1 where it multiplies, 0 where it is
            added.
    """

    name: str
    transform: str
    neutral: float

    def __post_init__(self) -> None:
        if self.transform not in COMPONENT_TRANSFORMS:
            raise ValueError(f"there is no transform {self.transform!r}")


COMPONENTS: dict[str, Component] = {}


def register(component: Component) -> Component:
    """Let forward models name a component."""
    if component.name in COMPONENTS:
        raise ValueError(f"a component named {component.name!r} is registered already")
    COMPONENTS[component.name] = component
    return component


register(Component("albedo", "srgb", 1.0))
register(Component("shading", "reinhard", 1.0))
register(Component("specular", "reinhard", 0.0))
