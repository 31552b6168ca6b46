# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's process, spoken to as Blender does: over pipes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from join_engine.layers.decomposition import load_decomposition

ROOT = Path(__file__).parents[2]
FOLDER = "Ordner mit Ümläut"


class Client:
    def __init__(self, **environment: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "join_engine", "serve", "--device", "cpu", "--threads", "1"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, **environment},
        )
        self._rest = b""

    def send(self, **message: Any) -> None:
        self.send_raw(json.dumps(message).encode() + b"\0")

    def send_raw(self, data: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def receive(self) -> dict[str, Any]:
        """The next event; EOFError when the process has closed its end."""
        assert self.process.stdout is not None
        while b"\0" not in self._rest:
            chunk = os.read(self.process.stdout.fileno(), 65536)
            if not chunk:
                raise EOFError
            self._rest += chunk
        message, _, self._rest = self._rest.partition(b"\0")
        return json.loads(message)

    def until(self, *kinds: str, request: Any = None) -> list[dict[str, Any]]:
        """Events up to the first of one of these kinds (for one request)."""
        events = [self.receive()]
        while events[-1]["type"] not in kinds or (request is not None and events[-1]["id"] != request):
            events.append(self.receive())
        return events

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    client = Client()
    hello = client.receive()
    assert hello["type"] == "hello" and hello["protocol"] == 1
    assert set(hello) == {"type", "protocol", "engine", "python", "torch", "device", "banks"}
    yield client
    client.close()


@pytest.fixture
def request_for(tmp_path: Path, tiny_bank_path: Path) -> dict[str, Any]:
    folder = tmp_path / FOLDER
    folder.mkdir()
    np.save(folder / "image.npy", np.random.default_rng(0).random((40, 56, 3), dtype=np.float32))
    return {
        "type": "decompose",
        "image": str(folder / "image.npy"),
        "output": str(folder / "out"),
        "bank": str(tiny_bank_path),
        "preset": "standard",
        "seed": 0,
        "steps": 9,
        "preview_every": 3,
    }


@pytest.mark.slow
def test_decompose_and_relight(client: Client, request_for: dict[str, Any]) -> None:
    client.send(**request_for, id="job 1")
    events = client.until("result", "error")
    assert {event["id"] for event in events} == {"job 1"}
    kinds = [event["type"] for event in events]
    assert kinds[0] == "accepted" and kinds[-1] == "result"
    assert kinds.count("preview") == 3 and "progress" in kinds

    previews = [event for event in events if event["type"] == "preview"]
    assert [event["step"] for event in previews] == [3, 6, 9]
    assert previews[0]["recomposed"] != previews[1]["recomposed"]
    for event in (*previews[1:], events[-1]):
        for path in (*event["layers"].values(), event["recomposed"]):
            pixels = np.load(path)
            assert pixels.dtype == np.float32 and pixels.shape == (40, 56, 3)

    last = next(event for event in reversed(events) if event["type"] == "progress")
    assert (last["stage"], last["step"], last["of"], last["seconds_left"]) == ("joint", 9, 9, 0.0)
    result = events[-1]
    assert set(result["layers"]) == {"albedo", "shading"}
    assert result["settings"]["seed"] == 0 and result["metrics"]["psnr"] > 0 and result["seconds"]["joint"] > 0
    assert len(result["bank"]["sha256"]) == 64

    edits = [{"component": "shading", "direction": 0, "amount": 1.5}]
    output = request_for["output"] + " 2"
    client.send(type="relight", id="job 2", decomposition=result["decomposition"], edits=edits, output=output)
    lit = client.until("result", "error")[-1]
    assert lit["type"] == "result"
    before, after = (np.load(event["layers"]["albedo"]) for event in (result, lit))
    assert np.array_equal(before, after)
    assert not np.array_equal(*(np.load(event["layers"]["shading"]) for event in (result, lit)))


def test_clean_up(client: Client, request_for: dict[str, Any]) -> None:
    """What a mask covers is filled; with files, or of another size, it is refused."""
    path = Path(request_for["image"]).with_name("mask.npy")
    mask = np.zeros((40, 56, 3), np.float32)
    mask[10:20, 10:20, 1] = 1.0
    np.save(path, mask)
    client.send(**{**request_for, "steps": 1, "preview_every": 0}, mask=str(path), id="clean")
    made = client.until("result", "error")[-1]
    assert made["settings"]["cleaned"] == pytest.approx(14 * 14 / (40 * 56))
    photo, whole = np.load(request_for["image"]), np.load(made["recomposed"])
    missed = np.abs(photo - whole).max(axis=2)
    assert missed[:6].max() < 1e-5 and missed[12:18, 12:18].mean() > 0.05
    client.send(**{**request_for, "files": True}, mask=str(path), id="files")
    assert client.until("result", "error")[-1]["code"] == "request_invalid"
    np.save(path, mask[:20])
    client.send(**request_for, mask=str(path), id="size")
    assert client.until("result", "error")[-1]["code"] == "mask_size"


@pytest.fixture
def together_for(request_for: dict[str, Any]) -> dict[str, Any]:
    """A request about three photos of one thing under other light."""
    folder = Path(request_for["image"]).parent
    grain = np.random.default_rng(0).uniform(0.2, 0.6, (40, 56, 3)).astype(np.float32)
    paths = [str(folder / f"{number}.npy") for number in range(3)]
    for number, path in enumerate(paths):
        np.save(path, grain * np.linspace(0.4, 0.5 + 0.2 * number, 56, dtype=np.float32)[:, None])
    kept = {key: request_for[key] for key in ("output", "bank", "preset", "seed", "steps")}
    return {**kept, "type": "decompose_together", "images": paths, "names": ["sun", "lamp", "window"]}


def test_photos_together(client: Client, together_for: dict[str, Any]) -> None:
    """A result of each, which makes it and can be relit; one file of the albedo."""
    client.send(**together_for, id="photos")
    events = client.until("result", "error")
    assert {event["type"] for event in events} >= {"accepted", "progress", "alive", "result"}
    made = events[-1]["photos"]
    assert len(made) == 3 and len({photo["layers"]["albedo"] for photo in made}) == 1
    assert len({photo["layers"]["shading"] for photo in made}) == 3
    for path, photo in zip(together_for["images"], made, strict=True):
        layers = {name: np.load(file) for name, file in photo["layers"].items()}
        assert np.abs(layers["albedo"] * layers["shading"] - np.load(path)).max() < 1e-5
        assert photo["settings"]["together"]["photos"] == 3 and photo["formula"] == [["albedo", "shading"]]
    edits = [{"component": "shading", "direction": 0, "amount": 1.5}]
    held = {"decomposition": made[1]["compact"], "layers": made[1]["layers"]}
    output = together_for["output"] + " lit"
    client.send(type="relight", id="lit", edits=edits, output=output, store=False, **held)
    lit = client.until("result", "error")[-1]
    assert list(lit["layers"]) == ["shading"]
    assert not np.array_equal(np.load(lit["layers"]["shading"]), np.load(made[1]["layers"]["shading"]))


@pytest.mark.parametrize("keep", [False, True])
def test_photos_together_can_be_cancelled(client: Client, together_for: dict[str, Any], keep: bool) -> None:
    client.send(**{**together_for, "steps": 100_000}, id="long")
    client.until("progress")
    client.send(type="cancel", id="long", keep=keep)
    event = client.until("cancelled", "result", "error")[-1]
    assert event["type"] == "cancelled" and (event["result"] is not None) is keep
    if keep:
        made = event["result"]["photos"]
        assert len({photo["layers"]["albedo"] for photo in made}) == 1
        assert made[0]["settings"]["together"]["photos"] == 3


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"images": []}, "photos_too_few", "One photo is not several"),
        ({"images": "one.npy"}, "request_invalid", "'images' is a list of at most 32 paths"),
        ({"images": None}, "request_invalid", "needs 'images'"),
        ({"names": ["sun"]}, "request_invalid", "'names' must name each"),
        ({"bank": "no-such-bank"}, "bank_missing", "no-such-bank"),
    ],
)
def test_photos_together_that_cannot_be(
    client: Client, together_for: dict[str, Any], change: dict[str, Any], code: str, words: str
) -> None:
    names = {"names": []} if change.get("images") == [] else {}
    client.send(**{**together_for, **names, **change}, id="bad")
    event = client.until("error", "result")[-1]
    assert event["code"] == code and words in event["message"], event


