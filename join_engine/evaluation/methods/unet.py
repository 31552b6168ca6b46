# SPDX-License-Identifier: GPL-3.0-or-later
"""The layers of an image by the plain U-Net (:mod:`join_engine.networks.unet`), and made exact in the plainest way."""

from __future__ import annotations

import argparse

import numpy as np
import torch

from ...color import COMPONENT_TRANSFORMS, srgb_encode
from ...components import COMPONENTS
from ...images.files import opaque
from ...images.frame import Frame
from ...images.orientation import Orientation
from ...layers.albedo_level import BRIGHTEST, DARKEST
from ...networks.unet import UNet, read_unet

Layers = dict[str, np.ndarray]

_ORIENTATIONS = tuple(Orientation(flip, turns) for turns in range(4) for flip in (False, True))
_BLACK = 1e-6


def unet_of(options: argparse.Namespace, device: torch.device) -> UNet | None:
    """The network of ``--unet``. Raises JoinError ``unet_broken``."""
    return None if options.unet is None else read_unet(options.unet, device)


@torch.no_grad()
def unet_layers(network: UNet, image: np.ndarray) -> Layers:
    """What the network says of an image, the mean of eight orientations, brought to the image's size.

    Args:
        image: linear [H, W, 3], or [H, W, 4] with straight alpha.

    Returns:
        Linear float32 [H, W, 3] ≥ 0 by component; they make the image only about.
    """
    colour = opaque(image)
    frame = Frame(colour.shape[0], colour.shape[1], network.config.resolution)
    seen = srgb_encode(frame.fit(colour).clamp(0.0, 1.0)).to(next(network.parameters()).device)
    views = [(view, network(view.of(seen))) for view in _ORIENTATIONS]
    layers = {}
    for name in network.config.components:
        mean = torch.stack([view.back(told[name]) for view, told in views]).mean(dim=0)
        linear = COMPONENT_TRANSFORMS[COMPONENTS[name].transform].from_generator(frame.restore(mean)).clamp_min(0.0)
        layers[name] = np.ascontiguousarray(linear[0].permute(1, 2, 0).cpu().numpy(), np.float32)
    return layers


def made_exact(layers: Layers, image: np.ndarray) -> Layers:
    """The same with an albedo that makes the image: what is left of it without the specular, divided by the shading.

    The specular is no brighter than the image; where the albedo would leave its bounds, the shading takes the rest.

    Args:
        layers: linear [H, W, 3]: "albedo", "shading", and "specular" where there is one.
        image: linear [H, W, 3 or 4].
    """
    colour = opaque(image)
    specular = np.minimum(layers.get("specular", np.zeros_like(colour)), colour)
    shading = np.maximum(layers["shading"], _BLACK)
    albedo = (colour - specular) / shading
    peak = np.maximum(albedo.max(axis=2, keepdims=True), _BLACK)
    change = peak.clip(DARKEST, BRIGHTEST) / peak
    exact = {"albedo": albedo * change, "shading": shading / change, "specular": specular}
    return {name: exact[name].astype(np.float32) for name in layers}
