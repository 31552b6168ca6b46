# SPDX-License-Identifier: GPL-3.0-or-later
"""What decomposing several photos together gains over one photo: on renders, and on registered photographs.

--renders are folders that `dataset_tools/render.py relit --lights N` has written; --photographs is a folder of
THING.0.jpg, THING.1.jpg …, photographs of one thing under other lights. --out gets together.json and together.md.

Of registered photographs nobody knows the albedo, but it is the same in all of them, and the median of many hides most
of their light. Four figures, of which a flat colour has some good ones and never all: how equal the albedos of disjoint
groups are, how near each is to the median of the photos that it was not made of, how the two correlate, and how much
smooth light is left in it. The median keeps what is common to all lights: where every flash stood over the middle, it
is brighter there (``falloff``). So the last two figures also come *detrended*: of what is left of both logarithms when
each has lost the quadratic polynomial of the place that fits it best.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Mapping, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from ...bank import Bank
from ...color import srgb_encode
from ...errors import JoinError
from ...images.alignment import Aligned
from ...images.between import blurred
from ...images.files import images_in, read_image
from ...images.metrics import best_scale, component_scores, image_psnr
from ...inversion.codebook import CodeBook
from ...inversion.presets import Preset, get_preset
from ...options import add_inversion_options, load_bank_named, positive, say
from ...pipeline import Outcome, decompose_batch, lay_over, put_together
from ...renders.samples import read_samples
from ..options import keep
from ..tables import interval, markdown, plus_minus

_ALL = 10**9
_DARK = 0.02  # of a picture whose mean is 1: the logarithm of what is darker is mostly noise
_LEVEL = 0.2  # mean of the albedos that are compared
_SMOOTH = 1 / 16  # of the height: standard deviation of what counts as smooth light
_OF_MEDIAN = ("reference", "correlation", "light left", "correlation, detrended", "light left, detrended")
FIGURES = ("consistency", *_OF_MEDIAN)
_TITLES = {"together": "{}", "alone": "one in the place of {}", "median": "no decomposition, median of {}"}


class Scene:
    """Photos of one thing, each decomposed once; any of them put together."""

    def __init__(self, photos: Sequence[np.ndarray], name: str, bank: Bank, preset: Preset, codebook: CodeBook) -> None:
        names = [f"{name} {number}" for number in range(1, len(photos) + 1)]
        self.refused = False
        try:
            self.photos, self._aligned = lay_over(photos, names)
        except JoinError as error:
            if error.code != "photos_differ":
                raise
            self.refused = True  # told in the table; they are registered anyhow
            whole = np.ones(photos[0].shape[:2], bool)
            self.photos, self._aligned = list(photos), [Aligned(photo, whole, (0.0, 0.0)) for photo in photos]
        self._found = decompose_batch(self.photos, bank, preset, codebook=codebook)

    def together(self, group: Sequence[int]) -> list[Outcome]:
        """The layers of some of the photos; of one alone what it gives by itself."""
        if len(group) == 1:
            return [self._found[group[0]]]
        photos, aligned = ([self.photos[index] for index in group], [self._aligned[index] for index in group])
        found = [self._found[index] for index in group]
        return put_together(photos, aligned, found)


def measure_renders(folder: Path, bank: Bank, preset: Preset, counts: Sequence[int]) -> dict[str, Any]:
    """PSNR in dB of packs ``light1.tar`` … of ``dataset_tools/render.py relit --lights``, whose photos are what of the
    renders lies below 1, in the domains of :mod:`join_engine.images.metrics`. Raises JoinError ``data_missing``,
    ``data_broken``. Returns for JSON: by the count of photos, component ("albedo, any brightness": times the factor
    that suits best) → mean and interval over the scenes."""
    components = bank.forward_model.components
    packs = sorted(folder.glob("light*.tar"))
    read = (read_samples(pack, components, _ALL) for pack in packs)
    lights = [{sample.name.rsplit("-", 1)[-1]: sample.components for sample in samples} for samples in read]
    if len(lights) < max(counts):
        hint = f"Render them with dataset_tools/render.py relit --lights {max(counts)}."
        raise JoinError("data_missing", f"'{folder}' does not hold {max(counts)} photos of each scene.", hint)
    codebook, rows, refused = CodeBook(bank), {count: [] for count in counts}, 0  # type: ignore[var-annotated]
    for number, name in enumerate(sorted(lights[0])):
        truths = [light[name] for light in lights]
        photos = [np.asarray(bank.forward_model.compose(truth)).clip(0.0, 1.0) for truth in truths]
        scene = Scene(photos, name, bank, preset, codebook)
        refused += scene.refused
        for count in counts:
            found = [_render_scores(scene, group, truths) for group in around(len(truths), count)]
            rows[count].append({key: float(np.mean([one[key] for one in found])) for key in found[0]})
        say(f"{number + 1} of {len(lights[0])} scenes")
    table = {count: {key: interval([row[key] for row in own]) for key in own[0]} for count, own in rows.items()}
    return {"scenes": len(lights[0]), "refused": refused, "photos": table}


def around(total: int, count: int) -> list[tuple[int, ...]]:
    """Groups of that many of all photos, in which each photo is as often as any other."""
    starts = range(total) if count < total else range(1)
    return [tuple((start + step) % total for step in range(count)) for start in starts]


def _render_scores(scene: Scene, group: Sequence[int], truths: Sequence[Mapping[str, np.ndarray]]) -> dict[str, float]:
    scores: dict[str, list[float]] = {}
    for index, outcome in zip(group, scene.together(group), strict=True):
        layers, truth = outcome.decomposition.layers, truths[index]
        for name, layer in layers.items():
            scores.setdefault(name, []).append(component_scores(name, layer, truth[name])["psnr"])
        free = _fitted(layers["albedo"], truth["albedo"])
        scores.setdefault("albedo, any brightness", []).append(
            component_scores("albedo", free, truth["albedo"])["psnr"]
        )
    return {name: float(np.mean(values)) for name, values in scores.items()}


def measure_photographs(folder: Path, bank: Bank, preset: Preset, counts: Sequence[int]) -> dict[str, Any]:
    """The figures of registered photographs ``THING.0.jpg``, ``THING.1.jpg`` … of one folder.

    Groups of a count are disjoint: as many as there are photos for, and a smaller one of the rest where there would be
    only one. The median that an albedo is compared with is of the photos that no group member is; one photo alone is
    compared with the same ones, and so is, without any decomposition, the median of a group: how near the medians of
    one thing are to each other tells how good a truth they are. Raises JoinError ``image_missing``; ``data_missing``
    for things with too few photos. Returns for JSON: by the count of photos, figure → median over the things, under
    "alone" that of the single photos of the same groups, under "median" that of the groups' medians; ``rows``: those
    of each thing; ``falloff``: the median over the things of the standard deviation of their medians' quadratic trend,
    and ``brighter inside``: in how many of them it falls off from the middle.
    """
    things: dict[str, list[Path]] = {}
    for path in images_in(folder).images:
        if match := re.fullmatch(r"(.+)\.\d+", path.stem):
            things.setdefault(match.group(1), []).append(path)
    if not things or min(map(len, things.values())) < max(counts) + 1:
        hint = "Name them THING.0.jpg, THING.1.jpg and so on."
        raise JoinError("data_missing", f"'{folder}' does not hold {max(counts) + 1} photos of each thing.", hint)
    codebook, rows, refused, trends = CodeBook(bank), {}, 0, []
    for number, (name, paths) in enumerate(things.items()):
        scene = Scene([read_image(path)[..., :3] for path in sorted(paths)], name, bank, preset, codebook)
        refused += scene.refused
        rows[name] = {count: figures_of(scene, count) for count in counts}
        trends.append(_trend(_logarithm(np.median([photo / photo.mean() for photo in scene.photos], axis=0))))
        say(f"{number + 1} of {len(things)} things")
    table = {
        count: {
            key: {figure: float(np.median([row[count][key][figure] for row in rows.values()])) for figure in FIGURES}
            for key in _TITLES
        }
        for count in counts
    }
    falloff = {
        "falloff": float(np.median([trend.std() for trend in trends])),
        "brighter inside": sum(bool(_falls_off(trend)) for trend in trends),
    }
    return {"things": len(things), "refused": refused, "photos": table, "rows": rows, **falloff}


def disjoint(total: int, count: int) -> list[tuple[int, ...]]:
    """Groups of ``count`` of all photos that share none, every so-manieth photo in one, so that each has light from all
    sides; the rest is a group of its own where there would be only one."""
    groups = total // count
    if groups < 2:
        order = (*range(0, total, 2), *range(1, total, 2))
        return [order[:count], order[count:]]
    return [tuple(range(first, groups * count, groups)) for first in range(groups)]


def figures_of(scene: Scene, count: int) -> dict[str, dict[str, float]]:
    """The figures of groups of that many photos, of each photo alone in their place, and of the groups' medians."""
    groups = disjoint(len(scene.photos), count)
    linear = [photo / photo.mean() for photo in scene.photos]
    made = [scene.together(group)[0].decomposition.layers["albedo"] for group in groups]
    alone = [scene.together([index])[0].decomposition.layers["albedo"] for index in range(len(scene.photos))]
    medians = [np.median([linear[index] for index in group], axis=0) for group in groups]
    found: dict[str, dict[str, list[float]]] = {key: {figure: [] for figure in FIGURES} for key in _TITLES}
    for (one, first, third), (other, second, fourth) in combinations(zip(groups, made, medians, strict=True), 2):
        found["together"]["consistency"].append(likeness(first, second))
        found["median"]["consistency"].append(likeness(third, fourth))
        found["alone"]["consistency"].append(
            float(np.median([likeness(alone[i], alone[j]) for i in one for j in other]))
        )
    for group, albedo, own in zip(groups, made, medians, strict=True):
        rest = np.median([linear[index] for index in range(len(linear)) if index not in group], axis=0)
        for key, values in (("together", [albedo]), ("alone", [alone[index] for index in group]), ("median", [own])):
            told = np.array([against(value, rest) for value in values]).mean(axis=0)
            for figure, value in zip(_OF_MEDIAN, told, strict=True):
                found[key][figure].append(float(value))
    return {key: {figure: float(np.median(values)) for figure, values in own.items()} for key, own in found.items()}


