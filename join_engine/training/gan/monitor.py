# SPDX-License-Identifier: GPL-3.0-or-later
"""How a GAN's training tells what it does: a progress line, a log, TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import JoinError
from ..run import LOG_NAME

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def diverged(what: str, images: int, last_good: str) -> JoinError:
    """The error of a training whose numbers are not numbers any more. ``images``: shown so far. ``last_good``: what to
    tell about the last snapshot."""
    return JoinError(
        "training_diverged",
        f"The training diverged: {what} is not finite after {images:,} images.",
        f"{last_good} Go on from it with a lower --lr, a higher --r1-gamma, or --no-bf16.",
    )


def duration(seconds: float) -> str:
    """A time left for people: "40 s", "12 min", "3 h 05 min"."""
    if seconds < 60:
        return f"{max(0.0, seconds):.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"


def open_tensorboard(folder: Path) -> SummaryWriter:
    """A writer of TensorBoard's event files. Raises JoinError ``tensorboard_missing`` when the package is not
    installed, ``output_unwritable``."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        message = "The package 'tensorboard' is not installed."
        hint = "Install it: pip install 'join-intrinsics[training]', or leave the option out."
        raise JoinError("tensorboard_missing", message, hint) from error
    try:
        return SummaryWriter(str(folder))  # type: ignore[no-untyped-call]
    except OSError as error:
        raise _unwritable(folder, error) from error


class Monitor:
    """Progress line, ``log.jsonl`` and, where wanted, TensorBoard of one run. ``name``: of what is trained, for the
    progress line. ``tensorboard``: write TensorBoard's files into it, too."""

    def __init__(self, name: str, out: Path, tensorboard: bool = False) -> None:
        self.name = name
        self.out = out
        self._writer = open_tensorboard(out / "tensorboard") if tensorboard else None

    def log(self, means: Mapping[str, float], images: int, kimg: float, speed: float, left: float, took: float) -> None:
        """Tell of a stretch of steps. Raises JoinError ``output_unwritable``.

        Args:
            means: mean scalars of the stretch.
            images: shown so far, of ``kimg`` thousand.
            speed: images per second.
            left: seconds to the end.
            took: seconds trained so far.
        """
        values = {name: round(value, 5) for name, value in means.items()}
        values |= {"images": images, "images_per_second": round(speed, 1), "seconds": round(took)}
        try:
            with (self.out / LOG_NAME).open("a", encoding="utf-8") as file:
                file.write(json.dumps(values) + "\n")
            if self._writer is not None:
                for name, value in means.items():
                    self._writer.add_scalar(name, value, images)
                self._writer.add_scalar("images_per_second", speed, images)
                self._writer.flush()
        except OSError as error:
            raise _unwritable(self.out, error) from error
        strength = f" p {means['ada_p']:.3f}" if "ada_p" in means else ""
        print(
            f"{self.name} {images / 1000:.1f} of {kimg:g} kimg, {speed:.1f} images/s, "
            f"G {means['loss_g']:.2f} D {means['loss_d']:.2f} sign {means['real_sign']:+.2f}{strength}, "
            f"{duration(left)} left",
            flush=True,
        )

    def picture(self, tag: str, pixels: Any, images: int) -> None:
        """Show a picture [H, W, 3] uint8 in TensorBoard."""
        if self._writer is not None:
            self._writer.add_image(tag, pixels, images, dataformats="HWC")

    def close(self) -> None:
        """Finish the files."""
        if self._writer is not None:
            self._writer.close()


def _unwritable(path: Path, error: OSError) -> JoinError:
    message = f"'{path}' cannot be written ({error.strerror or error})."
    return JoinError("output_unwritable", message, "Make room, or choose another folder.")
