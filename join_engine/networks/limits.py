# SPDX-License-Identifier: GPL-3.0-or-later
"""How large a network may be that a file announces: far above any that is trained, far below what fills a machine."""

from __future__ import annotations

from typing import Any

import torch
from torch.overrides import TorchFunctionMode

LONGEST_CODE = 2048
"""Of z and w: a hundred thousand of them are drawn for the kNN loss."""
WIDEST = 16384
"""Channels of a layer."""
DEEPEST = 64
"""Layers, blocks or codes in a row."""
LARGEST_SIDE = 8192
"""Pixels of a generator's image."""


def check_size(name: str, value: Any, largest: int) -> None:
    """Raise ValueError unless ``value`` is a whole number from 1 to ``largest``."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
        raise ValueError(f"{name} must be a positive whole number up to {largest}, not {str(value)[:40]}")


def check_sizes(name: str, values: tuple[Any, ...], largest: int) -> None:
    """The same of each of several, of which there are one to :data:`DEEPEST`."""
    if not 1 <= len(values) <= DEEPEST:
        raise ValueError(f"{name} must be 1 to {DEEPEST} numbers, not {len(values)}")
    for value in values:
        check_size(name, value, largest)


class Unfilled(TorchFunctionMode):
    """A context in which networks are built without memory and without values: their shapes, and constants that are
    never trained, are all there is of them.

    ``torch.device("meta")`` alone loads a good part of torch's compiler, for several seconds, to draw no numbers.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in _MAKERS:
            return torch.empty(*args, **{**kwargs, "device": "meta"})
        if func is torch.full:
            return torch.empty(args[0], device="meta")
        if func in _CHANGERS:
            changed = args[0] if args else kwargs["tensor"]
            if changed.is_meta:  # constants, such as a filter, are made as ever
                return changed
        return func(*args, **kwargs)


_MAKERS = {torch.randn, torch.rand, torch.zeros, torch.ones, torch.empty}
# What leaves the shape as it is.
_CHANGERS = {
    torch.nn.init.kaiming_uniform_,
    torch.nn.init.uniform_,
    torch.Tensor.normal_,
    torch.Tensor.uniform_,
    torch.Tensor.fill_,
    torch.Tensor.zero_,
    torch.Tensor.mul,
    torch.Tensor.div,
}
