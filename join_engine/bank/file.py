# SPDX-License-Identifier: GPL-3.0-or-later
"""The bank file: the generators of one forward model in a single ``.safetensors``, with a JSON header.

Tensors are named ``{component}.generator.{param}``, ``{component}.discriminator.{param}``,
``{component}.encoder.{param}``, ``{component}.directions.vectors``, ``{component}.materials.vectors``,
``{component}.w_avg``, ``trunk.{param}``,
``brightness.{param}``, ``seeing.{param}``,
``invertibility.{param}``, ``samm.{param}``, ``split.{param}``, ``split_cut_out.{param}`` and ``maps.{param}``.
The header is JSON under the key ``join_bank`` of the
file's metadata; ``weights_sha256`` in it is the hash of all tensors. Nothing in the file is ever executed.
Discriminators, encoders, directions and all networks that belong to no component may be
absent, as may the hash in files of early versions.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes
from torch import nn

from ..color import COMPONENT_TRANSFORMS, ComponentTransform
from ..errors import JoinError
from ..forward_models import ForwardModel, get_forward_model
from ..images.files import write_atomically
from ..names import is_file
from ..networks.brightness import Brightness
from ..networks.encoder import Encoder
from ..networks.invertibility import Invertibility
from ..networks.limits import Unfilled
from ..networks.maps import Maps
from ..networks.samm import Samm
from ..networks.seeing import Seeing
from ..networks.split import Split
from ..networks.stylegan2 import Discriminator, Generator, generate
from ..networks.trunk import Trunk
from ..single_gan import SINGLE_TRANSFORMS
from ..untrusted import read_json
from .bank_wide import BANK_WIDE, SplitHeader, present
from .header import FORMAT_VERSION, BankHeader

HEADER_KEY = "join_bank"
HASH_KEY = "weights_sha256"
SUFFIX = ".safetensors"
DEFAULT_BANK = "materials"
AUTO = "auto"
"""In place of a bank's name: one that suits the picture (:mod:`join_engine.bank.choice`)."""
BANKS_FOLDER = Path(__file__).parents[1] / "banks"

# Half precision keeps 11 bits, far below what an image shows; but the noise and the mean code are added up often,
# weights stored with a learning-rate multiplier of 0.01 are too large for comfort, and running variances have no bound.
_FULL_PRECISION = ("noise_const", "noise_strength", "w_avg", "mapping.", "running_", "vectors")
MATERIAL = "material."
"""Begins the names of directions of materials."""
_PREFIXES = {"directions": "", "materials": MATERIAL}
# A counter of training that no inference needs.
_NOT_STORED = "num_batches_tracked"
_DRAWN_AT_ONCE = 10_000


class DirectionVectors(nn.Module):
    """Learned directions in a generator's latent space, one vector per name.

    ``vectors`` is [names, L, w_dim]: L is 1 (W) or one per layer (W+).
    """

    vectors: torch.Tensor

    def __init__(self, names: int, layers: int, w_dim: int) -> None:
        super().__init__()
        self.register_buffer("vectors", torch.zeros(names, layers, w_dim))


