# SPDX-License-Identifier: GPL-3.0-or-later
"""A job for the engine, from the queue to its end. This is the add-on's only state machine; nothing in it ever waits.

QUEUED → PREPARING (its files are written) → STARTING (until the engine says hello) → RUNNING → DONE. A decomposition is
READING its layers before it is DONE; one that the user ends is STOPPING before it is CANCELLED, or READING the best so
far. Whatever goes wrong ends in FAILED.
"""

from __future__ import annotations

import math
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from . import protocol
from .background import Future, advice, gone, is_gone, make_folder, remove_folder
from .failure import Failure
from .process import DIED, Launch
from .protocol import Message


class State(Enum):
    """Where a job is in its life."""

    QUEUED = auto()
    PREPARING = auto()
    STARTING = auto()
    RUNNING = auto()
    STOPPING = auto()
    READING = auto()
    DONE = auto()
    CANCELLED = auto()
    FAILED = auto()


@dataclass(frozen=True)
class Progress:
    """How far the engine says that it is."""

    words: str
    """What it is doing, as the engine says it to people."""
    step: int
    of: int
    seconds_left: float | None = None
    """Of the whole job, where the engine knows; else of the stage."""
    loss: float | None = None
    whole: float | None = None
    """The part of the whole job that is done, 0 to 1, where the engine knows."""
    heard_at: float = field(default_factory=lambda: time.monotonic(), compare=False)
    """When the engine said so, on ``time.monotonic``'s clock."""

    @classmethod
    def from_event(cls, event: Message) -> Progress:
        """Whatever the event says that makes sense; never raises."""
        left = _number(event.get("total_left"))
        return cls(
            str(event.get("words") or "Working")[:40],
            int(_number(event.get("step")) or 0),
            int(_number(event.get("of")) or 0),
            _number(event.get("seconds_left")) if left is None else left,
            _number(event.get("loss")),
            _number(event.get("fraction")),
        )

    @property
    def left_now(self) -> float | None:
        """Seconds left by now; None where the engine does not know, or what it knew has passed."""
        if self.seconds_left is None:
            return None
        left = self.seconds_left - (time.monotonic() - self.heard_at)
        return left if left > 0.0 else None

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
        request: what is sent as soon as the engine has said hello; it gets the job's id.
        launch: how the engine is started.
        prepare: writes the files that the request names; runs in a thread, from now on.
        folder: holds those files, and goes away with the job.
    """

    hello_timeout = 120.0
    """Seconds after which an engine without a hello is given up."""
    stop_timeout = 10.0
    """The same for an engine that does not answer a cancel,"""
    keep_timeout = 300.0
    """or one that keeps the best so far, whose layers the engine first has to write."""

    def __init__(
        self,
        request: Message,
        launch: Launch,
        prepare: Callable[[], Any] | None = None,
        folder: TemporaryDirectory[str] | None = None,
    ) -> None:
        self.id = uuid.uuid4().hex
        self.request = {**request, "id": self.id}
        self.launch = launch
        self.state = State.QUEUED
        self.progress: Progress | None = None
        self.result: Message | None = None
        """The engine's answer."""
        self.stopped_early = False
        """The result is the best that there was when the user stopped it."""
        self.failure: Failure | None = None
        self.gave_up = False
        """The engine did not answer in time: it had better be killed."""
        self._folder = folder
        self._preparing = Future(prepare) if prepare is not None else None
        self._closing: Future[None] | None = None
        self._accepted = False
        self._found_running = False
        self._keep = False
        self._deadline = math.inf
        self.outbox: list[Message] = []
        """What is to be told to the engine."""

    @classmethod
    def with_files(cls, files: Mapping[str, bytes], request: Message, launch: Launch, scratch: str | None) -> Job:
        """A job about files in a temporary folder in ``scratch`` (None for the system's place).

        Args:
            files: name → content.
            request: ``{folder}`` at the beginning of its texts stands for that folder.

        Raises:
            Failure: ``disk``.
        """
        folder = make_folder(scratch)

        def write() -> None:
            for name, data in files.items():
                (Path(folder.name) / name).write_bytes(data)

        return cls(_filled(request, folder.name), launch, write, folder)

    @property
    def ended(self) -> bool:
        """Nothing more will happen to it, unless it is tried again."""
        return self.state in (State.DONE, State.CANCELLED, State.FAILED)

    @property
    def waiting(self) -> bool:
        """Whether the engine has not heard of it yet."""
        return self.state in (State.QUEUED, State.PREPARING)

    @property
    def with_engine(self) -> bool:
        """Whether it is for the engine to go on."""
        return self.state in (State.STARTING, State.RUNNING, State.STOPPING)

    @property
    def prepared(self) -> bool:
        """Whether :meth:`begin` need not wait."""
        return self.state is State.PREPARING and (self._preparing is None or self._preparing.done)

    def answer(self) -> Message:
        """The result of a job that has ended.

        Raises:
            Failure: why there is none.
        """
        if self.result is None:
            raise self.failure or Failure("engine_died", "The engine ended.", "Try again.")
        return self.result

    def begin(self, now: float, running: bool) -> None:
        """The engine is there, or (not ``running``) on its way: from now on :meth:`hear` moves the job on.

        Raises:
            Failure: why the files could not be written.
        """
        try:
            if self._preparing is not None:
                self._preparing.result()
        except OSError as error:
            raise Failure("disk", f"The files for the engine cannot be written ({error}).", advice(error)) from error
        self.state = State.STARTING
        self._deadline = now + self.hello_timeout
        self._found_running = running

    def stop(self, keep: bool) -> None:
        """Ask for the end; with ``keep`` the best result so far is wanted."""
        if self.ended or (self.state is State.READING and keep):
            return
        self._keep = keep
        if self.state in (State.RUNNING, State.STOPPING):
            self.state = State.STOPPING
            self._deadline = math.inf
            self.outbox.append(protocol.cancel(self.id, keep))
        else:
            self.state = State.CANCELLED

    def fail(self, failure: Failure) -> None:
        """End it with a failure."""
        if self._folder is not None and self._closing is None and is_gone(Path(self._folder.name)):
            failure = gone(Path(self._folder.name))  # which explains all others
        self.failure = failure
        self.state = State.FAILED

    def close(self) -> None:
        """Remove its folder, in a thread. Safe to call twice."""
        if self._folder is not None and self._closing is None:
            self._closing = remove_folder(self._folder, self._preparing)

    def wait_until_closed(self) -> None:
        """Block until the folder is gone, after :meth:`close`."""
        if self._closing is not None:
            self._closing.wait()

    def look_at_the_clock(self, now: float) -> None:
        """End it where the engine has not answered in time."""
        if self.state is State.STOPPING and self._deadline == math.inf:
            self._deadline = now + (self.keep_timeout if self._keep else self.stop_timeout)
        if not self.with_engine or now <= self._deadline:
            return
        self.gave_up = True
        if self.state is State.STOPPING:
            self.state = State.CANCELLED
        else:
            text = f"The engine's Python started, but said nothing for {self.hello_timeout:.0f} seconds."
            self.fail(Failure("engine_silent", text, "Check the engine's Python in the add-on's preferences."))

    # --- what the engine says -----------------------------------------------------------------------------------------

    def hear(self, event: Message) -> None:
        """Take in what the engine said; :attr:`outbox` may then hold something for it."""
        kind, own = event["type"], event.get("id") == self.id
        if not self.with_engine:
            return
        if kind == DIED:
            self._on_death(event)
        elif kind == "hello":
            self._on_hello(event)
        elif kind == "error" and (own or event.get("id") is None):
            self._on_error(event)
        elif not own:
            return
        elif kind == "accepted":
            self._accepted = True
        elif kind == "progress":
            self.progress = Progress.from_event(event)
        elif kind == "alive" and "words" in event:  # what follows the stages: there are no steps of it
            part = self.progress.fraction if self.progress is not None else None
            self.progress = replace(Progress.from_event(event), whole=part)
        elif kind == "preview":
            self._on_preview(event)
        elif kind == "result" and (self._keep or self.state is not State.STOPPING):
            self._on_result(event)  # one that crosses a cancel on its way is taken only if it was wanted
        elif kind == "cancelled" and self._keep and event.get("result") is not None:
            self.stopped_early = True
            self._on_result(event["result"])
        elif kind in ("result", "cancelled"):
            self.state = State.CANCELLED

    def _on_preview(self, event: Message) -> None:
        """Only a decomposition has any."""

    def _on_result(self, result: Any) -> None:
        self.result = result
        self.state = State.DONE

    def _on_error(self, event: Message) -> None:
        # A cancel may cross the end of its job on the way; then the engine knows no such job any more.
        if self.state is State.STOPPING and event.get("code") == "job_unknown":
            return
        message = event.get("message") or "The engine reported an error without words."
        self.fail(Failure(str(event.get("code") or "engine_error"), str(message), str(event.get("hint") or "")))

    def _on_hello(self, event: Message) -> None:
        if event.get("protocol") != protocol.VERSION:
            text = f"The engine speaks protocol {event.get('protocol')}, this add-on speaks {protocol.VERSION}."
            self.fail(Failure("engine_protocol", text, "Install the same version of both."))
        elif self.state is State.STARTING:
            self.state = State.RUNNING
            self._deadline = math.inf
            self.outbox.append(self.request)

    def _on_death(self, event: Message) -> None:
        if self.state is State.STOPPING:
            self.state = State.CANCELLED
        elif self.state is State.STARTING:
            text = f"The engine did not start ({event['message']})."
            self.fail(Failure("engine_start", text, "Check the engine's Python in the add-on's preferences."))
        else:
            text = f"The engine stopped in the middle of the work ({event['message']})."
            self.fail(Failure("engine_died", text, "Restart it; if memory was short, choose a smaller size."))


_HERE = "{folder}"


def _filled(request: Message, folder: str) -> Message:
    def fill(value: object) -> object:
        if isinstance(value, str):
            return folder + value.removeprefix(_HERE) if value.startswith(_HERE) else value
        return {key: fill(item) for key, item in value.items()} if isinstance(value, dict) else value

    return {key: fill(value) for key, value in request.items()}
