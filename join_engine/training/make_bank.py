# SPDX-License-Identifier: GPL-3.0-or-later
"""Put trained networks together to a bank, and write its card.

From trainings of GANs:

    make-bank --component albedo=runs/albedo --component shading=runs/shading --trunk runs/trunk --name primeshapes
    --forward-model lambertian --out build/primeshapes.safetensors

With --bank, too, they begin with that bank's trunk, brightness network and split network, which need no generator.

Encoders are trained for the generators of a bank, and put into it afterwards:

    make-bank --bank build/primeshapes.safetensors --encoder albedo=runs/encoder-albedo
    --encoder shading=runs/encoder-shading --out primeshapes.safetensors

And so are directions of the light, by --directions, those of materials, by --materials, the network that tells how
bright an albedo is, by --brightness, what the renders look like that it has learned from, by --pictures, the one that
tells paint, light and gloss apart, by --split, one that does so better of what is cut out, by --split-cut-out, the
encoder of all components at once, by --seeing, the one that tells in which latent space what can be inverted, by
--invertibility, the one that aligns what the generators make and masks what they cannot, by --samm, and the one that
tells a material's relief and roughness, by --maps.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from ..bank import (
    Bank,
    BankHeader,
    ComponentHeader,
    DirectionsHeader,
    DirectionVectors,
    EncoderHeader,
    find_bank,
    fingerprint,
    load_bank,
    save_bank,
)
from ..bank.bank_wide import BANK_WIDE, NetworkHeader, present
from ..bank.card import write_card
from ..bank.header import DETAIL_RADIUS, DETAIL_SHARE
from ..bank.pictures import PicturesHeader, describe, measure
from ..errors import JoinError
from ..forward_models import ForwardModel, get_forward_model
from ..networks.encoder import Encoder, EncoderConfig
from ..networks.stylegan2 import Discriminator, Generator, GeneratorConfig
from ..options import named
from ..relighting.directions_file import read_directions
from ..renders.samples import pack_header, read_samples
from ..single_gan import base_model
from .checkpoint import checkpoint_path, read_checkpoint
from .domain_guided import GUIDED
from .learner import under
from .run import of_architecture

Networks = tuple[Generator, Discriminator]
_MIXED = ("brightness", "split")  # of which a mean has been better than either


def load_trained(run: Path) -> tuple[str, ComponentHeader, Networks]:
    """Component name, header, averaged generator and discriminator of a run. Raises JoinError ``checkpoint_missing`` or
    ``checkpoint_broken``."""
    path = checkpoint_path(run)
    tensors, values = read_checkpoint(path)
    try:
        config = GeneratorConfig.from_dict(values["architecture"])
        networks = Generator(config), Discriminator(config)
        networks[0].load_state_dict(under("average.", tensors))
        networks[1].load_state_dict(under("discriminator.", tensors))
        return str(values["component"]), ComponentHeader(str(values["transform"]), config, _training(values)), networks
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise JoinError("checkpoint_broken", f"The checkpoint '{path}' is incomplete.", "Train it again.") from error


def load_bank_wide(name: str, run: Path) -> tuple[NetworkHeader[Any], nn.Module]:
    """Header and network of ``BANK_WIDE`` out of the folder of its training, averaged, or out of a bank's file. Raises
    JoinError ``checkpoint_missing``, ``checkpoint_broken``, ``bank_incomplete``, and as :func:`load_bank`."""
    kind = BANK_WIDE[name]
    trained = kind.trained_as or name
    if run.is_file():
        bank = load_bank(run)
        if getattr(bank, trained) is None:
            raise JoinError("bank_incomplete", f"There is no {BANK_WIDE[trained].title} in '{run.name}'.")
        return getattr(bank.header, trained), getattr(bank, trained)
    path = checkpoint_path(run)
    tensors, values = read_checkpoint(path)
    try:
        told = {**_identity(values, trained), "training": _training(values)}
        header = kind.header.from_dict({each.name: told[each.name] for each in fields(kind.header)})
        network = kind.network(header.architecture)
        network.load_state_dict(under(kind.stored, tensors))
        return header, network
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        message = f"The checkpoint '{path}' is not that of a {kind.title}."
        raise JoinError("checkpoint_broken", message) from error


def load_encoder(run: Path, name: str) -> tuple[str, EncoderHeader, Encoder]:
    """Component name, header and averaged network of an encoder's training; of one that trained the encoders of all
    components together, those of the component ``name``. Raises JoinError ``checkpoint_missing`` or
    ``checkpoint_broken``."""
    path = checkpoint_path(run)
    tensors, values = read_checkpoint(path)
    try:
        identity, training, stored = values["identity"], _training(values), "average."
        if identity["kind"] == GUIDED:
            if not identity["composed"]:
                raise ValueError("it looks at the component itself")
            trained = name if name in identity["generators"] else ", ".join(identity["generators"])
            generator, architecture = identity["generators"][trained], identity["architecture"][trained]
            stored, training["command"] = f"{stored}{trained}.", f"train-{GUIDED}"
        else:
            identity = _identity(values, "encoder")
            trained, generator, architecture = (identity[key] for key in ("component", "generator", "architecture"))
        encoder = Encoder(EncoderConfig.from_dict(architecture))
        encoder.load_state_dict(under(stored, tensors))
        return str(trained), EncoderHeader(encoder.config, str(generator), training), encoder
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        message = f"The checkpoint '{path}' is not that of an encoder of composed pictures."
        raise JoinError("checkpoint_broken", message) from error


@dataclass
class Parts:
    """What goes into a bank.

    Attributes:
        headers, modules: of each component, in the forward model's order.
        encoders: of the components that have one.
        directions: of the light: header, and vectors by component; or None.
        materials: of materials, likewise.
        bank_wide: header and network, by the name in ``BANK_WIDE``.
        pictures: see :class:`join_engine.bank.header.BankHeader`.
        made_of: the bank whose generators they are, or None.
    """

    headers: dict[str, ComponentHeader]
    modules: dict[str, tuple[Generator, Discriminator | None]]
    encoders: dict[str, Encoder] = field(default_factory=dict)
    directions: tuple[DirectionsHeader, Mapping[str, DirectionVectors]] | None = None
    materials: tuple[DirectionsHeader, Mapping[str, DirectionVectors]] | None = None
    bank_wide: dict[str, tuple[NetworkHeader[Any], nn.Module]] = field(default_factory=dict)
    pictures: PicturesHeader | None = None
    made_of: Bank | None = None

    @classmethod
    def of_runs(cls, forward_model: str, runs: Mapping[str, Path]) -> Parts:
        """The networks of trainings. Raises JoinError ``bank_incomplete`` and as :func:`load_trained`."""
        model = get_forward_model(forward_model)
        if set(model.components) != set(runs):
            wanted = ", ".join(model.components)
            raise JoinError("bank_incomplete", f"A bank for '{forward_model}' needs the components {wanted}.")
        parts = cls({}, {})
        for component in model.components:
            trained, parts.headers[component], parts.modules[component] = load_trained(runs[component])
            if trained != component:
                raise JoinError("bank_incomplete", f"'{runs[component]}' was trained on {trained}, not on {component}.")
        resolutions = {header.architecture.resolution for header in parts.headers.values()}
        if len(resolutions) != 1:
            raise JoinError("bank_incomplete", f"The components differ in resolution: {sorted(resolutions)}.")
        return parts

    @classmethod
    def of_bank(cls, bank: Bank) -> Parts:
        """The networks of a bank, loaded with its discriminators."""
        found, header = bank.components, bank.header
        return cls(
            dict(header.components),
            {name: (part.generator, part.discriminator) for name, part in found.items()},
            {name: part.encoder for name, part in found.items() if part.encoder is not None},
            bank_wide={name: (described, getattr(bank, name)) for name, _, described in present(header)},
            pictures=header.pictures,
            made_of=bank,
            **{kind: (found, bank.direction_vectors(kind)) for kind, found in header.named_directions.items()},
        )

    def take_over(self, others: Parts) -> None:
        """Take the networks of other parts that need none of their generators."""
        for name, (header, network) in others.bank_wide.items():
            if not BANK_WIDE[name].through_generators:
                self.bank_wide[name] = header, network

    def add_directions(self, path: Path, kind: str) -> None:
        """Put learned "directions" of the light, or those of "materials", in. Raises JoinError ``bank_incomplete``
        when they belong to other generators."""
        learned = read_directions(path)
        for name, generator in learned.header.generators.items():
            if name not in self.modules or generator != fingerprint(self.modules[name][0]):
                message = f"The directions '{path}' were learned for another generator of {name}."
                raise JoinError("bank_incomplete", message, "Learn them for this one.")
        setattr(self, kind, (learned.header, learned.vectors))

    def add_pictures(self, packs: Sequence[Path], forward_model: str) -> None:
        """Tell what renders look like that it has learned from. Raises JoinError ``data_broken`` for too few of them,
        and as :func:`join_engine.renders.samples.read_samples`."""
        try:
            self.pictures = pictures_of(packs, base_model(get_forward_model(forward_model)))
        except ValueError as error:
            raise JoinError("data_broken", f"{error}.", "Give packs of more renders.") from error

    def add_bank_wide(self, kind: str, run: Path) -> None:
        """Put the trained network of a row of ``BANK_WIDE`` in. Raises JoinError as :func:`load_bank_wide`, and
        ``bank_incomplete`` for one that was trained through other generators."""
        header, network = load_bank_wide(kind, run)
        for name, generator in getattr(header, "generators", {}).items():
            if name not in self.modules or generator != fingerprint(self.modules[name][0]):
                message = f"The {BANK_WIDE[kind].title} '{run}' was trained for another generator of {name}."
                raise JoinError("bank_incomplete", message, "Train it for this one.")
        own = None if self.made_of is None else getattr(self.made_of, kind)
        stretches = header.training.get("stretches") or [{}]
        if own is not None and stretches[0].get("start_from", {}).get("weights") == fingerprint(own):
            header = _continued(getattr(self.made_of.header, kind), header)  # type: ignore[union-attr]
        self.bank_wide[kind] = header, network

    @torch.no_grad()
    def mix(self, kind: str, share: float) -> None:
        """Put the mean of the weights of the network that was put in and of the bank's own in, without scores: what
        that one has learned, at less cost to what the bank's knows (Wortsman et al. 2022, Robust fine-tuning of
        zero-shot models, Eq. 1). Raises JoinError ``settings_invalid`` where there are no two of one architecture.

        Args:
            kind: name of a row of ``BANK_WIDE``.
            share: of the one that was put in, in [0, 1].
        """
        title = BANK_WIDE[kind].title
        own = None if self.made_of is None else getattr(self.made_of, kind)
        header, network = self.bank_wide.get(kind, (None, None))
        if own is None or header is None or network is None or network is own:
            message = f"There are no two {title}s."
            raise JoinError("settings_invalid", message, f"Name a --bank, and one by --{kind}.")
        if not 0.0 <= share <= 1.0:
            raise JoinError("settings_invalid", f"A share of {share:g} is not possible.", "Give one from 0 to 1.")
        if header.architecture != own.config:
            message = f"The bank's {title} is of another architecture."
            raise JoinError("settings_invalid", message, f"Leave out --{kind}-share.")
        trained = network.state_dict()
        # What counts, such as the batches that were seen, has no mean.
        mixed = {
            name: torch.lerp(value, trained[name], share) if value.is_floating_point() else trained[name]
            for name, value in own.state_dict().items()
        }
        network.load_state_dict(mixed)
        known = {key: value for key, value in header.training.items() if key != "scores"}
        *earlier, last = known["stretches"]
        known["stretches"] = [*earlier, {**last, "share": share}]
        before, header = getattr(self.made_of.header, kind), replace(header, training=known)  # type: ignore[union-attr]
        told = before.training.get("stretches", [])
        if earlier[: len(told)] != told:  # it did not begin with that one
            header = _continued(before, header)
        self.bank_wide[kind] = header, network

    def add_encoder(self, name: str, run: Path) -> None:
        """Put a trained encoder in. Raises JoinError ``bank_incomplete`` when it belongs to something else."""
        trained, header, encoder = load_encoder(run, name)
        if trained != name or name not in self.headers:
            raise JoinError("bank_incomplete", f"'{run}' was trained on {trained}, not on {name}.")
        if header.generator != fingerprint(self.modules[name][0]):
            message = f"The encoder '{run}' was trained for another generator of {name}."
            raise JoinError("bank_incomplete", message, "Train it for this one.")
        self.headers[name] = replace(self.headers[name], encoder=header)
        self.encoders[name] = encoder


def make_bank(
    out: Path,
    name: str,
    forward_model: str,
    parts: Parts,
    scores: Mapping[str, Any],
    machine: str = "",
    detail_share: float = DETAIL_SHARE,
    detail_radius: float = DETAIL_RADIUS,
) -> None:
    """Write the bank and, beside it, its card (the same name with ``.md``). Raises JoinError ``settings_invalid``; as
    :func:`join_engine.bank.save_bank` and :func:`join_engine.bank.card.write_card`.

    Args:
        scores: measured quality, as the evaluation wrote it.
        machine: where it was trained, in plain words.
        detail_share, detail_radius: see :class:`join_engine.bank.header.BankHeader`.
    """
    resolution = next(iter(parts.headers.values())).architecture.resolution
    described, directions = parts.directions or (None, None)
    restyled, materials = parts.materials or (None, None)
    bank_wide: dict[str, Any] = {name: described for name, (described, _) in parts.bank_wide.items()}
    try:
        header = BankHeader(
            name,
            resolution,
            forward_model,
            parts.headers,
            scores,
            machine=machine,
            directions=described,
            materials=restyled,
            detail_share=detail_share,
            detail_radius=detail_radius,
            pictures=parts.pictures,
            formerly=() if parts.made_of is None else (*parts.made_of.header.formerly, parts.made_of.sha256),
            **bank_wide,
        )
    except ValueError as error:
        message = f"Such a bank is not possible: {error}."
        raise JoinError("settings_invalid", message, "Change that and repeat.") from error
    if parts.made_of is not None:  # where nothing changes, the file stays as it is
        same = replace(header, formerly=parts.made_of.header.formerly) == parts.made_of.header
        header = parts.made_of.header if same else header
    networks = {name: network for name, (_, network) in parts.bank_wide.items()}
    save_bank(out, header, parts.modules, parts.encoders, directions, materials, **networks)
    write_card(out.with_suffix(".md"), header, out.stat().st_size)


def pictures_of(packs: Sequence[Path], model: ForwardModel) -> PicturesHeader:
    """What the renders of packs look like as a camera shows them, which leaves out what shows nothing. Raises
    ValueError for too few, and JoinError as :func:`join_engine.renders.samples.read_samples`."""
    measured, told = [], []
    for pack in packs:
        samples, header = read_samples(pack, model.components, sys.maxsize), pack_header(pack)
        known: dict[str, Any] = {name: header[name] for name in ("dataset", "split", "seed") if name in header}
        told.append({"file": pack.name, **known, "count": len(samples)})
        for sample in samples:
            image = np.asarray(model.compose(sample.components), np.float32)
            visible = sum(part.sum(axis=2) for part in sample.components.values()) > 0.0
            if visible.any():
                measured.append(measure(np.concatenate([image, visible[..., None]], axis=2)))
    return describe(torch.cat(measured), {"packs": told})


_REPEATS = 20


@torch.no_grad()
def encoder_speed(encoders: Mapping[str, Encoder]) -> dict[str, Any]:
    """How long all encoders together take for one image: milliseconds (median and fastest), threads, repeats. Raises
    JoinError ``encoder_missing``."""
    if not encoders:
        raise JoinError("encoder_missing", "There are no encoders to time.", "Add them with --encoder.")
    side = next(iter(encoders.values())).config.resolution
    image = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    ready = [encoder.eval() for encoder in encoders.values()]
    taken = []
    for _ in range(_REPEATS + 1):
        begun = time.perf_counter()
        for encoder in ready:
            encoder(image)
        taken.append(time.perf_counter() - begun)
    # The first call also prepares the convolutions.
    median, fastest = (round(choose(taken[1:]) * 1e3, 1) for choose in (statistics.median, min))
    return {"milliseconds": median, "fastest": fastest, "threads": torch.get_num_threads(), "repeats": _REPEATS}


def summary(table: Mapping[str, Any]) -> dict[str, Any]:
    """Of the evaluation's table, what a bank keeps: mean PSNR with its 95 % interval, and mean MSE."""
    scores: dict[str, Any] = {
        "samples": table["samples"],
        **({"preset": table["settings"]["preset"]} if "preset" in table["settings"] else {}),
        "seed": table["settings"]["seed"],
    }
    for method, components in table["methods"].items():
        scores[method] = {
            component: {
                "psnr": round(metrics["psnr"]["mean"], 2),
                "psnr_interval": [round(bound, 2) for bound in metrics["psnr"]["interval"]],
                "mse": round(metrics["mse"]["mean"], 4),
            }
            for component, metrics in components.items()
        }
    return scores


