# SPDX-License-Identifier: GPL-3.0-or-later
"""What the engine does with photos, as functions: decompose one, several together, one without what a mask covers.

The command line and the server are thin layers over this module.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .bank import Bank, Choice, SplitHeader
from .color import srgb_decode, srgb_encode
from .errors import JoinError
from .face_crop import FaceCrop
from .forward_models import DETAILED
from .images import files
from .images.alignment import Aligned, align
from .images.face_frame import FaceFrame
from .images.files import opaque, validate_image
from .images.frame import Frame, picture_of
from .images.frame import shrunk as shrunk_planes
from .images.metrics import image_psnr, mse, psnr
from .images.orientation import is_upright
from .images.room import refuse_too_large
from .inversion.codebook import CodeBook
from .inversion.invert import Reached, invert
from .inversion.presets import Detail, Preset
from .inversion.progress import Monitor
from .inversion.state import InversionState
from .layers import strips
from .layers.albedo_level import albedo_levels
from .layers.caution import caution, unfamiliarity
from .layers.clean_up import covered, with_grain, without
from .layers.decomposition import CONFIDENCE_SIDE, Decomposition, Features
from .layers.detail import add_detail, detail_for
from .layers.split import encoders_say, fit_error, is_cut_out, look, split
from .layers.strips import Strips, rows_of
from .layers.subject import subject_of
from .layers.together import Photo, fuse
from .memory import WHOLE_BYTES_PER_PIXEL
from .networks.split import Split
from .networks.stylegan2 import generate
from .relighting.relighter import to_layer
from .single_gan import base_model, split_parts

# A display-referred image cannot tell how bright its brightest pixels were.
_WHITE = 0.999

Layers = dict[str, np.ndarray]
PreviewCallback = Callable[[int, Layers], None]


@dataclass(frozen=True)
class Outcome:
    """What became of one image.

    Attributes:
        decomposition: the layers and all that is known of them.
        cancelled: it was cut short.
        generate: makes :attr:`generated`.
        error: what the bank expects the layers to miss, [h, w, 3]: of the natural logarithms of albedo and shading, and
            of the sRGB-encoded specular; None of a bank that has no idea.
    """

    decomposition: Decomposition
    cancelled: bool
    generate: Callable[[], Layers]
    error: np.ndarray | None = None

    @cached_property
    def generated(self) -> Layers:
        """The layers as the generators make them, at the image's own size; made when they are asked for."""
        return self.generate()

    def with_layers(
        self,
        layers: Layers,
        image: np.ndarray,
        told: Mapping[str, Any],
        seconds: Mapping[str, float],
        where: Any = ...,
        **more: Any,
    ) -> Outcome:
        """The same with other layers, which are compared with the image.

        Args:
            image: linear [H, W, 3].
            told: goes into the settings.
            seconds: of the step that made the layers.
            where: of the image they are compared, an index.
            more: other fields of the decomposition.
        """
        before = self.decomposition
        recomposed = np.asarray(before.model.compose(layers))
        psnr = image_psnr(srgb_encode(recomposed[where]), srgb_encode(image[where]))
        decomposition = replace(
            before,
            layers=layers,
            settings={**before.settings, **told},
            metrics={**before.metrics, "psnr": psnr},
            seconds={**before.seconds, **seconds},
            **more,
        )
        return replace(self, decomposition=decomposition)


