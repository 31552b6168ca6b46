# SPDX-License-Identifier: GPL-3.0-or-later
"""A script for a second Blender in background mode: ``movie_frames.py -- MOVIE FOLDER`` writes the movie's frames as
PNG files, MOVIE.0001.png and so on, with the colours that they have, and prints ``frame N of M`` after each. They have
16 bits where this Blender reads more than 8 of the movie, as 4.5 and newer do of one with 10 or 12. Imports nothing of
this add-on, which that Blender does not know."""

import re
import sys
from pathlib import Path
from typing import Any

import bpy


def write_frames(movie: Path, folder: Path) -> None:
    """Through a scene with nothing in it but the movie."""
    scene: Any = bpy.data.scenes.new("frames")
    editor = scene.sequence_editor_create()
    strips = editor.strips if hasattr(editor, "strips") else editor.sequences  # before 5.0
    strip = strips.new_movie("movie", str(movie), 1, 1)
    scene.frame_start, scene.frame_end = 1, int(strip.frame_final_duration)
    width, height = strip.elements[0].orig_width, strip.elements[0].orig_height
    if not width or not height:
        raise RuntimeError(f"'{movie.name}' holds no film that this Blender can read.")
    render = scene.render
    render.resolution_x, render.resolution_y, render.resolution_percentage = width, height, 100
    scene.view_settings.view_transform = "Standard"
    render.image_settings.file_format = "PNG"
    film: Any = bpy.data.images.load(str(movie))
    deep = len(film.pixels) and film.is_float  # known once a frame has been read
    render.image_settings.color_depth = "16" if deep else "8"
    render.filepath = str(folder / f"{re.sub('[#{}]', '_', movie.stem)}.")  # which Blender would fill in
    told = lambda *_: print(f"\nframe {scene.frame_current} of {scene.frame_end}", flush=True)  # noqa: E731
    bpy.app.handlers.render_write.append(told)
    bpy.ops.render.render(animation=True, scene=scene.name)
    bpy.app.handlers.render_write.remove(told)  # with it, Blender as a module would not come to its end


if __name__ == "__main__":
    write_frames(Path(sys.argv[-2]), Path(sys.argv[-1]))
