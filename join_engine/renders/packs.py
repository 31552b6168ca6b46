# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs: tone-mapped 8-bit renders of a dataset in one tar, small enough to train from memory.

A pack begins with ``pack.json``::

    {"resolution": 64, "components": {"albedo": {"transform": "srgb"}}, "split": "train", "count": 5000,
     "dataset": "primeshapes", "seed": 1}

and goes on with ``00000000.albedo.png`` and so on. Pixels went through the component's transform T (JoIN, Eq. 2),
so that value / 127.5 − 1 is the generator's range.

A large pack may come in parts, ``train-00000-of-00002.tar`` and so on, each a pack by itself: the name of the whole,
``train.tar``, stands for all of them.
"""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..color import COMPONENT_TRANSFORMS
from ..errors import JoinError
from ..images.announced import png_pixels
from ..names import is_file, is_folder
from ..untrusted import open_tar, read_json, tar_content

_BROKEN_HINT = "Export the pack again."
# What reading a damaged tar may end with.
_DAMAGE = (tarfile.TarError, OSError, EOFError, ValueError)


@dataclass(frozen=True)
class PackInfo:
    """What a pack says about itself."""

    file: str
    dataset: str
    split: str
    seed: int
    resolution: int
    count: int
    transforms: dict[str, str]


@dataclass(frozen=True)
class ImageSet:
    """All images of one component, in memory.

    Attributes:
        component: its name.
        transform: name of the transform that the pixels went through.
        images: [N, 3, H, W] uint8; 3 channels for each component where there are several.
        packs: where they come from.
    """

    component: str
    transform: str
    images: torch.Tensor
    packs: tuple[PackInfo, ...]

    @property
    def resolution(self) -> int:
        """Side of the images."""
        return self.images.shape[-1]

    def batch(self, indices: torch.Tensor) -> torch.Tensor:
        """[B] indices → [B, 3, H, W] float32 in the generator's range."""
        return self.images[indices].float() / 127.5 - 1.0


def to_pixels(images: torch.Tensor) -> torch.Tensor:
    """Generator's range → uint8, clipped and rounded; any shape."""
    return ((images.float() + 1.0) * 127.5).round().clamp(0, 255).to(torch.uint8)


def read_packs(paths: Sequence[str | os.PathLike[str]], component: str) -> ImageSet:
    """All images of ``component`` in the packs, one pack after the other; a pack in parts may be named as a whole.

    ``albedo+shading`` means both, one after the other in the channels: [N, 6, H, W], for a GAN of several components.

    Raises:
        JoinError: ``pack_missing`` (also when one of its parts is), ``pack_broken``, or ``pack_mismatch`` when packs
            differ in resolution or transform or do not have the component.
    """
    if not paths:
        raise JoinError("pack_missing", "No pack was given.", "Name at least one pack of renders.")
    if "+" in component:
        sets = [read_packs(paths, part) for part in component.split("+")]
        images = torch.cat([part.images for part in sets], dim=1)
        return ImageSet(component, "+".join(part.transform for part in sets), images, sets[0].packs)
    infos: list[PackInfo] = []
    parts: list[torch.Tensor] = []
    for path in (part for named in paths for part in pack_parts(Path(named))):
        info, images = _read_pack(path, component)
        first = infos[0] if infos else info
        if (info.resolution, info.transforms[component]) != (first.resolution, first.transforms[component]):
            raise JoinError(
                "pack_mismatch",
                f"The packs '{first.file}' and '{info.file}' differ in resolution or transform.",
                "Export them with the same settings.",
            )
        infos.append(info)
        parts.append(images)
    return ImageSet(component, infos[0].transforms[component], torch.cat(parts), tuple(infos))


def pack_parts(path: Path) -> list[Path]:
    """The files that a pack consists of: itself, or the parts of that name in order."""
    if is_file(path) or not is_folder(path.parent):
        return [path]
    pattern = re.compile(re.escape(path.stem) + r"-(\d{5})-of-(\d{5})" + re.escape(path.suffix))
    matches = sorted(filter(None, (pattern.fullmatch(file.name) for file in path.parent.iterdir())), key=lambda m: m[0])
    if not matches:
        return [path]
    wanted = [f"{path.stem}-{part:05d}-of-{matches[0][2]}{path.suffix}" for part in range(int(matches[0][2]))]
    lacking = sorted(set(wanted).symmetric_difference(match[0] for match in matches))
    if lacking:
        message = f"The parts of the pack '{path.name}' are not complete, or not of one export: see '{lacking[0]}'."
        raise JoinError("pack_missing", message, "Copy all parts of one export, and no others, into one folder.")
    return [path.with_name(name) for name in wanted]


def _read_pack(path: Path, component: str) -> tuple[PackInfo, torch.Tensor]:
    suffix = f".{component}.png"
    with open_pack(path) as tar:
        info = _read_info(path, tar)
        if component not in info.transforms:
            known = ", ".join(sorted(info.transforms))
            raise JoinError("pack_mismatch", f"The pack '{path.name}' has no {component}.", f"It has: {known}.")
        try:
            pixels = {
                member.name: _decode(tar, member, info.resolution) for member in tar if member.name.endswith(suffix)
            }
        except _DAMAGE as error:
            raise JoinError("pack_broken", f"The pack '{path.name}' is damaged: {error}.", _BROKEN_HINT) from error
    if len(pixels) != info.count or not pixels:
        message = f"The pack '{path.name}' promises {info.count} images of {component} and holds {len(pixels)}."
        raise JoinError("pack_broken", message, _BROKEN_HINT)
    stacked = np.stack([pixels[name] for name in sorted(pixels)])  # [N, H, W, 3]
    return info, torch.from_numpy(np.ascontiguousarray(stacked.transpose(0, 3, 1, 2)))


def open_pack(path: Path) -> tarfile.TarFile:
    if not is_file(path):
        raise JoinError("pack_missing", f"There is no pack '{path}'.", "Export one with dataset_tools/render.py.")
    try:
        return open_tar(path)
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise JoinError("pack_broken", f"The pack '{path.name}' is no tar file.", _BROKEN_HINT) from error


def _read_info(path: Path, tar: tarfile.TarFile) -> PackInfo:
    try:
        member = tar.next()
        if member is None or member.name != "pack.json":
            raise ValueError("its first member is not pack.json")
        values: dict[str, Any] = read_json(tar_content(tar, member))
        transforms = {name: str(item["transform"]) for name, item in values["components"].items()}
        unknown = sorted(set(transforms.values()) - set(COMPONENT_TRANSFORMS))
        if unknown:
            raise ValueError(f"unknown transform {', '.join(unknown)}")
        return PackInfo(
            file=path.name,
            dataset=str(values["dataset"]),
            split=str(values["split"]),
            seed=int(values["seed"]),
            resolution=int(values["resolution"]),
            count=int(values["count"]),
            transforms=transforms,
        )
    except (*_DAMAGE, KeyError, TypeError, AttributeError) as error:
        message = f"The header of the pack '{path.name}' cannot be understood: {error}."
        raise JoinError("pack_broken", message, _BROKEN_HINT) from error


def _decode(tar: tarfile.TarFile, member: tarfile.TarInfo, resolution: int) -> np.ndarray:
    """[H, W, 3] uint8."""
    pixels = png_pixels(tar_content(tar, member))
    if pixels.shape[:2] != (resolution, resolution):
        raise ValueError(f"{member.name} is {pixels.shape[1]}×{pixels.shape[0]}, not {resolution}×{resolution}")
    return pixels
