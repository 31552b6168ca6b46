# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine does, as functions: decompose an image, relight a decomposition.

The command line and the server are thin layers over this module.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .bank import Bank
from .color import srgb_encode
from .decomposition import Decomposition
from .detail import DETAILED, add_detail, keep_detail, supports
from .editing.sefa import sefa_directions, style_weights
from .errors import JoinError
from .evaluation.metrics import image_psnr
from .fitting import Frame
from .images import opaque, validate_image
from .inversion import Monitor, invert
from .inversion.state import CodeBook, InversionState, generate
from .networks.stylegan2 import Generator
from .presets import Preset

# A display-referred image cannot tell how bright its brightest pixels were.
_WHITE = 0.999

Layers = dict[str, np.ndarray]
PreviewCallback = Callable[[int, Layers], None]


def set_up_torch(device: str = "auto", threads: int | None = None) -> torch.device:
    """What a process does once before it works: choose the device, set the number of CPU threads.

    Args:
        device: "auto" (CUDA where there is one), "cpu" or "cuda".
        threads: on the CPU; None leaves it to torch.

    Raises:
        JoinError: ``device_missing``.
    """
    torch.set_flush_denormal(True)  # numbers too small to matter are slow to compute with
    if threads is not None:
        torch.set_num_threads(max(1, threads))
    return _choose_device(device)


def _choose_device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if name == "cuda" and not torch.cuda.is_available():
        raise JoinError("device_missing", "There is no CUDA device that torch can use.", "Use --device cpu.")
    return torch.device(name)


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
) -> Outcome:
    """Split one image into the components of the bank's forward model.

    The image is fitted to the bank's square (antialiased in linear light, aspect kept, mirrored at the borders),
    inverted there, and the components are brought back to the image's own size by smooth resampling in the
    tone-mapped domain in which the generators work. Partly transparent pixels are first blended with the mean of
    the visible ones. Where an image that never exceeds 1 is white, the generators' layers may make a brighter one.
    If the preset says so, albedo and shading then take up the detail that the generators could not express, so that
    the layers make the image exactly (see :mod:`join_engine.detail`; not part of the paper).

    Args:
        image: scene-linear Rec.709 float [H, W, 3], or [H, W, 4] with straight alpha.
        bank, preset, seed, codebook: see :func:`join_engine.inversion.invert`.
        monitor: progress and cancellation; its ``on_preview`` is not used.
        on_preview: gets the step and the layers so far (as ``Decomposition.layers``) at every
            ``monitor.preview_every`` steps.

    Returns:
        The decomposition. Its metrics: ``loss`` (Eq. 4 with the kNN term), ``psnr_fit`` (how close the generators
        came: sRGB-encoded f of their layers against the image, in dB, at the bank's resolution) and ``psnr`` (the
        final layers against the image, at its own size; at most 100).

    Raises:
        JoinError: whatever :func:`join_engine.images.validate_image` finds.
    """
    start = time.perf_counter()
    colour = opaque(validate_image(image))
    frame = Frame(colour.shape[0], colour.shape[1], bank.header.resolution)
    target = srgb_encode(frame.fit(colour))
    saturated = target >= _WHITE if colour.max() <= 1.0 else None
    detail = preset.detail if supports(bank.forward_model.name) else None

    def finish(outputs: Mapping[str, Tensor]) -> Layers:
        layers = _layers(bank, frame, outputs)
        return layers if detail is None else add_detail(detail, colour, layers, frame)

    monitor = monitor or Monitor()
    if on_preview is not None:
        show = on_preview
        monitor = replace(monitor, on_preview=lambda step, outputs: show(step, finish(outputs)))
    prepared = time.perf_counter()
    state = invert(bank, target, preset, seed, monitor, codebook, saturated)
    inverted = time.perf_counter()
    with torch.no_grad():
        outputs = state.synthesize()
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


@dataclass(frozen=True)
class Edit:
    """Move one component's code along one of its SeFa directions.

    Args:
        component: such as "shading".
        direction: index, 0 is the direction that changes most.
        amount: in standard deviations of the bank's codes along that direction; about −3 to 3 stays plausible.
    """

    component: str
    direction: int
    amount: float

    @classmethod
    def from_json(cls, data: Any) -> Edit:
        """Raises JoinError ``edit_invalid``."""
        try:
            edit = cls(str(data["component"]), int(data["direction"]), float(data["amount"]))
        except (KeyError, TypeError, ValueError) as error:
            raise JoinError(
                "edit_invalid",
                f"{data!r} is not an edit.",
                'Give {"component": …, "direction": index, "amount": number}.',
            ) from error
        if not np.isfinite(edit.amount):
            raise JoinError("edit_invalid", f"An edit cannot have the amount {edit.amount}.", "Use about −3 to 3.")
        return edit


