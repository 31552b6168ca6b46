# SPDX-License-Identifier: GPL-3.0-or-later
"""JoIN's figures of faces as sheets: renders of two and three components, photos, relighting, other methods, ablation.

--only portraits draws a sheet of each photo at its own resolution: its layers, and the photo with its key light from
the left, from the right, and warm from above. --data is a float pack of renders. --tables is the folder of
`paper-tables` for the same renders: what it has kept of the first ones (its --figures) is shown. --photos are pictures
of your own. What cannot be drawn without one of them is left out, and said.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np

from ...bank import Bank
from ...errors import JoinError
from ...face_crop import FaceCrop
from ...images.face_frame import FaceFrame
from ...images.files import display_encode, opaque, read_image, validate_image
from ...images.frame import Frame
from ...images.metrics import component_scores
from ...inversion.codebook import CodeBook
from ...inversion.presets import Preset, get_preset
from ...names import free_name
from ...networks.unet import UNet
from ...options import BAD_INPUT, add_inversion_options, expand, load_bank_named, positive, say
from ...pipeline import Outcome, decompose_batch
from ...portraits import Splitter, face_in, load_rest
from ...relighting.directions import Direction
from ...relighting.relighter import LIGHT, Edit, Relighter
from ...renders.samples import Sample, read_samples
from ..camera import Layers, at_resolution
from ..methods.baselines import BASELINES
from ..methods.by_name import Method, Rows, make_methods
from ..methods.unet import made_exact, unet_layers, unet_of
from ..options import add_row_options, rows_of
from ..sheets.sheet import PANEL, Panel, write_sheet
from .evaluate import albedo_level, stored_layers

# What is added to the code, in standard deviations, and what the panels are called.
_SEFA = (("sefa.0", -2.0), ("sefa.0", 2.0), ("sefa.1", -2.0), ("sefa.1", 2.0))
_NAMED = (
    ("left_right", -1.5, "from the left"),
    ("left_right", 1.5, "from the right"),
    ("up_down", 1.5, "from above"),
    ("warmth", 1.5, "warm"),
    ("fill", 1.5, "filled"),
)
# Key lights of a portrait: where they stand, as sines of angles in the picture, or standard deviations of what tells no
# place.
_KEY_LIGHTS = (
    ("key from the left", (("left_right", -0.7),)),
    ("key from the right", (("left_right", 0.7),)),
    ("warm from above", (("left_right", 0.0), ("up_down", 0.5), ("warmth", 2.5))),
)
_PHOTO_BASELINES = ("colour Retinex", "blurred light")
_LADDER = ("opt", "opt-in-domain", "opt-knn", "encoder-opt", "encoder-opt-pti", "encoder-opt-pti-d")
_BEST_SYNTHETIC = "encoder-opt"  # the paper tunes no generator where the renders are like those it has learned from
_TUNED = ("encoder-opt-pti", "encoder-opt-pti-d")
_ALBEDO, _SHADING, _SPECULAR, _IMAGE = "albedo", "shading", "specular", "image"

SheetRows = list[list[Panel]]


@dataclass(frozen=True)
class PaperFigures:
    """What the figures are made of.

    Args:
        bank: with its discriminators.
        samples: held-out renders, of which the synthetic figures show the first ones; none leaves these out.
        tables: folder of ``paper-tables``, made of the same renders; None leaves out what needs it.
        photos: of faces, where the bank is one of faces.
        rows: of the inversions that are made here.
        preset: of the photos.
        unet: beside the other methods; None leaves it out.
    """

    bank: Bank
    samples: Sequence[Sample]
    tables: Path | None
    photos: Sequence[Path]
    rows: Rows
    preset: Preset
    unet: UNet | None = None
    seed: int = 0
    _decomposed: dict[Path, _Photo | None] = field(default_factory=dict, repr=False)

    def two_components(self) -> SheetRows:
        """Fig. 5 and 18: renders without gloss, decomposed by albedo and shading alone."""
        bank, rows = two_component_bank(self.bank), []
        method = _possible(make_methods([_BEST_SYNTHETIC], self.rows, bank)[0])
        truths = [at_resolution(sample.components, bank.header.resolution) for sample in self._renders]
        images = [np.asarray(bank.forward_model.compose(truth), np.float32) for truth in truths]
        for truth, image, made in zip(truths, images, self._generated(bank, images, method), strict=True):
            rows += self._beside_truth(bank, truth, image, made)
        return rows

    def three_components(self) -> SheetRows:
        """Fig. 6 and 19."""
        rows: SheetRows = []
        for sample in self._renders:
            truth, image = self._truth(sample)
            rows += self._beside_truth(self.bank, truth, image, self._stored(_BEST_SYNTHETIC, sample))
        return rows

    def ladder(self) -> SheetRows:
        """Fig. 12: each row of Table 2, and the truth."""
        rows: SheetRows = []
        for sample in self._renders[:2]:
            truth, image = self._truth(sample)
            found = {key: self._stored(key, sample) for key in _LADDER}
            for name in self._columns:
                shown = image if name == _IMAGE else truth[name]
                line = [(f"{name}\n{'target' if name == _IMAGE else 'truth'}", display_encode(name, shown))]
                for key, layers in found.items():
                    made = self._pixels(self.bank, layers, name)
                    line.append((f"{key}\n{_db(name, made, shown)}", display_encode(name, made)))
                rows.append(line)
        return rows

    def real(self) -> SheetRows:
        """Fig. 7 and 21: photos with their layers."""
        rows: SheetRows = []
        for photo in self._all_photos:
            line = photo.panels(self.bank, photo.outcome.decomposition.layers, self._columns[:-1])
            alone = self._pixels(self.bank, photo.outcome.generated, _IMAGE)
            told = _db(_IMAGE, photo.cut(alone), photo.cut(photo.colour))
            line.append((f"generators alone\n{told} to the photo", display_encode(_IMAGE, photo.cut(alone))))
            rows.append(line)
        return rows

    def relit(self) -> SheetRows:
        """Fig. 8 and 22: SeFa on the shading alone, and below it the light by name, where the bank knows any."""
        rows: SheetRows = []
        for photo in self._all_photos:
            relighter = Relighter(photo.outcome.decomposition, self.bank)
            sefa = [(f"SeFa {name[5:]}\n{amount:+g} SD", Edit(_SHADING, name, amount)) for name, amount in _SEFA]
            lights = self.bank.header.directions
            known = () if lights is None else lights.units
            named = [(f"{word}\n{amount:+g} SD", Edit(LIGHT, n, amount)) for n, amount, word in _NAMED if n in known]
            for edits in filter(None, (sefa, named)):
                lit = [relighter.relight([edit]).layers for _, edit in edits]
                for name in (_IMAGE, _SHADING):
                    first = photo.outcome.decomposition.layers
                    line = [(f"{photo.path.stem}\n{name}", photo.shown(self._pixels(self.bank, first, name), name))]
                    pixels = [self._pixels(self.bank, layers, name) for layers in lit]
                    line += [(label, photo.shown(p, name)) for (label, _), p in zip(edits, pixels, strict=True)]
                    rows.append(line)
        return rows

    def compared(self) -> SheetRows:
        """Fig. 9 and 20: the albedo by other methods. Those that the paper shows have no weights that are free."""
        rows: SheetRows = []
        rest = load_rest(next(iter(self.bank.components.values())).w_avg.device)
        untuned = tuple(stage for stage in self.preset.stages if not stage.tunes)
        other = Splitter(rest.bank, replace(self.preset, stages=untuned), self.seed)
        for photo in self._all_photos:
            albedos = {f"bank {self.bank.header.name}": photo.outcome.decomposition.layers[_ALBEDO]}
            if rest.bank.sha256 != self.bank.sha256:
                layers = other.split(photo.colour, photo.path.name)[0].decomposition.layers
                albedos[f"bank {rest.bank.header.name}"] = layers[_ALBEDO]
            seen, level = np.ascontiguousarray(photo.cut(photo.colour)), albedo_level(self.bank)
            if self.unet is not None:
                albedos["U-Net"] = photo.back(made_exact(unet_layers(self.unet, seen), seen)[_ALBEDO])
            albedos |= {name: photo.back(BASELINES[name](seen, level)[_ALBEDO]) for name in _PHOTO_BASELINES}
            line = [(f"{photo.path.stem}\n", photo.shown(photo.colour, _IMAGE))]
            rows.append(line + [(f"albedo\n{name}", photo.shown(made, _ALBEDO)) for name, made in albedos.items()])
        return rows

    def portraits(self) -> dict[str, SheetRows]:
        """A sheet of each photo, by its name: photo and layers, and below them the photo lit anew with the albedo that
        it has. Raises JoinError ``bank_unsuited`` for a bank that knows no light by name."""
        lights = self.bank.header.directions
        if lights is None or not any(name in lights.units for _, places in _KEY_LIGHTS for name, _ in places):
            message = f"The bank '{self.bank.header.name}' knows no light by name."
            raise JoinError("bank_unsuited", message, "Choose one whose directions were learned.")
        sheets: dict[str, SheetRows] = {}
        for photo in self._all_photos:
            first = photo.outcome.decomposition
            above = photo.panels(self.bank, first.layers, self._columns[:-1])
            relighter = Relighter(first, self.bank)
            known = {direction.name: direction for direction in relighter.directions()}
            below: list[Panel] = []
            for words, places in _KEY_LIGHTS:
                edits = [_lit_from(known[name], place) for name, place in places if name in known]
                lit = relighter.relight(edits).layers
                told = ", ".join(f"{edit.direction} {edit.amount:+.1f}" for edit in edits)
                below.append((f"{words}\n{told}", photo.shown(self._pixels(self.bank, lit, _IMAGE), _IMAGE)))
            sheets[free_name(photo.path.stem, sheets)] = [above, below]
        return sheets

    def local_discriminator(self) -> SheetRows:
        """Fig. 13: tuned without and with the local discriminator loss, as the generators make it."""
        rows: SheetRows = []
        methods = [_possible(method) for method in make_methods(_TUNED, self.rows, self.bank)]
        for photo in self._all_photos:
            square = photo.square(self.bank.header.resolution)
            for method in methods:
                (made,) = self._generated(self.bank, [square], method)
                words = "with D loss" if method.key == _TUNED[1] else "without D loss"
                line = [(f"{photo.path.stem}\n{words}", display_encode(_IMAGE, square))]
                for name in self._columns:
                    pixels = self._pixels(self.bank, made, name)
                    told = _db(name, pixels, square) if name == _IMAGE else ""
                    line.append((f"{'recomposed' if name == _IMAGE else name}\n{told}", display_encode(name, pixels)))
                rows.append(line)
        return rows

    @property
    def _columns(self) -> tuple[str, ...]:
        return (*self.bank.forward_model.components, _IMAGE)

    @property
    def _renders(self) -> Sequence[Sample]:
        """Raises JoinError ``renders_missing``."""
        if not self.samples:
            raise JoinError("renders_missing", "There is no render to show.", "Name a pack of them with --data.")
        return self.samples

    def _truth(self, sample: Sample) -> tuple[Layers, np.ndarray]:
        truth = at_resolution(sample.components, self.bank.header.resolution)
        return truth, np.asarray(self.bank.forward_model.compose(truth))

    def _stored(self, key: str, sample: Sample) -> Layers:
        """Raises JoinError ``tables_missing``."""
        method = make_methods([key], self.rows, self.bank)[0]
        found = None if self.tables is None else stored_layers(self.tables, method.title, sample.name)
        if found is None:
            message = f"The layers of '{sample.name}' by '{method.title}' are not there."
            raise JoinError("tables_missing", message, "Run paper-tables with as many --figures, and name its folder.")
        return found

    def _generated(self, bank: Bank, images: Sequence[np.ndarray], method: Method) -> list[Layers]:
        assert method.preset is not None
        found = decompose_batch(images, bank, method.preset, self.seed, codebook=CodeBook(bank))
        return [outcome.generated for outcome in found]

    def _beside_truth(self, bank: Bank, truth: Layers, image: np.ndarray, made: Layers) -> SheetRows:
        """The target and its true layers, and below them what was found."""
        columns = (_IMAGE, *bank.forward_model.components)
        above = [(f"{n}\n{'target' if n == _IMAGE else 'truth'}", image if n == _IMAGE else truth[n]) for n in columns]
        below = [(n, self._pixels(bank, made, n), image if n == _IMAGE else truth[n]) for n in columns]
        words = {_IMAGE: "recomposed"}
        return [
            [(label, display_encode(name, pixels)) for name, (label, pixels) in zip(columns, above, strict=True)],
            [(f"{words.get(n, n)}\n{_db(n, own, true)}", display_encode(n, own)) for n, own, true in below],
        ]

    @staticmethod
    def _pixels(bank: Bank, layers: Mapping[str, np.ndarray], name: str) -> np.ndarray:
        return np.asarray(bank.forward_model.compose(layers)) if name == _IMAGE else layers[name]

    @cached_property
    def _splitter(self) -> Splitter:
        return Splitter(self.bank, self.preset, self.seed)

    @property
    def _all_photos(self) -> list[_Photo]:
        """Those that can be decomposed; why others cannot is said once. Raises JoinError ``photos_missing``."""
        for path in self.photos:
            if path not in self._decomposed:
                try:
                    self._decomposed[path] = self._photo(path)
                except JoinError as error:
                    say(f"{path.name} is left out: {error}")
                    self._decomposed[path] = None
        found = [photo for path in self.photos if (photo := self._decomposed[path]) is not None]
        if not found:
            raise JoinError("photos_missing", "There is no photo to show.", "Name some with --photos.")
        return found

    def _photo(self, path: Path) -> _Photo:
        colour = opaque(validate_image(read_image(path)))
        say(path.name)
        outcome, notes = self._splitter.split(colour, f"'{path}'")
        for note in notes:
            say(f"{path.name}: {note}")
        face = face_in(colour, f"'{path}'")[0] if self.bank.header.faces else None
        return _Photo(path, colour, outcome, face)


@dataclass(frozen=True)
class _Photo:
    """A photo, decomposed.

    Attributes:
        colour: linear [H, W, 3].
        face: what of it is shown; None for all.
    """

    path: Path
    colour: np.ndarray
    outcome: Outcome
    face: FaceCrop | None

    def cut(self, pixels: np.ndarray) -> np.ndarray:
        """The upright part [h, w, 3] of the photo, or of a layer of its size, in which the crop of the face lies."""
        rows, columns = self._part
        return pixels[rows, columns]

    def back(self, part: np.ndarray) -> np.ndarray:
        """Inverse of :meth:`cut`; black around it."""
        whole = np.zeros_like(self.colour)
        whole[self._part] = part
        return whole

    @property
    def _part(self) -> tuple[slice, slice]:
        height, width = self.colour.shape[:2]
        if self.face is None:
            return slice(0, height), slice(0, width)
        xs, ys = zip(*self.face.corners, strict=True)
        return _within(ys, height), _within(xs, width)

    def shown(self, pixels: np.ndarray, name: str) -> np.ndarray:
        """Display-encoded, of a layer of the photo's size."""
        return display_encode(name, self.cut(pixels))

    def panels(self, bank: Bank, layers: Mapping[str, np.ndarray], names: Sequence[str]) -> list[Panel]:
        """The photo, these layers, and what they make together."""
        line: list[Panel] = [(f"{self.path.stem}\n", self.shown(self.colour, _IMAGE))]
        line += [(f"{name}\n", self.shown(layers[name], name)) for name in names]
        together = np.asarray(bank.forward_model.compose(layers))
        told = _db(_IMAGE, self.cut(together), self.cut(self.colour))
        return [*line, (f"recomposed\n{told} to the photo", self.shown(together, _IMAGE))]

    def square(self, resolution: int) -> np.ndarray:
        """Linear [R, R, 3], as the bank looks at it."""
        height, width = self.colour.shape[:2]
        frame = Frame(height, width, resolution)
        if self.face is not None:
            frame = FaceFrame(height, width, resolution, self.face)
        return np.ascontiguousarray(frame.fit(self.colour)[0].permute(1, 2, 0).numpy())


