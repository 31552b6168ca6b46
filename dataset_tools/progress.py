# SPDX-License-Identifier: GPL-3.0-or-later
"""A progress bar where tqdm is at hand, a line now and then where it is not."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def progress(total: int, label: str, row: int = 0) -> Iterator[Callable[[], None]]:
    """A function to call after each of ``total`` steps; writes to stderr, in line ``row`` of several bars."""
    try:
        from tqdm import tqdm  # type: ignore[import]
    except ImportError:
        yield _lines(total, label)
        return
    with tqdm(total=total, desc=label, unit="sample", mininterval=2.0, position=row) as bar:
        yield lambda: bar.update(1) and None


def _lines(total: int, label: str) -> Callable[[], None]:
    done = 0

    def advance() -> None:
        nonlocal done
        done += 1
        if done % 50 == 0 or done == total:
            print(f"{label}: {done} of {total}", file=sys.stderr, flush=True)

    return advance
