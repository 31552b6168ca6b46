# SPDX-License-Identifier: GPL-3.0-or-later
"""*Decompose All Frames* of a movie: a second Blender writes its frames, and they are decomposed."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import OpenImageIO as oiio
import pytest
from PIL import Image

from join_engine.color import srgb_encode
from join_engine.images.files import read_image
from tests.join_blender.support import ROOT, Blender, blender_python, movie_of, run, write_movie

FRAMES, WIDTH, HEIGHT = 5, 64, 48


@pytest.mark.slow
def test_the_frames_of_a_movie(tmp_path: Path, archive: Path) -> None:
    folder = tmp_path / "Müllers Film"
    folder.mkdir()
    greys = [30 + 40 * number for number in range(FRAMES)]
    stills = [np.full((HEIGHT, WIDTH, 3), grey, np.uint8) for grey in greys]
    write_movie(folder / "shot.mp4", stills)
    (folder / "broken.mp4").write_bytes((folder / "shot.mp4").read_bytes()[:200])
    blender = Blender(tmp_path, archive, blender_python())
    report = blender.run("movie", sys.executable, folder=folder)
    frames = sorted((folder / "shot frames").glob("*.png"))
    assert [path.name for path in frames] == [f"shot.{number + 1:04}.png" for number in range(FRAMES)]
    for path, grey in zip(frames, greys, strict=True):
        pixels = np.asarray(Image.open(path).convert("RGB"), np.float32)
        assert pixels.shape == (HEIGHT, WIDTH, 3) and abs(float(pixels.mean()) - grey) < 3.0
    layers = [path.name for path in sorted((folder / "shot layers" / "albedo").iterdir())]
    assert layers == [f"{path.stem}.exr" for path in frames]
    assert report["opened"] == [f"shot {name} sequence" for name in ("albedo", "shading", "specular")]
    assert report["again"], "frames that were there were written once more"
    assert "could not write the frames of the movie 'broken.mp4'" in report["broken"]
    assert "other things than this movie's frames" in report["other"]
    assert report["odd"] == "" and "is not there any more" in report["gone"]
    odd = sorted(path.name for path in (folder / "odd#{1} frames").glob("*.png"))
    assert odd == [f"odd__1_.{number + 1:04}.png" for number in range(FRAMES)]
    whole = [f"{name}{what}" for name in ("odd#{1}", "shot") for what in (" frames", " layers", ".mp4")]
    assert report["left"] == sorted([*whole, "broken.mp4", "other frames", "other.mp4"])


@pytest.mark.slow
def test_a_movie_of_ten_bits_keeps_them(tmp_path: Path) -> None:
    """From Blender 4.5 on, which reads and writes them."""
    version = run([blender_python(), "-c", "import bpy; print(*bpy.app.version)"]).split()
    if tuple(map(int, version)) < (4, 5, 0):
        pytest.skip("this Blender reads 8 bits of every movie")
    ramp = np.linspace(0.0, 0.1, 256, dtype=np.float32)[None, :, None] * np.ones((64, 1, 3), np.float32)
    still = oiio.ImageOutput.create(str(tmp_path / "ramp.png"))
    assert still.open(str(tmp_path / "ramp.png"), oiio.ImageSpec(256, 64, 3, "uint16")) and still.write_image(ramp)
    still.close()
    movie = movie_of(tmp_path / "shot.mp4", [tmp_path / "ramp.png"] * 2, depth=10)
    (tmp_path / "frames").mkdir()
    run([blender_python(), str(ROOT / "join_blender/host/movie_frames.py"), "--", str(movie), str(tmp_path / "frames")])
    for frame in sorted((tmp_path / "frames").iterdir()):
        found = read_image(frame)[32, :, 1]
        assert len(np.unique(found)) > 60, "with 8 bits there are 27"
        assert np.abs(srgb_encode(found) - ramp[32, :, 1]).max() < 0.004
    assert len(list((tmp_path / "frames").glob("shot.*.png"))) == 2