FIGURES: dict[str, tuple[str, Callable[[PaperFigures], SheetRows]]] = {
    "5": ("fig05-two-components", PaperFigures.two_components),
    "6": ("fig06-three-components", PaperFigures.three_components),
    "7": ("fig07-real-faces", PaperFigures.real),
    "8": ("fig08-relighting", PaperFigures.relit),
    "9": ("fig09-other-methods", PaperFigures.compared),
    "12": ("fig12-ablation", PaperFigures.ladder),
    "13": ("fig13-local-discriminator", PaperFigures.local_discriminator),
}
"""By their numbers in the paper: the name of the file, and what draws it."""

PORTRAITS = "portraits"
"""Stands beside the numbers for :meth:`PaperFigures.portraits`."""

ALL = (*FIGURES, PORTRAITS)


def write_figures(figures: PaperFigures, out: Path, only: Sequence[str] = ALL) -> dict[str, list[Path]]:
    """Write the PNGs of each of :data:`ALL`; what cannot be drawn is said and left out. Raises JoinError
    ``output_unwritable``."""
    written = {}
    for number in only:
        try:
            if number == PORTRAITS:
                sheets = {f"portrait-{name}": rows for name, rows in figures.portraits().items()}
            else:
                name, draw = FIGURES[number]
                sheets = {name: draw(figures)}
        except JoinError as error:
            say(f"{'Portraits are' if number == PORTRAITS else f'Figure {number} is'} left out: {error}")
            continue
        for name, rows in sheets.items():
            write_sheet(out / f"{name}.png", rows, None if number == PORTRAITS else PANEL)
        written[number] = [out / f"{name}.png" for name in sheets]
    return written


