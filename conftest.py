# SPDX-License-Identifier: GPL-3.0-or-later
"""pytest looks at the checkout as a folder and not as a package: its ``__init__.py`` is the extension's entry, and the
folder may have a name that is none for a package."""

from __future__ import annotations

from pathlib import Path

import pytest


class _Checkout:
    """A plugin, since a conftest has no say in how its own folder is collected."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collect_directory(self, path: Path, parent: pytest.Collector) -> pytest.Collector | None:
        """None leaves every other folder to pytest."""
        return pytest.Dir.from_parent(parent, path=path) if path == Path(__file__).parent else None


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Checkout(), "checkout")
