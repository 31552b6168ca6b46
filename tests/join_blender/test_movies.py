# SPDX-License-Identifier: GPL-3.0-or-later
"""The manual's line that writes a movie's frames, in a real Blender."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.join_blender.support import blender_python

MANUAL = Path(__file__).parents[2] / "docs" / "manual.md"
FRAMES, WIDTH, HEIGHT = 5, 64, 48
MOVIE = f"""
import os

import bpy
scene = bpy.context.scene
editor = scene.sequence_editor_create()
strips = editor.strips if hasattr(editor, "strips") else editor.sequences
for number in range({FRAMES}):
    strips.new_image(str(number), f"still{{number}}.png", 1, 1 + number)
scene.frame_start, scene.frame_end = 1, {FRAMES}
scene.view_settings.view_transform = "Standard"
render = scene.render
render.resolution_x, render.resolution_y = {WIDTH}, {HEIGHT}
if hasattr(render.image_settings, "media_type"):
    render.image_settings.media_type = "VIDEO"
render.image_settings.file_format = "FFMPEG"
render.ffmpeg.format, render.ffmpeg.codec, render.ffmpeg.constant_rate_factor = "MPEG4", "H264", "PERC_LOSSLESS"
render.use_file_extension, render.filepath = False, os.path.abspath("shot.mp4")
bpy.ops.render.render(animation=True)
"""


def in_blender(script: str, folder: Path) -> int:
    """The status with which it ends."""
    return subprocess.run([blender_python(), "-c", script], cwd=folder, timeout=300, check=False).returncode


@pytest.mark.slow
def test_the_frames_of_a_movie(tmp_path: Path) -> None:
    greys = [30 + 40 * number for number in range(FRAMES)]
    for number, grey in enumerate(greys):
        Image.new("RGB", (WIDTH, HEIGHT), (grey, grey, grey)).save(tmp_path / f"still{number}.png")
    (line,) = (line for line in MANUAL.read_text("utf-8").splitlines() if "new_movie" in line)
    found = re.search(r'--python-expr "(.*)"$', line)
    assert found is not None
    assert in_blender(found.group(1), tmp_path) != 0, "there is no movie yet"
    assert in_blender(MOVIE, tmp_path) == 0
    assert in_blender(found.group(1), tmp_path) == 0
    frames = sorted((tmp_path / "frames").iterdir())
    assert [path.name for path in frames] == [f"shot.{number + 1:04}.png" for number in range(FRAMES)]
    for path, grey in zip(frames, greys, strict=True):
        pixels = np.asarray(Image.open(path).convert("RGB"), np.float32)
        assert pixels.shape == (HEIGHT, WIDTH, 3) and abs(float(pixels.mean()) - grey) < 3.0