def two_component_bank(bank: Bank) -> Bank:
    """Albedo and shading of a bank, multiplied and nothing else; without the networks that know gloss. Raises JoinError
    ``component_missing``."""
    names = (_ALBEDO, _SHADING)
    missing = [name for name in names if name not in bank.components]
    if missing:
        raise JoinError("component_missing", f"The bank has no {missing[0]}.", "Choose one with albedo and shading.")
    header = replace(
        bank.header,
        forward_model="lambertian",
        components={name: bank.header.components[name] for name in names},
        directions=None,
        materials=None,
        split=None,
        seeing=None,
        invertibility=None,
        samm=None,
    )
    parts = {name: bank.components[name] for name in names}
    return replace(bank, header=header, components=parts, split=None, seeing=None, invertibility=None, samm=None)


def _possible(method: Method) -> Method:
    """Raises JoinError ``method_unsuited``."""
    if method.lacks:
        raise JoinError("method_unsuited", f"'{method.title}' is not possible: {method.lacks}.", "Choose another bank.")
    return method


def _lit_from(direction: Direction, place: float) -> Edit:
    """The edit of all layers that brings the light to a place in the picture, as far as the direction reaches; or that
    moves it by so many standard deviations, where the bank does not tell its place."""
    unit, at = direction.unit, direction.at
    amount = place if unit is None or at is None else (place - at) / unit
    return Edit(LIGHT, direction.name, min(max(amount, direction.minimum), direction.maximum))


