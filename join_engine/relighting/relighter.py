# SPDX-License-Identifier: GPL-3.0-or-later
"""Relighting one decomposition again and again: what does not change between two moves of a slider is kept.

The edited component gets another code; every other component stays the same to the bit. A layer that holds detail
keeps it: it changes by the same factor as its generator's output, or, of a specular, goes where that puts its highlight
(:class:`join_engine.layers.detail.MovedGloss`). Warmth moves no code: the colour of the light is a factor of all that
it makes, and that is known without a generator. Where a decomposition has residual features, codes
move and the features stay, as far as their masks say (:func:`join_engine.networks.residuals.moved`).
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..bank import MATERIAL, Bank
from ..color import LUMINANCE_WEIGHTS
from ..errors import JoinError
from ..face_crop import FaceCrop
from ..images.face_frame import FaceFrame
from ..images.frame import Frame, picture_of, shrunk
from ..layers.decomposition import Decomposition
from ..layers.detail import MovedGloss, keep_detail
from ..layers.strips import Strips, rows_of, size_of
from ..layers.subject import subject_of
from ..networks.residuals import Residual, moved
from ..networks.stylegan2 import Generator, generate
from .directions import PLACED, Direction, Directions, direction_name
from .layer_groups import GROUPS, MIX, share_of

Layers = dict[str, np.ndarray]
Detailed = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]

SHADING, SPECULAR = "shading", "specular"
_OUTPUTS = 6  # of generators
# Stands for every component that has the direction: they all show the same light.
LIGHT = "light"
# Likewise of a material, whose directions are called by their plain names.
MATERIALS = "material"
# Natural logarithm of the light's red against its blue.
WARMTH = "warmth"


@dataclass(frozen=True)
class Edit:
    """Move one component's code along one of its directions.

    Args:
        component: such as "shading"; or "light" for all components that know a direction by this name, and "material"
            for those that know such a one of materials.
        direction: a name ("left_right", "sefa.0"), or the number of one of SeFa's, 0 being the one that changes most.
        amount: in standard deviations of the bank's renders (of SeFa's, of its codes); about −3 to 3 stays plausible.
    """

    component: str
    direction: str | int
    amount: float

    @property
    def name(self) -> str:
        """The direction's name. Raises ValueError for what is none."""
        return direction_name(self.direction)

    @classmethod
    def from_json(cls, data: Any) -> Edit:
        """Raises JoinError ``edit_invalid``."""
        try:
            edit = cls(str(data["component"]), data["direction"], float(data["amount"]))
            direction_name(edit.direction)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            message = f"{data!r} is not an edit."
            hint = 'Give {"component": …, "direction": name or number, "amount": number}.'
            raise JoinError("edit_invalid", message, hint) from error
        if not np.isfinite(edit.amount):
            raise JoinError("edit_invalid", f"An edit cannot have the amount {edit.amount}.", "Use about −3 to 3.")
        return edit


