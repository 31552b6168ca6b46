# SPDX-License-Identifier: GPL-3.0-or-later
"""The bank file: the generators of one forward model in a single ``.safetensors``, with a JSON header.

Tensors are named ``{component}.generator.{param}``, ``{component}.discriminator.{param}`` and ``{component}.w_avg``.
The header is JSON under the key ``join_bank`` of the file's metadata. Nothing in the file is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes

from .color import COMPONENT_TRANSFORMS, ComponentTransform
from .errors import JoinError
from .forward_models import ForwardModel, get_forward_model
from .images import write_atomically
from .networks.stylegan2 import Discriminator, Generator, GeneratorConfig

FORMAT_VERSION = 1
HEADER_KEY = "join_bank"
SUFFIX = ".safetensors"
DEFAULT_BANK = "primeshapes"
BANKS_FOLDER = Path(__file__).parent / "banks"

# Half precision keeps 11 bits, far below what an image shows; but the noise and the mean code are added up often,
# and weights stored with a learning-rate multiplier of 0.01 are too large for comfort.
_FULL_PRECISION = ("noise_const", "noise_strength", "w_avg", "mapping.")


@dataclass(frozen=True)
class ComponentHeader:
    """What a bank says about one component.

    Attributes:
        transform: name of the transform T (Eq. 2) between linear values and the generator's range.
        architecture: settings of the generator and its discriminator.
        training: what it was trained on and for how long; plain JSON values.
        has_discriminator: whether the file holds the discriminator too.
    """

    transform: str
    architecture: GeneratorConfig
    training: Mapping[str, Any] = field(default_factory=dict)
    has_discriminator: bool = True

    def __post_init__(self) -> None:
        if self.transform not in COMPONENT_TRANSFORMS:
            raise ValueError(f"unknown transform {self.transform!r}")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "transform": self.transform,
            "architecture": self.architecture.to_dict(),
            "training": dict(self.training),
            "has_discriminator": self.has_discriminator,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> ComponentHeader:
        """Inverse of :meth:`to_dict`. Raises KeyError, TypeError or ValueError for values that do not fit."""
        return cls(
            transform=str(values["transform"]),
            architecture=GeneratorConfig.from_dict(values["architecture"]),
            training=dict(values["training"]),
            has_discriminator=bool(values["has_discriminator"]),
        )


@dataclass(frozen=True)
class BankHeader:
    """What a bank says about itself.

    Attributes:
        name: short name, the file's stem for a shipped bank.
        resolution: side of the images of every component.
        forward_model: registered name of f (Eq. 1).
        components: one header per component of the forward model, in its order.
        scores: measured quality, plain JSON values; empty when not measured.
        license: SPDX identifier of the weights.
        format_version: of the file.
    """

    name: str
    resolution: int
    forward_model: str
    components: Mapping[str, ComponentHeader]
    scores: Mapping[str, Any] = field(default_factory=dict)
    license: str = "CC0-1.0"
    format_version: int = FORMAT_VERSION

    def __post_init__(self) -> None:
        if not self.components:
            raise ValueError("a bank needs at least one component")
        for name, component in self.components.items():
            if component.architecture.resolution != self.resolution:
                raise ValueError(f"component {name!r} has another resolution than the bank")

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {
            "format_version": self.format_version,
            "name": self.name,
            "resolution": self.resolution,
            "forward_model": self.forward_model,
            "components": {name: component.to_dict() for name, component in self.components.items()},
            "scores": dict(self.scores),
            "license": self.license,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BankHeader:
        """Inverse of :meth:`to_dict`. Raises KeyError, TypeError or ValueError for values that do not fit."""
        return cls(
            name=str(values["name"]),
            resolution=int(values["resolution"]),
            forward_model=str(values["forward_model"]),
            components={name: ComponentHeader.from_dict(item) for name, item in values["components"].items()},
            scores=dict(values["scores"]),
            license=str(values["license"]),
            format_version=int(values["format_version"]),
        )


@dataclass
class BankComponent:
    """One component of a loaded bank.

    Attributes:
        name: as the forward model calls it.
        transform: T of Eq. 2.
        generator: frozen, in evaluation mode, float32.
        discriminator: likewise, or None when not asked for or not in the file.
        w_avg: mean code, [w_dim] float32.
    """

    name: str
    transform: ComponentTransform
    generator: Generator
    discriminator: Discriminator | None
    w_avg: torch.Tensor
    _codes: dict[tuple[int, int], torch.Tensor] = field(default_factory=dict, repr=False)

    @torch.no_grad()
    def sample_codes(self, count: int = 100_000, seed: int = 0) -> torch.Tensor:
        """[count, w_dim] codes w of z drawn from a Gaussian truncated elementwise at ±2 (JoIN, section 3.4).

        The same codes for the same ``seed`` on every device. They are not stored in the file but drawn again, and
        kept in memory after the first call.
        """
        key = (count, seed)
        if key not in self._codes:
            z = truncated_normal(count, self.generator.config.z_dim, seed)
            chunks = [self.generator.mapping(part.to(self.w_avg.device)) for part in z.split(10_000)]
            self._codes[key] = torch.cat(chunks)
        return self._codes[key]


@dataclass(frozen=True)
class Bank:
    """A loaded bank: see :func:`load_bank`."""

    header: BankHeader
    path: Path
    components: dict[str, BankComponent]

    @property
    def forward_model(self) -> ForwardModel:
        """f of Eq. 1."""
        return get_forward_model(self.header.forward_model)

    @cached_property
    def sha256(self) -> str:
        """Hexadecimal hash of the file, to name the bank exactly in a stored decomposition."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def truncated_normal(count: int, size: int, seed: int, limit: float = 2.0) -> torch.Tensor:
    """[count, size] float32 draws of a standard normal, each conditioned on lying within ±``limit``.

    Drawn on the CPU through the inverse distribution function, so that a seed means the same values everywhere.
    """
    rng = torch.Generator().manual_seed(seed)
    tail = 0.5 * torch.erfc(torch.tensor(limit / 2**0.5, dtype=torch.float64)).item()
    uniform = torch.rand(count, size, generator=rng, dtype=torch.float64)
    values = torch.special.ndtri(tail + uniform * (1.0 - 2.0 * tail))
    return values.clamp(-limit, limit).float()


