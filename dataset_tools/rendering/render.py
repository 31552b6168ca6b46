# SPDX-License-Identifier: GPL-3.0-or-later
"""Cycles' settings and one render call: a description in, its passes out."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy  # type: ignore[import]

from dataset_tools.description.scene import Scene
from dataset_tools.errors import UserError
from dataset_tools.rendering import device
from dataset_tools.rendering.attempts import Rendered
from dataset_tools.scenes.build import build_scene, clear_scene
from dataset_tools.storage import passes
from dataset_tools.storage.scratch import prefix, scratch_folder


@dataclass(frozen=True)
class Quality:
    """What decides pixels besides the description: square resolution, samples per pixel, the device."""

    resolution: int
    samples: int
    device: str = "cpu"


def library_folders() -> list[Path]:
    """Where the running Blender may keep the libraries it is linked to.

    They lie beside the folder of its scripts: in ``lib`` (Linux, macOS), in ``blender.shared`` or bare (Windows).
    """
    home = Path(bpy.utils.resource_path("LOCAL")).parent
    return [home / "lib", home / "blender.shared", home]


def blender_version() -> str:
    """Version and build of the running Blender, as part of a sample's provenance."""
    return f"{bpy.app.version_string} {bpy.app.build_hash.decode()}"


class Renderer:
    """Renders descriptions one after another in this process, on one CPU thread."""

    def __init__(
        self,
        quality: Quality,
        textures: Path | None = None,
        pictures: Path | None = None,
        skins: Path | None = None,
        maps: bool = False,
    ) -> None:
        """``textures`` is the folder of scanned materials, for scenes that have any; ``pictures`` that of environment
        pictures, None for Blender's own; ``skins`` that of pictures of skins and eyes. ``maps`` adds normals,
        roughness and specular levels to the passes."""
        self._maps = maps
        # Of this process's processor time, spent in Blender's render call.
        self.call_seconds = 0.0
        self._folders = (textures, pictures, skins)
        self._folder = tempfile.TemporaryDirectory(prefix=prefix(), dir=scratch_folder())
        bpy.ops.wm.read_factory_settings(use_empty=True)
        _configure(quality, maps)

    def render(self, description: Scene) -> Rendered:
        """The passes of one sample, float32. Raises UserError where Blender cannot write its scratch file."""
        clear_scene()
        build_scene(description, *self._folders)
        if self._maps:
            _tell_sockets()
        path = Path(self._folder.name) / "sample.exr"
        scene: Any = bpy.context.scene
        scene.render.filepath = str(path)
        scene.render.film_transparent = description.cutout
        began = time.process_time()
        with _silence():
            bpy.ops.render.render(write_still=True)
        self.call_seconds += time.process_time() - began
        if not path.is_file():
            raise UserError(f"Blender could not write {path}: make room there.")
        exr = path.read_bytes()
        path.unlink()
        found = passes.from_blender(exr, cutout=description.cutout, maps=self._maps)
        return Rendered(found, passes.sampling_seconds(exr))

    def close(self) -> None:
        """Remove the scratch folder."""
        self._folder.cleanup()


def _tell_sockets() -> None:
    """Let each material of the scene write what its last Principled BSDF gets, which is the one that the camera
    sees."""
    for data in bpy.data.materials:
        tree = data.node_tree
        shader: Any = next((n for n in reversed(tree.nodes) if n.bl_idname == "ShaderNodeBsdfPrincipled"), None)
        if shader is None:
            continue
        for name, socket in passes.SOCKETS.items():
            output: Any = tree.nodes.new("ShaderNodeOutputAOV")
            output.aov_name = name
            source = shader.inputs[socket]
            output.inputs["Value"].default_value = source.default_value
            if source.is_linked:
                tree.links.new(source.links[0].from_socket, output.inputs["Value"])


def _configure(quality: Quality, maps: bool) -> None:
    scene: Any = bpy.context.scene
    render = scene.render
    render.engine = "CYCLES"
    render.resolution_x = render.resolution_y = quality.resolution
    render.resolution_percentage = 100
    render.use_file_extension = False
    render.use_compositing = False
    render.use_sequencer = False
    render.use_persistent_data = False
    # One thread: two processes of one are as fast as one process of two, and workers are then simple.
    render.threads_mode = "FIXED"
    render.threads = 1
    cycles = scene.cycles
    device.use(quality.device, scene)
    cycles.samples = quality.samples
    cycles.use_adaptive_sampling = False
    cycles.use_denoising = False
    cycles.use_light_tree = False
    # Blue noise spreads the error over neighbours, which the area average of the export then removes.
    cycles.sampling_pattern = "BLUE_NOISE"
    # Rare bright paths over many bounces would be white dots; the clamp hits passes and image alike
    # (the identity holds to 1e-6 with it, measured).
    cycles.sample_clamp_indirect = 2.0
    cycles.max_bounces = cycles.diffuse_bounces = 4
    cycles.glossy_bounces = 2
    cycles.transmission_bounces = 0
    cycles.transparent_max_bounces = 0
    cycles.caustics_reflective = False
    cycles.caustics_refractive = False
    passes.configure(scene, maps)


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep Blender's own progress lines off stdout; they come from C, so the descriptor itself is turned away."""
    sys.stdout.flush()
    saved = os.dup(1)
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 1)
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)
        os.close(sink)