class Relighter:
    """Edits of one decomposition. Raises JoinError ``bank_mismatch``, or ``decomposition_broken`` when its codes or
    weights are not the bank's. ``decomposition``: of an image, from :func:`join_engine.pipeline.decompose` or a file.
    ``bank``: the bank that it was made with."""

    def __init__(self, decomposition: Decomposition, bank: Bank) -> None:
        if not bank.made(decomposition.bank_sha256):
            message = f"This decomposition was made with another version of the bank '{decomposition.bank_name}'."
            raise JoinError("bank_mismatch", message, "Install that bank, or decompose the image again.")
        _check_fits(decomposition, bank)
        self.decomposition = decomposition
        self._bank = bank
        self._generators: dict[str, Generator] = {}
        self._directions: dict[str, Directions] = {}
        self._before: dict[tuple[str, Frame], np.ndarray] = {}
        self._frame = frame_of(decomposition, bank)
        self._small: tuple[int | None, Layers] | None = None
        self._gloss: np.ndarray | None = None  # the specular layer, small
        self._outputs: dict[tuple[str, bytes], Tensor] = {}

    def directions(self, sefa: int = 8) -> list[Direction]:
        """What can be edited: what is mixed with another decomposition, the materials' directions, then the light's
        components (all but the albedo), named directions before SeFa's."""
        mixed = [
            Direction(component, f"{MIX}{group}", *words, minimum=0.0, maximum=1.0)
            for component in self.decomposition.other
            for group, words in GROUPS.items()
        ]
        mixed += [one for name in self.decomposition.codes for one in self._directions_of(name).materials()]
        found = [
            self._placed(direction)
            for component in self.decomposition.codes
            if component != "albedo"
            for direction in self._directions_of(component).list(sefa)
        ]
        return mixed + sorted(found, key=lambda direction: direction.name.startswith("sefa."))

    def _placed(self, direction: Direction) -> Direction:
        """A direction with what all components that have it tell of where the light stands."""
        header = self._bank.header.directions
        if header is None or direction.name not in PLACED or direction.name not in header.units:
            return direction
        unit = header.units[direction.name]
        told = [
            self._directions_of(name).speaks(direction.name, torch.from_numpy(codes))
            for name, codes in self.decomposition.codes.items()
            if self._directions_of(name).has(direction.name)
        ]
        along, sure = (sum(values) for values in zip(*told, strict=True))
        return replace(direction, unit=unit, at=unit * along / max(sure, 1e-9))

    def relight(self, edits: Sequence[Edit]) -> Decomposition:
        """The decomposition with edited codes and layers; its settings list the edits after any that it had already.

        It has no metrics: there is no image to compare it with. Raises JoinError ``edit_invalid``.
        """
        start = time.perf_counter()
        codes = self._edited(edits)
        layers: Mapping[str, np.ndarray] = self.decomposition.layers
        if isinstance(layers, Strips):
            layers = self._lit(layers, codes, self._expanded(edits))
        else:
            layers = {**layers, **self._layers(codes, self._expanded(edits), self._frame, layers)}
        history = [*self.decomposition.settings.get("edits", ()), *(vars(edit) for edit in edits)]
        return replace(
            self.decomposition,
            layers=layers,
            codes=codes,
            settings={**self.decomposition.settings, "edits": history},
            metrics={},
            seconds={"relight": time.perf_counter() - start},
        )

    def preview(self, edits: Sequence[Edit], longest: int | None = None) -> Layers:
        """All layers, edited, small: linear [h, w, 3]. Takes milliseconds. Raises JoinError ``edit_invalid``.
        ``longest``: pixels of the longer side, at most; None for the bank's resolution."""
        small = self._reduced(longest)
        height, width = next(iter(small.values())).shape[:2]
        frame = self._frame.at(height, width)
        return {**small, **self._layers(self._edited(edits), self._expanded(edits), frame, small)}

    def _reduced(self, longest: int | None) -> Layers:
        """The layers, averaged down in linear light; those of the last size are kept."""
        if self._small is None or self._small[0] != longest:
            self._before = {key: layer for key, layer in self._before.items() if key[1] == self._frame}
            small = self._frame.reduced if longest is None else partial(shrunk, longest=max(longest, 1))
            layers = self.decomposition.layers
            self._small = (longest, {name: picture_of(small(pixels)) for name, pixels in layers.items()})
        return self._small[1]

    def _layers(
        self, codes: Mapping[str, np.ndarray], edits: Sequence[Edit], frame: Frame, layers: Mapping[str, np.ndarray]
    ) -> Layers:
        """The layers that the edits change, at the size of ``frame``."""
        changed = {}
        for component in dict.fromkeys(edit.component for edit in edits):
            tint = self._tint(component, edits)
            after = self._decoded(component, codes[component], frame)
            if self.decomposition.settings.get("detail"):
                key = (component, frame)
                if key not in self._before:
                    self._before[key] = self._decoded(component, self.decomposition.codes[component], frame)
                after = self._detailed(component, codes)(layers[component], self._before[key], after)
            lit = _with_surroundings(component, layers[component], after, frame)
            changed[component] = _shown(component, lit * tint)
        return changed

    def _tint(self, component: str, edits: Sequence[Edit]) -> np.ndarray:
        """The colour [3] that edits of the warmth take a layer times; its luminance is 1."""
        amount = sum(edit.amount for edit in edits if edit.component == component and edit.name == WARMTH)
        with np.errstate(over="ignore", invalid="ignore"):  # a layer that is no number gets a sentence
            colour = np.exp(np.array([0.5, 0.0, -0.5]) * self._warmth_unit * amount)
            return (colour / (colour @ LUMINANCE_WEIGHTS)).astype(np.float32)

    def _detailed(self, component: str, codes: Mapping[str, np.ndarray]) -> Detailed:
        """What makes a layer with detail of itself and of its generator's outputs before and after."""
        if component != SPECULAR:
            return subject_of(self._bank.header).relit if component == SHADING else keep_detail
        if self._gloss is None:
            height, width = self._frame.inner_height, self._frame.inner_width
            self._gloss = _binned(self.decomposition.layers, SPECULAR, height, width)
        made = [self._synthesize(SPECULAR, each[SPECULAR]) for each in (self.decomposition.codes, codes)]
        transform = self._bank.components[SPECULAR].transform
        shown = [{SPECULAR: to_layer(transform.from_generator(self._frame.inner(output)))} for output in made]
        height, width = self._gloss.shape[:2]
        known = _known(self._frame.at(height, width))
        before, after = (known * _binned(one, SPECULAR, height, width) for one in shown)
        return MovedGloss.between(known * self._gloss, before, after).of

    @property
    def _warmth_unit(self) -> float:
        """Of one standard deviation; 0 of a bank that does not tell it."""
        header = self._bank.header.directions
        return 0.0 if header is None else header.units.get(WARMTH, 0.0)

    def _lit(self, layers: Strips, codes: Mapping[str, np.ndarray], edits: Sequence[Edit]) -> Strips:
        """The same as :meth:`_layers`, with those that stay, of layers that nobody holds as a whole."""
        detail = bool(self.decomposition.settings.get("detail"))
        decode: dict[str, list[Callable[[slice], np.ndarray]]] = {}  # rows of each, lit anew and as they were
        follow: dict[str, Detailed] = {}
        tints = {component: self._tint(component, edits) for component in codes}
        for component in dict.fromkeys(edit.component for edit in edits):
            decode[component] = [
                self._decoded_rows(component, one[component]) for one in (codes, self.decomposition.codes)
            ]
            if detail:
                follow[component] = self._detailed(component, codes)

        def make() -> Iterator[tuple[slice, Mapping[str, np.ndarray]]]:
            for rows, part in layers.rows():
                lit = dict(part)
                for component, (after, before) in decode.items():
                    new = after(rows)
                    if detail:
                        new = follow[component](part[component], before(rows), new)
                    new = _with_surroundings(component, part[component], new, self._frame, rows)
                    lit[component] = _shown(component, new * tints[component])
                yield rows, lit

        return Strips(tuple(layers), layers.size, make)

    def _expanded(self, edits: Sequence[Edit]) -> list[Edit]:
        """The same with an edit per component instead of each of the light."""
        expanded = []
        for edit in edits:
            owners = [edit.component]
            if edit.component == MATERIALS:
                edit = replace(edit, component=LIGHT, direction=f"{MATERIAL}{edit.name.removeprefix(MATERIAL)}")
            if edit.component == LIGHT:
                owners = [name for name in self.decomposition.codes if self._directions_of(name).has(edit.name)]
            if not owners:
                message = f"The bank '{self._bank.header.name}' has learned no direction '{edit.name}'."
                raise JoinError("edit_invalid", message, "Ask for those that there are, or use another bank.")
            expanded += [replace(edit, component=owner) for owner in owners]
        return expanded

    def _edited(self, edits: Sequence[Edit]) -> dict[str, np.ndarray]:
        """All codes, [L, w_dim] each, moved by the edits one after the other."""
        codes = dict(self.decomposition.codes)
        for edit in self._expanded(edits):
            if edit.component not in codes:
                message = f"There is no component '{edit.component}' to edit."
                raise JoinError("edit_invalid", message, f"There are: {', '.join(codes)}.")
            codes[edit.component] = codes[edit.component] + self._step(edit)
        return codes

    def _step(self, edit: Edit) -> np.ndarray:
        """What an edit adds to the codes, [w_dim] or [num_ws, w_dim]. Raises JoinError ``edit_invalid``."""
        if edit.name == WARMTH and self._warmth_unit and self._directions_of(edit.component).has(WARMTH):
            return np.zeros(1, np.float32)
        other = self.decomposition.other.get(edit.component)
        if other is None or not edit.name.startswith(MIX):
            return np.asarray((self._directions_of(edit.component).vector(edit.name) * edit.amount).cpu().numpy())
        num_ws = self._bank.components[edit.component].generator.num_ws
        share = share_of(edit.name, num_ws)[:, None] * np.float32(edit.amount)
        return np.asarray((other - self.decomposition.codes[edit.component]) * share)

    def _decoded(self, component: str, codes: np.ndarray, frame: Frame) -> np.ndarray:
        transform = self._bank.components[component].transform
        return to_layer(transform.from_generator(frame.restore(self._synthesize(component, codes))))

    def _decoded_rows(self, component: str, codes: np.ndarray) -> Callable[[slice], np.ndarray]:
        transform = self._bank.components[component].transform
        restored = self._frame.restored_rows(self._synthesize(component, codes))
        return lambda rows: to_layer(transform.from_generator(restored(rows)))

    def _synthesize(self, component: str, codes: np.ndarray) -> Tensor:
        """Codes [L, w_dim] → generator output [1, 3, R, R]; the last few are kept."""
        key = component, codes.tobytes()
        if key not in self._outputs:
            while len(self._outputs) >= _OUTPUTS:
                del self._outputs[next(iter(self._outputs))]
            self._outputs[key] = self._made(component, codes)
        return self._outputs[key]

    @torch.no_grad()
    def _made(self, component: str, codes: np.ndarray) -> Tensor:
        generator = self._generator(component)
        features = self.decomposition.features.get(component)
        if features is None:
            return generate(generator, item_like(codes, generator.w_avg))
        residuals = {
            side: Residual(item_like(delta, generator.w_avg), item_like(features.masks[side], generator.w_avg))
            for side, delta in features.deltas.items()
        }
        return moved(
            generator, item_like(features.anchor, generator.w_avg), item_like(codes, generator.w_avg), residuals
        )

    def _directions_of(self, component: str) -> Directions:
        if component not in self._directions:
            self._directions[component] = Directions(self._bank.components[component], self._generator(component))
        return self._directions[component]

    def _generator(self, component: str) -> Generator:
        """The bank's generator, or a copy with the weights that were tuned to this image."""
        if component not in self._generators:
            prefix, generator = f"{component}.", self._bank.components[component].generator
            tuned = {
                name.removeprefix(prefix): torch.from_numpy(weight.copy())
                for name, weight in self.decomposition.tuned.items()
                if name.startswith(prefix)
            }
            if tuned:
                generator = copy.deepcopy(generator)
                generator.load_state_dict(tuned, strict=False)
            self._generators[component] = generator
        return self._generators[component]


