# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the lock files of the engine's environment anew: ``lock_engine.py [--only PART]``. Needs ``uv`` and a network.

One file per build, ``join_blender/engine_requirements/<system>-<machine>-py<version>-<kind>.txt``, in pip's own format:
one exact wheel per line with its SHA-256, its size as it comes and unpacked, and the index it comes from where that is
not the default one. The pins come from ``pyproject.toml``. A build is only written when every wheel has a hash.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import subprocess
import sys
import tempfile
import tomllib
import urllib.parse
import urllib.request
import zipfile
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # a script of the checkout, not of the extension

from join_blender.install.builds import LOCKS, Wheel  # noqa: E402

WANTED = ("torch", "numpy", "safetensors", "pillow", "openexr", "openimageio")
"""What the engine itself imports; the rest follows from these."""
_PYTORCH = "https://download.pytorch.org/whl"


def _torch(kind: str, python: str, system: str, sha256: str, size: int, unpacked: int = 699_298_109) -> Wheel:
    version = f"2.13.0+{kind}"
    file = f"torch-{version}-cp{python}-cp{python}-{system}.whl"
    return Wheel("torch", version, file, sha256, size, unpacked, f"{_PYTORCH}/{kind}")


# Wheels of pytorch's own index. The first's hash was computed from the wheel itself; the others are those that
# several public lock files agree on, and their sizes unpacked are estimates (the first's, and a little too much).
_GLIBC = "manylinux_2_28_x86_64"
_CPU_311 = _torch("cpu", "311", _GLIBC, "6746dbcbeb526eb61330b76b41ff1b4eb848951103a892eeb080dfa2b264667b", 191_794_682)
_CPU_313 = _torch("cpu", "313", _GLIBC, "3fbf9c9d1f3c10c2d59d04aca426dee9ccc6ceb32d255c61e93acc3b4f75fae6", 191_815_667)
_CPU_314 = _torch("cpu", "314", _GLIBC, "d20fa53ee744502fa4c69818a720b05ca0d37abd055d4f6e66cae155114bc691", 191_822_516)
_WINDOWS_CUDA_313 = _torch(
    "cu130",
    "313",
    "win_amd64",
    "cf23236e9deed7d3510d14d9b9592d75d272ef7b35bbfee31a02bea339c73971",
    1_915_517_499,
    4_200_000_000,
)

# Carries the weights that faces are found with, which alone are read of it: what it asks for itself, an old torch above
# all, is not installed, and no resolver must hear of it.
_FACES = Wheel(
    "facenet-pytorch",
    "2.6.0",
    "facenet_pytorch-2.6.0-py3-none-any.whl",
    "ecb82b27beb226d106f2219efe8f829b01b87a8595badd01545679bdb9f19cca",
    1_881_930,
    2_074_321,
    "",
)


@dataclass(frozen=True)
class Build:
    """What to lock."""

    system: str
    python: str
    kind: str
    target: str
    """The platform in uv's words."""
    torch: Wheel | None = None
    """Instead of the torch of the default index."""
    without: tuple[str, ...] = ()
    """Beginnings of names that the default index's torch asks for, and this torch does not."""

    @property
    def name(self) -> str:
        """The lock file's, without its ending."""
        return f"{self.system}-py{self.python.replace('.', '')}-{self.kind}"


_LINUX, _WINDOWS, _MAC = "x86_64-manylinux_2_28", "x86_64-pc-windows-msvc", "aarch64-apple-darwin"
_NVIDIA = ("nvidia-", "cuda-", "triton")
BUILDS = (
    Build("linux-x86_64", "3.11", "cpu", _LINUX, _CPU_311, _NVIDIA),
    Build("linux-x86_64", "3.13", "cpu", _LINUX, _CPU_313, _NVIDIA),
    Build("linux-x86_64", "3.11", "cuda", _LINUX),
    Build("linux-x86_64", "3.13", "cuda", _LINUX),
    Build("linux-x86_64", "3.14", "cpu", _LINUX, _CPU_314, _NVIDIA),  # distributions' own Blenders
    Build("linux-x86_64", "3.14", "cuda", _LINUX),
    Build("windows-x86_64", "3.11", "cpu", _WINDOWS),
    Build("windows-x86_64", "3.13", "cpu", _WINDOWS),
    Build("windows-x86_64", "3.13", "cuda", _WINDOWS, _WINDOWS_CUDA_313),
    Build("macos-arm64", "3.11", "metal", _MAC),
    Build("macos-arm64", "3.13", "metal", _MAC),
)


