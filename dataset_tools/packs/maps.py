# SPDX-License-Identifier: GPL-3.0-or-later
"""True maps of materials beside the layers: what normal, roughness and specular maps are measured against.

``maps.tar`` is a float pack (as ``exports.py`` writes them) with more files for each sample: ``normal``, unit vectors
in the camera's axes (right, up, towards it), bumps included; ``roughness`` and ``specular_level``, the Principled
BSDF's, each three times.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dataset_tools.description.scene import Camera
from dataset_tools.packs import variants
from dataset_tools.packs.variants import Studio, Written
from dataset_tools.packs.writer import PackWriter
from dataset_tools.progress import steps
from dataset_tools.rendering.job import Job
from dataset_tools.specs.materials import view_axes
from dataset_tools.storage import passes

NAME = "maps"


def render(job: Job, indices: Sequence[int]) -> Written:
    """Write the pack; equal settings give equal bytes. Needs bpy."""
    told = {name: f"the Principled BSDF's {socket}, three times" for name, socket in passes.SOCKETS.items()}
    header = variants.header(job, **{passes.NORMAL: "unit vectors: right, up, towards the camera", **told})
    with (
        Studio(job, maps=True) as studio,
        PackWriter(job.out / f"{NAME}.tar", header) as pack,
        steps(len(indices), "render") as advance,
    ):
        for index in indices:
            taken = studio.take(index)
            found = studio.components(taken.scene, taken.passes)
            found[passes.NORMAL] = seen_by(taken.scene.camera, taken.passes[passes.NORMAL])
            found |= {name: np.repeat(taken.passes[name][..., None], 3, axis=2) for name in passes.SOCKETS}
            pack.add(variants.members(taken.scene, found, taken.exposure))
            advance()
    return Written(tuple(pack.written), {NAME: len(indices)})


def seen_by(camera: Camera, normal: np.ndarray) -> np.ndarray:
    """Normals [H, W, 3] in the world's axes, averaged over each pixel's samples → unit vectors in the camera's: to its
    right, up, and against the way it looks."""
    right, up, forward = view_axes(camera)
    turned = normal @ np.stack([right, up, -forward], axis=1).astype(np.float32)
    return np.asarray(turned / np.maximum(np.linalg.norm(turned, axis=2, keepdims=True), 1e-6), np.float32)
