# SPDX-License-Identifier: GPL-3.0-or-later
"""The requests that the engine answers: a queue of jobs, one at a time."""

from __future__ import annotations

import logging
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import Discarded, JoinError, is_out_of_memory
from ..names import is_file
from .channel import Channel, leave
from .course import Course, Paces, Tail
from .pixels import compacted, load_array, read_layers, write_arrays, write_pixels
from .requests import MOST, check, formula_of, parse, request_id

if TYPE_CHECKING:
    import numpy as np

    from ..bank import Bank, Choice
    from ..images.files import Picture
    from ..inversion.codebook import CodeBook
    from ..inversion.presets import Preset
    from ..inversion.progress import Progress
    from ..layers.decomposition import Decomposition
    from ..layers.result_folder import Made
    from ..pipeline import Outcome
    from ..portraits import Rest
    from ..relighting.relighter import Edit, Relighter

_SECONDS_BETWEEN_PROGRESS = 0.1
_SECONDS_BETWEEN_SIGNS = 2.0
_log = logging.getLogger("join_engine.server")


@dataclass
class Job:
    """One request that takes time."""

    request: Any
    message: dict[str, Any]
    cancelled: threading.Event = field(default_factory=threading.Event)
    keep: bool = False
    tail: Tail | None = None
    """What it does after its stages, as soon as it does."""

    def discarded(self) -> bool:
        """Whether it is cancelled, and nobody wants the best so far."""
        return self.cancelled.is_set() and not self.keep


@dataclass(frozen=True)
class _Place:
    """Where a result for other programs goes, and what makes it; see :mod:`join_engine.layers.result_folder`."""

    folder: Path
    made: Made

    @classmethod
    def asked_for(cls, message: dict[str, Any], bank: Bank, preset: Preset) -> _Place:
        """By a decompose request whose ``output`` names a folder."""
        from ..layers.result_folder import Made, folder_for
        from ..portraits import decides

        face = decides(message.get("face")) if bank.header.faces else None
        seed, upright = message.get("seed") or 0, message.get("upright") is not False
        made = Made.decomposing(Path(message["image"]), bank, preset, seed, message.get("layer"), upright, face=face)
        output = Path(message["output"])
        return cls(folder_for(output.parent, output.name, made), made)

    def stopped_early(self) -> _Place:
        """The same for the best so far: another run shall not take it for what it would make."""
        return replace(self, made=replace(self.made, settings={**self.made.settings, "stopped_early": True}))

    @property
    def is_finished(self) -> bool:
        from ..layers.result_folder import is_finished

        return is_finished(self.folder, self.made)

    def write(self, decomposition: Decomposition, notes: Sequence[str]) -> dict[str, Any]:
        """Write a result, as the command line does; the content of its event."""
        from ..layers.layer_files import write_report, write_result
        from ..layers.result_folder import read_marker, result_folder

        replaced = read_marker(self.folder) is not None
        with result_folder(self.folder, self.made) as new:
            write_result(new, decomposition)
            write_report(new, self.made.source.path, notes, decomposition)
        return {**self.answer(skipped=False), "replaced": replaced, **decomposition.summary()}

    def answer(self, skipped: bool) -> dict[str, Any]:
        """What there is."""
        layers = {path.stem: str(path) for path in sorted(self.folder.glob("*.exr"))}
        stored = str(self.folder / "decomposition.join")
        return {"layers": layers, "decomposition": stored, "folder": str(self.folder), "skipped": skipped}


