# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages, and a job's life without any process."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from join_blender.engine.decomposition import Decomposition
from join_blender.engine.job import State
from join_blender.engine.pixels import Source
from join_blender.engine.process import DIED, Launch
from join_blender.engine.protocol import Decoder, Message, NotTheProtocol, Options, encode
from tests.join_blender.support import ROOT

LAUNCH = Launch(Path("python"), Path())
HELLO = {"type": "hello", "protocol": 1}
LAYERS = {"layers": {"albedo": "albedo.npy"}}
RESULT = {"type": "result", "id": "7", **LAYERS}


def waiting(folder: Path = Path("/tmp")) -> Decomposition:
    """For the engine's hello."""
    job = Decomposition(Path("in.png"), Options(), LAUNCH, "in.png", output=folder)
    job.request["id"] = job.id = "7"
    job.begin(0.0, running=False)
    return job


def hear(job: Decomposition, events: list[Message], now: float) -> list[Message]:
    """What the job wants to tell the engine after that."""
    for event in events:
        job.hear(event)
    job.look_at_the_clock(now)
    told, job.outbox = job.outbox, []
    return told


def started() -> Decomposition:
    job = waiting()
    assert hear(job, [HELLO], 1.0) == [job.request]
    return job


def test_messages_survive_any_cut() -> None:
    messages = [{"type": "progress", "path": "Grün – 緑.npy"}, {"type": "bye"}]
    stream = b"".join(map(encode, messages))
    for size in range(1, len(stream)):
        decoder = Decoder()
        pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
        assert [message for piece in pieces for message in decoder.feed(piece)] == messages


DEEP = b"[" * 100_000 + b"\0"


@pytest.mark.parametrize(
    "stream", [b"usage: python\0", b"[1]\0", b'{"no": "type"}\0', b"\xff\0", b"{" * (17 << 20), DEEP]
)
def test_what_is_no_message(stream: bytes) -> None:
    with pytest.raises(NotTheProtocol):
        Decoder().feed(stream)


def test_a_good_life() -> None:
    job = started()
    hear(job, [{"type": "accepted", "id": "7"}], 2.0)
    assert job.state is State.RUNNING
    progress = {"type": "progress", "id": "7", "stage": "joint", "step": 5, "of": 20, "seconds_left": 3.0, "loss": 0.1}
    hear(job, [progress], 3.0)
    assert job.progress is not None and job.progress.fraction == 0.25
    assert hear(job, [RESULT], 4.0) == []
    assert job.state is State.DONE and job.ended and job.result == RESULT


def test_other_jobs_are_none_of_its_business() -> None:
    job = started()
    hear(job, [{**RESULT, "id": "8"}, {"type": "error", "id": "8", "code": "x", "message": "y", "hint": ""}], 2.0)
    assert not job.ended


def test_an_error_is_told_as_the_engine_says_it() -> None:
    job = started()
    hear(job, [{"type": "error", "id": "7", "code": "bank_broken", "message": "It is cut.", "hint": "Get it."}], 2.0)
    assert job.failure is not None and job.failure.code == "bank_broken" and str(job.failure) == "It is cut. Get it."


def test_an_error_before_hello_outlives_the_death_that_follows() -> None:
    job = waiting()
    error = {"type": "error", "id": None, "code": "torch_missing", "message": "No torch.", "hint": "Install it."}
    hear(job, [error, {"type": DIED, "message": "exit code 3"}], 1.0)
    assert job.failure is not None and job.failure.code == "torch_missing"


@pytest.mark.parametrize(("hello", "code"), [(False, "engine_start"), (True, "engine_died")])
def test_a_dead_engine(hello: bool, code: str) -> None:
    job = started() if hello else waiting()
    hear(job, [{"type": DIED, "message": "signal 9"}], 2.0)
    assert job.failure is not None and job.failure.code == code and "signal 9" in str(job.failure)


def test_no_hello_in_time(tmp_path: Path) -> None:
    job = Decomposition(Path("in.png"), Options(), LAUNCH, "in.png", output=tmp_path)
    job.hello_timeout = 60.0
    job.begin(0.0, running=False)
    hear(job, [], 59.0)
    assert not job.ended
    hear(job, [], 61.0)
    assert job.failure is not None and job.failure.code == "engine_silent" and "60 seconds" in str(job.failure)


def test_another_protocol() -> None:
    job = waiting()
    assert hear(job, [{"type": "hello", "protocol": 2}], 1.0) == []
    assert job.failure is not None and job.failure.code == "engine_protocol"


@pytest.mark.parametrize(
    ("keep", "answer", "state", "has_result"),
    [
        (False, {"type": "cancelled", "id": "7", "result": None}, State.CANCELLED, False),
        (True, {"type": "cancelled", "id": "7", "result": LAYERS}, State.DONE, True),
        (True, RESULT, State.DONE, True),
        (False, RESULT, State.CANCELLED, False),
        (False, {"type": DIED, "message": ""}, State.CANCELLED, False),
    ],
)
def test_stopping(keep: bool, answer: dict[str, Any], state: State, has_result: bool) -> None:
    job = started()
    job.stop(keep)
    assert hear(job, [], 2.0) == [{"type": "cancel", "id": "7", "keep": keep}]
    hear(job, [answer], 3.0)
    assert job.state is state and (job.result is not None) is has_result and job.failure is None


