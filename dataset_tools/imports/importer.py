# SPDX-License-Identifier: GPL-3.0-or-later
"""Other people's passes become a dataset of ours: the same shards, so that every command reads them.

What each pass means is in a mapping file (:mod:`dataset_tools.imports.mapping`). Stored are the composed layers and
the mask.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dataset_tools import packages
from dataset_tools.description.seeds import split
from dataset_tools.errors import UserError
from dataset_tools.imports.mapping import PassMapping, Source
from dataset_tools.progress import steps
from dataset_tools.storage import layers, passes, shards
from join_engine import exr_codec
from join_engine.color import srgb_decode

_SEED = 0
_PNG_DEPTH_AT = 24  # where a PNG says how many bits a channel has


@dataclass(frozen=True)
class Imported:
    """How many samples there are, what was skipped, and how far our image is from theirs (None without
    theirs), and the share of valid pixels."""

    count: int
    skipped: int
    largest_error: float | None
    valid: float


def is_imported(header: Mapping[str, Any]) -> bool:
    """Whether a dataset's header is of other people's passes."""
    return "mapping" in header


def split_of(group: str) -> str:
    """The split of a group of samples: a hash of its name, so that it depends neither on count nor on order."""
    return split(_SEED, int.from_bytes(hashlib.sha256(group.encode()).digest()[:8], "big"))


def import_passes(
    mapping: PassMapping, source: Path, out: Path, *, crop: bool = False, skip_incomplete: bool = False
) -> Imported:
    """Write the samples found below ``source`` as a dataset into ``out``; run again to resume.

    ``crop`` takes the middle square of pictures that are not square, which else are refused. ``skip_incomplete``
    leaves out samples that lack a pass. Raises UserError for both, and for files that cannot be read.
    """
    found, skipped = _find(mapping, source, skip_incomplete)
    names = sorted(found)
    reader = _Reader(mapping, found, crop)
    resolution = reader.resolution(names[0])
    header = {
        "dataset": mapping.name,
        "seed": _SEED,
        "resolution": resolution,
        "mapping": dict(mapping.values),
        "splits": "by group: sha256 of its name; 90% train, 5% val, 5% test",
    }
    shards.open_dataset(out, header)
    shards.remove_stale(out)
    missing = shards.missing(out, mapping.name, range(len(names)))
    with steps(sum(shard.count for shard in missing), "import") as advance:
        for shard in missing:
            samples = (reader.sample(index, names[index], resolution, advance) for index in shard.indices)
            shards.write_shard(out, shard, samples)
    count = shards.write_manifest(out)
    entries = shards.entries(out)
    errors = [entry["identity_error"] for entry in entries if entry["identity_error"] is not None]
    valid = float(np.mean([entry["valid"] for entry in entries]))
    return Imported(count, skipped, max(errors) if errors else None, valid)


def _find(mapping: PassMapping, source: Path, skip_incomplete: bool) -> tuple[dict[str, dict[str, Path]], int]:
    """Sample → pass → file; and how many samples were left out."""
    if not source.is_dir():
        raise UserError(f"There is no folder {source}: name the one that the mapping's paths begin in.")
    patterns = {name: described.pattern() for name, described in mapping.passes.items()}
    found: dict[str, dict[str, Path]] = {}
    for path in source.rglob("*"):
        relative = path.relative_to(source).as_posix()
        for name, pattern in patterns.items():
            match = pattern.fullmatch(relative)
            if match:
                found.setdefault(match["id"], {})[name] = path
    lacking = {sample: sorted(set(patterns) - set(files)) for sample, files in found.items()}
    incomplete = sorted(sample for sample, names in lacking.items() if names)
    if incomplete and not skip_incomplete:
        first = incomplete[0]
        raise UserError(
            f"{len(incomplete)} of {len(found)} samples lack a pass, such as '{lacking[first][0]}' of '{first}': add "
            "the files, put the mapping's patterns right, or pass --skip-incomplete."
        )
    complete = {sample: files for sample, files in found.items() if not lacking[sample]}
    if not complete:
        described = next(iter(mapping.passes.values()))
        raise UserError(f"{source} holds no complete sample: no file fits '{described.file}', or another pass lacks.")
    return complete, len(incomplete)


@dataclass(frozen=True)
class _Reader:
    """Reads the passes of a sample and composes them."""

    mapping: PassMapping
    files: Mapping[str, Mapping[str, Path]]
    crop: bool

    def resolution(self, sample: str) -> int:
        """Side of a sample's pictures."""
        name, path = next(iter(self.files[sample].items()))
        return int(self._read(path, self.mapping.passes[name]).shape[0])

    def sample(self, index: int, name: str, resolution: int, advance: Any) -> shards.Sample:
        """One sample as it is stored."""
        found = {key: self._read(path, self.mapping.passes[key]) for key, path in self.files[name].items()}
        for key, pixels in found.items():
            if pixels.shape[0] != resolution:
                raise UserError(
                    f"{self.files[name][key]} is {pixels.shape[0]} pixels high and the set {resolution}: give all "
                    "pictures one size first."
                )
        components, mask = self.mapping.compose(found)
        error = None
        if self.mapping.image:
            image = np.nan_to_num(found[self.mapping.image])
            difference = np.abs(layers.compose(components) - image) / np.maximum(1.0, np.abs(image))
            error = float(np.max(difference * mask[..., None]))
        group = self.mapping.group_of(name)
        description = {
            "source": {"id": name, "group": group, "mapping": self.mapping.name},
            "seed": _SEED,
            "index": index,
            "resolution": resolution,
            "identity_error": error,
        }
        notes = {"identity_error": error, "valid": round(float(mask.mean()), 4)}
        advance()
        exr = passes.encode({**components, passes.MASK: mask})
        return shards.Sample(index, split_of(group), exr, description, notes)

    def _read(self, path: Path, described: Source) -> np.ndarray:
        """[S, S, 3] float32, linear."""
        try:
            pixels = _READERS[path.suffix.lower()](path, described.layer)
        except KeyError:
            raise UserError(f"{path} is neither EXR nor PNG nor npy: convert it first.") from None
        except UserError:
            raise
        except Exception as error:  # three libraries' own kinds
            raise UserError(f"{path} cannot be read ({error}): restore the file.") from error
        return _linear(self._square(pixels, path), described)

    def _square(self, pixels: np.ndarray, path: Path) -> np.ndarray:
        height, width = pixels.shape[:2]
        if height == width:
            return pixels
        if not self.crop:
            message = f"{path} is {width}×{height}, not square: pass --crop to keep the middle, or crop it first."
            raise UserError(message)
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return pixels[top : top + side, left : left + side]