class Engine:
    """Queues jobs, runs one at a time, answers."""

    def __init__(self, channel: Channel, device: str, threads: int | None) -> None:
        from ..device import set_up_torch

        self.device = set_up_torch(device, threads)
        self._channel = channel
        self._queue: queue.SimpleQueue[Job] = queue.SimpleQueue()
        self._jobs: dict[Any, Job] = {}  # waiting or running, by id
        self._lock = threading.Lock()
        self._at_work: Job | None = None
        self._paces = Paces()
        self._bank: tuple[Path, float, Bank, CodeBook] | None = None
        self._rest: tuple[Any, Rest] | None = None
        self._relighter: tuple[Any, Relighter] | None = None

    # --- the reading thread -----------------------------------------------------------------------------------

    def handle(self, data: bytes) -> None:
        """Take in one message; never raises."""
        request = None
        try:
            message = parse(data)
            request = request_id(message)
            self._dispatch(message["type"], request, message)
        except JoinError as error:
            self._channel.send_error(request, error)
        except Exception as error:
            self._channel.send_error(request, _internal(error))

    def _dispatch(self, kind: str, request: Any, message: dict[str, Any]) -> None:
        if kind in self._work:
            self._enqueue(request, message)
        elif kind == "cancel":
            self._cancel(request, bool(message.get("keep", False)))
        elif kind == "list_banks":
            self._channel.send("banks", request, banks=self.list_banks())
        elif kind == "shutdown":
            self._channel.send("bye", request)
            leave()
        else:
            raise JoinError("request_unknown", f"There is no request of the type {kind[:80]!r}.")

    def _enqueue(self, request: str | int | None, message: dict[str, Any]) -> None:
        if request is None:
            raise JoinError("request_invalid", "A job needs an id, a string or a whole number.")
        check(message)
        with self._lock:
            if request in self._jobs:
                raise JoinError("request_invalid", f"A job with the id {request!r} is at work already.")
            job = self._jobs[request] = Job(request, message)
        self._channel.send("accepted", request)
        self._queue.put(job)

    def _cancel(self, request: Any, keep: bool) -> None:
        with self._lock:
            job = self._jobs.get(request)
            if job is not None:
                job.keep = keep
                job.cancelled.set()
        if job is None:
            raise JoinError("job_unknown", f"No job with the id {request!r} waits or runs.")

    def list_banks(self) -> list[dict[str, Any]]:
        """The shipped banks that can be read; the log names the others."""
        from ..bank import list_banks, read_header

        banks = []
        for path in list_banks():
            try:
                header = read_header(path)
            except JoinError as error:
                _log.warning("%s", error)
                continue
            banks.append(
                {
                    "name": header.name,
                    "path": str(path),
                    "resolution": header.resolution,
                    "components": list(header.components),
                    "forward_model": header.forward_model,
                    "faces": header.faces,
                }
            )
        return banks

    # --- the working thread -----------------------------------------------------------------------------------

    def work(self) -> None:
        """Run jobs for ever."""
        threading.Thread(target=self._show_life, name="life", daemon=True).start()
        while True:
            self._at_work = job = self._queue.get()
            try:
                final = self._run(job)
            finally:
                # Before the last event, so that a client may use the id again as soon as it reads it.
                with self._lock:
                    self._at_work = None
                    del self._jobs[job.request]
            final()

    def _show_life(self) -> None:
        """Say from time to time that a job is at work, also where it has nothing to tell."""
        while True:
            time.sleep(_SECONDS_BETWEEN_SIGNS)
            with self._lock:
                if self._at_work is not None:
                    self._tell_life(self._at_work)

    def _run(self, job: Job) -> Callable[[], None]:
        """Do a job; returns what sends its last event."""
        try:
            if job.cancelled.is_set():
                raise Discarded
            kind, content = self._work[job.message["type"]](self, job)
        except Discarded:
            return lambda: self._channel.send("cancelled", job.request, result=None)
        except JoinError as error:
            problem = error
        except MemoryError:
            problem = _out_of_memory()
        except OSError as error:  # of a path that no reader has looked at, such as a name too long for the system
            problem = _unusable(error)
        except Exception as error:
            problem = _out_of_memory() if is_out_of_memory(error) else _internal(error)
        else:
            return lambda: self._channel.send(kind, job.request, **content)
        return lambda: self._channel.send_error(job.request, problem)

    def _decompose(self, job: Job) -> tuple[str, dict[str, Any]]:
        from ..images.files import read_picture
        from ..inversion.presets import DEFAULT_PRESET, get_preset
        from ..inversion.progress import Monitor
        from ..pipeline import with_choice
        from ..portraits import suggest

        message = job.message
        if message.get("mask") and message.get("files"):
            raise JoinError("request_invalid", "A decompose request with a 'mask' writes no 'files'.")
        output = Path(message["output"])
        preset = get_preset(message.get("preset") or DEFAULT_PRESET).with_steps(message.get("steps"))
        if message.get("detail") is False:
            preset = replace(preset, detail=None)
        picture = read_picture(message["image"], message.get("layer"), message.get("upright") is not False)
        (bank, codebook), choice = self._bank_for(message, [picture])
        seed = message.get("seed") or 0
        place = _Place.asked_for(message, bank, preset) if message.get("files") else None
        if place is not None and message.get("skip_existing") and place.is_finished:
            return "result", place.answer(skipped=True)
        preview_every = message.get("preview_every") or 0
        preview_size = message.get("preview_size") or None
        pixels = picture.pixels.shape[0] * picture.pixels.shape[1]
        kind = "write" if place is None else "files"
        writing = self._paces.expected(kind, pixels)
        after = self._paces.expected("finish", pixels) + writing
        monitor = Monitor(
            self._report_progress(job, preset, after),
            job.cancelled.is_set,
            preview_every,
            on_finish=lambda: self._enter(job, Tail("Making the layers", after)),
            discarded=job.discarded,
        )
        show = self._report_preview(job, output, bank) if preview_every else None
        split, told = self._way(job, bank, picture)
        suggested, why = (None, []) if message.get("mask") else suggest(picture.pixels, message.get("bank"))
        notes = [*picture.notes, *([] if choice is None else choice.passed_over), *told, *why]
        what = {"bank": bank, "preset": preset, "seed": seed, "codebook": codebook}
        outcome = split(picture.pixels, **what, monitor=monitor, on_preview=show, preview_size=preview_size)
        monitor.go_on()
        found = with_choice(outcome.decomposition, choice)
        if not outcome.cancelled:  # which makes them sooner
            self._paces.learn("finish", pixels, found.seconds["finish"])
        self._enter(job, Tail("Writing the layers", writing))
        begun = time.monotonic()
        if place is not None and outcome.cancelled:
            place = place.stopped_early()
        result = self._result(found, output) if place is None else place.write(found, notes)
        self._paces.learn(kind, pixels, time.monotonic() - begun)
        result["notes"] = notes
        if suggested is not None:
            result["suggested_bank"] = suggested
        return ("cancelled", {"result": result}) if outcome.cancelled else ("result", result)

    def _way(self, job: Job, bank: Bank, picture: Picture) -> tuple[Callable[..., Outcome], list[str]]:
        """What splits a picture: as it is, without what a mask covers, or a face apart from all around it; and what a
        person should know of the face."""
        from ..images.files import read_picture
        from ..layers.clean_up import mask_of
        from ..pipeline import clean_up, decompose
        from ..portraits import decompose_portrait, face_in, refuse_faces

        if job.message.get("mask"):
            refuse_faces(bank, "Cleaning up")
            return partial(clean_up, mask=mask_of(read_picture(job.message["mask"]).pixels)), []
        if not bank.header.faces:
            return decompose, []
        crop, notes = face_in(picture.pixels, "the image", job.message.get("face"))
        return partial(decompose_portrait, face=crop, rest=self._load_rest), notes

    def _decompose_together(self, job: Job) -> tuple[str, dict[str, Any]]:
        """Photos of one thing under other light: a result of each, whose albedos are one and the same file."""
        from ..images.files import read_picture
        from ..inversion.presets import DEFAULT_PRESET, get_preset
        from ..inversion.progress import Monitor
        from ..pipeline import decompose_together, with_choice
        from ..portraits import refuse_faces

        message = job.message
        paths = message["images"]
        names = message.get("names") or [Path(path).name for path in paths]
        if len(names) != len(paths):
            raise JoinError("request_invalid", "'names' must name each of the images.")
        preset = get_preset(message.get("preset") or DEFAULT_PRESET).with_steps(message.get("steps"))
        pictures = [read_picture(path) for path in paths]
        (bank, codebook), choice = self._bank_for(message, pictures)
        refuse_faces(bank, "Decomposing photos together")
        pixels = sum(picture.pixels.shape[0] * picture.pixels.shape[1] for picture in pictures)
        writing = self._paces.expected("write", pixels)
        after = self._paces.expected("finish", pixels) + self._paces.expected("together", pixels) + writing
        monitor = Monitor(
            self._report_progress(job, preset, after),
            job.cancelled.is_set,
            on_finish=lambda: self._enter(job, Tail("Putting the photos together", after)),
            discarded=job.discarded,
        )
        photos, seed = [picture.pixels for picture in pictures], message.get("seed") or 0
        outcomes = decompose_together(photos, names, bank, preset, seed, monitor, codebook)
        monitor.go_on()
        found = [with_choice(outcome.decomposition, choice) for outcome in outcomes]
        stopped = any(outcome.cancelled for outcome in outcomes)
        if not stopped:
            self._paces.learn("finish", pixels, found[0].seconds["finish"])
        self._paces.learn("together", pixels, found[0].seconds["together"])
        self._enter(job, Tail("Writing the layers", writing))
        begun = time.monotonic()
        results: list[dict[str, Any]] = []
        for number, decomposition in enumerate(found):
            result = self._result(decomposition, Path(message["output"]) / str(number))
            if results:
                Path(result["layers"]["albedo"]).unlink()
                result["layers"]["albedo"] = results[0]["layers"]["albedo"]
            results.append(result)
        self._paces.learn("write", pixels, time.monotonic() - begun)
        notes = [f"{name}: {note}" for name, picture in zip(names, pictures, strict=True) for note in picture.notes]
        notes += [] if choice is None else choice.passed_over
        told = {"photos": results, "notes": notes}
        return ("cancelled", {"result": told}) if stopped else ("result", told)

    def _relight(self, job: Job) -> tuple[str, dict[str, Any]]:
        """A whole decomposition; with ``preview`` small layers, and of a size that is wanted no albedo, which no
        light changes; with ``store: false`` only the layers that changed."""
        message = job.message
        edits = _edits(message)
        relighter = self._relighter_of(message)
        output = Path(message["output"])
        if message.get("preview"):
            longest = message.get("preview_size") or None
            layers = relighter.preview(edits, longest)
            recomposed = relighter.decomposition.model.compose(layers)
            told = {name: layer for name, layer in layers.items() if longest is None or name != "albedo"}
            return "result", write_arrays(output, told, recomposed, "preview.")
        edited = relighter.relight(edits)
        if message.get("store") is not False:
            return "result", self._result(edited, output)
        before = relighter.decomposition.layers
        changed = {name: layer for name, layer in edited.layers.items() if layer is not before[name]}
        return "result", {"layers": write_pixels(output, changed, "")}

    def _directions(self, job: Job) -> tuple[str, dict[str, Any]]:
        from ..relighting.relighter import Edit

        relighter = self._relighter_of(job.message)
        found = relighter.directions()
        # Whoever asks will move one next: what the first move needs takes a second, and nobody waits for it yet.
        nothing = [Edit(direction.component, direction.name, 0.0) for direction in found]
        relighter.preview(nothing, job.message.get("preview_size") or None)
        return "result", {"directions": [asdict(direction) for direction in found]}

    def _store(self, job: Job) -> tuple[str, dict[str, Any]]:
        """A ``.join`` file of a compact decomposition and its layers, relit where there are edits."""
        from ..layers.decomposition import load_decomposition, save_decomposition

        message = job.message
        output = Path(message["output"])
        if edits := _edits(message):
            decomposition = self._relighter_of(message).relight(edits)
        else:  # without the bank, which may not be there any more
            decomposition = load_decomposition(message["decomposition"])
            decomposition = replace(decomposition, layers=read_layers(message.get("layers"), decomposition))
        save_decomposition(output, decomposition)
        return "result", {"files": [str(output)]}

    def _mix(self, job: Job) -> tuple[str, dict[str, Any]]:
        """A compact decomposition that can be mixed with the albedo of another one; without the bank."""
        from ..layers.decomposition import load_decomposition, save_decomposition
        from ..relighting.mixing import with_other

        mine, other = (load_decomposition(job.message[name]) for name in ("decomposition", "other"))
        output = Path(job.message["output"])
        save_decomposition(output, with_other(mine, other))
        return "result", {"files": [str(output)]}

    def _paste(self, job: Job) -> tuple[str, dict[str, Any]]:
        """Another material's albedo laid into a decomposition where a mask is: a result of its own."""
        from ..images.files import read_picture
        from ..inversion.progress import Monitor
        from ..layers.clean_up import mask_of
        from ..layers.decomposition import load_decomposition
        from ..relighting.pasting import paste

        message = job.message
        stored = load_decomposition(message["decomposition"])
        stored = replace(stored, layers=read_layers(message.get("layers"), stored))
        if not message.get("mask"):
            raise JoinError("request_invalid", "A paste request needs 'mask', a path.")
        patch, mask = load_array(message["patch"]), mask_of(read_picture(message["mask"]).pixels)
        if patch.ndim != 3 or patch.shape[2] < 3:
            raise JoinError("layer_unreadable", "The other's albedo is no image in colour.", "Decompose it again.")
        bank, _ = self._bank_of(stored, message.get("bank"))

        def report(progress: Progress) -> None:
            told = {"words": "Fitting the paint", "fraction": progress.step / progress.of}
            self._channel.send("progress", job.request, **vars(progress), **told, total_left=progress.seconds_left)

        options = {name: message[name] for name in ("scale", "feather", "steps") if message.get(name) is not None}
        monitor = Monitor(report, job.cancelled.is_set, discarded=job.discarded)
        found = paste(stored, patch[..., :3], mask, bank, **options, monitor=monitor)
        monitor.go_on()
        result = {**self._result(found, Path(message["output"])), "notes": []}
        return ("cancelled", {"result": result}) if job.cancelled.is_set() else ("result", result)

    def _export(self, job: Job) -> tuple[str, dict[str, Any]]:
        """The layers as they are in Blender now, in files for other programs."""
        from ..layers.layer_files import LAYER_FORMATS, export_layers

        message = job.message
        kind, depth, paths = message["format"], message["depth"], message.get("layers")
        if not paths:
            raise JoinError("request_invalid", "An export request needs 'layers', a path for each name.")
        if (kind, depth) not in LAYER_FORMATS:
            raise JoinError("request_invalid", f"There is no format {kind!r} of {depth} bits.")
        layers = {name: load_array(path)[..., :3] for name, path in paths.items()}
        alpha = None if message.get("alpha") is None else load_array(message["alpha"])
        output = Path(message["output"])
        files = export_layers(output, layers, kind, depth, alpha, formula_of(message))
        return "result", {"files": [str(path) for path in files]}

    def _convert(self, job: Job) -> tuple[str, dict[str, Any]]:
        """A picture file by the colours that it speaks of, as linear Rec.709; as it is stored, which is how Blender
        shows pictures."""
        from ..images.files import read_picture

        picture = read_picture(job.message["image"], upright=False)
        files = write_pixels(Path(job.message["output"]), {"picture": picture.pixels}, "")
        return "result", {**files, "notes": list(picture.notes)}

    def _maps(self, job: Job) -> tuple[str, dict[str, Any]]:
        """Roughness, and on request height and normals, of the layers as they are in Blender now."""
        from ..layers.maps import maps_of, network_of

        message = job.message
        layers, alpha = _sent(message)
        network = network_of(self._load_bank(None)[0])
        found, span = maps_of(network, layers, alpha, message.get("relief") or 0.0)
        return "result", {"maps": write_pixels(Path(message["output"]), found, ""), "span": span}

    def _tile(self, job: Job) -> tuple[str, dict[str, Any]]:
        """Layers that can be repeated, of the layers as they are in Blender now; and their seam energy, before and
        after."""
        from ..layers.tileable import seam, tileable

        layers, _ = _sent(job.message)
        tile = tileable(layers)
        paths = write_pixels(Path(job.message["output"]), tile.layers, "tile ")
        return "result", {"layers": paths, "seam": [seam(layers), seam(tile.layers, tile)]}

    # Requests that wait in the queue.
    _work: dict[str, Callable[[Engine, Job], tuple[str, dict[str, Any]]]] = {  # noqa: RUF012
        "decompose": _decompose,
        "decompose_together": _decompose_together,
        "relight": _relight,
        "directions": _directions,
        "export": _export,
        "convert": _convert,
        "maps": _maps,
        "tile": _tile,
        "store": _store,
        "mix": _mix,
        "paste": _paste,
    }

    def _relighter_of(self, message: dict[str, Any]) -> Relighter:
        """For the decomposition that a request names; kept while its file and its bank stay the same."""
        from ..layers.decomposition import load_decomposition
        from ..relighting.relighter import Relighter

        path = Path(message["decomposition"])
        layers = message.get("layers")  # the full ones, where the decomposition is a compact one
        key = (path, path.stat().st_mtime_ns if is_file(path) else 0, message.get("bank"), layers)
        if self._relighter is None or self._relighter[0] != key:
            self._relighter = None  # its layers may be large: let go of them first
            decomposition = load_decomposition(path)
            if layers is not None:
                decomposition = replace(decomposition, layers=read_layers(layers, decomposition))
            bank, _ = self._bank_of(decomposition, message.get("bank"))
            self._relighter = (key, Relighter(decomposition, bank))
        return self._relighter[1]

    def _bank_of(self, decomposition: Decomposition, name_or_path: str | None) -> tuple[Bank, CodeBook]:
        """The bank that a decomposition was made with: the one named, the one at hand, or a shipped one of its name."""
        if name_or_path is None and self._bank is not None and self._bank[2].made(decomposition.bank_sha256):
            return self._bank[2:]
        return self._load_bank(name_or_path or decomposition.bank_name)

    def _bank_for(
        self, message: dict[str, Any], pictures: Sequence[Picture]
    ) -> tuple[tuple[Bank, CodeBook], Choice | None]:
        """The bank that a request names, or that suits its pictures; and why, where it was chosen by them."""
        from ..bank import AUTO, choose_bank

        if message.get("bank") != AUTO:
            return self._load_bank(message.get("bank")), None
        choice = choose_bank([picture.pixels for picture in pictures])
        return self._load_bank(str(choice.path)), choice

    def _load_bank(self, name_or_path: str | None) -> tuple[Bank, CodeBook]:
        """The bank, kept from the last job where it is the same and its file has not changed."""
        from ..bank import find_bank, load_bank
        from ..inversion.codebook import CodeBook

        path = find_bank(name_or_path)
        changed = path.stat().st_mtime
        if self._bank is None or self._bank[:2] != (path, changed):
            bank = load_bank(path, self.device, with_discriminators=True)
            self._bank = (path, changed, bank, CodeBook(bank))
        return self._bank[2:]

    def _load_rest(self) -> Rest:
        """The bank for all around a face, kept while its file has not changed."""
        from ..bank import find_bank
        from ..portraits import load_rest

        path = find_bank()
        key = path, path.stat().st_mtime
        if self._rest is None or self._rest[0] != key:
            self._rest = (key, load_rest(self.device))
        return self._rest[1]

    def _enter(self, job: Job, tail: Tail) -> None:
        """What follows the stages begins."""
        job.tail = tail
        self._tell_life(job)

    def _tell_life(self, job: Job) -> None:
        tail = job.tail
        told = {} if tail is None else {"words": tail.words, "total_left": tail.left()}
        self._channel.send("alive", job.request, **told)

    def _report_progress(self, job: Job, preset: Preset, after: float) -> Callable[[Progress], None]:
        from ..inversion.stage import STAGES

        course = Course(preset, after)
        last = 0.0

        def report(progress: Progress) -> None:
            nonlocal last
            now = time.monotonic()
            fraction, total_left = course.update(progress)
            if now - last < _SECONDS_BETWEEN_PROGRESS and progress.step < progress.of:
                return
            last = now
            self._channel.send(
                "progress",
                job.request,
                **vars(progress),
                words=STAGES[progress.stage].words,
                fraction=fraction,
                total_left=total_left,
            )

        return report

    def _report_preview(self, job: Job, output: Path, bank: Bank) -> Callable[[int, dict[str, np.ndarray]], None]:
        turn = 0

        def report(step: int, layers: dict[str, np.ndarray]) -> None:
            nonlocal turn
            turn = 1 - turn  # the client may still be reading the files of the preview before
            recomposed = bank.forward_model.compose(layers)
            try:
                files = write_arrays(output, layers, recomposed, f"preview{turn}.")
            except JoinError as error:  # such as a file that the client has open; the next one will do
                _log.warning("%s", error)
                return
            self._channel.send("preview", job.request, step=step, **files)

        return report

    def _result(self, decomposition: Decomposition, output: Path) -> dict[str, Any]:
        """Write the files of a result; the content of its event."""
        from ..layers import layer_files
        from ..layers.decomposition import save_decomposition

        start = time.perf_counter()
        stored, compact = output / "decomposition.join", output / "compact.join"
        files = layer_files.write_arrays(output, decomposition, stored)
        save_decomposition(compact, compacted(decomposition, files["layers"]))
        summary = decomposition.summary()
        summary["seconds"]["write"] = time.perf_counter() - start
        formula = decomposition.model.formula
        return {**files, "decomposition": str(stored), "compact": str(compact), "formula": formula, **summary}


