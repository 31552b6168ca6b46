# SPDX-License-Identifier: GPL-3.0-or-later
"""Drawing over the picture of an Image Editor, in pixels of its region.

A box is left, bottom, right, top; a picture's own is (0, 0, 1, 1). Colours are those of the screen, encoded in sRGB.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import blf
import bpy
import gpu
from gpu_extras.batch import batch_for_shader

Box = tuple[float, float, float, float]
Colour = tuple[float, float, float, float]

WHOLE: Box = (0.0, 0.0, 1.0, 1.0)
_SHOW = """
void main()
{
  vec2 texel = here * vec2(textureSize(image, 0));
  bool magnified = max(fwidth(texel).x, fwidth(texel).y) < 1.0;
  ivec2 last = textureSize(image, 0) - ivec2(1);
  vec4 found = magnified ? texelFetch(image, clamp(ivec2(texel), ivec2(0), last), 0) : texture(image, here);
  vec3 light = max(found.rgb * gain, 0.0);
  fragColor = vec4(gain > 0.0 ? light / (1.0 + light) : clamp(found.rgb, 0.0, 1.0), 1.0);
}
"""
"""Pixels that are larger than the screen's stay squares, as Blender shows them. The result is linear: the region's
buffer encodes what is drawn into it."""
_SHADOW: Colour = (0.0, 0.0, 0.0, 0.6)
_LETTERS = 12.0
_SIDES = 48


def place_of(region: Any, box: Box) -> Box:
    """Where a box of the picture is in a region. Blender's own function answers in whole pixels."""
    left, bottom = region.view2d.region_to_view(0.0, 0.0)
    right, top = region.view2d.region_to_view(float(region.width), float(region.height))
    across, up = region.width / (right - left), region.height / (top - bottom)
    return (
        (box[0] - left) * across,
        (box[1] - bottom) * up,
        (box[2] - left) * across,
        (box[3] - bottom) * up,
    )


def visible(context: Any) -> Box:
    """The part of the region that no sidebar or toolbar covers, in its pixels."""
    left, right, width = 0, context.region.width, context.region.width
    start = context.region.x
    for region in context.area.regions:
        if region.type in ("UI", "TOOLS") and region.width > 1:
            if region.alignment == "LEFT":
                left = max(left, region.x + region.width - start)
            elif region.alignment == "RIGHT":
                right = min(right, region.x - start)
    return (float(left), 0.0, float(right), float(context.region.height)) if left < right else (0.0, 0.0, width, 1.0)


def inside(box: Box, other: Box) -> Box | None:
    """What two boxes have in common; None for nothing."""
    left, bottom, right, top = (
        max(box[0], other[0]),
        max(box[1], other[1]),
        min(box[2], other[2]),
        min(box[3], other[3]),
    )
    return (left, bottom, right, top) if left < right and bottom < top else None


def within(box: Box, frame: Box) -> Box:
    """A box in fractions of another one."""
    width, height = frame[2] - frame[0], frame[3] - frame[1]
    return (
        (box[0] - frame[0]) / width,
        (box[1] - frame[1]) / height,
        (box[2] - frame[0]) / width,
        (box[3] - frame[1]) / height,
    )


def draw_texture(texture: Any, place: Box, part: Box = WHOLE, gain: float = 0.0) -> None:
    """A scene-linear texture, or a part of it, at that place of the region: as the Image Editor shows it in the view
    *Standard* with *Color* alone, alpha left out.

    Args:
        texture: with red, green and blue.
        place: in pixels of the region, or in whatever the view's matrix makes of them.
        part: of the texture.
        gain: by what it is multiplied before Reinhard's x / (1 + x); 0 for neither.
    """
    shader = _shader()
    shader.uniform_float("gain", gain)
    shader.uniform_sampler("image", texture)
    batch_for_shader(shader, "TRI_FAN", {"pos": _corners(place), "at": _corners(part)}).draw(shader)


def fill(place: Box, colour: Colour) -> None:
    """A rectangle."""
    _draw("TRI_FAN", _corners(place), colour)


def draw_line(points: list[tuple[float, float]], colour: Colour, width: float) -> None:
    """Connected points."""
    gpu.state.line_width_set(width)
    _draw("LINE_STRIP", points, colour)
    gpu.state.line_width_set(1.0)


def draw_ring(x: float, y: float, radius: float, colour: Colour, width: float) -> None:
    """A circle's line."""
    draw_line(_circle(x, y, radius), colour, width)


def fill_disk(x: float, y: float, radius: float, colour: Colour) -> None:
    """A circle."""
    _draw("TRI_FAN", _circle(x, y, radius), colour)


def draw_words(words: str, x: float, y: float, to_the_left: bool = False) -> None:
    """White letters in a dark shadow; ``x`` is where they begin, or end."""
    blf.size(0, _LETTERS * scale())
    if to_the_left:
        x -= blf.dimensions(0, words)[0]
    blf.enable(0, blf.SHADOW)
    blf.shadow(0, 5, *_SHADOW)
    blf.color(0, 1.0, 1.0, 1.0, 1.0)
    blf.position(0, x, y, 0.0)
    blf.draw(0, words)
    blf.disable(0, blf.SHADOW)


def scale() -> float:
    """By how much the user has Blender's interface enlarged."""
    return float(bpy.context.preferences.system.ui_scale)


@cache
def _shader() -> Any:
    """Blender has such a shader of its own from 5.0 on."""
    types: Any = gpu.types  # whose stubs know no arguments
    between = types.GPUStageInterfaceInfo("join_picture")
    between.smooth("VEC2", "here")
    info = types.GPUShaderCreateInfo()
    info.push_constant("MAT4", "ModelViewProjectionMatrix")
    info.push_constant("FLOAT", "gain")
    info.sampler(0, "FLOAT_2D", "image")
    info.vertex_in(0, "VEC2", "pos")
    info.vertex_in(1, "VEC2", "at")
    info.vertex_out(between)
    info.fragment_out(0, "VEC4", "fragColor")
    info.vertex_source("void main() { here = at; gl_Position = ModelViewProjectionMatrix * vec4(pos, 0.0, 1.0); }")
    info.fragment_source(_SHOW)
    return gpu.shader.create_from_info(info)


def _draw(kind: str, points: list[tuple[float, float]], colour: Colour) -> None:
    shader = gpu.shader.from_builtin("UNIFORM_COLOR")
    shader.uniform_float("color", colour)
    gpu.state.blend_set("ALPHA")
    batch_for_shader(shader, kind, {"pos": [(x, y, 0.0) for x, y in points]}).draw(shader)
    gpu.state.blend_set("NONE")


def _circle(x: float, y: float, radius: float) -> list[tuple[float, float]]:
    turns = (2.0 * math.pi * step / _SIDES for step in range(_SIDES + 1))
    return [(x + radius * math.cos(turn), y + radius * math.sin(turn)) for turn in turns]


def _corners(box: Box) -> list[tuple[float, float]]:
    left, bottom, right, top = box
    return [(left, bottom), (right, bottom), (right, top), (left, top)]