def against(albedo: np.ndarray, median: np.ndarray) -> tuple[float, ...]:
    """:data:`_OF_MEDIAN`: PSNR at any brightness, correlation of the logarithms, and the spread of the smooth part of
    their difference; and the last two without trends."""
    mine, theirs = _logarithm(albedo), _logarithm(median)
    told = [_near(albedo, median)]
    for one, other in ((mine, theirs), (mine - _trend(mine), theirs - _trend(theirs))):
        told.append(float(np.corrcoef(one.ravel(), other.ravel())[0, 1]) if albedo.std() > 1e-6 else 0.0)
        told.append(float(blurred(one - other, _SMOOTH * len(one), "edge").std()))
    return tuple(told)


def _trend(values: np.ndarray) -> np.ndarray:
    """The quadratic polynomial of the place that is nearest to values, [H, W] both."""
    down, across = (np.linspace(-1.0, 1.0, size) for size in values.shape)
    y, x = np.meshgrid(down, across, indexing="ij")
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(-1, 6)
    return (terms @ np.linalg.lstsq(terms, values.ravel(), rcond=None)[0]).reshape(values.shape)


def _falls_off(trend: np.ndarray) -> bool:
    """Whether its middle is brighter than its corners."""
    corners = trend[[0, 0, -1, -1], [0, -1, 0, -1]]
    return float(trend[trend.shape[0] // 2, trend.shape[1] // 2]) > float(corners.mean())


def _logarithm(linear: np.ndarray) -> np.ndarray:
    return np.log(linear.mean(axis=2) / linear.mean() + _DARK)


def likeness(one: np.ndarray, other: np.ndarray) -> float:
    return (_near(one, other) + _near(other, one)) / 2.0


def _near(linear: np.ndarray, truth: np.ndarray) -> float:
    """PSNR in dB, sRGB-encoded, of the first, times the factor that suits best, to the second, at a mean of 0.2."""
    truth = truth * (_LEVEL / max(float(truth.mean()), 1e-9))
    return image_psnr(np.asarray(srgb_encode(_fitted(linear, truth))), np.asarray(srgb_encode(truth)))


def _fitted(linear: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Times the factor, over all channels, that brings it nearest to the truth."""
    return linear * np.float32(best_scale(linear, truth))


def format_renders(name: str, table: Mapping[str, Any]) -> str:
    """Markdown of :func:`measure_renders`."""
    columns = list(next(iter(table["photos"].values())))
    told = table["photos"].items()
    cells = ([_photos(count), *(plus_minus(scores[column]) for column in columns)] for count, scores in told)
    lines = markdown([f"{name}, {table['scenes']} scenes", *columns], cells)
    return "\n".join([*lines, "", f"Refused as not of one thing: {table['refused']} scenes.", ""])


def format_photographs(table: Mapping[str, Any]) -> str:
    """Markdown of :func:`measure_photographs`."""
    cells = []
    for count, both in table["photos"].items():
        for key, figures in both.items():
            if key != "alone" or int(count) > 1:
                cells.append([_TITLES[key].format(_photos(count)), *(_cell(name, figures[name]) for name in FIGURES)])
    lines = markdown([f"{table['things']} things", *FIGURES], cells)
    falloff = (
        f"The medians fall off from the middle in {table['brighter inside']} of them (spread {table['falloff']:.2f})."
    )
    return "\n".join([*lines, "", falloff, f"Refused as not of one thing: {table['refused']} things.", ""])


def _photos(count: int) -> str:
    return "1 photo" if int(count) == 1 else f"{count} photos"


def _cell(figure: str, value: float) -> str:
    return f"{value:.2f}" if figure in FIGURES[:2] else f"{value:.3f}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--renders", type=Path, nargs="+", default=[], metavar="RELIT", help="folders of packs")
    parser.add_argument("--photographs", type=Path, metavar="DIR", help="folder of registered photographs")
    parser.add_argument(
        "--counts", type=positive, nargs="+", default=[1, 2, 3, 5], metavar="N", help="photos (1 2 3 5)"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder")
    add_inversion_options(parser)


def run(options: argparse.Namespace) -> None:
    bank, preset = load_bank_named(options), get_preset(options.preset)
    tables, text = {}, ""
    for folder in options.renders:
        tables[folder.name] = measure_renders(folder, bank, preset, options.counts)
        text += format_renders(folder.name, tables[folder.name]) + "\n"
    if options.photographs is not None:
        tables["photographs"] = measure_photographs(options.photographs, bank, preset, options.counts)
        text += format_photographs(tables["photographs"])
    about = {"bank": {"name": bank.header.name, "sha256": bank.sha256}, "preset": preset.name, **tables}
    keep(options.out, "together", about, text)
