# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: ``python -m join_engine decompose | relight | serve | banks | evaluate | scorecard | distance |
report | sheet | landscape | weights | bench``.

Modules that need torch are imported by the command that needs them, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import __version__
from .errors import JoinError
from .inversion.presets import DEFAULT_PRESET, PRESETS, Joint, get_preset

if TYPE_CHECKING:
    from .bank import Bank
    from .evaluation.evaluate import Run
    from .evaluation.methods import Rows
    from .inversion.progress import Monitor
    from .relighting.relighter import Edit

BAD_INPUT = 2  # exit status


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 2 for bad input, 130 for Ctrl-C."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except JoinError as error:
        _complain(error)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="join_engine", description="Splits images into albedo, shading and specular.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    decompose = commands.add_parser("decompose", help="decompose images")
    decompose.add_argument(
        "images", nargs="+", metavar="IMAGE", help="PNG, JPEG, TIFF, EXR or NPY, or a folder of them"
    )
    decompose.add_argument("--out", type=Path, required=True, help="folder; each image gets a folder of its own in it")
    _add_inversion_options(decompose)
    decompose.add_argument(
        "--no-detail", action="store_true", help="leave the layers as the generators make them (as in the paper)"
    )
    decompose.set_defaults(run=_decompose)

    relight = commands.add_parser("relight", help="relight a stored decomposition")
    relight.add_argument("decomposition", type=Path, metavar="FILE.join")
    relight.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="COMPONENT.DIRECTION=AMOUNT",
        help="in standard deviations, such as light.left_right=1.5 (all components that know it) or shading.sefa.0=-2; "
        "may be repeated",
    )
    relight.add_argument("--list", action="store_true", help="only list the directions that there are")
    relight.add_argument("--out", type=Path, help="folder for the layers and decomposition.join")
    relight.add_argument("--exr", type=int, choices=(16, 32), metavar="16|32", help="write layers.exr too, all in one")
    relight.add_argument("--bank", help="name or path of the bank that it was made with (default: by its name)")
    _add_device_options(relight)
    relight.set_defaults(run=_relight)

    serve = commands.add_parser("serve", help="serve requests on stdin (for the Blender extension)")
    _add_device_options(serve)
    serve.set_defaults(run=_serve)

    _add_banks(commands)

    evaluate = commands.add_parser("evaluate", help="tables of methods against ground truth")
    evaluate.add_argument("--data", type=Path, required=True, help="a pack, or a folder of packs")
    evaluate.add_argument("--split", help="only the folder's packs of this split, such as test")
    evaluate.add_argument(
        "--methods",
        nargs="+",
        metavar="METHOD",
        help="rows or groups of rows, such as table2 baselines best (default: --preset and the baselines)",
    )
    evaluate.add_argument("--out", type=Path, required=True, help="folder for table.md, table.json, sheets and results")
    evaluate.add_argument("--single-bank", metavar="BANK", help="bank of a single GAN, for the method 'single'")
    _add_evaluation_options(evaluate, count=50)
    _add_inversion_options(evaluate)
    evaluate.set_defaults(run=_evaluate)

    scorecard = commands.add_parser("scorecard", help="all methods for banks, written into their cards")
    scorecard.add_argument("--data", type=Path, required=True, help="folder with BANK.tar or a folder BANK of packs")
    scorecard.add_argument("--split", help="only packs of this split")
    scorecard.add_argument("--methods", nargs="+", default=["all"], metavar="METHOD", help="default: all")
    scorecard.add_argument("--banks", nargs="+", metavar="BANK", help="names or paths (default: the shipped ones)")
    scorecard.add_argument("--out", type=Path, required=True, help="folder; each bank gets a folder of its own in it")
    scorecard.add_argument("--seed", type=int, default=0)
    scorecard.add_argument(
        "--compared", type=Path, metavar="DIR", help="folder with BANK-single and BANK-image, the GANs to compare with"
    )
    _add_evaluation_options(scorecard, count=100)
    _add_device_options(scorecard)
    scorecard.set_defaults(run=_scorecard)

    distance = commands.add_parser("distance", help="how far generated images are from real ones")
    distance.add_argument("--bank", help="name of a shipped bank, or a path (default: the default bank)")
    distance.add_argument("--data", nargs="+", required=True, metavar="PACK.tar", help="packs of real renders")
    distance.add_argument("--component", help="default: all of the bank")
    distance.add_argument("--count", type=int, default=5000, help="images of either kind (default 5000)")
    distance.add_argument("--inception", type=Path, metavar="inception-2015-12-05.pt", help="gives FID and KID as well")
    distance.add_argument("--seed", type=int, default=0)
    distance.add_argument("--out", type=Path, metavar="FILE.json", help="write the figures there too")
    _add_device_options(distance)
    distance.set_defaults(run=_distance)

    report = commands.add_parser("report", help="layers, sheet and figures of a stored decomposition")
    report.add_argument("--decomposition", type=Path, required=True, metavar="FILE.join")
    report.add_argument("--image", type=Path, required=True, help="the image that was decomposed")
    report.add_argument("--truth-dir", type=Path, help="folder with the true albedo.exr, shading.exr …")
    report.add_argument("--out", type=Path, required=True)
    report.set_defaults(run=_report)

    sheet = commands.add_parser("sheet", help="decompose photos into one picture, to look at")
    sheet.add_argument("images", nargs="+", metavar="IMAGE", help="images, or a folder of them")
    sheet.add_argument("--out", type=Path, required=True, metavar="SHEET.png")
    sheet.add_argument("--no-detail", action="store_true", help="show the layers as the generators make them")
    _add_inversion_options(sheet)
    sheet.set_defaults(run=_sheet)

    landscape = commands.add_parser("landscape", help="draw the in-domain and the kNN loss over two-dimensional codes")
    landscape.add_argument("--bank", help="name of a shipped bank, or a path (default: the default bank)")
    landscape.add_argument("--component", default="albedo")
    landscape.add_argument("--count", type=int, default=100, help="codes (default 100)")
    landscape.add_argument("--neighbours", type=int, default=5)
    landscape.add_argument("--seed", type=int, default=0)
    landscape.add_argument("--out", type=Path, required=True, metavar="FIG.png")
    landscape.add_argument("--card", action="store_true", help="show the picture in the bank's card")
    landscape.set_defaults(run=_landscape)

    weights = commands.add_parser("weights", help="weights of others for E-LPIPS: fetched or added on request only")
    weights.add_argument("action", choices=("list", "fetch", "add"))
    weights.add_argument("trunk", nargs="?", choices=("vgg16", "squeezenet"))
    weights.add_argument("--url", help="of fetch; default: torchvision's")
    weights.add_argument("--file", type=Path, help="of add")
    weights.add_argument("--sha256", help="expected hash, or its beginning (default: the published one)")
    weights.set_defaults(run=_weights)

    bench = commands.add_parser("bench", help="optimiser steps per second and peak memory")
    bench.add_argument("--steps", type=int, default=100)
    bench.add_argument("--batch", type=int, nargs="+", default=[1], help="images at once; may be several")
    bench.add_argument("--method", help="time a row of the table, such as opt-knn, instead of --preset")
    bench.add_argument("--card", action="store_true", help="write the figures into the bank's card")
    _add_bf16_option(bench)
    _add_inversion_options(bench)
    bench.set_defaults(run=_bench)
    return parser