def save_bank(
    path: str | Path,
    header: BankHeader,
    modules: Mapping[str, tuple[Generator, Discriminator | None]],
) -> None:
    """Write a bank: complete under its name, or not at all.

    Args:
        path: the file; its folder is made when absent.
        header: describes ``modules``.
        modules: generator (with its ``w_avg``) and discriminator of every component of ``header``.

    Raises:
        ValueError: header and modules do not belong together.
        JoinError: ``output_unwritable``.
    """
    if set(header.components) != set(modules):
        raise ValueError(f"header has {sorted(header.components)}, modules {sorted(modules)}")
    tensors: dict[str, torch.Tensor] = {}
    for name, component in header.components.items():
        generator, discriminator = modules[name]
        if generator.config != component.architecture or (discriminator is not None) != component.has_discriminator:
            raise ValueError(f"the header of {name!r} does not describe its networks")
        tensors |= _component_tensors(name, generator, discriminator)
    text = json.dumps(header.to_dict(), ensure_ascii=False, allow_nan=False)
    data = safetensors_bytes(tensors, metadata={HEADER_KEY: text})
    write_atomically(path, lambda temporary: temporary.write_bytes(data))


def read_header(path: str | os.PathLike[str]) -> BankHeader:
    """The header of a bank, without reading its weights.

    Raises:
        JoinError: ``bank_missing``, ``bank_broken`` or ``bank_newer``.
    """
    path = _existing(path)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata()
    except (SafetensorError, OSError) as error:
        raise _broken(path, "is damaged or is no bank") from error
    return _parse_header(path, metadata)


def load_bank(
    path: str | os.PathLike[str], device: str | torch.device = "cpu", with_discriminators: bool = False
) -> Bank:
    """Load a bank; every network frozen, in evaluation mode, float32, on ``device``.

    Raises:
        JoinError: ``bank_missing``, ``bank_broken`` or ``bank_newer``.
    """
    path = _existing(path)
    header = read_header(path)
    components: dict[str, BankComponent] = {}
    try:
        with safe_open(path, framework="pt") as file:
            stored = set(file.keys())
            for name, component in header.components.items():
                tensors = {
                    key.removeprefix(f"{name}."): file.get_tensor(key).float()
                    for key in stored
                    if key.startswith(f"{name}.")
                }
                components[name] = _build_component(name, component, tensors, with_discriminators, device)
    except (SafetensorError, OSError, KeyError, RuntimeError) as error:
        raise _broken(path, "does not hold the weights that its header promises") from error
    return Bank(header, path, components)