def _linear(pixels: np.ndarray, described: Source) -> np.ndarray:
    if described.space == "srgb":
        pixels = srgb_decode(pixels)
    elif described.space != "linear":
        pixels = pixels.clip(0.0, None) ** float(described.space)
    return (pixels * described.scale).astype(np.float32)


def _read_png(path: Path, layer: str) -> np.ndarray:
    """Values in [0, 1]. Pillow would silently cut colours of 16 bits down to 8, so these are refused."""
    data = path.read_bytes()
    image = packages.load_pillow().open(io.BytesIO(data))
    if data[_PNG_DEPTH_AT] == 16 and not image.mode.startswith("I"):
        raise UserError(f"{path} has colours of 16 bits, which Pillow does not read: save it as EXR or npy.")
    whole = 65535.0 if image.mode.startswith("I") else 255.0
    plain = image if image.mode.startswith("I") else image.convert("RGB")
    return _three(np.asarray(plain).astype(np.float32) / whole)


def _read_exr(path: Path, layer: str) -> np.ndarray:
    channels = _channels(path)
    prefix = f"{layer}." if layer else ""
    for letters in ("RGB", "rgb", "Y", "V"):
        names = [f"{prefix}{letter}" for letter in letters]
        if all(name in channels for name in names):
            return _three(np.stack([channels[name] for name in names], axis=-1))
    known = sorted({name.rpartition(".")[0] for name in channels} - {""})
    raise UserError(
        f"{path} has no channels {prefix}R, G and B: name a layer in the mapping"
        + (f" ({', '.join(known)})." if known else ".")
    )


def _channels(path: Path) -> dict[str, np.ndarray]:
    """All channels by name. Our own reader needs no package and knows the usual kind; OpenEXR knows all."""
    try:
        return exr_codec.read_channels(path.read_bytes())
    except ValueError:
        with packages.load_openexr().File(str(path), separate_channels=True) as file:
            return {name: np.array(channel.pixels, np.float32) for name, channel in file.channels().items()}


def _three(pixels: np.ndarray) -> np.ndarray:
    """[H, W], [H, W, 1], [H, W, 3] or [H, W, 4] → [H, W, 3]."""
    if pixels.ndim == 2:
        pixels = pixels[..., None]
    if pixels.ndim != 3 or pixels.shape[-1] not in (1, 3, 4):
        raise ValueError(f"its shape is {pixels.shape}")
    return np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels[..., :3]


_READERS: dict[str, Callable[[Path, str], np.ndarray]] = {
    ".npy": lambda path, layer: _three(np.load(path, allow_pickle=False).astype(np.float32)),
    ".png": _read_png,
    ".exr": _read_exr,
}
