# SPDX-License-Identifier: GPL-3.0-or-later
"""Tables of methods against ground truth, in the form of JoIN's Tables 1 to 4."""

from __future__ import annotations

import argparse
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...bank import Bank, fingerprint
from ...images.files import atomically, display_encode
from ...images.metrics import all_scores, brightness_told
from ...inversion.codebook import CodeBook
from ...inversion.invert import Reached
from ...inversion.losses.elpips import ELpips
from ...inversion.losses.elpips_weights import load_lpips
from ...inversion.losses.perceptual import FeatureDistance
from ...inversion.losses.reconstruction import make_features
from ...inversion.presets import Preset, get_preset
from ...layers.detail import detail_for
from ...networks.features import Features
from ...networks.stylegan2 import generate
from ...networks.trunk import Trunk
from ...options import add_inversion_options, load_bank_named, say
from ...pipeline import Outcome, decompose_batch
from ...renders.samples import Sample, read_samples
from ...single_gan import base_model
from ..camera import Layers, at_resolution
from ..generators.distances import embed_all, frechet_distance, sliced_wasserstein, trunk_features
from ..methods.baselines import ALBEDO_LEVEL, BASELINES, LEVELLED
from ..methods.by_name import Method, make_methods, preset_methods, scaled
from ..methods.unet import made_exact, unet_layers, unet_of
from ..options import add_evaluation_options, forget, rows_of
from ..results import RESULTS_NAME, Results
from ..sheets.sheet import Panel, write_sheet
from ..tables import lpips_key, summarise, write_tables

# By bank and first image of the batch.
Shared = dict[tuple[str, int], Reached]
_REPORT_EVERY = 20.0  # seconds
_ELPIPS_DRAWS = 16


@dataclass(frozen=True)
class Run:
    """How an evaluation is done.

    Args:
        batch: images inverted at a time. Part of the results' identity, as rounding depends on it (and only that).
        bf16: convolutions in bfloat16 while codes are searched for. Part of the results' identity.
        figures: how many samples get a sheet to look at; where all do, the table has the rows' distances as
            distributions, too.
        metric_features: what E-LPIPS compares, see :func:`join_engine.inversion.losses.reconstruction.make_features`;
            None takes the bank's trunk, or random features without it.
        brightness_told: compare as if one knew how bright the albedo is. Part of the results' identity.
        settings: more plain values for the table, such as the rows' common settings; each method's own are part of
            its identity anyhow.
    """

    seed: int = 0
    batch: int = 10
    bf16: bool = False
    figures: int = 0
    metric_features: str | None = None
    settings: Mapping[str, Any] | None = None
    brightness_told: bool = False

    @classmethod
    def of(cls, options: argparse.Namespace, settings: Mapping[str, Any]) -> Run:
        """As the options of a command say."""
        return cls(options.seed, options.batch, options.bf16, options.figures, options.metric_features, settings)


