# SPDX-License-Identifier: GPL-3.0-or-later
"""From (seed, index) to random numbers: every sample owns its stream, so it is the same alone or in any batch."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

import numpy as np

SPLITS = ("train", "val", "test")
# Shares of validation and test scenes, in hundredths; the rest is for training.
_VAL_SHARE = 5
_TEST_SHARE = 5


def generator(seed: int, index: int, attempt: int = 0) -> np.random.Generator:
    """The random stream that describes sample ``index`` of dataset seed ``seed``; a new one for every attempt."""
    key = [seed, index, 2, attempt] if attempt else [seed, index]
    return np.random.default_rng(np.random.SeedSequence(key))


def noise_seed(seed: int, index: int) -> int:
    """Seed of the renderer's own sampling noise: another stream than the description's, 31 bits as Cycles wants."""
    return int(np.random.SeedSequence([seed, index, 1]).generate_state(1)[0] & 0x7FFFFFFF)


def split(seed: int, index: int) -> str:
    """The split of a scene: a hash, so that it depends neither on the count nor on the order of rendering."""
    digest = hashlib.sha256(f"split {seed} {index}".encode()).digest()
    hundredth = int.from_bytes(digest[:8], "big") % 100
    if hundredth < _TEST_SHARE:
        return "test"
    return "val" if hundredth < _TEST_SHARE + _VAL_SHARE else "train"


def parts(names: Collection[str], share: float) -> dict[str, list[str]]:
    """Names by split. They are ordered by a hash and cut: so much for test, as much for val, the rest for train, and at
    least one in each."""
    ordered = sorted(names, key=lambda name: hashlib.sha256(name.encode()).hexdigest())
    few = max(1, round(share * len(ordered)))
    return {"test": ordered[:few], "val": ordered[few : 2 * few], "train": ordered[2 * few :]}