def _add_banks(commands: Any) -> None:
    banks = commands.add_parser("banks", help="list, show or verify banks, write a bank's card, draw its samples")
    actions = banks.add_subparsers(required=True, metavar="ACTION")
    found = actions.add_parser("list", help="the shipped banks")
    found.set_defaults(run=_list_banks)
    show = actions.add_parser("show", help="a bank's header, as JSON")
    show.set_defaults(run=_show_bank)
    verify = actions.add_parser("verify", help="read every weight and let every network work once")
    verify.set_defaults(run=_verify_banks)
    card = actions.add_parser("card", help="write a bank's card from its header")
    card.add_argument("--out", type=Path, metavar="CARD.md", help="default: beside the bank")
    card.set_defaults(run=_write_card)
    sheet = actions.add_parser("sheet", help="draw generated images beside real ones, a PNG for each component")
    sheet.add_argument("--data", nargs="+", required=True, metavar="PACK.tar", help="packs of real renders")
    sheet.add_argument("--out", type=Path, required=True, help="folder for BANK-COMPONENT.png and BANK-samples.json")
    sheet.add_argument("--columns", type=int, default=6)
    sheet.add_argument("--rows", type=int, default=7)
    sheet.add_argument("--seed", type=int, default=0)
    sheet.add_argument(
        "--compared",
        type=int,
        default=0,
        metavar="N",
        help="distances in the bank's trunk over N images of either kind",
    )
    _add_device_options(sheet)
    sheet.set_defaults(run=_draw_samples)
    for parser in (show, card, sheet):
        parser.add_argument("bank", nargs="?", help="name or path (default: the default bank)")
    verify.add_argument("bank", nargs="?", help="name or path (default: all that are shipped)")