def evaluate(
    bank: Bank,
    samples: Sequence[Sample],
    methods: Sequence[Method],
    run: Run | None = None,
    out: Path | None = None,
    single: Bank | None = None,
) -> dict[str, Any]:
    """Let every method decompose the image of every sample, f(true components), and score it.

    Ground truth of another size than the bank's is resampled to it, component by component, in linear light; the image
    is made from the resampled components, so that the ground truth explains it exactly. Figures are kept per image in
    ``out``: what a killed run has done is not done again, and the outcome is the same. Raises JoinError
    ``results_mismatch``, ``output_unwritable``, and whatever the methods raise.

    Args:
        out: folder of ``results.jsonl``, ``layers/`` and ``sheets/``; None keeps nothing.
        single: bank of a single GAN, for the methods that want one.

    Returns:
        A table for JSON (see :func:`join_engine.evaluation.tables.summarise`).
    """
    run = run or Run()
    judge = _Judge(bank, run)
    truths = [at_resolution(sample.components, bank.header.resolution) for sample in samples]
    names = [sample.name for sample in samples]
    about = {**_decides(bank, single, run), "samples": names, "elpips": judge.label}
    if judge.lpips:
        about["lpips"] = list(judge.lpips)
    identities = {title: method.identity for method in methods for title in method.titles}
    results = Results(None if out is None else out / RESULTS_NAME, about, identities)
    images = [np.asarray(judge.model.compose(truth)) for truth in truths]
    possible = [method for method in methods if not method.lacks]
    clock = _Clock(possible, len(samples))
    shared: Shared = {}
    for method in possible:
        decomposer = _Decomposer(method, bank, single, run, shared)
        for first in range(0, len(samples), run.batch):
            part = slice(first, min(first + run.batch, len(samples)))
            own = names[part]
            if all(results.done(title, name) for title in method.titles for name in own):
                clock.skip(method, len(own))
                continue
            estimates, seconds = decomposer(images[part], first)
            for title, layers in estimates.items():
                if run.brightness_told:
                    layers = [brightness_told(*pair) for pair in zip(layers, truths[part], strict=True)]
                scores = judge.score(layers, truths[part], images[part])
                _keep_figures(out, title, own, layers, run.figures - first)
                entries = [
                    {"method": title, "sample": name, "seconds": seconds / len(own), "scores": score}
                    for name, score in zip(own, scores, strict=True)
                ]
                results.add(entries)
            clock.advance(method, len(own), part.stop)
    if out is not None:
        _write_sheets(out, names[: run.figures], possible, truths, images, results, judge)
    settings = {**(run.settings or {}), **about["settings"]}
    table = {**about, "settings": settings, "samples": len(samples), **summarise(results.found, methods, names)}
    if out is not None and run.figures >= len(samples):
        table["distances"] = _distances(out, bank, names, list(table["methods"]), images, judge)
    return table


def _decides(bank: Bank, single: Bank | None, run: Run) -> dict[str, Any]:
    """What the figures depend on, beside samples, methods and the judge."""
    return {
        "bank": {"name": bank.header.name, "sha256": bank.sha256},
        **({} if single is None else {"single": {"name": single.header.name, "sha256": single.sha256}}),
        "resolution": bank.header.resolution,
        "settings": {
            "seed": run.seed,
            "batch": run.batch,
            "bf16": run.bf16,
            **({"brightness_told": True} if run.brightness_told else {}),
        },
    }


class _Decomposer:
    """One method, ready for batches of linear images [R, R, 3]."""

    def __init__(self, method: Method, bank: Bank, single: Bank | None, run: Run, shared: Shared) -> None:
        self._method = method
        self._shared = shared
        self._bank = single if method.single and single is not None else bank
        self._codebook = CodeBook(self._bank)
        self._run = run
        self._level = {"level": albedo_level(bank)} if method.title in LEVELLED else {}

    def __call__(self, images: Sequence[np.ndarray], first: int) -> tuple[dict[str, list[Layers]], float]:
        """Row's title → linear components of each image; and the seconds that it takes. ``first`` names the batch."""
        preset, start = self._method.preset, time.perf_counter()
        if self._method.unet is not None:
            made = [unet_layers(self._method.unet, image) for image in images]
            exact = [made_exact(layers, image) for layers, image in zip(made, images, strict=True)]
            return dict(zip(self._method.titles, (made, exact), strict=True)), time.perf_counter() - start
        if preset is None:
            estimates = {self._method.title: [BASELINES[self._method.title](image, **self._level) for image in images]}
            return estimates, time.perf_counter() - start
        reached = self._shared.setdefault((self._bank.sha256, first), {})
        found = invert_images(self._bank, images, preset, self._run, self._codebook, reached)
        estimates = {self._method.title: [outcome.generated for outcome in found]}
        if detail_for(preset, self._bank.header) is not None:
            estimates[self._method.titles[1]] = [dict(outcome.decomposition.layers) for outcome in found]
        return estimates, sum(found[0].decomposition.seconds.values())


def invert_images(
    bank: Bank,
    images: Sequence[np.ndarray],
    preset: Preset,
    run: Run,
    codebook: CodeBook,
    reached: Reached | None = None,
) -> list[Outcome]:
    """What users get of linear images [R, R, 3], as one batch; ``reached`` holds what other methods have found."""
    dtype = torch.bfloat16 if run.bf16 else None
    return decompose_batch(images, bank, preset, run.seed, codebook=codebook, dtype=dtype, reached=reached)