def frame_of(decomposition: Decomposition, bank: Bank) -> Frame:
    """Where the bank's square lies in the layers. Raises JoinError ``decomposition_broken``."""
    height, width = decomposition.size
    face = decomposition.settings.get("face")
    if face is None:
        return Frame(height, width, bank.header.resolution)
    try:
        whole_height, whole_width = (int(side) for side in face["size"])
        if min(whole_height, whole_width) < 1:
            raise ValueError("no picture is so small")
        whole = FaceFrame(whole_height, whole_width, bank.header.resolution, FaceCrop.from_json(face["crop"]))
        return whole.at(height, width)  # the layers may be a compact copy
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _unfit("Where its face lies cannot be told.") from error


def _known(frame: Frame, rows: slice | None = None) -> np.ndarray | float:
    """How far the bank's square tells what is at a pixel, [H, W, 1] in [0, 1]: 1 but around a face."""
    return frame.known(rows)[0, 0].numpy()[..., None] if isinstance(frame, FaceFrame) else 1.0


def _with_surroundings(
    component: str, layer: np.ndarray, lit: np.ndarray, frame: Frame, rows: slice | None = None
) -> np.ndarray:
    """A layer in its new light, with the highlights that it had around a face: of those no generator knows where they
    go."""
    known = _known(frame, rows) if component == SPECULAR else 1.0
    return lit if isinstance(known, float) else (known * lit + (1.0 - known) * layer).astype(np.float32)


