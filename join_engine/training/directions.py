# SPDX-License-Identifier: GPL-3.0-or-later
"""Learn the named directions of a bank's light from renders whose light is known.

Each component that the light makes (all but the albedo) gets a vector per attribute: what one standard deviation of it,
over the renders, changes in that component's code while the other attributes, the camera and the even light stay. An
edit moves all these components together. `make-bank --directions` puts the file into a bank.

Codes that an encoder or an inversion finds are drawn towards the mean code, and what is regressed on them is too short.
The lengths of the vectors are therefore taken from the images: the mean change of what the generator makes is brought
to that of the renders, wherever the two look alike.

What codes cannot tell, an edit of them cannot change: an attribute that validation renders' codes hardly speak of gets
no direction, and the bank's card says so.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ..bank import Bank, BankComponent, DirectionsHeader, DirectionVectors, find_bank, fingerprint, load_bank
from ..bank.card import directions_table
from ..device import set_up_torch
from ..errors import JoinError
from ..options import add_device_options, positive
from ..relighting.directions_file import Learned, write_directions
from ..relighting.regression import boundary_normals, mean_effects, read_attributes
from ..renders.compose import ComponentSets, read_component_sets, read_validation
from ..renders.lights import Lights, read_lights
from .codes import codes_of
from .encoder import check_fit
from .options import add_settings, settings_of

ALBEDO = "albedo"
_CONSTANT = 1e-6
# Mean changes are compared at this size, over so many codes.
_SMALL, _COMPARED = 16, 32
_CHUNK = 256
# Below this cosine two mean changes have too little in common for one to tell the other's length; and no further.
_ALIKE, _LONGEST = 0.5, 3.0


@dataclass(frozen=True)
class Settings:
    """How directions are learned.

    Attributes:
        count: of the training samples that are looked at.
        checked: of the validation samples.
        steps: of the optimiser that finds each sample's code; 0 takes the encoder's.
        mirror: look at each sample mirrored, too: what the right does is then what the left does, turned round.
        least_r2: of an attribute over the validation samples; below it gets no direction.
        boundaries: take normals of the planes that part codes with much and with little of an attribute (InterFaceGAN),
            brought to the renders' length, instead of mean effects.
    """

    count: int = 2000
    checked: int = 300
    steps: int = 0
    mirror: bool = True
    least_r2: float = 0.1
    boundaries: bool = False


@dataclass(frozen=True)
class _Seen:
    """Samples as they are and, behind them, mirrored: codes [N, L, w_dim] and small images [N, D] by component."""

    codes: Mapping[str, Tensor]
    images: Mapping[str, Tensor]
    lights: Lights

    def flat(self, *names: str) -> Tensor:
        """Codes of components side by side, [N, ΣL·w_dim]."""
        return torch.cat([self.codes[name].flatten(1) for name in names], dim=1)


def learn(
    bank: Bank, data: ComponentSets, lights: Lights, validation: tuple[ComponentSets, Lights], settings: Settings
) -> Learned:
    """Directions of all components but the albedo. Raises JoinError ``encoder_missing``; ``light_constant`` when an
    attribute does not differ between the samples; ``light_unseen`` when the codes tell none of them."""
    began = time.perf_counter()
    names = [name for name in bank.components if name != ALBEDO]
    seen = _look(bank, names, data, lights, settings.count, settings)
    checked = _look(bank, names, *validation, settings.checked, settings)
    table, held = seen.lights.tables()
    mean, unit = table.mean(dim=0), table.std(dim=0)
    if not bool((unit > _CONSTANT).all()):
        constant = next(name for name, sd in zip(lights.attributes, unit.tolist(), strict=True) if sd <= _CONSTANT)
        raise JoinError("light_constant", f"All samples have the same '{constant}'.", "Render more of them.")
    attributes = (table - mean) / unit
    truth = (checked.lights.tables()[0] - mean) / unit

    readings = {
        key: read_attributes(seen.flat(*parts), attributes, (checked.flat(*parts), truth))
        for key, parts in {"r2": names, **{f"r2_{name}": [name] for name in names}}.items()
    }
    figures = {key: reading.r2 for key, reading in readings.items()}
    kept = [i for i, r2 in enumerate(figures["r2"].tolist()) if r2 >= settings.least_r2]
    if not kept:
        message = f"The codes tell nothing of the light: the best R² is {float(figures['r2'].max()):.2f}."
        raise JoinError("light_unseen", message, "Use a bank of the same renders, with encoders that were trained.")
    vectors = {}
    for name in names:
        if settings.boundaries:
            effects = boundary_normals(seen.flat(name), attributes)
        else:
            effects = mean_effects(seen.flat(name), attributes, held)
        effects = effects.view(len(unit), *seen.codes[name].shape[1:])
        changes = mean_effects(seen.images[name], attributes, held)
        gains, figures[f"alike_{name}"] = _compared(bank.components[name], seen.codes[name], effects, changes)
        effects = effects * gains[:, None, None]
        figures[f"moves_{name}"] = _moves(effects, seen.codes[name])
        vectors[name] = DirectionVectors(len(kept), *effects.shape[1:])
        vectors[name].vectors.copy_(effects[kept])
    known = list(lights.attributes)
    attributes_told = {
        known[i]: {"unit": float(unit[i]), **{key: float(values[i]) for key, values in figures.items()}} for i in kept
    }
    training = {
        **asdict(settings),
        "samples": len(set(seen.lights.names)),
        "validation_samples": len(set(checked.lights.names)),
        "left_out": {name: float(figures["r2"][i]) for i, name in enumerate(known) if i not in kept},
        "penalty": readings["r2"].penalty,
        "packs": [{"file": pack.file, "dataset": pack.dataset, "seed": pack.seed} for pack in data.packs],
        "seconds": round(time.perf_counter() - began),
    }
    generators = {name: fingerprint(bank.components[name].generator) for name in names}
    layers = {name: int(found.shape[1]) for name, found in seen.codes.items()}
    header = DirectionsHeader(attributes_told, generators, layers, training)
    return Learned(header, vectors, readings["r2"].of(kept))


def _look(
    bank: Bank, names: Sequence[str], data: ComponentSets, lights: Lights, count: int, settings: Settings
) -> _Seen:
    """Samples spread evenly over those of the packs that tell their light."""
    chosen = torch.linspace(0, len(lights) - 1, min(count, len(lights))).round().long()
    indices = lights.places[chosen]
    ways = (False, True) if settings.mirror else (False,)
    codes, images = {}, {}
    for name in names:
        codes[name] = torch.cat([codes_of(bank, name, data, indices, mirror, settings.steps) for mirror in ways])
        parts = (data.sets[name].batch(part) for part in indices.split(_CHUNK))
        small = torch.cat([functional.adaptive_avg_pool2d(part, _SMALL) for part in parts])
        images[name] = torch.cat([(small.flip(3) if mirror else small).flatten(1) for mirror in ways])
    told = lights.take(chosen)
    return _Seen(codes, images, told.and_mirrored() if settings.mirror else told)


@torch.no_grad()
def _compared(component: BankComponent, codes: Tensor, effects: Tensor, changes: Tensor) -> tuple[Tensor, Tensor]:
    """How the generator's mean change along each effect [K, L, w_dim] compares with that of the renders, [K, D].
    Returns factors [K] that bring the effects to the renders' length, 1 where the two are not alike, and their cosines
    [K]."""
    generator = component.generator
    some = codes[torch.linspace(0, len(codes) - 1, min(_COMPARED, len(codes))).round().long()].to(component.w_avg)

    def made(codes: Tensor) -> Tensor:
        images = generator.synthesis(codes.expand(-1, generator.num_ws, -1), noise="const").clamp(-1.0, 1.0)
        return functional.adaptive_avg_pool2d(images, _SMALL).flatten(1).mean(dim=0).cpu()

    halves = 0.5 * effects.to(component.w_avg)
    own = torch.stack([made(some + half) - made(some - half) for half in halves])
    alike = functional.cosine_similarity(own, changes, dim=1)
    gains = (own * changes).sum(dim=1) / own.square().sum(dim=1).clamp_min(1e-12)
    return torch.where(alike > _ALIKE, gains.clamp(1.0 / _LONGEST, _LONGEST), 1.0), alike


def _moves(effects: Tensor, codes: Tensor) -> Tensor:
    """[K], how many standard deviations of the codes along it each effect goes: how much of what they can say."""
    length = effects.flatten(1).norm(dim=1).clamp_min(1e-12)
    along = codes.flatten(1) @ (effects.flatten(1) / length[:, None]).T
    return length / along.std(dim=0).clamp_min(1e-12)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bank", required=True, help="name or path of the bank")
    parser.add_argument("--data", nargs="+", required=True, metavar="PACK.tar", help="packs of training renders")
    parser.add_argument("--validation", nargs="+", required=True, metavar="PACK.tar", help="packs to be judged by")
    parser.add_argument("--out", required=True, type=Path, metavar="FILE.safetensors")
    for name, samples in (("count", "training"), ("checked", "validation")):
        default = getattr(Settings, name)
        parser.add_argument(f"--{name}", type=positive, default=default, help=f"{samples} samples (default {default})")
    parser.add_argument("--least-r2", type=float, default=0.1, help="an attribute told worse gets no direction (0.1)")
    add_settings(parser, Settings(), but=["count", "checked", "least_r2"])
    add_device_options(parser)


def run(options: argparse.Namespace) -> None:
    device = set_up_torch(options.device, options.threads)
    bank = load_bank(find_bank(options.bank), device)
    data = read_component_sets(options.data, bank.header.forward_model)
    for name in bank.components:
        check_fit(bank, name, data)
    validation = read_validation(options.validation, data)
    assert validation is not None  # --validation is required
    lights = read_lights(options.data), read_lights(options.validation)
    learned = learn(bank, data, lights[0], (validation, lights[1]), settings_of(options, Settings))
    write_directions(options.out, learned)
    print("\n".join(directions_table(learned.header)))
