# SPDX-License-Identifier: GPL-3.0-or-later
"""A Principled material from layers: the albedo is the base colour, and the specular layer says something about gloss.

What it says is an estimate and no measurement: how bright a highlight is depends on the light as much as on the
surface. Where the layer is bright, the surface mirrors a light, so it is taken for smooth and for reflecting; where it
is dark, nothing is known, and the surface gets the roughness of a matte one. The nodes that map the one to the other
are there to be adjusted, in a frame that says so. Or the engine makes maps of the layers, as images: they are guesses,
too (:mod:`join_engine.layers.maps` says how they are made, and how good they are).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bpy
import numpy as np

from ..engine.exr import encode_exr
from ..engine.failure import Failure
from ..engine.pixels import load_layer, square, thinned
from ..engine.protocol import Message
from ..engine.vocabulary import color, components_in, compose
from . import images, recombine, relight, sets

ESTIMATE = "Estimate from the specular layer: adjust to taste"
GUESSES = "Guesses from shading and specular: adjust to taste"
GROUP_ASSET = "Puts the layers of JoIN Intrinsics together, each with exposure, tint and saturation"
_MATTE, _GLOSSY = 0.8, 0.25
"""Roughness where the specular layer is black, and where it is brightest."""
_PLAIN, _STRONG = 0.3, 0.7
"""Specular IOR Level likewise; 0.5 is an index of refraction of 1.5."""
ROUGHNESS, NORMAL, HEIGHT = "roughness", "normal", "height"
_RELIEF = 1.0
"""Pixels of height for each natural logarithm of shading."""
_SPAN = "join_span"
"""On a height map: how many of its pixels lie between 0 and 1."""
_FAINT = 1e-3
"""A specular layer that nowhere exceeds this shows no highlight, and says nothing."""
_WEIGHTS = np.array(color.LUMINANCE_WEIGHTS, np.float32)


def maps_request(key: str, relief: bool) -> tuple[dict[str, bytes], Message]:
    """The files that the engine needs for the maps of a set, in the light of the photo, and the request; see
    :meth:`.Job.with_files`. ``relief``: height and normals, too.

    Raises:
        Failure: ``layers_missing``, ``layers_linked``.
    """
    files, told = relight.sent({**_own_layers(key), **relight.originals(key)}, with_alpha=True)
    return files, {"type": "maps", "relief": _RELIEF if relief else 0.0, "output": "{folder}", **told}


def tile_request(key: str) -> tuple[dict[str, bytes], Message]:
    """The same for a tile of the layers of a set, as they are now.

    Raises:
        Failure: as :func:`maps_request`.
    """
    files, told = relight.sent(_own_layers(key), with_alpha=False)
    return files, {"type": "tile", "output": "{folder}", **told}


def _own_layers(key: str) -> Mapping[str, bpy.types.Image]:
    sets.refuse_linked(key)
    relight.refuse_incomplete(key)
    return sets.layers_of(key)


def encode_tile(answer: Message) -> tuple[dict[str, bytes], float]:
    """The layers of the tile that the engine has made, as EXRs, and how bright its specular layer is; for a thread.

    Raises:
        Failure: ``engine_answer``, ``layer_broken``.
    """
    told = answer.get("layers")
    if not isinstance(told, dict) or not told:
        raise Failure("engine_answer", "The engine's answer names no layers.", "Install the engine again.")
    layers = {str(name): load_layer(str(path)) for name, path in told.items()}
    brightest = _brightest(layers["specular"]) if "specular" in layers else 0.0
    return {name: encode_exr(pixels) for name, pixels in layers.items()}, brightest


def write_tile(key: str, name: str, data: bytes) -> bpy.types.Image:
    """An image of a tile's layer. They are textures of their own, which the set knows nothing of: of another size, and
    made of texels from all over its picture."""
    image: Any = images.new_layer(images.layer_name(f"{sets.label_of(key)} tile", name))
    images.fill_layer(image, data, False, {sets.INPUT: sets.source_of(key)})
    image.use_fake_user = True
    return image


def encode_maps(answer: Message) -> dict[str, bytes]:
    """The maps that the engine has made, as EXRs; for a thread.

    Raises:
        Failure: ``engine_answer``, ``layer_broken``.
    """
    told = answer.get("maps")
    if not isinstance(told, dict) or not set(told) <= {ROUGHNESS, NORMAL, HEIGHT}:
        raise Failure("engine_answer", "The engine's answer names no maps.", "Install the engine again.")
    return {name: encode_exr(load_layer(str(path))) for name, path in told.items()}


def write_map(key: str, name: str, data: bytes, span: float) -> None:
    """A map into an image of the set, over that of before."""
    before, source = sets.maps_of(key).get(name), sets.source_of(key)
    image: Any = before or images.new_layer(images.layer_name(sets.label_of(key), name), images.DATA)
    marks = {sets.SET: key, sets.MAP: name, sets.SOURCE: sets.source_name(key)}
    images.fill_layer(image, data, False, {**marks, **({_SPAN: span} if name == HEIGHT else {})})
    if source is not None:
        image[sets.INPUT] = source
    image.use_fake_user = True


def make_material(
    name: str,
    layers: Mapping[str, bpy.types.Image],
    maps: Mapping[str, bpy.types.Image] | None = None,
    displacement: bool = False,
    brightest: float | None = None,
) -> bpy.types.Material:
    """A material of these layers; ``albedo`` has to be among them.

    Args:
        name: its name.
        layers: by component.
        maps: of :func:`write_map`, in place of what nodes can guess from the specular layer.
        displacement: let a height map displace the surface; else its nodes are only laid ready.
        brightest: of :func:`encode_tile`; None to look at the specular layer for it.

    Raises:
        Failure: ``layers_missing``.
    """
    if "albedo" not in layers:
        raise Failure("layers_missing", "These layers have no albedo.", "Decompose the image again.")
    material: Any = bpy.data.materials.new(name)
    if not material.use_nodes:
        material.use_nodes = True  # always so from 5.0 on
    tree = material.node_tree
    tree.nodes.clear()
    output = tree.nodes.new("ShaderNodeOutputMaterial")
    output.location = (600.0, 0.0)
    shader = tree.nodes.new("ShaderNodeBsdfPrincipled")
    shader.location = (300.0, 0.0)
    shader.inputs["Roughness"].default_value = _MATTE
    tree.links.new(shader.outputs[0], output.inputs[0])
    albedo = _image_node(tree, layers["albedo"], "Albedo", (-600.0, 100.0))
    tree.links.new(albedo.outputs["Color"], shader.inputs["Base Color"])
    if layers["albedo"].alpha_mode == "CHANNEL_PACKED":
        tree.links.new(albedo.outputs["Alpha"], shader.inputs["Alpha"])
    if maps is not None:
        _use_maps(tree, shader, output if displacement else None, maps)
        return material
    if brightest is None:
        brightest = _brightest(relight.layer_pixels(layers["specular"])) if "specular" in layers else 0.0
    if brightest > _FAINT:
        _estimate(tree, shader, layers["specular"], brightest)
    return material


def keep(material: bpy.types.Material) -> None:
    """Save it though nothing uses it yet."""
    material.use_fake_user = True


def is_suitable(thing: bpy.types.Object) -> bool:
    """Whether an object can have a material."""
    return hasattr(thing.data, "materials")


def assign(material: bpy.types.Material, thing: bpy.types.Object) -> str:
    """Put a material into the active slot of a suitable object; the name of the one that was there, which stays in the
    file."""
    mesh: Any = thing.data
    if not mesh.uv_layers if hasattr(mesh, "uv_layers") else True:
        _use_generated_coordinates(material)
    if not thing.material_slots:
        mesh.materials.append(material)
        return ""
    slot: Any = thing.material_slots[thing.active_material_index]
    before = slot.material
    slot.material = material
    if before is None or before == material:
        return ""
    if before.users == 0:
        before.use_fake_user = True  # else saving would drop the user's own work
    return str(before.name)


def _materials_for(key: str, layers: Mapping[str, Any]) -> list[Any]:
    """The materials of this file that show the albedo of a set, or one made for it where there is none."""
    found = [one for one in bpy.data.materials if one.library is None and _albedo_node(one, key) is not None]
    return found or [make_material(sets.label_of(key), layers, sets.maps_of(key) or None)]


def _albedo_node(material: Any, key: str) -> Any:
    albedo = sets.layers_of(key).get("albedo")
    nodes = material.node_tree.nodes if material is not None and material.node_tree is not None else ()
    return next((node for node in nodes if albedo is not None and getattr(node, "image", None) == albedo), None)


def mark_as_assets(key: str) -> list[str]:
    """Put the materials of a set into the asset browser, with what its layers make as their picture, one made for it
    where there is none; and the group that recombines its layers, if the compositor has it. What they are called.

    Raises:
        Failure: ``layers_missing``, ``layers_linked``, ``image_empty``.
    """
    layers, formula = _own_layers(key), sets.formula_of(key)
    used = {name: layers[name] for name in components_in(formula)}
    small = {name: thinned(relight.layer_pixels(image)[::-1]) for name, image in used.items()}
    found = _materials_for(key, layers)
    group: Any = recombine.known_group(formula)
    marked = [*found, group] if group is not None else found
    for asset in marked:
        asset.asset_mark()
        told = asset.asset_data
        told.description = GROUP_ASSET if asset == group else f"{sets.label_of(key)}: {sets.told_of(key)}"
        if "JoIN" not in told.tags:
            told.tags.new("JoIN")
    for one in found:
        images.fill_preview(one.preview_ensure(), square(color.srgb_encode(compose(formula, small))))
    return [one.name for one in marked]


def paint(key: str, thing: Any, space: Any) -> str:
    """Let the user paint on the albedo of a set, on an object in Texture Paint mode and in an Image Editor; what there
    is to say about it.

    Raises:
        Failure: ``layers_linked``, ``layers_missing``, ``object_missing``, ``object_unsuitable``.
    """
    layers = _own_layers(key)
    if thing is None or thing.type != "MESH":
        raise Failure("object_missing", "No mesh is active to paint on.", "Click one in the 3D Viewport first.")
    if not thing.data.uv_layers:
        words = f"'{thing.name}' has no UV map, which tells where on it the picture lies."
        raise Failure("object_unsuitable", words, "Unwrap it in Edit Mode (key U), and press this again.")
    said = f"'{thing.name}'"
    if _albedo_node(thing.active_material, key) is None:
        new = _materials_for(key, layers)[0]
        before = assign(new, thing)
        said += f", which has '{new.name}' now" + (f" instead of '{before}', which stays in the file" if before else "")
    material: Any = thing.active_material
    material.node_tree.nodes.active = _albedo_node(material, key)
    try:
        bpy.ops.object.mode_set(mode="TEXTURE_PAINT")
    except RuntimeError as error:
        words = f"'{thing.name}' cannot be painted on ({str(error).strip()})."
        raise Failure("object_unsuitable", words, "Choose one that is shown and not linked.") from error
    bpy.context.scene.tool_settings.image_paint.mode = "MATERIAL"
    material.paint_active_slot = list(material.texture_paint_images).index(layers["albedo"])
    if space is not None and space.type == "IMAGE_EDITOR":
        space.image, space.ui_mode = layers["albedo"], "PAINT"
    return f"Paint on the albedo, here and on {said}"


def _use_maps(tree: Any, shader: Any, output: Any, maps: Mapping[str, Any]) -> None:
    """The maps' nodes, in a frame that says what they are; the displacement goes to ``output``, or for None nowhere."""
    frame = tree.nodes.new("NodeFrame")
    frame.label = GUESSES
    nodes = []
    if ROUGHNESS in maps:
        nodes.append(_image_node(tree, maps[ROUGHNESS], "Roughness", (-600.0, -250.0)))
        tree.links.new(nodes[-1].outputs["Color"], shader.inputs["Roughness"])
    if NORMAL in maps:
        nodes.append(_image_node(tree, maps[NORMAL], "Normal", (-600.0, -550.0)))
        turn = tree.nodes.new("ShaderNodeNormalMap")
        turn.location = (-200.0, -550.0)
        tree.links.new(nodes[-1].outputs["Color"], turn.inputs["Color"])
        tree.links.new(turn.outputs[0], shader.inputs["Normal"])
        nodes.append(turn)
    if HEIGHT in maps:
        image = maps[HEIGHT]
        nodes.append(_image_node(tree, image, "Height", (-600.0, -850.0)))
        lift = tree.nodes.new("ShaderNodeDisplacement")
        lift.location = (-200.0, -850.0)
        lift.inputs["Midlevel"].default_value = 0.5
        # As high as its pixels are wide, where the picture lies on something one metre large.
        lift.inputs["Scale"].default_value = sets.number(image.get(_SPAN, 1.0)) / max(*images.layer_size(image), 1)
        tree.links.new(nodes[-1].outputs["Color"], lift.inputs["Height"])
        if output is not None:
            tree.links.new(lift.outputs[0], output.inputs["Displacement"])
        nodes.append(lift)
    for node in nodes:
        node.parent = frame


