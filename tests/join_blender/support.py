# SPDX-License-Identifier: GPL-3.0-or-later
"""Shared by the tests of the add-on: pictures, banks, stand-ins for the engine, Blenders in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
INSIDE = HERE / "inside.py"


def write_png(path: Path, pixels: np.ndarray) -> Path:
    """``[H, W, 3 or 4]`` uint8, top row first."""
    Image.fromarray(pixels).save(path)
    return path


def photo(height: int = 24, width: int = 40, channels: int = 3) -> np.ndarray:
    """A small picture whose corners differ, so that a flip shows."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(40, 200, (height, width, channels), dtype=np.uint8)
    pixels[: height // 2, : width // 2, 0] = 250
    return pixels


def lit(side: str, size: int = 128) -> np.ndarray:
    """The same tiles each time, uint8 [size, size, 3], in light from a side: left, above or right."""
    paint = np.random.default_rng(0).integers(60, 220, (8, 8, 3)).repeat(size // 8, axis=0).repeat(size // 8, axis=1)
    row, column = {"left": (0.5, 0.0), "above": (0.0, 0.5), "right": (0.5, 1.0)}[side]
    y, x = np.mgrid[0:size, 0:size] / size
    light = 0.35 + 0.65 * np.exp(-2.0 * ((y - row) ** 2 + (x - column) ** 2))
    return (paint * light[..., None]).astype(np.uint8)


def blender_python() -> str:
    """The Python that has bpy: ``JOIN_BPY_PYTHON`` names another than this one, to try other versions of Blender."""
    return os.environ.get("JOIN_BPY_PYTHON") or sys.executable


def blender_python_version() -> str:
    """Of :func:`blender_python`, such as "3.13"."""
    return run([blender_python(), "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]).strip()


_MOVIE = """
import sys
from pathlib import Path

import bpy

path, depth, *stills = sys.argv[1:]
scene = bpy.context.scene
editor = scene.sequence_editor_create()
strips = editor.strips if hasattr(editor, "strips") else editor.sequences
for number, still in enumerate(stills, 1):
    strips.new_image(Path(still).stem, still, 1, number)
scene.frame_start, scene.frame_end = 1, len(stills)
scene.view_settings.view_transform = "Standard"
render = scene.render
render.resolution_x, render.resolution_y = strips[0].elements[0].orig_width, strips[0].elements[0].orig_height
if hasattr(render.image_settings, "media_type"):
    render.image_settings.media_type = "VIDEO"
render.image_settings.file_format = "FFMPEG"
render.ffmpeg.format, render.ffmpeg.codec, render.ffmpeg.constant_rate_factor = "MPEG4", "H264", "PERC_LOSSLESS"
if depth != "8":
    render.image_settings.color_depth = depth
render.use_file_extension, render.filepath = False, path
bpy.ops.render.render(animation=True)
"""


def write_movie(path: Path, frames: Sequence[np.ndarray]) -> Path:
    """An MP4 of those frames, uint8 [H, W, 3], with nothing of them lost that one could see."""
    with tempfile.TemporaryDirectory() as folder:
        stills = [write_png(Path(folder) / f"{number:04}.png", frame) for number, frame in enumerate(frames)]
        return movie_of(path, stills)


def movie_of(path: Path, stills: Sequence[Path], depth: int = 8) -> Path:
    """An MP4 of those pictures, of ``depth`` bits (10 from Blender 4.5 on)."""
    run([blender_python(), "-c", _MOVIE, str(path), str(depth), *map(str, stills)])
    return path


def fake_python(folder: Path, script: Path = HERE / "fake_engine.py") -> Path:
    """A "Python" that runs the fake engine, whatever module it is told to run."""
    wrapper = folder / "fake-python"
    wrapper.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n', encoding="utf-8")
    wrapper.chmod(0o755)
    return wrapper


def make_bank(path: Path, python: Path | str = sys.executable, resolution: int = 16) -> Path:
    """A bank of random weights, written by the engine's Python."""
    run([str(python), str(HERE / "make_bank.py"), str(path), str(resolution)], {"PYTHONPATH": str(ROOT)})
    return path


def run(command: Sequence[str], environment: Mapping[str, str] | None = None, timeout: float = 120) -> str:
    """Run to the end; the output, or an AssertionError that shows it."""
    done = subprocess.run(
        command,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )
    # The wheels' leak detector talks for pages at exit.
    lines = [line for line in done.stdout.splitlines() if not line.startswith(("Freeing memory", "Error: Not freed"))]
    assert done.returncode == 0, "\n".join(["exit code", str(done.returncode), *lines[-60:]])
    return "\n".join(lines)


class Blender:
    """A Blender wheel with the extension installed in a user folder of its own.

    Args:
        folder: for the user folder and for what the cases write.
        archive: the extension's zip.
        python: an interpreter that has bpy.
        script: has the cases.
    """

    def __init__(self, folder: Path, archive: Path, python: Path | str = sys.executable, script: Path = INSIDE) -> None:
        self.folder = folder
        self._script = script
        self._archive = archive
        self._python = python
        (folder / "user").mkdir(parents=True, exist_ok=True)

    def run(self, case: str, engine: Path | str, timeout: float = 300, **arguments: Any) -> dict[str, Any]:
        """Run one case of the script in a new process; what it reported. ``FAKE_ENGINE`` and the like are arguments
        in capitals."""
        report = self.folder / f"{case}.json"
        report.unlink(missing_ok=True)
        environment = {name: str(value) for name, value in arguments.items() if name.isupper()}
        plain = {name: value for name, value in arguments.items() if not name.isupper()}
        environment |= {
            "BLENDER_USER_RESOURCES": str(self.folder / "user"),
            "JOIN_ENGINE_PYTHON": str(engine),
            # Tests share the machine; threads that wait for each other on a busy core take for ever.
            "OMP_NUM_THREADS": "1",
            "JOIN_TEST": json.dumps({"archive": str(self._archive), "report": str(report), **plain}, default=str),
        }
        log = run([str(self._python), str(self._script), case], environment, timeout)
        assert report.exists(), log
        return json.loads(report.read_text(encoding="utf-8")) | {"log": log}
