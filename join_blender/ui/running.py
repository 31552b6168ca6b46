# SPDX-License-Identifier: GPL-3.0-or-later
"""The one decomposition that may run at a time, for the operators that drive it and the panels that show it."""

from __future__ import annotations

from ..core.failure import Failure
from ..core.session import Session

_session: Session | None = None


def current() -> Session | None:
    """The running decomposition."""
    return _session


def refuse_second() -> None:
    """Raise a Failure while a decomposition runs."""
    if _session is not None:
        raise Failure("busy", "An image is being decomposed already.", "Wait for it, or stop it first.")


def begin(session: Session) -> None:
    """Remember the running decomposition."""
    global _session
    refuse_second()
    _session = session


def end(session: Session) -> None:
    """Forget it, end its engine, remove its files."""
    global _session
    session.close()
    if _session is session:
        _session = None


def abandon() -> None:
    """End whatever runs: the add-on is going away."""
    if _session is not None:
        end(_session)