def _estimate(tree: Any, shader: Any, specular: bpy.types.Image, brightest: float) -> None:
    frame = tree.nodes.new("NodeFrame")
    frame.label = ESTIMATE
    image = _image_node(tree, specular, "Specular", (-600.0, -300.0))
    grey = tree.nodes.new("ShaderNodeRGBToBW")
    grey.location = (-300.0, -300.0)
    tree.links.new(image.outputs["Color"], grey.inputs[0])
    nodes = [image, grey]
    for row, (socket, low, high) in enumerate(
        (("Roughness", _MATTE, _GLOSSY), ("Specular IOR Level", _PLAIN, _STRONG))
    ):
        remap = tree.nodes.new("ShaderNodeMapRange")
        remap.label = f"{socket} (estimate)"
        remap.location = (-80.0, -250.0 - row * 280.0)
        remap.clamp = True
        for name, value in (("From Min", 0.0), ("From Max", brightest), ("To Min", low), ("To Max", high)):
            remap.inputs[name].default_value = value
        tree.links.new(grey.outputs[0], remap.inputs["Value"])
        tree.links.new(remap.outputs[0], shader.inputs[socket])
        nodes.append(remap)
    for node in nodes:
        node.parent = frame


def _brightest(pixels: np.ndarray) -> float:
    """The luminance that one pixel in a hundred of ``[H, W, C]`` exceeds: a single spark shall not set the scale."""
    return float(np.quantile(pixels[..., :3] @ _WEIGHTS, 0.99))


def _image_node(tree: Any, image: bpy.types.Image, label: str, location: tuple[float, float]) -> Any:
    node = tree.nodes.new("ShaderNodeTexImage")
    node.image, node.label, node.location = image, label, location
    return node


def _use_generated_coordinates(material: Any) -> None:
    """Without a UV map an image would be one colour all over: lay it over the object's bounding box instead."""
    tree = material.node_tree
    coordinates = tree.nodes.new("ShaderNodeTexCoord")
    coordinates.location = (-850.0, 0.0)
    for node in tree.nodes:
        if node.bl_idname == "ShaderNodeTexImage":
            tree.links.new(coordinates.outputs["Generated"], node.inputs["Vector"])
