# SPDX-License-Identifier: GPL-3.0-or-later
"""How far a command that reads samples has come: a bar where tqdm is at hand, a line now and then where it is not."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_PAUSE = 5.0


@contextmanager
def steps(total: int, label: str) -> Iterator[Callable[[], None]]:
    """A function to call after each of ``total`` samples; writes to stderr."""
    try:
        from tqdm import tqdm  # type: ignore[import]
    except ImportError:
        yield _lines(total, label)
        return
    with tqdm(total=total, desc=label, unit="sample", mininterval=2.0, dynamic_ncols=True) as bar:
        yield lambda: bar.update(1) and None


def _lines(total: int, label: str) -> Callable[[], None]:
    done, said = 0, time.monotonic()

    def advance() -> None:
        nonlocal done, said
        done += 1
        if time.monotonic() - said > _PAUSE or done == total:
            said = time.monotonic()
            print(f"{label}: {done} of {total}", file=sys.stderr, flush=True)

    return advance
