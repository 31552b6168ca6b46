# SPDX-License-Identifier: GPL-3.0-or-later
"""What the user chooses, kept in the scene so that it is still there tomorrow."""

from pathlib import Path
from typing import Any

import bpy
import bpy.utils.previews

from ..engine.protocol import AUTO
from ..host import images
from ..host.sets import choose_bank, is_finished, set_of
from ..install.locate import DEFAULT_BANK, about_bank, find_banks
from . import running

PRESETS = (
    ("DRAFT", "Draft", "What the bank's encoders see at a glance, without a search"),
    ("STANDARD", "Standard", "A few steps of the search from there"),
    ("BEST", "Best", "More steps, held near what the encoders see, and a second look at large photos"),
    (
        "PORTRAIT",
        "Portrait",
        "For faces: as Best, and then the generators themselves are tuned to this one photo; takes the longest",
    ),
)
DEVICES = (
    ("AUTO", "Automatic", "The graphics card where the engine can use it, else the processor"),
    ("CPU", "CPU", "The processor, whatever else there is"),
    ("CUDA", "GPU", "The graphics card (CUDA or ROCm)"),
)
AGAIN = (
    ("NEW", "New Set", "Each run makes layers of its own; those of earlier runs stay"),
    (
        "UPDATE",
        "Update Last",
        "Put the new layers into the set that is shown, or else the last one, wherever it is used",
    ),
)
SHOW = (
    ("LAYER", "A Layer", "The editor shows the layer that you last looked at, as it comes"),
    ("INPUT", "The Image", "The editor goes on showing the image"),
)
ESCAPE = (
    ("KEEP", "Keep the Best", "Esc takes the best layers found so far"),
    ("DISCARD", "Discard", "Esc leaves nothing behind"),
)


_UNSTORED: Any = {"SKIP_SAVE"}
"""Else an operator would use what it was called with the last time, and not what the panel says now."""


def _suggest_banks(_self: Any, _context: Any, edit_text: str) -> list[str]:
    return [name for name in [AUTO, *find_banks()] if edit_text.lower() in name.lower()]


_AUTOMATIC = "The bank whose pictures are clearly like yours, else the default."
_pictures: Any = None
"""Small pictures of the banks, by name."""
_bank_items: list[tuple[str, str, str, int, int]] = []
"""Blender keeps no copy of the texts of a dynamic list."""


def list_banks(settings: Any, _context: Any) -> list[tuple[str, str, str, int, int]]:
    """That the engine chooses; the shipped banks, each with its sentence and picture; and what else stands under *Bank
    File*."""
    listed = [AUTO, *(find_banks() or [DEFAULT_BANK])]
    named = getattr(settings, "bank", "")  # Blender may ask for the list of no settings in particular
    listed += [] if named in ("", *listed) else [named]
    if [item[0] for item in _bank_items] != listed:
        _bank_items[:] = [_bank_item(name, number) for number, name in enumerate(listed)]
    return _bank_items


def _bank_item(name: str, number: int) -> tuple[str, str, str, int, int]:
    global _pictures
    if name == AUTO:
        return name, "Automatic", _AUTOMATIC, icon_number("SHADERFX"), number
    about, path = about_bank(name)
    if not about:
        return name, Path(name).stem, f"The bank of the file {name}", 0, number
    if _pictures is None:
        _pictures = bpy.utils.previews.new()
    picture = _pictures.get(name) or _pictures.load(name, str(path), "IMAGE")
    return name, name.capitalize(), about, picture.icon_id, number


def icon_number(name: str) -> int:
    """Of one of Blender's own icons."""
    layout: Any = bpy.types.UILayout.bl_rna
    return int(layout.functions["prop"].parameters["icon"].enum_items[name].value)


def forget_pictures() -> None:
    """The add-on is going away."""
    global _pictures
    _bank_items.clear()
    if _pictures is not None:
        bpy.utils.previews.remove(_pictures)
        _pictures = None


def _bank_number(settings: Any) -> int:
    names = [item[0] for item in list_banks(settings, None)]
    return names.index(settings.bank or DEFAULT_BANK)


