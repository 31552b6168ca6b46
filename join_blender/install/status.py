# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's state in plain words, from what is known without starting anything."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from ..engine.failure import Failure
from .locate import EnginePython
from .paths import Condition, Installed, gigabytes


class Level(Enum):
    """What the user has to do: nothing, try it, install it, mend it."""

    READY = "ready"
    UNTRIED = "untried"
    MISSING = "missing"
    BROKEN = "broken"


@dataclass(frozen=True)
class Status:
    """One or two sentences, each in a line of its own, and how bad it is."""

    level: Level
    text: str


@dataclass(frozen=True)
class Trial:
    """What came of the last test of an interpreter: an answer or a failure."""

    answer: dict[str, Any] | None = None
    failure: Failure | None = None


def describe(python: EnginePython | None, failure: Failure | None, installed: Installed, trial: Trial | None) -> Status:
    """The state.

    Args:
        python: the interpreter that would run the engine, or None where there is none.
        failure: why there is none.
        installed: the add-on's own environment, whether it is the one that runs the engine or not.
        trial: of that interpreter, in this session.
    """
    if python is None:
        return _without(failure, installed)
    if trial is not None and trial.failure is not None:
        return Status(Level.BROKEN, f"Broken: {trial.failure}")
    tested = f"\n{_tested(trial.answer)}" if trial is not None and trial.answer is not None else ""
    if python.installed:
        return Status(Level.READY, _of_installed(installed) + tested)
    if not tested:
        return Status(Level.UNTRIED, f"Uses {python.path} ({python.source}). Not tested in this session.")
    return Status(Level.READY, f"Uses {python.path} ({python.source}).{tested}")


def _without(failure: Failure | None, installed: Installed) -> Status:
    if failure is not None and failure.code != "engine_missing":
        return Status(Level.BROKEN, str(failure))
    if installed.condition is Condition.BROKEN:
        return Status(Level.BROKEN, f"Broken: {installed.why}. Installing again makes it anew.")
    if installed.condition is Condition.UNFINISHED:
        return Status(
            Level.MISSING, "Not installed: the last installation was not finished. What was downloaded is kept."
        )
    return Status(Level.MISSING, "Not installed.")


def _of_installed(installed: Installed) -> str:
    facts = installed.facts
    text = (
        f"Ready on {facts.get('device', 'CPU')}: torch {facts.get('versions', {}).get('torch', '?')}, "
        f"Python {facts.get('python', '?')}, {gigabytes(int(facts.get('bytes', 0)))}."
    )
    if facts.get("kind") in ("cuda", "rocm") and facts.get("device") == "CPU":
        text += "\nNo graphics card that it can use was found, so it uses the processor."
    if installed.condition is Condition.OLD:
        text += "\nThis version of the add-on comes with newer packages: install again to have them."
    return text


def _tested(answer: dict[str, Any]) -> str:
    """What a ``hello`` of the engine, or the result of the probe, says."""
    if answer["type"] == "hello":
        banks = [bank["name"] if isinstance(bank, dict) else str(bank) for bank in answer.get("banks", [])]
        known = f"banks {', '.join(banks)}" if banks else "no bank"
        return (
            f"Tested: the engine {answer.get('engine', '')} answers, on {answer.get('device', '?')} "
            f"with torch {answer.get('torch', '?')}, {known}."
        )
    return f"Ready on {answer['device']}: torch {answer['versions'].get('torch', '?')}, Python {answer['python']}."
