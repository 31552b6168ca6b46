# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers at the photo's own resolution, which make it exactly: what the generators found, and the photo's own detail.

This is not in the paper, whose layers only approximate the image. A bank's split network
(:mod:`join_engine.networks.split`) looks at the photo beside what the generators make of it and says, scale by scale,
which share of each change is light and how much of each pixel is gloss. Here its answer becomes layers:

- Nothing is divided by nearly nothing: the albedo is what is left of the photo without gloss, divided by a light that
  is never made up per pixel; where gloss or clipping leave too little to read a colour from, it is filled from the
  surroundings.
- albedo · shading + specular is the photo wherever that is not clipped, and no layer is negative.
- Light is grey: the shading, and the specular where it is not a rest; out of doors it may be bluer in the shade
  (:mod:`join_engine.layers.daylight`).
- Where the network is unsure, simple methods have a say (:mod:`join_engine.layers.caution`,
  :mod:`join_engine.layers.few_paints`).

Beyond :data:`SEEN_AT_MOST` pixels a side, or a preset's fewer, the network's shares are interpolated and applied to
the photo row by row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import cycle

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ..bank import Bank
from ..color import LUMINANCE_WEIGHTS, srgb_encode
from ..device import has_bf16
from ..images.files import strips
from ..images.frame import Frame, picture_of, planes_of, resampled, shrunk_size
from ..images.orientation import Orientation
from ..networks.split import Level, Split, cues, in_cells, log_light, luminance, specular_of
from .albedo_level import BRIGHTEST, level_of
from .caution import JUMPS, JUMPS_CUT_OUT, RETINEX_ERROR, Jumps, seen_mean, with_caution
from .daylight import bluer_light, colour_of
from .dichromatic import gloss_on_colour
from .few_paints import FEW_PAINTS_ERROR, light_in_paint
from .fill import filled, grain_under_highlights
from .strips import Strips

Layers = dict[str, np.ndarray]

# Longest side at which the network looks at a photo.
SEEN_AT_MOST = 1024
# It looks in as many orientations as these many pixels are enough for: those of the largest look, or, where a preset
# has it look at a smaller picture, to be quick, half of them.
_LOOKED_AT, _QUICKLY = SEEN_AT_MOST**2, SEEN_AT_MOST**2 // 2
_ORIENTATIONS = tuple(Orientation(flip, turns) for turns in (0, 2, 1, 3) for flip in (False, True))
_LEAST_CUT_OUT = 0.1  # share of a picture that is empty where a thing is cut out
# And at what is cut out in as many exposures: bright paint that is taken for gloss in one is paint in another.
_EXPOSURES = 1.0, 1.4, 0.7, 2.0
_CLIPPED = 0.995  # above it, what a camera shows is no measure of the light
_USUAL = (0.06, 0.38)  # mean luminances of the photos that the network has seen
_NEARLY_CLIPPED = 0.8  # and from here on cameras begin to bend
# Share of the light from where on gloss makes what is clipped a highlight, not white paint; and how far beside it that
# may be seen, in shorter sides of the picture: in the middle of a highlight there is nothing to see.
_ALL_GLOSS, _BESIDE = 0.8, 0.012
# Luminance below which a share says less: of what is black the faintest gloss is most of the light.
_LIT_ENOUGH = 0.25
_READABLE = 0.2  # share of diffuse light of which half a colour can be read
_COLOUR_LOST = 4  # power of it that colours are read with: a highlight takes them before it takes the grain
# Specular against the mean of the picture: from where on, and from where on surely, it is a highlight; and up to where
# it surely is none.
_FAINT, _STRONG = 0.1, 0.6
_DULL = 0.3
_SMOOTH = 16  # pixels of the shorter side, at most twice as many, that a highlight's tone is told at
# No paint is blacker; what would be is in the shade.
BLACKEST = 0.01
# Light that tells a paint: with less of it, a photo tells of its camera's curve and noise. What is so black is no paint
# brighter than that.
_BLACK, _DARK_PAINT = 0.003, 0.02
# Of a dark pixel's luminance at least that share is light, though a channel of it is black: that is the camera's.
_LIT = 0.3
_CELLS = 4096  # at most, of which each is compared with each
# Distance of the logarithms of two colours that may be of one paint, and what dim light adds to it.
_SAME_COLOUR, _COLOUR_NOISE = 0.4, 0.02
_NO_LIGHT = 1e-7  # divided by in black; what it adds to a photo is less than float32 tells
_DARK = 5e-5  # keeps logarithms finite
# A rest's strongest channel against its weakest, and what may be added to that.
_MOST_COLOURED, _HARDLY_SEEN = 2.0, 0.002
_OPPOSITE = 2.0  # of a paint with a channel half as bright as another
_LEAST_LIGHT = 0.6  # that a highlight's colour leaves of the light under it
_PLANNED = (1, 1, 1, 3, 1, 3, 1, 1, 1)  # see _plan
_TOP = 0.995  # share of the pixels that must keep below the brightest albedo


