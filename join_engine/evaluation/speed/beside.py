# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast ours is beside the plain loop (:mod:`.plain_loop`), in one process and alternately.

What else a machine does slows both of a pair alike, so that their ratio says more than seconds do. Where both start
processes, these alternate. First runs, which warm up, are not counted.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...bank import Bank, load_bank
from ...color import srgb_encode
from ...device import has_bf16
from ...images.files import images_in, read_image, write_atomically
from ...images.frame import Frame
from ...images.metrics import component_scores
from ...inversion.codebook import CodeBook
from ...inversion.invert import invert
from ...inversion.presets import DEFAULT_PRESET, Preset, get_preset
from ...inversion.progress import Monitor
from ...inversion.stages.joint import Joint
from ...layers.split import split
from ...memory import available, fits
from ...options import say
from ...pipeline import decompose
from ...relighting.relighter import LIGHT, Edit, Relighter, to_layer
from ...renders.packs import ImageSet
from ...renders.samples import read_samples
from ...training.gan.state import GanSettings, GanState
from ..camera import photographed
from ..scores.together_scores import against, likeness
from ..tables import markdown
from .plain_loop import (
    R1_INTERVAL,
    PlainLoop,
    PlainTraining,
    checkpoints,
    plain_codes,
    plain_look,
    plain_relight,
    read_checkpoint,
    start_script,
    write_checkpoint,
)

Layers = dict[str, np.ndarray]
Do = Callable[[], object]

SIZES = {"1K": 1024, "4K": 4096, "8K": 8192}
EDITOR = 1024
"""Longest side of what an Image Editor shows."""
BATCHES = (1, 8)
_STEPS = 15  # of *standard*: what is set up before the first one counts with its share
_PLAIN_STEPS = 80
_BYTES_PER_PIXEL = 250  # that layers of one photo may take at most, both ways
_CORRELATION = "correlation"
_TRAINED = 16  # images in a training step
_STARTS = 3  # processes are started no more often than that


@dataclass(frozen=True)
class Settings:
    """What is measured.

    Attributes:
        pairs: of each row.
        presets: whose whole way is timed.
        sizes: longest sides of photos, by name, at which layers are timed.
        seed: of everything random.
        processor: tell the processors' seconds instead of the clock's: for one thread beside other work. Of several
            these count how they wait for each other as well.
    """

    pairs: int = 5
    presets: Sequence[str] = ("draft", "standard", "best")
    sizes: Sequence[str] = tuple(SIZES)
    seed: int = 0
    processor: bool = False


