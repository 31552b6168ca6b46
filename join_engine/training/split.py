# SPDX-License-Identifier: GPL-3.0-or-later
"""Train the network that says what is paint, what light and what gloss (:mod:`join_engine.networks.split`).

It sees composed renders as a phone would have photographed them: metered, clipped, with noise and JPEG, under light of
another colour, on paint of another colour and darkness; and beside them what the bank's encoders and generators make of
them. What counts, at every scale, is the shading's logarithm but for a constant (how bright the light is, another
network tells), its edges, the specular as the camera shows it, and the diffuse light that is left. Not in the paper.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.nn import functional

from ..bank import Bank
from ..color import srgb_decode, srgb_encode
from ..errors import JoinError
from ..layers.caution import unfamiliarity
from ..layers.split import encoders_say, fit_error, is_cut_out
from ..networks.split import Level, Split, SplitConfig, cues, halved, log_light, luminance
from ..renders.compose import ComponentSets, mirrored, random_indices, read_component_sets, turned
from ..renders.draws import draws, uniform
from ..renders.photo_augment import PhotoRanges, augment
from .learner import Learner, LearnerSettings

_LEAST_ALBEDO = 0.004  # of what is darker (bare metal above all) shading means nothing, as in the renderer's mask
_DARKEST = 1e-4
_USUAL = 0.95
# Of a lamp near by: height over the picture, in sides of it, and exponents of the falling off; the square of the
# distance alone is 1, with both cosines of a small flash 2.
_NEAREST, _FARTHEST = 0.4, 3.0
_GENTLE, _STEEP = 1.0, 2.0
_HARDEST = 2.0  # times the contrast of the light's logarithm
# Of a relief: cells that heights are averaged over, standard deviation of its slopes, how high the light stands, the
# share of light from all around; of its grain the largest and finest, in cycles a pixel, and its longest side.
_CELLS = (1, 1, 2, 4)
_SHALLOW, _DEEP = 0.2, 1.5
_RAISED = (math.radians(20.0), math.radians(70.0))
_AROUND = (0.05, 0.5)
_COARSE, _FINE = 0.04, 0.4
_LONGER = 4.0
# Of glints: by how much a slope that mirrors the lamp differs over a side of the picture, at most; roughness, as the
# spread of the facets' slopes; and how bright they are at most, against the light.
_MIRRORED, _ROUGH, _SHINY = 3.0, (0.05, 0.5), (0.2, 10.0)
_GROWN = 0.7  # share of the reliefs that are such grain; others have the paint of another sample as heights
_LEFT = 0.7  # square root of the most contrast that paint keeps where it loses some
# Of flat colours: the most of a picture, cells of the noise whose level lines are their borders, their darkest and
# brightest channel, and how much less at most the logarithm of the other channels is.
_COLOURS = 6
_BLOBS = (3, 4, 6, 9, 14, 22)
_DARKEST_PAINT, _BRIGHTEST_PAINT = 0.015, 0.9
_SATURATED = 3.0
# Of pale ones: their brightest channel at least, and what is left of how much less the others are.
_PALEST_PAINT, _PALE = 0.35, 0.1
# Of strokes: how many kinds a picture has at most, how wide they are in pixels, and the level of noise where they end.
_STROKES = 3
_THIN, _BROAD = 0.6, 5.0
_ENDS = 1.0
# Of flat colours that run into each other: over how much of a side at most, cells that the form they follow is averaged
# over, and how far they follow it, against the noise.
_RUNNING, _FORMS, _FOLLOWED = 0.15, (4, 8, 16, 32, 128), 2.0
# Of a shadow: its shapes, how much of the picture lies in it, over how much of a side its border runs at most, how much
# light is left, how many bars it has, and by how much the logarithm of red is less and that of blue more at most, for
# the sky lights it.
_SHADES = ("leaves", "bars", "edge")
_COVERED, _PENUMBRA, _AMBIENT, _BARS = (0.15, 0.7), 0.12, (0.06, 0.6), (1.0, 8.0)
_SKY = 0.7
# Of a backdrop: share that are white, the paint of those; the light on it in camera units and against that on what
# stands before it, how far it falls off; cells that the shadow there is softened over, how far that lies beside, in
# shorter sides, and how dark it is at most.
_WHITE_BACKDROPS, _WHITE_PAINT = 0.8, (0.7, 0.95)
_BACKDROP_LIGHT, _BETTER_LIT, _BACKDROP_FALLOFF = (0.6, 2.0), (0.8, 4.0), 0.4
_SOFT, _BESIDE, _SHADOW = (4, 8, 16), 0.1, 0.8
_OUTLINE = 2  # pixels of what is cut out that show something behind it as well
_VALIDATED = 16  # samples at a time
_VALIDATED_PARTS = "albedo", "shading", "specular", "lmse", "under_gloss"
_WINDOW = 16  # pixels of a level, at most
_GLOSSY = 0.3  # share of the light from where on gloss is a highlight
_SPOILT = 1.5  # error of the diffuse light's logarithm from where on a larger one counts no more, but under gloss
_LARGEST = 8.0  # logarithm of a light against the mean, that its exponential is a number


@dataclass(frozen=True)
class PhotographSettings(LearnerSettings):
    """How renders become photographs; see also :class:`join_engine.renders.photo_augment.PhotoRanges`.

    Attributes:
        repaint: share of the samples that get the albedo of another one.
        dark: share of the samples whose paint is darkened, up to a seventh.
        plain: share of the samples whose paint loses contrast, as on plaster, leather or plastic: what remains of
            their grain is relief.
        flat: share of the samples that are painted with a few flat colours, as toys, pottery and prints are.
        airbrushed: share of those whose colours run into each other and follow the form, as on figurines.
        pale: share of the flat colours that are white, light grey or cream, as bellies and bases are, beside those that
            happen to be.
        strokes: share of the samples that are drawn upon with thin lines, as prints, writing and painted things have.
        paint: standard deviation of the logarithm of each channel of the albedo.
        tint: that of the light's red and blue against its green.
        gloss: that of the specular's strength.
        hard: share of the samples whose light has more contrast, up to twice that of its logarithm: one lamp and no
            surroundings, deeper relief.
        relief: share of the samples whose surface gets a relief, grain or another sample's paint as heights: what is
            paint in one picture is light in another, and only how light falls on it tells which.
        glints: share of those reliefs that are glossy, so that every slope that mirrors the lamp is a glint: wrinkled
            foil, embossed print, wet and polished stone.
        objects: how many times as often as the others those that show something cut out are plain, flat, drawn upon, in
            relief and under hard light: toys, pots and statues are cut out, and grounds and cloths hardly ever.
        falloff: share of the samples over which the light falls off as that of a lamp near by does, a phone's flash
            above all.
        shadows: share of the samples on which something outside the picture casts a shadow, which the sky makes blue.
        backdrop: share of the samples with something cut out that show it before a backdrop, most often a white one
            that the camera clips, as products are photographed.
        dimmest, brightest: mean luminance of the photos, between which it is drawn.
    """

    repaint: float = 0.25
    dark: float = 0.35
    plain: float = 0.3
    flat: float = 0.15
    airbrushed: float = 0.0
    pale: float = 0.0
    strokes: float = 0.0
    paint: float = 0.15
    tint: float = 0.06
    gloss: float = 0.5
    hard: float = 0.25
    relief: float = 0.1
    glints: float = 0.0
    objects: float = 1.0
    falloff: float = 0.35
    shadows: float = 0.0
    backdrop: float = 0.0
    dimmest: float = 0.06
    brightest: float = 0.38


_Settings = TypeVar("_Settings", bound=PhotographSettings)


@dataclass(frozen=True)
class SplitSettings(PhotographSettings):
    """How to train it.

    Attributes:
        crop: the least side of what is looked at in most steps, in pixels; the others are larger, up to whole renders,
            so that its coarsest level has every size that photos give it, and as many fewer at a time.
        whole: share of the steps that look at whole renders.
        without_cues: share of the steps in which nothing is told of the generators.
        cut_out: learn from, and be judged by, nothing but renders that show something cut out.
        turns: turn samples by quarter turns; not those of renders that have an up and a down, as heads have.
        edges: weight of the shading's edges against the shading itself.
        specular, diffuse, unsure: weights of the other parts of the loss.
        lmse: weight of the local mean square error of albedo and shading in linear light (Grosse et al. 2009), in
            windows of :data:`_WINDOW` pixels; by it pictures of objects are compared.
        under_gloss: weight of the diffuse light's logarithm where more than :data:`_GLOSSY` of the light is gloss: what
            is left of a highlight there is hardly a difference to the specular, and a bright spot in the albedo.
    """

    batch: int = 16
    lr: float = 1e-3
    crop: int = 64
    whole: float = 0.35
    without_cues: float = 0.5
    cut_out: bool = False
    turns: bool = True
    edges: float = 2.0
    specular: float = 2.0
    diffuse: float = 0.5
    unsure: float = 0.05
    lmse: float = 0.0
    under_gloss: float = 0.0


def read_cut_out(paths: Sequence[str | os.PathLike[str]], forward_model: str) -> ComponentSets:
    """Those of the renders in the packs that show something cut out.

    Raises:
        JoinError: as :func:`join_engine.renders.compose.read_component_sets`; ``data_missing`` where there are none.
    """
    data = read_component_sets(paths, forward_model)
    parts = torch.arange(len(data)).split(_VALIDATED)
    seen = (visible(data.linear(data.batch(part))) for part in parts)
    chosen = torch.tensor([is_cut_out(own) for together in seen for own in together])
    if not chosen.any():
        hint = "Name packs of objects, or leave --cut-out out."
        raise JoinError("data_missing", "No render of the packs shows something cut out.", hint)
    return data.only(chosen)


def as_rendered(settings: _Settings) -> _Settings:
    """The same, but that paint and light stay as they are; exposure alone is drawn."""
    settings = replace(settings, dark=0.0, plain=0.0, flat=0.0, airbrushed=0.0, pale=0.0, strokes=0.0)
    settings = replace(settings, paint=0.0, tint=0.0, gloss=0.0, hard=0.0, relief=0.0, glints=0.0)
    return replace(settings, falloff=0.0, shadows=0.0, backdrop=0.0)


@dataclass(frozen=True)
class Truth:
    """What a level should say; all [B, C, h, w], averaged in linear light.

    Attributes:
        shading: grey, linear (1).
        diffuse: linear, no brighter than white (3).
        valid: 1 where shading means something (1).
    """

    shading: Tensor
    diffuse: Tensor
    valid: Tensor

    def halved(self) -> Truth:
        """At half the size."""
        valid = halved(self.valid)
        shading = halved(self.shading * self.valid) / valid.clamp_min(1e-3)
        return Truth(shading, halved(self.diffuse), valid)


class SplitLearner(Learner[SplitSettings, Split]):
    """See the module.

    Args:
        bank: with encoders, or None: then nothing is told of generators.
        config: the network's architecture.
        settings: how to train.
        ranges: what the camera does beside metering.
        kimg: thousand images after which the learning rate has sunk to a hundredth, along a cosine.
    """

    longest_gradient = 1.0

    def __init__(
        self,
        bank: Bank | None,
        config: SplitConfig,
        settings: SplitSettings,
        ranges: PhotoRanges,
        kimg: float,
        device: str | torch.device = "cpu",
    ) -> None:
        torch.manual_seed(settings.seed)
        super().__init__(Split(config), settings, device, kimg)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload,unused-ignore]
        self.bank = bank
        self.ranges = ranges

    def loss(self, data: ComponentSets) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch."""
        settings, step = self.settings, self.steps
        rng = draws(settings.seed, step)
        linear = self._sample(data, rng)
        albedo, shading, specular = another_light(linear, settings, rng)
        diffuse = albedo * shading
        seen = visible({"albedo": albedo, "shading": shading, "specular": specular})
        photo = filled_behind(srgb_decode(augment(diffuse + specular, settings.seed, step, self.ranges)), seen)
        told = None if self.bank is None or draw(rng) < settings.without_cues else encoders_say(self.bank, photo)
        parts = self._compare(self.network, photo, seen, truth_of(albedo, shading), told)
        shown = {name: value.detach().mean() for name, value in parts[-1].items()}
        return _total(parts, settings), shown

    def grows_from(self, stored: Any, own: Mapping[str, Any]) -> bool:
        """From a network that can grow to this one, and from one that was told of another bank's generators."""
        try:
            few = SplitConfig.from_dict(stored["architecture"])
        except (KeyError, TypeError, ValueError):
            return False
        now = {key: own[key] for key in ("architecture", "bank")}
        return few.grows_to(self.network.config) and {**stored, **now} == own

    def begins_as(self, config: SplitConfig) -> bool:
        return config.grows_to(self.network.config)

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Also of a smaller network: what it lacks changes nothing at first, and Adam begins anew."""
        fresh = {name: value for name, value in self.tensors().items() if name not in tensors}
        if fresh:
            tensors = {name: value for name, value in tensors.items() if not name.startswith("adam.")}
        super().load_tensors(fresh | tensors)

    @torch.no_grad()
    def validate(self, data: ComponentSets) -> dict[str, float]:
        """What the averaged network says of whole, metered renders without other faults.

        Mean absolute errors, ``albedo`` and ``shading`` of the logarithm but for a constant, ``specular`` sRGB-encoded,
        ``under_gloss`` of the diffuse light's logarithm there, over all of the picture;
        ``one_paint``: the shading's where all paint of a picture has its mean colour, ``flat`` where it is a few flat
        colours on a relief; both told nothing of the generators.
        ``no_shading``, ``no_specular``: of saying that there is none. ``loss``, and ``alone`` when nothing is told of
        the generators. How sure it is, where there is paint: ``expected`` is the mean of the albedo errors that it
        expects, ``correlation`` that of expected and true errors over the renders; ``usual`` is what 95 of a hundred
        stay below, and ``familiar`` that of their :func:`join_engine.layers.caution.unfamiliarity`.
        """
        rows: list[dict[str, Tensor]] = []
        unfamiliar: list[Tensor] = []
        errors: list[Tensor] = []  # of the albedo, expected and true
        self.average.eval()
        metered = replace(as_rendered(self.settings), dimmest=0.18, brightest=0.18)
        toy = replace(metered, flat=1.0, relief=1.0)
        for indices in torch.arange(len(data)).split(_VALIDATED):
            linear = data.linear(data.batch(indices))
            albedo, shading, specular = another_light(linear, metered, draws(0, 0))
            diffuse = albedo * shading
            truth, seen = truth_of(albedo, shading), visible(linear)
            photo = filled_behind((diffuse + specular).clamp(0.0, 1.0), seen)
            alone = self._compare(self.average, photo, seen, truth, None)
            parts, fit = alone, None
            if self.bank is not None:
                told = encoders_say(self.bank, photo)
                parts = self._compare(self.average, photo, seen, truth, told)
                fit = fit_error(self.bank, told, photo)
            with_paint = truth.valid.mean(dim=(1, 2, 3)).clamp_min(1e-3)
            errors.append(torch.stack([parts[-1][name].cpu() / with_paint for name in ("expected", "albedo")]))
            if fit is not None:
                unfamiliar.append(unfamiliarity(errors[-1][0], fit.cpu()))
            one = less_contrast(albedo, torch.zeros(len(indices), 1, 1, 1))
            photo_of_one = filled_behind((one * shading + specular).clamp(0.0, 1.0), seen)
            one_paint = self._compare(self.average, photo_of_one, seen, truth_of(one, shading), None)
            painted, deep, gloss = another_light(linear, toy, draws(0, int(indices[0])))
            photo_of_flat = filled_behind((painted * deep + gloss).clamp(0.0, 1.0), seen)
            flat = self._compare(self.average, photo_of_flat, seen, truth_of(painted, deep), None)
            light = _centred(log_light(truth.shading), truth.valid) * truth.valid
            rows.append(
                {
                    "loss": _total(parts, self.settings).expand(len(indices)),
                    "alone": _total(alone, self.settings).expand(len(indices)),
                    **{name: parts[-1][name] for name in _VALIDATED_PARTS},
                    "one_paint": one_paint[-1]["shading"],
                    "flat": flat[-1]["shading"],
                    "no_shading": light.abs().mean(dim=(1, 2, 3)),
                    "no_specular": srgb_encode(_left(photo, truth.diffuse)).mean(dim=(1, 2, 3)),
                }
            )
        found = {name: torch.cat([row[name].cpu() for row in rows]) for name in rows[0]}
        both = torch.cat(errors, dim=1)
        return {
            "samples": float(len(data)),
            **{name: float(values.mean()) for name, values in found.items()},
            "expected": float(both[0].mean()),
            "usual": float(both[0].quantile(_USUAL)),
            **({"familiar": float(torch.cat(unfamiliar).quantile(_USUAL))} if unfamiliar else {}),
            "correlation": float(torch.corrcoef(both)[0, 1]) if len(data) > 1 else 0.0,
        }

    def _sample(self, data: ComponentSets, rng: torch.Generator) -> dict[str, Tensor]:
        """Linear components of one batch, each [B, 3, h, h]."""
        settings, largest = self.settings, data.resolution
        whole = draw(rng) < settings.whole or largest <= settings.crop
        small = not whole and draw(rng) < 0.5 and largest >= 2 * settings.crop
        largest = largest // 2 if small else largest
        side = settings.crop + round(draw(rng) * (largest - settings.crop))
        side = largest if whole else min(largest, self.network.fitting_size(side, side)[0])
        count = max(1, settings.batch * min(settings.crop, side) ** 2 // side**2)
        linear = repainted(data, count, settings.repaint, rng, settings.turns)
        linear = {name: halved(image) for name, image in linear.items()} if small else linear
        top, left = (int(torch.randint(largest - side + 1, (), generator=rng)) for _ in range(2))
        return {name: image[:, :, top : top + side, left : left + side] for name, image in linear.items()}

    def _compare(
        self,
        network: Split,
        photo: Tensor,
        seen: Tensor,
        truth: Truth,
        told: Mapping[str, Tensor] | None,
    ) -> list[dict[str, Tensor]]:
        """Of each level, coarse to fine, what it misses: of each sample, [B]."""
        told = told or {}
        hints = cues(told.get("albedo"), told.get("shading"), told.get("specular"), photo)
        with self.precision():
            levels = network(photo.to(self.device), seen.to(self.device), hints.to(self.device))
        truths = [truth]
        while len(truths) < len(levels):
            truths.append(truths[-1].halved())
        return [_missed(level, one) for level, one in zip(levels, reversed(truths), strict=True)]


def metering(light: Tensor, seen: Tensor, dimmest: float, brightest: float, rng: torch.Generator) -> Tensor:
    """[B, 1, 1, 1]: what a camera takes the light of each picture times that it meters, for a mean luminance between
    two bounds, drawn by its logarithm.

    Args:
        light: linear [B, 3, H, W].
        seen: [B, 1, H, W], 1 where it shows something.
    """
    wanted = uniform(rng, len(light), math.log(dimmest), math.log(brightest)).exp()
    shown = luminance(light).clamp_max(2.0)  # a spot of any brightness is white to a meter
    return wanted / _mean(shown, seen, (1, 2, 3)).clamp_min(_DARKEST)


def filled_behind(photo: Tensor, seen: Tensor) -> Tensor:
    """A picture whose background is filled with what is seen elsewhere, as in a decomposition, [B, 3, H, W].

    Args:
        photo: linear [B, 3, H, W].
        seen: [B, 1, H, W], 1 where it shows something.
    """
    return torch.where(seen > 0.5, photo, _mean(photo, seen, (2, 3)))


def _missed(level: Level, truth: Truth) -> dict[str, Tensor]:
    """Parts of the loss at one level, [B] each."""
    where = (truth.valid > 0.5).to(level.shading)
    shading = _centred(level.shading - log_light(truth.shading.to(where)), where) * where
    shown = _left(level.image, truth.diffuse.to(where))
    specular = srgb_encode(level.specular) - srgb_encode(shown)
    left = log_light((level.image - level.specular).clamp_min(0.0)) - log_light(truth.diffuse.to(where))
    albedo = _centred(left.mean(dim=1, keepdim=True) - shading, where) * where
    errors = torch.cat([albedo, shading, specular], dim=1).abs().detach()
    edges = shading.diff(dim=2).abs().mean(dim=(1, 2, 3)) + shading.diff(dim=3).abs().mean(dim=(1, 2, 3))
    lit = (_centred(level.shading, where) * where).clamp(-_LARGEST, _LARGEST).exp()
    paint = (level.image - level.specular).clamp_min(0.0).mean(dim=1, keepdim=True) / lit
    light = truth.shading.to(where).clamp_min(_DARKEST)
    own_paint = truth.diffuse.to(where).mean(dim=1, keepdim=True) / light
    glossy = where * (shown > _GLOSSY * level.image.mean(dim=1, keepdim=True))
    return {
        "albedo": albedo.abs().mean(dim=(1, 2, 3)).detach(),
        "shading": shading.abs().mean(dim=(1, 2, 3)),
        "edges": edges,
        "specular": specular.abs().mean(dim=(1, 2, 3)),
        "diffuse": (left.abs().clamp_max(_SPOILT) * where).mean(dim=(1, 2, 3)),
        "lmse": 0.5 * (_local_error(lit, light, where) + _local_error(paint, own_paint, where)),
        "under_gloss": (left.abs() * glossy).mean(dim=(1, 2, 3)),
        # Of a Laplace distribution: the negative logarithm of its likelihood, but for a constant.
        "unsure": (errors / level.error.exp() + level.error).mean(dim=(1, 2, 3)),
        "expected": (level.error[:, :1].exp() * where).mean(dim=(1, 2, 3)).detach(),
    }


def _local_error(estimate: Tensor, truth: Tensor, where: Tensor) -> Tensor:
    """Each window's least square error, times a factor of its own, in units of the truth's energy, [B]; linear
    [B, 1, h, w]."""
    side = min(_WINDOW, *truth.shape[2:])
    squares = torch.cat([estimate * truth, estimate.square(), truth.square()], dim=1) * where
    both, own, energy = functional.avg_pool2d(squares, side, max(1, side // 2)).unbind(dim=1)
    error = (energy - both.square() / own.clamp_min(_DARKEST**2)).clamp_min(0.0)
    return error.sum(dim=(1, 2)) / energy.sum(dim=(1, 2)).clamp_min(_DARKEST**2)


def _total(parts: Sequence[Mapping[str, Tensor]], settings: SplitSettings) -> Tensor:
    """The loss of all levels, a scalar."""
    weights = {
        "shading": 1.0,
        "edges": settings.edges,
        "specular": settings.specular,
        "diffuse": settings.diffuse,
        "unsure": settings.unsure,
        "lmse": settings.lmse,
        "under_gloss": settings.under_gloss,
    }
    return torch.stack([weight * part[name] for part in parts for name, weight in weights.items()]).sum() / (
        len(parts) * len(parts[0]["shading"])
    )


def repainted(
    data: ComponentSets, count: int, share: float, rng: torch.Generator, turns: bool = True
) -> dict[str, Tensor]:
    """Linear components of ``count`` samples, mirrored, turned where they may be, each [B, 3, H, W]; a share has the
    albedo of others."""
    components = data.batch(random_indices(len(data), count, rng))
    others = data.batch(random_indices(len(data), count, rng))
    components = mirrored(components, rng)
    components = turned(components, rng) if turns else components
    chosen = (torch.rand(count, generator=rng) < share)[:, None, None, None]
    linear, paint = data.linear(components), data.linear(others)["albedo"]
    # Around what is cut out the other has no paint: what lies there keeps its own.
    chosen = chosen & (paint.amax(dim=1, keepdim=True) > 0.0)
    albedo = torch.where(chosen, paint, linear["albedo"])
    # What is no surface at all has no paint either.
    linear["albedo"] = torch.where(luminance(linear["shading"]) > 0.0, albedo, 0.0)
    return linear


def another_light(
    linear: Mapping[str, Tensor], settings: PhotographSettings, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Albedo, shading and specular as another paint, light and exposure would have them; linear [B, 3, H, W]."""
    albedo, shading = linear["albedo"], linear["shading"]
    specular = linear.get("specular", torch.zeros_like(albedo))
    count, heights, seen = len(albedo), albedo.roll(1, dims=0), visible(linear)
    often = torch.where(seen.amin(dim=(1, 2, 3), keepdim=True) > 0.0, 1.0, settings.objects)
    if settings.plain:
        chosen = uniform(rng, count, 0.0, 1.0) < settings.plain * often
        albedo = torch.where(chosen, less_contrast(albedo, uniform(rng, count, 0.0, _LEFT).square()), albedo)
    if settings.flat:
        chosen = uniform(rng, count, 0.0, 1.0) < settings.flat * often
        albedo = torch.where(chosen, flat_colours(albedo, rng, shading, settings.airbrushed, settings.pale), albedo)
    if settings.strokes:
        chosen = uniform(rng, count, 0.0, 1.0) < settings.strokes * often
        albedo = torch.where(chosen, drawn_upon(albedo, rng, settings.pale), albedo)
    if settings.paint:
        albedo = albedo * (settings.paint * _normal(rng, count, 3)).exp()
        darker = uniform(rng, count, math.log(1.0 / 7.0), 0.0).exp()
        chosen = uniform(rng, count, 0.0, 1.0) < settings.dark
        albedo = torch.where(chosen, albedo * darker, albedo)
        albedo = albedo / (albedo.amax(dim=(1, 2, 3), keepdim=True) / 0.97).clamp_min(1.0)
    if settings.tint:
        tint = settings.tint * _normal(rng, count, 3)
        tint[:, 1] = 0.0
        shading, specular = shading * tint.exp(), specular * tint.exp()
    if settings.gloss:
        specular = specular * (settings.gloss * _normal(rng, count, 1)).exp()
    if settings.relief:
        chosen = uniform(rng, count, 0.0, 1.0) < settings.relief * often
        slopes = _slopes(heights, rng)
        if settings.glints:
            shine = _glints(slopes, rng) * _mean(shading, valid(albedo), (2, 3))
            glossy = chosen & (uniform(rng, count, 0.0, 1.0) < settings.glints)
            specular = torch.where(glossy & (seen > 0.0), specular + shine, specular)
        shading = torch.where(chosen, shading * _relief(slopes, rng), shading)
    if settings.hard:
        chosen = uniform(rng, count, 0.0, 1.0) < settings.hard * often
        shading = torch.where(chosen, harder(shading, albedo, uniform(rng, count, 1.0, _HARDEST)), shading)
    if settings.falloff:
        lamp = torch.where(uniform(rng, count, 0.0, 1.0) < settings.falloff, _lamp(albedo, rng), 1.0)
        shading, specular = shading * lamp, specular * lamp
    if settings.shadows:
        left = torch.where(uniform(rng, count, 0.0, 1.0) < settings.shadows, cast_shadow(albedo, rng), 1.0)
        shading, specular = shading * left, specular * left
    exposure = metering(albedo * shading + specular, seen, settings.dimmest, settings.brightest, rng)
    shading, specular = shading * exposure, specular * exposure
    if settings.backdrop:
        before = before_backdrop(albedo, shading, specular, rng)
        chosen = uniform(rng, count, 0.0, 1.0) < settings.backdrop
        albedo, shading, specular = (
            torch.where(chosen, *pair) for pair in zip(before, (albedo, shading, specular), strict=True)
        )
    return albedo, shading, specular


