# SPDX-License-Identifier: GPL-3.0-or-later
"""A photo with a face: the head decomposed by a bank of faces, all around it by another, put together without a seam.

The bank's generators see FFHQ's crop of the face, and what they make is laid back onto the photo; the layers are made
at the photo's own pixels, which are never resampled. Towards the edge of the crop the layers of the other bank take
over, where the photo goes on: light and gloss are mixed, and the albedo is what they leave of the photo, so that the
layers make the photo wherever those of both banks do. What the two banks take for paint and for light differs, and not
by the same all around a head: the other bank's albedo is brought to the head's where they meet.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from .bank import AUTO, Bank, find_bank, list_banks, load_bank, read_header
from .color import LUMINANCE_WEIGHTS
from .errors import JoinError
from .face_crop import FaceCrop, crop_of_box, crop_of_points
from .face_finder import find_faces, is_installed, the_face
from .images.face_frame import FaceFrame
from .images.files import opaque, validate_image
from .images.frame import picture_of, planes_of
from .images.room import refuse_too_large
from .inversion.codebook import CodeBook
from .inversion.presets import Preset
from .inversion.progress import Monitor
from .layers.albedo_level import BRIGHTEST
from .layers.split import filled
from .memory import WHOLE_BYTES_PER_PIXEL
from .networks.split import halved, in_cells
from .pipeline import Layers, Outcome, PreviewCallback, confidence_of, decompose, shrunk

_LEAST, _MOST = 16.0, 4.0  # pixels of a face's crop, and longer sides of the photo that it may measure
_DARK = 1e-6  # keeps logarithms and quotients finite
# Two banks may mean another brightness by the same paint: by no more than that is the one brought to the other.
_BROUGHT = 2.0
_TOP = 0.995  # share of the pixels that stay below the brightest albedo
_REACH = 0.5  # sides of the crop beyond it, from where on the other bank's albedo is brought by one factor
_CELLS = 32  # of the shorter side of what is nearer, at most twice as many, in which it is told what meets there
_SMOOTH = 2  # times that these are halved again: a field is as smooth as light


@dataclass(frozen=True)
class Rest:
    """What decomposes all but the head."""

    bank: Bank
    codebook: CodeBook


class Splitter:
    """Splits one photo after the other by a bank, of faces or of anything else; what all have in common is loaded once.
    Raises JoinError ``face_unwanted`` where a face is given to a bank that knows none.

    Args:
        bank: with its codes' book.
        preset, seed: see :func:`join_engine.pipeline.decompose`.
        given: where the face is, see :func:`face_in`.
    """

    def __init__(self, bank: Bank, preset: Preset, seed: int = 0, given: Mapping[str, Any] | None = None) -> None:
        if given and not bank.header.faces:
            message = f"The bank '{bank.header.name}' is not one of faces."
            raise JoinError("face_unwanted", message, "Choose one with --bank, or say nothing of a face.")
        self.bank, self.preset, self.seed, self._given = bank, preset, seed, given
        self._codebook = CodeBook(bank)
        self._rest: Rest | None = None

    @property
    def decides(self) -> dict[str, Any] | None:
        """What beside bank, preset and seed decides what the layers are; None for a bank of anything."""
        return decides(self._given) if self.bank.header.faces else None

    def split(self, image: np.ndarray, name: str, monitor: Monitor | None = None) -> tuple[Outcome, list[str]]:
        """The layers of a linear image [H, W, 3 or 4], and what a person should know of its face. Raises JoinError as
        :func:`join_engine.pipeline.decompose`, :func:`face_in` and :func:`decompose_portrait`."""
        bank, settings = self.bank, (self.preset, self.seed, monitor)
        if not bank.header.faces:
            return decompose(image, bank, *settings, codebook=self._codebook), []
        face, notes = face_in(image, name, self._given)
        found = decompose_portrait(image, face, bank, self._around, *settings, codebook=self._codebook)
        return found, notes

    def _around(self) -> Rest:
        if self._rest is None:
            self._rest = load_rest(next(iter(self.bank.components.values())).w_avg.device)
        return self._rest


def load_rest(device: str | torch.device) -> Rest:
    """The default bank. Raises JoinError as :func:`join_engine.bank.load_bank`."""
    bank = load_bank(find_bank(), device, with_discriminators=True)
    return Rest(bank, CodeBook(bank))


def decides(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """What beside a bank of faces decides what the layers are, plain JSON values; ``given`` as in :func:`face_in`."""
    with find_bank().open("rb") as file:
        return {"given": given, "rest": hashlib.file_digest(file, "sha256").hexdigest()}


def suggested_bank(image: np.ndarray) -> str | None:
    """The shipped bank of faces, for a photo with one face that is large enough for it and looks this way; None where
    there is no such bank, no such face, or nothing that finds faces. ``image``: linear [H, W, 3 or 4]."""
    headers = []
    for path in list_banks():
        with suppress(JoinError):  # a file that somebody else has put there
            headers.append(read_header(path))
    bank = next((header for header in headers if header.faces), None)
    if bank is None or not is_installed():
        return None
    try:
        faces = find_faces(image)
    except JoinError:  # whoever asks for a face is told
        return None
    fits = len(faces) == 1 and faces[0].crop.side >= bank.resolution and not faces[0].aside
    return bank.name if fits else None


def suggest(image: np.ndarray, asked: str | None) -> tuple[str | None, list[str]]:
    """Of :func:`suggested_bank`, and what to tell a person. What somebody has chosen is not called in question:
    nothing where a bank was ``asked`` for by its name."""
    bank = suggested_bank(image) if asked in (None, "", AUTO) else None
    told = f"A face was found, which the bank '{bank}' is made for: choose it, and compare."
    return bank, [] if bank is None else [told]


def refuse_faces(bank: Bank, what: str) -> None:
    """Raise JoinError ``bank_unsuited`` for a bank of faces, which knows the way from a photo to a face and back for a
    plain decomposition alone; ``what`` begins the sentence."""
    if bank.header.faces:
        message = f"{what} is not possible with a bank of faces ('{bank.header.name}')."
        raise JoinError("bank_unsuited", message, "Choose another bank.")


def face_in(image: np.ndarray, name: str, given: Mapping[str, Any] | None = None) -> tuple[FaceCrop, list[str]]:
    """Where the face lies in a photo, and what a person should know of it. Raises JoinError ``face_invalid``, and as
    :func:`join_engine.face_finder.the_face`.

    Args:
        image: linear [H, W, 3 or 4].
        name: of the photo, for messages.
        given: by a person, in pixels from the upper left corner: ``box``, [left, top, right, bottom] of the head; or
            ``points``, [x, y] of both eyes and of the middle of the mouth. None has the face found.
    """
    if given is None:
        return the_face(image, name)
    try:
        if "box" in given:
            left, top, right, bottom = map(float, given["box"])
            crop = crop_of_box(left, top, right, bottom)
        else:
            eye, other, mouth = ((float(x), float(y)) for x, y in given["points"])
            crop = crop_of_points(eye, other, mouth)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        message = "Neither a box nor three points of a face were given."
        raise JoinError(
            "face_invalid", message, "Give left, top, right and bottom, or both eyes and the mouth."
        ) from error
    _check(crop, image)
    return crop, []


def decompose_portrait(
    image: np.ndarray,
    face: FaceCrop,
    bank: Bank,
    rest: Callable[[], Rest],
    preset: Preset,
    seed: int = 0,
    monitor: Monitor | None = None,
    on_preview: PreviewCallback | None = None,
    codebook: CodeBook | None = None,
    preview_size: int | None = None,
) -> Outcome:
    """Split a photo with a face into layers. Raises JoinError ``face_invalid``, ``image_too_large``, ``bank_unsuited``
    for banks of different forward models, and as :func:`join_engine.pipeline.decompose`.

    Args:
        image: see :func:`join_engine.pipeline.decompose`.
        face: where it lies, see :func:`face_in`.
        bank: of faces.
        rest: gives the bank for all around; not asked where the photo ends with the head.
        preset, seed, monitor, on_preview, codebook, preview_size: see :func:`join_engine.pipeline.decompose`. Before
            the end the previews show the head alone; all around it lies the photo.

    Returns:
        As :func:`join_engine.pipeline.decompose`. Codes and metrics are the face's, but for ``psnr``; the settings tell
        under ``face`` where it lies (``crop``, in a photo of ``size``, height and width) and what made the ``rest``.
    """
    image = validate_image(image)
    _check(face, image)
    height, width = image.shape[:2]
    refuse_too_large("The image", width, height, 2 * WHOLE_BYTES_PER_PIXEL)
    monitor, frame = monitor or Monitor(), FaceFrame(height, width, bank.header.resolution, face)
    known = frame.known()[0, 0].numpy()
    rows, columns = _where(known)
    part = np.ascontiguousarray(image[rows, columns])
    show = None if on_preview is None else _pasted_preview(on_preview, image, frame, (rows, columns), preview_size)
    size = None if preview_size is None else max(1, round(preview_size * max(part.shape[:2]) / max(height, width)))
    inside = face.moved(-columns.start, -rows.start)
    found = decompose(part, bank, preset, seed, monitor, show, codebook, size, inside)
    start, told = time.perf_counter(), {"crop": face.to_json(), "size": [height, width]}
    if known.min() >= 1.0:
        return _told(found, dict(found.decomposition.layers), found.error, image, told, start)
    around = rest()
    if around.bank.header.forward_model != bank.header.forward_model:
        message = f"The banks '{bank.header.name}' and '{around.bank.header.name}' make an image in different ways."
        raise JoinError("bank_unsuited", message, "Choose another bank.")
    # What is tuned to a photo is tuned for its face.
    untuned = replace(preset, stages=tuple(stage for stage in preset.stages if not stage.tunes))
    silent = Monitor(cancelled=monitor.cancelled, discarded=monitor.discarded)
    outside = decompose(image, around.bank, untuned, seed, silent, codebook=around.codebook)
    told["rest"] = {"name": around.bank.header.name, "sha256": around.bank.sha256}
    near = frame.nearby(_REACH)[0, 0].numpy()
    layers = together(dict(found.decomposition.layers), dict(outside.decomposition.layers), known, near, rows, columns)
    both = replace(
        found,
        cancelled=found.cancelled or outside.cancelled,
        generate=lambda: together(found.generated, outside.generated, known, near, rows, columns),
    )
    return _told(both, layers, _errors(found.error, outside.error, frame, rows, columns), image, told, start)


def _told(
    outcome: Outcome, layers: Layers, error: np.ndarray | None, image: np.ndarray, face: Mapping[str, Any], start: float
) -> Outcome:
    """The outcome of the face with the layers of the whole photo, and what there is to know of them."""
    confidence, seconds = None if error is None else confidence_of(error), {"rest": time.perf_counter() - start}
    told = outcome.with_layers(layers, opaque(image), {"face": face}, seconds, confidence=confidence)
    return replace(told, error=error)


def _where(known: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of a photo where [H, W] is above 0."""
    found = []
    for axis in (1, 0):
        places = np.flatnonzero((known > 0.0).any(axis=axis))
        found.append(slice(int(places[0]), int(places[-1]) + 1))
    return found[0], found[1]