class Bench:
    """Both ways with one bank, whose codes are drawn once for each before anything is timed."""

    def __init__(self, bank: Bank, settings: Settings) -> None:
        self._bank, self._settings = bank, settings
        self._codebook = CodeBook(bank)
        self._joint = _joint_of(get_preset(DEFAULT_PRESET))
        self._codes = {name: plain_codes(bank.components[name]) for name in bank.forward_model.components}
        self._device = next(iter(bank.components.values())).w_avg.device

    def rows(self) -> dict[str, Any]:
        """By what was done: seconds both ways (median), and how many times as long the plain one took: for JSON; a
        row that this bank or machine does not allow says so under "missing"."""
        found = self.steps()
        photo = _photo(EDITOR, self._settings.seed)
        for name in self._settings.presets:
            found[f"{name}, a photo of 1K"] = self._preset(get_preset(name), photo)
        found["relight at the editor's size, a photo of 2K"] = self._relight()
        for size in self._settings.sizes:
            found[f"layers at {size}"] = self._layers(SIZES[size])
        found["engine start to hello"] = self._start()
        found["bank loading"] = self._loading()
        found["training, an image"] = self._training()
        return found

    def steps(self) -> dict[str, Any]:
        """Of :meth:`rows` those of the joint step."""
        found: dict[str, Any] = {}
        for batch in BATCHES:
            found[f"joint step, {batch} at once"] = self._steps(batch, frozen=False)
            found[f"joint step, {batch} at once, plain weights frozen"] = self._steps(batch, frozen=True)
        return found

    def _pairs(self, name: str, plain: Do, ours: Do, pairs: int, per: int = 1) -> dict[str, Any]:
        clock = time.process_time if self._settings.processor else time.perf_counter
        found = compared(*alternately(plain, ours, pairs, clock), per)
        say(f"{name}: plain {_time(found['plain'])}, ours {_time(found['ours'])}, ratio {found['ratio']:.2f}")
        return found

    def _steps(self, batch: int, frozen: bool) -> dict[str, Any]:
        steps, size, seed = _STEPS, self._bank.header.resolution, self._settings.seed
        target = torch.rand(batch, 3, size, size, generator=torch.Generator().manual_seed(seed)).to(self._device)
        loop = PlainLoop(self._bank, target, self._joint.features, self._codes, 10**6, frozen)
        preset = Preset("bench", (self._joint,)).with_steps(steps)

        def plain() -> None:
            for _ in range(steps):
                loop.step()
            self._finish()

        def ours() -> None:
            invert(self._bank, target, preset, seed, Monitor(), self._codebook)
            self._finish()

        name = f"a step of {batch}{', plain weights frozen' if frozen else ''}"
        return self._pairs(name, plain, ours, self._settings.pairs, steps)

    def _preset(self, preset: Preset, photo: np.ndarray) -> dict[str, Any]:
        steps = sum(stage.optimiser_steps for stage in preset.stages)

        def ours() -> None:
            decompose(photo, self._bank, preset, self._settings.seed, codebook=self._codebook)

        def plain() -> None:
            plain_decompose(self._bank, photo, self._joint.features, self._codes, steps)

        return self._pairs(preset.name, plain, ours, min(3, self._settings.pairs))

    def _relight(self) -> dict[str, Any]:
        photo = _photo(2 * EDITOR, self._settings.seed)
        preset = get_preset(self._settings.presets[0])
        found = decompose(photo, self._bank, preset, codebook=self._codebook).decomposition
        relighter = Relighter(found, self._bank)
        direction = next((one for one in relighter.directions() if one.component == "shading"), None)
        if direction is None:
            return {"missing": "the bank knows no direction of the light"}
        owners = [name for name in found.codes if direction.name in self._bank.components[name].directions]
        edit = Edit(LIGHT if owners else direction.component, direction.name, 1.0)
        moved = {name: self._bank.components[name].directions[direction.name].cpu() for name in owners}
        if not moved:
            moved = {direction.component: torch.zeros_like(self._codes[direction.component][0])}
        whole = {name: np.asarray(found.layers[name]) for name in found.layers}
        plain_found = replace(found, layers=whole)

        def plain() -> None:
            plain_relight(self._bank, plain_found, moved, EDITOR)

        return self._pairs("relight", plain, lambda: relighter.preview([edit], EDITOR), self._settings.pairs)

    def _layers(self, side: int) -> dict[str, Any]:
        network = self._bank.split
        if network is None:
            return {"missing": "the bank has no split network"}
        height = side * 2 // 3
        if not fits(side, height, available(), _BYTES_PER_PIXEL):
            return {"missing": "not enough memory is free"}
        photo = _photo(side, self._settings.seed)
        frame, size = Frame(height, side, self._bank.header.resolution), self._bank.header.resolution
        told = {name: torch.full((1, 3, size, size), 0.4, device=self._device) for name in self._codes}

        def ours() -> None:
            _through(split(network, photo, None, told, frame, None)[0])

        def plain() -> None:
            _through(split(network, photo, None, told, frame, None, looks=plain_look)[0])

        return self._pairs(f"layers at {side}", plain, ours, self._settings.pairs if side <= 1024 else 2)

    def _start(self) -> dict[str, Any]:
        path = self._bank.path
        if self._settings.processor:
            return {"missing": "the time of other processes is not told"}

        def plain() -> None:
            subprocess.run([sys.executable, *start_script(path)], check=True, stdout=subprocess.DEVNULL)

        return self._pairs("starts", plain, _until_hello, min(_STARTS, self._settings.pairs))

    def _loading(self) -> dict[str, Any]:
        with tempfile.TemporaryDirectory(prefix="join-bench-") as folder:
            checkpoint = Path(folder) / "bank.pt"
            write_checkpoint(checkpoint, self._bank)
            path = self._bank.path
            return self._pairs(
                "bank", lambda: read_checkpoint(checkpoint), lambda: load_bank(path), self._settings.pairs
            )

    def _training(self) -> dict[str, Any]:
        """Both networks of one component, as new."""
        config = next(iter(self._bank.components.values())).generator.config
        settings = GanSettings(batch=_TRAINED, bf16=has_bf16(self._device.type), seed=self._settings.seed)
        ours = GanState(config, settings, self._device)
        plain = PlainTraining(config, _TRAINED, settings.gamma(config.resolution), self._device)
        shape = (4 * _TRAINED, config.image_channels, config.resolution, config.resolution)
        data = ImageSet("", "", torch.randint(256, shape, dtype=torch.uint8), ())

        def step_plain() -> None:
            for _ in range(R1_INTERVAL):
                plain.step(data.batch(torch.randint(len(data.images), (_TRAINED,))).to(self._device))
            self._finish()

        def step_ours() -> None:
            for _ in range(R1_INTERVAL):
                ours.step(data)
            self._finish()

        return self._pairs("training", step_plain, step_ours, min(3, self._settings.pairs), _TRAINED * R1_INTERVAL)

    def _finish(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()

    # --- quality against time ------------------------------------------------------------------------------------

    def curves(self, pack: Path, count: int) -> dict[str, Any]:
        """Quality against seconds on the first ``count`` renders of a pack, photographed. Raises JoinError
        ``data_missing``, ``data_broken``. Returns for JSON: under "plain" and "ours" points in order, each with
        ``name`` (steps or preset), ``seconds`` (mean) and, by component, mean PSNR in dB in the domains of
        :mod:`join_engine.images.metrics`, and ``mean``, that of them all; under "renders" their number."""
        samples = read_samples(pack, self._bank.forward_model.components, count)
        points: dict[str, dict[str, list[dict[str, float]]]] = {"plain": {}, "ours": {}}
        for number, sample in enumerate(samples):
            photo, truth = photographed(self._bank, sample.components)
            for way, name, seconds, layers in self._both(photo):
                scores = {part: component_scores(part, layers[part], truth[part])["psnr"] for part in truth}
                scores["mean"] = float(np.mean(list(scores.values())))
                points[way].setdefault(name, []).append({"seconds": seconds, **scores})
            say(f"{number + 1} of {len(samples)} renders")
        return {"renders": len(samples), **_meaned(points)}

    def consistency(self, folder: Path, things: int, photos: int) -> dict[str, Any]:
        """The same on the first photos of registered photographs ``THING.0.jpg`` …: three of the figures of
        :mod:`join_engine.evaluation.scores.together_scores` under "consistency" and "reference" (dB) and "correlation".

        A flat colour is as consistent as can be: no figure counts alone. Raises JoinError ``image_missing``.
        """
        paths: dict[str, list[Path]] = {}
        for path in sorted(images_in(folder).images):
            paths.setdefault(path.stem.rpartition(".")[0], []).append(path)
        points: dict[str, dict[str, list[dict[str, float]]]] = {"plain": {}, "ours": {}}
        chosen = [own for own in paths.values() if len(own) > 2][:things]
        for number, own in enumerate(chosen):
            made: dict[tuple[str, str], list[tuple[float, np.ndarray]]] = {}
            pictures = [read_image(path)[..., :3] for path in own]
            for picture in pictures[:photos]:
                for way, name, seconds, layers in self._both(picture):
                    made.setdefault((way, name), []).append((seconds, layers["albedo"]))
            lit = [picture / picture.mean() for picture in pictures]
            medians = [np.median([*lit[:i], *lit[i + 1 :]], axis=0) for i in range(min(photos, len(lit)))]
            for (way, name), each in made.items():
                alike = [likeness(one, other) for i, (_, one) in enumerate(each) for _, other in each[:i]]
                told = np.array([against(one, median) for (_, one), median in zip(each, medians, strict=True)])
                reference, correlation = told.mean(axis=0)[:2]
                row = {
                    "seconds": float(np.mean([seconds for seconds, _ in each])),
                    "consistency": float(np.mean(alike)),
                    "reference": float(reference),
                    _CORRELATION: float(correlation),
                }
                points[way].setdefault(name, []).append(row)
            say(f"{number + 1} of {len(chosen)} things")
        return {"things": len(chosen), **_meaned(points)}

    def _both(self, photo: np.ndarray) -> Sequence[tuple[str, str, float, Layers]]:
        """Of both ways: which, steps or preset, seconds so far, and the layers at the photo's size."""
        found = []
        for name in self._settings.presets:
            start = time.perf_counter()
            made = decompose(photo, self._bank, get_preset(name), self._settings.seed, codebook=self._codebook)
            seconds = time.perf_counter() - start
            found.append(("ours", name, seconds, {k: np.asarray(v) for k, v in made.decomposition.layers.items()}))
        frame, start = Frame(photo.shape[0], photo.shape[1], self._bank.header.resolution), time.perf_counter()
        target = _square(photo, frame, self._device)
        loop = PlainLoop(self._bank, target, self._joint.features, self._codes, _PLAIN_STEPS)
        done, seconds = 0, time.perf_counter() - start
        for count in checkpoints(_PLAIN_STEPS):
            start = time.perf_counter()
            while done < count:
                loop.step()
                done += 1
            seconds += time.perf_counter() - start
            start = time.perf_counter()
            layers = _enlarged(loop.components(), frame)
            found.append(("plain", str(count), seconds + time.perf_counter() - start, layers))
        return found


def alternately(
    plain: Do, ours: Do, pairs: int, clock: Callable[[], float] = time.perf_counter
) -> tuple[list[float], list[float]]:
    """Seconds of both by ``clock``, pair by pair, of which each begins every other one; after one of each that does not
    count."""
    plain(), ours()
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(pairs):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            start = clock()
            (plain, ours)[which]()
            seconds[which].append(clock() - start)
    return seconds


def compared(plain: Sequence[float], ours: Sequence[float], per: int = 1) -> dict[str, Any]:
    """Seconds of pairs, each for ``per`` of something → medians for one, and the geometric mean of the ratios with its
    95 % interval (Student's, of the logarithms)."""
    logs = np.log(np.asarray(plain) / np.asarray(ours))
    half = _quantile(len(logs) - 1) * float(logs.std(ddof=1)) / math.sqrt(len(logs)) if len(logs) > 1 else math.inf
    mean = float(logs.mean())
    return {
        "plain": float(np.median(plain)) / per,
        "ours": float(np.median(ours)) / per,
        "ratio": math.exp(mean),
        "interval": None if half == math.inf else [math.exp(mean - half), math.exp(mean + half)],
        "pairs": len(logs),
    }


def _quantile(freedom: int) -> float:
    """Student's t, two-sided 95 %."""
    table = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26)
    return table[min(freedom, len(table)) - 1]