def decompose(
    image: np.ndarray,
    bank: Bank,
    preset: Preset,
    seed: int = 0,
    monitor: Monitor | None = None,
    on_preview: PreviewCallback | None = None,
    codebook: CodeBook | None = None,
    preview_size: int | None = None,
    face: FaceCrop | None = None,
) -> Outcome:
    """Split one image into the components of the bank's forward model: :func:`decompose_batch` of this one image.
    Raises JoinError as :func:`decompose_batch`.

    Args:
        image: scene-linear Rec.709 float [H, W, 3], or [H, W, 4] with straight alpha.
        bank, preset, seed, codebook: see :func:`join_engine.inversion.invert.invert`.
        monitor: progress and cancellation; its ``on_preview`` is not used.
        on_preview: gets the step and the layers so far (as ``Decomposition.layers``) at every ``monitor.preview_every``
            steps.
        preview_size: longest side of the layers that ``on_preview`` gets, if the image is larger; None for its own.
        face: the part of the image that the bank's square is to show, in pixels; None for the whole of it. Beyond it
            the layers tell little (:mod:`join_engine.portraits` puts others there).
    """
    work = _Work([image], bank, preset, face)
    monitor = monitor or Monitor()
    if on_preview is not None:
        show, small = on_preview, work.canvases[0].shrunk(preview_size)

        def preview(step: int, outputs: Mapping[str, Tensor]) -> None:
            show(step, dict(small.completed(outputs)[0]))

        monitor = replace(monitor, on_preview=preview)
        if preview_size is not None:  # something to see at once: what follows may first take seconds to set up
            parts = {name: bank.components[name] for name in bank.forward_model.components if name in bank.components}
            with torch.no_grad():
                preview(0, {name: generate(part.generator, part.w_avg[None, None]) for name, part in parts.items()})
    return work.run(seed, monitor, codebook)[0]


def decompose_batch(
    images: Sequence[np.ndarray],
    bank: Bank,
    preset: Preset,
    seed: int = 0,
    monitor: Monitor | None = None,
    codebook: CodeBook | None = None,
    dtype: torch.dtype | None = None,
    reached: Reached | None = None,
) -> list[Outcome]:
    """Split images, each of a size of its own, into the components of the bank's forward model, all at once.

    An image is fitted to the bank's square (antialiased in linear light, aspect kept, mirrored at the borders),
    inverted there, and the components are brought back to the image's own size by smooth resampling in the
    tone-mapped domain in which the generators work. Partly transparent pixels are first blended with the mean of
    the visible ones. Where an image that never exceeds 1 is white, the generators' layers may make a brighter one.
    If the preset says so, albedo and shading then take up the detail that the generators could not express, so that
    the layers make the image exactly (see :mod:`join_engine.layers.split` and, for a bank without a split network,
    :mod:`join_engine.layers.detail`; neither is part of the paper).

    Args:
        images: scene-linear Rec.709 float [H, W, 3], or [H, W, 4] with straight alpha.
        bank, preset, seed, monitor, codebook, dtype, reached: see :func:`join_engine.inversion.invert.invert`.

    Returns:
        Of each image. The decompositions' metrics: ``loss`` (Eq. 4 with the kNN term), ``psnr_fit`` (how close the
        generators came: sRGB-encoded f of their layers against the image, in dB, at the bank's resolution) and
        ``psnr`` (the final layers against the image, at its own size; at most 100); where masks were searched for,
        ``foreign`` (the share of the image that the bank does not know); of a bank with a split network
        also ``albedo_error`` (how far the albedo's logarithm is expected to be off on average), ``caution`` (a simple
        method's share in the light, see :mod:`join_engine.layers.caution`), ``unfamiliarity`` (see there) and
        ``unusual`` (1 when that is more than for 95 of a hundred validation renders: the picture is unlike what the
        bank knows). Their seconds are of all images together.

    Raises:
        JoinError: whatever :func:`join_engine.images.files.validate_image` finds.
    """
    return _Work(images, bank, preset).run(seed, monitor or Monitor(), codebook, dtype, reached)