class _Judge:
    """Scores layers against the truth.

    Attributes:
        label: what E-LPIPS compares.
        lpips: by trunk, the published LPIPS that are at hand.
    """

    def __init__(self, bank: Bank, run: Run) -> None:
        self.model = base_model(bank.forward_model)
        kind = run.metric_features or ("random" if bank.trunk is None else "trunk")
        features = make_features(kind, bank)
        assert features is not None
        self._features: Features = features
        self._device = next(iter(bank.components.values())).w_avg.device
        self.label: str = getattr(features, "label", kind)
        if isinstance(features, Trunk):
            self.label = f"the bank's trunk {fingerprint(features)}"
        self.lpips = {kind: trunk.to(self._device) for kind, trunk in load_lpips().items()}

    @property
    def columns(self) -> tuple[str, ...]:
        """Components, and the image that they make."""
        return tuple(dict.fromkeys((*self.model.components, "image")))

    def score(
        self, estimates: Sequence[Layers], truths: Sequence[Layers], images: Sequence[np.ndarray]
    ) -> list[dict[str, dict[str, float]]]:
        """Of each image: column → metric → value."""
        scores: list[dict[str, dict[str, float]]] = [{} for _ in truths]
        for column in self.columns:
            mine = [self.pixels(column, layers) for layers in estimates]
            wanted = [
                image if column == "image" else truth[column] for truth, image in zip(truths, images, strict=True)
            ]
            distances = self._distances(self.encoded(column, mine), self.encoded(column, wanted))
            for index in range(len(scores)):
                values = all_scores(column, mine[index], wanted[index])
                scores[index][column] = {**values, **{name: found[index] for name, found in distances.items()}}
        return scores

    @torch.no_grad()
    def _distances(self, images: torch.Tensor, truths: torch.Tensor) -> dict[str, list[float]]:
        """Metric → value of each image."""
        found = {"elpips": ELpips(self._features, truths, _ELPIPS_DRAWS)(images)}
        for kind, trunk in self.lpips.items():
            found[lpips_key(kind)] = FeatureDistance(trunk, truths)(images)
        return {name: values.tolist() for name, values in found.items()}

    def pixels(self, column: str, layers: Mapping[str, np.ndarray]) -> np.ndarray:
        """Linear pixels of a column."""
        return np.asarray(self.model.compose(layers)) if column == "image" else layers[column]

    def encoded(self, column: str, linear: Sequence[np.ndarray]) -> torch.Tensor:
        """Linear pixels [R, R, 3] of a column → as they are shown, [B, 3, R, R]."""
        encoded = np.stack([display_encode(column, pixels) for pixels in linear]).astype(np.float32)
        return torch.from_numpy(encoded.transpose(0, 3, 1, 2).copy()).to(self._device)


class _Clock:
    """Tells how far the run is, by the work that each method is."""

    def __init__(self, methods: Sequence[Method], samples: int) -> None:
        self._total = sum(method.cost for method in methods) * samples
        self._samples = samples
        self._done = self._worked = 0.0
        self._start = self._last = time.perf_counter()

    def skip(self, method: Method, images: int) -> None:
        self._done += method.cost * images

    def advance(self, method: Method, images: int, image: int) -> None:
        self._done += method.cost * images
        self._worked += method.cost * images
        now = time.perf_counter()
        if now - self._last < _REPORT_EVERY and image < self._samples:
            return
        self._last = now
        left = (now - self._start) / self._worked * (self._total - self._done)
        share = 100 * self._done / self._total
        say(f"{method.title}: {image} of {self._samples} images; {share:.0f} % of all, {_duration(left)} left")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@torch.no_grad()
def albedo_level(bank: Bank, count: int = 64) -> float:
    """Geometric mean of the intensity of the albedos that the bank knows: what a method that tells no level may assume
    to be fair."""
    component = bank.components.get("albedo")
    if component is None:
        return ALBEDO_LEVEL
    codes = component.sample_codes()[:count, None]
    albedo = component.transform.from_generator(generate(component.generator, codes))
    return float(albedo.clamp_min(1e-3).log().mean().exp())


def stored_layers(out: Path, title: str, name: str) -> Layers | None:
    """The linear layers [R, R, 3] that a run in ``out`` has kept of a row's sample; None where it has kept none."""
    file = _layer_file(out, title, name)
    if not file.is_file():
        return None
    with np.load(file) as stored:
        return {component: stored[component].astype(np.float32) for component in stored.files}