def plain_decompose(bank: Bank, photo: np.ndarray, features: str, codes: Mapping[str, Tensor], steps: int) -> Layers:
    """A photo's layers by the plain loop with as many steps as a preset has (without any, from the encoders), and the
    split network's answer in float32."""
    frame = Frame(photo.shape[0], photo.shape[1], bank.header.resolution)
    device = next(iter(codes.values())).device
    target = _square(photo, frame, device)
    if steps:
        loop = PlainLoop(bank, target, features, codes, steps)
        for _ in range(steps):
            loop.step()
        told = loop.components()
    else:
        with torch.no_grad():
            told = {
                name: part.transform.from_generator(part.seen(target) if part.encoder else target * 0.0)
                for name, part in bank.components.items()
            }
    if bank.split is None:
        return _enlarged(told, frame)
    told = {name: linear.clamp_min(0.0) for name, linear in told.items()}
    return split(bank.split, photo, None, told, frame, None, looks=plain_look)[0].whole()


def _square(photo: np.ndarray, frame: Frame, device: torch.device) -> Tensor:
    return srgb_encode(frame.fit(photo[..., :3])).to(device)


def _enlarged(components: Mapping[str, Tensor], frame: Frame) -> Layers:
    return {name: to_layer(frame.restore(linear)) for name, linear in components.items()}


