# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's requests in this process, one after the other; test_server.py speaks to it over pipes."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from join_engine import portraits
from join_engine.bank import Bank, load_bank
from join_engine.errors import JoinError
from join_engine.inversion.codebook import CodeBook
from join_engine.inversion.progress import Monitor, Progress
from join_engine.layers.decomposition import load_decomposition
from join_engine.layers.result_folder import read_marker
from join_engine.relighting import pasting
from join_engine.server import engine as engine_module
from join_engine.server.engine import Engine
from join_engine.server.requests import LONGEST_MESSAGE, check, parse, request_id
from tests.join_engine.conftest import MakeBank
from tests.join_engine.test_bank_choice import DARK, LIGHT, photo, write
from tests.join_engine.test_faces import of_faces


class Answers:
    """Stands for the channel."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.ended = threading.Event()

    def send(self, kind: str, request: Any = None, **content: Any) -> None:
        self.events.append(json.loads(json.dumps({"type": kind, "id": request, **content})))
        if kind in ("result", "cancelled", "error", "banks"):
            self.ended.set()

    def send_error(self, request: Any, error: JoinError) -> None:
        self.send("error", request, code=error.code, message=error.message, hint=error.hint)


Ask = Callable[..., list[dict[str, Any]]]


@pytest.fixture(scope="module")
def ask() -> Ask:
    """Sends a request and gives all events up to its end."""
    answers = Answers()
    engine = Engine(answers, "cpu", 1)  # type: ignore[arg-type]
    threading.Thread(target=engine.work, daemon=True).start()

    def asked(**request: Any) -> list[dict[str, Any]]:
        answers.events.clear()
        answers.ended.clear()
        engine.handle(json.dumps(request).encode())
        assert answers.ended.wait(120)
        return list(answers.events)

    return asked


@pytest.fixture
def request_for(tmp_path: Path, tiny_bank_path: Path, picture: np.ndarray) -> dict[str, Any]:
    np.save(tmp_path / "image.npy", picture)
    return {
        "type": "decompose", "id": "a", "image": str(tmp_path / "image.npy"), "output": str(tmp_path / "out"),
        "bank": str(tiny_bank_path), "preset": "standard", "steps": 4, "seed": 3,
    }  # fmt: skip


def test_a_decomposition_from_the_request_to_its_files(ask: Ask, request_for: dict[str, Any]) -> None:
    events = ask(**request_for, preview_every=2, preview_size=16)
    assert [event["id"] for event in events] == ["a"] * len(events)
    kinds = [event["type"] for event in events]
    assert kinds[0] == "accepted" and kinds[-1] == "result" and kinds.count("preview") == 3
    previews = [event for event in events if event["type"] == "preview"]
    assert [event["step"] for event in previews] == [0, 2, 4]
    assert np.load(previews[1]["recomposed"]).shape == (11, 16, 3)
    progress = [event for event in events if event["type"] == "progress"]
    assert progress[-1]["words"] and 0.0 <= progress[0]["fraction"] <= progress[-1]["fraction"] <= 1.0
    result = events[-1]
    assert result["formula"] == [["albedo", "shading"]] and result["settings"]["seed"] == 3
    assert result["seconds"]["write"] > 0.0
    layers = {name: np.load(path) for name, path in result["layers"].items()}
    np.testing.assert_allclose(np.load(result["recomposed"]), layers["albedo"] * layers["shading"], rtol=1e-6)
    stored = load_decomposition(result["decomposition"])
    assert all(np.array_equal(stored.layers[name], layers[name]) for name in layers)
    assert load_decomposition(result["compact"]).size == (40, 56)  # small enough already


@pytest.mark.slow
def test_a_face_from_the_request_to_its_files(
    ask: Ask, request_for: dict[str, Any], tmp_path: Path, bank_maker: MakeBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The head by the bank of the request, all around it by another; relit where it is."""
    parts = (("albedo", "srgb"), ("shading", "reinhard"))
    faces = bank_maker(tmp_path / "faces.safetensors", "lambertian", parts)
    of_faces(load_bank(faces, with_discriminators=True), faces)
    around = load_bank(request_for["bank"])
    monkeypatch.setattr(portraits, "load_rest", lambda device: portraits.Rest(around, CodeBook(around)))
    wanted = {**request_for, "bank": str(faces), "face": {"box": [8, 4, 36, 32]}, "preview_every": 2}
    events = ask(**wanted, preview_size=16)
    result = events[-1]
    assert result["type"] == "result" and result["notes"] == [], result
    previews = [event for event in events if event["type"] == "preview"]
    assert len(previews) == 3 and np.load(previews[-1]["recomposed"]).shape == (11, 16, 3)
    face = result["settings"]["face"]
    assert face["size"] == [40, 56] and face["crop"] == {"center": [22.0, 18.0], "right": [14.0, 0.0]}
    layers = {name: np.load(path) for name, path in result["layers"].items()}
    image = np.load(request_for["image"])[..., :3]
    np.testing.assert_allclose(layers["albedo"] * layers["shading"], image, atol=2e-3)
    held = {"decomposition": result["compact"], "layers": result["layers"], "bank": str(faces)}
    found = ask(type="directions", id=1, **held)[-1]["directions"]
    edits = [{"component": "shading", "direction": found[0]["name"], "amount": 1.5}]
    lit = ask(type="relight", id=2, edits=edits, output=str(tmp_path / "lit"), store=False, **held)[-1]
    assert not np.allclose(np.load(lit["layers"]["shading"]), layers["shading"])
    # Told of no face, it looks for one.
    looked = ask(**{**wanted, "face": None})[-1]
    assert looked["type"] == "error" and looked["code"] in ("face_missing", "face_finder_missing")
    masked = ask(**{**wanted, "mask": request_for["image"]})[-1]
    assert masked["code"] == "bank_unsuited"
    assert ask(**{**wanted, "face": {"box": [1, 2]}})[-1]["code"] == "request_invalid"
    together = {**wanted, "type": "decompose_together", "images": [request_for["image"]] * 2, "face": None}
    assert ask(**together)[-1]["code"] == "bank_unsuited"


