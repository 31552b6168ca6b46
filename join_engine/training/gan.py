# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the generator of one component: ``python -m join_engine.training.gan --data PACK.tar --component albedo …``.

May be killed at any moment; the same command goes on from the last checkpoint. ``--data`` and the settings of the
training may differ then, the architecture may not.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from ..errors import JoinError
from ..networks.stylegan2 import GeneratorConfig
from .checkpoint import CHECKPOINT_NAME, checkpoint_path, read_checkpoint, write_checkpoint
from .dataset import ImageSet, read_packs
from .gan_state import GanSettings, GanState
from .samples import save_sheet

LOG_NAME = "log.jsonl"
_SHEET_COLUMNS = 8


class Training:
    """A run in its folder: steps, checkpoints, sample sheets, log.

    Args:
        state: the networks.
        data: the images.
        out: folder of the run; made when absent.
        history: earlier stretches of this run, as in the checkpoint.
        seconds: time that they took.
    """

    def __init__(
        self,
        state: GanState,
        data: ImageSet,
        out: Path,
        history: Sequence[dict[str, Any]] = (),
        seconds: float = 0.0,
    ) -> None:
        self.state = state
        self.data = data
        self.out = out
        self.seconds = seconds
        self.history = [*history, self._stretch()]
        self._stopping = False
        out.mkdir(parents=True, exist_ok=True)

    def request_stop(self, _signal: int = 0, _frame: FrameType | None = None) -> None:
        """End after the current step, with a checkpoint."""
        self._stopping = True

    def run(self, kimg: float, minutes: float, save_every: float, sheet_every: float, keep_every: float) -> None:
        """Train up to ``kimg`` thousand images in all, or for ``minutes`` from now.

        Args:
            save_every: thousand images between checkpoints.
            sheet_every: thousand images between sample sheets.
            keep_every: thousand images between checkpoints that stay; 0 keeps only the last.
        """
        self._sheet("reals.png", self._some_reals())
        begun = mark = time.monotonic()
        before, mark_images = self.seconds, self.state.images
        while self.state.images < kimg * 1000 and not self._stopping:
            earlier = self.state.images
            report = self.state.step(self.data)
            now = time.monotonic()
            self.seconds = before + now - begun
            if _crosses(earlier, self.state.images, save_every):
                speed = (self.state.images - mark_images) / (now - mark)
                mark, mark_images = now, self.state.images
                self._log(report, speed, kimg, begun + minutes * 60 - now)
                self.save()
            if _crosses(earlier, self.state.images, sheet_every):
                self.sheet()
            if _crosses(earlier, self.state.images, keep_every):
                self.save(f"checkpoint-{self.state.images // 1000:06d}k.safetensors")
            if now - begun > minutes * 60:
                break
        self.save()
        self.sheet()

    def save(self, name: str = CHECKPOINT_NAME) -> None:
        """Write a checkpoint."""
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
        write_checkpoint(self.out / name, self.state.tensors(), values)

    @torch.no_grad()
    def sheet(self) -> None:
        """Write what the averaged generator makes of the same codes each time."""
        z = torch.randn(_SHEET_COLUMNS**2, self.state.config.z_dim, generator=torch.Generator().manual_seed(1))
        images = [self.state.average(part.to(self.state.device), noise="const") for part in z.split(16)]
        self._sheet(f"samples-{self.state.images // 1000:06d}k.png", torch.cat(images))

    def _stretch(self) -> dict[str, Any]:
        """What this run of the command adds to the history."""
        return {
            "from_images": self.state.images,
            "to_images": self.state.images,
            "packs": [
                {"file": pack.file, "dataset": pack.dataset, "split": pack.split, "count": pack.count}
                for pack in self.data.packs
            ],
            "settings": self.state.settings.to_dict(),
            "device": self.state.device.type,
            "threads": torch.get_num_threads(),
            "torch": torch.__version__.split("+")[0],
        }

    def _some_reals(self) -> torch.Tensor:
        chosen = torch.randperm(len(self.data.images), generator=torch.Generator().manual_seed(1))
        return self.data.batch(chosen[: _SHEET_COLUMNS**2])

    def _sheet(self, name: str, images: torch.Tensor) -> None:
        save_sheet(self.out / name, images, columns=_SHEET_COLUMNS, zoom=max(1, 64 // self.state.config.resolution))

    def _log(self, report: dict[str, torch.Tensor], speed: float, kimg: float, seconds_left: float) -> None:
        values = {key: round(float(value), 5) for key, value in report.items()}
        values |= {"images": self.state.images, "images_per_second": round(speed, 1), "seconds": round(self.seconds)}
        with (self.out / LOG_NAME).open("a", encoding="utf-8") as file:
            file.write(json.dumps(values) + "\n")
        left = min(seconds_left, (kimg * 1000 - self.state.images) / speed)
        print(
            f"{self.data.component} {self.state.images / 1000:.1f} of {kimg:g} kimg, {speed:.1f} images/s, "
            f"G {values['loss_g']:.2f} D {values['loss_d']:.2f} sign {values['real_sign']:+.2f}, "
            f"{max(0.0, left) / 60:.0f} min left",
            flush=True,
        )


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
) -> Training:
    """A new training, or the continuation of the one in ``out``.

    Args:
        out: folder of the run.
        data: the images; their resolution is the generator's.
        architecture: settings of GeneratorConfig except the resolution.
        settings: how to train from here on.
        resume: "auto" (when there is a checkpoint), "never", or the path of a checkpoint or run.
        device: where.

    Raises:
        JoinError: ``checkpoint_missing``, ``checkpoint_broken`` or ``checkpoint_mismatch``.
    """
    try:
        config = GeneratorConfig.from_dict({"resolution": data.resolution, "image_channels": 3} | architecture)
    except ValueError as error:
        raise JoinError("settings_invalid", f"The architecture is not possible: {error}.") from error
    path = out / CHECKPOINT_NAME if resume == "auto" else checkpoint_path(resume)
    state = GanState(config, settings, device)
    if resume == "never" or (resume == "auto" and not path.exists()):
        return Training(state, data, out)
    tensors, values = read_checkpoint(path)
    expected = (data.component, data.transform, config.to_dict())
    if (values["component"], values["transform"], values["architecture"]) != expected:
        raise JoinError(
            "checkpoint_mismatch",
            f"The checkpoint '{path}' belongs to another component or architecture.",
            "Choose another folder, or give the same architecture.",
        )
    try:
        state.load_tensors(tensors)
    except (KeyError, RuntimeError) as error:
        raise JoinError("checkpoint_broken", f"The checkpoint '{path}' is incomplete.") from error
    state.steps, state.images = values["steps"], values["images"]
    return Training(state, data, out, values["history"], values["seconds"])


def keep_freed_memory() -> None:
    """Ask the C library to keep what is freed: fresh pages for activations cost up to a fifth of a step on CPUs."""
    if sys.platform != "linux":
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    trim_threshold, mmap_threshold = -1, -3  # M_TRIM_THRESHOLD, M_MMAP_THRESHOLD of malloc.h
    mallopt(trim_threshold, 2**31 - 1)
    mallopt(mmap_threshold, 32 * 2**20)  # the greatest that it accepts


def choose_device(name: str) -> str:
    """ "auto" → the best device there is; anything else stays."""
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m join_engine.training.gan", description=__doc__)
    parser.add_argument("--data", nargs="+", required=True, metavar="PACK.tar", help="packs of renders")
    parser.add_argument("--component", required=True, help="albedo, shading, …")
    parser.add_argument("--out", required=True, type=Path, help="folder of the run")
    parser.add_argument("--resume", default="auto", help="auto, never, or a checkpoint (default: auto)")
    parser.add_argument("--kimg", type=float, default=1000, help="thousand images in all (default: 1000)")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so many minutes")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda (default: auto)")
    parser.add_argument("--save-every", type=float, default=4, metavar="KIMG", help="checkpoint and log (default: 4)")
    parser.add_argument("--sheet-every", type=float, default=10, metavar="KIMG", help="sample sheets (default: 10)")
    parser.add_argument(
        "--keep-every", type=float, default=0, metavar="KIMG", help="checkpoints to keep (default: none)"
    )
    architecture = parser.add_argument_group("architecture")
    for field in fields(GeneratorConfig):
        if field.name not in ("resolution", "image_channels"):
            option = f"--{field.name.replace('_', '-')}"
            architecture.add_argument(option, type=int, default=field.default, help=f"default: {field.default}")
    training = parser.add_argument_group("training")
    training.add_argument("--batch", type=int, default=16)
    training.add_argument("--lr", type=float, default=0.0025)
    training.add_argument("--r1-gamma", type=float, default=None, help="default: 0.0002 · resolution² / batch")
    training.add_argument("--path-weight", type=float, default=0.0, help="path length penalty; 2 in the paper, 0: none")
    training.add_argument("--mixing", type=float, default=0.9, help="probability of style mixing")
    training.add_argument("--flip", action=argparse.BooleanOptionalAction, default=True, help="mirror real images")
    training.add_argument("--noise", action=argparse.BooleanOptionalAction, default=True, help="noise in the generator")
    training.add_argument("--ema-kimg", type=float, default=5.0, help="half-life of the moving average")
    training.add_argument("--ema-rampup", type=float, default=0.05)
    training.add_argument("--bf16", action=argparse.BooleanOptionalAction, default=False)
    training.add_argument("--channels-last", action=argparse.BooleanOptionalAction, default=True)
    training.add_argument("--seed", type=int, default=0)
    return parser


def _pick(arguments: argparse.Namespace, kind: type) -> dict[str, Any]:
    """The arguments that are fields of a dataclass."""
    values = vars(arguments)
    return {field.name: values[field.name] for field in fields(kind) if field.name in values}


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns its exit status."""
    arguments = _parser().parse_args(argv)
    torch.set_flush_denormal(True)
    keep_freed_memory()
    try:
        data = read_packs(arguments.data, arguments.component)
        training = begin(
            arguments.out,
            data,
            architecture=_pick(arguments, GeneratorConfig),
            settings=GanSettings(**_pick(arguments, GanSettings)),
            resume=arguments.resume,
            device=choose_device(arguments.device),
        )
    except JoinError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, training.request_stop)
    print(
        f"{len(data.images)} images of {data.component}, {data.resolution}², from {training.state.images} on",
        flush=True,
    )
    training.run(
        kimg=arguments.kimg,
        minutes=arguments.minutes,
        save_every=arguments.save_every,
        sheet_every=arguments.sheet_every,
        keep_every=arguments.keep_every,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
