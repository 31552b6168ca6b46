# SPDX-License-Identifier: GPL-3.0-or-later
"""The result of the pipeline, and its file (``.join``): one safetensors file with a JSON header, no pickle."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import JoinError
from ..forward_models import ForwardModel, get_forward_model
from ..images.files import atomically
from ..images.files import strips as image_strips
from ..names import is_file
from ..untrusted import read_json
from . import strips
from .strips import Layers, Strips, rows_of, size_of

FORMAT = "join-decomposition"
FORMAT_VERSION = 4
# Of files with another's codes, with features, and of those without, which are as they were before there was more.
_MIXED_VERSION, _FEATURES_VERSION, _PLAIN_VERSION = 3, 2, 1
CONFIDENCE_SIDE = 256
_CONFIDENCE = "confidence"
_DAMAGED_HINT = "Decompose the image again."


@dataclass(frozen=True)
class Features:
    """What the features of one component's generator get beside what its codes make of them
    (:mod:`join_engine.networks.residuals`).

    Attributes:
        anchor: the codes that they were found for, float32 [L, w_dim]; edits move the codes and leave this.
        deltas: by resolution r, Δf, float32 [C, r, r].
        masks: of the same resolutions, float32 [1, r, r] in [0, 1].
    """

    anchor: np.ndarray
    deltas: Mapping[int, np.ndarray]
    masks: Mapping[int, np.ndarray]

    def named(self, component: str) -> dict[str, np.ndarray]:
        """All of it by its names in a file."""
        found = {f"anchor.{component}": self.anchor}
        for kind, arrays in (("delta", self.deltas), ("mask", self.masks)):
            found |= {f"{kind}.{component}.{side}": array for side, array in arrays.items()}
        return found


@dataclass(frozen=True)
class Decomposition:
    """Everything that is known about one decomposed image.

    Attributes:
        layers: per component, scene-linear Rec.709 float32 [H, W, 3], at the image's own size; of a large image a
            :class:`join_engine.layers.strips.Strips`.
        codes: per component, latent codes float32 [L, w_dim]: L is 1 (W) or one per layer (W+).
        features: of the components whose generators get more than codes; empty where there are none.
        other: of the components that are mixed with another decomposition's, its codes, likewise [L, w_dim]; empty
            where there is no other (:mod:`join_engine.relighting.mixing`).
        tuned: changed weights of the generators, as "component.parameter"; empty where the bank's own were used.
        forward_model: name of f, which makes the image of the layers.
        bank_name, bank_sha256: the bank that the codes belong to.
        settings: preset, stages, seed, device, edits: how it was made; of a face in a photo
            (:mod:`join_engine.portraits`) ``face``, which tells where it lies.
        metrics: figures of merit, see :func:`join_engine.pipeline.decompose`.
        seconds: per stage.
        confidence: e to the power of minus the errors that the bank expects of albedo, shading and specular
            (:class:`join_engine.pipeline.Outcome`), float32 [h, w, 3] in [0, 1], at most :data:`CONFIDENCE_SIDE` a
            side; None of a bank that has no idea. A reader that does not know it passes over it.
    """

    layers: Mapping[str, np.ndarray]
    codes: Mapping[str, np.ndarray]
    forward_model: str
    bank_name: str
    bank_sha256: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    tuned: Mapping[str, np.ndarray] = field(default_factory=dict)
    features: Mapping[str, Features] = field(default_factory=dict)
    other: Mapping[str, np.ndarray] = field(default_factory=dict)
    confidence: np.ndarray | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the layers."""
        return size_of(self.layers)

    @property
    def model(self) -> ForwardModel:
        """The forward model itself. Raises JoinError ``forward_model_unknown``."""
        return get_forward_model(self.forward_model)

    @property
    def recomposed(self) -> np.ndarray:
        """f(layers): the linear image [H, W, 3] that the layers make."""
        return np.asarray(self.model.compose(self.layers))

    def summary(self) -> dict[str, Any]:
        """All but the pixels and codes, for JSON."""
        return {
            "bank": {"name": self.bank_name, "sha256": self.bank_sha256},
            "forward_model": self.forward_model,
            "settings": dict(self.settings),
            "metrics": dict(self.metrics),
            "seconds": dict(self.seconds),
        }


def save_decomposition(path: str | Path, decomposition: Decomposition) -> None:
    """Write a ``.join`` file, atomically. Raises JoinError ``output_unwritable``."""
    with decomposition_writer(path, decomposition) as write:
        for rows, layers in rows_of(decomposition.layers):
            write(rows, layers)


