# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes are killed at random moments: ``kills.py [--count N] [--seed S] [CAMPAIGN …]``, or ``make kills``.

engine: the engine, while it decomposes for Blender and into files (50 kills). blender: a Blender at work, on a machine
that is busy (10). renderer: a run of the renderer with its workers, or its supervisor alone (20). folder: ``decompose``
of a folder on the shell, which replaces results of another seed (20).

After each kill: nothing is lost that was there, and nothing half has a final name. After the next start: nothing is
left behind, no process and no file. Whatever is found wrong ends the campaign with an AssertionError.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # a script of the checkout, not of the extension

from join_blender.engine.decomposition import Decomposition  # noqa: E402
from join_blender.engine.job import State  # noqa: E402
from join_blender.engine.pixels import Source  # noqa: E402
from join_blender.engine.process import Launch  # noqa: E402
from join_blender.engine.protocol import Options  # noqa: E402
from join_blender.engine.queue import Queue  # noqa: E402
from join_engine.layers.decomposition import load_decomposition  # noqa: E402
from join_engine.layers.result_folder import MARKER, read_marker  # noqa: E402
from tests.join_blender.support import INSIDE, make_bank  # noqa: E402
from tools.build_zip import build  # noqa: E402

PATIENCE = 300.0
"""Seconds that anything may take on a machine with other work."""
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def until(holds: Callable[[], bool], what: str, seconds: float = PATIENCE) -> float:
    """Wait for something; how long it took."""
    begun = time.monotonic()
    while not holds():
        assert time.monotonic() - begun < seconds, f"{what}: not after {seconds:.0f} s"
        time.sleep(0.005)
    return time.monotonic() - begun


def below(folder: Path, pattern: str) -> list[Path]:
    """What of that name is anywhere in a folder; ``rglob`` would stumble over a folder that goes meanwhile."""
    found = ((Path(place), name) for place, folders, files in os.walk(folder) for name in (*folders, *files))
    return [place / name for place, name in found if fnmatch(name, pattern)]


def is_alive(process: int) -> bool:
    with suppress(OSError, ValueError):
        stat = Path(f"/proc/{process}/stat").read_text("utf-8", "replace")
        return stat[stat.rindex(")") + 2] not in "ZX"
    return False


def ended(process: subprocess.Popen[bytes]) -> bool:
    """By itself, which it shall not."""
    return process.poll() is not None


def until_gone(processes: list[int]) -> float:
    """How long it took until none of them was there any more."""
    return until(lambda: not any(map(is_alive, processes)), "the end of a process", 60.0)