def test_stopping_is_sure_even_if_the_engine_hangs() -> None:
    job = started()
    job.stop(keep=False)
    hear(job, [], 2.0)
    hear(job, [], 13.0)
    assert job.state is State.CANCELLED and job.result is None and job.gave_up


def test_a_cancel_that_comes_too_late_is_no_error() -> None:
    job = started()
    job.stop(keep=True)
    error = {"type": "error", "id": "7", "code": "job_unknown", "message": "No such job.", "hint": ""}
    hear(job, [error, RESULT], 2.0)
    assert job.state is State.DONE and job.failure is None


def test_a_stop_that_keeps_may_take_its_time_and_can_still_become_one_that_does_not() -> None:
    job = started()
    job.stop(keep=True)
    hear(job, [], 2.0)
    hear(job, [], 100.0)
    assert job.state is State.STOPPING
    job.stop(keep=False)
    assert hear(job, [], 101.0) == [{"type": "cancel", "id": "7", "keep": False}]
    hear(job, [], 112.0)
    assert job.state is State.CANCELLED and job.gave_up


@pytest.mark.parametrize("layers", [None, {}, [], "albedo.npy", {"albedo": None}, {"albedo": ""}])
def test_an_answer_without_layers_is_a_failure(layers: Any) -> None:
    job = started()
    hear(job, [{"type": "preview", "id": "7", "layers": layers}], 2.0)
    assert job._preview is None and job.take_preview() == []
    hear(job, [{"type": "result", "id": "7", "layers": layers}], 2.0)
    assert job.failure is not None and job.failure.code == "engine_answer"


def test_progress_of_the_whole_is_preferred() -> None:
    job = started()
    stage = {"type": "progress", "id": "7", "stage": "joint", "step": 9, "of": 10, "seconds_left": 1.0, "loss": None}
    hear(job, [{**stage, "fraction": 0.25, "total_left": 30.0}], 2.0)
    assert job.progress is not None and job.progress.fraction == 0.25 and job.progress.seconds_left == 30.0


def test_stopping_before_hello_needs_no_engine() -> None:
    job = waiting()
    job.stop(keep=True)
    assert job.state is State.CANCELLED
    assert hear(job, [HELLO], 1.0) == []


# --- the time left ------------------------------------------------------------------------------------------------


@pytest.fixture
def words(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The panel's words for a job, without the rest of the interface, which needs Blender; and the clock."""
    path = ROOT / "join_blender" / "ui" / "status_text.py"
    spec = importlib.util.spec_from_file_location("join_blender.ui.status_text", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def progress(**content: Any) -> Message:
    return {"type": "progress", "id": "7", "words": "Optimising", "step": 5, "of": 20, **content}


def large() -> Decomposition:
    job = Decomposition(Source("x", np.ones(12_000, np.float32), 2000, 2, 3), Options(), LAUNCH, "x")
    job.request["id"] = job.id = "7"
    job.megapixels = 12.0  # a picture of that size would take its time
    job.begin(0.0, running=False)
    hear(job, [HELLO], 1.0)
    return job


def test_the_time_left_has_the_layers_in_it(words: Any) -> None:
    job = large()
    assert words.time_left(job) == ""
    hear(job, [progress(total_left=30.0)], 2.0)
    reading = 3 * 12.0 * Decomposition._pace
    assert job.reading_left == pytest.approx(reading) and reading > 1.0
    assert words.time_left(job) == f"About {words.in_words(30.0 + reading)} left"
    hear(job, [{"type": "alive", "id": "7", "words": "Writing the layers", "total_left": 12.0}], 3.0)
    assert words.describe(job) == "Writing the layers"
    assert words.time_left(job) == f"About {words.in_words(12.0 + reading)} left"
    hear(job, [{"type": "alive", "id": "7"}], 3.0)
    assert words.describe(job) == "Writing the layers"
    job.close()


@pytest.mark.parametrize("left", [1.0, 0.2, 9.0])
def test_a_time_left_that_is_over_is_not_told_any_more(
    words: Any, monkeypatch: pytest.MonkeyPatch, left: float
) -> None:
    job, now = started(), [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    hear(job, [progress(total_left=left)], 2.0)
    assert words.time_left(job) == f"About {words.in_words(left)} left"
    now[0] += left + 0.01
    assert words.time_left(job) == ""
    hear(job, [progress(total_left=3.0)], 2.0)
    assert words.time_left(job) == "About 3 s left"


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(
    "told", [progress(total_left=30.0), {"type": "alive", "id": "7", "words": "x", "total_left": 5.0}]
)
def test_after_stop_no_time_is_told(words: Any, keep: bool, told: Message) -> None:
    job = started()
    hear(job, [progress(total_left=40.0)], 2.0)
    job.stop(keep)
    assert words.time_left(job) == "" and words.describe(job) == "Stopping"
    hear(job, [told], 3.0)
    assert words.time_left(job) == ""


def test_the_layers_on_their_way_into_blender_have_a_time_too(words: Any) -> None:
    job = large()
    hear(job, [{"type": "result", "id": "7", "layers": dict.fromkeys(("a", "b", "c"), "x.npy")}], 2.0)
    assert job.state is State.READING
    three = job.reading_left
    job._unread.pop()
    assert job.reading_left == pytest.approx(three * 2 / 3) and words.time_left(job).startswith("About ")
    job._unread.clear()
    assert words.time_left(job) == ""
    job.close()
