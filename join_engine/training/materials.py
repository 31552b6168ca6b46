# SPDX-License-Identifier: GPL-3.0-or-later
"""Learn the named directions of a bank's materials from pairs of renders that differ in one property.

--data are folders that `dataset_tools/render.py restyle` has written. Those that do what their names say go into --out,
for `make-bank --materials`. The table tells in dB what each gains.

What the encoders see otherwise in the second render of a pair, on average over the scenes, is the direction. Each is
tried on every scene by what was learned of all others: the edited layer is compared with the true one. A component is
moved only where that brings it nearer for sure, and a property gets a direction only where all of these together bring
the image nearer for sure: what codes cannot tell apart, an edit of them cannot do.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..bank import MATERIAL, Bank, DirectionsHeader, DirectionVectors, fingerprint
from ..bank.card import materials_table
from ..color import srgb_encode
from ..errors import JoinError
from ..images.files import display_encode
from ..images.frame import Frame
from ..images.metrics import mse, psnr
from ..layers.decomposition import Decomposition
from ..options import add_bank_option, add_device_options, load_bank_named
from ..relighting.directions_file import Learned, write_directions
from ..relighting.relighter import Edit, Relighter
from ..renders.compose import photograph
from ..renders.restyled import Layers, Restyled, read_restyled

FACTORS = (0.5, 1.0, 2.0, 3.0)
"""What is tried of a mean difference. Encoders' codes are drawn towards the mean code, and it may be too short."""
_LEAST_PAIRS = 4
_SURE = 1.96  # standard errors
IMAGE = "image"

Codes = Mapping[str, Tensor]
Scores = dict[str, dict[float, dict[str, float]]]
"""By component and factor, dB gained by scene."""


@dataclass(frozen=True)
class Figure:
    """A mean, and half of its 95 % interval."""

    mean: float
    half: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Figure:
        """Of two or more values."""
        return cls(float(np.mean(values)), _SURE * float(np.std(values, ddof=1)) / len(values) ** 0.5)

    @property
    def is_sure(self) -> bool:
        """Whether it is above 0 with its whole interval."""
        return self.mean - self.half > 0.0


def learn(bank: Bank, moves: Sequence[Restyled]) -> Learned:
    """Directions of the properties that an edit brings nearer to the true render.

    The header tells of each property ``unit``, what an amount of 1 is of the renderer's, ``pairs``, and in dB the mean
    and half the interval of what it gains over scenes that it was not learned from: ``gain_COMPONENT`` of those that it
    moves, and ``gain_image`` of all of them together. Its training tells the same of those ``left_out``. Raises
    JoinError ``encoder_missing``; ``pairs_too_few``; ``material_unseen`` where no property gets a direction.
    """
    began = time.perf_counter()
    names = list(bank.forward_model.components)
    few = next((move for move in moves if len(move.pairs) < _LEAST_PAIRS), None)
    if few is not None:
        message = f"Of '{few.name}' there are {len(few.pairs)} pairs of renders."
        raise JoinError("pairs_too_few", message, f"Render {_LEAST_PAIRS} scenes or more.")
    steps = {move.name: _steps(bank, move) for move in moves}
    kept: dict[str, dict[str, float]] = {}
    told: dict[str, dict[str, Any]] = {}
    for move in moves:
        scores, image_of = _tried(bank, move, steps[move.name])
        gains = {}
        for name, by_factor in scores.items():  # each scene's factor is chosen by all others
            scenes = next(iter(by_factor.values()))
            gains[name] = Figure.of([by_factor[_best(by_factor, scene)][scene] for scene in scenes])
        factors = {name: _best(scores[name]) for name, gain in gains.items() if gain.is_sure}
        figures = {f"gain_{name}": [gain.mean, gain.half] for name, gain in gains.items()}
        kept[move.name] = {}
        if factors:
            image = image_of(factors)
            figures[f"gain_{IMAGE}"] = [image.mean, image.half]
            kept[move.name] = factors if image.is_sure else {}
        told[move.name] = {"unit": move.amount, "pairs": len(move.pairs), "moves": list(kept[move.name]), **figures}
    attributes = {name: figures for name, figures in told.items() if kept[name]}
    if not attributes:
        message = "The codes tell none of these properties well enough for an edit."
        raise JoinError("material_unseen", message, "Render more scenes, or use a bank of the same renders.")
    owners = [name for name in names if any(name in kept[move] for move in attributes)]
    vectors = {}
    for name in owners:
        rows = [_mean(steps[move], name) * kept[move].get(name, 0.0) for move in attributes]
        vectors[name] = DirectionVectors(len(rows), *rows[0].shape)
        vectors[name].vectors.copy_(torch.stack(rows))
    training = {
        "scenes": len({pair.scene for move in moves for pair in move.pairs}),
        "left_out": {name: figures for name, figures in told.items() if not kept[name]},
        "seconds": round(time.perf_counter() - began),
    }
    header = DirectionsHeader(
        attributes,
        {name: fingerprint(bank.components[name].generator) for name in owners},
        {name: int(vectors[name].vectors.shape[1]) for name in owners},
        training,
    )
    return Learned(header, vectors)


