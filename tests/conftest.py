# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of all tests: files with the most slow ones first, so that no process is left alone with one at the end."""

from __future__ import annotations

from collections import Counter

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])