def _choose_bank(settings: Any, number: int) -> None:
    name = list_banks(settings, None)[number][0]
    # With none named, the engine tells where another fits better.
    choose_bank(settings.id_data, "" if name == DEFAULT_BANK else name)


class OnPhoto:
    """An operator on an image, which scripts name."""

    image: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Image", description="Name of the image; empty for the one in the Image Editor", options=_UNSTORED
    )


class WithMask:
    """An operator on what a Mask, or an image as a mask, covers; for scripts."""

    mask: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Mask",
        description="Name of a Mask; where there is a panel, empty for the panel's or the editor's",
        options=_UNSTORED,
    )
    painted: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Painted Mask",
        description="Name of an image of the same size, black outside of the mask; where there is a panel, empty for "
        "the panel's",
        options=_UNSTORED,
    )


class HowToDecompose:
    """What operators and the panel say of a decomposition; the empty string is the engine's default bank."""

    preset: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Preset", description="How much work goes into it", items=PRESETS, default="STANDARD", options=_UNSTORED
    )
    seed: bpy.props.IntProperty(  # type: ignore[valid-type]
        name="Seed",
        description="The same seed gives the same layers again on the same machine",
        min=0,
        default=0,
        options=_UNSTORED,
    )
    bank: bpy.props.StringProperty(  # type: ignore[valid-type]
        name="Bank",
        description="Name of a shipped bank, path of a .safetensors bank file, or auto for the one that the picture is "
        "most like; empty for the default bank",
        search=_suggest_banks,
        search_options={"SUGGESTION"},
        options=_UNSTORED,
    )
    device: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Device", description="What the engine computes on", items=DEVICES, options=_UNSTORED
    )


RUN_AGAIN: Any = bpy.props.EnumProperty(  # type: ignore[func-returns-value]
    name="Run Again",
    description="What another run does with the layers of the last one",
    items=AGAIN,
    options=_UNSTORED,
)
"""What a second run does with the layers of the first."""
SHRINK: Any = bpy.props.IntProperty(  # type: ignore[func-returns-value]
    name="Reduce",
    description="Make the image so many times smaller first, for one that does not fit into memory; 1 for its size",
    min=1,
    max=64,
    default=1,
    options=_UNSTORED,
)
"""How much smaller the image is made first."""
CROP: Any = bpy.props.FloatVectorProperty(  # type: ignore[func-returns-value]
    name="Crop",
    description="Left, bottom, right and top of the part to decompose, 0 to 1 from the lower left corner",
    size=4,
    min=0.0,
    max=1.0,
    default=(0.0, 0.0, 1.0, 1.0),
    options=_UNSTORED,
)
"""Left, bottom, right, top as parts of the image, from the bottom left corner as everywhere in Blender."""
STEPS: Any = bpy.props.IntProperty(  # type: ignore[func-returns-value]
    name="Steps",
    description="Optimiser steps instead of the preset's; 0 for the preset's",
    min=0,
    options=_UNSTORED,
)
"""How long the search goes on, for scripts."""


def _suggest_layers(_self: Any, context: Any, edit_text: str) -> list[str]:
    space: Any = context.space_data
    image = space.image if space is not None and space.type == "IMAGE_EDITOR" else None
    found = images.layer_names(image) if image is not None else []
    return [name for name in found if edit_text.lower() in name.lower()]


LAYER: Any = bpy.props.StringProperty(  # type: ignore[func-returns-value]
    name="Layer",
    description="Of a multilayer EXR: which of its layers; empty for the picture (Combined, beauty, RGBA ...)",
    search=_suggest_layers,
    search_options={"SUGGESTION"},
    options=_UNSTORED,
)
"""Which layer of a multilayer file."""


def _edge(name: str, default: float) -> Any:
    return bpy.props.FloatProperty(
        name=name,
        description=f"{name} edge of the part to decompose, outlined in the image",
        subtype="FACTOR",
        min=0.0,
        max=1.0,
        default=default,
    )


def redraw_editors(_self: Any, _context: Any) -> None:
    """A property has changed that only what is drawn shows."""
    running.redraw()