def relight(
    decomposition: Decomposition, bank: Bank, edits: Sequence[Edit], codebook: CodeBook | None = None
) -> Decomposition:
    """Edit some components of a decomposition in latent space; the others stay the same to the bit.

    A layer that holds detail keeps it: it changes by the same factor as its generator's output.

    Args:
        decomposition: of an image, from :func:`decompose` or a file.
        bank: the bank that it was made with.
        edits: applied one after the other; several may name the same component.

    Returns:
        A decomposition with edited codes and layers; its settings list the edits after any that it had
        already. It has no metrics: there is no image to compare it with.

    Raises:
        JoinError: ``bank_mismatch`` or ``edit_invalid``.
    """
    start = time.perf_counter()
    if decomposition.bank_sha256 != bank.sha256:
        raise JoinError(
            "bank_mismatch",
            f"This decomposition was made with another version of the bank '{decomposition.bank_name}'.",
            "Install that bank, or decompose the image again.",
        )
    codebook = codebook or CodeBook(bank)
    codes = dict(decomposition.codes)
    generators = {name: _generator(decomposition, bank, name) for name in codes}
    for edit in edits:
        codes[edit.component] = _edited(edit, codes, generators, codebook)
    height, width = decomposition.size
    frame = Frame(height, width, bank.header.resolution)
    changed = {edit.component for edit in edits}
    after = _layers(bank, frame, {name: _synthesize(generators[name], codes[name]) for name in changed})
    if decomposition.settings.get("detail"):
        old = {name: _synthesize(generators[name], decomposition.codes[name]) for name in changed & DETAILED}
        for name, before in _layers(bank, frame, old).items():
            after[name] = keep_detail(decomposition.layers[name], before, after[name])
    layers = {**decomposition.layers, **after}
    history = [*decomposition.settings.get("edits", ()), *(vars(edit) for edit in edits)]
    return replace(
        decomposition,
        layers=layers,
        codes=codes,
        settings={**decomposition.settings, "edits": history},
        metrics={},
        seconds={"relight": time.perf_counter() - start},
    )


def _generator(decomposition: Decomposition, bank: Bank, component: str) -> Generator:
    """The bank's generator, or a copy with the weights that were tuned to this image."""
    prefix = f"{component}."
    tuned = {
        name.removeprefix(prefix): torch.from_numpy(weight.copy())
        for name, weight in decomposition.tuned.items()
        if name.startswith(prefix)
    }
    generator = bank.components[component].generator
    if not tuned:
        return generator
    generator = copy.deepcopy(generator)
    generator.load_state_dict(tuned, strict=False)
    return generator


def _edited(
    edit: Edit, codes: Mapping[str, np.ndarray], generators: Mapping[str, Generator], codebook: CodeBook
) -> np.ndarray:
    """The component's codes [L, w_dim], moved by one edit."""
    if edit.component not in codes:
        raise JoinError(
            "edit_invalid", f"There is no component '{edit.component}' to edit.", f"There are: {', '.join(codes)}."
        )
    directions, _ = sefa_directions(style_weights(generators[edit.component]))
    if not 0 <= edit.direction < len(directions):
        raise JoinError(
            "edit_invalid",
            f"'{edit.component}' has no direction {edit.direction}.",
            f"Use 0 to {len(directions) - 1}.",
        )
    direction = directions[edit.direction]
    spread = (codebook.codes(edit.component) @ direction).std()
    return codes[edit.component] + (direction * spread * edit.amount).cpu().numpy()


@torch.no_grad()
def _synthesize(generator: Generator, codes: np.ndarray) -> Tensor:
    """Codes [L, w_dim] → generator output [1, 3, R, R]."""
    return generate(generator, torch.from_numpy(np.ascontiguousarray(codes)).to(generator.w_avg)[None])


@torch.no_grad()
def _layers(bank: Bank, frame: Frame, outputs: Mapping[str, Tensor]) -> Layers:
    """Generators' outputs [1, 3, R, R] → linear layers [H, W, 3] ≥ 0 at the image's own size."""
    layers = {}
    for name, output in outputs.items():
        linear = bank.components[name].transform.from_generator(frame.restore(output)).clip(0.0, None)
        layers[name] = np.ascontiguousarray(linear[0].permute(1, 2, 0).cpu().numpy(), dtype=np.float32)
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