def test_sliders_and_files(client: Client, request_for: dict[str, Any]) -> None:
    """The requests of the relight panel: small previews, changed layers only, and a .join of what a .blend holds."""
    client.send(**{**request_for, "steps": 1, "preview_every": 0}, id=1)
    made = client.until("result", "error")[-1]
    held = {"decomposition": made["compact"], "layers": made["layers"]}
    client.send(type="directions", id=2, **held)
    directions = client.until("result", "error")[-1]["directions"]
    assert [(d["component"], d["name"]) for d in directions[:2]] == [("shading", "sefa.0"), ("shading", "sefa.1")]
    output = Path(request_for["output"]).with_name("lit")
    edits = [{"component": "shading", "direction": "sefa.0", "amount": 2.0}]
    client.send(type="relight", id=3, edits=edits, output=str(output), preview=True, **held)
    small = client.until("result", "error")[-1]
    assert max(np.load(small["recomposed"]).shape) == 16 and set(small["layers"]) == {"albedo", "shading"}
    sized = {"edits": edits, "output": str(output), "preview": True, "preview_size": 28}
    client.send(type="relight", id="sized", **sized, **held)
    larger = client.until("result", "error")[-1]
    assert np.load(larger["recomposed"]).shape == (20, 28, 3) and set(larger["layers"]) == {"shading"}
    client.send(type="relight", id=4, edits=edits, output=str(output), store=False, **held)
    full = client.until("result", "error")[-1]
    assert set(full["layers"]) == {"shading"} and np.load(full["layers"]["shading"]).shape == (40, 56, 3)
    for number, moves in ((5, edits), (6, [])):
        client.send(type="store", id=number, edits=moves, output=str(output / f"{number}.join"), **held)
        assert client.until("result", "error")[-1]["files"] == [str(output / f"{number}.join")]
    lit, same = (load_decomposition(output / f"{number}.join") for number in (5, 6))
    assert np.array_equal(lit.layers["shading"], np.load(full["layers"]["shading"]))
    assert np.array_equal(same.layers["shading"], np.load(made["layers"]["shading"]))
    assert np.array_equal(lit.layers["albedo"], same.layers["albedo"])