def _identity(values: Mapping[str, Any], kind: str) -> dict[str, Any]:
    identity = values["identity"]
    if identity["kind"] != kind:
        raise ValueError(f"it is of a training of the {identity['kind']}")
    return dict(identity)


def _continued(before: Any, header: Any) -> Any:
    """The header of a network whose training went on from that of another one: it tells of both."""
    first, training = before.training, header.training
    if "stretches" not in first:
        return header
    total = {key: first[key] + training[key] for key in ("images_shown", "steps", "seconds")}
    told = first["stretches"]
    if before.architecture != header.architecture:
        told = of_architecture(told, before.architecture.to_dict())
    return replace(header, training={**training, **total, "stretches": [*told, *training["stretches"]]})


def _training(values: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "images_shown": values["images"],
        "steps": values["steps"],
        "seconds": round(values["seconds"]),
        "stretches": values["history"],
        **({"scores": values["scores"]} if values.get("scores") else {}),
    }


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--component", action="append", default=[], type=named("RUN"), metavar="NAME=RUN", help="trained GANs"
    )
    parser.add_argument(
        "--bank",
        help="name or path of a bank whose networks are taken over; with --component, those that need no generator",
    )
    for name, kind in BANK_WIDE.items():
        whose = BANK_WIDE[kind.trained_as or name].title
        told = f"trained {kind.title}: the folder of its training, or a bank whose {whose} it is"
        parser.add_argument(f"--{name.replace('_', '-')}", type=Path, metavar="RUN", help=told)
    parser.add_argument("--encoder", action="append", default=[], type=named("RUN"), metavar="NAME=RUN")
    parser.add_argument("--directions", type=Path, metavar="FILE", help="learned directions of the light")
    parser.add_argument("--materials", type=Path, metavar="FILE", help="learned directions of materials")
    parser.add_argument(
        "--pictures",
        nargs="+",
        type=Path,
        metavar="PACK.tar",
        help="renders that it has learned from, so that it can be chosen by what a picture looks like",
    )
    parser.add_argument(
        "--no-brightness", action="store_true", help="leave it out: the encoders tell how bright an albedo is"
    )
    for name in _MIXED:
        told = f"of --{name}, in a mean with the bank's own weights"
        parser.add_argument(f"--{name}-share", type=float, metavar="SHARE", help=told)
    parser.add_argument("--name", help="of the bank (default: the file's)")
    parser.add_argument("--forward-model", help="of --component without --bank (default: lambertian)")
    parser.add_argument("--out", required=True, type=Path, metavar="BANK.safetensors")
    parser.add_argument("--scores", type=Path, metavar="SCORES.json", help="what the evaluation measured")
    parser.add_argument("--machine", default="", help="where it was trained, in plain words")
    parser.add_argument(
        "--detail-share", type=float, help="of the detail, what is light (default: the bank's own, or 0.7)"
    )
    parser.add_argument(
        "--detail-radius", type=float, metavar="PIXELS", help="how smooth that is (default: the bank's own, or 2)"
    )
    parser.add_argument("--time-encoders", action="store_true", help="measure their speed here, for the card")