def _edits(message: dict[str, Any]) -> list[Edit]:
    from ..relighting.relighter import Edit

    edits = [] if message.get("edits") is None else message["edits"]
    if not isinstance(edits, list) or len(edits) > MOST:
        raise JoinError("edit_invalid", f"The edits of a {message['type']} request are a list of at most {MOST}.")
    return [Edit.from_json(edit) for edit in edits]


def _internal(error: BaseException) -> JoinError:
    traceback.print_exception(error, file=sys.stderr)
    return JoinError(
        "internal", f"The engine failed: {type(error).__name__}: {error}", "Please report the details in the log."
    )


def _unusable(error: OSError) -> JoinError:
    reason = error.strerror or str(error)
    named = f"'{str(error.filename)[:200]}'" if error.filename else "A file"
    return JoinError("file_unusable", f"{named} cannot be used ({reason}).", "Choose another path.")


def _out_of_memory() -> JoinError:
    return JoinError("out_of_memory", "There is not enough memory for this image.", "Close other programs.")


def _sent(message: dict[str, Any]) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
    """Layers, linear [H, W, 3], and alpha [H, W] that a client sends. Raises JoinError ``layer_unreadable``."""
    layers = {name: load_array(path)[..., :3] for name, path in (message.get("layers") or {}).items()}
    alpha = None if message.get("alpha") is None else load_array(message["alpha"])
    shapes = {pixels.shape for pixels in layers.values()} | ({(*alpha.shape, 3)} if alpha is not None else set())
    if len(shapes) != 1 or len(next(iter(shapes))) != 3 or next(iter(shapes))[2] != 3:
        raise JoinError("layer_unreadable", "The layers are not images of one size.", "Decompose it again.")
    return layers, alpha