def decompose_together(
    images: Sequence[np.ndarray],
    names: Sequence[str],
    bank: Bank,
    preset: Preset,
    seed: int = 0,
    monitor: Monitor | None = None,
    codebook: CodeBook | None = None,
) -> list[Outcome]:
    """Split several photos of one thing under other light: one albedo, as many shadings and speculars.

    The photos are laid over one another (:func:`join_engine.images.alignment.align`), decomposed as by
    :func:`decompose_batch`, and what they tell of the albedo is put together
    (:func:`join_engine.layers.together.fuse`). Their order changes nothing. Raises JoinError ``photos_too_few``,
    ``photos_sizes``, ``photos_differ``; ``forward_model_unsuited`` for a bank whose layers do not make the image
    exactly; ``image_too_large``; and as :func:`decompose_batch`.

    Args:
        images: two or more, all of one size, see :func:`decompose_batch`.
        names: what the photos are called in messages.
        bank, preset, seed, monitor, codebook: see :func:`decompose_batch`; the preset must leave the detail in.

    Returns:
        Of each photo, in their order. The decompositions' albedo is one and the same array; their settings tell under
        ``together`` how many photos there are and by how many pixels each was moved (``down``, ``right``), their metric
        ``psnr`` compares with the moved photo.
    """
    if len(images) < 2:
        raise JoinError("photos_too_few", "One photo is not several.", "Name two or more, or decompose it alone.")
    if preset.detail is None or bank.forward_model.name not in DETAILED:
        message = f"Layers of the bank '{bank.header.name}' as its generators make them cannot be put together."
        hint = "Choose a bank of albedo and shading, and leave the detail in."
        raise JoinError("forward_model_unsuited", message, hint)
    photos = [validate_image(image, name) for image, name in zip(images, names, strict=True)]
    height, width = photos[0].shape[:2]
    refuse_too_large(names[0], width, height, len(photos) * WHOLE_BYTES_PER_PIXEL)
    # In an order of their own, whatever the caller's: sums, and rounding with them, depend on it.
    order = sorted(range(len(photos)), key=lambda index: hashlib.sha256(photos[index].tobytes()).digest())
    moved, aligned = lay_over([photos[index] for index in order], [names[index] for index in order])
    found = put_together(moved, aligned, decompose_batch(moved, bank, preset, seed, monitor, codebook))
    return [outcome for _, outcome in sorted(zip(order, found, strict=True), key=lambda pair: pair[0])]


def clean_up(
    image: np.ndarray,
    mask: np.ndarray,
    bank: Bank,
    preset: Preset,
    seed: int = 0,
    monitor: Monitor | None = None,
    on_preview: PreviewCallback | None = None,
    codebook: CodeBook | None = None,
    preview_size: int | None = None,
) -> Outcome:
    """Split one image into layers without what a mask covers; see :mod:`join_engine.layers.clean_up`. Raises JoinError
    ``mask_size``, ``mask_empty``, ``mask_full``, ``image_too_large``, and as :func:`decompose`.

    Args:
        image: see :func:`decompose`.
        mask: [H, W] in [0, 1], above 0 where something shall go. What the image shows there changes nothing.
        bank, preset, seed, monitor, on_preview, codebook, preview_size: see :func:`decompose`.

    Returns:
        As :func:`decompose`. The settings tell under ``cleaned`` the share of the image that was filled; ``psnr``
        compares with the image where nothing was.
    """
    image = validate_image(image)
    height, width = image.shape[:2]
    if mask.shape != (height, width):
        words = f"The mask is {mask.shape[1]} × {mask.shape[0]} and the image {width} × {height}."
        raise JoinError("mask_size", words, "Paint a mask of the image's size.")
    refuse_too_large("The image", width, height, WHOLE_BYTES_PER_PIXEL)
    alpha = image[..., 3] if image.shape[2] == 4 else None
    hidden = covered(mask, alpha)
    seen = without(image[..., :3], hidden, alpha)
    if alpha is not None:
        seen = np.concatenate([seen, alpha[..., None]], axis=2)
    outcome = decompose(seen, bank, preset, seed, monitor, on_preview, codebook, preview_size)
    start = time.perf_counter()
    layers = with_grain(dict(outcome.decomposition.layers), hidden, alpha)
    told, seconds = {"cleaned": float(hidden.mean())}, {"clean_up": time.perf_counter() - start}
    return outcome.with_layers(layers, opaque(image), told, seconds, ~hidden)


def lay_over(photos: Sequence[np.ndarray], names: Sequence[str]) -> tuple[list[np.ndarray], list[Aligned]]:
    """Photos moved onto one another, with their alpha, and by how much; see
    :func:`join_engine.images.alignment.align`."""
    aligned = align([opaque(photo) for photo in photos], names)
    moved = [
        one.pixels if photo.shape[2] == 3 else np.concatenate([one.pixels, one.follow(photo[..., 3:])], axis=2)
        for photo, one in zip(photos, aligned, strict=True)
    ]
    return moved, aligned


