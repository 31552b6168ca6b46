# SPDX-License-Identifier: GPL-3.0-or-later
"""An unpickler for network pickles that executes nothing: modules become inert records, only tensors are rebuilt.

NVlabs' pickles carry the Python source of every class and run it when they are loaded the usual way. Here the source
is never looked at. Every name that a pickle asks for is answered from a short list, or refused.
"""

from __future__ import annotations

import io
import pickle
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


class RefusedPickleError(ValueError):
    """A pickle asks for something that no network needs."""


@dataclass(frozen=True)
class Record:
    """What a pickled module was: the name of its class and its attributes."""

    class_name: str
    state: Mapping[str, Any]


def load_inert(data: bytes) -> Any:
    """The content of a pickle, with :class:`Record` for modules.

    Raises:
        RefusedPickleError: it asks for a name outside the list; nothing has been executed.
        ValueError: it is damaged.
    """
    try:
        return _Inert(io.BytesIO(data)).load()
    except RefusedPickleError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(f"it cannot be read as a pickle ({type(error).__name__}: {error})") from error


class _Inert(pickle.Unpickler):
    """Answers to every name with something harmless."""

    def find_class(self, module: str, name: str) -> Any:
        answer = _answers().get((module, name))
        if answer is None:
            if module.startswith("dnnlib.tflib"):
                raise RefusedPickleError("it is a network of TensorFlow; convert it to stylegan2-ada-pytorch first")
            raise RefusedPickleError(f"it asks for '{module}.{name}', which no network needs; it may be an attack")
        return answer

    def persistent_load(self, pid: Any) -> Any:
        raise RefusedPickleError("it refers to objects outside of itself")


def _answers() -> dict[tuple[str, str], Any]:
    """What stands behind each name. Made anew for each question: a pickle may tamper with what it is given."""

    def record(meta: Any) -> Record:
        if not isinstance(meta, dict) or not isinstance(meta.get("state"), dict):
            raise ValueError("a module without a state")
        return Record(str(meta.get("class_name")), meta["state"])

    def storage(content: Any) -> Any:
        # Torch's own restricted loader: storages of tensors lie in the pickle as files of torch within it.
        if not isinstance(content, bytes):
            raise ValueError("a storage that is not bytes")
        try:
            return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            raise RefusedPickleError("one of its tensors is more than a tensor") from error

    def tensor(source: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor:
        if not isinstance(source, torch.storage.TypedStorage):
            raise ValueError("a tensor without a storage")
        # as_strided refuses what lies outside of the storage, but a stride of 0 could ask for any amount of memory.
        flat = torch.empty(0, dtype=source.dtype).set_(source)  # type: ignore[call-overload]
        if torch.Size(size).numel() > flat.numel():
            raise ValueError("a tensor larger than its storage")
        return flat.as_strided(tuple(size), tuple(stride), int(offset)).clone()

    def parameter(data: Any, *_: Any) -> Any:
        return data

    answers: dict[tuple[str, str], Callable[..., Any]] = {
        ("torch_utils.persistence", "_reconstruct_persistent_obj"): record,
        ("torch.storage", "_load_from_bytes"): storage,
        ("torch._utils", "_rebuild_tensor_v2"): tensor,
        ("torch._utils", "_rebuild_parameter"): parameter,
        ("collections", "OrderedDict"): OrderedDict,
        ("dnnlib.util", "EasyDict"): dict,
        ("builtins", "set"): set,
        ("__builtin__", "set"): set,
    }
    return dict(answers)
