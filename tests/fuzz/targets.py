# SPDX-License-Identifier: GPL-3.0-or-later
"""What is given spoiled things to read, and sound examples of these."""

from __future__ import annotations

import io
import itertools
import json
import random
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import OpenEXR
import pytest
import torch
from PIL import Image

from dataset_tools.storage import passes, shards
from join_engine import exr_codec
from join_engine.bank import DirectionsHeader, DirectionVectors, fingerprint, load_bank, verify_bank
from join_engine.bank import file as bank_file
from join_engine.bank.pictures import describe, measure
from join_engine.errors import JoinError
from join_engine.images.files import read_image
from join_engine.layers.decomposition import Features, load_decomposition, save_decomposition
from join_engine.pipeline import decompose
from join_engine.public_checkpoints import read_public_checkpoint
from join_engine.relighting.relighter import Edit, Relighter
from join_engine.renders.packs import read_packs
from join_engine.renders.samples import read_samples
from join_engine.server.engine import Engine
from join_engine.server.pixels import load_array
from join_engine.training.checkpoint import read_checkpoint, write_checkpoint
from join_engine.training.make_bank import Parts
from join_engine.training.make_bank import make_bank as put_together
from tests.fuzz import mutate
from tests.join_blender.broken_messages import broken
from tests.join_engine import public_layouts
from tests.join_engine.conftest import make_bank
from tests.join_engine.test_faces import of_faces
from tests.join_engine.test_untrusted import png

PARTS = (("albedo", "srgb"), ("shading", "reinhard"))
EDITS = [Edit("shading", 0, 1.0)]


class Target:
    """One kind of thing to read.

    Attributes:
        name: in reports.
    """

    name: str

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def case(self, rng: random.Random) -> bytes:
        """One spoiled thing."""
        raise NotImplementedError

    def read(self, data: bytes) -> None:
        """Read it. Raises JoinError or UserError for what cannot be; anything else is a finding."""
        raise NotImplementedError


