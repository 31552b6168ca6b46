# SPDX-License-Identifier: GPL-3.0-or-later
"""What tests in Blender share: an engine that only pretends, and a bank that has learned nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.join_blender.support import fake_python, make_bank


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    return fake_python(tmp_path)


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bank(tmp_path_factory.mktemp("banks") / "tiny.safetensors")
