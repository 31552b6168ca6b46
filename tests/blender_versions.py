# SPDX-License-Identifier: GPL-3.0-or-later
"""The Blenders that everything is tried in: each a virtual environment ``.venv-bpy-<version>``, made once."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]

VERSIONS = {"4.2.23": "3.11", "4.5.15": "3.11", "5.0.1": "3.11", "5.1.2": "3.13", "5.2.3": "3.13"}
"""Blender → the Python that its wheel is for."""


def environment(version: str) -> Path | None:
    """The Python of the environment with that Blender, made now if it is not there; None where no Python fits."""
    folder = _ROOT / f".venv-bpy-{version}"
    python = folder / "bin" / "python"
    if (folder / "ready").exists():
        return python
    base = _find_python(VERSIONS[version])
    if base is None:
        return None
    print(f"{version}: making {folder.name} (once)", flush=True)
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run([base, "-m", "venv", str(folder)], check=True)
    numpy = "numpy<2" if VERSIONS[version] == "3.11" else "numpy"
    pip = [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, f"bpy=={version}", numpy], check=True)
    (folder / "ready").touch()
    return python


def _find_python(version: str) -> str | None:
    """An interpreter of that version: this one, one on the path, or one of pyenv's (whose shims may not run)."""
    candidates = [sys.executable, shutil.which(f"python{version}")]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    if pyenv_shim := shutil.which("pyenv"):
        root = subprocess.run([pyenv_shim, "root"], capture_output=True, text=True, check=False).stdout.strip()
        pyenv = Path(root or pyenv.parent) / "versions"
    candidates += [str(path) for path in sorted(pyenv.glob(f"{version}.*/bin/python"))]
    for candidate in candidates:
        if candidate and _version_of(candidate) == version:
            return candidate
    return None


def _version_of(python: str) -> str:
    program = "import sys; print('%d.%d' % sys.version_info[:2])"
    return subprocess.run([python, "-c", program], capture_output=True, text=True, check=False).stdout.strip()