def together(head: Layers, around: Layers, known: np.ndarray, near: np.ndarray, rows: slice, columns: slice) -> Layers:
    """Layers of a photo, of those of a part of it and of those of the whole; see the module.

    Args:
        head: linear [h, w, 3] ≥ 0 each, of the part of the photo at ``rows`` and ``columns``.
        around: the same of the whole photo, [H, W, 3].
        known: [H, W] in [0, 1], 0 beyond that part: how far the head's count.
        near: [H, W] in [0, 1]: how far the other layers' albedo is brought to the head's place by place.
    """
    brought = np.exp(_brought(head["albedo"], around["albedo"], known, near, rows, columns))[..., None]
    layers = {name: layer.copy() for name, layer in around.items()}
    layers["albedo"] *= brought
    layers["shading"] /= brought
    share = known[rows, columns, None]
    other = {name: layer[rows, columns] for name, layer in layers.items()}
    diffuse = (1.0 - share) * other["albedo"] * other["shading"] + share * head["albedo"] * head["shading"]
    lights = [np.log(np.maximum(light["shading"], _DARK)) for light in (other, head)]
    shading = np.exp((1.0 - share) * lights[0] + share * lights[1])
    mixed = {name: (1.0 - share) * other[name] + share * head[name] for name in layers}
    mixed |= {"shading": shading, "albedo": diffuse / shading}
    for name, layer in layers.items():
        # Where the head does not count, nothing changes by rounding either.
        layer[rows, columns] = np.where(share > 0.0, mixed[name], other[name])
    return layers


