# SPDX-License-Identifier: GPL-3.0-or-later
"""An unpickler for networks that executes nothing: modules become inert records, only tensors are rebuilt.

NVlabs' pickles carry the Python source of every class and run it when they are loaded the usual way. Here the source
is never looked at. Every name that a pickle asks for is answered from a short list, or refused. Files of torch, which
are pickles with the tensors' bytes beside them, are read the same way; torch's own reader would take the memory that
a file announces before it looks for the bytes.
"""

from __future__ import annotations

import io
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

ZIP = b"PK\x03\x04"
# The pickled number with which files of torch before 1.6 begin.
OLD_TORCH = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19"

_STORAGES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
# numpy's names of numbers → those of struct.
_NUMBERS = {
    "f2": "e", "f4": "f", "f8": "d", "b1": "?",
    "i1": "b", "i2": "h", "i4": "i", "i8": "q",
    "u1": "B", "u2": "H", "u4": "I", "u8": "Q",
}  # fmt: skip


class RefusedPickleError(ValueError):
    """A pickle asks for something that no network needs."""


@dataclass(frozen=True)
class Record:
    """What a pickled module was: the name of its class and its attributes."""

    class_name: str
    state: Mapping[str, Any]


@dataclass(frozen=True)
class _Kind:
    """What stands for a class of storages."""

    dtype: torch.dtype


@dataclass(frozen=True)
class _Outside:
    """A storage whose bytes lie behind the pickle."""

    dtype: torch.dtype
    count: int

    @property
    def size(self) -> int:
        """In bytes."""
        return self.count * self.dtype.itemsize


class _NumpyType:
    """What stands for numpy's description of a number; pickles set its order of bytes afterwards."""

    def __init__(self, name: Any, *_: Any) -> None:
        if not isinstance(name, str) or name not in _NUMBERS:
            raise ValueError("a number of a kind that no network has")
        self.layout = "<" + _NUMBERS[name]

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, tuple) and len(state) > 1 and state[1] == ">":
            self.layout = ">" + self.layout[1:]


Fetch = Callable[[str, _Outside], Any]
_Unpickler: Any = pickle._Unpickler


def load_inert(data: bytes) -> Any:
    """The content of a pickle, or of a file of torch, with :class:`Record` for modules.

    Raises:
        RefusedPickleError: it asks for a name outside the list; nothing has been executed.
        ValueError: it is damaged.
    """
    try:
        if data.startswith(ZIP):
            return _load_zip(data)
        if data.startswith(OLD_TORCH):
            return _load_old(data)
        return _Inert(io.BytesIO(data)).load()
    except RefusedPickleError:
        raise
    except Exception as error:  # a damaged pickle can raise anything
        raise ValueError(f"it cannot be read ({type(error).__name__}: {error})") from error