@pytest.mark.slow
def test_another_material_is_mixed_in(client: Client, request_for: dict[str, Any]) -> None:
    """The requests of the mix panel: a .join that knows the other, its sliders, and what they change."""
    made = []
    for number, seed in enumerate((0, 3)):
        client.send(**{**request_for, "steps": 3, "seed": seed, "preset": "best", "preview_every": 0}, id=number)
        made.append(client.until("result", "error")[-1])
        held = Path(request_for["output"]).with_name(f"{number}.join")
        held.write_bytes(Path(made[-1]["compact"]).read_bytes())
        made[-1]["compact"] = str(held)
    known = str(Path(request_for["output"]).with_name("known.join"))
    client.send(type="mix", id="mix", decomposition=made[0]["compact"], other=made[1]["compact"], output=known)
    assert client.until("result", "error")[-1]["files"] == [known]
    held_by_blender = {"decomposition": known, "layers": made[1]["layers"]}  # the first one's are written over
    client.send(type="directions", id="directions", **held_by_blender)
    directions = client.until("result", "error")[-1]["directions"]
    assert [(d["component"], d["name"], d["maximum"]) for d in directions[:3]] == [
        ("albedo", f"mix.{name}", 1.0) for name in ("colour", "pattern", "layout")
    ]
    edits = [{"component": "albedo", "direction": "mix.colour", "amount": 1.0}]
    output = str(Path(request_for["output"]).with_name("mixed"))
    client.send(type="relight", id="full", edits=edits, output=output, store=False, **held_by_blender)
    assert set(client.until("result", "error")[-1]["layers"]) == {"albedo"}