@contextmanager
def decomposition_writer(path: str | Path, decomposition: Decomposition) -> Iterator[Callable[[slice, Layers], None]]:
    """Gives what writes rows of the layers into a ``.join`` file, in any order; all else of it is written at once.
    Atomic. Raises JoinError ``output_unwritable``."""
    small = {f"code.{name}": code for name, code in decomposition.codes.items()}
    small |= {f"tuned.{name}": weight for name, weight in decomposition.tuned.items()}
    small |= {f"other.{name}": code for name, code in decomposition.other.items()}
    if decomposition.confidence is not None:
        small[_CONFIDENCE] = decomposition.confidence
    for name, features in decomposition.features.items():
        small |= features.named(name)
    small = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in small.items()}
    height, width = decomposition.size
    shapes = {f"layer.{name}": (height, width, 3) for name in decomposition.layers}
    version = _FEATURES_VERSION if decomposition.features else _PLAIN_VERSION
    version = _MIXED_VERSION if decomposition.other else version
    # Of a face in a photo: who does not know where it lies would put the light somewhere else.
    version = FORMAT_VERSION if "face" in decomposition.settings else version
    header = {"format": FORMAT, "version": version, **decomposition.summary()}
    contents: dict[str, Any] = {"__metadata__": {"join": json.dumps(header)}}
    places, end = {}, 0
    for name, shape in [*shapes.items(), *((name, array.shape) for name, array in small.items())]:
        places[name], start = end, end
        end += 4 * math.prod(shape)
        contents[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(contents).encode()
    text += b" " * (-len(text) % 8)
    data = 8 + len(text)
    with atomically(path) as temporary, temporary.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for name, array in small.items():
            file.seek(data + places[name])
            file.write(array.astype("<f4").tobytes())

        def write(rows: slice, layers: Layers) -> None:
            for name, pixels in layers.items():
                file.seek(data + places[f"layer.{name}"] + rows.start * width * 12)
                file.write(np.ascontiguousarray(pixels, "<f4").data)

        yield write


def load_decomposition(path: str | Path) -> Decomposition:
    """Read and check a ``.join`` file.

    Large layers stay in the file and are read from there, rows after rows (:class:`join_engine.layers.strips.Strips`).
    Raises JoinError ``decomposition_missing``, ``decomposition_broken`` (damaged, or not such a file) or
    ``decomposition_newer`` (written by a later version).
    """
    path = Path(path)
    if not is_file(path):
        raise JoinError("decomposition_missing", f"There is no decomposition '{path}'.", "Check the path.")
    header, tensors, stored = _read(path)
    if header["version"] > FORMAT_VERSION:
        message = f"'{path}' was written by a newer version of the engine (format {header['version']})."
        raise JoinError("decomposition_newer", message, "Update the engine.")
    try:
        bank = _part(header, "bank")
        decomposition = Decomposition(
            layers=stored or _named(tensors, "layer."),
            codes=_named(tensors, "code."),
            forward_model=str(header["forward_model"]),
            bank_name=str(bank["name"]),
            bank_sha256=str(bank["sha256"]),
            settings=_part(header, "settings"),
            metrics=_numbers(header, "metrics"),
            seconds=_numbers(header, "seconds"),
            tuned=_named(tensors, "tuned."),
            features=_features(tensors),
            other=_named(tensors, "other."),
            confidence=tensors.get(_CONFIDENCE),
        )
    except KeyError as error:
        raise _broken(path, f"its header lacks {error}") from error
    except ValueError as error:
        raise _broken(path, str(error)) from error
    _check(path, decomposition)
    return decomposition


def _read(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray], Strips | None]:
    """Header, tensors, and the layers where they are large and stay in the file."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), framework="numpy") as file:
            header = read_json((file.metadata() or {}).get("join", "{}"))
            names = list(file.keys())
            large = {name: file.get_slice(name) for name in names if name.startswith("layer.")}
            shapes = {name: tuple(layer.get_shape()) for name, layer in large.items()}
            kinds = {layer.get_dtype() for layer in large.values()}
            shape = next(iter(shapes.values()), ())
            alike = set(shapes.values()) == {shape} and kinds == {"F32"} and len(shape) == 3 and shape[2] == 3
            stays = alike and shape[0] * shape[1] > strips.KEPT
            tensors = {name: file.get_tensor(name) for name in names if not (stays and name in large)}
    except (SafetensorError, OSError, ValueError, TypeError) as error:  # TypeError: a kind of number numpy has not
        raise _broken(path, str(error)) from error
    if header.get("format") != FORMAT or not isinstance(header.get("version"), int):
        raise _broken(path, "it is not a decomposition")
    return header, tensors, _stored(path, shapes) if stays else None


def _stored(path: Path, shapes: Mapping[str, tuple[int, ...]]) -> Strips:
    """Layers in a file that safetensors has found sound: float32, of one shape."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        contents = read_json(file.read(length))
    starts = {name: 8 + length + int(contents[name]["data_offsets"][0]) for name in shapes}
    height, width, _ = next(iter(shapes.values()))

    def make() -> Iterator[tuple[slice, Layers]]:
        with path.open("rb") as file:
            for rows in image_strips(height, width):
                part = {}
                for name, start in starts.items():
                    file.seek(start + rows.start * width * 12)
                    pixels = np.fromfile(file, "<f4", (rows.stop - rows.start) * width * 3)
                    part[name.removeprefix("layer.")] = pixels.reshape(-1, width, 3)
                yield rows, part

    return Strips(tuple(name.removeprefix("layer.") for name in shapes), (height, width), make)