def _layer_file(out: Path, title: str, name: str) -> Path:
    return out / "layers" / re.sub(r"[^\w.+-]+", "-", title) / f"{name}.npz"


def _keep_figures(out: Path | None, title: str, names: Sequence[str], layers: Sequence[Layers], count: int) -> None:
    """Store the layers of the first ``count`` samples, so that sheets can be drawn by a run that goes on."""
    if out is None:
        return
    for name, own in list(zip(names, layers, strict=True))[: max(0, count)]:
        halves: dict[str, Any] = {component: pixels.astype(np.float16) for component, pixels in own.items()}
        with atomically(_layer_file(out, title, name)) as temporary, temporary.open("wb") as file:
            np.savez(file, **halves)


def _distances(
    out: Path, bank: Bank, names: Sequence[str], titles: Sequence[str], images: Sequence[np.ndarray], judge: _Judge
) -> dict[str, dict[str, float]]:
    """Of each row how far all images together are from the true ones, as distributions, from the layers that the run
    has kept: Fréchet distance in the bank's trunk, where it has one, and SWD."""
    real, found = judge.encoded("image", images), {}
    for title in titles:
        layers = [stored_layers(out, title, name) for name in names]
        made = judge.encoded("image", [judge.pixels("image", own) for own in layers if own is not None])
        found[title] = {"swd": sliced_wasserstein(real, made)}
        if bank.trunk is not None:
            embedded = [embed_all(one, made.device, trunk_features(bank.trunk)) for one in (real, made)]
            found[title]["frechet"] = frechet_distance(*embedded)
    return found


def _write_sheets(
    out: Path,
    names: Sequence[str],
    methods: Sequence[Method],
    truths: Sequence[Layers],
    images: Sequence[np.ndarray],
    results: Results,
    judge: _Judge,
) -> None:
    """One sheet per sample: the truth, then a line for every row of the table."""
    for index, name in enumerate(names):
        truth = {column: images[index] if column == "image" else truths[index][column] for column in judge.columns}
        rows = [[(f"{column}\nground truth", display_encode(column, pixels)) for column, pixels in truth.items()]]
        labels = {title: method.key for method in methods for title in method.titles}
        for title, key in labels.items():
            layers = stored_layers(out, title, name)
            if layers is None:
                continue
            scores = results.found[title][name]["scores"]
            label = f"{key} + detail" if title.endswith("+ detail") else key
            rows.append([_panel(label, column, judge.pixels(column, layers), scores) for column in judge.columns])
        write_sheet(out / "sheets" / f"{name}.png", rows)


def _panel(label: str, column: str, pixels: np.ndarray, scores: Mapping[str, Mapping[str, float]]) -> Panel:
    return f"{label}\n{column}: {scores[column]['psnr']:.1f} dB", display_encode(column, pixels)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=Path, required=True, help="a pack, or a folder of packs")
    parser.add_argument("--split", help="only the folder's packs of this split, such as test")
    parser.add_argument(
        "--methods",
        nargs="+",
        metavar="METHOD",
        help="rows or groups of rows, such as table2 baselines best (default: --preset and the baselines)",
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for table.md, table.json, sheets and results")
    parser.add_argument("--single-bank", metavar="BANK", help="bank of a single GAN, for the method 'single'")
    parser.add_argument(
        "--brightness-told", action="store_true", help="compare as if one knew how bright the albedo is"
    )
    add_evaluation_options(parser, count=50)
    add_inversion_options(parser)


def run(options: argparse.Namespace) -> None:
    bank = load_bank_named(options)
    single = None if options.single_bank is None else load_bank_named(options, options.single_bank)
    if options.methods:
        unet = unet_of(options, next(iter(bank.components.values())).w_avg.device)
        methods = make_methods(options.methods, rows_of(options), bank, single, unet)
    else:
        methods = preset_methods(get_preset(options.preset), bank)
        methods = [scaled(method, options.steps_scale) for method in methods]
    forget(options)
    own = {"preset": options.preset, "steps_scale": options.steps_scale}
    run = Run.of(options, asdict(rows_of(options)) if options.methods else own)
    samples = read_samples(options.data, base_model(bank.forward_model).components, options.count, options.split)
    run = replace(run, brightness_told=options.brightness_told)
    table = evaluate(bank, samples, methods, run, options.out, single)
    print(write_tables(options.out, table))