@pytest.mark.slow
def test_another_material_is_pasted(client: Client, request_for: dict[str, Any]) -> None:
    """The request of Paste Material: progress, a result like that of a decomposition, and refusals."""
    client.send(**{**request_for, "steps": 3, "preview_every": 0}, id="made")
    made = client.until("result", "error")[-1]
    folder = Path(request_for["output"]).parent
    mask = np.zeros((40, 56, 3), np.float32)
    mask[10:20, 10:30] = 1.0
    np.save(folder / "mask.npy", mask)
    np.save(folder / "patch.npy", np.full((12, 12, 3), 0.25, np.float32))
    held = {"decomposition": made["compact"], "layers": made["layers"], "bank": request_for["bank"]}
    paste = {
        "type": "paste",
        "patch": str(folder / "patch.npy"),
        "mask": str(folder / "mask.npy"),
        "feather": 0.0,
        "steps": 4,
        "output": str(folder / "pasted"),
        **held,
    }
    before = {name: np.load(path) for name, path in made["layers"].items()}
    client.send(**paste, id="paste")
    events = client.until("result", "error")
    assert [event["step"] for event in events if event["type"] == "progress"] == [1, 2, 3, 4]
    found = events[-1]
    assert found["settings"]["pasted"]["share"] == pytest.approx(200 / (40 * 56)) and found["metrics"] == {}
    after = {name: np.load(path) for name, path in found["layers"].items()}
    assert np.array_equal(after["shading"], before["shading"]) and set(found) >= {"compact", "formula", "bank"}
    assert np.allclose(after["albedo"][10:20, 10:30], 0.25, atol=1e-5)
    changed = (after["albedo"] != before["albedo"]).any(axis=2)
    assert not changed[mask[..., 0] == 0.0].any()
    for wrong, code in (({"mask": None}, "request_invalid"), ({"scale": 1000.0}, "settings_invalid")):
        client.send(**{**paste, **wrong}, id="wrong")
        assert client.until("result", "error")[-1]["code"] == code


@pytest.mark.parametrize("keep", [True, False])
def test_cancel_while_running(client: Client, request_for: dict[str, Any], keep: bool) -> None:
    client.send(**{**request_for, "steps": 100_000, "preview_every": 0}, id=7)
    client.until("progress")
    start = time.monotonic()
    client.send(type="cancel", id=7, keep=keep)
    event = client.until("cancelled", "result", "error")[-1]
    assert time.monotonic() - start < 2
    assert event["type"] == "cancelled" and event["id"] == 7
    if keep:
        assert np.isfinite(np.load(event["result"]["layers"]["albedo"])).all()
        assert Path(event["result"]["decomposition"]).is_file()
    else:
        assert event["result"] is None


def test_jobs_queue_and_can_be_cancelled_there(client: Client, request_for: dict[str, Any]) -> None:
    client.send(**{**request_for, "steps": 100_000}, id="first")
    client.until("progress")
    client.send(**request_for, id="second")
    assert client.until("accepted")[-1]["id"] == "second"
    client.send(type="cancel", id="second", keep=True)
    client.send(type="cancel", id="first", keep=False)
    events = client.until("cancelled", request="second")
    assert [event["id"] for event in events if event["type"] == "cancelled"] == ["first", "second"]
    assert events[-1]["result"] is None


