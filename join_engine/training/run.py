# SPDX-License-Identifier: GPL-3.0-or-later
"""A training in its folder: steps, checkpoints, validation, log, progress line, and how its command is called."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from ..errors import JoinError
from ..leftovers import sweep
from ..renders.compose import ComponentSets
from ..renders.packs import PackInfo
from .checkpoint import CHECKPOINT_NAME, checkpoint_path, read_checkpoint, write_checkpoint
from .learner import Learner

LOG_NAME = "log.jsonl"


@contextmanager
def _unwritable_told() -> Iterator[None]:
    """Files that cannot be written are told as JoinError ``output_unwritable``."""
    try:
        yield
    except OSError as error:
        message = f"'{error.filename}' cannot be written ({error.strerror or error})."
        raise JoinError("output_unwritable", message, "Make room for it, or choose another folder.") from error


class Run:
    """A learner at work.

    Args:
        learner: what is trained.
        identity: what it is; a checkpoint of another identity cannot be resumed. Plain JSON values.
        data: to learn from.
        validation: to be judged by; None for no validation.
        out: folder of the run; made when absent.
        sheet: called after each validation with the path of a picture to write; None for no picture.
    """

    def __init__(
        self,
        learner: Learner[Any, Any],
        identity: Mapping[str, Any],
        data: ComponentSets,
        validation: ComponentSets | None,
        out: Path,
        sheet: Callable[[Path], None] | None = None,
    ) -> None:
        self.learner = learner
        self.identity = dict(identity)
        self.data = data
        self.validation = validation
        self.out = out
        self.seconds = 0.0
        self.scores: dict[str, float] = {}
        self.history: list[dict[str, Any]] = []
        self._sheet = sheet
        self._stopping = False
        with _unwritable_told():
            out.mkdir(parents=True, exist_ok=True)
        sweep(out)

    def resume(self, where: str = "auto") -> None:
        """Go on from a checkpoint: "auto" (when the folder has one), "never", or the path of a checkpoint or run.
        Raises JoinError ``checkpoint_missing``, ``checkpoint_broken`` or ``checkpoint_mismatch``."""
        path = self.out / CHECKPOINT_NAME if where == "auto" else checkpoint_path(where)
        if where != "never" and not (where == "auto" and not path.exists()):
            tensors, values = read_checkpoint(path)
            stored = values.get("identity")
            if stored != self.identity and not self.learner.grows_from(stored, self.identity):
                message = f"The checkpoint '{path}' belongs to another training or architecture."
                raise JoinError("checkpoint_mismatch", message, "Choose another folder, or give the same settings.")
            try:
                self.learner.load_tensors(tensors)
                self.learner.steps, self.learner.images = values["steps"], values["images"]
                self.seconds, self.scores, self.history = values["seconds"], values["scores"], values["history"]
                if stored is not None and stored != self.identity:
                    self.history = of_architecture(self.history, stored["architecture"])
            except (KeyError, RuntimeError, ValueError) as error:
                raise JoinError("checkpoint_broken", f"The checkpoint '{path}' is incomplete.") from error
        learner = self.learner
        begun = learner.start_from if learner.images == 0 else None
        told = stretch(learner.images, self.data.packs, learner.settings, learner.device, begun)
        self.history = [*self.history, told]

    def request_stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """End after the current step, with a checkpoint."""
        self._stopping = True

    @_unwritable_told()
    def train(self, kimg: float, minutes: float, save_every: float, validate_every: float) -> None:
        """Train up to ``kimg`` thousand images in all, or for ``minutes`` from now; then validate and save. Raises
        JoinError ``training_diverged``, ``output_unwritable``; the last checkpoint is whole in either case.

        Args:
            save_every: thousand images between checkpoints and lines of the log.
            validate_every: thousand images between validations; 0 only at the end.
        """
        learner = self.learner
        begun = mark = time.monotonic()
        before, mark_images = self.seconds, learner.images
        means = Means()
        validated = -1
        while learner.images < kimg * 1000 and not self._stopping:
            earlier = learner.images
            means.add(learner.step(self.data))
            now = time.monotonic()
            self.seconds = before + now - begun
            if crosses(earlier, learner.images, validate_every):
                self._validate()
                validated = learner.images
            if crosses(earlier, learner.images, save_every):
                speed = (learner.images - mark_images) / max(now - mark, 1e-9)
                mark, mark_images = now, learner.images
                self.save()
                self._log(means.take(), speed, kimg, begun + minutes * 60 - now)
            if now - begun > minutes * 60:
                break
        learner.check()
        if validated != learner.images:
            self._validate()
        self.save()

    def save(self) -> None:
        """Write a checkpoint. Raises JoinError ``training_diverged`` or ``output_unwritable``."""
        self.learner.check()
        self.history[-1] |= {"to_images": self.learner.images}
        values = {
            "identity": self.identity,
            "steps": self.learner.steps,
            "images": self.learner.images,
            "seconds": self.seconds,
            "scores": self.scores,
            "history": self.history,
        }
        write_checkpoint(self.out / CHECKPOINT_NAME, self.learner.tensors(), values)

    def _validate(self) -> None:
        if self.validation is None:
            return
        self.scores = {key: round(value, 5) for key, value in self.learner.validate(self.validation).items()}
        self._append({"images": self.learner.images, "validation": self.scores})
        print("  validation: " + ", ".join(f"{key} {value:g}" for key, value in self.scores.items()), flush=True)
        if self._sheet is not None:
            self._sheet(self.out / f"samples-{self.learner.images // 1000:06d}k.png")

    def _log(self, report: Mapping[str, float], speed: float, kimg: float, seconds_left: float) -> None:
        values = {key: round(value, 5) for key, value in report.items()}
        images = self.learner.images
        self._append(values | {"images": images, "images_per_second": round(speed, 1), "seconds": round(self.seconds)})
        left = min(seconds_left, (kimg * 1000 - images) / speed)
        losses = ", ".join(f"{key} {value:.4f}" for key, value in values.items())
        print(
            f"{images / 1000:.1f} of {kimg:g} kimg, {speed:.1f} images/s, {losses}, {max(0.0, left) / 60:.0f} min left",
            flush=True,
        )

    def _append(self, values: Mapping[str, Any]) -> None:
        with (self.out / LOG_NAME).open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")


def stretch(
    images: int,
    packs: Iterable[PackInfo],
    settings: Any,
    device: torch.device,
    start_from: Mapping[str, Any] | None,
) -> dict[str, Any]:
    """What the history tells of a call of the command: the images shown before, what from and how it trains, and the
    bank that it begins with, if any."""
    return {
        **({} if start_from is None else {"start_from": dict(start_from)}),
        "from_images": images,
        "to_images": images,
        "packs": [{key: getattr(pack, key) for key in ("file", "dataset", "split", "count")} for pack in packs],
        "settings": asdict(settings),
        "device": device.type,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__.split("+")[0],
    }


def of_architecture(history: Iterable[Mapping[str, Any]], architecture: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Stretches of a network that has grown since, which tell the architecture that it had."""
    return [{"architecture": architecture, **one} for one in history]


class Means:
    """Means of what the steps report, each over the steps that report it; stays on the device until it is taken."""

    def __init__(self) -> None:
        self._sums: dict[str, tuple[torch.Tensor, int]] = {}

    def add(self, report: Mapping[str, torch.Tensor]) -> None:
        """One step's values."""
        for key, value in report.items():
            total, count = self._sums.get(key, (torch.zeros_like(value), 0))
            self._sums[key] = total + value, count + 1

    def take(self, over_all: Callable[[torch.Tensor], torch.Tensor] = lambda total: total) -> dict[str, float]:
        """The means so far; begins anew. Of several processes, ``over_all`` tells the mean of their sums."""
        found = {key: float(over_all(total)) / count for key, (total, count) in self._sums.items()}
        self._sums = {}
        return found


def crosses(before: int, after: int, every_kimg: float) -> bool:
    """Whether a multiple of ``every_kimg`` thousand lies in (before, after]; never for 0."""
    every = every_kimg * 1000
    return every > 0 and int(after // every) > int(before // every)
