# SPDX-License-Identifier: GPL-3.0-or-later
"""Scores on held-out samples with ground truth, beside the trivial baselines (the form of JoIN's Tables 1 to 3)."""

from __future__ import annotations

import io
import tarfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..bank import Bank
from ..color import srgb_encode
from ..detail import add_detail, supports
from ..errors import JoinError
from ..fitting import Frame
from ..inversion import Monitor, Progress, invert
from ..inversion.state import CodeBook
from ..presets import EncoderStart, Joint, MeanStart, Preset
from .baselines import BASELINES
from .metrics import component_scores

Components = Mapping[str, np.ndarray]
OURS = "JoIN"
ENCODER = "encoder"
MEAN_CODE = "mean code"
_BOOTSTRAPS = 10_000


def read_samples(path: Path, components: Sequence[str], count: int) -> list[dict[str, np.ndarray]]:
    """The first ``count`` samples, by name, of a tar with ``{index:08d}.{component}.npy``: float, linear [H, W, 3].

    Raises:
        JoinError: ``data_missing``, ``data_broken`` (no such tar, or no complete sample in it).
    """
    if not path.is_file():
        raise JoinError(
            "data_missing", f"There is no set of samples '{path}'.", "Render one with dataset_tools/render.py."
        )
    samples: dict[str, dict[str, np.ndarray]] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                index, _, rest = Path(member.name).name.partition(".")
                component = rest.removesuffix(".npy")
                file = archive.extractfile(member)
                if file is not None and component in components and rest.endswith(".npy"):
                    pixels = np.load(io.BytesIO(file.read()), allow_pickle=False)
                    samples.setdefault(index, {})[component] = np.asarray(pixels, np.float32)
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise JoinError("data_broken", f"'{path}' cannot be read as a tar of samples ({error}).") from error
    complete = [samples[index] for index in sorted(samples) if len(samples[index]) == len(components)]
    if not complete:
        raise JoinError("data_broken", f"'{path}' holds no sample with all of {', '.join(components)}.")
    return complete[:count]


def evaluate(
    bank: Bank,
    samples: Sequence[Components],
    preset: Preset,
    seed: int = 0,
    batch: int = 10,
    monitor: Monitor | None = None,
) -> dict[str, Any]:
    """Invert the image of every sample, f(true components), and score all methods.

    Ground truth of another size than the bank's is resampled to it, component by component, in linear light; the image
    is composed of the resampled components (Eq. 5), so that the ground truth explains it exactly.

    Returns:
        A table for JSON: ``methods`` → method → component (and "image") → metric → ``mean`` and ``interval`` (95 %, of
        the mean, by bootstrap over the samples), and how it was made. "JoIN" are the generators' layers, as in the
        paper; "JoIN + detail" those of a preset that asks for detail (:mod:`join_engine.detail`). For a bank with
        encoders there are also "encoder", their codes without any optimisation, and "mean code", what they have to
        beat. A preset of starts alone is called after itself instead of "JoIN".
    """
    start = time.perf_counter()
    truths = [_at_resolution(sample, bank.header.resolution) for sample in samples]
    images = [np.asarray(bank.forward_model.compose(truth)) for truth in truths]
    ours = OURS if any(isinstance(stage, Joint) for stage in preset.stages) else preset.name
    estimates = {ours: _invert_all(bank, images, preset, seed, batch, monitor or Monitor())}
    if preset.detail is not None and supports(bank.forward_model.name):
        frame = Frame(bank.header.resolution, bank.header.resolution, bank.header.resolution)
        pairs = zip(images, estimates[ours], strict=True)
        estimates[f"{ours} + detail"] = [add_detail(preset.detail, image, layers, frame) for image, layers in pairs]
    seconds = time.perf_counter() - start
    if bank.has_encoders:
        for name, stage in ((ENCODER, EncoderStart()), (MEAN_CODE, MeanStart())):
            if name not in estimates:
                estimates[name] = _invert_all(bank, images, Preset(name, (stage,)), seed, batch, Monitor())
    for name, baseline in BASELINES.items():
        estimates[name] = [baseline(image) for image in images]
    methods = {name: _summarise(_score(bank, results, truths, images)) for name, results in estimates.items()}
    return {
        "bank": {"name": bank.header.name, "sha256": bank.sha256},
        "samples": len(samples),
        "resolution": bank.header.resolution,
        "settings": {**preset.to_json(), "seed": seed},
        "seconds_per_image": seconds / len(samples),
        "methods": methods,
    }


