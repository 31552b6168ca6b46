# SPDX-License-Identifier: GPL-3.0-or-later
"""The eleven Cycles passes by name, their composition into components, and the check that they add up.

The only place that knows how Blender 4.2 to 5.2 name and store passes. Arrays are float32 [H, W, 3], scene-linear.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dataset_tools import exr as exr_file
from dataset_tools.errors import UserError

Array = np.ndarray
Passes = Mapping[str, Array]

COMBINED = "combined"
LIGHT_GROUPS = ("diffuse", "glossy", "transmission")
# Our name → the names in an EXR channel, before and since Blender 5.0.
_EXR_NAMES: dict[str, tuple[str, ...]] = {
    COMBINED: ("Combined",),
    "diffuse_direct": ("DiffDir", "Diffuse Direct"),
    "diffuse_indirect": ("DiffInd", "Diffuse Indirect"),
    "diffuse_color": ("DiffCol", "Diffuse Color"),
    "glossy_direct": ("GlossDir", "Glossy Direct"),
    "glossy_indirect": ("GlossInd", "Glossy Indirect"),
    "glossy_color": ("GlossCol", "Glossy Color"),
    "transmission_direct": ("TransDir", "Transmission Direct"),
    "transmission_indirect": ("TransInd", "Transmission Indirect"),
    "transmission_color": ("TransCol", "Transmission Color"),
    "emission": ("Emit", "Emission"),
    "environment": ("Env", "Environment"),
}
PASSES = tuple(name for name in _EXR_NAMES if name != COMBINED)

# What each component of the forward model needs (Eq. 14).
_NEEDED: dict[str, tuple[str, ...]] = {
    "albedo": ("diffuse_color",),
    "shading": ("diffuse_direct", "diffuse_indirect"),
    "specular": ("glossy_color", "glossy_direct", "glossy_indirect"),
}
COMPONENTS = tuple(_NEEDED)

# Half floats carry eleven bits: the identity holds to about 4e-3 relative to max(1, image).
IDENTITY_TOLERANCE = 1e-2


def configure(scene: Any) -> None:
    """Make a Blender scene write all passes and the combined image into one multilayer half-float EXR."""
    layer = scene.view_layers[0]
    layer.use_pass_combined = True
    layer.use_pass_z = False
    for name in PASSES:
        setattr(layer, f"use_pass_{_PROPERTY.get(name, name)}", True)
    settings = scene.render.image_settings
    if hasattr(settings, "media_type"):  # Blender 5.0 and newer refuse the format without it
        settings.media_type = "MULTI_LAYER_IMAGE"
    settings.file_format = "OPEN_EXR_MULTILAYER"
    if hasattr(settings, "use_exr_interleave"):  # 5.0 writes one part per pass by default
        settings.use_exr_interleave = True
    settings.color_depth = "16"
    settings.exr_codec = "ZIP"
    # Dates, host names and the like would make equal samples differ.
    for name in dir(scene.render):
        if name.startswith("use_stamp"):
            setattr(scene.render, name, False)


_PROPERTY = {"emission": "emit"}


def without_times(exr: bytes) -> bytes:
    """Zero the render times that Cycles writes into the header, so that equal samples are equal bytes.

    Only digits of string attributes whose name ends in ``_time`` change: no offset moves and the file stays valid.
    """
    data = bytearray(exr)
    for name, start, size in exr_file.attributes(exr):
        if name.endswith("_time"):
            data[start : start + size] = bytes(48 if 48 <= b <= 57 else b for b in data[start : start + size])
    return bytes(data)


def read(exr: bytes) -> dict[str, Array]:
    """All passes and the combined image of one sample's EXR, by our names; [H, W, 3] float32, linear."""
    channels = exr_file.read_channels(exr)
    return {name: _stack(channels, name) for name in _EXR_NAMES}


def _stack(channels: Mapping[str, Array], name: str) -> Array:
    """Three channels 'ViewLayer.DiffCol.R' … of one pass as one array."""
    for known in _EXR_NAMES[name]:
        found = {c.rsplit(".", 1)[1]: c for c in channels if f".{c}".rsplit(".", 1)[0].endswith(f".{known}")}
        if found:
            return np.stack([channels[found[letter]] for letter in "RGB"], axis=-1)
    raise UserError(f"The EXR holds no pass '{name}'; render it again with this tool.")


def component(passes: Passes, name: str) -> Array:
    """Albedo, shading or specular of the forward model (Eq. 14); [H, W, 3] linear."""
    if name == "albedo":
        return passes["diffuse_color"]
    if name == "shading":
        return passes["diffuse_direct"] + passes["diffuse_indirect"]
    if name == "specular":
        return passes["glossy_color"] * (passes["glossy_direct"] + passes["glossy_indirect"])
    raise UserError(f"There is no component '{name}'; choose among: {', '.join(COMPONENTS)}.")


def identity_error(passes: Passes) -> float:
    """Largest difference between the combined image and Σ (direct + indirect) × color + emission + environment.

    Relative to max(1, image), since half floats are relative where values are large.
    """
    total = passes["emission"] + passes["environment"]
    for group in LIGHT_GROUPS:
        total = total + passes[f"{group}_color"] * (passes[f"{group}_direct"] + passes[f"{group}_indirect"])
    image = passes[COMBINED]
    return float(np.max(np.abs(image - total) / np.maximum(1.0, np.abs(image))))


def check(passes: Passes, label: str) -> float:
    """The identity error of a sample; raises UserError if it is too large or if an ignored pass is not zero."""
    for name in (n for n in PASSES if n.startswith("transmission") or n in ("emission", "environment")):
        if np.any(passes[name]):
            raise UserError(f"{label}: the pass '{name}' is not zero, which Eq. 14 needs; change the scene.")
    error = identity_error(passes)
    if not error < IDENTITY_TOLERANCE:  # also catches NaN
        raise UserError(f"{label}: the passes do not add up to the image (error {error:.3g}); check the passes.")
    return error
