# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests in Blender share: an engine that only pretends, and a bank that has learned nothing."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.join_blender.support import fake_python, make_bank
from tools.build_zip import build


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    return fake_python(tmp_path)


@pytest.fixture(scope="session")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _made_once(tmp_path_factory, "banks", lambda folder: make_bank(folder / "tiny.safetensors"))


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The extension's zip."""
    return _made_once(tmp_path_factory, "dist", build)


def _made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], Path]) -> Path:
    """What is made in a folder, once for all processes that share the tests: each would take seconds for it."""
    own = factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / name
    folder.mkdir(exist_ok=True)
    with (folder / ".lock").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        if not (path := file.read()):
            file.write(path := str(make(folder)))
    return Path(path)
