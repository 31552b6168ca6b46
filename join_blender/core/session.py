# SPDX-License-Identifier: GPL-3.0-or-later
"""One decomposition from pixels to layers: a temporary folder, an engine, a job, and the pump between them.

Each decomposition gets an engine of its own. That costs the start of torch each time, and buys that an engine that
died, leaked or was cancelled never touches the next one, and that none is left behind.
"""

from __future__ import annotations

import shutil
import tempfile
import time
import uuid
from pathlib import Path

import numpy as np

from . import protocol
from .engine_process import EngineProcess
from .failure import Failure
from .job import Job
from .protocol import Options


class Session:
    """A running decomposition.

    Args:
        python: the engine's interpreter.
        root: the folder that holds ``join_engine``.
        pixels: float32 ``[H, W, 3 or 4]``, linear Rec.709, top row first.
        options: what the user chose.
        name: what the user calls the image.
        scratch: where the temporary folder is made; None for the system's place.

    Raises:
        Failure: when the engine cannot be started, or the pixels cannot be written.
    """

    def __init__(
        self, python: Path, root: Path, pixels: np.ndarray, options: Options, name: str, scratch: str | None = None
    ) -> None:
        self.options = options
        self._name = name
        self._folder = tempfile.TemporaryDirectory(prefix="join-", dir=scratch, ignore_cleanup_errors=True)
        folder = Path(self._folder.name)
        image, output = folder / "image.npy", folder / "layers"
        try:
            output.mkdir()
            np.save(image, np.ascontiguousarray(pixels, dtype=np.float32))
            self.engine = EngineProcess(python, root)
        except OSError as error:
            self._folder.cleanup()
            raise Failure("disk", f"The pixels could not be written to {folder} ({error}).") from error
        except Failure:
            self._folder.cleanup()
            raise
        self.job = Job(protocol.decompose(uuid.uuid4().hex, image, output, options), time.monotonic())

    def step(self) -> bool:
        """Take in what has arrived; True when the job is done. Never blocks."""
        for message in self.job.advance(self.engine.poll(), time.monotonic()):
            self.engine.send(message)
        return self.job.done

    @property
    def failure(self) -> Failure | None:
        """Why there is no result, about the image that the user knows and not about our file of its pixels."""
        failure = self.job.failure
        if failure is None:
            return None
        return Failure(failure.code, failure.message.replace(self.job.request["image"], self._name), failure.hint)

    def wait(self, interval: float = 0.02) -> None:
        """Block until the job is done: for background mode only."""
        while not self.step():
            time.sleep(interval)

    def stop(self, keep: bool) -> None:
        """Ask the engine to end; the job is done a few steps later."""
        self.job.stop(keep)

    def save_decomposition(self, folder: Path) -> Path:
        """Copy the engine's own file of the result to ``folder``: the temporary one goes away with the session.

        Raises:
            Failure: ``disk``.
        """
        assert self.job.result is not None
        kept = folder / "decomposition.join"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.job.result["decomposition"], kept)
        except OSError as error:
            raise Failure("disk", f"The decomposition could not be saved to {kept} ({error}).") from error
        return kept

    def close(self) -> None:
        """End the engine and remove the temporary folder. Safe to call twice."""
        self.engine.kill()
        self._folder.cleanup()


def load_layer(path: str) -> np.ndarray:
    """A layer that the engine wrote: float32 ``[H, W, 3]``.

    Raises:
        Failure: ``layer_broken`` when it is not that.
    """
    try:
        pixels = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise Failure("layer_broken", f"A layer of the engine cannot be read: {path} ({error}).") from error
    if pixels.ndim != 3 or pixels.shape[2] not in (3, 4) or pixels.size == 0:
        raise Failure("layer_broken", f"A layer of the engine has the wrong shape {pixels.shape}: {path}.")
    return np.asarray(pixels[..., :3], dtype=np.float32)