def _add_device_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--threads", type=int, help="CPU threads (default: torch decides)")


def _add_bf16_option(parser: argparse.ArgumentParser) -> None:
    # Not the default: it is not shown yet that the recombined image comes out as near to the photo.
    parser.add_argument(
        "--bf16", action=argparse.BooleanOptionalAction, default=False, help="search for codes in bfloat16"
    )


def _add_inversion_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--bank", help="name of a shipped bank, or a path (default: the default bank)")
    parser.add_argument("--preset", choices=tuple(PRESETS), default=DEFAULT_PRESET)
    parser.add_argument("--seed", type=int, default=0)
    _add_device_options(parser)


def _add_evaluation_options(parser: argparse.ArgumentParser, count: int) -> None:
    parser.add_argument("--count", type=int, default=count, help=f"how many samples (default {count})")
    parser.add_argument("--batch", type=int, default=10, help="images at a time (default 10)")
    parser.add_argument("--loss", choices=("elpips", "lpips"), default="elpips", help="of the paper's rows")
    parser.add_argument("--features", help="that this loss compares (default: the bank's trunk, else random ones)")
    parser.add_argument("--feature-weight", type=float, help="of the rows 'features-…' (default: the default preset's)")
    parser.add_argument("--steps", type=int, default=1000, help="of the paper's optimisation (default 1000)")
    parser.add_argument("--tuning-steps", type=int, default=350, help="of the generators' tuning (default 350)")
    parser.add_argument(
        "--steps-scale", type=float, default=1.0, metavar="PART", help="of all steps of every row, for a quick look"
    )
    _add_bf16_option(parser)
    parser.add_argument("--metric-features", help="that the metric E-LPIPS compares (default: the bank's trunk)")
    parser.add_argument("--figures", type=int, default=4, help="samples that get a sheet (default 4)")
    parser.add_argument("--fresh", action="store_true", help="forget the results of an earlier run in --out")


def _complain(error: JoinError) -> None:
    print(f"error: {error}", file=sys.stderr)


def _load_bank(options: argparse.Namespace, name: str | None = None) -> Bank:
    from .bank import find_bank, load_bank
    from .device import keep_freed_memory, set_up_torch

    device = set_up_torch(options.device, options.threads)
    keep_freed_memory()
    return load_bank(find_bank(name or options.bank), device, with_discriminators=True)


