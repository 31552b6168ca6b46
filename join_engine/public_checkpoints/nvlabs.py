# SPDX-License-Identifier: GPL-3.0-or-later
"""The layout of ``.pkl`` files of NVlabs' stylegan2-ada-pytorch: pickled modules under ``G_ema`` and ``D``.

Parameters and buffers carry the published names already. The filter of every layer is stored beside them, the mean
code lies in the mapping. Activations are clamped at ±256 in networks trained in fp16, which a trained one does not
reach; we have no clamp. The discriminator's minibatch statistic is taken over groups of 4, whatever the file says.
"""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from .published import check_filter
from .unpickle import Record

_MAPPING_RATE = 0.01
_MOST_MODULES = 10_000  # a pickle can hold modules that contain each other


def networks_from(values: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
    """Generator and discriminator under the published names. Raises ValueError for another layout."""
    found = values.get("G_ema", values.get("G"))
    if not isinstance(found, Record):
        raise ValueError("it has no 'G_ema'")
    generator = _tensors(found)
    if "mapping.w_avg" not in generator:
        raise ValueError("it has no mean code")
    generator["w_avg"] = generator.pop("mapping.w_avg")
    judge = values.get("D")
    return generator, _tensors(judge) if isinstance(judge, Record) else None


def _tensors(module: Record) -> dict[str, Tensor]:
    """Parameters and buffers of a module and all within it, without the filters, which are checked."""
    if module.state.get("c_dim"):
        raise ValueError("it is a network for several classes of images, which is not supported")
    found: dict[str, Tensor] = {}
    pending, visited = [("", module)], 0
    while pending:
        visited += 1
        if visited > _MOST_MODULES:
            raise ValueError("its modules have no end")
        prefix, part = pending.pop()
        if part.class_name == "FullyConnectedLayer" and prefix.startswith("mapping."):
            _check_rate(prefix, part)
        for kind in ("_parameters", "_buffers"):
            found |= {f"{prefix}{name}": value for name, value in _items(part, kind) if value is not None}
        pending += [(f"{prefix}{name}.", child) for name, child in _items(part, "_modules")]
    for name in [name for name in found if name.endswith("resample_filter")]:
        check_filter(name, found.pop(name), gain=1.0)
    wrong = [name for name, value in found.items() if not isinstance(value, Tensor)]
    if wrong:
        raise ValueError(f"'{wrong[0]}' is no tensor")
    return found


def _check_rate(prefix: str, layer: Record) -> None:
    """Raise ValueError when the mapping was trained with another multiplier of the learning rate, the bias's gain."""
    rate = layer.state.get("bias_gain", _MAPPING_RATE)
    if not isinstance(rate, int | float) or abs(rate - _MAPPING_RATE) > 1e-9:
        raise ValueError(f"'{prefix}' has the learning rate multiplier {reprlib.repr(rate)}, not {_MAPPING_RATE}")


def _items(module: Any, kind: str) -> list[tuple[str, Any]]:
    if not isinstance(module, Record) or not isinstance(module.state.get(kind, {}), Mapping):
        raise ValueError("it holds something that is no module")
    return [(str(name), value) for name, value in module.state.get(kind, {}).items()]