def list_banks(folder: str | os.PathLike[str] | None = None) -> list[Path]:
    """Bank files in ``folder`` (default: the shipped ones), sorted by name; the files are not opened."""
    return sorted(Path(folder or BANKS_FOLDER).glob(f"*{SUFFIX}"))


def find_bank(name_or_path: str | os.PathLike[str] | None = None) -> Path:
    """The file of a bank given by path or by the name of a shipped one; None means the default bank.

    Raises:
        JoinError: ``bank_missing``.
    """
    if name_or_path is None:
        name_or_path = DEFAULT_BANK
    shipped = {path.stem: path for path in list_banks()}
    if str(name_or_path) in shipped:
        return shipped[str(name_or_path)]
    path = Path(name_or_path)
    if path.is_file():
        return path
    hint = f"Shipped banks: {', '.join(sorted(shipped))}." if shipped else "Give the path of a bank file."
    raise JoinError("bank_missing", f"There is no bank '{name_or_path}'.", hint)


def _component_tensors(name: str, generator: Generator, discriminator: Discriminator | None) -> dict[str, torch.Tensor]:
    tensors = {
        f"{name}.generator.{key}": _for_storage(key, value)
        for key, value in generator.state_dict().items()
        if key != "w_avg"
    }
    if discriminator is not None:
        for key, value in discriminator.state_dict().items():
            tensors[f"{name}.discriminator.{key}"] = _for_storage(key, value)
    tensors[f"{name}.w_avg"] = _for_storage("w_avg", generator.w_avg)
    return tensors


def _for_storage(key: str, value: torch.Tensor) -> torch.Tensor:
    """In half precision where that loses nothing measurable."""
    full = any(part in key for part in _FULL_PRECISION)
    return value.detach().cpu().to(torch.float32 if full else torch.float16, copy=True).contiguous()


def _build_component(
    name: str,
    header: ComponentHeader,
    tensors: dict[str, torch.Tensor],
    with_discriminator: bool,
    device: str | torch.device,
) -> BankComponent:
    """Raises KeyError or RuntimeError when tensors are missing, too many or of the wrong shape."""
    generator = Generator(header.architecture)
    generator.load_state_dict(_under("generator.", tensors) | {"w_avg": tensors["w_avg"]})
    discriminator = None
    if with_discriminator and header.has_discriminator:
        discriminator = Discriminator(header.architecture)
        discriminator.load_state_dict(_under("discriminator.", tensors))
        _freeze(discriminator, device)
    _freeze(generator, device)
    transform = COMPONENT_TRANSFORMS[header.transform]
    return BankComponent(name, transform, generator, discriminator, generator.w_avg)


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _freeze(module: torch.nn.Module, device: str | torch.device) -> None:
    module.to(device=device, dtype=torch.float32).eval().requires_grad_(False)


def _existing(path: str | os.PathLike[str]) -> Path:
    path = Path(path)
    if not path.is_file():
        raise JoinError("bank_missing", f"There is no bank file '{path}'.", "Check the path, or name a shipped bank.")
    return path


def _parse_header(path: Path, metadata: Mapping[str, str] | None) -> BankHeader:
    text = (metadata or {}).get(HEADER_KEY)
    if text is None:
        raise _broken(path, "is a safetensors file, but no bank")
    try:
        values = json.loads(text)
        version = int(values["format_version"])
        if version > FORMAT_VERSION:
            raise JoinError(
                "bank_newer",
                f"The bank '{path.name}' has format {version}, but this version reads up to {FORMAT_VERSION}.",
                "Update JoIN Intrinsics.",
            )
        return BankHeader.from_dict(values)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _broken(path, "has a header that cannot be understood") from error


def _broken(path: Path, what: str) -> JoinError:
    return JoinError("bank_broken", f"The bank '{path.name}' {what}.", "Copy or download it again.")