def _load_zip(data: bytes) -> Any:
    """A file of torch since 1.6: a zip of ``NAME/data.pkl`` and ``NAME/data/KEY`` for each storage."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {member.filename.partition("/")[2]: member for member in archive.infolist()}
        if sum(member.file_size for member in members.values()) > len(data):
            raise ValueError("it holds more than its size")
        if "byteorder" in members and archive.read(members["byteorder"]) != b"little":
            raise ValueError("its numbers have another order of bytes")
        loaded: dict[str, Tensor] = {}

        def fetch(key: str, storage: _Outside) -> Tensor:
            if key not in loaded:
                loaded[key] = _flat(archive.read(members[f"data/{key}"]), storage)
            return loaded[key]

        return _Inert(io.BytesIO(archive.read(members["data.pkl"])), fetch).load()


def _load_old(data: bytes) -> Any:
    """A file of torch before 1.6: four pickles, the keys of the storages, then count and bytes of each."""
    file = io.BytesIO(data)
    for _ in ("magic number", "protocol", "system"):
        _Inert(file).load()
    start = file.tell()
    announced: dict[str, _Outside] = {}
    _Inert(file, announced.setdefault).load()  # once to find the end of it, and what it wants
    loaded: dict[str, Tensor] = {}
    for key in _Inert(file).load():
        (count,) = struct.unpack("<q", file.read(8))
        if count != announced[key].count:
            raise ValueError("a storage has another size than announced")
        loaded[key] = _flat(file.read(announced[key].size), announced[key])
    file.seek(start)
    return _Inert(file, lambda key, _: loaded[key]).load()


def _flat(found: bytes, storage: _Outside) -> Tensor:
    if len(found) != storage.size:
        raise ValueError("a storage is cut short")
    return torch.frombuffer(bytearray(found), dtype=storage.dtype) if found else torch.empty(0, dtype=storage.dtype)


# The pickle module's unpickler in Python: one can see to it that it takes no memory for what is only announced, and
# makes no key of what is not plain (the hash of tuples within tuples may take for ever).
class _Inert(_Unpickler):
    """Answers to every name with something harmless. ``fetch``: what stands for a storage outside of the pickle, by its
    key; None refuses any."""

    dispatch: dict[int, Any] = dict(_Unpickler.dispatch)  # noqa: RUF012

    def __init__(self, file: io.BytesIO, fetch: Fetch | None = None) -> None:
        super().__init__(file)
        self._fetch = fetch

    def find_class(self, module: str, name: str) -> Any:
        if module in ("torch", "torch.cuda") and name in _STORAGES:
            return _Kind(_STORAGES[name])
        answer = _answers().get((module, name))
        if answer is None:
            if module.startswith("dnnlib.tflib"):
                raise RefusedPickleError("it is a network of TensorFlow; convert it to stylegan2-ada-pytorch first")
            raise RefusedPickleError(f"it asks for '{module}.{name}', which no network needs; it may be an attack")
        return answer

    def persistent_load(self, pid: Any) -> Any:
        if self._fetch is None:
            raise RefusedPickleError("it refers to objects outside of itself")
        what, kind, key, _, count, *view = pid
        if what != "storage" or not isinstance(kind, _Kind) or not isinstance(key, str) or any(view):
            raise ValueError("it refers to something that is no storage")
        if not isinstance(count, int) or count < 0:
            raise ValueError("a storage without a size")
        return self._fetch(key, _Outside(kind.dtype, count))

    def load_setitem(self) -> None:
        _plain_keys([self.stack[-2]])
        _Unpickler.load_setitem(self)

    def load_setitems(self) -> None:
        _plain_keys(self.stack[::2])
        _Unpickler.load_setitems(self)

    def load_dict(self) -> None:
        _plain_keys(self.stack[::2])
        _Unpickler.load_dict(self)

    def load_additems(self) -> None:
        _plain_keys(self.stack)
        _Unpickler.load_additems(self)

    def load_frozenset(self) -> None:
        _plain_keys(self.stack)
        _Unpickler.load_frozenset(self)

    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.DICT[0]] = load_dict
    dispatch[pickle.ADDITEMS[0]] = load_additems
    dispatch[pickle.FROZENSET[0]] = load_frozenset
    del dispatch[pickle.BYTEARRAY8[0]]  # takes what is announced; no network has one


def _plain_keys(keys: Any) -> None:
    if not all(isinstance(key, str | int) for key in keys):
        raise ValueError("a key that is neither a name nor a number")


def _answers() -> dict[tuple[str, str], Any]:
    """What stands behind each name. Made anew for each question: a pickle may tamper with what it is given."""

    def record(meta: Any) -> Record:
        if not isinstance(meta, dict) or not isinstance(meta.get("state"), dict):
            raise ValueError("a module without a state")
        name = meta.get("class_name")
        return Record(name if isinstance(name, str) else "", meta["state"])

    def storage(content: Any) -> Any:
        # Storages of tensors lie in NVlabs' pickles as files of torch within them.
        if not isinstance(content, bytes) or not content.startswith((ZIP, OLD_TORCH)):
            raise ValueError("a storage that is not bytes of torch")
        return load_inert(content)

    def tensor(source: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Tensor | None:
        if isinstance(source, _Outside):
            return None  # only asked what it would be
        if not isinstance(source, Tensor) or source.dim() != 1:
            raise ValueError("a tensor without a storage")
        # as_strided refuses what lies outside of the storage, but a stride of 0 could ask for any amount of memory.
        if torch.Size(size).numel() > source.numel():
            raise ValueError("a tensor larger than its storage")
        return source.as_strided(tuple(size), tuple(stride), int(offset)).clone()

    def parameter(data: Any, *_: Any) -> Any:
        return data

    def number(kind: Any, content: Any) -> Any:
        if not isinstance(kind, _NumpyType) or not isinstance(content, bytes):
            raise ValueError("a number that is none")
        return struct.unpack(kind.layout, content)[0]

    def encoded(text: Any, encoding: Any) -> bytes:
        """How the oldest pickles write bytes."""
        if not isinstance(text, str) or encoding != "latin1":
            raise ValueError("bytes that are none")
        return text.encode("latin-1")

    def pairs(*content: Any) -> OrderedDict[Any, Any]:
        found: OrderedDict[Any, Any] = OrderedDict()
        for key, value in content[0] if content else ():
            _plain_keys([key])
            found[key] = value
        return found

    def distinct(*content: Any) -> set[Any]:
        _plain_keys(content[0] if content else ())
        return set(*content)

    def text(*content: Any) -> str:
        return ":".join(str(part) for part in content if isinstance(part, str | int))

    answers: dict[tuple[str, str], Callable[..., Any]] = {
        ("torch_utils.persistence", "_reconstruct_persistent_obj"): record,
        ("torch.storage", "_load_from_bytes"): storage,
        ("torch._utils", "_rebuild_tensor_v2"): tensor,
        ("torch._utils", "_rebuild_parameter"): parameter,
        ("torch", "Size"): tuple,
        ("torch", "device"): text,
        ("collections", "OrderedDict"): pairs,
        ("dnnlib.util", "EasyDict"): type("EasyDict", (dict,), {}),
        # Training keeps its arguments beside the weights.
        ("argparse", "Namespace"): type("Namespace", (), {}),
        ("builtins", "set"): distinct,
        ("__builtin__", "set"): distinct,
        ("numpy", "dtype"): type("dtype", (_NumpyType,), {}),
        ("numpy.core.multiarray", "scalar"): number,
        ("numpy._core.multiarray", "scalar"): number,
        ("_codecs", "encode"): encoded,
    }
    return dict(answers)