@dataclass
class BankComponent:
    """One component of a loaded bank.

    Attributes:
        name: as the forward model calls it.
        transform: T of Eq. 2.
        generator: frozen, in evaluation mode, float32.
        discriminator: likewise, or None when not asked for or not in the file.
        w_avg: mean code, [w_dim] float32.
        encoder: likewise, or None when not in the file.
        directions: by name, vectors in W, [w_dim] float32, or in W+, [num_ws, w_dim]: what one standard deviation of
            that attribute of the light, in the bank's renders, changes; and under :data:`MATERIAL` and their names
            those of materials that move this component. Empty when there are none in the file.
    """

    name: str
    transform: ComponentTransform
    generator: Generator
    discriminator: Discriminator | None
    w_avg: torch.Tensor
    encoder: Encoder | None = None
    directions: Mapping[str, torch.Tensor] = field(default_factory=dict)
    _codes: dict[tuple[int, int], torch.Tensor] = field(default_factory=dict, repr=False)

    @torch.no_grad()
    def sample_codes(self, count: int = 100_000, seed: int = 0) -> torch.Tensor:
        """[count, w_dim] codes w of z drawn from a Gaussian truncated elementwise at ±2 (JoIN, section 3.4).

        The same codes for the same ``seed`` on every device. They are not stored in the file but drawn again, and
        kept in memory after the first call.
        """
        key = (count, seed)
        if key not in self._codes:
            z = _drawn(count, self.generator.config.z_dim, seed)
            chunks = [self.generator.mapping(part.to(self.w_avg.device)) for part in z.split(10_000)]
            self._codes[key] = torch.cat(chunks)
        return self._codes[key]

    def encode(self, images: torch.Tensor) -> torch.Tensor:
        """Codes of this component in sRGB-encoded images [B, 3, R, R]: [B, 1, w_dim], or [B, num_ws, w_dim] in W+.
        Raises JoinError ``encoder_missing``."""
        if self.encoder is None:
            message = f"This bank has no encoder of '{self.name}'."
            raise JoinError("encoder_missing", message, "Choose another preset, or a bank with encoders.")
        return self.w_avg + self.encoder(images.clamp(0.0, 1.0))

    def seen(self, images: torch.Tensor) -> torch.Tensor:
        """What the generator makes of what the encoder sees in images: [B, 3, R, R] sRGB-encoded → the generator's
        range, same shape. Raises JoinError as :meth:`encode`."""
        return generate(self.generator, self.encode(images))