def _through(layers: Any) -> None:
    """Make all rows, and keep none: what writes them does so, too."""
    for _ in layers.rows():
        pass


def _joint_of(preset: Preset) -> Joint:
    return [stage for stage in preset.stages if isinstance(stage, Joint)][-1]


def _photo(side: int, seed: int) -> np.ndarray:
    """Something to look at, linear [2/3 side, side, 3]: smooth light on stripes and grain."""
    rng = np.random.default_rng(seed)
    height = side * 2 // 3
    down, across = np.mgrid[0:height, 0:side].astype(np.float32) / side
    light = np.exp(-3.0 * ((down - 0.2) ** 2 + (across - 0.4) ** 2))
    paint = 0.35 + 0.2 * np.sin(40.0 * across + 5.0 * np.sin(9.0 * down))
    grain = rng.random((height, side), dtype=np.float32) * 0.1 + 0.95
    return ((light * paint * grain)[..., None] * np.array([1.0, 0.8, 0.6], np.float32)).astype(np.float32)


def _until_hello() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "join_engine", "serve"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        while process.stdout.read(1) not in (b"\0", b""):
            pass
        process.kill()


def _meaned(points: Mapping[str, Mapping[str, Sequence[Mapping[str, float]]]]) -> dict[str, Any]:
    return {
        way: [
            {"name": name, **{key: float(np.mean([row[key] for row in rows])) for key in rows[0]}}
            for name, rows in named.items()
        ]
        for way, named in points.items()
    }


