# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders with their true normals and roughness, in memory: the packs of ``dataset_tools/render.py maps``."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..color import COMPONENT_TRANSFORMS
from ..components import COMPONENTS
from ..errors import JoinError
from ..forward_models import get_forward_model
from .compose import ComponentSets
from .packs import ImageSet, PackInfo, to_pixels
from .samples import pack_header, read_samples

NORMAL, ROUGHNESS, LEVEL = "normal", "roughness", "specular_level"
MAPS = (NORMAL, ROUGHNESS, LEVEL)
_LEAST_UP = 0.25  # of a normal: what is steeper is an edge


@dataclass(frozen=True)
class MapSets(ComponentSets):
    """Components, and of the same samples the maps.

    Attributes:
        maps: [N, 4, H, W] float16: slopes to the right and upwards (tangents), roughness, and specular level.
    """

    maps: Tensor


def read_map_sets(paths: Sequence[str | os.PathLike[str]], forward_model: str) -> MapSets:
    """All samples of the packs that have all components of the forward model, and maps.

    Raises:
        JoinError: as :func:`join_engine.renders.samples.read_samples`; ``pack_mismatch`` where their sizes differ.
    """
    names = get_forward_model(forward_model).components
    stacks: dict[str, list[Tensor]] = {name: [] for name in names}
    maps: list[Tensor] = []
    infos = []
    for path in map(Path, paths):
        samples = read_samples(path, (*names, *MAPS), sys.maxsize)
        sides = {image.shape[:2] for sample in samples for image in sample.components.values()}
        if len(sides) != 1 or (maps and maps[0].shape[2:] != next(iter(sides))):
            raise JoinError("pack_mismatch", "The packs differ in resolution.", "Render them with the same settings.")
        for name in names:
            encode = COMPONENT_TRANSFORMS[COMPONENTS[name].transform].to_generator
            linear = np.stack([sample.components[name].transpose(2, 0, 1) for sample in samples])
            stacks[name].append(to_pixels(encode(torch.from_numpy(linear))))
        maps.append(torch.stack([map_of(sample.components) for sample in samples]).half())
        header = pack_header(path)
        name = f"{path.parent.name}/{path.name}"
        infos.append(
            PackInfo(
                name, str(header.get("dataset")), str(header.get("split")), int(header.get("seed", 0)),
                maps[-1].shape[-1], len(samples), {name: COMPONENTS[name].transform for name in names},
            )
        )  # fmt: skip
    sets = {
        name: ImageSet(name, COMPONENTS[name].transform, torch.cat(images), tuple(infos))
        for name, images in stacks.items()
    }
    return MapSets(get_forward_model(forward_model), sets, torch.cat(maps))


def map_of(components: Mapping[str, np.ndarray]) -> Tensor:
    """The maps of a sample, [4, H, W]; its normals turned such that they point straight up in the mean: a photo does
    not tell how the camera was held."""
    normal = turned_upright(components[NORMAL])
    slopes = -normal[..., :2] / np.maximum(normal[..., 2:], _LEAST_UP)
    found = np.concatenate([slopes, components[ROUGHNESS][..., :1], components[LEVEL][..., :1]], axis=2)
    return torch.from_numpy(np.ascontiguousarray(found.transpose(2, 0, 1), np.float32))


def turned_upright(normal: np.ndarray) -> np.ndarray:
    """Unit normals [H, W, 3], turned the shortest way such that their mean is (0, 0, 1)."""
    mean = normal.reshape(-1, 3).mean(axis=0)
    x, y, z = mean / max(float(np.linalg.norm(mean)), 1e-6)
    if z < -0.999:  # seen from behind: any way is the shortest
        return normal * np.array([1.0, -1.0, -1.0], np.float32)
    cross = np.array([[0.0, 0.0, -x], [0.0, 0.0, -y], [x, y, 0.0]])
    rotation = np.eye(3) + cross + cross @ cross / (1.0 + z)
    return np.asarray(normal @ rotation.T, np.float32)
