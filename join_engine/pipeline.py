# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine does, as functions: decompose an image, relight a decomposition.

The command line and the server are thin layers over this module.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .bank import Bank
from .color import srgb_encode
from .images.files import opaque, validate_image
from .images.frame import Frame
from .images.metrics import image_psnr
from .inversion.codebook import CodeBook
from .inversion.invert import invert
from .inversion.presets import Preset
from .inversion.progress import Monitor
from .inversion.state import InversionState
from .layers.albedo_level import albedo_levels
from .layers.decomposition import Decomposition
from .layers.detail import add_detail, detail_for
from .networks.stylegan2 import generate
from .relighting.relighter import Edit, Relighter, to_layer

# A display-referred image cannot tell how bright its brightest pixels were.
_WHITE = 0.999

Layers = dict[str, np.ndarray]
PreviewCallback = Callable[[int, Layers], None]


@dataclass(frozen=True)
class Outcome:
    """A decomposition, and whether it was cut short by a cancellation."""

    decomposition: Decomposition
    cancelled: bool


def decompose(
    image: np.ndarray,
    bank: Bank,
    preset: Preset,
    seed: int = 0,
    monitor: Monitor | None = None,
    on_preview: PreviewCallback | None = None,
    codebook: CodeBook | None = None,
    preview_size: int | None = None,
) -> Outcome:
    """Split one image into the components of the bank's forward model.

    The image is fitted to the bank's square (antialiased in linear light, aspect kept, mirrored at the borders),
    inverted there, and the components are brought back to the image's own size by smooth resampling in the
    tone-mapped domain in which the generators work. Partly transparent pixels are first blended with the mean of
    the visible ones. Where an image that never exceeds 1 is white, the generators' layers may make a brighter one.
    If the preset says so, albedo and shading then take up the detail that the generators could not express, so that
    the layers make the image exactly (see :mod:`join_engine.layers.detail`; not part of the paper).

    Args:
        image: scene-linear Rec.709 float [H, W, 3], or [H, W, 4] with straight alpha.
        bank, preset, seed, codebook: see :func:`join_engine.inversion.invert.invert`.
        monitor: progress and cancellation; its ``on_preview`` is not used.
        on_preview: gets the step and the layers so far (as ``Decomposition.layers``) of the best start at every
            ``monitor.preview_every`` steps.
        preview_size: longest side of the layers that ``on_preview`` gets, if the image is larger; None for its own.

    Returns:
        The decomposition. Its metrics: ``loss`` (Eq. 4 with the kNN term), ``psnr_fit`` (how close the generators
        came: sRGB-encoded f of their layers against the image, in dB, at the bank's resolution) and ``psnr`` (the
        final layers against the image, at its own size; at most 100).

    Raises:
        JoinError: whatever :func:`join_engine.images.files.validate_image` finds.
    """
    start = time.perf_counter()
    colour = opaque(validate_image(image))
    frame = Frame(colour.shape[0], colour.shape[1], bank.header.resolution)
    target = srgb_encode(frame.fit(colour))
    saturated = target >= _WHITE if colour.max() <= 1.0 else None
    detail = detail_for(preset, bank.header)
    (level,) = albedo_levels(bank, target)

    def finish(outputs: Mapping[str, Tensor], frame: Frame = frame, colour: np.ndarray = colour) -> Layers:
        layers = _layers(bank, frame, outputs)
        return layers if detail is None else add_detail(detail, colour, layers, frame, level)

    monitor = monitor or Monitor()
    if on_preview is not None:
        show = on_preview
        small = shrunk(colour, preview_size)
        small_frame = Frame(small.shape[0], small.shape[1], bank.header.resolution)

        def preview(step: int, outputs: Mapping[str, Tensor]) -> None:
            show(step, finish(_best_start(bank, outputs, target), small_frame, small))

        monitor = replace(monitor, on_preview=preview)
        if preview_size is not None:  # something to see at once: what follows may first take seconds to set up
            preview(0, _mean_outputs(bank))
    prepared = time.perf_counter()
    state = invert(bank, target, preset, seed, monitor, codebook, saturated)
    inverted = time.perf_counter()
    with torch.no_grad():
        outputs = state.settle(state.synthesize())
        fit = state.render(outputs)
    layers = finish(outputs)
    recomposed = np.asarray(bank.forward_model.compose(layers))
    metrics = {
        **({"loss": float(state.loss[0])} if state.loss[0].isfinite() else {}),  # a run may be cancelled before any
        "psnr_fit": image_psnr(fit[0].cpu().numpy(), target[0].numpy()),
        "psnr": image_psnr(srgb_encode(recomposed), srgb_encode(colour)),
    }
    seconds = {"prepare": prepared - start, **state.seconds, "finish": time.perf_counter() - inverted}
    settings = {**replace(preset, detail=detail).to_json(), "seed": seed, "device": state.target.device.type}
    return Outcome(_decomposition(bank, state, layers, settings, metrics, seconds), state.cancelled)