class Files(Target):
    """Files of one kind, each read by the functions that read such files."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        # The suffix, the bytes, how they become sound, and under which key a safetensors file keeps its header.
        self.seeds: list[tuple[str, bytes, mutate.Repair | None, str | None]] = []
        self.kept = ""

    def case(self, rng: random.Random) -> bytes:
        suffix, data, repair, key = rng.choice(self.seeds)
        if key is not None and rng.random() < 0.7:
            found = mutate.spoiled_safetensors(rng, data, key)
        else:
            found = mutate.spoiled(rng, data, [other for _, other, *_ in self.seeds])
            if repair is not None and rng.random() < 0.8:
                found = repair(found)
        return suffix.encode() + b"\n" + found

    def read(self, data: bytes) -> None:
        suffix, _, content = data.partition(b"\n")
        path = self.folder / f"spoiled{suffix.decode()}"
        path.write_bytes(content)
        self.read_file(path)

    def read_file(self, path: Path) -> None:
        raise NotImplementedError


class Pictures(Files):
    name = "PNG, EXR and other pictures"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        pixels = np.random.default_rng(0).random((24, 32, 4), np.float32)
        bytes_ = (pixels * 255).astype(np.uint8)
        for name, mode, options in (
            ("a.png", "RGB", {}),
            ("b.png", "P", {}),
            ("c.png", "L", {}),
            ("a.jpg", "RGB", {}),
            ("a.tif", "RGB", {"compression": "tiff_lzw"}),
            ("b.tif", "F", {}),
            ("a.webp", "RGB", {}),
            ("a.gif", "P", {}),
            ("a.bmp", "RGB", {}),
        ):
            picture = Image.fromarray(bytes_[..., :3])
            (picture.convert("L").convert("F") if mode == "F" else picture.convert(mode)).save(folder / name, **options)
        rows = np.zeros((24, 1 + 32 * 8), np.uint8)
        rows[:, 1:] = (pixels * 65535).astype(">u2").reshape(24, -1).view(np.uint8)
        (folder / "d.png").write_bytes(png(32, 24, rows.tobytes(), 16, 6))
        plain = {"type": OpenEXR.scanlineimage, "compression": OpenEXR.ZIP_COMPRESSION}
        half = np.ascontiguousarray(pixels, np.float16)
        for name, compression in (("a", "ZIP"), ("b", "PIZ"), ("c", "DWAA"), ("d", "NO"), ("e", "RLE"), ("f", "B44")):
            header = {**plain, "compression": getattr(OpenEXR, f"{compression}_COMPRESSION")}
            OpenEXR.File(header, {"RGBA": half}).write(str(folder / f"{name}.exr"))
        tiled = {**plain, "type": OpenEXR.tiledimage, "tiles": OpenEXR.TileDescription()}
        OpenEXR.File(tiled, {"RGB": np.ascontiguousarray(pixels[..., :3])}).write(str(folder / "tiled.exr"))
        two = [OpenEXR.Part({**plain, "name": name}, {"RGB": np.ascontiguousarray(half[..., :3])}) for name in "ab"]
        OpenEXR.File(two).write(str(folder / "parts.exr"))
        np.save(folder / "a.npy", pixels[..., :3])
        (folder / "a.hdr").write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 24 +X 32\n" + bytes_.tobytes())
        for path in sorted(folder.iterdir()):
            repair = mutate.sound_png if path.suffix == ".png" else None
            self.seeds.append((path.suffix, path.read_bytes(), repair, None))

    def read_file(self, path: Path) -> None:
        problem: JoinError | None = None
        try:
            found = read_image(path)
            assert found.dtype == np.float32 and found.ndim == 3 and np.isfinite(found).all()
        except JoinError as error:
            problem = error
        if path.suffix in (".exr", ".npy"):
            load_array(str(path))
        if problem is not None:
            raise problem


class Banks(Files):
    name = "banks"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        data = make_bank(folder / "bank.safetensors", "lambertian", PARTS).read_bytes()
        self.seeds = [(".safetensors", data, None, "join_bank")]
        loaded = load_bank(folder / "bank.safetensors", with_discriminators=True)
        parts, part = Parts.of_bank(loaded), loaded.components["albedo"]
        vectors = DirectionVectors(1, 1, part.generator.config.w_dim)
        vectors.vectors.fill_(0.5)
        told = {"unit": 0.7, "pairs": 4, "moves": ["albedo"], "gain_albedo": [1.0, 0.5]}
        header = DirectionsHeader({"wet": told}, {"albedo": fingerprint(part.generator)}, {"albedo": 1}, {"scenes": 4})
        parts.materials = header, {"albedo": vectors}
        rng = np.random.default_rng(0)
        grey = [rng.uniform(0.1, 0.5) * np.ones((16, 16, 3), np.float32) for _ in range(30)]
        parts.pictures = describe(torch.cat([measure(image) for image in grey]), {"packs": []})
        put_together(folder / "wet.safetensors", "wet", "lambertian", parts, {})
        self.seeds.append((".safetensors", (folder / "wet.safetensors").read_bytes(), None, "join_bank"))

    def read_file(self, path: Path) -> None:
        bank = load_bank(path, with_discriminators=True)
        verify_bank(bank)
        pictures = bank.header.pictures
        if pictures is not None and pictures.is_known:
            pictures.log_likelihoods(measure(np.full((16, 16, 3), 0.3, np.float32)))


class Decompositions(Files):
    name = ".join files"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        from join_engine.inversion.presets import Detail, Preset
        from join_engine.inversion.stages.mean_start import MeanStart

        self.bank = load_bank(make_bank(folder / "bank.safetensors", "lambertian", PARTS))
        image = np.random.default_rng(0).random((20, 24, 3), np.float32)
        found = decompose(image, self.bank, Preset("draft", (MeanStart(),), Detail())).decomposition
        const = self.bank.components["shading"].generator.synthesis.get_submodule("b4").const.detach().numpy()
        tuned = replace(found, tuned={"shading.synthesis.b4.const": const})
        config = self.bank.components["shading"].generator.config
        delta, mask = np.ones((config.width(8), 8, 8), np.float32), np.full((1, 8, 8), 0.5, np.float32)
        features = {"shading": Features(found.codes["shading"], {8: delta}, {8: mask})}
        seen = replace(found, features=features)
        mixed = replace(found, other={"albedo": found.codes["albedo"] + 0.5})
        sure = replace(found, confidence=np.full((5, 6, 3), 0.5, np.float32))
        for number, each in enumerate((found, Relighter(found, self.bank).relight(EDITS), tuned, seen, mixed, sure)):
            save_decomposition(folder / f"{number}.join", each)
            self.seeds.append((".join", (folder / f"{number}.join").read_bytes(), None, "join"))

    def read_file(self, path: Path) -> None:
        found = load_decomposition(path)
        mixes = [Edit(name, "mix.colour", 0.5) for name in found.other]
        lit = Relighter(found, self.bank).relight([*EDITS, *mixes])
        assert all(np.isfinite(layer).all() for layer in lit.layers.values())
        json.dumps(lit.summary())


class Checkpoints(Files):
    name = "checkpoints"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        weights = public_layouts.random_weights()
        write_checkpoint(folder / "own.safetensors", {"w": torch.randn(4, 3), "step": torch.tensor(3)}, {"images": 7})
        public_layouts.write_rosinality(folder / "new.pt", weights)
        public_layouts.write_rosinality(folder / "old.pt", weights, old=True)
        with ExitStack() as stack:
            patch = stack.enter_context(pytest.MonkeyPatch.context())
            public_layouts.install_nvlabs_names(patch)
            for protocol in (2, 3, 4):
                modules = public_layouts.nvlabs_modules(weights)
                public_layouts.write_nvlabs(folder / f"{protocol}.pkl", modules, protocol)
        for path in sorted(folder.iterdir()):
            key = "join_checkpoint" if path.suffix == ".safetensors" else None
            self.seeds.append((path.suffix, path.read_bytes(), None, key))

    def read_file(self, path: Path) -> None:
        (read_checkpoint if path.suffix == ".safetensors" else read_public_checkpoint)(path)


class Packs(Files):
    name = "packs and shards"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        components = {"albedo": {"transform": "srgb"}, "shading": {"transform": "reinhard"}}
        header = {"resolution": 8, "components": components, "split": "train", "count": 2, "dataset": "d", "seed": 0}
        picture = io.BytesIO()
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)).save(picture, "PNG")
        array = io.BytesIO()
        np.save(array, np.random.default_rng(0).random((8, 8, 3), np.float32))
        for ending, content in (("png", picture.getvalue()), ("npy", array.getvalue())):
            buffer = io.BytesIO()
            with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
                shards.add_member(archive, "pack.json", json.dumps(header).encode())
                for index in range(2):
                    for component in components:
                        shards.add_member(archive, f"{index:08d}.{component}.{ending}", content)
            self.seeds.append((f".{ending}.tar", buffer.getvalue(), mutate.sound_tar, None))
        self.dataset, self.shard = folder / "dataset", shards.Shard("d", 0, 2)
        channels = {"V": np.arange(96, dtype=np.float32).reshape(8, 12)}
        self.exr = exr_codec.write_channels(channels)
        samples = [shards.Sample(index, "train", self.exr, {"index": index}, {"seconds": 0.5}) for index in range(2)]
        shards.write_shard(self.dataset, self.shard, samples)
        place = self.dataset / "shards" / self.shard.stem
        self.tar, self.list = place.with_suffix(".tar"), place.with_suffix(".jsonl")
        self.sound = {".shard": self.tar.read_bytes(), ".jsonl": self.list.read_bytes()}
        self.seeds.append((".shard", self.sound[".shard"], mutate.sound_tar, None))
        self.seeds.append((".jsonl", self.sound[".jsonl"], None, None))
        self.seeds.append((".channels", self.exr, None, None))

    def read_file(self, path: Path) -> None:
        if path.suffix == ".channels":
            passes.read_channels(path.read_bytes())
        elif path.suffix in self.sound:
            self.tar.write_bytes(self.sound[".shard"])
            self.list.write_bytes(self.sound[".jsonl"])
            (self.tar if path.suffix == ".shard" else self.list).write_bytes(path.read_bytes())
            damaged = shards.damaged(self.dataset)
            assert shards.missing(self.dataset, "d", range(2)) == damaged  # what is damaged is rendered again
            list(shards.read_samples(self.dataset, shards.entries(self.dataset)))
        else:
            read_samples(path, ["albedo", "shading"], 2)
            if path.name.endswith(".png.tar"):
                read_packs([path], "albedo")


class _Answers:
    """Stands for the channel; keeps what the engine says."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def send(self, kind: str, request: Any = None, **content: Any) -> None:
        event = {"type": kind, "id": request, **content}
        json.dumps(event)
        self.events.append(event)

    def send_error(self, request: Any, error: JoinError) -> None:
        self.send("error", request, code=error.code, message=error.message, hint=error.hint)


