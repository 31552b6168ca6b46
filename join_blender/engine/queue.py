# SPDX-License-Identifier: GPL-3.0-or-later
"""The decompositions that wait, the one at work, and the last one that failed."""

from __future__ import annotations

from collections.abc import Iterable

from .connection import Connection
from .decomposition import Session, Stage
from .failure import Failure

_ENGINE_TROUBLE = ("engine_", "torch_missing", "device_missing")
"""How the codes of failures begin that the next in the queue would meet as well."""


class Queue:
    """Sessions in the order in which they came; the first is at work.

    Attributes:
        sessions: those that have not ended.
        failed: the last one that failed, kept with its pixels so that it can be tried again.
        halted: an engine that does not work makes the others wait, until :meth:`restart`.
        connection: the engine.
    """

    def __init__(self, connection: Connection | None = None) -> None:
        self.sessions: list[Session] = []
        self.failed: Session | None = None
        self.halted = False
        self.connection = connection or Connection()

    @property
    def current(self) -> Session | None:
        """The one at work, or about to be."""
        return self.sessions[0] if self.sessions and not self.halted else None

    def add(self, session: Session) -> None:
        """Put it at the end. Whoever adds something wants the engine to be tried again."""
        self.halted = False
        self.sessions.append(session)

    def step(self) -> list[Session]:
        """Move on as far as that needs no waiting; returns the sessions that have ended since, which are closed
        unless they failed."""
        self.connection.step()
        if self.current is not None:
            self.current.step(self.connection)
        ended = [session for session in self.sessions if session.ended]
        self.sessions = [session for session in self.sessions if not session.ended]
        for session in ended:
            if session.stage is Stage.FAILED:
                self._remember(session)
            else:
                session.close()
        return ended

    def stop(self, session_id: str, keep: bool) -> None:
        """Stop one; an unknown id is one that has ended meanwhile."""
        for session in self.sessions:
            if session.id == session_id:
                session.stop(keep)

    def stop_all(self) -> None:
        """Stop everything and keep nothing."""
        for session in self.sessions:
            session.stop(keep=False)
        self.dismiss()

    def restart(self) -> None:
        """A fresh engine; what failed is tried again, before the others."""
        self.connection.end()
        self.halted = False
        if self.failed is not None:
            self.failed.try_again()
            self.sessions.insert(0, self.failed)
            self.failed = None

    def dismiss(self) -> None:
        """Forget the failure and the pixels that go with it; the others go on."""
        if self.failed is not None:
            self.failed.close()
        self.failed = None
        self.halted = False

    def close(self) -> None:
        """End the engine and remove all temporary files."""
        self.dismiss()
        for session in self.sessions:
            session.close()
            session.wait_until_closed()
        self.sessions = []
        self.connection.end()

    def _remember(self, session: Session) -> None:
        if self.failed is not None:
            self.failed.close()
        self.failed = session
        self.halted = concerns_engine(session.failure) and bool(self.sessions)


def concerns_engine(failure: Failure | None) -> bool:
    """Whether the engine is at fault and not the image."""
    return failure is not None and _starts_with(failure.code, _ENGINE_TROUBLE)


def _starts_with(text: str, beginnings: Iterable[str]) -> bool:
    return any(text.startswith(beginning) for beginning in beginnings)