@pytest.mark.slow
def test_a_bank_is_suggested_to_those_who_have_chosen_none(
    ask: Ask, request_for: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(portraits, "suggested_bank", lambda image: "faces")
    chosen = ask(**request_for)[-1]
    assert chosen["notes"] == [] and "suggested_bank" not in chosen
    free = ask(**{**request_for, "bank": None, "preset": "draft", "steps": None, "preview_every": 0})[-1]
    told = "A face was found, which the bank 'faces' is made for: choose it, and compare."
    assert free["suggested_bank"] == "faces" and free["notes"] == [told]


@pytest.mark.slow
def test_settings_of_a_decomposition_reach_it(ask: Ask, request_for: dict[str, Any], picture: np.ndarray) -> None:
    plain = ask(**request_for)[-1]
    same = ask(**{**request_for, "output": request_for["output"] + "2"})[-1]
    other = ask(**{**request_for, "seed": 4, "detail": False})[-1]
    assert plain["metrics"] == same["metrics"] and plain["settings"]["detail"] is not None
    assert other["settings"]["detail"] is None and other["settings"]["seed"] == 4
    assert not any(event["type"] == "preview" for event in ask(**request_for, preview_every=0))
    assert plain["metrics"]["psnr"] > other["metrics"]["psnr"]
    assert plain["notes"] == []


def test_relighting_and_storing_what_a_blend_holds(ask: Ask, request_for: dict[str, Any], tmp_path: Path) -> None:
    made = ask(**request_for)[-1]
    held = {"decomposition": made["compact"], "layers": made["layers"], "bank": request_for["bank"]}
    found = ask(type="directions", id=1, **held)[-1]["directions"]
    assert {direction["component"] for direction in found} == {"shading"}
    edits = [{"component": "shading", "direction": found[0]["name"], "amount": 1.5}]
    out = str(tmp_path / "lit")
    small = ask(type="relight", id=2, edits=edits, output=out, preview=True, **held)[-1]
    assert max(np.load(small["recomposed"]).shape) == 16 and Path(small["recomposed"]).name == "preview.recomposed.npy"
    changed = ask(type="relight", id=3, edits=edits, output=out, store=False, **held)[-1]
    assert set(changed) == {"type", "id", "layers"} and set(changed["layers"]) == {"shading"}
    whole = ask(type="relight", id=4, edits=edits, output=out, **held)[-1]
    assert np.array_equal(np.load(whole["layers"]["shading"]), np.load(changed["layers"]["shading"]))
    assert np.array_equal(np.load(whole["layers"]["albedo"]), np.load(made["layers"]["albedo"]))
    for number, (moves, shading) in enumerate(((edits, whole), ([], made), (None, made))):
        path = tmp_path / f"{number}.join"
        assert ask(type="store", id=5, edits=moves, output=str(path), **held)[-1]["files"] == [str(path)]
        assert np.array_equal(load_decomposition(path).layers["shading"], np.load(shading["layers"]["shading"]))
    other = ask(type="relight", id=6, edits=edits, output=out, **{**held, "layers": {"albedo": "x"}})[-1]
    assert other["code"] == "request_invalid" and "albedo, shading" in other["message"]


@pytest.mark.slow
def test_exports_and_maps(ask: Ask, request_for: dict[str, Any], tmp_path: Path) -> None:
    layers = ask(**request_for)[-1]["layers"]
    common = {"type": "export", "id": 1, "layers": layers, "output": str(tmp_path / "a.exr")}
    assert ask(**common, format="exr", depth=16)[-1]["files"] == [str(tmp_path / "a.exr")]
    files = ask(**{**common, "output": str(tmp_path / "a")}, format="png", depth=8)[-1]["files"]
    assert sorted(Path(file).name for file in files) == ["a albedo.png", "a shading.png"]
    np.save(tmp_path / "alpha.npy", np.ones((40, 56), np.float32))
    ask(**common, format="exr", depth=32, alpha=str(tmp_path / "alpha.npy"), formula=[["albedo", 2.0]])
    import OpenEXR

    with OpenEXR.File(str(tmp_path / "a.exr"), separate_channels=True) as file:
        channels = file.channels()
        np.testing.assert_array_equal(channels["R"].pixels, channels["albedo.R"].pixels * np.float32(2))
        assert np.all(channels["A"].pixels == 1)
    both = {"type": "maps", "id": 1, "layers": layers, "output": str(tmp_path), "relief": 1.0}
    made = ask(**both, alpha=str(tmp_path / "alpha.npy"))[-1]
    assert set(made["maps"]) == {"height", "normal"} and made["span"] > 0.0  # no specular: no roughness
    assert np.load(made["maps"]["normal"]).shape == (40, 56, 3)
    assert ask(**{**both, "relief": -1.0})[-1]["code"] == "request_invalid"
    assert ask(**{**both, "layers": {}})[-1]["code"] == "layer_unreadable"
    os.mkfifo(tmp_path / "pipe.npy")
    for place in (tmp_path / "pipe.npy", tmp_path, tmp_path / "gone.npy", Path("/dev/zero")):
        event = ask(**{**both, "layers": {"albedo": str(place)}})[-1]
        assert event["code"] == "layer_unreadable" and event["hint"] == "Decompose it again."
        assert event["message"].startswith("A layer cannot be read (")
        codes = ("image_unreadable", "image_missing")
        assert ask(type="convert", id=2, image=str(place), output=str(tmp_path))[-1]["code"] in codes
    for wrong in ([["albedo", None]], [["albedo", []]], [[]], ["albedo"], [["albedo"], 2.0], [[2.0]]):
        assert ask(**common, format="exr", depth=32, formula=wrong)[-1]["code"] == "request_invalid", wrong
    for wrong in ({"format": "exr", "depth": 8}, {"format": "gif", "depth": 8}, {"format": "png", "depth": 32}):
        assert ask(**common, **wrong)[-1]["code"] == "request_invalid"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"image": None}, "request_invalid"),
        ({"image": "a\0b"}, "request_invalid"),
        ({"image": "\ud800"}, "request_invalid"),
        ({"image": "x" * 5000}, "request_invalid"),
        ({"image": "x" * 300 + ".png"}, "image_missing"),
        ({"output": 3}, "request_invalid"),
        ({"output": "/dev/null/x"}, "output_unwritable"),
        ({"bank": []}, "request_invalid"),
        ({"bank": "x" * 300}, "bank_missing"),
        ({"preset": {}}, "request_invalid"),
        ({"preset": "fast"}, "preset_unknown"),
        ({"steps": -1}, "request_invalid"),
        ({"steps": True}, "request_invalid"),
        ({"steps": 0}, "steps_invalid"),
        ({"seed": 1.0}, "request_invalid"),
        ({"seed": 10**40}, "message_malformed"),
        ({"detail": 1}, "request_invalid"),
        ({"files": "yes"}, "request_invalid"),
        ({"layer": "Normal"}, "layer_missing"),
        ({"id": None}, "request_invalid"),
        ({"id": True}, "request_invalid"),
        ({"id": 1.5}, "request_invalid"),
        ({"id": "x" * 257}, "request_invalid"),
        ({"type": "dance"}, "request_unknown"),
        ({"type": ["decompose"]}, "message_malformed"),
    ],
)
def test_what_no_request_may_hold(ask: Ask, request_for: dict[str, Any], change: dict[str, Any], code: str) -> None:
    event = ask(**{**request_for, **change})[-1]
    assert event["code"] == code and event["message"].endswith(".") and len(json.dumps(event)) < 6000