def machine() -> dict[str, Any]:
    """What ran it, and what else did."""
    load = os.getloadavg() if hasattr(os, "getloadavg") else ()
    return {
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU",
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "load": [round(value, 2) for value in load],
    }


def format_table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown."""
    cells = []
    for name, row in rows.items():
        if "missing" in row:
            cells.append([name, "", "", row["missing"]])
            continue
        between = "" if row["interval"] is None else " ({:.2f} to {:.2f})".format(*row["interval"])
        cells.append([name, _time(row["plain"]), _time(row["ours"]), f"{row['ratio']:.2f}{between}"])
    return "\n".join([*markdown(("", "plain loop", "ours", "ratio, 95 % interval"), cells), ""])


def format_curves(title: str, curves: Mapping[str, Any]) -> str:
    """Markdown."""
    keys = [key for key in curves["ours"][0] if key not in ("name", "seconds")]
    cells = [
        [word.format(point["name"]), f"{point['seconds']:.2f}", *(_scored(key, point[key]) for key in keys)]
        for way, word in (("plain", "plain loop, {} steps"), ("ours", "{}"))
        for point in curves[way]
    ]
    head = [title, "seconds", *(key if key == _CORRELATION else f"{key}, dB" for key in keys)]
    return "\n".join([*markdown(head, cells), ""])


def _scored(key: str, value: float) -> str:
    return f"{value:.3f}" if key == _CORRELATION else f"{value:.2f}"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1.0 else f"{1e3 * seconds:.1f} ms"


_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 720, 420, 70, 34, 46
_HUES = {"plain": (150, 150, 150), "ours": (40, 110, 180)}


def write_plot(path: Path, title: str, curves: Mapping[str, Any], key: str) -> None:
    """Draw quality (``key``, in dB) against seconds (logarithmic). Raises JoinError ``output_unwritable``."""
    from PIL import Image, ImageDraw, ImageFont

    picture = Image.new("RGB", (_WIDTH, _HEIGHT), (250, 250, 250))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(size=14)
    points = [point for way in _HUES for point in curves[way]]
    low_x, high_x = (math.log(f(point["seconds"] for point in points)) for f in (min, max))
    low_y, high_y = (f(point[key] for point in points) for f in (min, max))
    low_x, high_x, low_y, high_y = low_x - 0.2, high_x + 0.2, low_y - 0.5, high_y + 0.5

    def place(point: Mapping[str, float]) -> tuple[float, float]:
        x = (math.log(point["seconds"]) - low_x) / (high_x - low_x)
        y = (point[key] - low_y) / (high_y - low_y)
        return _LEFT + x * (_WIDTH - _LEFT - 20), _HEIGHT - _BOTTOM - y * (_HEIGHT - _BOTTOM - _TOP)

    draw.text((_LEFT, 9), title, fill=(20, 20, 20), font=font)
    for level in range(math.ceil(low_y), math.floor(high_y) + 1):
        _, y = place({"seconds": math.exp(low_x), key: level})
        draw.line([_LEFT, y, _WIDTH - 20, y], fill=(225, 225, 225))
        draw.text((12, y - 9), f"{level} dB", fill=(90, 90, 90), font=font)
    for seconds in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100):
        if low_x <= math.log(seconds) <= high_x:
            x, _ = place({"seconds": seconds, key: low_y})
            draw.line([x, _TOP, x, _HEIGHT - _BOTTOM], fill=(225, 225, 225))
            draw.text((x - 12, _HEIGHT - _BOTTOM + 6), f"{seconds:g} s", fill=(90, 90, 90), font=font)
    for way, colour in _HUES.items():
        line = [place(point) for point in sorted(curves[way], key=lambda point: point["seconds"])]
        draw.line([value for spot in line for value in spot], fill=colour, width=3)
        for point in curves[way]:
            x, y = place(point)
            draw.ellipse([x - 4, y - 4, x + 4, y + 4], fill=colour)
            label = f"{point['name']} steps" if way == "plain" else point["name"]
            draw.text((min(x + 6, _WIDTH - 62), y - 18), label, fill=colour, font=font)
    draw.text((_LEFT, _HEIGHT - 22), "grey: plain loop; blue: ours", fill=(20, 20, 20), font=font)
    write_atomically(path, lambda temporary: picture.save(temporary, format="PNG"))
