# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the generator of one component: ``python -m join_engine.training.gan.train --data PACK.tar --component albedo
…``.

May be killed at any moment; the same command goes on from the last checkpoint. ``--data`` and the settings of the
training may differ then, the architecture may not. ``--start-from BANK`` begins a new training with the networks of a
bank instead of fresh weights. With several processes it is started by torchrun::

    torchrun --nproc-per-node=8 -m join_engine.training.gan.train --data PACK.tar --component albedo …

``--component albedo+shading`` trains a single GAN of both, the baseline of JoIN's section 5.4.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch

from ...device import has_bf16, keep_freed_memory
from ...errors import JoinError
from ...networks.stylegan2 import GeneratorConfig
from ...renders.contact_sheet import contact_sheet, save_picture
from ...renders.packs import ImageSet, read_packs
from ..checkpoint import CHECKPOINT_NAME, write_checkpoint
from .distributed import Group, join_group
from .monitor import Meter, Monitor, check_finite, diverged
from .origin import Origin, find_origin
from .state import GanSettings, GanState

_SHEET_COLUMNS = 8
# Processes that train together agree every so many steps whether to stop or to save.
_AGREE_EVERY = 8


@dataclass(frozen=True)
class Schedule:
    """When to do what; 0 for "every" means never.

    Attributes:
        kimg: train up to so many thousand images in all, what the networks had seen before included.
        minutes: or for so many minutes from now.
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
        state: the networks.
        data: the images.
        out: folder of the run; made when absent.
        origin: what the networks come from; None for fresh ones.
    """

    def __init__(self, state: GanState, data: ImageSet, out: Path, origin: Origin | None = None) -> None:
        self.state = state
        self.data = data
        self.out = out
        self.seconds = 0.0 if origin is None else origin.seconds
        self.history = [*([] if origin is None else origin.history), self._stretch(origin)]
        self._stopping = False
        resumed = origin is not None and origin.path == out / CHECKPOINT_NAME
        self._saved_images: int | None = state.images if resumed else None
        try:
            out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            message = f"The folder '{out}' cannot be made ({error.strerror or error})."
            raise JoinError("output_unwritable", message, "Choose another folder.") from error

    def request_stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """End after the current step, with a checkpoint."""
        self._stopping = True

    def run(self, schedule: Schedule, monitor: Monitor | None = None) -> None:
        """Train to the end of the schedule or until asked to stop, and save.

        Args:
            monitor: told how it goes; None for silence. Only the process that leads has one.

        Raises:
            JoinError: ``training_diverged`` or ``output_unwritable``; the last snapshot is whole then.
        """
        state, group, meter = self.state, self.state.group, Meter()
        self._sheet("reals.png", self._some_reals, monitor)
        begun = mark = saved = time.monotonic()
        before, mark_images = self.seconds, state.images
        while state.images < schedule.kimg * 1000:
            earlier = state.images
            meter.add(state.step(self.data))
            now = time.monotonic()
            self.seconds = before + now - begun
            if self._at(earlier, schedule.log_every):
                means = meter.means(group)
                check_finite(means, state.images, self._last_good())
                speed = (state.images - mark_images) / max(now - mark, 1e-9)
                mark, mark_images = now, state.images
                left = (schedule.kimg * 1000 - state.images) / speed
                left = min(left, begun + schedule.minutes * 60 - now)
                tell = monitor.log if monitor is not None else _say_nothing
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
        """Write a checkpoint, unless something in it is not a number; all processes must call.

        Raises:
            JoinError: ``training_diverged`` or ``output_unwritable``.
        """
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
        self._sheet(f"samples-{self.state.images // 1000:06d}k.png", self._some_fakes, monitor)

    def _at(self, earlier: int, every_kimg: float) -> bool:
        return _crosses(earlier, self.state.images, every_kimg)

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

    def _stretch(self, origin: Origin | None) -> dict[str, Any]:
        """What this run of the command adds to the history."""
        return {
            **({} if origin is None or origin.bank is None else {"start_from": dict(origin.bank)}),
            "from_images": self.state.images,
            "to_images": self.state.images,
            "packs": [
                {"file": pack.file, "dataset": pack.dataset, "split": pack.split, "count": pack.count}
                for pack in self.data.packs
            ],
            "settings": self.state.settings.to_dict(),
            "device": self.state.device.type,
            "threads": torch.get_num_threads(),
            "processes": self.state.group.world,
            "torch": torch.__version__.split("+")[0],
        }

    def _some_reals(self) -> torch.Tensor:
        chosen = torch.randperm(len(self.data.images), generator=torch.Generator().manual_seed(1))
        return self.data.batch(chosen[: _SHEET_COLUMNS**2])

    def _sheet(self, name: str, make: Callable[[], torch.Tensor], monitor: Monitor | None) -> None:
        self._leading(self._write_sheet, name, make, monitor)

    def _write_sheet(self, name: str, make: Callable[[], torch.Tensor], monitor: Monitor | None) -> None:
        picture = contact_sheet(make(), _SHEET_COLUMNS)
        save_picture(self.out / name, picture, zoom=max(1, 64 // self.state.config.resolution))
        if monitor is not None:
            monitor.picture(name.split("-")[0].removesuffix(".png"), np.asarray(picture), self.state.images)


def _say_nothing(*_: Any) -> None:
    """Stands for the monitor in processes that have none."""


def _crosses(before: int, after: int, every_kimg: float) -> bool:
    """Whether a multiple of ``every_kimg`` thousand lies in (before, after]; never for 0."""
    every = every_kimg * 1000
    return every > 0 and int(after // every) > int(before // every)


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
    """A new training, or the continuation of the one in ``out``.

    Args:
        out: folder of the run.
        data: the images; their resolution is the generator's.
        architecture: settings of GeneratorConfig except the resolution; with ``start_from`` those of the bank (or of
            the run that is resumed) stand for the ones that are not given.
        settings: how to train from here on.
        resume: "auto" (when there is a checkpoint), "never", or the path of a checkpoint or run.
        device: where.
        group: the processes that train together.
        start_from: name or path of a bank whose networks a new training begins with; a checkpoint goes before it.

    Raises:
        JoinError: ``settings_invalid``, ``checkpoint_missing``, ``checkpoint_broken``, ``checkpoint_mismatch``, and
            as :func:`join_engine.training.gan.origin.origin_in_bank`.
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


def choose_device(name: str) -> str:
    """ "auto" → the best device there is; anything else stays."""
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m join_engine.training.gan.train", description=__doc__)
    parser.add_argument("--data", nargs="+", required=True, metavar="PACK.tar", help="packs of renders")
    parser.add_argument("--component", required=True, help="albedo, shading, …")
    parser.add_argument("--out", required=True, type=Path, help="folder of the run")
    parser.add_argument("--resume", default="auto", help="auto, never, or a checkpoint (default: auto)")
    parser.add_argument(
        "--start-from",
        metavar="BANK",
        help="name or path of a bank: a new run begins with its networks; architecture as there where not given",
    )
    parser.add_argument(
        "--kimg",
        type=float,
        default=1000,
        help="thousand images in all, with those that a resumed run or a bank's networks have seen (default: 1000)",
    )
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so many minutes")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: auto)")
    parser.add_argument("--log-every", type=float, default=4, metavar="KIMG", help="progress lines (default: 4)")
    parser.add_argument("--save-minutes", type=float, default=10, metavar="N", help="checkpoints (default: 10)")
    parser.add_argument("--save-every", type=float, default=0, metavar="KIMG", help="more checkpoints (default: none)")
    parser.add_argument("--sheet-every", type=float, default=10, metavar="KIMG", help="sample sheets (default: 10)")
    parser.add_argument(
        "--keep-every", type=float, default=0, metavar="KIMG", help="checkpoints to keep (default: none)"
    )
    parser.add_argument("--tensorboard", action="store_true", help="write TensorBoard's files into the folder, too")
    architecture = parser.add_argument_group("architecture")
    for field in fields(GeneratorConfig):
        if field.name not in ("resolution", "image_channels"):
            option = f"--{field.name.replace('_', '-')}"
            architecture.add_argument(option, type=int, default=None, help=f"default: {field.default}")
    architecture.add_argument("--published", action="store_true", help="the sizes of StyleGAN2; for GPUs")
    training = parser.add_argument_group("training")
    training.add_argument("--batch", type=int, default=16)
    training.add_argument("--lr", type=float, default=0.0025)
    training.add_argument("--r1-gamma", type=float, default=None, help="default: 0.0002 · resolution² / batch")
    training.add_argument("--path-weight", type=float, default=0.0, help="path length penalty; 2 in the paper, 0: none")
    training.add_argument("--path-interval", type=int, default=4, help="steps between path length penalties")
    training.add_argument("--path-shrink", type=int, default=2, help="on a batch so many times smaller")
    training.add_argument("--mixing", type=float, default=0.9, help="probability of style mixing")
    training.add_argument("--flip", action=argparse.BooleanOptionalAction, default=True, help="mirror real images")
    training.add_argument("--noise", action=argparse.BooleanOptionalAction, default=True, help="noise in the generator")
    training.add_argument("--ada", action=argparse.BooleanOptionalAction, default=False, help="adaptive augmentation")
    training.add_argument("--ada-target", type=float, default=0.6, help="mean sign of D(real) to aim at")
    training.add_argument("--ada-kimg", type=float, default=500, help="thousand images for p to go from 0 to 1")
    training.add_argument("--ema-kimg", type=float, default=5.0, help="half-life of the moving average")
    training.add_argument("--ema-rampup", type=float, default=0.05)
    training.add_argument(
        "--bf16", action=argparse.BooleanOptionalAction, default=None, help="default: on GPUs, and CPUs that have it"
    )
    training.add_argument("--channels-last", action=argparse.BooleanOptionalAction, default=True)
    training.add_argument("--seed", type=int, default=0)
    return parser


def _pick(arguments: argparse.Namespace, kind: type) -> dict[str, Any]:
    """The arguments that are fields of a dataclass."""
    values = vars(arguments)
    return {field.name: values[field.name] for field in fields(kind) if field.name in values}


def _architecture(arguments: argparse.Namespace, resolution: int) -> dict[str, int]:
    """The chosen sizes: single options go before ``--published``, the bank to start from, or the defaults."""
    given = {key: value for key, value in _pick(arguments, GeneratorConfig).items() if value is not None}
    if arguments.published:
        return GeneratorConfig.published(resolution).to_dict() | given
    return given if arguments.start_from else GeneratorConfig().to_dict() | given


def _settings(arguments: argparse.Namespace, device: str) -> GanSettings:
    """Raises JoinError ``settings_invalid``."""
    values = _pick(arguments, GanSettings)
    if values["bf16"] is None:
        values["bf16"] = has_bf16(device)
    try:
        return GanSettings(**values)
    except ValueError as error:
        raise JoinError("settings_invalid", f"These settings are not possible: {error}.") from error


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns its exit status."""
    arguments = _parser().parse_args(argv)
    torch.set_flush_denormal(True)
    keep_freed_memory()
    try:
        with join_group(choose_device(arguments.device)) as (group, device):
            status = 0
            try:
                _train(arguments, group, device)
            except JoinError as error:
                status = 2
                if group.leads:
                    print(f"error: {error}", file=sys.stderr, flush=True)
    except JoinError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return status


def _train(arguments: argparse.Namespace, group: Group, device: str) -> None:
    if device.startswith("cuda"):
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    data = read_packs(arguments.data, arguments.component)
    training = begin(
        arguments.out,
        data,
        architecture=_architecture(arguments, data.resolution),
        settings=_settings(arguments, device),
        resume=arguments.resume,
        device=device,
        group=group,
        start_from=arguments.start_from,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, training.request_stop)
    monitor = Monitor(data.component, arguments.out, arguments.tensorboard) if group.leads else None
    if monitor is not None:
        shown = training.state.images
        print(f"{len(data.images)} images of {data.component}, {data.resolution}², from {shown} on", flush=True)
        if shown >= arguments.kimg * 1000:
            print(f"Nothing to train: {shown:,} images have been shown, --kimg asks for {arguments.kimg:g} thousand.")
    try:
        training.run(Schedule(**_pick(arguments, Schedule)), monitor)
    finally:
        if monitor is not None:
            monitor.close()


if __name__ == "__main__":
    sys.exit(main())
