# SPDX-License-Identifier: GPL-3.0-or-later
"""Gives every reader spoiled files and messages for a while, and tells what came of it.

Each kind runs in a process of its own, which may take a gibibyte more than it has when it begins; none of the files is
as large as a mebibyte. A finding is a traceback, an answer ``internal`` or ``out_of_memory``, a crash, or a case that
takes longer than half a minute. What led to it is kept in ``out/fuzz``, and read again by ``--case FILE``.
"""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from typing import Any

ROOM = 2**30
_TOO_LONG = 30  # seconds
_BAD = ("internal", "out_of_memory")


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600.0, help="of all kinds together (default %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="one kind: messages, join, banks, checkpoints, pictures, packs")
    parser.add_argument("--out", type=Path, default=Path("out/fuzz"), help="where findings go (default %(default)s)")
    parser.add_argument("--case", type=Path, help="read one finding of --only again, with its traceback")
    parser.add_argument("--child", nargs=2, metavar=("START", "SECONDS"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.case is not None:
        return _again(options.only, options.case)
    if options.child is not None:
        return _child(options.only, options.seed, int(options.child[0]), float(options.child[1]), options.out)
    options.out.mkdir(parents=True, exist_ok=True)
    kinds = [options.only] if options.only else ["messages", "join", "banks", "checkpoints", "pictures", "packs"]
    found = [_run(kind, options.seed, options.seconds / len(kinds), options.out) for kind in kinds]
    print("\n| kind | cases | read | refused | slowest, s | most memory, MiB | findings |")
    print("|---|---|---|---|---|---|---|")
    for told in found:
        refused = ", ".join(f"{code} {count}" for code, count in Counter(told["codes"]).most_common())
        print(
            f"| {told['name']} | {told['cases']} | {told['read']} | {refused} | {told['slowest']:.1f} "
            f"| {told['memory'] / 2**20:.0f} | {len(told['findings'])} |"
        )
    for told in found:
        for finding in told["findings"]:
            print(f"\n{told['name']}: {finding}")
    return int(any(told["findings"] for told in found))


def _run(kind: str, seed: int, seconds: float, out: Path) -> dict[str, Any]:
    """Let children read; one that dies is a finding, and another goes on behind its last case."""
    end, start = time.monotonic() + seconds, 0
    whole: dict[str, Any] = {"name": kind, "cases": 0, "read": 0, "codes": Counter(), "slowest": 0.0, "memory": 0}
    whole["findings"] = []
    while True:
        told_in = out / f"{kind}.json"
        for ending in ("json", "current", "number"):
            (out / f"{kind}.{ending}").unlink(missing_ok=True)
        left = max(1.0, end - time.monotonic())
        command = [sys.executable, "-m", "tests.fuzz", "--only", kind, "--seed", str(seed), "--out", str(out)]
        child = subprocess.Popen([*command, "--child", str(start), str(left)])
        current, at, died = out / f"{kind}.current", out / f"{kind}.number", ""
        while child.poll() is None:
            time.sleep(0.05)
            age = time.time() - current.stat().st_mtime if current.exists() else 0.0
            if time.monotonic() > end + 120 or age > 2 * _TOO_LONG + 60:
                child.kill()
                died = "it hangs"
        told = json.loads(told_in.read_text("utf-8")) if told_in.exists() else {}
        for name in ("cases", "read"):
            whole[name] += told.get(name, 0)
        whole["codes"].update(told.get("codes", {}))
        whole["name"] = told.get("name", kind)
        whole["slowest"] = max(whole["slowest"], told.get("slowest", 0.0))
        whole["memory"] = max(whole["memory"], told.get("memory", 0))
        whole["findings"] += told.get("findings", [])
        if child.returncode == 0 and not died:
            break
        number = int(at.read_text("ascii")) if at.exists() else start
        kept = out / f"{kind}-{seed}-{number}"
        if current.exists():
            current.replace(kept)
        whole["findings"].append(f"{died or f'it dies of {child.returncode}'}: {kept}")
        start = number + 1
        if time.monotonic() > end or not told:
            break
    for ending in ("current", "number", "json"):
        (out / f"{kind}.{ending}").unlink(missing_ok=True)
    return whole


def _child(kind: str, seed: int, start: int, seconds: float, out: Path) -> int:
    from dataset_tools.errors import UserError
    from join_engine.errors import JoinError
    from tests.fuzz.targets import TARGETS, cases

    faulthandler.enable()
    told: dict[str, Any] = {"cases": 0, "read": 0, "codes": Counter(), "slowest": 0.0, "memory": 0, "findings": []}
    out = out.resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)  # a spoiled request may name any file
        target = TARGETS[kind](Path(folder))
        told["name"] = target.name
        for _, data in zip(range(3), (data for _, data in cases(target, seed + 1, 0)), strict=False):  # loads libraries
            _outcome(target, data, (JoinError, UserError))
        sys.excepthook = lambda *what: traceback.print_exception(*what, file=sys.__stderr__)  # of the fuzzer itself
        sys.stderr = Path(os.devnull).open("w")  # noqa: SIM115 - what readers print of damaged files
        before = _memory()
        resource.setrlimit(resource.RLIMIT_AS, (_addressed() + ROOM, resource.RLIM_INFINITY))
        signal.signal(signal.SIGALRM, _alarm)
        end, written = time.monotonic() + seconds, 0.0
        for number, data in cases(target, seed, start):
            if time.monotonic() > end:
                break
            (out / f"{kind}.current").write_bytes(data)
            (out / f"{kind}.number").write_text(str(number), "ascii")
            begun = time.monotonic()
            signal.alarm(_TOO_LONG)
            problem, code = _outcome(target, data, (JoinError, UserError))
            signal.alarm(0)
            told["cases"] += 1
            told["slowest"] = max(told["slowest"], time.monotonic() - begun)
            told["memory"] = max(0, _memory() - before)
            if problem is not None:
                kept = out / f"{kind}-{seed}-{number}"
                kept.write_bytes(data)
                told["findings"].append(f"{problem} ({kept})")
            elif code:
                told["codes"][code] += 1
            else:
                told["read"] += 1
            if time.monotonic() - written > 0.5:  # in case the next one ends this process
                written = time.monotonic()
                (out / f"{kind}.json").write_text(json.dumps(told), "utf-8")
        (out / f"{kind}.json").write_text(json.dumps(told), "utf-8")
    os._exit(0)


def _outcome(target: Any, data: bytes, known: tuple[type[Exception], ...]) -> tuple[str | None, str]:
    """What is wrong with how it ended, and the code of the error where it was refused as it should be."""
    try:
        target.read(data)
    except known as error:
        code = getattr(error, "code", "refused")
        return (f"answered {code}: {error}" if code in _BAD or "\n" in str(error) else None), code
    except BaseException as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {str(error)[:200]} at {Path(where.filename).name}:{where.lineno}", ""
    return None, ""


def _again(kind: str, case: Path) -> int:
    from tests.fuzz.targets import TARGETS

    with tempfile.TemporaryDirectory() as folder:
        target = TARGETS[kind](Path(folder))
        resource.setrlimit(resource.RLIMIT_AS, (_addressed() + ROOM, resource.RLIM_INFINITY))
        target.read(case.read_bytes())
    return 0


def _alarm(*_: Any) -> None:
    raise TimeoutError(f"it takes longer than {_TOO_LONG} s")


def _addressed() -> int:
    return int(Path("/proc/self/statm").read_text("utf-8").split()[0]) * resource.getpagesize()


def _memory() -> int:
    """The most that this process has had so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    sys.exit(main())
