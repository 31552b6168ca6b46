# SPDX-License-Identifier: GPL-3.0-or-later
"""How much the albedo of a sequence flickers, frame by frame and as decompose-sequence makes it.

--data is a folder that `dataset_tools/render.py relit` has written: of each scene and moved light a sequence is made in
which the one fades into the other and back, which is exact in linear light, a piece of another scene passes through the
picture, and a camera adds its noise and eight bits. So the albedo of every frame is known. Flicker is the mean absolute
difference of the sRGB-encoded albedos of two frames in a row, where nothing passes in either; the true one's is 0.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...bank import Bank
from ...color import srgb_decode, srgb_encode
from ...images.files import write_text
from ...images.metrics import mse, psnr
from ...inversion.codebook import CodeBook
from ...inversion.presets import Preset, get_preset
from ...layers.steady import Steady
from ...layers.together import Photo
from ...options import add_inversion_options, as_json, load_bank_named, positive, say
from ...pipeline import decompose
from ...renders.relit import RelitScenes, read_relit
from ..camera import metered
from ..tables import interval, markdown

ALONE, FOLLOWED = "frame by frame", "followed"
_FADES = 2  # there and back, in a sequence
_PIECE = 4  # a piece's side is that part of the picture's
_READ_NOISE, _SHOT_NOISE = 0.004, 0.015  # of linear light 1, as a camera in a room has them


@dataclass(frozen=True)
class Frame:
    """One frame: linear [H, W, 3] as the camera has it, its true albedo, and where something passes, [H, W]."""

    image: np.ndarray
    albedo: np.ndarray
    passing: np.ndarray


def frames_of(
    bank: Bank,
    first: Mapping[str, np.ndarray],
    second: Mapping[str, np.ndarray],
    other: Mapping[str, np.ndarray],
    count: int,
    seed: int = 0,
) -> list[Frame]:
    """A sequence of one scene under two lights.

    Args:
        first, second: linear components [H, W, 3]; of the second the albedo is not used.
        other: of the scene that a piece of passes through.
    """
    rng = np.random.default_rng(seed)
    _, exposure = metered(bank, first)
    height, width = first["albedo"].shape[:2]
    side, frames = max(2, height // _PIECE), []
    for number in range(count):
        share = 0.5 - 0.5 * np.cos(2.0 * np.pi * _FADES * number / count)
        parts = {
            name: layer if name == "albedo" else (1.0 - share) * layer + share * second[name]
            for name, layer in first.items()
        }
        passing = np.zeros((height, width), bool)
        left = round((width + 2 * side) * (number / count - 0.25) * 2.0) - side  # in the middle half of the sequence
        low = (height - side) // 2
        passing[low : low + side, max(left, 0) : max(left + side, 0)] = True
        albedo = np.where(passing[..., None], np.roll(other["albedo"], left, axis=1), parts["albedo"])
        parts |= {"albedo": albedo.astype(np.float32)}
        light = np.asarray(bank.forward_model.compose(parts)) * exposure
        noise = rng.standard_normal(light.shape) * np.sqrt(_READ_NOISE**2 + _SHOT_NOISE**2 * light.clip(0.0, None))
        encoded = np.round(np.asarray(srgb_encode((light + noise).clip(0.0, 1.0))) * 255.0) / 255.0
        frames.append(Frame(np.asarray(srgb_decode(encoded), np.float32), parts["albedo"], passing))
    return frames


def measure(
    bank: Bank,
    scenes: RelitScenes,
    preset: Preset,
    count: int,
    frames: int,
    seed: int = 0,
) -> list[dict[str, dict[str, float]]]:
    """Of the first ``count`` pairs of a scene and a moved light, both ways: ``flicker``; ``static`` and ``passing``,
    the albedo's PSNR in dB where nothing passes and where something does, times the factor that suits the first best
    over the whole sequence. Raises JoinError as :func:`join_engine.pipeline.decompose`."""
    codebook, rows = CodeBook(bank), []
    pairs = [(index, move.views[index]) for move in scenes.moves for index in move.views if index in scenes.originals]
    names = list(scenes.originals)
    for number, (index, moved) in enumerate(pairs[:count]):
        other = scenes.originals[names[(names.index(index) + 1) % len(names)]]
        first = {name: scenes.originals[index].components[name] for name in bank.forward_model.components}
        made = frames_of(bank, first, moved.components, other.components, frames, seed + number)
        steady, albedos = Steady(), {ALONE: [], FOLLOWED: []}  # type: ignore[var-annotated]
        for frame in made:
            found = decompose(frame.image, bank, preset, seed, codebook=codebook)
            layers = dict(found.decomposition.layers)
            photo = Photo(frame.image, layers, found.error, np.ones(frame.passing.shape, np.float32))
            albedos[ALONE].append(layers["albedo"])
            albedos[FOLLOWED].append(steady.follow(photo)["albedo"])
        rows.append({way: _figures(each, made) for way, each in albedos.items()})
        say(f"{number + 1} of {min(count, len(pairs))} sequences")
    return rows


def _figures(albedos: Sequence[np.ndarray], frames: Sequence[Frame]) -> dict[str, float]:
    """See :func:`measure`."""
    truth = [frame.albedo for frame in frames]
    told = sum(float((mine * true).sum()) for mine, true in zip(albedos, truth, strict=True))
    factor = told / max(sum(float(np.square(mine, dtype=np.float64).sum()) for mine in albedos), 1e-9)
    encoded = [np.asarray(srgb_encode((mine * factor).clip(0.0, 1.0))) for mine in albedos]
    wanted = [np.asarray(srgb_encode(true.clip(0.0, 1.0))) for true in truth]
    steps, static, passing = [], [], []
    for number, frame in enumerate(frames):
        still = ~frame.passing
        static.append(mse(encoded[number][still], wanted[number][still]))
        if frame.passing.any():
            passing.append(mse(encoded[number][frame.passing], wanted[number][frame.passing]))
        if number:
            still &= ~frames[number - 1].passing
            steps.append(float(np.abs(encoded[number] - encoded[number - 1])[still].mean()))
    return {
        "flicker": float(np.mean(steps)),
        "static": psnr(float(np.mean(static))),
        "passing": psnr(float(np.mean(passing))),
    }


def summary(rows: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, Any]:
    """Means and 95 % intervals over sequences, and of the ratio of flicker."""
    found: dict[str, Any] = {
        way: {name: interval([row[way][name] for row in rows]) for name in rows[0][way]} for way in (ALONE, FOLLOWED)
    }
    ratios = [row[FOLLOWED]["flicker"] / max(row[ALONE]["flicker"], 1e-12) for row in rows]
    return {**found, "ratio": interval(ratios), "sequences": len(rows)}


def format_table(rows: Sequence[Mapping[str, Mapping[str, float]]], frames: int) -> str:
    """Markdown."""
    told = summary(rows)
    headings = f"{len(rows)} sequences of {frames} frames", "flicker", "albedo, where nothing passes"
    means = ((way, {name: one["mean"] for name, one in told[way].items()}) for way in (ALONE, FOLLOWED))
    cells = [[way, f"{m['flicker']:.5f}", f"{m['static']:.2f} dB", f"{m['passing']:.2f} dB"] for way, m in means]
    low, high = told["ratio"]["interval"]
    ratio = f"Flicker, followed by frame by frame: {told['ratio']['mean']:.3f} ({low:.3f} to {high:.3f})."
    return "\n".join([*markdown([*headings, "where something does"], cells), "", ratio, ""])


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, metavar="RELIT", help="folder of packs")
    parser.add_argument("--count", type=positive, default=4, help="sequences (default 4)")
    parser.add_argument("--frames", type=positive, default=100, help="of each (default 100)")
    parser.add_argument("--out", type=Path, metavar="FILE.json", help="the figures of every sequence")
    add_inversion_options(parser, "draft")


def run(options: argparse.Namespace) -> None:
    bank = load_bank_named(options)
    scenes = read_relit(options.data, bank.forward_model.components, options.count)
    preset = get_preset(options.preset)
    rows = measure(bank, scenes, preset, options.count, options.frames, options.seed)
    if options.out is not None:
        write_text(options.out, as_json(rows))
    print(format_table(rows, options.frames))