def _decompose(options: argparse.Namespace) -> int:
    from .inversion.codebook import CodeBook

    bank = _load_bank(options)
    codebook = CodeBook(bank)
    images, problems = _expand(options.images)
    status = BAD_INPUT if problems else 0
    for problem in problems:
        _complain(problem)
    for path, folder in zip(images, _folders(images, options.out), strict=True):
        try:
            _decompose_one(path, folder, bank, codebook, options)
        except JoinError as error:
            _complain(error)
            status = BAD_INPUT
        else:
            print(folder)
    return status


def _relight(options: argparse.Namespace) -> int:
    from .layers.decomposition import load_decomposition, save_decomposition
    from .layers.layer_files import write_layered_exr, write_layers
    from .relighting.relighter import Relighter

    edits = [_parse_edit(text) for text in options.set]
    if options.out is None and not options.list:
        raise JoinError("output_missing", "There is no folder to write to.", "Name one with --out.")
    decomposition = load_decomposition(options.decomposition)
    options.bank = options.bank or decomposition.bank_name
    relighter = Relighter(decomposition, _load_bank(options))
    if options.list:
        for found in relighter.directions():
            print(f"{found.component}.{found.name}\t{found.minimum:g} to {found.maximum:g}\t{found.description}")
        return 0
    lit = relighter.relight(edits)
    write_layers(options.out, lit)
    if options.exr is not None:
        write_layered_exr(options.out / "layers.exr", lit.layers, options.exr)
    save_decomposition(options.out / "decomposition.join", lit)
    print(options.out)
    return 0


def _parse_edit(text: str) -> Edit:
    """``shading.sefa.0=1.5``: the component ends at the first dot, its direction at the last sign of equality."""
    from .relighting.relighter import Edit

    where, _, amount = text.rpartition("=")
    component, _, direction = where.partition(".")
    try:
        return Edit.from_json({"component": component, "direction": direction, "amount": float(amount)})
    except ValueError as error:
        raise JoinError(
            "edit_invalid", f"'{text}' is not an edit.", "Write COMPONENT.DIRECTION=AMOUNT, as in shading.sefa.0=1.5."
        ) from error


def _expand(names: Sequence[str]) -> tuple[list[Path], list[JoinError]]:
    """The images that are meant, a folder standing for all images in it; and what is wrong with the folders."""
    from .images.files import images_in

    images: list[Path] = []
    problems: list[JoinError] = []
    for path in map(Path, names):
        try:
            images += images_in(path) if path.is_dir() else [path]
        except JoinError as error:
            problems.append(error)
    return images, problems


def _folders(images: Sequence[Path], out: Path) -> list[Path]:
    """One folder per image, named after it; images of the same name from different folders get a number."""
    folders: list[Path] = []
    for image in images:
        name, number = image.stem, 2
        while out / name in folders:
            name, number = f"{image.stem}-{number}", number + 1
        folders.append(out / name)
    return folders


def _decompose_one(path: Path, folder: Path, bank: Bank, codebook: Any, options: argparse.Namespace) -> None:
    from .images.files import read_image, write_text
    from .layers.decomposition import save_decomposition
    from .layers.layer_files import write_layers
    from .pipeline import decompose

    image = read_image(path)
    with _progress_bar(path.name) as monitor:
        preset = get_preset(options.preset)
        preset = replace(preset, detail=None) if options.no_detail else preset
        result = decompose(image, bank, preset, options.seed, monitor, codebook=codebook).decomposition
    write_layers(folder, result)
    save_decomposition(folder / "decomposition.join", result)
    report = {"image": str(path), "size": list(result.size), **result.summary()}
    write_text(folder / "report.json", _json(report))  # last: who finds it finds all the rest complete