def _part(header: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A mapping in the header. Raises KeyError or ValueError."""
    if not isinstance(header[name], dict):
        raise ValueError(f"'{name}' in its header is not what it should be")
    return dict(header[name])


def _numbers(header: Mapping[str, Any], name: str) -> dict[str, float]:
    found = _part(header, name)
    if not all(isinstance(value, int | float) for value in found.values()):
        raise ValueError(f"'{name}' in its header are not all numbers")
    return found


def _named(tensors: Mapping[str, np.ndarray], prefix: str) -> dict[str, np.ndarray]:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _features(tensors: Mapping[str, np.ndarray]) -> dict[str, Features]:
    """Raises KeyError or ValueError for parts that do not belong together."""
    anchors = _named(tensors, "anchor.")
    parts: dict[str, dict[str, dict[int, np.ndarray]]] = {"delta": {}, "mask": {}}
    for kind, found in parts.items():
        for name, array in _named(tensors, f"{kind}.").items():
            component, _, side = name.rpartition(".")
            if component not in anchors or not side.isascii() or not side.isdigit():
                raise ValueError(f"its features '{name[:80]}' belong to nothing")
            found.setdefault(component, {})[int(side[:9])] = array
    features = {}
    for name, anchor in anchors.items():
        deltas, masks = parts["delta"].get(name, {}), parts["mask"].get(name, {})
        if set(deltas) != set(masks):
            raise ValueError(f"its features of '{name[:80]}' have not a mask each")
        for size, mask in masks.items():
            if mask.shape != (1, size, size) or not ((mask >= 0.0) & (mask <= 1.0)).all():
                raise ValueError(f"its features of '{name[:80]}' have masks that are none")
        features[name] = Features(anchor, deltas, masks)
    return features


def _check(path: Path, decomposition: Decomposition) -> None:
    edits = decomposition.settings.get("edits", [])
    if not isinstance(edits, list) or not all(isinstance(edit, dict) for edit in edits):
        raise _broken(path, "its edits are no list of edits")
    components = set(decomposition.model.components)
    if set(decomposition.layers) != components or set(decomposition.codes) != components:
        raise _broken(path, f"it must hold exactly {', '.join(sorted(components))}")
    everything = [*decomposition.codes.values(), *decomposition.tuned.values(), *decomposition.other.values()]
    if isinstance(decomposition.layers, Strips):
        sound = all(np.isfinite(layer).all() for _, part in rows_of(decomposition.layers) for layer in part.values())
    else:
        shapes = {pixels.shape for pixels in decomposition.layers.values()}
        if len(shapes) != 1 or len(shape := next(iter(shapes))) != 3 or shape[2] != 3 or 0 in shape:
            raise _broken(path, "its layers are not images of one size")
        sound, everything = True, [*decomposition.layers.values(), *everything]
    if (sure := decomposition.confidence) is not None:
        if sure.ndim != 3 or sure.shape[2] != 3 or 0 in sure.shape or not ((sure >= 0.0) & (sure <= 1.0)).all():
            raise _broken(path, "its confidence is no map of three layers")
        everything.append(sure)
    for name, features in decomposition.features.items():
        everything += features.named(name).values()
    if not sound or not all(array.dtype == np.float32 and np.isfinite(array).all() for array in everything):
        raise _broken(path, "it holds values that are not finite float32 numbers")
    if not set(decomposition.features) | set(decomposition.other) <= components:
        raise _broken(path, "it holds features or codes of components that it has not got")
    if any(code.ndim != 2 for code in (*decomposition.codes.values(), *decomposition.other.values())):
        raise _broken(path, "its codes are not lists of codes")


def _broken(path: Path, why: str) -> JoinError:
    return JoinError("decomposition_broken", f"'{path}' is not a usable decomposition: {why}.", _DAMAGED_HINT)
