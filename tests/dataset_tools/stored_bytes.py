# SPDX-License-Identifier: GPL-3.0-or-later
"""What the first samples of the paper's two datasets hash to: they stay as they are, byte for byte.

``python tests/dataset_tools/stored_bytes.py`` renders them with the bpy of this Python and adds them to
stored_bytes.json, under Blender's version. There may be several of one: processors do not all round Cycles' sums alike,
and another's bytes are the paper's where commit 042ea2e, which stored the first ones, renders them there as well.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from dataset_tools.storage import passes, shards  # noqa: E402

STORED = Path(__file__).with_suffix(".json")
# Enough for most families of materials; small, since a wrong byte is as wrong in a small picture.
COUNTS = {"materials": 24, "primeshapes": 8}
_QUALITY = ("--resolution", "16", "--samples", "1", "--seed", "3")
# Measured or told by the machine that renders.
_NOT_DRAWN = ("blender", "identity_error", "identity_error_half", "valid")


def rendered(dataset: str, *options: str) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """Layers by name and description of the samples, rendered in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, str(ROOT / "dataset_tools" / "render.py"), dataset, *_QUALITY, "--out", folder]
        count = ("--count", str(COUNTS[dataset]))
        result = subprocess.run([*command, *count, *options], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        found = shards.read_samples(Path(folder), shards.entries(Path(folder)))
        return [(passes.read(exr), stored) for _, exr, stored in found]


def pixel_hash(layers: dict[str, Any]) -> str:
    """Of the layers' names and half-float values."""
    digest = hashlib.sha256()
    for name in sorted(layers):
        digest.update(name.encode() + layers[name].astype("<f2").tobytes())
    return digest.hexdigest()[:16]


def description_hash(stored: dict[str, Any]) -> str:
    """Of the sample's JSON without what was measured.

    Floats count to ten digits: numpy's exponentials differ in the last one from processor to processor, which no pixel
    shows.
    """
    drawn = _rounded({name: value for name, value in stored.items() if name not in _NOT_DRAWN})
    return hashlib.sha256(shards.json_bytes(drawn)).hexdigest()[:16]


def _rounded(data: Any) -> Any:
    if isinstance(data, dict):
        return {name: _rounded(value) for name, value in data.items()}
    if isinstance(data, list):
        return [_rounded(value) for value in data]
    return float(f"{data:.10g}") if isinstance(data, float) else data


def hashes(dataset: str) -> dict[str, list[str]]:
    """Of every sample: its pixels and its description."""
    found = rendered(dataset)
    return {
        "pixels": [pixel_hash(layers) for layers, _ in found],
        "descriptions": [description_hash(stored) for _, stored in found],
    }


def denoised_hash() -> str:
    """Of the layers that ``--denoise`` adds to the first sample."""
    layers, _ = rendered("materials", "--denoise", "--count", "1")[0]
    return pixel_hash({name: layers[name] for name in passes.DENOISED})


if __name__ == "__main__":
    known = json.loads(STORED.read_text("utf-8")) if STORED.exists() else {}
    found = {**{name: hashes(name) for name in COUNTS}, "denoised": denoised_hash()}
    of_version = known.setdefault(version("bpy"), [])
    if found not in of_version:
        of_version.append(found)
    STORED.write_text(json.dumps(known, indent=1) + "\n", "utf-8")