def _within(places: Sequence[float], size: int) -> slice:
    return slice(max(0, round(min(places))), max(1, min(size, round(max(places)))))


def _db(name: str, pixels: np.ndarray, truth: np.ndarray) -> str:
    return f"{component_scores(name, pixels, truth)['psnr']:.1f} dB"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, metavar="PACK.tar", help="renders, for figures 5, 6 and 12")
    parser.add_argument("--split", help="only a folder's packs of this split, such as test")
    parser.add_argument("--tables", type=Path, metavar="DIR", help="folder of paper-tables")
    parser.add_argument("--photos", nargs="+", default=[], metavar="IMAGE", help="images, or folders of them")
    parser.add_argument("--count", type=positive, default=4, help="renders that are shown (default 4)")
    parser.add_argument("--only", nargs="+", choices=ALL, default=list(ALL), help="these figures (default: all)")
    parser.add_argument("--out", type=Path, required=True, help="folder")
    add_row_options(parser)
    add_inversion_options(parser, "portrait")


def run(options: argparse.Namespace) -> int:
    photos, problems = expand(options.photos, options.out) if options.photos else ([], [])
    if problems:
        raise problems[0]
    bank = load_bank_named(options)
    unet = unet_of(options, next(iter(bank.components.values())).w_avg.device)
    samples: list[Sample] = []
    if options.data is not None:
        samples = read_samples(options.data, bank.forward_model.components, options.count, options.split)
    preset, rows = get_preset(options.preset), rows_of(options)
    figures = PaperFigures(bank, samples, options.tables, photos, rows, preset, unet, options.seed)
    written = write_figures(figures, options.out, options.only)
    for path in chain.from_iterable(written.values()):
        print(path)
    return 0 if len(written) == len(options.only) else BAD_INPUT