def put_together(photos: Sequence[np.ndarray], aligned: Sequence[Aligned], found: Sequence[Outcome]) -> list[Outcome]:
    """The outcomes of photos from :func:`lay_over`, with layers that have the albedo in common."""
    start = time.perf_counter()
    alone = [
        Photo(
            opaque(photo),
            dict(outcome.decomposition.layers),
            outcome.error,
            one.inside * (photo[..., 3].clip(0.0, 1.0) if photo.shape[2] == 4 else np.float32(1.0)),
        )
        for photo, one, outcome in zip(photos, aligned, found, strict=True)
    ]
    together = fuse(alone)
    seconds = time.perf_counter() - start
    outcomes = []
    for photo, one, outcome, layers in zip(alone, aligned, found, together, strict=True):
        down, right = one.shift
        about = {"photos": len(photos), "down": down, "right": right}
        outcomes.append(outcome.with_layers(layers, photo.colour, {"together": about}, {"together": seconds}))
    return outcomes


@dataclass(frozen=True)
class _Canvas:
    """The pixels of one image, and how layers get their size."""

    bank: Bank
    detail: Detail | None
    colour: np.ndarray  # linear [H, W, 3]
    alpha: np.ndarray | None  # [H, W]
    level: float | None  # of its albedo, as the bank's network tells it
    frame: Frame
    preview: bool = False

    def shrunk(self, longest: int | None) -> _Canvas:
        """The same for previews, averaged down where a side is longer than that."""
        alpha = None if self.alpha is None else shrunk(self.alpha[..., None], longest)[..., 0]
        colour = shrunk(self.colour, longest)
        return replace(self, colour=colour, alpha=alpha, frame=self.frame.at(*colour.shape[:2]), preview=True)

    @torch.no_grad()
    def generated(self, outputs: Mapping[str, Tensor]) -> Layers:
        """Generators' outputs [1, 3, R, R] → linear layers [H, W, 3] ≥ 0 at the image's own size."""
        restored = {name: self.frame.restore(output) for name, output in outputs.items()}
        return {name: to_layer(linear) for name, linear in self._linear(restored).items()}

    @torch.no_grad()
    def completed(
        self, outputs: Mapping[str, Tensor], go_on: Callable[[], bool] = lambda: True
    ) -> tuple[Mapping[str, np.ndarray], np.ndarray | None]:
        """Layers that make the image exactly, if the preset wants that; and the errors that the bank expects of them,
        if it has an idea (see :func:`join_engine.layers.split.split`); ``go_on``: see
        :func:`join_engine.layers.split.look`."""
        if self.detail is None:
            return self._generated(outputs), None
        level = self.level if self.detail.brightness else None
        network, header = self.split
        if network is not None:
            told = {name: linear.clamp_min(0.0) for name, linear in self._linear(outputs).items()}
            upright = header is not None and is_upright(header.training)
            looks = partial(look, upright=upright, go_on=go_on)
            subject = subject_of(self.bank.header)
            ways = 1 if self.preview else None
            errors = subject.retinex_error, subject.few_paints_error
            how = *errors, looks, self.detail.seen_at, ways, self.detail.orientations
            layers, error = split(network, self.colour, self.alpha, told, self.frame, level, *how)
            return layers if self.is_large else layers.whole(), error
        return add_detail(self.detail, self.colour, self._generated(outputs), self.frame, level), None

    @property
    def split(self) -> tuple[Split | None, SplitHeader | None]:
        """The bank's split network for such a picture, and what its header says of it."""
        return self.bank.split_for(is_cut_out(self.alpha))

    @property
    def is_large(self) -> bool:
        """Whether nobody holds its layers as a whole."""
        return self.colour.shape[0] * self.colour.shape[1] > strips.KEPT

    @torch.no_grad()
    def _generated(self, outputs: Mapping[str, Tensor]) -> Layers | Strips:
        """As :meth:`generated`; of a large image rows after rows, but for a face, which is a part of a photo."""
        if not self.is_large or isinstance(self.frame, FaceFrame):
            return self.generated(outputs)
        restored = {name: self.frame.restored_rows(output) for name, output in outputs.items()}

        height, width = self.colour.shape[:2]

        @torch.no_grad()
        def make() -> Iterator[tuple[slice, Layers]]:
            for rows in files.strips(height, width):
                linear = self._linear({name: made(rows) for name, made in restored.items()})
                yield rows, {name: to_layer(part) for name, part in linear.items()}

        return Strips(tuple(self._linear(outputs)), (height, width), make)

    def _linear(self, outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The linear components in what generators put out, of any size."""
        transforms = {name: self.bank.components[name].transform for name in outputs}
        return split_parts({name: transforms[name].from_generator(output) for name, output in outputs.items()})


class _Work:
    """A batch of images on its way through a bank."""

    def __init__(self, images: Sequence[np.ndarray], bank: Bank, preset: Preset, face: FaceCrop | None = None) -> None:
        self._start = time.perf_counter()
        self._bank, self._preset = bank, preset
        self._detail = detail_for(preset, bank.header)
        if bank.split is None and face is not None:  # its layers are made in one piece
            for image in images:
                refuse_too_large("The image", image.shape[1], image.shape[0], WHOLE_BYTES_PER_PIXEL)
        colours = [opaque(validate_image(image)) for image in images]
        side = bank.header.resolution
        sizes = [(colour.shape[0], colour.shape[1], side) for colour in colours]
        frames = [Frame(*size) if face is None else FaceFrame(*size, face) for size in sizes]
        fitted = [frame.fit(colour) for frame, colour in zip(frames, colours, strict=True)]
        self._target = srgb_encode(torch.cat(fitted))  # [B, 3, R, R]
        displayed = torch.tensor([bool(colour.max() <= 1.0) for colour in colours])[:, None, None, None]
        self._saturated = (self._target >= _WHITE) & displayed if displayed.any() else None
        levels = albedo_levels(bank, self._target)
        alphas = [image[..., 3].clip(0.0, 1.0) if image.shape[2] == 4 else None for image in images]
        canvases = zip(colours, alphas, levels, frames, strict=True)
        self.canvases = [_Canvas(bank, self._detail, *each) for each in canvases]

    def run(
        self,
        seed: int,
        monitor: Monitor,
        codebook: CodeBook | None,
        dtype: torch.dtype | None = None,
        reached: Reached | None = None,
    ) -> list[Outcome]:
        bank, prepared = self._bank, time.perf_counter()
        state = invert(bank, self._target, self._preset, seed, monitor, codebook, self._saturated, dtype, reached)
        inverted = time.perf_counter()
        monitor.on_finish()
        monitor.go_on()
        with torch.no_grad():
            foreign, outputs = state.foreign, state.settle(state.blended(state.synthesize()))
            fit = state.render(outputs)
        made = []
        for index, canvas in enumerate(self.canvases):
            own = {name: output[index : index + 1] for name, output in outputs.items()}
            made.append((partial(canvas.generated, own), *canvas.completed(own, monitor.go_on)))
        cancelled = state.cancelled or monitor.cancelled()
        seconds = {"prepare": prepared - self._start, **state.seconds, "finish": time.perf_counter() - inverted}
        settings = {**replace(self._preset, detail=self._detail).to_json(), "seed": seed}
        settings["device"] = state.target.device.type
        outcomes = []
        for index, (canvas, (show, layers, error)) in enumerate(zip(self.canvases, made, strict=True)):
            metrics = {
                # A run may be cancelled before there is any loss.
                **({"loss": float(state.loss[index])} if state.loss[index].isfinite() else {}),
                "psnr_fit": image_psnr(fit[index].cpu().numpy(), self._target[index].numpy()),
                "psnr": self._recomposed_psnr(layers, canvas.colour),
                **({} if foreign is None else {"foreign": float(foreign[index].mean())}),
                **({} if error is None else self._confidence(index, error)),
            }
            found = _decomposition(bank, state, index, layers, settings, metrics, seconds)
            if error is not None:
                found = replace(found, confidence=confidence_of(error))
            outcomes.append(Outcome(found, cancelled, show, error))
        return outcomes

    def _recomposed_psnr(self, layers: Mapping[str, np.ndarray], colour: np.ndarray) -> float:
        """How near the image that the layers make comes to the image. Raises JoinError ``result_not_finite``."""
        model, total = base_model(self._bank.forward_model), 0.0
        for rows, parts in rows_of(layers):
            if not all(np.isfinite(pixels).all() for pixels in parts.values()):
                message = "The layers came out with pixels that are no numbers."
                hint = "The image's values may be too large: scale them down, and report it if that does not help."
                raise JoinError("result_not_finite", message, hint)
            recomposed = srgb_encode(np.asarray(model.compose(parts)))
            total += mse(recomposed, srgb_encode(colour[rows])) * (rows.stop - rows.start)
        return psnr(total / len(colour))

    def _confidence(self, index: int, error: np.ndarray) -> dict[str, float]:
        """What the bank expects to miss of the albedo on average, how much of the light is a simple method's for it,
        and, from a bank with encoders, whether the image is less familiar than nearly all that it was judged by."""
        found, bank = float(error[..., 0].mean()), self._bank
        share = caution(float(error[..., 1].mean()), subject_of(bank.header).retinex_error)
        metrics = {"albedo_error": found, "unusual": 0.0, "caution": share}
        _, header = self.canvases[index].split
        scores = {} if header is None else header.training.get("scores", {})
        if "familiar" not in scores or not (bank.seeing or bank.has_encoders):
            return metrics
        photo = srgb_decode(self._target[index : index + 1])
        fit = fit_error(bank, encoders_say(bank, photo), photo)
        unfamiliar = float(unfamiliarity(fit.new_tensor([found]), fit))
        return {**metrics, "unfamiliarity": unfamiliar, "unusual": float(unfamiliar > scores["familiar"])}


def with_choice(decomposition: Decomposition, choice: Choice | None) -> Decomposition:
    """The same, telling in its settings which bank was chosen for the picture, and why; no choice where a person named
    it."""
    if choice is None:
        return decomposition
    settings = {**decomposition.settings, "bank_choice": choice.to_json()}
    return replace(decomposition, settings=settings, seconds={**decomposition.seconds, "choose": choice.seconds})


def confidence_of(error: np.ndarray) -> np.ndarray:
    """As :class:`join_engine.layers.decomposition.Decomposition` stores it, of what :class:`Outcome` tells."""
    return shrunk(np.exp(-error), CONFIDENCE_SIDE)


def shrunk(colour: np.ndarray, longest: int | None) -> np.ndarray:
    """Linear [H, W, 3], averaged down if a side is longer than that; None for as it is."""
    if longest is None or longest >= max(colour.shape[:2]):
        return colour
    return picture_of(shrunk_planes(colour, longest))


def _decomposition(
    bank: Bank,
    state: InversionState,
    index: int,
    layers: Mapping[str, np.ndarray],
    settings: dict[str, Any],
    metrics: dict[str, float],
    seconds: dict[str, float],
) -> Decomposition:
    codes = {name: w[index].cpu().numpy().astype(np.float32) for name, w in state.latents.items()}
    features = {
        name: Features(
            codes[name],
            {side: one.delta[index].cpu().numpy().astype(np.float32) for side, one in residuals.items()},
            {side: one.mask[index].cpu().numpy().astype(np.float32) for side, one in residuals.items()},
        )
        for name, residuals in state.residuals.items()
        if residuals
    }
    tuned = {
        f"{component}.{name}": weight.detach().cpu().numpy()
        for component, generator in (state.tuned[index].items() if state.tuned else ())
        for name, weight in generator.named_parameters()
        if weight.requires_grad
    }
    return Decomposition(
        layers,
        codes,
        bank.forward_model.name,
        bank.header.name,
        bank.sha256,
        settings,
        metrics,
        seconds,
        tuned,
        features,
    )
