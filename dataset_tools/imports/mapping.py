# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of other people's passes make albedo, shading and specular: a small JSON file, and the arithmetic it asks for.

::

    {"name": "my-faces",
     "passes": {"albedo": {"file": "{id}_albedo.png", "space": "srgb"},
                "shadow": {"file": "{id}/passes.exr", "layer": "Shadow"}, …},
     "components": {"albedo": [["albedo"]],
                    "shading": [["shadow"], ["subsurface", "/albedo"]],
                    "specular": [["gloss_color", "gloss_direct"], ["gloss_color", "gloss_indirect"]]}}

A component is a sum of terms, a term a product of passes; a slash divides by the pass. So the lines above are the
paper's Eq. 15 for shading and Eq. 14 for specular; ``[]`` is a component of zeros.

passes.*.file    path below the source folder; ``{id}`` stands for a sample's name. EXR, PNG or npy ([H, W, 3], [H, W])
passes.*.space   "linear" (the default), "srgb", or a number: the gamma that the file was encoded with
passes.*.layer   for a multilayer EXR: what stands before .R, .G and .B
passes.*.scale   a factor on the linear values
image            optional, the name of the pass that holds their own composed image, to compare with ours
mask             optional, the name of the pass that is above one half where a pixel is valid
group            optional, a regular expression on the id; samples whose match (its first group, if it has one) is
                 equal, such as those of one person, go into one split. Without it every sample is a group of its own
floor            optional, 0.02: where a divisor is smaller, the term counts as zero and the pixel as invalid
license, comment optional texts
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dataset_tools.errors import UserError
from dataset_tools.storage import passes

_ID = "{id}"


@dataclass(frozen=True)
class Source:
    """Where one pass lies and how it was encoded."""

    file: str
    space: str | float = "linear"
    layer: str = ""
    scale: float = 1.0

    def pattern(self) -> re.Pattern[str]:
        """Matches its path below the source folder (with slashes); ``id`` is the sample's name."""
        before, *rest = (re.escape(part) for part in self.file.split(_ID))
        return re.compile(before + r"(?P<id>[^/]+)" + "(?P=id)".join(rest))


@dataclass(frozen=True)
class PassMapping:
    """A mapping file."""

    name: str
    passes: Mapping[str, Source]
    components: Mapping[str, tuple[tuple[str, ...], ...]]
    image: str | None = None
    mask: str | None = None
    group: str | None = None
    floor: float = 0.02
    license: str = ""
    comment: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    """The file's contents as they stand, which decide a dataset's pixels."""

    def group_of(self, sample: str) -> str:
        """The group that a sample belongs to."""
        match = re.search(self.group, sample) if self.group else None
        if match is None:
            return sample
        return str(match[1] if match.re.groups else match[0])

    def compose(self, found: Mapping[str, np.ndarray]) -> tuple[dict[str, np.ndarray], np.ndarray]:
        """Linear passes [H, W, 3] → components [H, W, 3] ≥ 0, and the validity mask [H, W], 1 or 0."""
        shape = next(iter(found.values())).shape
        valid = np.ones(shape[:2], bool)
        if self.mask:
            valid &= found[self.mask].mean(axis=-1) > 0.5
        components = {}
        for name, terms in self.components.items():
            total = np.zeros(shape, np.float32)
            for term in terms:
                total += self._term(term, found, valid)
            finite = np.isfinite(total).all(axis=-1)
            valid &= finite
            components[name] = np.where(finite[..., None], total, 0.0).clip(0.0, None).astype(np.float32)
        return components, valid.astype(np.float32)

    def _term(self, term: tuple[str, ...], found: Mapping[str, np.ndarray], valid: np.ndarray) -> np.ndarray:
        product = np.ones_like(next(iter(found.values())))
        for factor in term:
            if not factor.startswith("/"):
                product = product * found[factor]
                continue
            divisor = found[factor[1:]]
            usable = divisor >= self.floor
            valid &= usable.all(axis=-1)
            product = np.where(usable, product / np.where(usable, divisor, 1.0), 0.0)
        return product


def read_mapping(path: Path) -> PassMapping:
    """The mapping in a JSON file. Raises UserError that names what is wrong in it."""
    try:
        values = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise UserError(f"Could not read the mapping {path} ({error.strerror or error}): name a JSON file.") from None
    except ValueError as error:
        raise UserError(f"The mapping {path.name} is not valid JSON ({error}): put it right.") from None
    try:
        return _parse(values)
    except (KeyError, TypeError, ValueError, AttributeError, re.error) as error:
        reason = f"'{error.args[0]}' is missing" if isinstance(error, KeyError) else error
        raise UserError(f"The mapping {path.name} cannot be used ({reason}): see dataset_tools/mapping.py.") from None


def _parse(values: dict[str, Any]) -> PassMapping:
    unknown = sorted(set(values) - set(PassMapping.__dataclass_fields__) | {"values"} & set(values))
    if unknown:
        raise ValueError(f"there is no setting '{unknown[0]}'")
    sources = {name: Source(**source) for name, source in values["passes"].items()}
    for name, source in sources.items():
        if _ID not in source.file:
            raise ValueError(f"the file of the pass '{name}' has no {_ID}")
        if source.space not in ("linear", "srgb") and not isinstance(source.space, (int, float)):
            raise ValueError(f"the space of '{name}' is neither linear nor srgb nor a gamma")
    components = {name: tuple(tuple(term) for term in terms) for name, terms in values["components"].items()}
    if set(components) != set(passes.COMPONENTS):
        raise ValueError(f"components are {', '.join(passes.COMPONENTS)}, each a list of terms, empty for zeros")
    used = {factor.removeprefix("/") for terms in components.values() for term in terms for factor in term}
    used |= {values[key] for key in ("image", "mask") if values.get(key)}
    lacking = sorted(used - set(sources))
    if lacking:
        raise ValueError(f"the pass '{lacking[0]}' is used and not described")
    if not re.fullmatch(r"[A-Za-z0-9_.-]+", values["name"]):
        raise ValueError("its name may have letters, digits, '-', '_' and '.' only")
    re.compile(values.get("group") or "")
    needed = {name: source for name, source in sources.items() if name in used}
    return PassMapping(**{**values, "passes": needed, "components": components, "values": values})
