# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a dataset cover what people photograph? The same measures of its images and of photos, side by side.

Both are the same kind of picture: square, 8-bit sRGB, of one size. Photos are cut to the square in their middle and
averaged down in linear light. All that is measured is in the picture itself, so that photos need no truth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dataset_tools import packages
from dataset_tools.errors import UserError
from dataset_tools.sources.textures import picture_files
from dataset_tools.storage.layers import to_bytes
from join_engine.color import LUMINANCE_WEIGHTS, srgb_decode, srgb_encode

MEASURES = {
    "brightness": "mean of the luminance as encoded in sRGB, 0…1",
    "clipping": "share of pixels with a channel at 250 or more of 255",
    "highlights": "share of pixels whose smallest channel is above 0.02 + 3 × the picture's median of it (linear): "
    "what is specular in it, or nearly white",
    "contrast": "standard deviation of the encoded luminance inside a 16th of the side, mean over the picture",
}
"""What is measured of a picture, and how."""
# The middle of the dataset that photos should lie in.
MIDDLE = 95.0
BARS = 24
_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")
# A highlight is light beside what the surface gives back: about as bright again, twice, in its darkest channel too. Of
# thirteen such rules this one goes best with the true share of highlights in renders (rank correlation 0.59 over 1000
# images of the materials dataset).
_TIMES, _ABOVE = 3.0, 0.02
_BLOCKS = 16
# JPEG and the average over a few pixels take some off the end of the scale.
_CLIPPED = 250


def measures(picture: np.ndarray) -> dict[str, float]:
    """MEASURES of a picture: uint8 [R, R, 3], sRGB; R is 16 or more."""
    linear = srgb_decode(picture.astype(np.float64) / 255.0)
    luminance = srgb_encode(linear @ np.array(LUMINANCE_WEIGHTS))
    smallest = linear.min(axis=-1)
    return {
        "brightness": float(luminance.mean()),
        "clipping": float(np.mean(picture.max(axis=-1) >= _CLIPPED)),
        "highlights": float(np.mean(smallest > _ABOVE + _TIMES * np.median(smallest))),
        "contrast": float(_blocks(luminance).std(axis=(1, 3)).mean()),
    }


def _blocks(values: np.ndarray) -> np.ndarray:
    """[R, R] → [16, R / 16, 16, R / 16], without the pixels that are left over."""
    size = len(values) // _BLOCKS
    whole = values[: size * _BLOCKS, : size * _BLOCKS]
    return whole.reshape(_BLOCKS, size, _BLOCKS, size)


def load(folders: Sequence[Path], resolution: int) -> dict[str, np.ndarray]:
    """Every picture of the folders by its name, uint8 [resolution, resolution, 3], sRGB.

    Raises UserError for folders without pictures, and for a picture that cannot be read or is smaller.
    """
    pictures = {}
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"There is no folder {folder}: name one that holds photos.")
        found = picture_files(folder.iterdir(), folder, _SUFFIXES)
        if not found:
            raise UserError(f"{folder} holds no photos: put some there as {', '.join(_SUFFIXES)}.")
        for path in found:
            pictures[path.name if path.name not in pictures else str(path)] = _read(path, resolution)
    return pictures


def _read(path: Path, resolution: int) -> np.ndarray:
    pillow = packages.load_pillow()
    try:
        with pillow.open(path) as opened:
            picture = np.asarray(opened.convert("RGB"))
    except (OSError, ValueError, SyntaxError, pillow.DecompressionBombError) as error:
        raise UserError(f"{path} cannot be read ({error}): put it right or take it out.") from None
    height, width = picture.shape[:2]
    side = min(height, width)
    if side < resolution:
        raise UserError(
            f"{path} has {width} × {height} pixels, and the dataset's images {resolution} a side: take larger photos."
        )
    top, left = (height - side) // 2, (width - side) // 2
    linear = srgb_decode(picture[top : top + side, left : left + side] / np.float32(255.0)).astype(np.float32)
    size = (resolution, resolution)
    averaged = [np.asarray(pillow.fromarray(linear[..., c]).resize(size, pillow.Resampling.BOX)) for c in range(3)]
    return to_bytes(srgb_encode(np.stack(averaged, axis=-1)))


def compare(
    images: Sequence[Mapping[str, float]], photos: Mapping[str, Mapping[str, float]], truth: Sequence[float]
) -> dict[str, Any]:
    """Per measure: histogram and middle of the dataset's ``images``, the photos' values, which of them lie outside.

    ``truth`` is the true share of highlights of each image; how the measure of that name ranks the images beside it is
    told as ``rank_correlation``.
    """
    compared: dict[str, Any] = {}
    for name, how in MEASURES.items():
        own = np.array([image[name] for image in images])
        theirs = {photo: round(found[name], 4) for photo, found in photos.items()}
        low, median, high = (float(v) for v in np.percentile(own, (50 - MIDDLE / 2, 50, 50 + MIDDLE / 2)))
        top = max(float(own.max()), *theirs.values(), 1e-6)
        compared[name] = {
            "how": how,
            "low": round(low, 4),
            "median": round(median, 4),
            "high": round(high, 4),
            "top": top,
            "shares": _shares(own, top),
            "photo_shares": _shares(np.array(list(theirs.values())), top),
            "photos": theirs,
            # As rounded, so that the table shows what was compared.
            "below": sorted(photo for photo, value in theirs.items() if value < round(low, 4)),
            "above": sorted(photo for photo, value in theirs.items() if value > round(high, 4)),
        }
        outside = len(compared[name]["below"]) + len(compared[name]["above"])
        compared[name]["within"] = round(1.0 - outside / len(theirs), 4)
    found = np.array([image["highlights"] for image in images])
    compared["highlights"]["rank_correlation"] = _rank_correlation(found, np.array(truth))
    return compared


def _shares(values: np.ndarray, top: float) -> list[float]:
    counts, _ = np.histogram(values, bins=BARS, range=(0.0, top))
    return [round(float(share), 5) for share in counts / len(values)]


def _rank_correlation(a: np.ndarray, b: np.ndarray) -> float | None:
    """Spearman's, equal values sharing their mean rank; None where one does not vary."""
    ranks = []
    for values in (a, b):
        _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
        ranks.append((np.cumsum(counts) - 0.5 * counts)[inverse])
    if min(rank.std() for rank in ranks) == 0.0:
        return None
    return round(float(np.corrcoef(ranks[0], ranks[1])[0, 1]), 3)