def test_the_longest_message_and_the_longest_id() -> None:
    assert parse(b'{"type": "x"}'.ljust(LONGEST_MESSAGE))["type"] == "x"
    with pytest.raises(JoinError) as caught:
        parse(b'{"type": "x"}'.ljust(LONGEST_MESSAGE + 1))
    assert caught.value.code == "message_too_long" and "1 MiB" in caught.value.message
    assert request_id({"id": "x" * 256}) == "x" * 256 and request_id({}) is None
    check({"type": "directions", "decomposition": "x" * 4096, "layers": {"n" * 100: "p"}})
    for wrong in (
        {"decomposition": "x" * 4097},
        {"layers": {"n" * 101: "p"}},
        {"layers": {"a/b": "p"}},
        {"layers": []},
    ):
        with pytest.raises(JoinError):
            check({"type": "directions", "decomposition": "x", **wrong})


def test_photos_are_called_in_messages_as_the_client_calls_them(
    ask: Ask, request_for: dict[str, Any], tmp_path: Path
) -> None:
    np.save(tmp_path / "smaller.npy", np.full((40, 40, 3), 0.5, np.float32))
    images = [request_for["image"], str(tmp_path / "smaller.npy")]
    event = ask(**{**request_for, "type": "decompose_together", "images": images, "names": ["left", "right"]})[-1]
    assert event["code"] == "photos_sizes"
    assert "'right' is 40 × 40" in event["message"] and "'left' is 56 × 40" in event["message"]