def run(options: argparse.Namespace) -> None:
    scores, machine = _read_scores(options.scores), options.machine
    bank = load_bank(find_bank(options.bank), with_discriminators=True) if options.bank else None
    model = bank.header.forward_model if bank is not None else options.forward_model or "lambertian"
    if options.component:
        parts = Parts.of_runs(model, {name: Path(run) for name, run in options.component})
        if bank is not None:
            parts.take_over(Parts.of_bank(bank))
    elif bank is not None:
        parts = Parts.of_bank(bank)
        scores, machine = scores or dict(bank.header.scores), machine or bank.header.machine
    else:
        raise JoinError("settings_invalid", "There are no generators.", "Name trainings by --component, or a --bank.")
    for kind in BANK_WIDE:
        if getattr(options, kind) is not None:
            parts.add_bank_wide(kind, getattr(options, kind))
    for kind in _MIXED:
        share = getattr(options, f"{kind}_share")
        if share is not None:
            parts.mix(kind, share)
    if options.no_brightness:
        parts.bank_wide.pop("brightness", None)
    for name, run in options.encoder:
        parts.add_encoder(name, Path(run))
    for kind in ("directions", "materials"):
        if getattr(options, kind) is not None:
            parts.add_directions(getattr(options, kind), kind)
    if options.pictures:
        parts.add_pictures(options.pictures, model)
    usual = BankHeader if bank is None else bank.header
    share = usual.detail_share if options.detail_share is None else options.detail_share
    radius = usual.detail_radius if options.detail_radius is None else options.detail_radius
    if options.time_encoders:
        scores["encoders"] = encoder_speed(parts.encoders)
    make_bank(options.out, options.name or options.out.stem, model, parts, scores, machine, share, radius)
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB")


def _read_scores(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it holds no object")
        return summary(values) if "methods" in values else values
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise JoinError("scores_unreadable", f"The scores '{path}' cannot be read: {error}.") from error
