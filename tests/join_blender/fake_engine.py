# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for the engine where a test is about the add-on; ``FAKE_ENGINE`` says how it behaves.

ok: splits the image exactly. slow: reports progress until it is cancelled. torch_missing, garbage, silent, dies,
dies_later, newer, half_layers: as the words say.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

BEHAVIOUR = os.environ.get("FAKE_ENGINE", "ok")


def say(kind: str, **content: Any) -> None:
    sys.stdout.buffer.write(json.dumps({"type": kind, **content}).encode() + b"\0")
    sys.stdout.buffer.flush()


def requests() -> Any:
    rest = b""
    while piece := os.read(0, 65536):
        *whole, rest = (rest + piece).split(b"\0")
        yield from map(json.loads, whole)


def split(request: dict[str, Any]) -> dict[str, Any]:
    """albedo × shading + specular = the image, to the last bit but one."""
    image = np.load(request["image"])[..., :3]
    specular = image * np.float32(0.25)
    albedo = np.linspace(0.2, 0.9, image.size, dtype=np.float32).reshape(image.shape)
    layers = {"albedo": albedo, "shading": (image - specular) / albedo, "specular": specular}
    output = Path(request["output"])
    paths = {name: str(output / f"{name}.npy") for name in layers}
    for name, path in paths.items():
        np.save(path, layers[name])
    recomposed, decomposition = output / "recomposed.npy", output / "decomposition.join"
    np.save(recomposed, albedo * layers["shading"] + specular)
    decomposition.write_bytes(b"fake")
    if BEHAVIOUR == "half_layers":
        Path(paths["specular"]).write_bytes(b"cut")
    bank = {"name": "fake", "sha256": "0" * 64}
    return {
        "layers": paths,
        "recomposed": str(recomposed),
        "decomposition": str(decomposition),
        "bank": bank,
        "settings": {"preset": request["preset"]},
        "metrics": {"psnr": 40.0},
        "seconds": {"total": 0.1},
    }


def work_until_cancelled(job: dict[str, Any], incoming: Any) -> None:
    say("accepted", id=job["id"])
    for step in range(3):
        say("progress", id=job["id"], stage="joint", step=step + 1, of=100, seconds_left=9.5, loss=0.5)
    if BEHAVIOUR == "dies_later":
        print("Traceback: the last words", file=sys.stderr, flush=True)
        os._exit(9)
    cancel = next(incoming)
    say("cancelled", id=job["id"], result=split(job) if cancel["keep"] else None)


def main() -> int:
    if BEHAVIOUR == "torch_missing":
        say("error", id=None, code="torch_missing", message="This Python cannot import torch.", hint="Install torch.")
        return 3
    if BEHAVIOUR == "garbage":
        sys.stdout.buffer.write(b"Usage: something else entirely\0")
        sys.stdout.buffer.flush()
        time.sleep(60)
    if BEHAVIOUR == "dies":
        print("the last words", file=sys.stderr)
        return 1
    if BEHAVIOUR == "silent":
        time.sleep(60)
    say("hello", protocol=2 if BEHAVIOUR == "newer" else 1, engine="0", python="3", torch="0", device="cpu", banks=[])
    incoming = requests()
    for request in incoming:
        if request["type"] != "decompose":
            continue
        if BEHAVIOUR in ("slow", "dies_later"):
            work_until_cancelled(request, incoming)
            continue
        say("accepted", id=request["id"])
        say("progress", id=request["id"], stage="joint", step=1, of=2, seconds_left=1.0, loss=0.5)
        say("result", id=request["id"], **split(request))
    return 0


if __name__ == "__main__":
    sys.exit(main())
