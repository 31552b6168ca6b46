# SPDX-License-Identifier: GPL-3.0-or-later
"""Put trained generators together to a bank, and write its card.

``python -m join_engine.training.make_bank --component albedo=runs/albedo --component shading=runs/shading
--name primeshapes --forward-model lambertian --out join_engine/banks/primeshapes.safetensors``
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..bank import BankHeader, ComponentHeader, save_bank
from ..errors import JoinError
from ..forward_models import get_forward_model
from ..images import write_text
from ..networks.stylegan2 import Discriminator, Generator, GeneratorConfig
from .checkpoint import checkpoint_path, read_checkpoint

Networks = tuple[Generator, Discriminator]


def load_trained(run: Path) -> tuple[str, ComponentHeader, Networks]:
    """Component name, header, averaged generator and discriminator of a run.

    Raises:
        JoinError: ``checkpoint_missing`` or ``checkpoint_broken``.
    """
    path = checkpoint_path(run)
    tensors, values = read_checkpoint(path)
    try:
        config = GeneratorConfig.from_dict(values["architecture"])
        networks = Generator(config), Discriminator(config)
        networks[0].load_state_dict(_under("average.", tensors))
        networks[1].load_state_dict(_under("discriminator.", tensors))
        training = {
            "images_shown": values["images"],
            "steps": values["steps"],
            "seconds": round(values["seconds"]),
            "stretches": values["history"],
        }
        return str(values["component"]), ComponentHeader(str(values["transform"]), config, training), networks
    except (KeyError, RuntimeError, ValueError, TypeError) as error:
        raise JoinError("checkpoint_broken", f"The checkpoint '{path}' is incomplete.", "Train it again.") from error


def make_bank(
    out: Path, name: str, forward_model: str, runs: Mapping[str, Path], scores: Mapping[str, Any], machine: str = ""
) -> BankHeader:
    """Write the bank and, beside it, its card (the same name with ``.md``).

    Args:
        runs: folder (or checkpoint) of each component.
        scores: measured quality, as the evaluation wrote it.
        machine: where it was trained, in plain words.

    Raises:
        JoinError: ``bank_incomplete`` when the runs are not the components of the forward model or do not fit
            together, and as :func:`load_trained`.
    """
    model = get_forward_model(forward_model)
    if set(model.components) != set(runs):
        wanted = ", ".join(model.components)
        raise JoinError("bank_incomplete", f"A bank for '{forward_model}' needs the components {wanted}.")
    headers: dict[str, ComponentHeader] = {}
    modules: dict[str, tuple[Generator, Discriminator | None]] = {}
    for component in model.components:
        trained, headers[component], modules[component] = load_trained(runs[component])
        if trained != component:
            raise JoinError("bank_incomplete", f"'{runs[component]}' was trained on {trained}, not on {component}.")
    resolutions = {header.architecture.resolution for header in headers.values()}
    if len(resolutions) != 1:
        raise JoinError("bank_incomplete", f"The components differ in resolution: {sorted(resolutions)}.")
    header = BankHeader(name, resolutions.pop(), forward_model, headers, scores)
    save_bank(out, header, modules)
    write_text(out.with_suffix(".md"), card(header, out.stat().st_size, machine))
    return header


def card(header: BankHeader, size: int, machine: str = "") -> str:
    """The bank's card in Markdown, from facts only.

    Args:
        size: of the file, in bytes.
        machine: where it was trained, in plain words.
    """
    lines = [
        f"# The bank `{header.name}`",
        "",
        f"Generators for {' and '.join(header.components)} at {header.resolution}×{header.resolution} pixels, to be "
        f"inverted jointly under the forward model `{header.forward_model}`. {size / 1e6:.1f} MB. "
        f"License of the weights: {header.license}.",
        "",
        "Trained from scratch on this project's own renders; no photograph and no other model went into it.",
        *([f"Machine: {machine}."] if machine else []),
        "",
        "| component | transform | images | shown | steps | training time | w | generator weights |",
        "|---|---|---|---|---|---|---|---|",
    ]
    lines += [_row(name, component) for name, component in header.components.items()]
    for name, component in header.components.items():
        lines += ["", f"## {name}", "", *_stretches(name, component)]
    lines += ["", "## Scores", "", *_scores(header.scores)]
    return "\n".join(lines) + "\n"


def _row(name: str, component: ComponentHeader) -> str:
    training = component.training
    count = sum(pack["count"] for pack in training["stretches"][-1]["packs"])
    weights = sum(parameter.numel() for parameter in Generator(component.architecture).parameters())
    return (
        f"| {name} | {component.transform} | {count:,} | {training['images_shown']:,} | {training['steps']:,} "
        f"| {training['seconds'] / 60:.0f} min | {component.architecture.w_dim} | {weights:,} |"
    )


def _stretches(name: str, component: ComponentHeader) -> list[str]:
    """How it was trained, as the commands that would do it again."""
    lines = ["Stretches of the training, each going on from the one before:", "", "```"]
    for stretch in component.training["stretches"]:
        if stretch["to_images"] == stretch["from_images"]:
            continue
        files = " ".join(pack["file"] for pack in stretch["packs"])
        options = " ".join(_option(key, value) for key, value in stretch["settings"].items() if value is not None)
        lines.append(f"# from {stretch['from_images']:,} to {stretch['to_images']:,} images shown; {_where(stretch)}")
        lines.append(
            f"python -m join_engine.training.gan --component {name} --out runs/{name} --data {files} "
            f"--kimg {stretch['to_images'] / 1000:g} {_architecture(component.architecture)} {options}"
        )
    return [*lines, "```"]


def _where(stretch: Mapping[str, Any]) -> str:
    return f"{stretch['device']}, {stretch['threads']} thread(s), torch {stretch['torch']}"


def _architecture(config: GeneratorConfig) -> str:
    values = config.to_dict()
    return " ".join(_option(key, value) for key, value in values.items() if key not in ("resolution", "image_channels"))


def _option(key: str, value: Any) -> str:
    name = key.replace("_", "-")
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name} {value}"


def _scores(scores: Mapping[str, Any]) -> list[str]:
    """Nested numbers, one line each."""
    if not scores:
        return ["Not measured."]
    lines = ["| measure | value |", "|---|---|"]
    pending: list[tuple[str, Any]] = [(str(key), value) for key, value in scores.items()]
    while pending:
        key, value = pending.pop(0)
        if isinstance(value, Mapping):
            pending = [(f"{key} · {inner}", item) for inner, item in value.items()] + pending
        else:
            lines.append(f"| {key} | {value:.4g} |" if isinstance(value, float) else f"| {key} | {value} |")
    return lines


def _under(prefix: str, tensors: Mapping[str, Any]) -> dict[str, Any]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _component(text: str) -> tuple[str, Path]:
    name, separator, path = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"'{text}' is not NAME=RUN")
    return name, Path(path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m join_engine.training.make_bank", description=__doc__)
    parser.add_argument("--component", action="append", required=True, type=_component, metavar="NAME=RUN")
    parser.add_argument("--name", required=True)
    parser.add_argument("--forward-model", default="lambertian")
    parser.add_argument("--out", required=True, type=Path, metavar="BANK.safetensors")
    parser.add_argument("--scores", type=Path, metavar="SCORES.json", help="what the evaluation measured")
    parser.add_argument("--machine", default="", help="where it was trained, in plain words")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """The command. Returns its exit status."""
    arguments = _parser().parse_args(argv)
    try:
        scores = _read_scores(arguments.scores)
        runs = dict(arguments.component)
        make_bank(arguments.out, arguments.name, arguments.forward_model, runs, scores, arguments.machine)
    except JoinError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(f"{arguments.out}: {arguments.out.stat().st_size / 1e6:.1f} MB")
    return 0


def _read_scores(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it holds no object")
        return values
    except (OSError, ValueError) as error:
        raise JoinError("scores_unreadable", f"The scores '{path}' cannot be read: {error}.") from error


if __name__ == "__main__":
    sys.exit(main())