@contextmanager
def _progress_bar(name: str) -> Iterator[Monitor]:
    """A bar on stderr, which shows nothing where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    from .inversion.progress import Monitor, Progress

    console = Console(stderr=True)
    with Bar(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(name, total=None)

        def report(progress: Progress) -> None:
            loss = "" if progress.loss is None else f", loss {progress.loss:.4f}"
            label = f"{name}: {progress.stage}{loss}"
            bar.update(task, total=progress.of, completed=progress.step, description=label)

        yield Monitor(report)


def _serve(options: argparse.Namespace) -> int:
    from .server.serve import serve

    return serve(options.device, options.threads)


def _list_banks(options: argparse.Namespace) -> int:
    from .bank import list_banks, read_header

    for path in list_banks():
        header = read_header(path)
        parts = " + ".join(header.components)
        print(f"{header.name}\t{header.resolution} px\t{header.forward_model}: {parts}\t{path}")
    return 0


def _show_bank(options: argparse.Namespace) -> int:
    from .bank import find_bank, read_header

    path = find_bank(options.bank)
    print(_json({"path": str(path), **read_header(path).to_dict()}))
    return 0


def _verify_banks(options: argparse.Namespace) -> int:
    from .bank import find_bank, list_banks, load_bank, verify_bank

    for path in list_banks() if options.bank is None else [find_bank(options.bank)]:
        bank = load_bank(path, with_discriminators=True)
        verify_bank(bank)
        print(f"{bank.header.name}: good, sha256 {bank.sha256}")
    return 0


def _write_card(options: argparse.Namespace) -> int:
    from .bank import find_bank, read_header
    from .bank.card import write_card

    path = find_bank(options.bank)
    out = options.out or path.with_suffix(".md")
    write_card(out, read_header(path), path.stat().st_size)
    print(out)
    return 0


def _draw_samples(options: argparse.Namespace) -> int:
    from .evaluation.sheets.bank_samples import SheetSettings, write_sheets

    settings = SheetSettings(options.columns, options.rows, options.seed, options.compared)
    for path in write_sheets(_load_bank(options), options.data, options.out, settings):
        print(path)
    return 0


def _evaluate(options: argparse.Namespace) -> int:
    from .evaluation.evaluate import evaluate
    from .evaluation.methods import make_methods, preset_methods, scaled
    from .evaluation.tables import write_tables
    from .renders.samples import read_samples
    from .single_gan import base_model

    bank = _load_bank(options)
    single = None if options.single_bank is None else _load_bank(options, options.single_bank)
    if options.methods:
        methods = make_methods(options.methods, _rows(options), bank, single)
    else:
        methods = preset_methods(get_preset(options.preset), bank)
        methods = [scaled(method, options.steps_scale) for method in methods]
    _forget(options)
    own = {"preset": options.preset, "steps_scale": options.steps_scale}
    run = _run_settings(options, asdict(_rows(options)) if options.methods else own)
    samples = read_samples(options.data, base_model(bank.forward_model).components, options.count, options.split)
    table = evaluate(bank, samples, methods, run, options.out, single, _say)
    print(write_tables(options.out, table))
    return 0


def _scorecard(options: argparse.Namespace) -> int:
    from .device import keep_freed_memory, set_up_torch
    from .evaluation.scorecard import Wanted, make_scorecards

    _forget(options)
    run = _run_settings(options, asdict(_rows(options)))
    methods, rows = tuple(options.methods), _rows(options)
    wanted = Wanted(options.data, options.count, options.split, methods, rows, options.compared)
    device = set_up_torch(options.device, options.threads)
    keep_freed_memory()
    problems = make_scorecards(options.banks, wanted, run, options.out, device, _say)
    for problem in problems:
        _complain(problem)
    return BAD_INPUT if problems else 0


def _run_settings(options: argparse.Namespace, settings: dict[str, Any]) -> Run:
    from .evaluation.evaluate import Run

    return Run(options.seed, options.batch, options.bf16, options.figures, options.metric_features, settings)


def _rows(options: argparse.Namespace) -> Rows:
    from .evaluation.methods import Rows

    return Rows(
        options.loss,
        options.features,
        options.feature_weight,
        options.steps,
        options.tuning_steps,
        options.steps_scale,
    )


def _forget(options: argparse.Namespace) -> None:
    from .evaluation.results import RESULTS_NAME

    if options.fresh:
        for path in (options.out / RESULTS_NAME, *options.out.glob(f"*/{RESULTS_NAME}")):
            path.unlink(missing_ok=True)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _sheet(options: argparse.Namespace) -> int:
    from .evaluation.sheets.photos import write_photo_sheet

    photos, problems = _expand(options.images)
    if problems:
        raise problems[0]
    preset = get_preset(options.preset)
    preset = replace(preset, detail=None) if options.no_detail else preset
    write_photo_sheet(options.out, photos, _load_bank(options), preset, options.seed, _say)
    print(options.out)
    return 0


def _landscape(options: argparse.Namespace) -> int:
    from .bank import find_bank, load_bank
    from .evaluation.landscape import planar_codes, show_landscape, write_landscape

    bank = load_bank(find_bank(options.bank))
    if not 1 <= options.neighbours <= options.count:
        raise JoinError("settings_invalid", "There must be as many codes as neighbours.", "Raise --count.")
    write_landscape(options.out, planar_codes(bank, options.component, options.count, options.seed), options.neighbours)
    if options.card:
        show_landscape(bank.path.with_suffix(".md"), options.out)
    print(options.out)
    return 0


def _weights(options: argparse.Namespace) -> int:
    from .inversion.losses.elpips_weights import KNOWN, adopt, fetch, installed_heads, weights_folder

    if options.action == "list":
        for kind, known in KNOWN.items():
            path, heads = weights_folder() / known.file, installed_heads(kind)
            print(f"{kind}\t{path if path.is_file() else 'missing'}\theads: {heads or 'none, uniform'}")
        return 0
    if options.trunk is None or (options.action == "add" and options.file is None):
        raise JoinError("settings_invalid", "It is not said which weights.", "Name a trunk, and for 'add' its --file.")
    if options.action == "add":
        print(adopt(options.trunk, options.file, options.sha256))
    else:
        print(fetch(options.trunk, options.url, options.sha256))
    return 0


def _distance(options: argparse.Namespace) -> int:
    from .bank import find_bank, load_bank
    from .device import set_up_torch
    from .evaluation.distances import report
    from .images.files import write_text
    from .renders.packs import read_packs

    bank = load_bank(find_bank(options.bank), set_up_torch(options.device, options.threads))
    names = [options.component] if options.component else list(bank.components)
    found = [
        report(bank, name, read_packs(options.data, name), options.count, options.seed, options.inception)
        for name in names
    ]
    text = _json({"bank": {"name": bank.header.name, "sha256": bank.sha256}, "distances": found})
    if options.out is not None:
        write_text(options.out, text)
    print(text, end="")
    return 0


def _report(options: argparse.Namespace) -> int:
    from .evaluation.report import write_report
    from .layers.decomposition import load_decomposition

    report = write_report(load_decomposition(options.decomposition), options.image, options.truth_dir, options.out)
    print(_json(report))
    return 0


def _bench(options: argparse.Namespace) -> int:
    from .evaluation.bench import bench, write_speed
    from .evaluation.methods import Rows, make_methods

    bank, preset = _load_bank(options), get_preset(options.preset)
    if options.method:
        (method,) = make_methods([options.method], Rows(), bank)
        if method.preset is None or not any(isinstance(stage, Joint) for stage in method.preset.stages):
            message = f"'{options.method}' optimises nothing{': ' + method.lacks if method.lacks else ''}."
            raise JoinError("method_unknown", message, "Name one that does, such as opt-knn.")
        preset = method.preset
    measured = bench(bank, preset, options.steps, options.seed, options.batch, options.bf16)
    if options.card:
        write_speed(bank.path.with_suffix(".md"), measured)
    print(_json(measured))
    return 0


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"