@torch.no_grad()
def look(
    network: Split,
    image: Tensor,
    visible: Tensor,
    told: Mapping[str, Tensor] | None,
    ways: int,
    upright: bool = False,
    go_on: Callable[[], bool] = lambda: True,
) -> Level:
    """What the network says of a photo, averaged over the orientations and exposures, at the size of that: told in
    bfloat16, in which it was trained, where the device is made for it.

    Args:
        image: linear [1, 3, H, W], at most :data:`SEEN_AT_MOST` a side.
        visible: [1, 1, H, W].
        told: linear components of the generators, [1, 3, h, w] each, showing the same; None for none.
        ways, upright: see :func:`looked_at`; each orientation of something cut out in another exposure.
        go_on: asked before each of them; no is heard after the first.
    """
    told = told or {}
    hints = cues(told.get("albedo"), told.get("shading"), told.get("specular"), image)
    exposures = _EXPOSURES if is_cut_out(visible) else _EXPOSURES[:1]
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,unused-ignore]
    found: list[list[Tensor]] = []
    for orientation, exposure in zip(looked_at(ways, upright), cycle(exposures), strict=False):
        if not go_on() and found:
            break
        exposed = (image * exposure).clamp(0.0, 1.0)
        seen = [
            orientation.of(part).contiguous(memory_format=torch.channels_last) for part in (exposed, visible, hints)
        ]
        with torch.autocast(image.device.type, torch.bfloat16, enabled=has_bf16(image.device.type)):
            levels = network(*seen)
        found.append([orientation.back(part.float()) for part in levels[-1]])
    mean = Level(*(torch.stack(parts).mean(dim=0) for parts in zip(*found, strict=True)))
    return mean._replace(image=image, specular=specular_of(image.clamp(0.0, 1.0), mean.gloss))


def is_cut_out(visible: Tensor | np.ndarray | None) -> bool:
    """Whether a picture shows something cut out, not one that a shift has left without a border; ``visible``: of any
    shape, in [0, 1], None for all of it."""
    return visible is not None and float((visible > 0.5).sum()) <= (1.0 - _LEAST_CUT_OUT) * math.prod(visible.shape)


def looked_at(ways: int, upright: bool = False) -> tuple[Orientation, ...]:
    """The orientations in which the network looks at a photo, at most so many; ``upright`` leaves out those that one
    that knows up from down has not seen."""
    return tuple(orientation for orientation in _ORIENTATIONS if not (upright and orientation.quarters))[:ways]


@torch.no_grad()
def encoders_say(bank: Bank, photo: Tensor) -> dict[str, Tensor]:
    """What the generators make of what the seeing encoder, or without one each encoder, sees in linear photos
    [B, 3, H, W]: linear, [B, 3, R, R] each."""
    device = next(iter(bank.components.values())).w_avg.device
    seen = _encoded(bank, photo).to(device)
    transforms = {name: part.transform for name, part in bank.components.items()}
    return {
        name: transforms[name].from_generator(made).clamp_min(0.0).to(photo) for name, made in bank.seen(seen).items()
    }


@torch.no_grad()
def fit_error(bank: Bank, told: Mapping[str, Tensor], photo: Tensor) -> Tensor:
    """What generators miss of photos, [B]: root of the mean square, sRGB-encoded at the bank's resolution.

    Args:
        told: their linear components [B, 3, R, R], as of :func:`encoders_say`.
        photo: linear [B, 3, H, W].
    """
    missed = bank.forward_model.render(told).clamp(0.0, 1.0) - _encoded(bank, photo)
    return missed.square().mean(dim=(1, 2, 3)).sqrt()