def test_an_id_can_be_used_again_but_not_twice_at_once(client: Client, request_for: dict[str, Any]) -> None:
    client.send(**{**request_for, "steps": 100_000}, id="same")
    client.until("progress")
    client.send(**request_for, id="same")
    assert client.until("error")[-1]["code"] == "request_invalid"
    client.send(type="cancel", id="same")
    client.until("cancelled")
    client.send(**{**request_for, "steps": 2}, id="same")
    assert client.until("result", "error")[-1]["type"] == "result"


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"not JSON", "message_malformed"),
        (b"\xff\xfe", "message_malformed"),
        (b"[]", "message_malformed"),
        (b"{}", "message_malformed"),
        (b"", "message_malformed"),
        (b'{"type": "dance", "id": 1}', "request_unknown"),
        (b'{"type": "decompose"}', "request_invalid"),
        (b'{"type": "decompose", "id": []}', "request_invalid"),
        (b'{"type": "decompose", "id": 1}', "request_invalid"),
        (b'{"type": "decompose", "id": 1, "image": "a", "output": "b", "steps": "many"}', "request_invalid"),
        (b'{"type": "decompose", "id": 1, "image": "a", "output": "b", "preset": "fast"}', "preset_unknown"),
        (b'{"type": "decompose", "id": 1, "image": "nowhere.npy", "output": "b"}', "image_missing"),
        (b'{"type": "relight", "id": 1, "decomposition": "a", "output": "b", "edits": 1}', "edit_invalid"),
        (b'{"type": "relight", "id": 1, "decomposition": "a.join", "output": "b"}', "decomposition_missing"),
        (b'{"type": "directions", "id": 1, "decomposition": "a.join"}', "decomposition_missing"),
        (b'{"type": "store", "id": 1, "decomposition": "a.join", "output": "b"}', "decomposition_missing"),
        (b'{"type": "store", "id": 1, "decomposition": "a.join", "output": "b", "edits": [3]}', "edit_invalid"),
        (b'{"type": "mix", "id": 1, "decomposition": "a.join", "output": "b"}', "request_invalid"),
        (
            b'{"type": "mix", "id": 1, "decomposition": "a.join", "other": "c.join", "output": "b"}',
            "decomposition_missing",
        ),
        (b'{"type": "export", "id": 1, "output": "b", "layers": []}', "request_invalid"),
        (b'{"type": "export", "id": 1, "output": "b", "layers": {}, "format": "gif", "depth": 8}', "request_invalid"),
        (
            b'{"type": "export", "id": 1, "output": "b", "layers": {"a": "c.exr"}, "format": "exr", "depth": 16}',
            "layer_unreadable",
        ),
        (b'{"type": "cancel", "id": "nobody"}', "job_unknown"),
    ],
)
def test_bad_messages_are_answered_and_survived(client: Client, data: bytes, code: str) -> None:
    client.send_raw(data + b"\0")
    event = client.until("error")[-1]
    assert event["code"] == code and event["message"]
    client.send(type="list_banks", id="alive")
    assert client.until("banks")[-1]["id"] == "alive"


def test_a_missing_bank_is_an_error_of_the_job(client: Client, request_for: dict[str, Any]) -> None:
    client.send(**{**request_for, "bank": "no such bank"}, id=1)
    event = client.until("error", "result")[-1]
    assert (event["id"], event["code"]) == (1, "bank_missing")


def test_an_output_in_the_way_is_an_error_of_the_job(client: Client, request_for: dict[str, Any]) -> None:
    client.send(**{**request_for, "output": request_for["image"], "steps": 1, "preview_every": 0}, id=1)
    assert client.until("error", "result")[-1]["code"] == "output_unwritable"


def test_a_message_may_come_in_pieces(client: Client) -> None:
    for piece in (b'{"type": "list', b'_banks", "id": "\xc3', b'\xbc"}', b"\0"):
        client.send_raw(piece)
        time.sleep(0.02)
    assert client.receive()["id"] == "ü"


@pytest.mark.slow
def test_end_of_stdin_ends_the_process_in_mid_job(request_for: dict[str, Any]) -> None:
    client = Client()
    client.send(**{**request_for, "steps": 100_000}, id=1)
    client.until("progress")
    assert client.process.stdin is not None
    client.process.stdin.close()
    start = time.monotonic()
    assert client.process.wait(timeout=5) == 0
    assert time.monotonic() - start < 1
    client.close()


@pytest.mark.slow
@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("moment", ["starting", "idle", "working"])
def test_signals_end_the_process_in_order(request_for: dict[str, Any], number: str, moment: str) -> None:
    client = Client()
    if moment == "starting":
        while b"torch" not in Path(f"/proc/{client.process.pid}/maps").read_bytes():  # in the midst of its import
            time.sleep(0.01)
    else:
        client.receive()
    if moment == "working":
        client.send(**{**request_for, "steps": 100_000}, id=1)
        client.until("progress")
    client.process.send_signal(getattr(signal, number))
    assert client.process.wait(timeout=20) == 0
    client.close()