@dataclass(frozen=True)
class Bank:
    """A loaded bank: see :func:`load_bank`.

    ``trunk``, ``brightness``, ``split``, ``split_cut_out``, ``seeing``, ``invertibility``, ``samm`` and ``maps`` are
    frozen like all networks, None when not in the file.
    """

    header: BankHeader
    path: Path
    components: dict[str, BankComponent]
    trunk: Trunk | None = None
    brightness: Brightness | None = None
    split: Split | None = None
    split_cut_out: Split | None = None
    seeing: Seeing | None = None
    invertibility: Invertibility | None = None
    samm: Samm | None = None
    maps: Maps | None = None

    def split_for(self, cut_out: bool) -> tuple[Split | None, SplitHeader | None]:
        """The split network that knows such pictures best, and what the header says of it."""
        if cut_out and self.split_cut_out is not None:
            return self.split_cut_out, self.header.split_cut_out
        return self.split, self.header.split

    @property
    def forward_model(self) -> ForwardModel:
        """f of Eq. 1."""
        return get_forward_model(self.header.forward_model)

    @property
    def has_encoders(self) -> bool:
        """Whether every component has one."""
        return all(component.encoder is not None for component in self.components.values())

    def seen(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """What the generators make of what the seeing encoder, or without one each encoder, sees in images.

        sRGB-encoded [B, 3, R, R] → by component the same shape in the generators' range. Raises JoinError
        ``encoder_missing``.
        """
        parts = {name: self.components[name] for name in self.forward_model.components}
        if self.seeing is None:
            return {name: part.seen(images) for name, part in parts.items()}
        sights = self.seeing(images.clamp(0.0, 1.0))
        return {
            name: generate(part.generator, part.w_avg + sights[name].offsets, hooks=sights[name].residuals)
            for name, part in parts.items()
        }

    def direction_vectors(self, kind: str) -> dict[str, DirectionVectors]:
        """The named "directions" of the light, or those of "materials", of the components that have any, as
        :func:`save_bank` takes them."""
        described = self.header.named_directions.get(kind)
        found = {}
        for name, layers in ({} if described is None else described.layers).items():
            assert described is not None
            component = self.components[name]
            found[name] = DirectionVectors(len(described.attributes), layers, component.generator.config.w_dim)
            for row, attribute in zip(found[name].vectors, described.attributes, strict=True):
                vector = component.directions.get(_PREFIXES[kind] + attribute)
                if vector is not None:
                    row.copy_(vector.reshape(row.shape))
        return found

    @cached_property
    def sha256(self) -> str:
        """Hexadecimal hash of the file, to name the bank exactly in a stored decomposition."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def made(self, sha256: str) -> bool:
        """Whether the bank of that hash is this one, or one that had its generators: its codes mean the same here."""
        return sha256 in (self.sha256, *self.header.formerly)


def truncated_normal(count: int, size: int, seed: int, limit: float = 2.0) -> torch.Tensor:
    """[count, size] float32 draws of a standard normal, each conditioned on lying within ±``limit``.

    Drawn on the CPU through the inverse distribution function, so that a seed means the same values everywhere.
    """
    rng = torch.Generator().manual_seed(seed)
    tail = 0.5 * torch.erfc(torch.tensor(limit / 2**0.5, dtype=torch.float64)).item()
    values = torch.empty(count, size)
    for part in values.split(_DRAWN_AT_ONCE):  # the same as all at once, without so much in double precision
        uniform = torch.rand(part.shape, generator=rng, dtype=torch.float64)
        part.copy_(torch.special.ndtri(tail + uniform * (1.0 - 2.0 * tail)).clamp(-limit, limit))
    return values


# Drawn once for all components of a bank that are asked for their codes in turn.
_drawn = lru_cache(maxsize=1)(truncated_normal)


def fingerprint(network: nn.Module) -> str:
    """Short hash of a network's weights as a bank stores them, the same before and after a way through the file."""
    return _hash({key: _for_storage(key, value) for key, value in _stored_state(network).items()})[:16]


def save_bank(
    path: str | Path,
    header: BankHeader,
    modules: Mapping[str, tuple[Generator, Discriminator | None]],
    encoders: Mapping[str, Encoder] | None = None,
    directions: Mapping[str, DirectionVectors] | None = None,
    materials: Mapping[str, DirectionVectors] | None = None,
    **bank_wide: nn.Module | None,
) -> None:
    """Write a bank: complete under its name, or not at all.

    Args:
        path: the file; its folder is made when absent.
        modules: generator (with its ``w_avg``) and discriminator of every component of ``header``.
        encoders: of the components that have one.
        directions: of the light, of the components that have any.
        materials: of materials, likewise; zeros where one does not move the component.
        bank_wide: by its name in ``BANK_WIDE``, each network that belongs to no component.

    Raises:
        ValueError: header and networks do not belong together.
        JoinError: ``weights_not_finite`` when a weight is no number (or too large for half precision),
            ``output_unwritable``.
    """
    encoders, vectors = encoders or {}, {"directions": directions or {}, "materials": materials or {}}
    _check_described(header, modules, encoders, bank_wide)
    _check_directions(header, modules, vectors)
    networks: dict[str, nn.Module] = {}
    for name, (generator, discriminator) in ((name, modules[name]) for name in header.components):
        networks[f"{name}.generator"] = generator
        networks |= {} if discriminator is None else {f"{name}.discriminator": discriminator}
        networks |= {f"{name}.encoder": encoders[name]} if name in encoders else {}
        networks |= {f"{name}.{kind}": found[name] for kind, found in vectors.items() if name in found}
    networks |= {name: network for name, network in bank_wide.items() if network is not None}
    tensors = {
        name: _for_storage(name, value)
        for prefix, network in networks.items()
        for name, value in _named_tensors(prefix, network).items()
    }
    spoiled = [name for name, tensor in tensors.items() if not tensor.isfinite().all()]
    if spoiled:
        message = f"The weights '{spoiled[0]}' hold values that are not numbers."
        raise JoinError("weights_not_finite", message, "Go back to an earlier snapshot of that training.")
    text = json.dumps(header.to_dict() | {HASH_KEY: _hash(tensors)}, ensure_ascii=False, allow_nan=False)
    data = safetensors_bytes(tensors, metadata={HEADER_KEY: text})
    write_atomically(path, lambda temporary: temporary.write_bytes(data))


def read_header(path: str | os.PathLike[str]) -> BankHeader:
    """The header of a bank, without reading its weights. Raises JoinError ``bank_missing``, ``bank_broken`` or
    ``bank_newer``."""
    path = Path(path)
    if not is_file(path):
        raise JoinError("bank_missing", f"There is no bank file '{path}'.", "Check the path, or name a shipped bank.")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
    except (SafetensorError, OSError) as error:
        raise _broken(path, "is damaged or is no bank") from error
    return _parse_header(path, metadata)


def load_bank(
    path: str | os.PathLike[str], device: str | torch.device = "cpu", with_discriminators: bool = False
) -> Bank:
    """Load a bank; every network frozen, in evaluation mode, float32, on ``device``. Raises JoinError ``bank_missing``,
    ``bank_broken`` or ``bank_newer``."""
    path = Path(path)
    header = read_header(path)
    try:
        with Unfilled():  # what the header announces is not believed yet
            networks = _networks(header)
        with safe_open(path, framework="pt") as file:
            stored = _read_tensors(path, file, networks)
            expected_hash = read_json(file.metadata()[HEADER_KEY]).get(HASH_KEY)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise _broken(path, "is damaged") from error
    if expected_hash is not None and _hash(stored) != expected_hash:
        raise _broken(path, "does not hold the weights that it was written with (their hash differs)")
    if not with_discriminators:
        networks = {prefix: network for prefix, network in networks.items() if not prefix.endswith(".discriminator")}
    for prefix, network in networks.items():
        _fill(network, prefix, stored)
        network.to(device)
    components: dict[str, BankComponent] = {}
    for name, component in header.components.items():
        generator = cast(Generator, networks[f"{name}.generator"])
        known = fingerprint(generator)
        if component.encoder is not None and component.encoder.generator != known:
            raise _broken(path, f"has an encoder of '{name}' that was trained for another generator")
        for kind, described in header.named_directions.items():
            if described.generators.get(name) not in (None, known):
                raise _broken(path, f"has {kind} of '{name}' that were learned for another generator")
        for kind, through in header.through_generators.items():
            if through.generators.get(name) != known:
                title = BANK_WIDE[kind].title
                raise _broken(path, f"has a network ({title}) that was trained for another generator of '{name}'")
        components[name] = BankComponent(
            name,
            {**COMPONENT_TRANSFORMS, **SINGLE_TRANSFORMS}[component.transform],
            generator,
            cast(Discriminator | None, networks.get(f"{name}.discriminator")),
            generator.w_avg,
            cast(Encoder | None, networks.get(f"{name}.encoder")),
            _named_vectors(header, {kind: networks.get(f"{name}.{kind}") for kind in _PREFIXES}),
        )
    bank_wide: dict[str, Any] = {name: networks.get(name) for name in BANK_WIDE}
    return Bank(header, path, components, **bank_wide)


@torch.no_grad()
def verify_bank(bank: Bank) -> None:
    """Let every network of a bank work once: what they make must be finite, and not always the same.

    Loading has compared names, shapes and the hash; this finds weights that are numbers but no networks. Raises
    JoinError ``bank_broken``.
    """
    side = bank.header.resolution
    for name, component in bank.components.items():
        codes = component.sample_codes(8, seed=1)
        images = component.generator.synthesis(codes)
        found = {"generator": images}
        if component.discriminator is not None:
            found["discriminator"] = component.discriminator(images)
        if component.encoder is not None:
            found["encoder"] = component.encode(images)
        for kind, output in found.items():
            if not output.isfinite().all():
                raise _broken(bank.path, f"has a {kind} of '{name}' whose output holds values that are not numbers")
        if float(images.std(dim=0).max()) == 0.0:
            raise _broken(bank.path, f"has a generator of '{name}' that makes one image only")
    grey = torch.full((1, 3, side, side), 0.5)
    for _, row, network in present(bank):
        if not all(output.isfinite().all() for output in row.tried(network, grey)):
            raise _broken(bank.path, f"has a {row.title} whose output holds values that are not numbers")


def list_banks(folder: str | os.PathLike[str] | None = None) -> list[Path]:
    """Bank files in ``folder`` (default: the shipped ones), sorted by name; the files are not opened."""
    return sorted(Path(folder or BANKS_FOLDER).glob(f"*{SUFFIX}"))


def find_bank(name_or_path: str | os.PathLike[str] | None = None) -> Path:
    """The file of a bank given by path or by the name of a shipped one; None means the default bank. Raises JoinError
    ``bank_missing``."""
    if name_or_path is None:
        name_or_path = DEFAULT_BANK
    shipped = {path.stem: path for path in list_banks()}
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    path = Path(name_or_path)
    if is_file(path):
        return path
    if str(name_or_path) == AUTO:
        message = "No bank can be chosen by itself here: there is no picture to choose by."
        raise JoinError("bank_missing", message, f"Name one: {', '.join(sorted(shipped))}.")
    hint = f"Shipped banks: {', '.join(sorted(shipped))}." if shipped else "Give the path of a bank file."
    raise JoinError("bank_missing", f"There is no bank '{name_or_path}'.", hint)


def _check_described(
    header: BankHeader,
    modules: Mapping[str, tuple[Generator, Discriminator | None]],
    encoders: Mapping[str, Encoder],
    bank_wide: Mapping[str, nn.Module | None],
) -> None:
    if set(header.components) != set(modules):
        raise ValueError(f"header has {sorted(header.components)}, modules {sorted(modules)}")
    if {name for name, component in header.components.items() if component.encoder} != set(encoders):
        raise ValueError(f"the header does not name the encoders {sorted(encoders)}")
    for name in BANK_WIDE:
        network, described = bank_wide.get(name), getattr(header, name)
        if (network and network.config) != (described and described.architecture):
            raise ValueError(f"the header does not describe the {name} network")
    for kind, through in header.through_generators.items():
        for name, known in through.generators.items():
            if known != fingerprint(modules[name][0]):
                raise ValueError(f"the {BANK_WIDE[kind].title} was trained for another generator of {name!r}")
    for name, component in header.components.items():
        generator, discriminator = modules[name]
        if generator.config != component.architecture or (discriminator is not None) != component.has_discriminator:
            raise ValueError(f"the header of {name!r} does not describe its networks")
        encoder = component.encoder
        if encoder is None:
            continue
        if encoders[name].config != encoder.architecture:
            raise ValueError(f"the header of {name!r} does not describe its encoder")
        if encoder.generator != fingerprint(generator):
            raise ValueError(f"the encoder of {name!r} was trained for another generator")


def _check_directions(
    header: BankHeader,
    modules: Mapping[str, tuple[Generator, Discriminator | None]],
    vectors: Mapping[str, Mapping[str, DirectionVectors]],
) -> None:
    for kind, found in vectors.items():
        described = header.named_directions.get(kind)
        generators = {} if described is None else described.generators
        if set(generators) != set(found):
            raise ValueError(f"the header does not describe the {kind} of {sorted(found)}")
        for name, generator in generators.items():
            if generator != fingerprint(modules[name][0]):
                raise ValueError(f"the {kind} of {name!r} were learned for another generator")


def _named_vectors(header: BankHeader, networks: Mapping[str, nn.Module | None]) -> dict[str, torch.Tensor]:
    """Name → [w_dim], or [num_ws, w_dim] in W+; of materials those that move the component."""
    named: dict[str, torch.Tensor] = {}
    for kind, described in header.named_directions.items():
        found = cast(DirectionVectors | None, networks[kind])
        if found is None:
            continue
        vectors = found.vectors[:, 0] if found.vectors.shape[1] == 1 else found.vectors
        for attribute, vector in zip(described.attributes, vectors, strict=True):
            if kind == "directions" or bool(vector.any()):
                named[_PREFIXES[kind] + attribute] = vector
    return named


def _networks(header: BankHeader) -> dict[str, nn.Module]:
    """Fresh networks of all that a header announces, by the prefix of their tensors."""
    networks: dict[str, nn.Module] = {}
    for name, component in header.components.items():
        networks[f"{name}.generator"] = Generator(component.architecture)
        if component.has_discriminator:
            networks[f"{name}.discriminator"] = Discriminator(component.architecture)
        if component.encoder is not None:
            networks[f"{name}.encoder"] = Encoder(component.encoder.architecture)
        for kind, described in header.named_directions.items():
            if name in described.layers:
                shape = len(described.attributes), described.layers[name], component.architecture.w_dim
                networks[f"{name}.{kind}"] = DirectionVectors(*shape)
    return networks | {name: kind.network(found.architecture) for name, kind, found in present(header)}


def _stored_state(network: nn.Module) -> dict[str, torch.Tensor]:
    return {key: value for key, value in network.state_dict().items() if not key.endswith(_NOT_STORED)}


def _named_tensors(prefix: str, network: nn.Module) -> dict[str, torch.Tensor]:
    """The tensors of a network by their names in the file; they are the network's own, not copies."""
    owner = prefix.partition(".")[0]
    return {
        f"{owner}.w_avg" if key == "w_avg" else f"{prefix}.{key}": value
        for key, value in _stored_state(network).items()
    }


def _read_tensors(path: Path, file: Any, networks: Mapping[str, nn.Module]) -> dict[str, torch.Tensor]:
    """All tensors of an open file, checked: exactly those of these networks, of their shapes, and finite. Raises
    JoinError ``bank_broken``, for the first that is not so."""
    expected = {
        name: list(value.shape)
        for prefix, network in networks.items()
        for name, value in _named_tensors(prefix, network).items()
    }
    names = set(file.keys())
    missing, unknown = sorted(set(expected) - names), sorted(names - set(expected))
    if missing:
        raise _broken(path, f"lacks {len(missing)} of its weights, such as '{missing[0]}'")
    if unknown:
        raise _broken(path, f"holds weights '{unknown[0]}' that its header does not announce")
    tensors: dict[str, torch.Tensor] = {}
    for name, shape in expected.items():
        found = file.get_slice(name).get_shape()
        if found != shape:
            raise _broken(path, f"has weights '{name}' of the shape {found} instead of {shape}")
        tensors[name] = file.get_tensor(name)
        if not _is_finite(tensors[name]):
            raise _broken(path, f"has weights '{name}' with values that are not numbers")
    return tensors


def _is_finite(tensor: torch.Tensor) -> bool:
    """Whether it is of finite numbers. A sum is spoiled by one that is none, and five times as fast as looking at each;
    where numbers are too large for it, these are looked at."""
    if not tensor.is_floating_point():
        return False
    return math.isfinite(tensor.sum(dtype=torch.float32).item()) or bool(tensor.isfinite().all())


def _fill(network: nn.Module, prefix: str, stored: Mapping[str, torch.Tensor]) -> None:
    """Give a network that was built ``Unfilled`` its weights: frozen, in evaluation mode, float32."""
    network.eval()
    modules = dict(network.named_modules())
    for key, name in zip(_stored_state(network), _named_tensors(prefix, network), strict=True):
        # A copy: what was read may still be the file's own pages, which somebody may change.
        weights = stored[name].to(torch.float32, copy=True)
        owner, _, own = key.rpartition(".")
        module = modules[owner]
        is_parameter = isinstance(getattr(module, own), nn.Parameter)
        setattr(module, own, nn.Parameter(weights, requires_grad=False) if is_parameter else weights)
    for module in modules.values():
        if isinstance(module, nn.BatchNorm2d):
            module.num_batches_tracked = torch.zeros((), dtype=torch.int64)


def _hash(tensors: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over names, types, shapes and values of float tensors on the CPU."""
    total = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        total.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        total.update(tensor.numpy().data if tensor.dim() else tensor.numpy().tobytes())
    return total.hexdigest()


def _for_storage(key: str, value: torch.Tensor) -> torch.Tensor:
    """In half precision where that loses nothing measurable."""
    full = any(part in key for part in _FULL_PRECISION)
    return value.detach().cpu().to(torch.float32 if full else torch.float16, copy=True).contiguous()


def _parse_header(path: Path, metadata: Mapping[str, str] | None) -> BankHeader:
    text = (metadata or {}).get(HEADER_KEY)
    if text is None:
        raise _broken(path, "is a safetensors file, but no bank")
    try:
        values = read_json(text)
        version = int(values["format_version"])
        if version > FORMAT_VERSION:
            message = f"The bank '{path.name}' has format {version}, but this version reads up to {FORMAT_VERSION}."
            raise JoinError("bank_newer", message, "Update JoIN Intrinsics.")
        return BankHeader.from_dict(values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _broken(path, "has a header that cannot be understood") from error


def _broken(path: Path, what: str) -> JoinError:
    return JoinError("bank_broken", f"The bank '{path.name}' {what}.", "Copy or download it again.")
