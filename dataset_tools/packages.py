# SPDX-License-Identifier: GPL-3.0-or-later
"""Find the OpenEXR package: in this Python, else in a folder the user names. Nothing is installed into Blender."""

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
    """The OpenEXR module. Raises UserError with what to run when there is none."""
    try:
        return importlib.import_module("OpenEXR")
    except ImportError:
        pass
    folder = os.environ.get(VARIABLE, "")
    if folder and Path(folder).is_dir():
        # At the end of the path: Blender's own numpy must keep winning.
        sys.path.append(folder)
        try:
            return importlib.import_module("OpenEXR")
        except ImportError:
            sys.path.remove(folder)
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    raise UserError(
        f"This Python ({version}) has no OpenEXR package: run 'pip install --target FOLDER --no-deps "
        f"--python-version {version} --only-binary=:all: OpenEXR' and pass --packages FOLDER or set {VARIABLE}=FOLDER."
    )