def relight(decomposition: Decomposition, bank: Bank, edits: Sequence[Edit]) -> Decomposition:
    """Edit some components of a decomposition in latent space; the others stay the same to the bit.

    For edit after edit of one decomposition keep a :class:`join_engine.relighting.relighter.Relighter` instead.

    Args:
        decomposition: of an image, from :func:`decompose` or a file.
        bank: the bank that it was made with.
        edits: applied one after the other; several may name the same component.

    Returns:
        See :meth:`join_engine.relighting.relighter.Relighter.relight`.

    Raises:
        JoinError: ``bank_mismatch`` or ``edit_invalid``.
    """
    return Relighter(decomposition, bank).relight(edits)


def _mean_outputs(bank: Bank) -> dict[str, Tensor]:
    """What the generators of the forward model make of their mean codes, [1, 3, R, R] each."""
    parts = {name: bank.components[name] for name in bank.forward_model.components if name in bank.components}
    with torch.no_grad():
        return {name: generate(part.generator, part.w_avg[None, None]) for name, part in parts.items()}


@torch.no_grad()
def _best_start(bank: Bank, outputs: Mapping[str, Tensor], target: Tensor) -> dict[str, Tensor]:
    """Of several starts' outputs [starts, 3, R, R] those of the one whose image is nearest to the target."""
    linear = {name: bank.components[name].transform.from_generator(output) for name, output in outputs.items()}
    image = bank.forward_model.render(linear)
    best = int((image - target.to(image)).square().mean(dim=(1, 2, 3)).argmin())
    return {name: output[best : best + 1] for name, output in outputs.items()}


def shrunk(colour: np.ndarray, longest: int | None) -> np.ndarray:
    """Linear [H, W, 3], averaged down if a side is longer than that; None for as it is."""
    height, width = colour.shape[:2]
    factor = (longest or max(height, width)) / max(height, width)
    if factor >= 1.0:
        return colour
    size = max(1, round(height * factor)), max(1, round(width * factor))
    planes = torch.from_numpy(np.ascontiguousarray(colour.transpose(2, 0, 1)))[None]
    small = torch.nn.functional.interpolate(planes, size, mode="bilinear", align_corners=False, antialias=True)
    return np.ascontiguousarray(small[0].permute(1, 2, 0).numpy())


@torch.no_grad()
def _layers(bank: Bank, frame: Frame, outputs: Mapping[str, Tensor]) -> Layers:
    """Generators' outputs [1, 3, R, R] → linear layers [H, W, 3] ≥ 0 at the image's own size."""
    layers = {}
    for name, output in outputs.items():
        layers[name] = to_layer(bank.components[name].transform.from_generator(frame.restore(output)))
    return layers


def _decomposition(
    bank: Bank,
    state: InversionState,
    layers: Layers,
    settings: dict[str, Any],
    metrics: dict[str, float],
    seconds: dict[str, float],
) -> Decomposition:
    codes = {name: w[0].cpu().numpy().astype(np.float32) for name, w in state.latents.items()}
    tuned = {
        f"{component}.{name}": weight.detach().cpu().numpy()
        for component, generator in (state.tuned[0].items() if state.tuned else ())
        for name, weight in generator.named_parameters()
        if weight.requires_grad
    }
    return Decomposition(
        layers, codes, bank.forward_model.name, bank.header.name, bank.sha256, settings, metrics, seconds, tuned
    )