@pytest.mark.slow
def test_a_decomposition_is_relit_by_its_own_bank_alone(
    ask: Ask, request_for: dict[str, Any], tmp_path: Path, bank_maker: MakeBank
) -> None:
    """Where nobody names it: the one that is at hand may be another."""
    mine = ask(**request_for)[-1]
    held = {"decomposition": mine["compact"], "layers": mine["layers"]}
    assert ask(type="directions", id=1, **held)[-1]["directions"]
    other = bank_maker(tmp_path / "other.safetensors", "lambertian", (("albedo", "srgb"), ("shading", "reinhard")), 32)
    assert ask(**{**request_for, "bank": str(other), "output": str(tmp_path / "second")})[-1]["type"] == "result"
    event = ask(type="directions", id=2, **{**held, "preview_size": 8})[-1]
    assert event["type"] == "result", "what was relit last is still at hand"
    (tmp_path / "again.join").write_bytes(Path(mine["compact"]).read_bytes())
    event = ask(type="directions", id=3, **{**held, "decomposition": str(tmp_path / "again.join")})[-1]
    assert event["code"] == "bank_missing" and "'tiny'" in event["message"]
    named = {**held, "decomposition": str(tmp_path / "again.join"), "bank": request_for["bank"]}
    assert ask(type="directions", id=4, **named)[-1]["type"] == "result"