def _encoded(bank: Bank, photo: Tensor) -> Tensor:
    """Linear photos [B, 3, H, W] as encoders look at them: sRGB-encoded, [B, 3, R, R]."""
    size = (bank.header.resolution,) * 2
    small = functional.interpolate(photo, size, mode="bilinear", align_corners=False, antialias=True)
    return srgb_encode(small.clamp(0.0, 1.0))


def split(
    network: Split,
    colour: np.ndarray,
    alpha: np.ndarray | None,
    told: Mapping[str, Tensor],
    frame: Frame,
    level: float | None,
    retinex_error: float = RETINEX_ERROR,
    few_paints_error: float = FEW_PAINTS_ERROR,
    looks: Callable[[Split, Tensor, Tensor, Mapping[str, Tensor] | None, int], Level] = look,
    seen_at: int | None = None,
    ways: int | None = None,
    orientations: int = 1,
    jumps: Jumps | None = None,
) -> tuple[Strips, np.ndarray]:
    """The layers of a photo, and how sure the network is of them.

    Args:
        network: the bank's.
        colour: linear [H, W, 3] ≥ 0, opaque.
        alpha: [H, W] in [0, 1], or None.
        told: the generators' linear components [1, 3, R, R] in the bank's square.
        frame: of the photo in that square.
        level: that the albedo is to have (:func:`join_engine.layers.albedo_level.level_of`), as far as its bounds
            allow; None for the generators'.
        retinex_error: see :func:`join_engine.layers.caution.caution`.
        few_paints_error: see :func:`join_engine.layers.few_paints.light_in_paint`.
        looks: how the network is asked, as by :func:`look`.
        seen_at: longest side at which the network looks at it; None for :data:`SEEN_AT_MOST`. A smaller one is a
            faster one: it looks in fewer orientations, too.
        ways: in how many orientations it looks; None for as many as its time is enough for, the fewer the more pixels.
        orientations: for how many at the most pixels that is.
        jumps: see :data:`join_engine.layers.caution.Jumps`; None for those that suit what it shows.

    Returns:
        "albedo", "shading" and, of a network that knows it, "specular", float32 [H, W, 3] ≥ 0; and the errors that the
        network expects of them, float32 [h, w, 3]: of the logarithms of albedo and shading, and of the specular,
        sRGB-encoded; their mean where the photo is cut out.
    """
    device = next(network.parameters()).device
    ceiling = ceiling_of(colour)
    gain = _exposure(colour) if ceiling == math.inf else 1.0  # a render may be of any brightness
    inner = {name: frame.inner(square).to(device) for name, square in told.items()}
    size = network.fitting_size(*shrunk_size(colour, min(seen_at or SEEN_AT_MOST, SEEN_AT_MOST)))
    small = resampled(colour, *size).to(device) * gain
    visible = torch.ones_like(small[:, :1]) if alpha is None else resampled(alpha[..., None], *size).to(device)
    jumps = jumps or (JUMPS_CUT_OUT if is_cut_out(visible) else JUMPS)

    def asked(photo: Tensor) -> tuple[Level, Tensor]:
        shares = looks(network, photo, visible, inner, ways or _affordable(colour, seen_at, orientations))
        shading, gloss = with_caution(photo, visible, shares.shading, shares.gloss, shares.error, retinex_error, jumps)
        return shares._replace(shading=shading, gloss=gloss, specular=specular_of(photo, gloss)), _shine(shares)

    shares, shine = asked(small)
    bluer = bluer_light(small, shares.specular, shares.shading, visible)
    if bluer.any():
        # A shadow of another colour looks like paint. From here on the photo is as if all of its light had one.
        shares, shine = asked(small / _colour(small, bluer, ceiling))
        bluer = bluer_light(small, specular_of(small, shares.gloss), shares.shading, visible)
        even = small / _colour(small, bluer, ceiling)
        shares = shares._replace(image=even, specular=specular_of(even, shares.gloss))
    if network.config.specular:
        clear = readability(shares.image, shares.specular, ceiling, shine) * (visible > 0.5)
        gloss = gloss_on_colour(shares.image, shares.gloss, clear, _highlight(shares, visible, 0.0))
        shares = shares._replace(gloss=gloss, specular=specular_of(shares.image, gloss))
    paint, readable = _paint(shares.image, shares.specular, shares.shading, visible, shine, ceiling)
    expected = float(seen_mean(shares.error[:, :1].exp(), visible))
    light = light_in_paint(paint, readable, expected, few_paints_error, is_cut_out(visible))
    shares = shares._replace(shading=shares.shading + light)
    wanted = float(level_of(inner["albedo"])) if level is None else level
    error = shares.error.exp()
    error = torch.where(visible > 0.5, error, seen_mean(error, visible))
    names = ("albedo", "shading", "specular")[: 2 + network.config.specular]
    plan, brighter = _plan(shares, visible, shine, bluer, wanted, ceiling, "specular" in names)
    apply = partial(_layers, plan, brighter, colour, gain, ceiling, names)
    return Strips(names, (colour.shape[0], colour.shape[1]), apply), picture_of(error)


