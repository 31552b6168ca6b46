# SPDX-License-Identifier: GPL-3.0-or-later
"""What is in a dataset, in numbers: values of the components, highlights, materials, lights, errors and time.

Pixels and descriptions come from a random part of the samples, one at a time; what the manifest knows, from all.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from dataset_tools.errors import UserError
from dataset_tools.inspection import photos
from dataset_tools.inspection.preview import draw_entries
from dataset_tools.packs.exports import ALL_SPLITS, choose
from dataset_tools.progress import steps
from dataset_tools.storage import contents, layers, passes, shards
from join_engine.color import COMPONENT_TRANSFORMS, LUMINANCE_WEIGHTS
from join_engine.components import COMPONENTS

# A pixel counts as a highlight where the specular layer's linear luminance is above this: a quarter of what white
# paper gives under a shading of 0.8, clearly to be seen on any albedo.
HIGHLIGHT = 0.2
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
BARS = 32
_FINE = 4096
_LIGHT_FACTS = ("azimuth", "elevation", "distance", "size", "intensity")


@dataclass
class Values:
    """Counts of a component's tone-mapped values: fine enough for percentiles, of one size for any set."""

    name: str
    counts: np.ndarray = field(default_factory=lambda: np.zeros(_FINE, np.int64))

    def add(self, linear: np.ndarray) -> None:
        """Count all values of an array; any shape, linear."""
        encoded = COMPONENT_TRANSFORMS[COMPONENTS[self.name].transform].encode(linear).clip(0.0, 1.0)
        numbers = np.minimum((encoded * _FINE).astype(np.int64), _FINE - 1).ravel()
        self.counts += np.bincount(numbers, minlength=_FINE)

    def summary(self) -> dict[str, Any]:
        """Shares in equal steps of the tone-mapped value, and linear percentiles (to 1/4096 of the tone map)."""
        total = max(1, int(self.counts.sum()))
        reached = np.cumsum(self.counts) / total
        numbers = np.searchsorted(reached, np.array(PERCENTILES) / 100.0)
        # The middle of a step, but zero for the lowest, where most values are just that.
        middles = np.where(numbers == 0, 0.0, (numbers + 0.5) / _FINE)
        linear = COMPONENT_TRANSFORMS[COMPONENTS[self.name].transform].decode(middles)
        bars = self.counts.reshape(BARS, -1).sum(axis=1) / total
        return {
            "curve": COMPONENTS[self.name].transform,
            "tone_mapped_shares": [round(float(share), 6) for share in bars],
            "linear_percentiles": {str(p): _digits(v) for p, v in zip(PERCENTILES, linear, strict=True)},
        }


def measure(
    folder: Path, count: int = 1000, split: str = ALL_SPLITS, seed: int = 0, photo_folders: Sequence[Path] = ()
) -> dict[str, Any]:
    """Statistics as JSON data, the pixels' from ``count`` random samples. Raises UserError where there are none.

    With ``photo_folders``, ``photos`` compares the samples' images with those pictures
    (:func:`dataset_tools.inspection.photos.compare`). The background of cut-outs counts nowhere, and they are not
    compared.
    """
    header = shards.read_header(folder)
    pictures = photos.load(photo_folders, header["resolution"])
    entries = choose(shards.entries(folder), split)
    if not entries:
        raise UserError(f"{folder} has no finished '{split}' samples yet: wait for more shards or render more.")
    chosen = draw_entries(entries, count, seed)
    values = {name: Values(name) for name in passes.COMPONENTS}
    highlights, valid, metals, stories, images, glossy = [], [], [], [], [], []
    with steps(len(chosen), "stats") as advance:
        for _, found, stored in layers.load(folder, chosen, layers.NAMES):
            shows = found[layers.ALPHA][..., 0] > 0.5
            for name in passes.COMPONENTS:
                values[name].add(found[name][shows])
            highlights.append(float(np.mean(found["specular"][shows] @ np.array(LUMINANCE_WEIGHTS) > HIGHLIGHT)))
            valid.append(float(found[layers.MASK][shows].mean()))
            if pictures and np.all(shows):
                glossy.append(highlights[-1])
                images.append(photos.measures(layers.as_bytes(layers.IMAGE, found[layers.IMAGE])))
            metals += contents.metals(stored)
            stories.append(stored)
            advance()
    shown = {name: photos.measures(picture) for name, picture in pictures.items()}
    return {
        "dataset": header["dataset"],
        "samples": len(entries),
        "measured": len(chosen),
        "splits": dict(sorted(Counter(str(entry["split"]) for entry in entries).items())),
        "components": {name: found.summary() for name, found in values.items()},
        "highlight_share": {"above_luminance": HIGHLIGHT, **_spread(highlights)},
        "invalid_share": _spread([1.0 - share for share in valid]),
        "metal_share": _digits(float(np.mean(metals))) if metals else None,
        **({"photos": photos.compare(images, shown, glossy)} if images and shown else {}),
        "families": _counts(name for stored in stories for name in contents.families(stored)),
        "shapes": _counts(name for stored in stories for name in contents.shapes(stored)),
        "tones": _counts(name for stored in stories for name in contents.tones(stored)),
        "lightings": _counts(kind for stored in stories for kind in contents.lightings(stored)),
        "cutouts": sum(bool(stored.get("scene", {}).get("cutout")) for stored in stories),
        "lights": _lights(stories),
        "identity_error": _spread_of(entries, "identity_error"),
        "identity_error_half": _spread_of(entries, "identity_error_half"),
        "seconds": _spread_of(entries, "seconds"),
        "redraws": {
            "samples": sum(bool(entry.get("rejected")) for entry in entries),
            "reasons": _counts(str(reason) for entry in entries for reason in entry.get("rejected", ())),
        },
    }


def _lights(stories: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Number of lights a sample, the spread of each fact, and positions (azimuth, elevation) for a plot."""
    found = [contents.lights(stored) for stored in stories]
    lights = [light for group in found for light in group]
    return {
        "per_sample": _counts(str(len(group)) for group in found if group),
        **{fact: _spread([light[fact] for light in lights if fact in light]) for fact in _LIGHT_FACTS},
        "positions": [[round(light["azimuth"], 1), round(light["elevation"], 1)] for light in lights],
    }


def _spread_of(entries: Iterable[Mapping[str, Any]], key: str) -> dict[str, float]:
    return _spread([entry[key] for entry in entries if entry.get(key) is not None])


def _spread(values: Sequence[float]) -> dict[str, float]:
    """Mean, extremes and quartiles; {} of nothing."""
    if not len(values):
        return {}
    low, first, median, third, high = np.percentile(values, (0, 25, 50, 75, 100))
    named = {"mean": np.mean(values), "min": low, "p25": first, "median": median, "p75": third, "max": high}
    return {name: _digits(float(value)) for name, value in named.items()}


def _digits(value: float) -> float:
    """Four significant digits: more would pretend."""
    return float(f"{value:.4g}")


def _counts(names: Iterable[str]) -> dict[str, int]:
    """The most frequent first."""
    return dict(sorted(Counter(names).items(), key=lambda item: (-item[1], item[0])))