def _steps(bank: Bank, move: Restyled) -> dict[str, Codes]:
    """By scene and component what the encoders see otherwise after the move, [L, w_dim]; as it is and mirrored."""
    found: dict[str, Codes] = {}
    for pair in move.pairs:
        before, after = (_seen(bank, layers) for layers in (pair.before, pair.after))
        found[pair.scene] = {name: after[name] - before[name] for name in before}
    return found


@torch.no_grad()
def _seen(bank: Bank, layers: Layers, mirror: bool = True) -> Codes:
    """By component [L, w_dim]."""
    linear = torch.from_numpy(np.asarray(bank.forward_model.compose(layers), np.float32))
    frame = Frame(linear.shape[0], linear.shape[1], bank.header.resolution)
    photo = photograph(frame.fit(linear.numpy()))
    ways = torch.cat([photo, photo.flip(3)]) if mirror else photo
    parts = {name: bank.components[name] for name in bank.forward_model.components}
    return {name: part.encode(ways.to(part.w_avg)).mean(dim=0).cpu() for name, part in parts.items()}


def _mean(steps: Mapping[str, Codes], name: str, without: str | None = None) -> Tensor:
    return torch.stack([step[name] for scene, step in steps.items() if scene != without]).mean(dim=0)


def _tried(bank: Bank, move: Restyled, steps: Mapping[str, Codes]) -> tuple[Scores, Any]:
    """What a move's directions gain on each scene, learned from all others; and what tells :class:`Figure` of the image
    for factors by component."""
    scores: Scores = {name: {factor: {} for factor in FACTORS} for name in bank.forward_model.components}
    relighters = {}
    for pair in move.pairs:
        relighters[pair.scene] = _relighter(bank, pair.before, steps, pair.scene)
        for name, by_factor in scores.items():
            for factor, gains in by_factor.items():
                edited = relighters[pair.scene].relight([Edit(name, _TRIED, factor)]).layers[name]
                gains[pair.scene] = _gain(
                    *(display_encode(name, one) for one in (pair.before[name], edited, pair.after[name]))
                )

    def image(factors: Mapping[str, float]) -> Figure:
        values = []
        for pair in move.pairs:
            edits = [Edit(name, _TRIED, factor) for name, factor in factors.items()]
            edited = relighters[pair.scene].relight(edits).layers
            values.append(_gain(*(_image(bank, layers) for layers in (pair.before, edited, pair.after))))
        return Figure.of(values)

    return scores, image


_TRIED = f"{MATERIAL}tried"


def _relighter(bank: Bank, layers: Layers, steps: Mapping[str, Codes], scene: str) -> Relighter:
    """Of a scene's true layers, with the direction that was learned from all other scenes."""
    seen = _seen(bank, layers, mirror=False)
    parts = {
        name: replace(part, directions={_TRIED: _mean(steps, name, scene).squeeze(0).to(part.w_avg)})
        for name, part in bank.components.items()
        if name in seen
    }
    true = Decomposition(
        {name: np.ascontiguousarray(layers[name], np.float32) for name in seen},
        {name: code.numpy() for name, code in seen.items()},
        bank.forward_model.name,
        bank.header.name,
        bank.sha256,
        settings={"detail": True},
    )
    return Relighter(true, replace(bank, components={**bank.components, **parts}))


def _gain(before: np.ndarray, edited: np.ndarray, after: np.ndarray) -> float:
    """dB that an edit brings a layer nearer to the true one; all encoded [H, W, 3]."""
    start, end = (psnr(mse(one.clip(0.0, 1.0), after.clip(0.0, 1.0))) for one in (before, edited))
    return end - start


def _image(bank: Bank, layers: Layers) -> np.ndarray:
    return np.asarray(srgb_encode(np.asarray(bank.forward_model.compose(layers)).clip(0.0, 1.0)))


def _best(by_factor: Mapping[float, Mapping[str, float]], without: str | None = None) -> float:
    """The factor that gains most on average."""
    return max(by_factor, key=lambda f: np.mean([gain for scene, gain in by_factor[f].items() if scene != without]))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bank_option(parser)
    parser.add_argument("--data", type=Path, nargs="+", required=True, metavar="RESTYLED", help="folders of restyle")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.safetensors")
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    bank = load_bank_named(options)
    learned = learn(bank, read_restyled(options.data, bank.forward_model.components))
    write_directions(options.out, learned)
    print("\n".join(materials_table(learned.header)))