_FINAL = ("result", "cancelled", "error", "banks")


class Messages(Target):
    """Requests to the engine itself, with files that are there; each must have its last event."""

    name = "messages"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.answers = _Answers()
        self.engine = Engine(self.answers, "cpu", 1)  # type: ignore[arg-type]
        threading.Thread(target=self.engine.work, daemon=True).start()
        bank = make_bank(folder / "bank.safetensors", "lambertian", PARTS)
        # Also where a request names none: the shipped ones take a while to begin with.
        bank_file.BANKS_FOLDER, bank_file.DEFAULT_BANK = folder, bank.stem
        faces = make_bank(folder / "faces.safetensors", "lambertian", PARTS)
        of_faces(load_bank(faces, with_discriminators=True), faces)
        np.save(folder / "a.npy", np.random.default_rng(0).random((20, 24, 3), np.float32))
        mask = np.zeros((20, 24, 3), np.float32)
        mask[8:12, 8:12] = 1.0
        np.save(folder / "mask.npy", mask)
        made: dict[str, Any] = {
            "type": "decompose", "id": 1, "image": str(folder / "a.npy"), "output": str(folder / "out"), "seed": 0,
            "bank": str(bank), "preset": "standard", "steps": 2, "preview_every": 1, "preview_size": 8,
            "detail": True, "files": False, "upright": True,
        }  # fmt: skip
        self._ask(made)
        result = self.answers.events[-1]
        assert result["type"] == "result", result
        stored = {"decomposition": result["compact"], "layers": result["layers"], "bank": str(bank)}
        edits = [{"component": "shading", "direction": 0, "amount": 1.0}]
        formula = [["albedo", "shading"]]
        out = str(folder / "lit")
        self.templates: list[dict[str, Any]] = [
            made,
            {**made, "files": True, "skip_existing": True, "preview_every": 0},
            {**made, "preview_every": 0, "mask": str(folder / "mask.npy")},
            {**made, "bank": str(faces), "face": {"points": [[8, 6], [15, 6.5], [12, 13]]}},
            {**made, "bank": str(faces), "face": {"box": [2, 1, 20, 18]}},
            {"type": "decompose_together", "id": 9, "images": [str(folder / "a.npy")] * 2, "names": ["a", "b"],
             "output": str(folder / "both"), "bank": str(bank), "preset": "standard", "steps": 1, "seed": 0},
            {"type": "relight", "id": 2, "edits": edits, "output": out, "preview": True, "store": False, **stored},
            {"type": "relight", "id": "two", "edits": edits, "output": out, **stored},
            {"type": "directions", "id": 3, **stored},
            {"type": "store", "id": 4, "edits": edits, "output": str(folder / "a.join"), **stored},
            {"type": "store", "id": 5, "edits": [], "output": str(folder / "a.join"), **stored},
            {"type": "mix", "id": 5, "decomposition": result["compact"], "other": result["compact"],
             "output": str(folder / "mixed.join")},
            {"type": "paste", "id": 11, "patch": result["layers"]["albedo"], "mask": str(folder / "mask.npy"),
             "scale": 1.0, "feather": 2.0, "steps": 1, "output": str(folder / "pasted"), **stored},
            {"type": "export", "id": 6, "layers": result["layers"], "format": "exr", "depth": 16,
             "output": str(folder / "out.exr"), "formula": formula},
            {"type": "export", "id": 6, "layers": result["layers"], "format": "png", "depth": 8,
             "output": str(folder / "out.png"), "formula": None},
            {"type": "convert", "id": 12, "image": made["image"], "output": str(folder)},
            {"type": "maps", "id": 10, "layers": result["layers"], "relief": 1.0, "output": str(folder)},
            {"type": "tile", "id": 11, "layers": result["layers"], "output": str(folder)},
            {"type": "cancel", "id": 7, "keep": True},
            {"type": "list_banks", "id": 8},
        ]  # fmt: skip

    def case(self, rng: random.Random) -> bytes:
        if rng.random() < 0.2:
            return next(broken(rng.randrange(2**32), 1, self.templates))[:-1]
        return json.dumps(mutate.spoiled_json(rng, rng.choice(self.templates))).encode()

    def read(self, data: bytes, patience: float = 2.0) -> None:
        if b"shutdown" in data:  # which would end this process, and is right to
            return
        self.answers.events.clear()
        start = time.monotonic()
        self.engine.handle(data)
        while self.engine._jobs:
            if time.monotonic() - start > patience:  # a search for ever is what was asked for, until it is cancelled
                for job in list(self.engine._jobs.values()):
                    job.cancelled.set()
            time.sleep(0.001)
        wait = time.monotonic() + 5
        while not (self.answers.events and self.answers.events[-1]["type"] in _FINAL):
            assert time.monotonic() < wait, "there is no answer"
            time.sleep(0.001)
        last = self.answers.events[-1]
        if last["type"] == "error":
            raise JoinError(last["code"], last["message"], last["hint"])

    def _ask(self, request: dict[str, Any]) -> None:
        self.read(json.dumps(request).encode(), 120.0)


TARGETS: dict[str, Callable[[Path], Target]] = {
    "messages": Messages,
    "join": Decompositions,
    "banks": Banks,
    "checkpoints": Checkpoints,
    "pictures": Pictures,
    "packs": Packs,
}


def cases(target: Target, seed: int, start: int) -> Iterator[tuple[int, bytes]]:
    """Number and bytes of one case after the other: each follows from the seed and its number, whatever came before."""
    for number in itertools.count(start):
        yield number, target.case(random.Random(f"{seed} {target.name} {number}"))
