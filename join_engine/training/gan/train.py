# SPDX-License-Identifier: GPL-3.0-or-later
"""The training of a component's generator in its folder: steps, schedule, checkpoints, sample sheets, log."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch

from ...errors import JoinError
from ...leftovers import sweep
from ...networks.stylegan2 import GeneratorConfig
from ...renders.contact_sheet import contact_sheet, save_picture
from ...renders.packs import ImageSet
from ..checkpoint import CHECKPOINT_NAME, write_checkpoint
from ..run import Means, crosses, stretch
from .distributed import Group
from .monitor import Monitor, diverged
from .origin import Origin, find_origin
from .state import GanSettings, GanState

_SHEET_COLUMNS = 8
# Processes that train together agree every so many steps whether to stop or to save.
_AGREE_EVERY = 8


@dataclass(frozen=True)
class Schedule:
    """When to do what; 0 for "every" means never.

    Attributes:
        kimg: thousand images in all, with those that a resumed run or a bank's networks have seen.
        minutes: stop after so many.
        log_every: thousand images between lines of the log.
        save_every: thousand images between checkpoints.
        save_minutes: minutes between checkpoints, whatever else.
        sheet_every: thousand images between sample sheets.
        keep_every: thousand images between checkpoints that stay.
    """

    kimg: float = 1000.0
    minutes: float = 1e9
    log_every: float = 4.0
    save_every: float = 0.0
    save_minutes: float = 10.0
    sheet_every: float = 10.0
    keep_every: float = 0.0


class Training:
    """A run in its folder: steps, checkpoints, sample sheets, log.

    Args:
        out: folder of the run; made when absent.
        origin: what the networks come from; None for fresh ones.
    """

    def __init__(self, state: GanState, data: ImageSet, out: Path, origin: Origin | None = None) -> None:
        self.state = state
        self.data = data
        self.out = out
        self.seconds = 0.0 if origin is None else origin.seconds
        begun = None if origin is None else origin.bank
        told = stretch(state.images, data.packs, state.settings, state.device, begun)
        earlier = [] if origin is None else origin.history
        self.history = [*earlier, {**told, "processes": state.group.world}]
        self._stopping = False
        resumed = origin is not None and origin.path == out / CHECKPOINT_NAME
        self._saved_images: int | None = state.images if resumed else None
        try:
            out.mkdir(parents=True, exist_ok=True)
            sweep(out)
        except OSError as error:
            message = f"The folder '{out}' cannot be made ({error.strerror or error})."
            raise JoinError("output_unwritable", message, "Choose another folder.") from error

    def request_stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """End after the current step, with a checkpoint."""
        self._stopping = True

    def run(self, schedule: Schedule, monitor: Monitor | None = None) -> None:
        """Train to the end of the schedule or until asked to stop, and save. Raises JoinError ``training_diverged`` or
        ``output_unwritable``; the last snapshot is whole then. ``monitor``: told how it goes; None for silence. Only
        the process that leads has one."""
        state, group, meter = self.state, self.state.group, Means()
        self._leading(self._write_sheet, "reals.png", self._some_reals, monitor)
        begun = mark = saved = time.monotonic()
        before, mark_images = self.seconds, state.images
        while state.images < schedule.kimg * 1000:
            earlier = state.images
            meter.add(state.step(self.data))
            now = time.monotonic()
            self.seconds = before + now - begun
            if self._at(earlier, schedule.log_every):
                means = meter.take(group.mean)
                if wrong := sorted(name for name, value in means.items() if not math.isfinite(value)):
                    raise diverged(", ".join(wrong), state.images, self._last_good())
                speed = (state.images - mark_images) / max(now - mark, 1e-9)
                mark, mark_images = now, state.images
                left = (schedule.kimg * 1000 - state.images) / speed
                left = min(left, begun + schedule.minutes * 60 - now)
                tell = monitor.log if monitor is not None else lambda *_: None
                self._leading(tell, means, state.images, schedule.kimg, speed, left, self.seconds)
            due = self._at(earlier, schedule.save_every) or self._agree(now - saved > schedule.save_minutes * 60)
            if due:
                self.save()
                saved = now
            if self._at(earlier, schedule.sheet_every):
                self.sheet(monitor)
            if self._at(earlier, schedule.keep_every):
                self.save(f"checkpoint-{state.images // 1000:06d}k.safetensors")
            if self._agree(self._stopping or now - begun > schedule.minutes * 60):
                break
        self.save()
        self.sheet(monitor)

    def save(self, name: str = CHECKPOINT_NAME) -> None:
        """Write a checkpoint, unless something in it is not a number; all processes must call. Raises JoinError
        ``training_diverged`` or ``output_unwritable``."""
        if not self.state.is_finite():
            raise diverged("what the networks hold or make", self.state.images, self._last_good())
        self.history[-1] |= {"to_images": self.state.images}
        values = {
            "component": self.data.component,
            "transform": self.data.transform,
            "architecture": self.state.config.to_dict(),
            "steps": self.state.steps,
            "images": self.state.images,
            "seconds": self.seconds,
            "history": self.history,
        }
        path = self.out / name
        try:
            self._leading(write_checkpoint, path, self.state.tensors(), values)
        except JoinError as error:
            raise JoinError(error.code, error.message, f"{self._last_good()} Make room, then go on.") from error
        self._saved_images = self.state.images

    @torch.no_grad()
    def sheet(self, monitor: Monitor | None = None) -> None:
        """Write what the averaged generator makes of the same codes each time."""
        name = f"samples-{self.state.images // 1000:06d}k.png"
        self._leading(self._write_sheet, name, self._some_fakes, monitor)

    def _at(self, earlier: int, every_kimg: float) -> bool:
        return crosses(earlier, self.state.images, every_kimg)

    def _agree(self, wish: bool) -> bool:
        """Whether any process wishes so; asked of all at the same steps."""
        if self.state.group.world > 1 and self.state.steps % _AGREE_EVERY:
            return False
        return self.state.group.any(wish, self.state.device)

    def _leading(self, write: Callable[..., None], *arguments: Any) -> None:
        """Let the leading process write; where that fails, all processes stop. All must call."""
        problem: JoinError | None = None
        if self.state.group.leads:
            try:
                write(*arguments)
            except JoinError as error:
                problem = error
        if self.state.group.any(problem is not None, self.state.device):
            raise problem or JoinError("stopped", "The leading process could not write.")

    def _last_good(self) -> str:
        """A sentence about the last snapshot."""
        path = self.out / CHECKPOINT_NAME
        if self._saved_images is None or not path.exists():
            return "There is no snapshot yet."
        return f"The last good snapshot is '{path}', after {self._saved_images:,} images."

    def _some_fakes(self) -> torch.Tensor:
        z = torch.randn(_SHEET_COLUMNS**2, self.state.config.z_dim, generator=torch.Generator().manual_seed(1))
        images = [self.state.average(part.to(self.state.device), noise="const") for part in z.split(16)]
        return torch.cat(images)

    def _some_reals(self) -> torch.Tensor:
        chosen = torch.randperm(len(self.data.images), generator=torch.Generator().manual_seed(1))
        return self.data.batch(chosen[: _SHEET_COLUMNS**2])

    def _write_sheet(self, name: str, make: Callable[[], torch.Tensor], monitor: Monitor | None) -> None:
        picture = contact_sheet(make(), _SHEET_COLUMNS)
        save_picture(self.out / name, picture, zoom=max(1, 64 // self.state.config.resolution))
        if monitor is not None:
            monitor.picture(name.split("-")[0].removesuffix(".png"), np.asarray(picture), self.state.images)


def begin(
    out: Path,
    data: ImageSet,
    architecture: dict[str, int],
    settings: GanSettings,
    resume: str = "auto",
    device: str = "cpu",
    group: Group | None = None,
    start_from: str | None = None,
) -> Training:
    """A new training, or the continuation of the one in ``out``. Raises JoinError ``settings_invalid``,
    ``checkpoint_missing``, ``checkpoint_broken``, ``checkpoint_mismatch``, and as
    :func:`join_engine.training.gan.origin.origin_in_bank`.

    Args:
        data: the images; their resolution is the generator's.
        architecture: settings of GeneratorConfig except the resolution; with ``start_from`` those of the bank (or of
            the run that is resumed) stand for the ones that are not given.
        settings: how to train from here on.
        resume: "auto" (when there is a checkpoint), "never", or the path of a checkpoint or run.
        group: the processes that train together.
        start_from: name or path of a bank whose networks a new training begins with; a checkpoint goes before it.
    """
    origin = find_origin(out, data.component, resume, start_from)
    if origin is not None and start_from is not None:
        architecture = {**origin.architecture, **architecture}
    size = {"resolution": data.resolution, "image_channels": data.images.shape[1]}
    try:
        config = GeneratorConfig.from_dict(architecture | size)
        state = GanState(config, settings, device, group)
    except ValueError as error:
        raise JoinError("settings_invalid", f"These settings are not possible: {error}.") from error
    if origin is not None:
        origin.check({"component": data.component, "transform": data.transform} | config.to_dict())
        origin.load_into(state)
    return Training(state, data, out, origin)
