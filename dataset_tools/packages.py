# SPDX-License-Identifier: GPL-3.0-or-later
"""Find Pillow, which exports and samples need and rendering does not, and OpenEXR for unusual files of others.

In this Python, else in a folder that the user names; nothing is ever installed into Blender.
"""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from typing import Any

from dataset_tools.errors import UserError

VARIABLE = "JOIN_PACKAGES"


def use_folder(folder: str | None) -> None:
    """Take ``--packages`` for this process and for the workers it starts."""
    if folder:
        os.environ[VARIABLE] = folder


def load_openexr() -> Any:
    """The OpenEXR module, for what our own codec cannot read. Raises UserError with what to run when there is none."""
    return _load("OpenEXR", "OpenEXR")


def load_pillow() -> Any:
    """The ``PIL.Image`` module, which writes PNG. Raises UserError with what to run when there is none."""
    return _load("PIL.Image", "pillow")


def _load(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        pass
    folder = os.environ.get(VARIABLE, "")
    if folder and folder not in sys.path and Path(folder).is_dir():
        # At the end of the path: Blender's own numpy must keep winning.
        sys.path.append(folder)
        importlib.invalidate_caches()
        return _load(module, package)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    raise UserError(
        f"This Python ({version}) has no {package} package: run 'python -m pip install --target FOLDER --no-deps "
        f"--only-binary=:all: --python-version {version} OpenEXR pillow tqdm' and pass --packages FOLDER or set "
        f"{VARIABLE}=FOLDER."
    )