def before_backdrop(
    albedo: Tensor, shading: Tensor, specular: Tensor, rng: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """What is cut out before a backdrop without gloss, as bright as products are photographed and with a soft shadow;
    what fills its picture stays as it is. All linear [B, 3, H, W], in camera units."""
    count, seen = len(albedo), visible({"shading": shading, "specular": specular})
    # Renders are not quite opaque at their outline.
    behind = functional.max_pool2d(1.0 - seen, 2 * _OUTLINE + 1, stride=1, padding=_OUTLINE) > 0.0
    white = uniform(rng, count, *_WHITE_PAINT) * (0.02 * _normal(rng, count, 3)).exp()
    coloured = uniform(rng, count, 0.0, 1.0) >= _WHITE_BACKDROPS
    paint = torch.where(coloured, _flat_colour(count, rng), white).clamp_max(_WHITE_PAINT[1])
    light, better = (uniform(rng, count, *map(math.log, span)).exp() for span in (_BACKDROP_LIGHT, _BETTER_LIT))
    usual = _mean(luminance(shading), (~behind).to(shading), (1, 2, 3)).clamp_min(_DARKEST)
    gain = torch.where(behind.any(dim=3, keepdim=True).any(dim=2, keepdim=True), light / better / usual, 1.0)
    falloff = _lamp(albedo, rng) ** uniform(rng, count, 0.0, _BACKDROP_FALLOFF)
    lit = light * falloff * _soft_shadow((~behind).to(albedo), rng)
    return (
        torch.where(behind, paint, albedo),
        torch.where(behind, lit, shading * gain),
        torch.where(behind, 0.0, specular * gain),
    )


def _soft_shadow(thing: Tensor, rng: torch.Generator) -> Tensor:
    """[B, 1, H, W] in (0, 1]: what is left of the light on a backdrop beside what stands before it, ``thing`` 1."""
    height, width = thing.shape[2:]
    cells = _SOFT[int(torch.randint(len(_SOFT), (), generator=rng))]
    small = functional.interpolate(thing, (max(2, height // cells), max(2, width // cells)), mode="area")
    soft = functional.interpolate(small, (height, width), mode="bilinear")
    reach = round(_BESIDE * min(height, width))
    down, right = (int(torch.randint(2 * reach + 1, (), generator=rng)) for _ in range(2))
    soft = functional.pad(soft, (reach,) * 4, mode="replicate")[:, :, down : down + height, right : right + width]
    return 1.0 - uniform(rng, len(thing), 0.0, _SHADOW) * soft


def less_contrast(albedo: Tensor, left: Tensor) -> Tensor:
    """Paint nearer to the mean colour of its picture, [B, 3, H, W].

    Args:
        albedo: linear [B, 3, H, W]; what is too dark for paint stays as it is.
        left: [B, 1, 1, 1] of the contrast of its logarithm, in [0, 1]; 0 is a single colour.
    """
    where = valid(albedo)
    logarithm = albedo.clamp_min(_LEAST_ALBEDO).log()
    mean = _mean(logarithm, where, (2, 3))
    return torch.where(where > 0.5, (mean + left * (logarithm - mean)).exp(), albedo)


def flat_colours(
    albedo: Tensor, rng: torch.Generator, shading: Tensor | None = None, airbrushed: float = 0.0, pale: float = 0.0
) -> Tensor:
    """A few flat colours instead of the paint, of whose grain little is left, [B, 3, H, W].

    Args:
        albedo: linear [B, 3, H, W]; what is too dark for paint stays as it is.
        shading: the same; tells the form of what is airbrushed.
        airbrushed, pale: see :class:`PhotographSettings`.
    """
    count, _, height, width = albedo.shape
    where = valid(albedo)
    grain = less_contrast(albedo, uniform(rng, count, 0.0, 1.0).square() * _LEFT**2).clamp_min(_LEAST_ALBEDO).log()
    grain = grain - _mean(grain, where, (2, 3))
    noise = _soft_noise(count, height, width, rng)
    pixels = torch.ones(count, 1, 1, 1)  # that a border is wide
    if shading is not None and airbrushed:
        chosen = uniform(rng, count, 0.0, 1.0) < airbrushed
        follows = uniform(rng, count, -_FOLLOWED, _FOLLOWED)
        noise = torch.where(chosen, noise + follows * _form(shading, where, rng), noise)
        wide = uniform(rng, count, 0.0, math.log(max(1.0, _RUNNING * min(height, width)))).exp()
        pixels = torch.where(chosen, wide, pixels)
    step = _slope(noise)
    colours = int(torch.randint(1, _COLOURS + 1, (), generator=rng))
    painted = _flat_colour(count, rng, pale).expand_as(albedo)
    for border in torch.randn(colours - 1, generator=rng).sort().values:
        # A pixel that a border runs through shows both colours.
        covered = ((noise - border) / (step * pixels) + 0.5).clamp(0.0, 1.0)
        painted = torch.lerp(painted, _flat_colour(count, rng, pale), covered)
    return torch.where(where > 0.5, (painted * grain.exp()).clamp_min(_LEAST_ALBEDO), albedo)


def drawn_upon(albedo: Tensor, rng: torch.Generator, pale: float = 0.0) -> Tensor:
    """Thin lines of flat colours over the paint, [B, 3, H, W].

    Args:
        albedo: linear [B, 3, H, W]; what is too dark for paint stays as it is.
        pale: see :class:`PhotographSettings`.
    """
    count, _, height, width = albedo.shape
    where, drawn = valid(albedo), albedo
    for _ in range(int(torch.randint(1, _STROKES + 1, (), generator=rng))):
        noise, ends = (_soft_noise(count, height, width, rng) for _ in range(2))
        away = (noise - 0.7 * _normal(rng, count, 1)).abs() / _slope(noise)  # pixels to the middle of the line
        wide = uniform(rng, count, math.log(_THIN), math.log(_BROAD)).exp()
        line = (0.5 * wide - away + 0.5).clamp_min(0.0).minimum(wide).clamp_max(1.0)
        # A line ends where this noise is low.
        there = (ends - uniform(rng, count, _ENDS, -_ENDS)) / _slope(ends) + 0.5
        covered = line * there.clamp(0.0, 1.0)
        drawn = torch.lerp(drawn, _flat_colour(count, rng, pale).expand_as(albedo), covered)
    return torch.where(where > 0.5, drawn.clamp_min(_LEAST_ALBEDO), albedo)


def _soft_noise(count: int, height: int, width: int, rng: torch.Generator) -> Tensor:
    """[B, 1, H, W]: blobs of about standard deviation 1, large or small."""
    cells = _BLOBS[int(torch.randint(len(_BLOBS), (), generator=rng))]
    noise = torch.randn(count, 1, cells, cells, generator=rng)
    return functional.interpolate(noise, size=(height, width), mode="bicubic")


def _slope(noise: Tensor) -> Tensor:
    """[B, 1, H, W] > 0: by how much it changes from a pixel to the next."""
    across, down = torch.gradient(noise, dim=(3, 2))
    return (across.square() + down.square()).sqrt().clamp_min(1e-4)


def _form(shading: Tensor, where: Tensor, rng: torch.Generator) -> Tensor:
    """[B, 1, H, W]: what the light tells of the form, coarse or fine, its mean 0 and its standard deviation 1 where
    that is 1."""
    light = _centred(log_light(luminance(shading)), where) * where
    cells = min(_FORMS[int(torch.randint(len(_FORMS), (), generator=rng))], *light.shape[2:])
    small = functional.interpolate(light, (cells, cells), mode="area")
    form = _centred(functional.interpolate(small, light.shape[2:], mode="bicubic"), where) * where
    return form / _mean(form.square(), where, (1, 2, 3)).sqrt().clamp_min(1e-3)


def _flat_colour(count: int, rng: torch.Generator, pale: float = 0.0) -> Tensor:
    """[B, 3, 1, 1], linear; a share of them pale."""
    brightest = uniform(rng, count, math.log(_DARKEST_PAINT), math.log(_BRIGHTEST_PAINT))
    less = torch.rand(count, 3, 1, 1, generator=rng) * uniform(rng, count, 0.0, _SATURATED)
    if pale:
        chosen = uniform(rng, count, 0.0, 1.0) < pale
        light = uniform(rng, count, math.log(_PALEST_PAINT), math.log(_BRIGHTEST_PAINT))
        brightest, less = torch.where(chosen, light, brightest), torch.where(chosen, _PALE * less, less)
    return (brightest - (less - less.amin(dim=1, keepdim=True))).exp()


def harder(shading: Tensor, albedo: Tensor, contrast: Tensor) -> Tensor:
    """Light of more contrast, its colours and its mean kept, [B, 3, H, W].

    Args:
        shading, albedo: linear [B, 3, H, W].
        contrast: [B, 1, 1, 1], the factor that the logarithm of the luminance is taken times.
    """
    light = luminance(shading)
    where = valid(albedo) * (light > _DARKEST)
    light = light.clamp_min(_DARKEST)
    return shading * (light / _mean(light.log(), where, (2, 3)).exp()) ** (contrast - 1.0)


def _slopes(heights: Tensor, rng: torch.Generator) -> Tensor:
    """[B, 2, H, W]: how steep a rough surface is, to the right and down.

    Args:
        heights: albedos, whose logarithms are the heights of some of the samples, linear [B, 3, H, W].
    """
    count, _, height, width = heights.shape
    cells = _CELLS[int(torch.randint(len(_CELLS), (), generator=rng))]
    # The outline of what is cut out is no relief.
    inside = 1.0 - functional.max_pool2d(1.0 - valid(heights), 2 * cells + 1, stride=1, padding=cells)
    painted = log_light(luminance(heights))
    if cells > 1:
        painted = functional.avg_pool2d(painted, 2 * cells - 1, stride=1, padding=cells - 1, count_include_pad=False)
    grown = uniform(rng, count, 0.0, 1.0) < _GROWN
    height_map = torch.where(grown, _grain(count, height, width, rng), painted)
    inside = torch.where(grown, 1.0, inside)
    padded = functional.pad(height_map, (1, 1, 1, 1), mode="replicate")
    slopes = torch.cat(
        [padded[:, :, 1:-1, 2:] - padded[:, :, 1:-1, :-2], padded[:, :, 2:, 1:-1] - padded[:, :, :-2, 1:-1]], 1
    )
    slopes = slopes * inside
    spread = _mean(slopes.square().mean(dim=1, keepdim=True), inside, (1, 2, 3)).sqrt()
    steep = uniform(rng, count, math.log(_SHALLOW), math.log(_DEEP)).exp()
    return steep * 2.0 * (0.5 * slopes / spread.clamp_min(1e-3)).tanh()


def _relief(slopes: Tensor, rng: torch.Generator) -> Tensor:
    """[B, 1, H, W] > 0: how light from one side falls on a rough surface, against that on a smooth one (Lambert).
    ``slopes``: see :func:`_slopes`."""
    count = len(slopes)
    angle, raised = uniform(rng, count, 0.0, 2.0 * math.pi), uniform(rng, count, *_RAISED)
    towards = slopes[:, :1] * angle.cos() + slopes[:, 1:] * angle.sin()
    facing = (raised.sin() + raised.cos() * towards) / (1.0 + slopes.square().sum(dim=1, keepdim=True)).sqrt()
    around = uniform(rng, count, *_AROUND)
    return around + (1.0 - around) * facing.clamp_min(0.0) / raised.sin()


def _glints(slopes: Tensor, rng: torch.Generator) -> Tensor:
    """[B, 1, H, W]: what a rough, glossy surface mirrors of a lamp, against the light on it: the slopes of its facets
    are about those of the surface (Beckmann), and which ones mirror the lamp changes over the picture, the faster the
    nearer it is. ``slopes``: see :func:`_slopes`."""
    count = len(slopes)
    right, down = _from_a_place(slopes, rng)
    near = uniform(rng, count, 0.0, _MIRRORED)
    missed = (slopes[:, :1] - near * right).square() + (slopes[:, 1:] - near * down).square()
    rough = uniform(rng, count, *map(math.log, _ROUGH)).exp()
    return uniform(rng, count, *map(math.log, _SHINY)).exp() * (-missed / rough.square()).exp()


def _grain(count: int, height: int, width: int, rng: torch.Generator) -> Tensor:
    """[B, 1, H, W]: heights of bumps, fur and grooves: noise whose spectrum falls as a power, down to a finest detail,
    longer one way than the other."""
    down, right = torch.fft.fftfreq(height)[:, None], torch.fft.rfftfreq(width)[None, :]
    angle, longer = uniform(rng, count, 0.0, math.pi), uniform(rng, count, 0.0, math.log(_LONGER)).exp()
    along, across = right * angle.cos() + down * angle.sin(), down * angle.cos() - right * angle.sin()
    frequency = ((along * longer).square() + across.square()).sqrt()
    finest = uniform(rng, count, math.log(_COARSE), math.log(_FINE)).exp()
    amplitude = (frequency + 0.01).pow(-uniform(rng, count, 0.0, 2.5)) * (-(frequency / finest).square()).exp()
    noise = torch.randn(count, 1, height, width, generator=rng)
    return torch.fft.irfft2(torch.fft.rfft2(noise) * amplitude, s=(height, width))


def _lamp(like: Tensor, rng: torch.Generator) -> Tensor:
    """[B, 1, H, W] in (0, 1]: how the light of a lamp over somewhere in or near the picture falls off."""
    count = len(like)
    right, down = _from_a_place(like, rng)
    far = uniform(rng, count, math.log(_NEAREST), math.log(_FARTHEST)).exp()
    return (1.0 + (right / far).square() + (down / far).square()).pow(-uniform(rng, count, _GENTLE, _STEEP))


def _from_a_place(like: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
    """How far right, [B, 1, 1, W], and down, [B, 1, H, 1], pixels lie from a place in or near the picture, in its
    sides."""
    count, _, height, width = like.shape
    x, y = (uniform(rng, count, -0.2, 1.2) for _ in range(2))
    right = torch.linspace(0.0, 1.0, width)[None, None, None, :] - x
    return right, torch.linspace(0.0, 1.0, height)[None, None, :, None] - y


def cast_shadow(like: Tensor, rng: torch.Generator) -> Tensor:
    """[B, 3, H, W] > 0: what is left of the light where leaves, bars or the edge of a thing outside the picture cast
    their shadow, sharp or soft."""
    count, _, height, width = like.shape
    shape = _SHADES[int(torch.randint(len(_SHADES), (), generator=rng))]
    angle, far = uniform(rng, count, 0.0, 2.0 * math.pi), uniform(rng, count, -1.0, 1.0)
    columns, rows = torch.linspace(-1.0, 1.0, width)[None, None, None, :], torch.linspace(-1.0, 1.0, height)[:, None]
    along = columns * angle.cos() + rows * angle.sin() + far
    if shape == "leaves":
        between = _soft_noise(count, height, width, rng)
    elif shape == "bars":
        between = (math.pi * along * uniform(rng, count, *map(math.log, _BARS)).exp()).sin()
    else:
        between = along + 0.1 * _soft_noise(count, height, width, rng)
    covered = uniform(rng, count, *_COVERED)
    level = torch.stack([field.quantile(share) for field, share in zip(between, covered.flatten(), strict=True)])
    level = level[:, None, None, None]
    soft = uniform(rng, count, 0.0, math.log(max(1.0, _PENUMBRA * min(height, width)))).exp()
    # The steepest a field gets tells how wide a border it has; of a wave the slope is nothing at its crests.
    slope = _slope(between).flatten(1).quantile(0.9, dim=1)[:, None, None, None]
    lit = ((between - level) / (slope * soft) + 0.5).clamp(0.0, 1.0)
    sky = uniform(rng, count, 0.0, _SKY) * torch.tensor([-1.0, 0.0, 1.0])[:, None, None]
    ambient = (uniform(rng, count, *map(math.log, _AMBIENT)) + sky).exp().clamp_max(1.0)
    return torch.lerp(ambient, torch.ones(()), lit)


def visible(linear: Mapping[str, Tensor]) -> Tensor:
    """[B, 1, H, W]: 0 where a render shows nothing at all, as around what is cut out."""
    total = sum(luminance(image) for image in linear.values())
    return (total > 0.0).float()  # type: ignore[union-attr]


def truth_of(albedo: Tensor, shading: Tensor) -> Truth:
    """What a photo's levels should say, from its linear components [B, 3, H, W]."""
    return Truth(luminance(shading), (albedo * shading).clamp(0.0, 1.0), valid(albedo))


def valid(albedo: Tensor) -> Tensor:
    """[B, 1, H, W]: 1 where there is enough paint for a shading to mean something."""
    return (albedo.amin(dim=1, keepdim=True) >= _LEAST_ALBEDO).float()


def draw(rng: torch.Generator) -> float:
    """One number in [0, 1)."""
    return float(torch.rand((), generator=rng))


def _normal(rng: torch.Generator, count: int, channels: int) -> Tensor:
    return torch.randn(count, channels, 1, 1, generator=rng)


def _mean(values: Tensor, where: Tensor, dim: tuple[int, ...]) -> Tensor:
    """The mean of values where that counts, its dimensions kept; 0 where nothing does."""
    return (values * where).sum(dim=dim, keepdim=True) / where.sum(dim=dim, keepdim=True).clamp_min(1.0)


def _centred(values: Tensor, where: Tensor) -> Tensor:
    """Less their mean where that counts."""
    return values - _mean(values, where, (1, 2, 3))


def _left(image: Tensor, diffuse: Tensor) -> Tensor:
    """The grey specular that a camera shows: what its picture has in every channel beyond the diffuse light."""
    return (image - diffuse).amin(dim=1, keepdim=True).clamp_min(0.0)
