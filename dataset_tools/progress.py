# SPDX-License-Identifier: GPL-3.0-or-later
"""How far it has come: of a run that renders, a bar for people or JSON lines for machines, over all workers together;
of a command that reads samples, a bar.

``--progress json`` writes an object a line to stdout, each with ``event`` and, except ``trouble``, ``done``, ``total``,
``rate`` (samples a second over the last 200, null at first) and ``seconds_left`` (null at first):

    start       workers, blender, device (cpu, optix …), name (the device's own)
    sample      worker, index, seconds, sampling_seconds …, resident (bytes of memory of its worker, or null)
    shard       shard (its file's stem), bytes
    trouble     text: a worker was lost and its shard begins again
    quarantine  index, reason
    end         seconds, samples_per_hour, sampling_share (of the workers' wall time, or null), quarantined"""

from __future__ import annotations

import json
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dataset_tools.storage.shards import Shard

# Samples that the rate is of, and seconds between two lines where there is no bar.
_WINDOW = 200
_PAUSE = 5.0


def _tqdm() -> Any:
    try:
        from tqdm import tqdm  # type: ignore[import]
    except ImportError:
        return None
    return tqdm


class Reporter:
    """Counts, and says nothing; what is said is a subclass's matter."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._times: deque[float] = deque(maxlen=_WINDOW)
        self._done: set[int] = set()
        self._sampling = 0.0
        self._knows_sampling = False
        self.quarantined = 0
        self.total = 0
        self.workers = 1

    def start(self, total: int, workers: int, hello: dict[str, Any]) -> None:
        """``total`` samples are to be rendered by ``workers`` processes like the one that said hello."""
        self.total, self.workers = total, workers
        self._times.append(time.monotonic())

    def sample(self, worker: int, message: dict[str, Any]) -> None:
        """A sample is rendered; one that is rendered again after a failure counts once."""
        self._times.append(time.monotonic())
        self._done.add(message["index"])
        if "sampling_seconds" in message:
            self._knows_sampling = True
            self._sampling += message["sampling_seconds"]

    def shard(self, shard: Shard, size: int) -> None:
        """A shard is finished."""

    def trouble(self, text: str) -> None:
        """A worker was lost."""

    def quarantine(self, index: int, reason: str) -> None:
        """A sample is left out."""
        self.quarantined += 1
        self.total -= 1

    def end(self) -> None:
        """All is done."""

    def close(self) -> None:
        """The run ends, well or not."""

    @property
    def done(self) -> int:
        """Samples rendered by this run."""
        return len(self._done)

    @property
    def rate(self) -> float | None:
        """Samples a second, lately."""
        if len(self._times) < 2 or self._times[-1] <= self._times[0]:
            return None
        return (len(self._times) - 1) / (self._times[-1] - self._times[0])

    def counts(self) -> dict[str, Any]:
        """What every event carries."""
        rate = self.rate
        left = None if rate is None else round((self.total - self.done) / rate, 1)
        return {"done": self.done, "total": self.total, "rate": rate and round(rate, 4), "seconds_left": left}

    def summary(self) -> dict[str, Any]:
        """Of the whole run, workers' starts included."""
        seconds = time.monotonic() - self._began
        share = self._sampling / (seconds * self.workers) if self._knows_sampling else None
        return {
            "seconds": round(seconds, 1),
            "samples_per_hour": round(3600.0 * self.done / seconds),
            "sampling_share": None if share is None else round(share, 3),
            "quarantined": self.quarantined,
        }


class JsonLines(Reporter):
    """Events on stdout."""

    def _print(self, event: str, **fields: Any) -> None:
        print(json.dumps({"event": event, **fields}), flush=True)

    def start(self, total: int, workers: int, hello: dict[str, Any]) -> None:
        super().start(total, workers, hello)
        about = {name: hello[name] for name in ("blender", "device", "name")}
        self._print("start", workers=workers, **about, **self.counts())

    def sample(self, worker: int, message: dict[str, Any]) -> None:
        super().sample(worker, message)
        self._print(**{"worker": worker, **message, "event": "sample"}, **self.counts())

    def shard(self, shard: Shard, size: int) -> None:
        self._print("shard", shard=shard.stem, bytes=size, **self.counts())

    def trouble(self, text: str) -> None:
        self._print("trouble", text=text)

    def quarantine(self, index: int, reason: str) -> None:
        super().quarantine(index, reason)
        self._print("quarantine", index=index, reason=reason, **self.counts())

    def end(self) -> None:
        self._print("end", **self.counts(), **self.summary())


class Bar(Reporter):
    """A bar on stderr where tqdm is at hand, a line now and then where it is not."""

    def __init__(self) -> None:
        super().__init__()
        self._bar: Any = None
        self._said = self._began

    def start(self, total: int, workers: int, hello: dict[str, Any]) -> None:
        super().start(total, workers, hello)
        self._say(f"Blender {hello['blender']}, {hello['name']}, {total} samples to render, workers: {workers}")
        tqdm = _tqdm()
        if total and tqdm is not None:
            self._bar = tqdm(total=total, unit="sample", mininterval=2.0, dynamic_ncols=True)

    def _say(self, text: str) -> None:
        if self._bar is None:
            print(text, file=sys.stderr, flush=True)
        else:
            self._bar.write(text, file=sys.stderr)

    def sample(self, worker: int, message: dict[str, Any]) -> None:
        before = self.done
        super().sample(worker, message)
        if self._bar is not None:
            self._bar.update(self.done - before)
        elif time.monotonic() - self._said > 10.0:
            self._said = time.monotonic()
            counts = self.counts()
            left = f", {counts['seconds_left'] / 60.0:.0f} minutes left" if counts["seconds_left"] is not None else ""
            self._say(f"{counts['done']} of {counts['total']} samples, {counts['rate'] or 0.0:.2f} a second{left}")

    def trouble(self, text: str) -> None:
        self._say(f"{text}\nIts shard is begun again.")

    def quarantine(self, index: int, reason: str) -> None:
        super().quarantine(index, reason)
        self._say(f"Sample {index} is left out (quarantine.jsonl): {reason}")
        if self._bar is not None:
            self._bar.total = self.total

    def end(self) -> None:
        self.close()
        if not self.total:
            return
        summary = self.summary()
        share = summary["sampling_share"]
        inside = "" if share is None else f", {share:.0%} of the workers' time inside Cycles' sampling"
        self._say(
            f"{self.done} samples in {summary['seconds']:.0f} s: {summary['samples_per_hour']} samples per hour{inside}"
        )

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


@contextmanager
def steps(total: int, label: str) -> Iterator[Callable[[], None]]:
    """A function to call after each of ``total`` samples; writes to stderr."""
    tqdm = _tqdm()
    if tqdm is None:
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
