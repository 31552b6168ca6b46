# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for the engine where a test is about the add-on; ``FAKE_ENGINE`` says how it behaves.

ok: splits the image exactly, after a preview. at_once: without one. slow: reports progress and previews until it is
cancelled. deaf: as slow, but hears no cancel. fuzz: sends broken messages, drawn with the seed in ``FAKE_SEED``, and
then works as ok.
emission: as ok, of a model with one component more; lambertian: with one less.
torch_missing, garbage, silent, dies, dies_later, newer, half_layers: as the words say.
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


def components() -> dict[str, float]:
    """Component → its part of the image, for those that are added; the rest is albedo × shading."""
    if BEHAVIOUR == "lambertian":
        return {}
    return {"specular": 0.25, "emission": 0.125} if BEHAVIOUR == "emission" else {"specular": 0.25}


def split(request: dict[str, Any]) -> dict[str, Any]:
    """albedo × shading + specular = the image, to the last bit but one."""
    image = np.load(request["image"])[..., :3]
    added = {name: image * np.float32(part) for name, part in components().items()}
    albedo = np.linspace(0.2, 0.9, image.size, dtype=np.float32).reshape(image.shape)
    layers = {"albedo": albedo, "shading": (image - sum(added.values())) / albedo, **added}
    output = Path(request["output"])
    paths = {name: str(output / f"{name}.npy") for name in layers}
    for name, path in paths.items():
        np.save(path, layers[name])
    recomposed, decomposition = output / "recomposed.npy", output / "decomposition.join"
    np.save(recomposed, albedo * layers["shading"] + sum(added.values()))
    decomposition.write_bytes(b"fake")
    (output / "compact.join").write_bytes(b"small fake")
    if BEHAVIOUR == "half_layers":
        Path(paths["specular"]).write_bytes(b"cut")
    bank = {"name": "fake", "sha256": "0" * 64}
    settings = {"preset": request["preset"]}
    if request.get("mask"):
        settings["cleaned"] = float((np.load(request["mask"]).max(axis=2) > 0.0).mean())
    if request.get("face"):
        height, width = image.shape[:2]
        crop = {"center": [width / 4, height / 2], "right": [0.0, height / 4]}
        settings["face"] = {**request["face"], "crop": crop, "size": [height, width]}
    if request.get("bank") == "auto":
        settings["bank_choice"] = {"chosen": bank["name"], "why": "It is the only one.", "banks": {}}
    return {
        "layers": paths,
        "recomposed": str(recomposed),
        "decomposition": str(decomposition),
        "compact": str(output / "compact.join"),
        "forward_model": "_".join(["lambertian", *added]),
        "formula": [["albedo", "shading"], *([name] for name in added)],
        "bank": bank,
        "settings": settings,
        "metrics": {"psnr": 40.0},
        "seconds": {"total": 0.1},
        **({"suggested_bank": "faces"} if BEHAVIOUR == "suggests" and not request.get("bank") else {}),
    }


def split_together(request: dict[str, Any]) -> dict[str, Any]:
    """The same of several images, with one file of the albedo."""
    photos: list[dict[str, Any]] = []
    for number, image in enumerate(request["images"]):
        output = Path(request["output"]) / str(number)
        output.mkdir(parents=True, exist_ok=True)
        made = split({**request, "image": image, "output": str(output)})
        if photos:
            made["layers"]["albedo"] = photos[0]["layers"]["albedo"]
        made["settings"]["together"] = {"photos": len(request["images"]), "down": float(number), "right": 0.0}
        photos.append(made)
    return {"photos": photos, "notes": []}


def preview(request: dict[str, Any], brightness: float) -> None:
    """Layers of 4 × 3 pixels."""
    paths = {}
    for name in ("albedo", "shading", *components()):
        paths[name] = str(Path(request["output"]) / f"preview.{name}.npy")
        np.save(paths[name], np.full((3, 4, 3), brightness, np.float32))
    say("preview", id=request["id"], step=1, layers=paths)


def write_files(request: dict[str, Any]) -> dict[str, Any]:
    """For a request that wants files: none that anybody could open, but all there."""
    output = Path(request["output"])
    for name in ("albedo.exr", "report.json"):
        (output / name).write_bytes(Path(request["image"]).read_bytes()[:10])
    layers = {"albedo": str(output / "albedo.exr")}
    return {"layers": layers, "folder": str(output), "bank": {}, "settings": {}, "metrics": {}, "seconds": {}}


def work_until_cancelled(job: dict[str, Any], incoming: Any) -> None:
    say("accepted", id=job["id"])
    for step in range(3):
        say(
            "progress",
            id=job["id"],
            stage="joint",
            words="Optimising",
            step=step + 1,
            of=100,
            seconds_left=9.5,
            loss=0.5,
        )
        if job.get("preview_every"):
            preview(job, 0.25 * (step + 1))
    if BEHAVIOUR == "dies_later":
        print("Traceback: the last words", file=sys.stderr, flush=True)
        os._exit(9)
    if BEHAVIOUR == "deaf":
        time.sleep(60)
    cancel = next(incoming)
    made = split_together if "images" in job else split
    say("cancelled", id=job["id"], result=made(job) if cancel["keep"] else None)


def fuzz(request: dict[str, Any]) -> None:
    """A thousand broken messages, many of them with the id of the job; then the job's own answers."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    from tests.join_blender.broken_messages import broken

    layers = {"albedo": request["image"]}
    templates: list[dict[str, Any]] = [
        {"type": "progress", "id": request["id"], "stage": "joint", "step": 1, "of": 2, "loss": 0.5},
        {"type": "preview", "id": request["id"], "layers": layers},
        {"type": "accepted", "id": request["id"]},
    ]
    seed = int(os.environ["FAKE_SEED"])
    # Half of the runs send what can be decoded but makes no sense; what cannot ends an engine at its first message.
    for data in broken(seed, 1000, templates):
        if seed % 2 == 0 or decodes(data):
            sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    say("result", id=request["id"], **split(request))


def decodes(data: bytes) -> bool:
    try:
        message = json.loads(data[:-1])
    except (ValueError, RecursionError):
        return False
    return isinstance(message, dict) and isinstance(message.get("type"), str)


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
    if BEHAVIOUR == "fuzz":
        request = next(incoming)
        Path(request["output"]).mkdir(parents=True, exist_ok=True)
        fuzz(request)
    for request in incoming:
        if request["type"] not in ("decompose", "decompose_together"):
            continue
        Path(request["output"]).mkdir(parents=True, exist_ok=True)
        if BEHAVIOUR in ("slow", "dies_later", "deaf"):
            work_until_cancelled(request, incoming)
            continue
        say("accepted", id=request["id"])
        say("progress", id=request["id"], stage="joint", step=1, of=2, seconds_left=1.0, loss=0.5)
        if "images" in request:
            say("result", id=request["id"], **split_together(request))
            continue
        if request["files"]:
            if Path(request["image"]).stat().st_size == 0:
                say("error", id=request["id"], code="image_empty", message=f"'{request['image']}' is empty.", hint="")
                continue
            say("result", id=request["id"], **write_files(request))
            continue
        if BEHAVIOUR != "at_once":
            preview(request, 0.5)
        say("result", id=request["id"], **split(request))
    return 0


if __name__ == "__main__":
    sys.exit(main())