def _has_layers(_settings: Any, image: bpy.types.Image) -> bool:
    return is_finished(set_of(image))


class JoinSettings(HowToDecompose, bpy.types.PropertyGroup):
    """``scene.join_intrinsics``."""

    chosen_bank: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Bank",
        description="From which kind of pictures was learned what is looked for in yours",
        items=list_banks,
        get=_bank_number,
        set=_choose_bank,
    )
    again: RUN_AGAIN  # type: ignore[valid-type]
    shrink: SHRINK  # type: ignore[valid-type]
    layer: LAYER  # type: ignore[valid-type]
    use_crop: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Crop", description="Decompose only a part of the image: the layers have its size"
    )
    crop_left: _edge("Left", 0.0)  # type: ignore[valid-type]
    crop_right: _edge("Right", 1.0)  # type: ignore[valid-type]
    crop_bottom: _edge("Bottom", 0.0)  # type: ignore[valid-type]
    crop_top: _edge("Top", 1.0)  # type: ignore[valid-type]
    show: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="Then Show", description="What the editor shows after Decompose Image", items=SHOW
    )
    escape: bpy.props.EnumProperty(  # type: ignore[valid-type]
        name="On Esc", description="What the Esc key does to a decomposition that runs", items=ESCAPE
    )
    mask: bpy.props.PointerProperty(  # type: ignore[valid-type]
        type=bpy.types.Mask,
        name="Mask",
        description="Drawn in the Image Editor's Mask mode: what it covers shall go, or gets another material",
    )
    painted: bpy.props.PointerProperty(  # type: ignore[valid-type]
        type=bpy.types.Image,
        name="Painted",
        description="An image of the photo's size, black where all is well: what is painted in it shall go, or gets "
        "another material",
    )
    mix_with: bpy.props.PointerProperty(  # type: ignore[valid-type]
        type=bpy.types.Image,
        name="Other",
        description="A decomposed image, or one of its layers: the material that is mixed in",
        poll=_has_layers,
    )
    paste_from: bpy.props.PointerProperty(  # type: ignore[valid-type]
        type=bpy.types.Image,
        name="Material",
        description="A decomposed image, or one of its layers: the material of which a patch is pasted",
        poll=_has_layers,
    )
    paste_scale: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Scale",
        description="How large the patch's pixels become; 1 for as they are. Beyond its edges it goes on mirrored",
        min=0.01,
        max=100.0,
        soft_min=0.1,
        soft_max=4.0,
        default=1.0,
    )
    paste_feather: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Feather",
        description="Over how many pixels its edge is soft, inside of the mask",
        min=0.0,
        max=256.0,
        soft_max=64.0,
        default=4.0,
    )
    gain: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Gain", description="How much the error view is brightened", min=1.0, max=1000.0, default=10.0
    )
    relief: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Relief",
        description="Material with Maps: also guess normals and height from the shading. On renders they are no closer "
        "to the true ones than a flat surface: for the eye only",
    )
    readable: bpy.props.BoolProperty(  # type: ignore[valid-type]
        name="Readable Light",
        description="Show shading, specular and other light exposed and tone-mapped, so that nothing is plain white. "
        "Only the picture in Image Editors changes, and no value of a layer",
        default=True,
        update=redraw_editors,
    )
    exposure: bpy.props.FloatProperty(  # type: ignore[valid-type]
        name="Exposure",
        description="How many stops brighter light is shown than by itself; layers and renders stay as they are",
        min=-16.0,
        max=16.0,
        soft_min=-4.0,
        soft_max=4.0,
        step=25,
        precision=1,
        update=redraw_editors,
    )

    @property
    def names_bank(self) -> bool:
        """Whether somebody has chosen a bank other than the default, which may be one of faces."""
        return self.bank.strip() not in ("", AUTO)

    @property
    def crop(self) -> tuple[float, float, float, float]:
        """Left, bottom, right, top."""
        if not self.use_crop:
            return 0.0, 0.0, 1.0, 1.0
        return self.crop_left, self.crop_bottom, self.crop_right, self.crop_top
