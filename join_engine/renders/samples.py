# SPDX-License-Identifier: GPL-3.0-or-later
"""Held-out samples with ground truth, from packs or from folders of them."""

from __future__ import annotations

import sys
import tarfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..color import COMPONENT_TRANSFORMS
from ..errors import JoinError
from ..images.announced import npy_array, png_pixels
from ..names import is_file, is_folder
from ..untrusted import open_tar, read_json, tar_content

_HINT = "Export one with dataset_tools/render.py export."
ORIGINAL = "original.tar"
"""In a folder of scenes of which something was moved: as they are."""


@dataclass(frozen=True)
class Sample:
    """One sample: its name, and linear components [H, W, 3] float32."""

    name: str
    components: dict[str, np.ndarray]


@dataclass(frozen=True)
class Tone:
    """Of a person's skin: its class, and its individual typology angle in degrees, larger for lighter skin."""

    name: str
    ita: float


def read_samples(path: Path, components: Sequence[str], count: int, split: str | None = None) -> list[Sample]:
    """The first ``count`` complete samples of a pack, or of the packs of a folder, by the packs' and their own names.

    A pack is a tar of ``{index:08d}.{component}.npy`` (linear floats) or ``.png`` (tone-mapped, see ``pack.json``).

    Args:
        split: only packs that say so in their ``pack.json``; None takes all.

    Raises:
        JoinError: ``data_missing``, ``data_broken`` (no such pack, or no complete sample in them).
    """
    packs = _packs(path)
    found: list[Sample] = []
    seen: set[str] = set()
    for pack in packs:
        header = pack_header(pack)
        seen.add(str(header.get("split", "not told")))
        if split is None or header.get("split") == split:
            found += _read(pack, header, components, count - len(found))
        if len(found) >= count:
            return found
    if not found and split is not None and split not in seen:
        message = f"'{path}' holds no pack of the split '{split}'."
        raise JoinError("data_missing", message, f"There are: {', '.join(sorted(seen))}.")
    if not found:
        raise JoinError("data_broken", f"'{path}' holds no sample with all of {', '.join(components)}.")
    return found


def read_tones(path: Path) -> dict[str, Tone]:
    """The tones of skin that a pack, or the packs of a folder, tell, by the samples' names as in :func:`read_samples`.

    Raises:
        JoinError: ``data_missing``, ``data_broken``.
    """
    found = {}
    for pack in _packs(path):
        for name, data in _members(pack):
            index, _, rest = Path(name).name.partition(".")
            if rest != "person.json":
                continue
            try:
                values = read_json(data)
                found[f"{pack.stem}-{index}"] = Tone(str(values["tone"]), float(values["ita"]))
            except (ValueError, KeyError, TypeError) as error:
                raise _broken(pack, error) from error
    return found


def _packs(path: Path) -> list[Path]:
    packs = sorted(path.glob("*.tar")) if is_folder(path) else [path]
    if not packs or not is_file(packs[0]):
        raise JoinError("data_missing", f"There is no set of samples '{path}'.", _HINT)
    return packs


def pack_header(pack: Path) -> dict[str, Any]:
    """``pack.json``, empty where there is none."""
    for name, data in _members(pack):
        if name == "pack.json":
            try:
                return read_json(data)
            except ValueError as error:
                raise _broken(pack, error) from error
        break
    return {}


def _read(pack: Path, header: dict[str, Any], components: Sequence[str], count: int) -> list[Sample]:
    """Reads no further than to the last sample that is wanted, where the samples lie in order."""
    samples: dict[str, dict[str, np.ndarray]] = {}
    for name, data in _members(pack):
        index, _, rest = Path(name).name.partition(".")
        component, _, kind = rest.rpartition(".")
        if component not in components or kind not in ("npy", "png"):
            continue
        complete = sum(len(sample) == len(components) for sample in samples.values())
        if complete >= count and index not in samples:
            break
        try:
            samples.setdefault(index, {})[component] = _decode(data, kind, component, header)
        except (ValueError, EOFError, OSError, KeyError, TypeError) as error:
            raise _broken(pack, error) from error
    whole = [Sample(f"{pack.stem}-{index}", samples[index]) for index in sorted(samples)]
    return [sample for sample in whole if len(sample.components) == len(components)][:count]


def _decode(data: bytes, kind: str, component: str, header: dict[str, Any]) -> np.ndarray:
    if kind == "npy":
        linear = np.asarray(npy_array(data), np.float32)
        if linear.ndim != 3 or linear.shape[2] != 3 or linear.size == 0:
            raise ValueError(f"a component has the shape {linear.shape}")
        return linear
    transform = COMPONENT_TRANSFORMS[str(header["components"][component]["transform"])]
    encoded = np.asarray(png_pixels(data), np.float32) / 255.0
    return np.asarray(transform.decode(encoded), np.float32)


def _members(pack: Path) -> Iterator[tuple[str, bytes]]:
    try:
        with open_tar(pack) as archive:
            for member in archive:
                if member.isfile():
                    yield member.name, tar_content(archive, member)
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise _broken(pack, error) from error


def _broken(pack: Path, error: Exception) -> JoinError:
    return JoinError("data_broken", f"'{pack}' cannot be read as a tar of samples ({error}).")


def moved_packs(folder: Path, what: str, of: str, amount: str, hint: str) -> Iterator[tuple[Path, str, float]]:
    """The packs beside a folder's ``original.tar`` that hold any samples: what was moved in each, and by how much.

    Args:
        what: was moved, for messages, such as "the light".
        of, amount: how a pack's header calls these two.
        hint: what to do where the folder is none.

    Raises:
        JoinError: ``data_missing``, ``data_broken``.
    """
    original = folder / ORIGINAL
    if not is_file(original):
        raise JoinError("data_missing", f"'{folder}' holds no scenes of which {what} was moved.", hint)
    for pack in sorted(folder.glob("*.tar")):
        header = pack_header(pack)
        if pack == original or not header.get("count"):
            continue
        try:
            yield pack, str(header["move"][of]), float(header["move"][amount])
        except (KeyError, TypeError, ValueError) as error:
            raise JoinError(
                "data_broken", f"The pack '{pack.name}' does not say how {what} was moved.", hint
            ) from error


def scenes_of(pack: Path, components: Sequence[str]) -> dict[str, dict[str, np.ndarray]]:
    """The components of all samples of one of these packs, by the scene's index. Raises JoinError ``data_broken``."""
    samples = read_samples(pack, components, sys.maxsize)
    return {sample.name.removeprefix(f"{pack.stem}-"): sample.components for sample in samples}
