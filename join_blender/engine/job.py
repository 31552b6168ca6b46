# SPDX-License-Identifier: GPL-3.0-or-later
"""The life of one job, as a state machine that neither reads nor writes nor sleeps.

WAITING (for the engine's hello) → SENT → RUNNING → FINISHED, or FAILED, or by way of STOPPING → CANCELLED.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from . import protocol
from .failure import Failure
from .process import DIED
from .protocol import Message


class Phase(Enum):
    """Where a job is in its life."""

    WAITING = auto()
    SENT = auto()
    RUNNING = auto()
    STOPPING = auto()
    FINISHED = auto()
    CANCELLED = auto()
    FAILED = auto()


_DONE = (Phase.FINISHED, Phase.CANCELLED, Phase.FAILED)


@dataclass(frozen=True)
class Progress:
    """How far the engine says that it is."""

    stage: str
    step: int
    of: int
    seconds_left: float | None = None
    """Of the whole job, where the engine knows; else of the stage."""
    loss: float | None = None
    whole: float | None = None
    """The part of the whole job that is done, 0 to 1, where the engine knows."""

    @classmethod
    def from_event(cls, event: Message) -> Progress:
        """Whatever the event says that makes sense; never raises."""
        left = _number(event.get("total_left"))
        return cls(
            str(event.get("stage", ""))[:40],
            int(_number(event.get("step")) or 0),
            int(_number(event.get("of")) or 0),
            _number(event.get("seconds_left")) if left is None else left,
            _number(event.get("loss")),
            _number(event.get("fraction")),
        )

    @property
    def fraction(self) -> float:
        """Between 0 and 1."""
        part = self.whole if self.whole is not None else self.step / self.of if self.of > 0 else 0.0
        return min(max(part, 0.0), 1.0)


def _number(value: Any) -> float | None:
    """A finite number of a sensible size, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e12:
        return None
    return value if math.isfinite(value) else None