def descendants(process: int) -> list[int]:
    """The processes that a process has started, and theirs."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError):
            stat = path.read_text("utf-8", "replace")
            children.setdefault(int(stat[stat.rindex(")") + 2 :].split()[1]), []).append(int(path.parent.name))
    found, waiting = [], [process]
    while waiting:
        more = children.get(waiting.pop(), [])
        found += more
        waiting += more
    return found


def tell(turn: int, count: int) -> None:
    """That another kill went well, on stderr."""
    print(f"  {turn} of {count}", end="\r" if sys.stderr.isatty() else "\n", file=sys.stderr, flush=True)


def write_photos(folder: Path, count: int, size: int) -> list[Path]:
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (count, size, size, 3), np.uint8)
    paths = [folder / f"photo {number}.png" for number in range(count)]
    for path, picture in zip(paths, pixels, strict=True):
        Image.fromarray(picture).save(path)
    return paths


def check_results(out: Path) -> dict[str, int]:
    """Every folder with a final name holds one whole result; its seed by its name."""
    seeds = {}
    for folder in sorted(out.iterdir()) if out.is_dir() else []:
        if folder.name.startswith("."):
            continue
        marker = read_marker(folder)
        assert marker is not None, f"{folder} is half a result"
        sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.name != MARKER}
        assert sizes == dict(marker.files), f"{folder} mixes results: {sizes} and {marker.files}"
        report = json.loads((folder / "report.json").read_text("utf-8"))
        stored = load_decomposition(folder / "decomposition.join")
        seed = {marker.made.settings["seed"], report["settings"]["seed"], stored.settings["seed"]}
        assert len(seed) == 1, f"{folder} mixes seeds: {seed}"
        seeds[folder.name] = seed.pop()
    return seeds


def hidden(folder: Path) -> list[str]:
    return (
        sorted(path.name for path in folder.iterdir() if path.name.startswith(".") and path.suffix != ".lock")
        if folder.is_dir()
        else []
    )


# --- the engine ---------------------------------------------------------------------------------------------------


def kill_engine(folder: Path, count: int, rng: random.Random) -> str:
    """Decompositions for Blender and into files in turn; after each kill *Restart*."""
    bank = make_bank(folder / "tiny.safetensors")
    (photo,) = write_photos(folder / "in", 1, 400)
    scratch, out = folder / "scratch", folder / "out"
    scratch.mkdir()
    launch = Launch(Path(sys.executable), ROOT, "cpu")
    options = Options(str(bank), "standard", steps=4)
    pixels = np.asarray(Image.open(photo), np.float32)[::-1].ravel() / np.float32(255)
    source = Source("photo", pixels, 400, 400, 3)
    queue, engines, stages, told = Queue(), [], dict[str, int](), []

    def run(one: Decomposition, seconds: float = PATIENCE) -> int:
        """To its end, or for so long; the layers that came."""
        layers, begun = 0, time.monotonic()
        while not one.ended and time.monotonic() - begun < seconds:
            queue.step()
            layers += one.take_layer() is not None
            if one.all_taken:
                one.finish()
            time.sleep(0.002)
        assert one.ended or seconds < PATIENCE, f"{one.state} for ever"
        return layers

    def job(files: bool, seed: int) -> Decomposition:
        wanted = Options(options.bank, options.preset, seed, options.steps)
        target = out / "photo" if files else None
        return Decomposition(photo if files else source, wanted, launch, "photo", str(scratch), target)

    length = {}
    for files in (False, True):  # how long they take
        one = job(files, 0)
        queue.add(one)
        run(one)
        begun = time.monotonic()
        queue.add(again := job(files, 0))
        run(again)
        length[files] = time.monotonic() - begun
        assert one.state is again.state is State.DONE
    turn = 0
    while turn < count:
        one = job(turn % 2 == 1, turn)
        before = check_results(out)
        queue.add(one)
        if turn % 5 == 0:  # a fresh engine: killed while it starts, too
            queue.connection.end()
        run(one, rng.uniform(0.0, 1.0) * length[turn % 2 == 1])
        until(lambda one=one: bool(queue.step() or queue.connection.engine) or one.ended, "an engine")
        if one.ended or queue.connection.engine is None:
            length[turn % 2 == 1] *= 0.8  # it has become quicker: no kill
            continue
        engine = queue.connection.engine._process
        engines.append(engine.pid)
        stages[one.state.name] = stages.get(one.state.name, 0) + 1
        engine.send_signal(signal.SIGKILL)
        killed = time.monotonic()
        run(one)
        told.append(time.monotonic() - killed)
        after = check_results(out)
        assert set(before) <= set(after), "a result is lost"
        if one.state is not State.DONE:  # else all of it was there already
            assert one.failure is not None and "signal 9" in str(one.failure), one.failure
            queue.restart()
            layers = run(one)
            assert one.state is State.DONE and (layers == 3 or one.output is not None), one.failure
        assert check_results(out).get("photo", turn) == (turn if one.output is not None else before.get("photo", turn))
        assert not hidden(out), f"left behind: {hidden(out)}"
        queue.step()
        one.wait_until_closed()
        assert not list(scratch.iterdir()), "temporary files are left behind"
        turn += 1
        tell(turn, count)
    queue.close()
    until_gone(engines)
    words = ", ".join(f"{number} {name.lower()}" for name, number in sorted(stages.items()))
    slowest = f"; told after {max(told):.2f} s at the latest" if told else ""
    return f"killed while it was: {words}{slowest}"


# --- Blender ------------------------------------------------------------------------------------------------------


@contextmanager
def busy_machine() -> Iterator[None]:
    """A process that computes for each processor."""
    command = [sys.executable, "-c", "while True: pass"]
    others = [subprocess.Popen(command) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


def kill_blender(folder: Path, count: int, rng: random.Random) -> str:
    """Blender decomposes a picture, with a saved file open; the next one starts and cleans up."""
    bank, archive = make_bank(folder / "tiny.safetensors"), build(folder)
    (photo,) = write_photos(folder / "in", 1, 900)
    scratch = folder / "tmp"
    scratch.mkdir()

    def start(case: str, **arguments: Any) -> subprocess.Popen[bytes]:
        report = folder / f"{case}.json"
        report.unlink(missing_ok=True)
        told = {"archive": archive, "report": report, "image": photo, "folder": folder, "bank": bank, **arguments}
        environment = {
            **ENVIRONMENT,
            **{name: str(scratch) for name in ("TMPDIR", "TMP", "TEMP")},
            "BLENDER_USER_RESOURCES": str(folder / "user"),
            "JOIN_ENGINE_PYTHON": sys.executable,
            "JOIN_TEST": json.dumps(told, default=str),
        }
        command = [sys.executable, str(INSIDE), case]
        with log.open("wb") as file:
            return subprocess.Popen(command, env=environment, stdout=file, stderr=file)

    def works(process: subprocess.Popen[bytes]) -> None:
        assert process.wait(PATIENCE) == 0 and (folder / "kept_busy.json").exists(), log.read_text("utf-8", "replace")

    log = folder / "log"
    (folder / "user").mkdir()
    works(start("kept_busy", steps=1, turns=1))
    saved = folder / "saved.blend"
    before = hashlib.sha256(saved.read_bytes()).hexdigest()
    ends, moments, dirty = [], dict[str, int](), 0
    with busy_machine():
        for turn in range(count):
            process = start("kept_busy", steps=2000, turns=100)
            if turn % 2:
                moment = "with previews"
                until(lambda process=process: ended(process) or bool(below(scratch, "preview*.npy")), "a preview")
            else:
                moment = "while the engine starts"
                until(lambda process=process: ended(process) or bool(descendants(process.pid)), "an engine")
            time.sleep(rng.uniform(0.0, 2.0))
            engines: list[int] = []
            while not engines:  # between two pictures there may be none for a moment
                until(lambda process=process: ended(process) or bool(descendants(process.pid)), "an engine")
                assert not ended(process), log.read_text("utf-8", "replace")
                engines = descendants(process.pid)
            moments[moment] = moments.get(moment, 0) + 1
            process.kill()
            process.wait()
            ends.append(until_gone(engines))
            dirty += bool(below(scratch, "join-*"))
            assert hashlib.sha256(saved.read_bytes()).hexdigest() == before, "the saved file has changed"
            tell(turn + 1, count)
    works(start("kept_busy", steps=1, turns=1))
    left = [path.relative_to(scratch) for path in below(scratch, "join-*")]
    assert not left, f"left behind: {left}"
    words = ", ".join(f"{number} {name}" for name, number in sorted(moments.items()))
    return f"{words}; engines ended after {max(ends):.2f} s at the latest; {dirty} left files, which the next removed"


# --- the renderer -------------------------------------------------------------------------------------------------


def kill_renderer(folder: Path, count: int, rng: random.Random) -> str:
    """The whole group of processes, or the supervisor alone; the last run finishes what the killed ones have begun."""
    scratch = folder / "scratch"
    scratch.mkdir()
    environment = {**ENVIRONMENT, "JOIN_SCRATCH": str(scratch)}

    def command(out: Path) -> list[str]:
        # fmt: off
        return [
            sys.executable, str(ROOT / "dataset_tools" / "render.py"), "primeshapes", "--seed", "5", "--count", "130",
            "--resolution", "32", "--samples", "1", "--workers", "2", "--out", str(out),
        ]
        # fmt: on

    def tars(out: Path) -> dict[str, str]:
        found = (out / "shards").glob("*.tar")
        return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in found}

    def render(out: Path) -> None:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        assert subprocess.run(command(out), env=environment, check=False, **quiet).returncode == 0  # type: ignore[call-overload]

    begun = time.monotonic()
    render(folder / "whole")
    whole, length = tars(folder / "whole"), time.monotonic() - begun
    shards = folder / "killed" / "shards"
    out, done, orphaned, moments = folder / "killed", dict[str, str](), 0.0, dict[str, int]()
    turn = 0
    while turn < count:
        process = subprocess.Popen(
            command(out),
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        if turn % 2:  # while a shard is being written
            until(lambda process=process: any(shards.glob(".*.partial")) or process.poll() is not None, "a shard")
            time.sleep(rng.uniform(0.0, 0.3) * length)
        else:
            time.sleep(rng.uniform(0.0, 1.0) * length)
        workers = descendants(process.pid)
        hit = process.poll() is None
        if not hit:
            length *= 0.8  # it has become quicker: the kill is tried again
        elif turn % 4 < 2:
            os.killpg(process.pid, signal.SIGKILL)
            moments["all"] = moments.get("all", 0) + 1
        else:
            process.kill()
            moments["supervisor alone"] = moments.get("supervisor alone", 0) + 1
        process.wait()
        orphaned = max(orphaned, until_gone(workers))
        now = tars(out)
        assert now.items() <= whole.items(), "a shard is not what it should be"
        assert done.items() <= now.items(), "a finished shard is lost"
        done = now
        if now == whole:  # begin again with one shard less
            victim = rng.choice(sorted(whole)).removesuffix(".tar")
            for ending in (".tar", ".jsonl"):
                (out / "shards" / f"{victim}{ending}").unlink(missing_ok=True)
            done = tars(out)
        if hit:
            turn += 1
            tell(turn, count)
    render(out)
    assert tars(out) == whole, "the killed runs' dataset is another"
    left = [*below(out, "*.partial"), *below(out, "*.lock"), *scratch.iterdir()]
    assert not left, f"left behind: {left}"
    words = ", ".join(f"{number} {name}" for name, number in sorted(moments.items()))
    return f"killed: {words}; workers ended after {orphaned:.2f} s at the latest; same bytes in the end"


# --- a folder on the shell ----------------------------------------------------------------------------------------


def kill_folder(folder: Path, count: int, rng: random.Random) -> str:
    """``decompose`` of a folder, each run with another seed, so that results are replaced."""
    bank = make_bank(folder / "tiny.safetensors")
    photos = write_photos(folder / "in", 5, 500)
    out = folder / "out"

    def start(seed: int) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "join_engine", "decompose", str(folder / "in"), "--out", str(out)]
        command += [
            "--bank",
            str(bank),
            "--preset",
            "standard",
            "--seed",
            str(seed),
            "--skip-existing",
            "--threads",
            "1",
        ]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen(command, cwd=ROOT, env=ENVIRONMENT, **quiet)  # type: ignore[call-overload,no-any-return]

    assert start(0).wait(PATIENCE) == 0
    before = check_results(out)
    assert sorted(before) == [path.stem for path in photos] and not hidden(out)
    (out / photos[0].stem / "notes.txt").write_text("mine")
    dirty, moments = 0, dict[str, int]()
    for turn in range(1, count + 1):
        process = start(turn)
        if turn % 4:  # at the n-th result, from its first file on
            at = rng.randrange(len(photos))
            known = set(hidden(out))
            seen: set[str] = set()

            def writes(process: Any = process, known: set[str] = known, seen: set[str] = seen, at: int = at) -> bool:
                seen |= set(hidden(out)) - known
                return len(seen) > at or process.poll() is not None

            until(writes, "a result")
            time.sleep(rng.uniform(0.0, 0.3))
        else:
            time.sleep(rng.uniform(0.0, 5.0))
        moment = "ended before" if process.poll() is not None else "while writing" if hidden(out) else "else"
        moments[moment] = moments.get(moment, 0) + 1
        process.kill()
        process.wait()
        dirty += bool(hidden(out))
        notes = [*out.glob(f"{photos[0].stem}/notes.txt"), *out.glob(".*/old/notes.txt")]
        assert [path.read_text() for path in notes] == ["mine"], "somebody's file is lost"
        notes[0].rename(folder / "notes.txt")  # else the comparison of sizes would tell of it
        missing = {path.stem for path in photos} - set(check_results(out))
        for name in missing:  # only in the blink between two renames: then both are whole, under the temporary name
            assert len(missing) == 1 and len([*out.glob(f".*/old/{MARKER}"), *out.glob(f".*/new/{MARKER}")]) == 2, name
        (folder / "notes.txt").rename(notes[0])
        tell(turn, count)
    assert start(count).wait(PATIENCE) == 0
    left = [*hidden(out), *out.glob("*.lock")]
    assert not left, f"left behind: {left}"
    assert (out / photos[0].stem / "notes.txt").read_text() == "mine"
    (out / photos[0].stem / "notes.txt").unlink()
    assert check_results(out) == {path.stem: count for path in photos}
    words = ", ".join(f"{number} {name}" for name, number in sorted(moments.items()))
    return f"killed: {words}; {dirty} left files, which the next run removed"


CAMPAIGNS: dict[str, tuple[Callable[[Path, int, random.Random], str], int]] = {
    "engine": (kill_engine, 50),
    "blender": (kill_blender, 10),
    "renderer": (kill_renderer, 20),
    "folder": (kill_folder, 20),
}
"""Each with its number of kills."""


def main(arguments: list[str] | None = None) -> int:
    """Run campaigns; a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("campaigns", nargs="*", metavar="CAMPAIGN", help=", ".join(CAMPAIGNS))
    parser.add_argument("--count", type=int, help="kills of each, instead of its own number")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    for name in options.campaigns or CAMPAIGNS:
        campaign, count = CAMPAIGNS[name]
        begun = time.monotonic()
        with tempfile.TemporaryDirectory(prefix=f"kills-{name}-", ignore_cleanup_errors=True) as folder:
            words = campaign(Path(folder), options.count or count, random.Random(options.seed))
        print(f"{name}: {options.count or count} kills in {time.monotonic() - begun:.0f} s. {words}.", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
