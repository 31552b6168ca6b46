# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether Blender can read every texture: what it cannot read is magenta or black in the albedo, without a word."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import bpy  # type: ignore[import]

from dataset_tools.errors import UserError
from dataset_tools.rendering.job import Job
from dataset_tools.sources import Sources, textures

# So many files are named of many.
_NAMED = 8


def check(job: Job, sources: Sources) -> None:
    """Open every texture of a job's scanned materials and skins once. Raises UserError that names those that cannot be
    used."""
    if job.materials and sources.scans:
        _check(job.materials, {file for scan in sources.scans.materials for file in scan.maps.values()})
    if job.skins and sources.skins:
        _check(job.skins, {*sources.skins.skins, *sources.skins.eyes})


def _check(folder: Path, files: Iterable[str]) -> None:
    faults = {}
    for file in sorted(files):
        reason = textures.fault(folder / file) or _unreadable(folder / file)
        if reason:
            faults[file] = reason
    if faults:
        named = "; ".join(f"{file} {reason}" for file, reason in list(faults.items())[:_NAMED])
        more = f"; and {len(faults) - _NAMED} more" if len(faults) > _NAMED else ""
        count = "One texture" if len(faults) == 1 else f"{len(faults)} textures"
        raise UserError(
            f"{count} in {folder} cannot be used ({named}{more}): put them right or take them out; nothing "
            "was rendered."
        )


def _unreadable(path: Path) -> str | None:
    try:
        image = bpy.data.images.load(str(path))
    except RuntimeError:
        return "cannot be read by Blender"
    # Asking for the size reads the pixels.
    found = min(image.size) > 0 and image.has_data
    bpy.data.images.remove(image)
    return None if found else "cannot be read by Blender"