class Job:
    """One request on its way through the engine.

    Args:
        request: what is sent as soon as the engine has said hello; carries the job's ``id``.
        now: the time at which the engine was started, on the clock that :meth:`advance` gets as well.
        hello_timeout: seconds after which an engine without a hello is given up.
        stop_timeout: seconds after which an engine that does not answer a cancel is given up.
        keep_timeout: the same for a cancel that keeps the best so far, whose layers the engine first has to write.
    """

    def __init__(
        self,
        request: Message,
        now: float,
        hello_timeout: float = 120.0,
        stop_timeout: float = 10.0,
        keep_timeout: float = 300.0,
    ) -> None:
        self.request = request
        self.phase = Phase.WAITING
        self.hello: Message | None = None
        self.progress: Progress | None = None
        self.preview: Message | None = None
        """The latest one; whoever has taken it may set it to None."""
        self.result: Message | None = None
        self.failure: Failure | None = None
        self.accepted = False
        """The engine has begun with it, or put it into its own queue."""
        self.gave_up = False
        """The engine did not answer in time: it had better be killed."""
        self._hello_timeout = hello_timeout
        self._stop_timeout = stop_timeout
        self._keep_timeout = keep_timeout
        self._hello_until = now + hello_timeout
        self._stop_until: float | None = None
        self._keep = False
        self._outbox: list[Message] = []

    @property
    def done(self) -> bool:
        """Nothing more will happen to this job."""
        return self.phase in _DONE

    def stop(self, keep: bool) -> None:
        """Ask for the end; with ``keep`` the best result so far is wanted."""
        if self.done:
            return
        self._keep = keep
        if self.phase is Phase.WAITING:
            self.phase = Phase.CANCELLED
            return
        self.phase = Phase.STOPPING
        self._stop_until = None
        self._outbox.append(protocol.cancel(self.request["id"], keep))

    def advance(self, events: Iterable[Message], now: float) -> list[Message]:
        """Take in what the engine said; returns what to tell it."""
        for event in events:
            if not self.done:
                self._take(event)
        if not self.done:
            self._watch_the_clock(now)
        outbox, self._outbox = self._outbox, []
        return outbox

    def _take(self, event: Message) -> None:
        kind = event["type"]
        if kind == DIED:
            self._on_death(event)
        elif kind == "hello":
            self._on_hello(event)
        elif kind == "error" and event.get("id") in (None, self.request["id"]):
            self._on_error(event)
        elif event.get("id") == self.request["id"]:
            self._on_own(kind, event)

    def _on_hello(self, event: Message) -> None:
        self.hello = event
        if event.get("protocol") != protocol.VERSION:
            self._fail(
                "engine_protocol",
                f"The engine speaks protocol {event.get('protocol')}, this add-on speaks {protocol.VERSION}.",
                "Install the same version of both.",
            )
        elif self.phase is Phase.WAITING:
            self.phase = Phase.SENT
            self._outbox.append(self.request)

    def _on_own(self, kind: str, event: Message) -> None:
        if kind == "accepted":
            self.accepted = True
            self.phase = Phase.RUNNING if self.phase is Phase.SENT else self.phase
        elif kind == "progress":
            self.progress = Progress.from_event(event)
        elif kind == "preview":
            self.preview = event if _has_layers(event) else None
        elif kind == "result":
            # The result may cross a cancel on its way; then it is taken only if it was wanted.
            if self.phase is not Phase.STOPPING or self._keep:
                self._finish(event, Phase.FINISHED)
            else:
                self.phase = Phase.CANCELLED
        elif kind == "cancelled":
            if self._keep and event.get("result") is not None:
                self._finish(event["result"], Phase.CANCELLED)
            else:
                self.phase = Phase.CANCELLED

    def _finish(self, result: Any, phase: Phase) -> None:
        if self.request["type"] == "decompose" and not _has_layers(result):
            self._fail("engine_answer", "The engine's answer names no layers.", "Install the engine again.")
            return
        self.result = result
        self.phase = phase

    def _on_error(self, event: Message) -> None:
        # A cancel may cross the end of its job on the way; then the engine knows no such job any more.
        if self.phase is Phase.STOPPING and event.get("code") == "job_unknown":
            return
        message = event.get("message") or "The engine reported an error without words."
        self._fail(str(event.get("code") or "engine_error"), str(message), str(event.get("hint") or ""))

    def _on_death(self, event: Message) -> None:
        if self.phase is Phase.STOPPING:
            self.phase = Phase.CANCELLED
        elif self.phase is Phase.WAITING:
            self._fail(
                "engine_start",
                f"The engine did not start ({event['message']}).",
                "Check the engine's Python in the add-on's preferences.",
            )
        else:
            self._fail(
                "engine_died",
                f"The engine stopped in the middle of the work ({event['message']}).",
                "Restart it; if memory was short, choose a smaller size.",
            )

    def _watch_the_clock(self, now: float) -> None:
        if self.phase is Phase.WAITING and now > self._hello_until:
            self._fail(
                "engine_silent",
                f"The engine's Python started, but said nothing for {self._hello_timeout:.0f} seconds.",
                "Check the engine's Python in the add-on's preferences.",
            )
            self.gave_up = True
        elif self.phase is Phase.STOPPING:
            self._stop_until = self._stop_until or now + (self._keep_timeout if self._keep else self._stop_timeout)
            if now > self._stop_until:
                self.phase = Phase.CANCELLED
                self.gave_up = True

    def _fail(self, code: str, message: str, hint: str) -> None:
        self.failure = Failure(code, message, hint)
        self.phase = Phase.FAILED


def _has_layers(event: Any) -> bool:
    """Whether an event names files of layers, as those that carry any do."""
    layers = event.get("layers") if isinstance(event, dict) else None
    if not isinstance(layers, dict) or not layers:
        return False
    return all(isinstance(path, str) and path for path in layers.values())
