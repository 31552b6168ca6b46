# SPDX-License-Identifier: GPL-3.0-or-later
"""From renders to a bank file, in one command that can be killed at any moment and called again.

    python samples/train_bank.py materials --out runs/materials --bank join_engine/banks/materials.safetensors

Renders a dataset, packs it, trains a generator per component, the perceptual trunk, an encoder per component, the
network that tells how bright an albedo is and the one that tells paint, light and gloss apart, learns the light's named
directions, puts all together, evaluates the encoders on the test split, writes the card, draws samples of each
generator beside real images, measures relighting against renders under a moved light and, of heads, the error by the
tone of skin, and decomposes one test image.

Heads become a bank of faces, and need the shapes that `--packages` names (dataset_tools/README.md):

    python samples/train_bank.py heads --name faces --packages SHAPES --start-from materials --out runs/heads
        --bank join_engine/banks/faces.safetensors

Each step is a command that goes on from where it was; a step that ended well is not run again unless its command
changes.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
RENDER = ROOT / "dataset_tools" / "render.py"

DATASETS = {
    "primeshapes": (("albedo", "shading"), "lambertian"),
    "materials": (("albedo", "shading", "specular"), "lambertian_specular"),
    "surfaces": (("albedo", "shading", "specular"), "lambertian_specular"),
    "heads": (("albedo", "shading", "specular"), "lambertian_specular"),
}
# Datasets whose renders may be turned: there is no floor in them.
_WITHOUT_UP = ("materials",)
# Those that tell the tone of skin; their square is a face.
_FACES = ("heads",)
# Those that a camera has metered: how bright they are in all tells nothing of the paint (docs/choices.md).
_METERED = ("surfaces", "heads")
# Options of the renderer that are handed on as they are given.
_SOURCES = ("packages", "skins", "environments", "materials")
# Renders are larger than what is trained on: their area average is free of grain and of steps at edges.
_OVERSAMPLING = 2


@dataclass(frozen=True)
class Step:
    """One command, and the folder or file that it makes."""

    name: str
    command: tuple[str, ...]


class Failed(Exception):
    """A step ended badly; its own words stand above."""


def plan(options: argparse.Namespace) -> list[list[Step]]:
    """The steps in order; those of one group run side by side."""
    out: Path = options.out
    components, model = DATASETS[options.dataset]
    data, build = out / "renders", out / "generators.safetensors"
    packs = {split: out / f"{split}.tar" for split in ("train", "val", "test")}
    large = {split: out / f"large-{split}.tar" for split in ("train", "val")}  # as large as they were rendered
    train_on = ["--data", packs["train"]]
    judged = [*train_on, "--validation", packs["val"]]
    python = sys.executable

    def join(verb: str, *words: object) -> tuple[str, ...]:
        return (python, "-m", "join_engine", verb, *map(str, words))

    def render(*words: object) -> tuple[str, ...]:
        return (python, str(RENDER), *map(str, words))

    def export(split: str, *words: object) -> Step:
        common = ["--resolution", options.resolution, "--components", *components, "--split", split]
        return Step(f"pack {split}", render("export", data, *common, *words, "--out", packs[split]))

    def export_large(split: str) -> Step:
        common = ["--resolution", options.resolution * _OVERSAMPLING, "--components", *components, "--split", split]
        return Step(f"pack {split}, large", render("export", data, *common, "--out", large[split]))

    turns = "--turns" if options.dataset in _WITHOUT_UP else "--no-turns"

    begun = ["--start-from", options.start_from] if options.start_from else []

    def encoder(component: str, how: str, kimg: float, *words: object) -> Step:
        common = ["--bank", build, "--component", component, *judged, "--out", out / f"encoder-{component}", turns]
        common += begun
        return Step(f"encoder of {component}{how}", join("train-encoder", *common, "--kimg", kimg, *words))

    def brightness(how: str, kimg: float, *words: object) -> Step:
        common = [*judged, "--forward-model", model, "--relight", 0.5, "--out", out / "brightness", turns]
        common += ["--metered", 0.7] if options.dataset in _METERED else []
        return Step(f"brightness network{how}", join("train-brightness", *common, "--kimg", kimg, *words))

    quality = ["--resolution", options.resolution * _OVERSAMPLING, "--samples", options.samples, "--denoise"]
    given = {name: getattr(options, name) for name in _SOURCES}
    quality += [word for name, folder in given.items() if folder is not None for word in (f"--{name}", folder)]
    size = _architecture(options)
    size += ["--batch", options.batch, "--lr", 0.003, "--r1-gamma", 0.1, "--no-noise", "--ada"]
    size += begun
    generators = [word for c in components for word in ("--component", f"{c}={out / f'gan-{c}'}")]
    encoders = [word for c in components for word in ("--encoder", f"{c}={out / f'encoder-{c}'}")]
    seeing, finished = out / "seeing.safetensors", out / "finished.safetensors"
    directions, relit = out / "directions.safetensors", out / "relit"
    whole = ["--name", options.name or options.dataset, "--machine", options.machine]
    return [
        [Step("render", render(options.dataset, "--count", options.count, *quality, "--workers", options.workers,
                               "--out", data))],
        [export("train"), export("val"), export("test", "--float"), export_large("train"), export_large("val")],
        [Step(f"GAN of {c}", join("train-gan", *train_on, "--component", c, "--kimg", options.kimg, *size, "--out",
                                  out / f"gan-{c}")) for c in components],
        [Step("trunk", join("train-trunk", *judged, "--forward-model", model, "--kimg", options.trunk_kimg, "--out",
                            out / "trunk"))],
        [Step("generators to a bank", join("make-bank", *generators, "--trunk", out / "trunk", "--forward-model",
                                           model, *whole, "--out", build))],
        [*(encoder(c, "", 0.75 * options.encoder_kimg) for c in components),
         brightness("", 0.75 * options.brightness_kimg)],
        # The last quarter at a lower rate brought the albedo of materials from 18.0 to 18.5 dB within 8,000 images.
        [*(encoder(c, ", slower", options.encoder_kimg, "--lr", 0.0003) for c in components),
         brightness(", slower", options.brightness_kimg, "--lr", 0.0002)],
        [Step("bank that sees", join("make-bank", "--bank", build, *encoders, "--brightness", out / "brightness",
                                     *whole, "--out", seeing))],
        [Step("split network", join("train-split", "--bank", seeing, "--data", large["train"], "--validation",
                                    large["val"], turns, "--kimg", options.split_kimg, "--out", out / "split"))],
        [Step("bank", join("make-bank", "--bank", seeing, "--split", out / "split", *whole, "--out", finished))],
        [Step("encoders alone", join("evaluate", "--preset", "draft", "--bank", finished, "--data", packs["test"],
                                     "--count", options.evaluated, "--out", out / "scores"))],
        [Step("directions of the light", join("learn-directions", "--bank", finished, *judged, "--out", directions))],
        [Step("bank with its scores", join("make-bank", "--bank", finished, "--scores", out / "scores" / "table.json",
                                           "--directions", directions, "--pictures", packs["train"],
                                           "--time-encoders", *whole, "--out", options.bank))],
        [Step("card", join("banks", "card", options.bank))],
        [Step("sample sheets", join("banks", "sheet", options.bank, "--data", packs["train"], "--out", out / "sheets",
                                    "--compared", options.compared))],
        [Step("moved lights", render("relit", options.dataset, "--range", f"0:{options.relit}", *quality, "--out",
                                     relit))],
        [Step("relighting", join("relighting-scores", "--bank", options.bank, "--data", relit, "--directions",
                                 directions, "--card", "--out", out / "relighting"))],
        *([[Step("error by the tone of skin", join("tone-scores", "--bank", options.bank, "--data", packs["test"],
                                                   "--count", options.evaluated, "--out", out / "tones"))]]
          if options.dataset in _FACES else []),
    ]  # fmt: skip


def _architecture(options: argparse.Namespace) -> list[object]:
    """Sizes of the GANs; those of a bank to start from stay where nothing else is asked for."""
    usual = (None, None, None) if options.start_from else (1024, 128, 4)
    names = ("--channel-base", "--channel-max", "--mapping-layers")
    sizes = zip(names, (options.channel_base, options.channel_max, None), usual, strict=True)
    return [word for name, given, size in sizes if given or size for word in (name, given or size)]


def run(groups: Sequence[Sequence[Step]], done: Path, processes: int, environment: Mapping[str, str]) -> None:
    """Run the groups in order, at most ``processes`` steps at a time; what ``done`` says has ended well is left out.

    Once a step has to run, all that follow run again, since they build on it.
    """
    known = json.loads(done.read_text("utf-8")) if done.exists() else {}
    fresh = False
    for group in groups:
        waiting = [step for step in group if fresh or known.get(step.name) != list(step.command)]
        fresh = fresh or bool(waiting)
        for first in range(0, len(waiting), processes):
            _together(waiting[first : first + processes], environment)
            known.update({step.name: list(step.command) for step in waiting[first : first + processes]})
            partial = done.with_suffix(".partial")
            partial.write_text(json.dumps(known, indent=1), "utf-8")
            partial.replace(done)


def _together(steps: Sequence[Step], environment: Mapping[str, str]) -> None:
    began = time.monotonic()
    for step in steps:
        print(f"== {step.name}", flush=True)
    threads = str(max(1, (os.cpu_count() or 1) // len(steps)))
    running = [
        subprocess.Popen(step.command, cwd=ROOT, env={**environment, "OMP_NUM_THREADS": threads}) for step in steps
    ]
    try:
        codes = [process.wait() for process in running]
    finally:
        for process in running:
            if process.poll() is None:
                process.terminate()
                process.wait()
    for step, code in zip(steps, codes, strict=True):
        if code:
            raise Failed(f"'{step.name}' ended with status {code}; mend what it says and run the same command again")
    print(f"== done in {time.monotonic() - began:.0f} s", flush=True)


def decompose_one(options: argparse.Namespace) -> None:
    """One image of the test split, decomposed by the new bank with the encoders alone."""
    folder = options.out / "example"
    with_bank = ["--bank", str(options.bank), "--preset", "draft"]
    stored = [json.loads(line) for line in (options.out / "renders" / "manifest.jsonl").read_text("utf-8").splitlines()]
    index = next(entry["index"] for entry in stored if entry["split"] == "test")
    sample = [str(RENDER), "sample", str(options.out / "renders"), "--index", str(index)]
    sample += ["--resolution", str(options.resolution), "--out", str(folder)]
    subprocess.run([sys.executable, *sample], check=True, cwd=ROOT)
    image = [str(folder / "image.png"), "--out", str(folder / "layers")]
    # The render is the face's crop already, and not every small face is found.
    image += ["--face-box", f"0,0,{options.resolution},{options.resolution}"] if options.dataset in _FACES else []
    subprocess.run([sys.executable, "-m", "join_engine", "decompose", *with_bank, *image], check=True, cwd=ROOT)


def main() -> int:
    """Run everything that is not done yet; returns the exit status."""
    options = _options()
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        run(plan(options), options.out / "done.json", options.processes, os.environ)
        decompose_one(options)
    except (Failed, subprocess.CalledProcessError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: run the same command again to go on", file=sys.stderr)
        return 130
    print(f"the bank is {options.bank}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("dataset", choices=sorted(DATASETS))
    parser.add_argument("--out", type=Path, required=True, help="folder of the renders and of all training runs")
    parser.add_argument("--bank", type=Path, required=True, help="the bank file to write")
    parser.add_argument("--name", help="of the bank (the dataset's)")
    parser.add_argument("--machine", default="not said", help="where it was trained, in plain words, for the card")
    parser.add_argument("--count", type=int, default=10000, help="samples to render")
    parser.add_argument("--resolution", type=int, default=64, help="of the bank; renders are twice as large")
    parser.add_argument("--samples", type=int, default=9, help="light paths a pixel of the renders")
    parser.add_argument("--packages", type=Path, metavar="DIR", help="of the renderer; for heads, with the shapes")
    parser.add_argument("--skins", type=Path, metavar="DIR", help="of heads: folder with pictures in skins/ and eyes/")
    parser.add_argument("--environments", type=Path, metavar="DIR", help="of heads and surfaces: light")
    parser.add_argument("--materials", type=Path, metavar="DIR", help="of surfaces: scanned textures")
    parser.add_argument(
        "--start-from", metavar="BANK", help="name or path: the GANs and encoders go on from those of this bank"
    )
    shown = "thousand images shown to each GAN, with those that a bank to start from has seen (default: 400)"
    parser.add_argument("--kimg", type=float, default=400.0, help=shown)
    parser.add_argument("--channel-base", type=int, help="default: 1024, or as in the bank to start from")
    parser.add_argument("--channel-max", type=int, help="default: 128, or as in the bank to start from")
    parser.add_argument("--batch", type=int, default=8, help="images a step of the GANs")
    parser.add_argument("--trunk-kimg", type=float, default=100.0)
    parser.add_argument("--encoder-kimg", type=float, default=200.0)
    parser.add_argument("--brightness-kimg", type=float, default=600.0)
    parser.add_argument("--split-kimg", type=float, default=110.0)
    parser.add_argument("--evaluated", type=int, default=100, help="test images for the card")
    parser.add_argument("--compared", type=int, default=2000, help="images for the distances on the sample sheets")
    parser.add_argument("--relit", type=int, default=10, help="scenes that relighting is measured on")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="renderers")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="trainings side by side; 1 on a GPU")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