def test_how_long_photos_together_take_to_write_is_learned(
    request_for: dict[str, Any], tmp_path: Path, picture: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("join_engine.server.course._SMALLEST", 0.0)
    answers = Answers()
    engine = Engine(answers, "cpu", 1)  # type: ignore[arg-type]
    threading.Thread(target=engine.work, daemon=True).start()
    np.save(tmp_path / "dim.npy", 0.5 * picture)
    images = [request_for["image"], str(tmp_path / "dim.npy")]
    kinds = ("finish", "together", "write")
    guessed = [engine._paces.expected(kind, 1000) for kind in kinds]
    engine.handle(json.dumps({**request_for, "type": "decompose_together", "images": images}).encode())
    assert answers.ended.wait(120) and answers.events[-1]["type"] == "result", answers.events[-1]
    learned = [engine._paces.expected(kind, 1000) for kind in kinds]
    assert all(before != after for before, after in zip(guessed, learned, strict=True))


def test_a_paste_without_a_mask_is_told_what_it_lacks(ask: Ask, request_for: dict[str, Any]) -> None:
    made = ask(**request_for)[-1]
    wanted = {"decomposition": made["compact"], "layers": made["layers"], "output": request_for["output"]}
    wanted["patch"] = request_for["image"]
    event = ask(type="paste", id=1, **wanted)[-1]
    assert event["code"] == "request_invalid" and event["message"] == "A paste request needs 'mask', a path."


def test_a_paste_is_as_the_request_asks(
    ask: Ask, request_for: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def pasted(*_: Any, **options: Any) -> None:
        asked.update(options)
        raise JoinError("request_invalid", "Seen.")

    monkeypatch.setattr(pasting, "paste", pasted)
    made = ask(**request_for)[-1]
    wanted = {"decomposition": made["compact"], "layers": made["layers"], "output": request_for["output"]}
    Image.new("L", (56, 40), 255).save(tmp_path / "mask.png")
    wanted |= {"patch": request_for["image"], "mask": str(tmp_path / "mask.png"), "bank": request_for["bank"]}
    assert ask(type="paste", id=1, **wanted, scale=2.0, feather=3.0)[-1]["message"] == "Seen."
    assert {name: asked[name] for name in asked if name != "monitor"} == {"scale": 2.0, "feather": 3.0}


def test_the_bank_for_all_around_a_face_is_loaded_anew_when_its_file_changes(
    tiny_bank_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "around.safetensors"
    path.write_bytes(tiny_bank_path.read_bytes())
    monkeypatch.setattr("join_engine.bank.find_bank", lambda *_: path)
    monkeypatch.setattr(portraits, "find_bank", lambda *_: path)
    engine = Engine(Answers(), "cpu", 1)  # type: ignore[arg-type]
    first = engine._load_rest()
    assert engine._load_rest() is first
    os.utime(path, (1.0, 1.0))
    assert engine._load_rest() is not first


def test_jobs_that_are_not_there_and_banks_that_are(ask: Ask, tiny_bank_path: Path, monkeypatch: Any) -> None:
    assert ask(type="cancel", id="nobody")[-1]["code"] == "job_unknown"
    from join_engine.bank import file as bank_file

    monkeypatch.setattr(bank_file, "BANKS_FOLDER", tiny_bank_path.parent)
    (tiny_bank_path.parent / "broken.safetensors").write_bytes(b"no bank")
    try:
        found = {bank["name"]: bank for bank in ask(type="list_banks", id=3)[-1]["banks"]}
    finally:
        (tiny_bank_path.parent / "broken.safetensors").unlink()
    tiny = found["tiny"]
    assert (tiny["resolution"], tiny["components"]) == (16, ["albedo", "shading"]) and "broken" not in found
    assert (tiny["path"], tiny["forward_model"]) == (str(tiny_bank_path), "lambertian")


def test_what_fails_within_is_told_by_its_kind(ask: Ask, request_for: dict[str, Any], monkeypatch: Any) -> None:
    import join_engine.pipeline

    for error, code in (
        (MemoryError(), "out_of_memory"),
        (RuntimeError("[enforce fail] can't allocate memory: 1"), "out_of_memory"),
        (RuntimeError("a fault"), "internal"),
        (OSError(36, "File name too long", "x" * 300), "file_unusable"),
        (OSError("it is gone"), "file_unusable"),
    ):

        def failing(*_: Any, _error: Exception = error, **__: Any) -> None:
            raise _error

        monkeypatch.setattr(join_engine.pipeline, "decompose", failing)
        event = ask(**request_for)[-1]
        assert event["code"] == code and event["hint"]
        if code == "internal":
            assert event["message"] == "The engine failed: RuntimeError: a fault"
            assert event["hint"] == "Please report the details in the log."
        if code == "file_unusable":
            named = f"'{'x' * 200}' cannot be used (File name too long)."
            assert event["message"] == (named if error.filename else "A file cannot be used (it is gone).")
            assert event["hint"] == "Choose another path."


def test_files_of_a_search_that_was_stopped_say_so(
    request_for: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the next run would leave them out as finished."""
    import join_engine.pipeline

    answers, decompose = Answers(), join_engine.pipeline.decompose
    engine = Engine(answers, "cpu", 1)  # type: ignore[arg-type]
    threading.Thread(target=engine.work, daemon=True).start()
    Image.fromarray(np.full((40, 56, 3), 90, np.uint8)).save(tmp_path / "photo.png")
    message = {**request_for, "image": str(tmp_path / "photo.png"), "output": str(tmp_path / "photo"), "files": True}

    def ask(**more: Any) -> dict[str, Any]:
        answers.ended.clear()
        engine.handle(json.dumps({**message, **more}).encode())
        assert answers.ended.wait(120)
        return answers.events[-1]

    def stopped(*args: Any, **more: Any) -> Any:
        engine.handle(json.dumps({"type": "cancel", "id": "a", "keep": True}).encode())
        return decompose(*args, **more)

    with monkeypatch.context() as patch:
        patch.setattr(join_engine.pipeline, "decompose", stopped)
        told = ask()
    marker = read_marker(tmp_path / "photo")
    assert told["type"] == "cancelled" and told["result"]["folder"] == str(tmp_path / "photo")
    assert marker is not None and marker.made.settings["stopped_early"] is True
    again = ask(skip_existing=True)
    assert again["type"] == "result" and not again["skipped"] and again["replaced"]
    assert ask(skip_existing=True)["skipped"]
    marker = read_marker(tmp_path / "photo")
    assert marker is not None and not {"stopped_early", "face"} & set(marker.made.settings)


@pytest.mark.parametrize(("keep", "late"), [(False, False), (False, True), (True, False)])
def test_layers_that_are_discarded_while_they_are_made_are_not_written(
    request_for: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: bool, late: bool
) -> None:
    import join_engine.pipeline

    answers, decompose = Answers(), join_engine.pipeline.decompose
    engine = Engine(answers, "cpu", 1)  # type: ignore[arg-type]
    threading.Thread(target=engine.work, daemon=True).start()

    def stopped(*args: Any, monitor: Monitor, **more: Any) -> Any:
        def cancel() -> None:
            engine.handle(json.dumps({"type": "cancel", "id": "a", "keep": keep}).encode())

        found = decompose(*args, monitor=monitor if late else replace(monitor, on_finish=cancel), **more)
        if late:
            cancel()
        return found

    monkeypatch.setattr(join_engine.pipeline, "decompose", stopped)
    engine.handle(json.dumps(request_for).encode())
    assert answers.ended.wait(120)
    told = answers.events[-1]
    assert told["type"] == "cancelled" and (told["result"] is not None) is keep
    assert list(tmp_path.glob("out*")) == ([Path(request_for["output"])] if keep else [])


def test_progress_is_not_told_more_often_than_anybody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    from join_engine.inversion.presets import get_preset

    answers, now = Answers(), [100.0]
    engine = Engine(answers, "cpu", 1)  # type: ignore[arg-type]
    monkeypatch.setattr(engine_module.time, "monotonic", lambda: now[0])
    report = engine._report_progress(engine_module.Job("a", {}), get_preset("standard"), 0.0)
    for step in range(1, 11):
        now[0] += 0.06
        report(Progress("joint", step, 10, 1.0, 0.5))
    told = [event["step"] for event in answers.events]
    assert told == [1, 3, 5, 7, 9, 10]


@pytest.mark.slow
def test_a_bank_is_chosen_by_the_picture(
    ask: Ask, request_for: dict[str, Any], seeing_bank: Bank, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from join_engine.bank import file as bank_file

    folder = tmp_path / "banks"
    folder.mkdir()
    write(seeing_bank, folder / "materials.safetensors", pictures=DARK)
    write(seeing_bank, folder / "snow.safetensors", pictures=LIGHT)
    (folder / "broken.safetensors").write_bytes(b"no bank")
    monkeypatch.setattr(bank_file, "BANKS_FOLDER", folder)
    monkeypatch.setattr(portraits, "suggested_bank", lambda image: "faces")
    np.save(tmp_path / "image.npy", photo(0.4))
    wanted = {**request_for, "preset": "draft", "steps": None, "preview_every": 0}
    chosen = ask(**{**wanted, "bank": "auto"})[-1]
    named = ask(**{**wanted, "bank": "snow", "output": str(tmp_path / "named")})[-1]
    assert chosen["bank"] == named["bank"] and chosen["bank"]["name"] == "snow"
    assert chosen["settings"]["bank_choice"]["chosen"] == "snow" and "bank_choice" not in named["settings"]
    assert all(
        np.array_equal(np.load(chosen["layers"][name]), np.load(named["layers"][name])) for name in named["layers"]
    )
    assert "broken.safetensors was passed over" in chosen["notes"][0] and named["notes"] == []
    # Nobody has chosen, so that a face is still told of.
    assert chosen["suggested_bank"] == "faces" and "suggested_bank" not in named
    np.save(tmp_path / "mask.npy", np.eye(40, 56, dtype=np.float32)[..., None])
    masked = {"bank": "auto", "mask": str(tmp_path / "mask.npy"), "output": str(tmp_path / "masked")}
    covered = ask(**{**wanted, **masked})[-1]
    assert covered["type"] == "result" and "suggested_bank" not in covered  # what is covered may be the face
    photos = {**wanted, "type": "decompose_together", "images": [str(tmp_path / "image.npy")] * 2}
    together = ask(**{**photos, "bank": "auto"})[-1]
    assert [each["settings"]["bank_choice"]["chosen"] for each in together["photos"]] == ["snow", "snow"]
    assert sum("broken.safetensors" in note for note in together["notes"]) == 1
    # What is stored tells its bank; there is nothing to choose for the light of a set.
    relit = {"type": "directions", "id": "d", "decomposition": chosen["decomposition"]}
    assert ask(**relit)[-1]["type"] == "result"
    assert ask(**{**relit, "bank": "auto"})[-1]["code"] == "bank_missing"