@pytest.mark.slow
@pytest.mark.parametrize("end", ["stdin", "SIGTERM"])
@pytest.mark.parametrize("working", [True, False])
def test_a_process_that_nobody_reads_ends_all_the_same(request_for: dict[str, Any], end: str, working: bool) -> None:
    client = Client()
    client.receive()
    if working:
        client.send(**{**request_for, "steps": 100_000}, id=1)
    for number in range(500):  # far more answers than a pipe takes
        client.send(type="list_banks", id=number)
    time.sleep(1.0)
    assert client.process.stdin is not None and client.process.poll() is None
    if end == "stdin":
        client.process.stdin.close()
    else:
        client.process.terminate()
    assert client.process.wait(timeout=20) == 0
    client.close()


STARTER = """
import subprocess, sys, time
print(subprocess.Popen([sys.executable, "-m", "join_engine", "serve"], stdin=subprocess.PIPE).pid, flush=True)
time.sleep(600)
"""


@pytest.mark.slow
@pytest.mark.parametrize("slow", ["import time; time.sleep(600)", "import ctypes; ctypes.PyDLL(None).sleep(600)"])
def test_a_process_that_still_loads_torch_ends_with_its_parent(tmp_path: Path, slow: str) -> None:
    (tmp_path / "torch.py").write_text(slow)  # the second keeps every other thread from running, as loading a library
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join((str(tmp_path), str(ROOT)))}
    command = [sys.executable, "-c", STARTER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=tmp_path, env=environment) as parent:
        assert parent.stdout is not None
        stat = Path(f"/proc/{parent.stdout.readline().strip()}/stat")
        time.sleep(3.0)  # it is in the midst of it
        assert stat.exists() and parent.poll() is None
        parent.kill()
        begun = time.monotonic()
        while stat.exists() and ") Z" not in stat.read_text():
            assert time.monotonic() - begun < 5.0
            time.sleep(0.02)


@pytest.mark.slow
def test_what_comes_before_the_end_of_stdin_is_answered() -> None:
    client = Client()
    client.receive()
    client.send(type="list_banks", id="last")
    assert client.process.stdin is not None
    client.process.stdin.close()
    assert client.until("banks")[-1]["id"] == "last"
    assert client.process.wait(timeout=20) == 0
    client.close()


@pytest.mark.slow
def test_it_says_that_it_lives_while_it_works_and_only_then(request_for: dict[str, Any]) -> None:
    client = Client()
    client.receive()
    client.send(**{**request_for, "steps": 100_000, "preview_every": 0}, id="long")
    assert client.until("alive")[-1]["id"] == "long"
    client.send(type="cancel", id="long")
    client.until("cancelled")
    time.sleep(2.5)
    client.send(type="list_banks", id=1)
    assert client.receive()["type"] == "banks"
    client.close()


@pytest.mark.slow
def test_shutdown() -> None:
    client = Client()
    client.send(type="shutdown", id="end")
    assert client.until("bye")[-1]["id"] == "end"
    assert client.process.wait(timeout=20) == 0
    client.close()


def test_missing_torch_is_told(tmp_path: Path) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise ImportError('not installed')")
    client = Client(PYTHONPATH=str(tmp_path))
    event = client.receive()
    assert (event["type"], event["id"], event["code"]) == ("error", None, "torch_missing")
    assert event["hint"]
    assert client.process.wait(timeout=20) == 3
    client.close()


@pytest.mark.parametrize(("error", "gone"), [(None, False), (109, True), (5, False)])
def test_on_windows_a_broken_pipe_says_that_nobody_is_there(
    monkeypatch: pytest.MonkeyPatch, error: int | None, gone: bool
) -> None:
    from join_engine.server import parent

    asked = []

    def peek(handle: str, size: int) -> None:
        asked.append((handle, size))
        if error is not None:
            problem = OSError("the pipe")
            problem.winerror = error  # type: ignore[attr-defined]
            raise problem

    monkeypatch.setitem(sys.modules, "_winapi", SimpleNamespace(PeekNamedPipe=peek))
    monkeypatch.setitem(sys.modules, "msvcrt", SimpleNamespace(get_osfhandle=lambda number: f"handle {number}"))
    with monkeypatch.context() as windows:
        windows.setattr(sys, "platform", "win32")
        found = parent._nobody_is_there()
    assert found == gone and asked == [("handle 0", 0)]