def _affordable(colour: np.ndarray, seen_at: int | None, orientations: int = 1) -> int:
    """In how many orientations the network looks at a photo [H, W, 3], told by its pixels where it looks at most;
    ``seen_at``, ``orientations``: see :func:`split`."""
    pixels = _QUICKLY if seen_at is not None and seen_at < SEEN_AT_MOST else _LOOKED_AT
    return max(1, orientations * pixels // math.prod(shrunk_size(colour, SEEN_AT_MOST)))


def ceiling_of(colour: np.ndarray) -> float:
    """From where on a linear image [H, W, 3] is no measure of the light: a camera's ends at white, a render never."""
    return _CLIPPED if colour.max() <= 1.0 else math.inf


def _exposure(colour: np.ndarray) -> float:
    """What makes a linear image [H, W, 3] as bright as the photos that the network knows."""
    mean = float((colour @ np.array(LUMINANCE_WEIGHTS, np.float32)).mean())
    low, high = _USUAL
    return min(max(mean, low), high) / max(mean, 1e-6)


@torch.no_grad()
def _plan(
    shares: Level, visible: Tensor, shine: Tensor, bluer: Tensor, level: float, ceiling: float, glossy: bool
) -> tuple[Tensor, float]:
    """What the rows of a photo of any size are made with, [1, 13, h, w] (the widths of :data:`_PLANNED`), and what to
    add to the logarithm of the albedo."""
    paint, readable = _paint(shares.image, shares.specular, shares.shading, visible, shine, ceiling)
    # A thing has more paints than the cells that a tone is told in.
    tone = _tone(shares, visible, paint, readable) if glossy and not is_cut_out(visible) else torch.zeros_like(paint)
    paint = paint + tone
    # Without a specular layer there is none for what a filled albedo leaves of the photo.
    readable = readable * _told_by_light(shares.image) if glossy else readable
    grey = paint.mean(dim=1, keepdim=True)
    around = filled(grey, readable) + filled(paint - grey, readable**_COLOUR_LOST)
    albedo = _read(paint, around, readable)
    if glossy:
        shown = visible * _told_by_light(shares.image)
        around = around + grain_under_highlights(albedo, readable, shown)
    diffuse = log_light(luminance((shares.image - shares.specular).clamp_min(0.0)))
    base = shares.shading - shares.share * diffuse
    dull = 1.0 - _highlight(shares, visible, _DULL)
    planned = [shares.share, base, shares.gloss, around, visible, tone, dull, shine, bluer]
    return torch.cat(planned, dim=1), _brighter(albedo, visible, level)


@torch.no_grad()
def _layers(
    plan: Tensor, brighter: float, colour: np.ndarray, gain: float, ceiling: float, names: tuple[str, ...]
) -> Iterator[tuple[slice, Layers]]:
    """The layers of a photo of any size, rows after rows; see :func:`_plan`."""
    glossy = "specular" in names
    height, width = colour.shape[:2]
    for rows in strips(height, width):
        # A row more above and below, where what a pixel says depends on its neighbours.
        seen = slice(max(0, rows.start - 1), min(height, rows.stop + 1))
        told = _enlarged(plan, height, width, seen)
        share, base, gloss, around, visible, tone, dull, shine, bluer = told.split(_PLANNED, dim=1)
        image = planes_of(colour[seen]).to(told) * gain
        light = _colour(image, bluer, ceiling) if bluer.any() else None
        image = image if light is None else image / light
        specular = specular_of(image, gloss)
        shading = base + share * log_light(luminance((image - specular).clamp_min(0.0)))
        paint, readable = _paint(image, specular, shading, visible, shine, ceiling)
        readable = readable * _told_by_light(image) if glossy else readable
        albedo = (_read(paint + tone, around, readable) + brighter).exp()
        made = _exact(image, albedo, (shading - brighter).exp(), dull, ceiling, glossy)
        if light is not None:
            made = {name: layer if name == "albedo" else layer * light for name, layer in made.items()}
        own = slice(rows.start - seen.start, rows.stop - seen.start)
        layers = {name: made[name][0, :, own].permute(1, 2, 0) for name in names}
        if gain != 1.0:  # as they are of the photo itself
            layers = {name: layer if name == "albedo" else layer / gain for name, layer in layers.items()}
        yield rows, {name: layer.contiguous().cpu().numpy() for name, layer in layers.items()}


def _colour(image: Tensor, bluer: Tensor, ceiling: float) -> Tensor:
    """The colour of the light on an image [1, 3, h, w], of luminance 1: what is clipped, or would be in the sun's,
    stays as it is. ``bluer``: see :func:`join_engine.layers.daylight.bluer_light`."""
    colour = colour_of(bluer)
    told = torch.maximum(image, image / colour).amax(dim=1, keepdim=True) < ceiling
    return torch.where(told & (bluer > 0.0), colour, 1.0)


def _paint(
    image: Tensor, specular: Tensor, shading: Tensor, visible: Tensor, shine: Tensor, ceiling: float
) -> tuple[Tensor, Tensor]:
    """Logarithm of the albedo as the pixels tell it, and how far that can be read, in [0, 1]."""
    paint = (image - specular).clamp_min(_DARK).log() - shading
    return paint, readability(image, specular, ceiling, shine) * (visible > 0.5)


def _shine(photo: Level) -> Tensor:
    """How surely what is clipped is a highlight, [1, 1, h, w] in [0, 1]: white paint in the sun is clipped, too, but no
    network sees gloss on it, or little."""
    share = photo.specular / luminance(photo.image).clamp_min(_LIT_ENOUGH)
    for _ in range(round(_BESIDE * min(photo.image.shape[2:]))):
        share = _widened(_widened(share, 2), 3)
    return (share / _ALL_GLOSS).clamp(0.0, 1.0)


def readability(image: Tensor, specular: Tensor, ceiling: float, shine: Tensor | None = None) -> Tensor:
    """How far the colour of what lies below gloss and clipping can be read, [B, 1, H, W] in [0, 1].

    Args:
        image, specular: linear [B, 3, H, W] (the specular may be grey, [B, 1, H, W]).
        ceiling: see :func:`ceiling_of`.
        shine: how surely what is clipped is a highlight, [B, 1, H, W] in [0, 1]; None for surely.
    """
    diffuse = (image - specular).clamp_min(0.0)
    share = luminance(diffuse) / luminance(image).clamp_min(_DARK)
    told = share.square() / (share.square() + _READABLE**2) * (1.0 + _READABLE**2)
    if ceiling == math.inf:
        return told
    peak = _widened(_widened(image.amax(dim=1, keepdim=True), 2), 3)
    bent = ((peak - _NEARLY_CLIPPED) / (_CLIPPED - _NEARLY_CLIPPED)).clamp(0.0, 1.0)
    lost = bent.square() * (3.0 - 2.0 * bent)
    return told * (1.0 - (lost if shine is None else lost * shine))


def _told_by_light(image: Tensor) -> Tensor:
    """How far an image [B, C, H, W] is bright enough to tell its paint, [B, 1, H, W] in [0, 1]."""
    return (image.amax(dim=1, keepdim=True) / _BLACK).clamp_max(1.0)


def _widened(values: Tensor, dim: int) -> Tensor:
    """The largest of each value and its two neighbours, in far less time than by pooling."""
    widened, count = values.clone(), values.shape[dim] - 1
    for to, neighbours in ((1, 0), (0, 1)):
        part = widened.narrow(dim, to, count)
        torch.maximum(part, values.narrow(dim, neighbours, count), out=part)
    return widened


def _read(paint: Tensor, around: Tensor, readable: Tensor) -> Tensor:
    """Logarithm of the albedo [1, 3, h, w]: as far as it can be read the pixels', else that of their surroundings."""
    grey, usual = paint.mean(dim=1, keepdim=True), around.mean(dim=1, keepdim=True)
    colour = (paint - grey) - (around - usual)
    return around + readable * (grey - usual) + readable**_COLOUR_LOST * colour


def _tone(photo: Level, visible: Tensor, paint: Tensor, readable: Tensor) -> Tensor:
    """What to add to the logarithm of the albedo under highlights, [1, 3, h, w], so that they have the tone of their
    surroundings: a highlight that is taken off a little too weakly, or in the wrong colour, leaves a stain there.

    Only what is smooth changes; the grain of the wood stays.
    """
    diffuse = luminance((photo.image - photo.specular).clamp_min(0.0)) / luminance(photo.image).clamp_min(_DARK)
    trusted = readable * (1.0 - _highlight(photo, visible, _FAINT) * (1.0 - diffuse.clamp(0.0, 1.0).square()))
    values, known, trust = in_cells(_SMOOTH, paint * readable, readable, trusted, most=_CELLS)
    smooth = values / known.clamp_min(1e-6)
    share = (trust / known.clamp_min(1e-6)).clamp(0.0, 1.0)
    change = (1.0 - share) * (_of_their_colour(smooth, known, share) - smooth)
    return functional.interpolate(change * (known > 1e-3), paint.shape[2:], mode="bicubic", align_corners=False)


def _highlight(photo: Level, visible: Tensor, faint: float) -> Tensor:
    """How surely each pixel is one of a highlight, [1, 1, h, w] in [0, 1]: from a specular of ``faint`` on, against the
    mean of the picture."""
    usual = (luminance(photo.image) * visible).mean() / visible.mean().clamp_min(1e-6)
    return ((photo.specular / usual.clamp_min(1e-6) - faint) / (_STRONG - faint)).clamp(0.0, 1.0)


def _of_their_colour(smooth: Tensor, known: Tensor, share: Tensor) -> Tensor:
    """What cells of nearly the same colour say of each, near ones more than far ones: paint does not run over its edge.

    Args:
        smooth: logarithm of the albedo [1, 3, h, w].
        known, share: [1, 1, h, w] in [0, 1]: how much of a cell can be read, and how far that is trusted.
    """
    height, width = smooth.shape[2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([rows, columns], dim=-1).reshape(-1, 2).to(smooth)
    cells = smooth[0].flatten(1).T
    colours = cells - cells.mean(dim=1, keepdim=True)
    # Half a trust is little reason to stay as it is while there is a whole one beside it.
    near = share.flatten() ** 4 / (1.0 + torch.cdist(places, places).square())
    spread = _SAME_COLOUR + _COLOUR_NOISE / known.flatten().clamp_min(1e-3)
    alike = (-0.5 * (torch.cdist(colours, colours) / spread[:, None]).square()).exp()
    weights = near * (alike + 1e-9)  # where nothing is alike, what is near
    said = (weights @ cells) / weights.sum(dim=1, keepdim=True).clamp_min(1e-20)
    return said.T.reshape(smooth.shape)


def _brighter(albedo: Tensor, visible: Tensor, level: float) -> float:
    """What to add to the logarithm of an albedo so that it has a level, and hardly a pixel is brighter than white."""
    where = visible.expand_as(albedo) > 0.5
    shown = albedo[where] if where.any() else albedo.flatten()
    brighter = level - float(shown.mean())
    peaks = albedo.amax(dim=1, keepdim=True)[visible > 0.5] if where.any() else albedo.amax(dim=1).flatten()
    top = float(np.quantile(peaks.cpu().numpy(), _TOP))
    return min(brighter, math.log(BRIGHTEST) - top)


def _exact(
    image: Tensor, albedo: Tensor, shading: Tensor, dull: Tensor, ceiling: float, glossy: bool
) -> dict[str, Tensor]:
    """Layers that make the image where it is not clipped; all [1, 3, h, w], linear.

    Args:
        dull: [1, 1, h, w] in [0, 1], how surely a pixel is none of a highlight. There the colour of a rest is the
            paint's, as light is nearly grey; in a highlight only what stays when there is less light under it.
        glossy: whether there is a specular layer.
    """
    albedo, shading = _in_the_dark(image, albedo, shading, glossy)
    change = into_bounds(albedo)
    albedo, shading = albedo * change, shading / change
    shading = shading * (1.0 - (1.0 - dull) * (1.0 - _dimmer(image, albedo * shading, ceiling)))
    rest = rest_of(image, albedo * shading, ceiling)
    coloured = (rest - (_MOST_COLOURED * rest.amin(dim=1, keepdim=True) + _HARDLY_SEEN)).clamp_min(0.0)
    coloured = torch.minimum(coloured, (albedo.amax(dim=1, keepdim=True) - albedo) * shading)  # paler, not brighter
    return {
        "albedo": albedo + coloured / shading,
        "shading": shading.expand_as(image),
        "specular": rest - coloured,
    }


def _in_the_dark(image: Tensor, albedo: Tensor, shading: Tensor, glossy: bool) -> tuple[Tensor, Tensor]:
    """Layers that make no more than an image [1, 3, h, w]: what they have too much the albedo loses, and where the
    image is too black to tell paint, the shading."""
    unseen = 1.0 - _told_by_light(image)
    if not (glossy and unseen.any()):
        return torch.minimum(albedo, image / shading), shading
    peak = albedo.amax(dim=1, keepdim=True).clamp_min(_NO_LIGHT)
    albedo = albedo * (_DARK_PAINT / peak).clamp_max(1.0) ** unseen
    diffuse = (albedo * shading).clamp_min(_NO_LIGHT)
    least = (image / diffuse).amin(dim=1, keepdim=True)
    left = torch.maximum(least, _LIT * luminance(image) / luminance(diffuse)).clamp_max(1.0)
    shading = (shading * left**unseen).clamp_min(_NO_LIGHT)
    return torch.minimum(albedo, (image + 0.1 * _NO_LIGHT) / shading), shading


def _dimmer(image: Tensor, diffuse: Tensor, ceiling: float) -> Tensor:
    """What takes the colour off a rest that is the opposite of the paint's, as that of no gloss is: less light on the
    paint, a factor [1, 1, h, w] of at least :data:`_LEAST_LIGHT`; 1 where the image is clipped."""
    strong, weak = image.unsqueeze(2), image.unsqueeze(1)
    dark, lit = diffuse.unsqueeze(2), diffuse.unsqueeze(1)
    # Where strong - f · dark = most · (weak - f · lit) + hardly seen, of any two channels.
    wanted = _MOST_COLOURED * weak + _HARDLY_SEEN - strong
    factors = wanted / (_MOST_COLOURED * lit - dark).clamp_min(_NO_LIGHT)
    opposite = (_OPPOSITE * (1.0 - dark / lit.clamp_min(_NO_LIGHT))).clamp(0.0, 1.0)
    dimmer = 1.0 - opposite * (1.0 - factors.clamp(_LEAST_LIGHT, 1.0))
    clipped = image.amax(dim=1, keepdim=True) >= ceiling
    return dimmer.flatten(1, 2).amin(dim=1, keepdim=True).masked_fill(clipped, 1.0)


def into_bounds(albedo: Tensor) -> Tensor:
    """What brings an albedo [B, 3, h, w] to reflectances that there are, colours kept: a factor, [B, 1, h, w]."""
    peak = albedo.amax(dim=1, keepdim=True).clamp_min(1e-12)
    return peak.clamp(BLACKEST, BRIGHTEST) / peak


def rest_of(image: Tensor, diffuse: Tensor, ceiling: float) -> Tensor:
    """What diffuse light leaves of an image, [B, 3, h, w] ≥ 0: the specular, which is grey where the image is clipped.

    Args:
        image, diffuse: linear [B, 3, h, w].
        ceiling: see :func:`ceiling_of`.
    """
    rest = (image - diffuse).clamp_min(0.0)
    clipped = image.amax(dim=1, keepdim=True) >= ceiling
    return torch.where(clipped, rest.amax(dim=1, keepdim=True), rest)


def _enlarged(small: Tensor, height: int, width: int, rows: slice) -> Tensor:
    """Some rows of ``small`` [1, C, h, w], interpolated to [1, C, height, width]."""
    upper, lower, down = _between(small.shape[2], height, small.device)
    wanted = torch.lerp(small[:, :, upper[rows]], small[:, :, lower[rows]], down[rows, None])
    return functional.interpolate(wanted, (wanted.shape[2], width), mode="bilinear", align_corners=False)


def _between(count: int, wanted: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """For each of ``wanted`` positions its two neighbours among ``count``, and the second one's weight."""
    place = ((torch.arange(wanted, device=device) + 0.5) * (count / wanted) - 0.5).clamp(0.0, count - 1.0)
    first = place.floor().long()
    return first, (first + 1).clamp_max(count - 1), place - first