def _shown(component: str, layer: np.ndarray) -> np.ndarray:
    """The layer itself. Raises JoinError ``edit_invalid`` where it holds what is no number."""
    if not np.isfinite(layer).all():
        message = f"These amounts leave nothing of the {component} to show."
        raise JoinError("edit_invalid", message, "Use about −3 to 3.")
    return layer


def _binned(layers: Mapping[str, np.ndarray], name: str, height: int, width: int) -> np.ndarray:
    """One layer's means over height × width cells (or over its pixels, where there are fewer), [h, w, 3], without
    holding it as a whole."""
    all_rows, all_columns = size_of(layers)
    height, width = min(height, all_rows), min(width, all_columns)
    starts = np.arange(width) * all_columns // width
    sums, counts = np.zeros((height, width, 3)), np.zeros(height)
    for rows, part in rows_of(layers):
        cells = np.arange(rows.start, rows.stop) * height // all_rows
        np.add.at(sums, cells, np.add.reduceat(part[name].astype(np.float64), starts, axis=1))
        np.add.at(counts, cells, 1.0)
    return sums / counts[:, None, None] / np.diff([*starts, all_columns])[None, :, None]


def item_like(array: np.ndarray, tensor: Tensor) -> Tensor:
    """An array as the one item of a batch, where ``tensor`` is."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(tensor)[None]


def _check_fits(decomposition: Decomposition, bank: Bank) -> None:
    """A file may name a bank and hold what that bank cannot take. Raises JoinError ``decomposition_broken``."""
    shapes: dict[str, tuple[int, ...]] = {}
    for name, component in bank.components.items():
        parameters = component.generator.named_parameters()
        shapes |= {f"{name}.{key}": tuple(value.shape) for key, value in parameters}
    for name, code in [*decomposition.codes.items(), *decomposition.other.items()]:
        config = bank.components[name].generator.config if name in bank.components else None
        if config is None or code.shape not in ((1, config.w_dim), (config.num_ws, config.w_dim)):
            raise _unfit(f"The codes of '{name}' are not those of the bank '{decomposition.bank_name}'.")
    for name, features in decomposition.features.items():
        config = bank.components[name].generator.config
        fits = features.anchor.shape in ((1, config.w_dim), (config.num_ws, config.w_dim))
        for side, delta in features.deltas.items():
            fits = fits and side in config.block_resolutions and delta.shape == (config.width(side), side, side)
        if not fits:
            raise _unfit(f"The features of '{name}' are not those of the bank '{decomposition.bank_name}'.")
    for name, weight in decomposition.tuned.items():
        if name not in shapes or (shapes[name] or (1,)) != (weight.shape or (1,)):  # files know no single numbers
            raise _unfit(f"The weights '{name[:80]}' are not those of the bank '{decomposition.bank_name}'.")


def _unfit(message: str) -> JoinError:
    return JoinError("decomposition_broken", f"The decomposition is damaged. {message}", "Decompose the image again.")


def to_layer(linear: Tensor) -> np.ndarray:
    """Decoded component [1, 3, H, W] → linear layer float32 [H, W, 3] ≥ 0."""
    return np.asarray(picture_of(linear.clip(0.0, None)), np.float32)
