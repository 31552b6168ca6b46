# SPDX-License-Identifier: GPL-3.0-or-later
"""The eleven Cycles passes by name, their composition into components, and the check that they add up.

The only place that knows how Blender 4.2 to 5.2 name and store passes (:func:`from_blender`), and the one that knows
how we store them (:func:`encode`, :func:`read`). Arrays are float32 [H, W, 3], scene-linear Rec.709, but for the
validity mask and alpha, which are [H, W].

A stored EXR has half-float channels ``diffuse_direct.R`` … of the eleven passes and of ``combined``, ``mask.V`` (1
where shading means something) and, when components were denoised, ``shading.R`` … and ``specular.R`` … A cut-out has
``alpha.V`` beside it, the share of a pixel that the things cover; its colours are over black. One that was imported
has ``albedo.R`` …, ``shading.R`` …, ``specular.R`` … and ``mask.V`` alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dataset_tools.errors import SampleError, UserError
from join_engine import exr_codec

Array = np.ndarray
Passes = Mapping[str, Array]

COMBINED = "combined"
MASK = "mask"
ALPHA = "alpha"
NORMAL = "normal"
"""What a renderer knows beside light: bumps included, in the world's axes."""
SOCKETS = {"roughness": "Roughness", "specular_level": "Specular IOR Level"}
"""The same of a Principled BSDF's inputs, from AOV nodes: our name → the socket's."""
LIGHT_GROUPS = ("diffuse", "glossy", "transmission")
# Our name → the names in an EXR channel, before and since Blender 5.0.
_BLENDER_NAMES: dict[str, tuple[str, ...]] = {
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
PASSES = tuple(name for name in _BLENDER_NAMES if name != COMBINED)
COMPONENTS = ("albedo", "shading", "specular")
# What --denoise adds. Albedo has next to no noise, and a denoiser takes its texture for some (measured).
DENOISED = ("shading", "specular")

# Of float32, relative to max(1, image); Cycles keeps it to about 1e-6, also where it clamps indirect light.
IDENTITY_TOLERANCE = 1e-4
# Half floats carry eleven bits: stored passes keep the identity to about 4e-3.
STORED_TOLERANCE = 1e-2
# Shading is light divided by albedo. Below this value of any channel one step of an 8-bit sRGB image is more than 8%
# of the albedo, and of bare metal (diffuse colour 0) shading is 0 whatever the light: the mask is 0 there.
ALBEDO_FLOOR = 0.004

_PROPERTY = {"emission": "emit"}


def configure(scene: Any, maps: bool = False) -> None:
    """Make a Blender scene write all passes and the combined image into one plain float32 multilayer EXR; ``maps``
    too where that is asked for."""
    layer = scene.view_layers[0]
    layer.use_pass_normal = maps
    if maps:
        for name in SOCKETS:
            output = layer.aovs.add()
            output.name, output.type = name, "VALUE"
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
    settings.color_depth = "32"
    # Read once and deleted: compression would only cost time.
    settings.exr_codec = "NONE"


def read_channels(exr: bytes) -> dict[str, Array]:
    """Of an EXR of Blender's or ours: :func:`join_engine.exr_codec.read_channels`, or a UserError."""
    try:
        return exr_codec.read_channels(exr)
    except ValueError as error:
        message = f"This EXR is damaged or not one that this tool asks Blender for ({error}): render again."
        raise UserError(message) from None


def from_blender(exr: bytes, *, cutout: bool = False, maps: bool = False) -> dict[str, Array]:
    """All passes and the combined image of an EXR that Blender wrote, by our names; [H, W, 3] float32, linear.

    Of a ``cutout``, rendered on a transparent film, ``alpha`` as well: [H, W]. With ``maps``, ``normal`` [H, W, 3] and
    those of SOCKETS [H, W].
    """
    channels = read_channels(exr)
    found = {name: _find(channels, name) for name in _BLENDER_NAMES}
    if cutout:
        found[ALPHA] = next(values for name, values in channels.items() if name.endswith(".Combined.A"))
    if maps:
        axes = [next(v for name, v in channels.items() if name.endswith(f".Normal.{axis}")) for axis in "XYZ"]
        found[NORMAL] = np.stack(axes, axis=-1)
        for name in SOCKETS:
            found[name] = next(values for channel, values in channels.items() if f".{name}." in channel)
    return found


def _find(channels: Mapping[str, Array], name: str) -> Array:
    """Three channels 'ViewLayer.DiffCol.R' … of one pass as one array."""
    for known in _BLENDER_NAMES[name]:
        found = {c.rsplit(".", 1)[1]: c for c in channels if f".{c}".rsplit(".", 1)[0].endswith(f".{known}")}
        if found:
            return np.stack([channels[found[letter]] for letter in "RGB"], axis=-1)
    raise UserError(f"Blender's EXR holds no pass '{name}': this version of Blender is not known here.")


def sampling_seconds(exr: bytes) -> float:
    """How long Cycles sampled, as it notes it in the header of the EXR ('00:01.23', hundredths of a second)."""
    seconds = 0.0
    for name, start, size in exr_codec.attributes(exr):
        if name.startswith("cycles.") and name.endswith(".render_time"):
            # Hours come first where there are any.
            for part in exr[start : start + size].decode("latin-1").split(":"):
                seconds = 60.0 * seconds + float(part)
    return seconds


def encode(layers: Passes) -> bytes:
    """Passes, combined image, mask and denoised layers as the half-float EXR that is stored; of an imported sample
    the components and the mask."""
    channels = {f"{name}.V": layers[name].astype(np.float16) for name in (MASK, ALPHA) if name in layers}
    for name in layers.keys() - {MASK, ALPHA}:
        for number, letter in enumerate("RGB"):
            channels[f"{name}.{letter}"] = layers[name][..., number].astype(np.float16)
    return exr_codec.write_channels(channels)


def stored(*, denoised: bool) -> tuple[str, ...]:
    """Names of the colour layers of a stored sample."""
    return (*PASSES, COMBINED, *(DENOISED if denoised else ()))


def read(exr: bytes) -> dict[str, Array]:
    """All layers of a stored sample by name: [H, W, 3] float32, linear; ``mask``, and ``alpha`` of a cut-out, [H, W].

    Those are the passes and the combined image (and denoised layers), or, of an imported sample, the components alone.
    """
    channels = read_channels(exr)
    names = {channel.rpartition(".")[0] for channel in channels}
    # Imported samples have components in place of passes.
    for name in (*(COMPONENTS if COMPONENTS[0] in names else stored(denoised=False)), MASK):
        if name not in names:
            raise UserError(f"The EXR holds no pass '{name}'; render it again with this tool.")
    single = {MASK, ALPHA} & names
    layers = {name: np.stack([channels[f"{name}.{c}"] for c in "RGB"], axis=-1) for name in sorted(names - single)}
    return {**layers, **{name: channels[f"{name}.V"] for name in sorted(single)}}


def as_halves(passes: Passes) -> dict[str, Array]:
    """What :func:`read` will give of layers that are :func:`encode`-d: float32 rounded to half floats."""
    return {name: image.astype(np.float16).astype(np.float32) for name, image in passes.items()}


def component(passes: Passes, name: str) -> Array:
    """Albedo, shading or specular of the forward model (Eq. 14), as stored where it was (denoised or imported)."""
    if name in passes:
        return passes[name]
    return raw_component(passes, name)


def raw_component(passes: Passes, name: str) -> Array:
    """A component composed from the passes as Cycles sampled them; [H, W, 3] linear."""
    if name == "albedo":
        return passes["diffuse_color"]
    if name == "shading":
        return passes["diffuse_direct"] + passes["diffuse_indirect"]
    if name == "specular":
        return passes["glossy_color"] * (passes["glossy_direct"] + passes["glossy_indirect"])
    raise UserError(f"There is no component '{name}'; choose among: {', '.join(COMPONENTS)}.")


def coverage(passes: Passes) -> Array:
    """[H, W] float32: the share of each pixel that is not background; 1 everywhere but in cut-outs."""
    return passes[ALPHA] if ALPHA in passes else np.ones(passes[MASK].shape, np.float32)


def validity(passes: Passes) -> Array:
    """The mask of freshly rendered passes, [H, W] float32: 1 where shading means something, 0 on metal and on what is
    nearly black (ALBEDO_FLOOR); of a cut-out's rim, what is half covered."""
    valid = passes["diffuse_color"].min(axis=-1) >= ALBEDO_FLOOR
    if ALPHA in passes:
        valid &= passes[ALPHA] >= 0.5
    return valid.astype(np.float32)


def identity_error(passes: Passes) -> float:
    """Largest difference between the combined image and Σ (direct + indirect) × color + emission + environment.

    Relative to max(1, image), since floats are relative where values are large.
    """
    total = passes["emission"] + passes["environment"]
    for group in LIGHT_GROUPS:
        total = total + passes[f"{group}_color"] * (passes[f"{group}_direct"] + passes[f"{group}_indirect"])
    image = passes[COMBINED]
    return float(np.max(np.abs(image - total) / np.maximum(1.0, np.abs(image))))


def check(passes: Passes, label: str, tolerance: float = IDENTITY_TOLERANCE) -> float:
    """The identity error of a sample; raises SampleError if it is too large or if an ignored pass is not zero.

    ``label`` begins the sentence; of stored passes the tolerance is STORED_TOLERANCE.
    """
    for name in (n for n in PASSES if n.startswith("transmission") or n in ("emission", "environment")):
        if np.any(passes[name]):
            raise SampleError(f"{label}: the pass '{name}' is not zero, which Eq. 14 needs; change the scene.")
    error = identity_error(passes)
    if not error < tolerance:  # also catches NaN
        raise SampleError(f"{label}: the passes do not add up to the image (error {error:.3g}); check the passes.")
    return error