def invert_images(
    bank: Bank, images: Sequence[np.ndarray], preset: Preset, seed: int, monitor: Monitor, codebook: CodeBook
) -> list[dict[str, np.ndarray]]:
    """Linear images [R, R, 3] → linear components [R, R, 3] ≥ 0 of each, all inverted as one batch."""
    target = srgb_encode(torch.from_numpy(np.stack(images).transpose(0, 3, 1, 2).copy()))
    state = invert(bank, target, preset, seed, monitor, codebook)
    with torch.no_grad():
        layers = state.decode(state.synthesize())
    arrays = {name: layer.clip(0.0, None).permute(0, 2, 3, 1).cpu().numpy() for name, layer in layers.items()}
    return [{name: array[index] for name, array in arrays.items()} for index in range(len(images))]


def format_table(table: Mapping[str, Any]) -> str:
    """The table as Markdown: PSNR in dB and MSE, mean ± half the 95 % interval."""
    columns = list(next(iter(table["methods"].values())))
    head = ["method", *(f"{column} PSNR ↑" for column in columns), *(f"{column} MSE ↓" for column in columns)]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    for method, scores in table["methods"].items():
        cells = [method]
        for metric, form in (("psnr", "{:.2f} ± {:.2f}"), ("mse", "{:.4f} ± {:.4f}")):
            for column in columns:
                low, high = scores[column][metric]["interval"]
                cells.append(form.format(scores[column][metric]["mean"], (high - low) / 2))
        lines.append("| " + " | ".join(cells) + " |")
    about = (
        f"{table['samples']} samples at {table['resolution']} px, bank {table['bank']['name']}, "
        f"preset {table['settings']['preset']}, seed {table['settings']['seed']}, "
        f"{table['seconds_per_image']:.1f} s per image. Albedo and image sRGB-encoded, shading and "
        "specular through Reinhard, clipped to [0, 1]; mean ± half the 95 % interval of the mean."
    )
    return "\n".join([*lines, "", about, ""])


def _at_resolution(sample: Components, resolution: int) -> dict[str, np.ndarray]:
    resized = {}
    for name, pixels in sample.items():
        square = Frame(pixels.shape[0], pixels.shape[1], resolution).fit(np.asarray(pixels, np.float32))
        resized[name] = square[0].permute(1, 2, 0).numpy()
    return resized


def _invert_all(
    bank: Bank, images: Sequence[np.ndarray], preset: Preset, seed: int, batch: int, monitor: Monitor
) -> list[dict[str, np.ndarray]]:
    codebook = CodeBook(bank)
    batches = [images[first : first + batch] for first in range(0, len(images), batch)]
    results: list[dict[str, np.ndarray]] = []
    for index, part in enumerate(batches):
        results += invert_images(bank, part, preset, seed, _within(monitor, index, len(batches)), codebook)
    return results


def _within(monitor: Monitor, index: int, count: int) -> Monitor:
    """Reports the steps of batch ``index`` as part of all ``count`` batches."""

    def report(progress: Progress) -> None:
        step, of = index * progress.of + progress.step, count * progress.of
        monitor.on_progress(replace(progress, step=step, of=of))

    return replace(monitor, on_progress=report)


def _score(
    bank: Bank, results: Sequence[Components], truths: Sequence[Components], images: Sequence[np.ndarray]
) -> dict[str, dict[str, list[float]]]:
    """Component (and "image") → metric → value of each sample."""
    model = bank.forward_model
    scores: dict[str, dict[str, list[float]]] = {}
    for result, truth, image in zip(results, truths, images, strict=True):
        for name in (*model.components, "image"):
            mine = np.asarray(model.compose(result)) if name == "image" else result[name]
            for metric, value in component_scores(name, mine, image if name == "image" else truth[name]).items():
                scores.setdefault(name, {}).setdefault(metric, []).append(value)
    return scores


def _summarise(scores: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, Any]:
    return {
        name: {
            metric: {"mean": float(np.mean(values)), "interval": _interval(values)} for metric, values in each.items()
        }
        for name, each in scores.items()
    }


def _interval(values: Sequence[float]) -> list[float]:
    """95 % percentile-bootstrap interval of the mean; always the same for the same values."""
    rng = np.random.default_rng(0)
    drawn = rng.choice(np.asarray(values), size=(_BOOTSTRAPS, len(values)))
    return [float(bound) for bound in np.percentile(drawn.mean(axis=1), (2.5, 97.5))]