def lock(build: Build, cutoff: str) -> list[Wheel]:
    """Every wheel of the build, by name. ``cutoff`` is a date: nothing newer is taken."""
    with tempfile.TemporaryDirectory() as folder:
        wanted, locked = Path(folder) / "wanted.in", Path(folder) / "pylock.toml"
        wanted.write_text("\n".join(_pins(build.python)), encoding="utf-8")
        # fmt: off
        command = [
            "uv", "pip", "compile", str(wanted), "-q", "--python-version", build.python, "--python-platform",
            build.target, "--only-binary", ":all:", "--default-index", "https://pypi.org/simple", "--no-config",
            "--exclude-newer", cutoff, "--format", "pylock.toml", "-o", str(locked),
        ]
        # fmt: on
        # The oldest macOS that torch's wheels are for.
        subprocess.run(command, check=True, env={**os.environ, "MACOSX_DEPLOYMENT_TARGET": "14.0"})
        packages = tomllib.loads(locked.read_text(encoding="utf-8"))["packages"]
    wheels = []
    for package in packages:
        if package["name"] == "torch" and build.torch is not None:
            wheels.append(build.torch)
        elif not package["name"].startswith(build.without or "\0"):
            wheels.append(_described(package))
    return sorted([*wheels, _FACES], key=lambda wheel: wheel.name)


def _pins(python: str) -> list[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    pins = {}
    for requirement in map(Requirement, project["dependencies"]):
        if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
            pins[requirement.name.lower()] = f"{requirement.name}{requirement.specifier}"
    return [pins[name] for name in WANTED]


def _described(package: dict) -> Wheel:
    # Several fit only on macOS, one for each oldest version that it runs on: the newest that torch's runs on too.
    wheel = max(package["wheels"], key=lambda wheel: _macos(wheel["url"]))
    url = wheel["url"]
    file = urllib.parse.unquote(url.rsplit("/", 1)[-1])
    remote = _Remote(url)
    with zipfile.ZipFile(io.BufferedReader(remote, 1 << 16)) as archive:  # type: ignore[type-var]
        unpacked = sum(entry.file_size for entry in archive.infolist())
    return Wheel(package["name"], package["version"], file, wheel["hashes"]["sha256"], remote.size, unpacked, "")


def _macos(url: str) -> tuple[int, int]:
    match = re.search(r"macosx_(\d+)_(\d+)_arm64", url)
    return (int(match[1]), int(match[2])) if match else (0, 0)


class _Remote(io.RawIOBase):
    """A file on a server, of which only what is looked at is fetched: a wheel's table of contents is at its end."""

    def __init__(self, url: str) -> None:
        self._url, self._at = url, 0
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD")) as answer:
            self.size = int(answer.headers["Content-Length"])

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = (0, self._at, self.size)[whence] + offset
        return self._at

    def readinto(self, buffer: bytearray) -> int:  # type: ignore[override]
        last = min(self._at + len(buffer), self.size) - 1
        if last < self._at:
            return 0
        request = urllib.request.Request(self._url, headers={"Range": f"bytes={self._at}-{last}"})
        with urllib.request.urlopen(request) as answer:
            data = answer.read()
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _line(wheel: Wheel) -> str:
    """In pip's format; pip takes what follows the # as a comment, and the add-on reads it."""
    index = f" index={wheel.index}" if wheel.index else ""
    return f"{wheel.requirement}  # file={wheel.file} bytes={wheel.size} unpacked={wheel.unpacked}{index}"


def write(build: Build, wheels: list[Wheel], cutoff: str) -> Path:
    """The lock file."""
    path = LOCKS / f"{build.name}.txt"
    lines = [
        f"# The engine's environment: {build.kind}, {build.system}, Python {build.python}.",
        f"# Written by tools/lock_engine.py --cutoff {cutoff}: change it there.",
        *map(_line, wheels),
    ]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def main() -> int:
    """Write all, or those whose name holds ``--only``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="a part of the names of the builds to lock")
    parser.add_argument("--cutoff", default="2026-11-20", help="no package newer than this date")
    given = parser.parse_args()
    for build in (build for build in BUILDS if given.only in build.name):
        wheels = lock(build, given.cutoff)
        size, unpacked = sum(wheel.size for wheel in wheels), sum(wheel.unpacked for wheel in wheels)
        print(f"{write(build, wheels, given.cutoff).name}: {len(wheels)} wheels, {size >> 20} MB, {unpacked >> 20} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