def _brought(
    head: np.ndarray, around: np.ndarray, known: np.ndarray, near: np.ndarray, rows: slice, columns: slice
) -> np.ndarray:
    """Natural logarithm of what brings the albedo around a head to where that of the head meets it, [H, W]: smooth
    nearby, one number far away."""
    share = known[rows, columns]
    weight = share * (1.0 - share)
    total, most = float(weight.sum()), math.log(_BROUGHT)
    if not total > 0.0:
        return np.zeros_like(known)
    grey = np.array(LUMINANCE_WEIGHTS, np.float32)
    apart = np.log(np.maximum(head @ grey, _DARK)) - np.log(np.maximum(around[rows, columns] @ grey, _DARK))
    peak = np.maximum(around.max(axis=2), _DARK)
    room = max(0.0, math.log(BRIGHTEST / float(np.quantile(peak, _TOP))))
    far = min(max(float((weight * apart).sum() / total), -most), most, room)
    field = np.full_like(known, far)
    part = _where(near)
    told = np.zeros((2, *known.shape), np.float32)
    told[:, rows, columns] = weight * apart.clip(-most, most), weight
    field[part] += near[part] * (_smooth(torch.from_numpy(told[:, *part])[None]) - far)
    return np.minimum(field, np.maximum(0.0, np.log(BRIGHTEST / peak)))


