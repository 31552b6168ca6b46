# SPDX-License-Identifier: GPL-3.0-or-later
"""What there is to install: one lock file per system, Python and kind of processor, each an exact list of wheels."""

from __future__ import annotations

import functools
import hashlib
import platform
import re
import sys
from dataclasses import dataclass
from pathlib import Path

from ..engine.failure import Failure

LOCKS = Path(__file__).resolve().parents[1] / "engine_requirements"
"""The folder of the lock files, and of the pip that installs them."""
CARRIED = Path(__file__).resolve().parents[1] / "engine_wheels"
"""Only in the full zip: the wheels of one build."""

KINDS = {"cpu": "CPU", "cuda": "NVIDIA GPU (CUDA)", "rocm": "AMD GPU (ROCm)", "metal": "Apple GPU (Metal)"}
"""Kind of a build → in plain words. The order is the one in which they are offered."""

_COMPILED = 150_000_000
_LINE = re.compile(r"(?P<name>[\w.-]+)==(?P<version>\S+) --hash=sha256:(?P<sha256>[0-9a-f]{64})  # (?P<facts>.*)")
_SYSTEMS = {"darwin": "macos"}
_MACHINES = {"amd64": "x86_64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Wheel:
    """One exact file. ``size`` and ``unpacked`` are bytes; an empty ``index`` means the usual one."""

    name: str
    version: str
    file: str
    sha256: str
    size: int
    unpacked: int
    index: str

    @property
    def requirement(self) -> str:
        """As pip wants it."""
        return f"{self.name}=={self.version} --hash=sha256:{self.sha256}"

    def lies_in(self, folder: Path) -> bool:
        """Whether ``folder`` has a file of that name and size; its content is checked when it is installed."""
        path = folder / self.file
        return path.is_file() and path.stat().st_size == self.size


@dataclass(frozen=True)
class Build:
    """A lock file, read."""

    lock: Path
    system: str
    python: str
    kind: str
    wheels: tuple[Wheel, ...]

    @property
    def label(self) -> str:
        """In plain words."""
        return KINDS[self.kind]

    @property
    def download(self) -> int:
        """Bytes of all wheels."""
        return sum(wheel.size for wheel in self.wheels)

    @property
    def unpacked(self) -> int:
        """Bytes of the environment: the wheels' content, and Python's compiled files (of which torch has many)."""
        return sum(wheel.unpacked for wheel in self.wheels) + _COMPILED

    @property
    def digest(self) -> str:
        """Changes when anything that would be installed changes."""
        pins = "\n".join(sorted(wheel.requirement for wheel in self.wheels))
        return hashlib.sha256(pins.encode()).hexdigest()

    @property
    def hosts(self) -> list[str]:
        """The servers that a download asks."""
        return sorted({wheel.index.split("/")[2] if wheel.index else "pypi.org" for wheel in self.wheels})

    @property
    def indexes(self) -> list[str]:
        """Addresses of what pip looks at beside the usual one."""
        return sorted({wheel.index for wheel in self.wheels if wheel.index})

    @property
    def command(self) -> str:
        """Fetches all wheels into the current folder, typed into a shell on a computer of the same kind."""
        extra = "".join(f" --extra-index-url {index}" for index in self.indexes)
        return f'pip download --no-deps --require-hashes{extra} -r "{self.lock}"'

    def missing_in(self, folder: Path) -> list[Wheel]:
        """Wheels that ``folder`` lacks."""
        return [wheel for wheel in self.wheels if not wheel.lies_in(folder)]


def this_system() -> str:
    """``linux-x86_64``, ``windows-x86_64``, ``macos-arm64`` and so on."""
    system, machine = platform.system().lower(), platform.machine().lower()
    return f"{_SYSTEMS.get(system, system)}-{_MACHINES.get(machine, machine)}"


def this_python() -> str:
    """``3.11`` and so on."""
    return "{}.{}".format(*sys.version_info[:2])


def read_build(lock: Path) -> Build:
    """A lock file, named ``<system>-<machine>-py<version>-<kind>.txt``.

    Raises:
        Failure: ``lock_broken``.
    """
    match = re.fullmatch(r"(\w+-\w+)-py3(\d+)-(\w+)", lock.stem)
    if match is None or match[3] not in KINDS:
        raise Failure("lock_broken", f"{lock.name} is no list of the engine's packages.", _REINSTALL)
    wheels = []
    for line in lock.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            wheels.append(_read_line(lock, line))
    return Build(lock, match[1], f"3.{match[2]}", match[3], tuple(wheels))


def builds_for(system: str = "", python: str = "", folder: Path = LOCKS) -> list[Build]:
    """The builds for a system and a Python (this one's if not said), in the order in which they are offered."""
    stem = f"{system or this_system()}-py{(python or this_python()).replace('.', '')}-"
    return list(_read_all(folder, stem))


def choose_build(kind: str = "", system: str = "", python: str = "", folder: Path = LOCKS) -> Build:
    """The build of that kind; the first that is offered if none is named.

    Raises:
        Failure: ``no_build`` where there is none for this system, this Python or of this kind.
    """
    builds = builds_for(system, python, folder)
    for build in builds:
        if kind in ("", build.kind):
            return build
    where = f"Python {python or this_python()} on {system or this_system()}"
    if builds:
        offered = " or ".join(build.label for build in builds)
        hint = f"Choose {offered}, or choose your own Python with torch below."
        raise Failure("no_build", f"There is no {KINDS.get(kind, kind)} build for {where}.", hint)
    raise Failure(
        "no_build",
        f"The engine cannot be installed for {where}, which is what this Blender brings.",
        "Choose your own Python with torch below, or use a Blender from blender.org on a 64-bit PC or an Apple Silicon "
        "Mac.",
    )


def build_in(folder: Path, kind: str = "", locks: Path = LOCKS) -> Build:
    """The build whose wheels ``folder`` holds; where it holds none in full, what :func:`choose_build` says."""
    first = choose_build(kind, folder=locks)
    for build in (first, *builds_for(folder=locks)):
        if not build.missing_in(folder):
            return build
    return first


_REINSTALL = "Install the add-on again."


@functools.cache  # panels ask at every redraw, and the files do not change while the add-on runs
def _read_all(folder: Path, stem: str) -> tuple[Build, ...]:
    order = list(KINDS)
    builds = (read_build(path) for path in folder.glob(f"{stem}*.txt"))
    return tuple(sorted(builds, key=lambda build: order.index(build.kind)))


def _read_line(lock: Path, line: str) -> Wheel:
    match = _LINE.fullmatch(line.strip())
    if match is None:
        raise Failure("lock_broken", f"{lock.name} has a line without an exact wheel: {line[:60]}.", _REINSTALL)
    facts = dict(word.split("=", 1) for word in match["facts"].split())
    try:
        size, unpacked = int(facts["bytes"]), int(facts["unpacked"])
        file = facts["file"]
    except (KeyError, ValueError) as error:
        raise Failure("lock_broken", f"{lock.name} does not describe {match['name']} in full.", _REINSTALL) from error
    return Wheel(match["name"], match["version"], file, match["sha256"], size, unpacked, facts.get("index", ""))