def _smooth(told: Tensor) -> np.ndarray:
    """A smooth field [h, w] of what is known here and there of it: weighted values and their weights, [1, 2, h, w]."""
    size = told.shape[2:]
    (told,) = in_cells(_CELLS, told)
    values, weights = told.split(1, dim=1)
    field = filled(values / weights.clamp_min(_DARK), (weights / weights.max().clamp_min(_DARK)).clamp(0.0, 1.0))
    for _ in range(_SMOOTH):
        field = halved(field)
    return functional.interpolate(field, size, mode="bicubic", align_corners=False)[0, 0].numpy()


def _check(face: FaceCrop, image: np.ndarray) -> None:
    """Raises JoinError ``face_invalid``."""
    height, width = image.shape[:2]
    x, y = face.center
    if not (_LEAST <= face.side <= _MOST * max(height, width) and 0.0 <= x <= width and 0.0 <= y <= height):
        message = "What was given of the face is not in the picture, or no size of a face."
        raise JoinError("face_invalid", message, f"Its crop has to be of {_LEAST:g} pixels or more, in the picture.")


def _pasted_preview(
    show: PreviewCallback, image: np.ndarray, frame: FaceFrame, where: tuple[slice, slice], longest: int | None
) -> PreviewCallback:
    """Shows layers of the head in a photo that is not decomposed yet."""
    colour = shrunk(opaque(image), longest)
    small = frame.at(*colour.shape[:2])
    share = small.known()[0, 0].numpy()[..., None]
    height, width = colour.shape[:2]

    def pasted(step: int, layers: Layers) -> None:
        plain: Mapping[str, np.ndarray | float] = {"albedo": colour, "shading": 1.0}
        found = {}
        for name, layer in layers.items():
            laid = share * _laid(layer, frame, where, height, width) + (1.0 - share) * plain.get(name, 0.0)
            found[name] = np.asarray(laid, np.float32)
        show(step, found)

    return pasted


def _errors(
    head: np.ndarray | None, around: np.ndarray | None, frame: FaceFrame, rows: slice, columns: slice
) -> np.ndarray | None:
    """What is expected to be missed, of the whole photo, at the size of ``around``."""
    if head is None or around is None:
        return None
    height, width = around.shape[:2]
    share = frame.at(height, width).known()[0, 0].numpy()[..., None]
    laid = _laid(head, frame, (rows, columns), height, width)
    return (share * laid + (1.0 - share) * around).astype(np.float32)


def _laid(layer: np.ndarray, frame: FaceFrame, where: Sequence[slice], height: int, width: int) -> np.ndarray:
    """A layer [h, w, C] of a part of the photo in a picture of the whole, [height, width, C]; its edges repeat."""
    planes = planes_of(layer)
    grids = []
    for part, whole, count in zip(where, (frame.height, frame.width), (height, width), strict=True):
        place = (np.arange(count) + 0.5) * (whole / count)
        grids.append(2.0 * (place - part.start) / (part.stop - part.start) - 1.0)
    grid = np.stack(np.broadcast_arrays(grids[1][None, :], grids[0][:, None]), axis=-1).astype(np.float32)
    laid = functional.grid_sample(
        planes, torch.from_numpy(grid)[None], mode="bilinear", padding_mode="border", align_corners=False
    )
    return picture_of(laid)
