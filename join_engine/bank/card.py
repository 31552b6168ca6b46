# SPDX-License-Identifier: GPL-3.0-or-later
"""A bank's card in Markdown, written from its header: what it was trained on, for how long, and how good it is.

The tool's part of the file lies between two markers; what people write around them stays.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import JoinError
from ..forward_models import DETAILED
from ..images.files import write_text
from ..names import is_file
from ..networks.encoder import Encoder
from ..networks.stylegan2 import Generator
from .bank_wide import BankWide, present
from .figures import encoders_alone, hours, images_in, measured, nested, ten_times
from .header import BankHeader, ComponentHeader, DirectionsHeader

BEGIN = "<!-- facts from the bank's header, written by `python -m join_engine banks card`: begin -->"
END = "<!-- facts: end -->"


def write_card(path: Path, header: BankHeader, size: int) -> None:
    """Write the card, or replace the tool's part of one that is there. Raises JoinError ``card_unmarked`` when the file
    has no markers, so that nothing written by hand is lost; ``output_unwritable``.

    Args:
        size: of the bank's file, in bytes.
    """
    text = f"{BEGIN}\n\n{card(header, size)}\n{END}\n"
    if is_file(path):
        old = path.read_text(encoding="utf-8")
        before, begin, rest = old.partition(BEGIN)
        _, end, after = rest.partition(END)
        if not begin or not end:
            message = f"The card '{path}' has no markers between which the facts could go."
            raise JoinError("card_unmarked", message, f"Remove it, or put the lines '{BEGIN}' and '{END}' into it.")
        text = f"{before}{text.rstrip()}{after}"
    write_text(path, text)


def card(header: BankHeader, size: int) -> str:
    """The facts, from the header alone. ``size``: of the file, in bytes."""
    components = " and ".join(header.components)
    lines = [
        f"# The bank `{header.name}`",
        "",
        f"Generators for {components} at {header.resolution}×{header.resolution} pixels, to be inverted jointly under "
        f"the forward model `{header.forward_model}`. {size / 1e6:.1f} MB. License of the weights: {header.license}.",
        "",
        _ingredients(header),
        *([f"Machine: {header.machine}."] if header.machine else []),
        *_detail(header),
        "",
        "| network | images | shown | steps | training time | images/s | weights |",
        "|---|---|---|---|---|---|---|",
        *_rows(header),
        "",
        *hours(header),
        "| component | transform | w | discriminator | encoder |",
        "|---|---|---|---|---|",
        *(_component(name, component) for name, component in header.components.items()),
    ]
    if header.directions is not None:
        lines += ["", "## Directions of the light", "", *_directions(header.directions)]
    if header.materials is not None:
        lines += ["", "## Directions of materials", "", *materials_table(header.materials)]
    for title, training, stretches in _trainings(header):
        scores = nested(training["scores"]) if "scores" in training else []
        own = ["On samples that it has not seen:", "", *scores, ""] if scores else []
        lines += ["", f"## {title}", "", *own, *stretches]
    lines += encoders_alone(header) + ten_times(header)
    lines += ["", "## Scores", "", *measured(header.scores)]
    return "\n".join(lines) + "\n"


def _detail(header: BankHeader) -> list[str]:
    """How the detail is split, where there is any."""
    if header.forward_model not in DETAILED:
        return []
    return [
        f"Of the smooth grey difference that the generators leave in an image, {header.detail_share:.0%} is light; "
        f"smooth is what a Gaussian of {header.detail_radius:g} pixels leaves of it."
    ]


def directions_table(header: DirectionsHeader) -> list[str]:
    """The figures of a bank's named directions, one attribute a line."""
    components = list(header.layers)
    columns = ["one standard deviation", "R² of all"]
    columns += [f"{name}: {figure}" for name in components for figure in ("R²", "moves", "mean change")]
    lines = [f"| attribute | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    for attribute, figures in header.attributes.items():
        cells = [f"{figures['unit']:.3g}", f"{figures['r2']:.2f}"]
        for name in components:
            r2, moves, alike = (figures[f"{figure}_{name}"] for figure in ("r2", "moves", "alike"))
            cells += [f"{r2:.2f}", f"{moves:.2f} SD", f"{alike:.2f}"]
        lines.append(f"| {attribute} | {' | '.join(cells)} |")
    return lines


def materials_table(header: DirectionsHeader) -> list[str]:
    """What the named directions of materials gain, in dB, and which were left out."""
    rows = {**header.attributes, **header.training.get("left_out", {})}
    parts = [name.removeprefix("gain_") for name in next(iter(rows.values())) if name.startswith("gain_")]
    parts = [name for name in parts if name != "image"]
    lines = [
        f"Learned from {header.training['scenes']} scenes, each rendered as it is and with a property of its materials "
        "moved. In dB, mean ± half the 95 % interval: how much nearer an edit brings the true layers of a scene to the "
        "true render, by what was learned of all other scenes; of the image by the components that are moved.",
        "",
        f"| property | pairs | {' | '.join(parts)} | moves | image |",
        "|---" * (len(parts) + 4) + "|",
    ]
    for name, figures in rows.items():
        gains = [figures.get(f"gain_{part}") for part in (*parts, "image")]
        cells = ["" if gain is None else f"{gain[0]:+.2f} ± {gain[1]:.2f}" for gain in gains]
        moves = ", ".join(figures["moves"]) or "nothing: left out"
        lines.append(f"| {name} | {figures['pairs']} | {' | '.join(cells[:-1])} | {moves} | {cells[-1]} |")
    return lines


def _directions(header: DirectionsHeader) -> list[str]:
    training = header.training
    found = f"{training['steps']} steps of inversion" if training.get("steps") else "the encoders"
    dropped = [f"{name} (R² {r2:.2f})" for name, r2 in training.get("left_out", {}).items()]
    left_out = ["", f"Without a direction, because the codes hardly tell it: {', '.join(dropped)}."] if dropped else []
    return [
        f"Learned from the codes that {found} gave {training['samples']:,} training renders"
        f"{', as they are and mirrored' if training.get('mirror') else ''}. "
        "R²: how much of an attribute's variance over "
        f"{training['validation_samples']:,} validation renders their codes tell, by ridge regression. Moves: how far "
        "one standard deviation of the attribute goes, in standard deviations of the codes along that direction. Mean "
        "change: cosine between the mean change of what the generator makes and that of the renders.",
        "",
        *directions_table(header),
        *left_out,
        "",
        "`left_right` and `up_down` are sines of angles as one sees them in the picture; `distance` and `size` (in "
        "widths of the picture) and `intensity` are logarithms.",
    ]


def _ingredients(header: BankHeader) -> str:
    """What went into the generators."""
    trainings = [component.training for component in header.components.values()]
    begun = [stretch.get("start_from", {}) for training in trainings for stretch in training.get("stretches", [])]
    files = sorted({item["imported_from"] for item in [*trainings, *begun] if "imported_from" in item})
    if files:
        return f"Generators of others are in it: {', '.join(files)}."
    return "Trained from scratch on this project's own renders; no other model went into it."


def _component(name: str, header: ComponentHeader) -> str:
    encoder = "none" if header.encoder is None else header.encoder.architecture.space.upper()
    discriminator = "yes" if header.has_discriminator else "no"
    return f"| {name} | {header.transform} | {header.architecture.w_dim} | {discriminator} | {encoder} |"


def _rows(header: BankHeader) -> Iterator[str]:
    """One line per network."""
    for name, component in header.components.items():
        yield _row(f"generator of {name}", component.training, _weights(Generator(component.architecture)))
    for name, component in header.components.items():
        if component.encoder is not None:
            weights = _weights(Encoder(component.encoder.architecture))
            yield _row(f"encoder of {name}", component.encoder.training, weights)
    for _, kind, found in present(header):
        yield _row(kind.title, found.training, _weights(kind.network(found.architecture)))


def _row(name: str, training: Mapping[str, Any], weights: int) -> str:
    if "stretches" not in training:
        return f"| {name} | | | | not told | | {weights:,} |"
    count, seconds, shown = images_in(training), training["seconds"], training["images_shown"]
    speed, time = f"{shown / seconds:.0f}" if seconds else "", f"{seconds / 3600:.2f} h"
    return f"| {name} | {count:,} | {shown:,} | {training['steps']:,} | {time} | {speed} | {weights:,} |"


def _weights(network: Any) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def _trainings(header: BankHeader) -> Iterator[tuple[str, Mapping[str, Any], list[str]]]:
    """Title, what the header says, and the commands, of each training."""
    for name, component in header.components.items():
        told = component.architecture.to_dict()  # the packs tell the size
        architecture = {key: told[key] for key in told if key not in ("resolution", "image_channels")}
        command = f"python -m join_engine train-gan --component {name} --out runs/{name}"
        yield name, component.training, _stretches(component.training, command, _always(architecture))
    for name, component in header.components.items():
        if component.encoder is not None:
            training, space = component.encoder.training, component.encoder.architecture.space
            command = f"python -m join_engine train-encoder --bank BANK --component {name} --out runs/encoder-{name}"
            if "command" in training:  # that of all encoders together
                command = f"python -m join_engine {training['command']} --bank BANK --out runs/encoders"
            yield f"Encoder of {name}", training, _stretches(training, command, _always({"space": space}))
    for name, kind, found in present(header):
        of = "--bank BANK" if kind.through_generators else f"--forward-model {header.forward_model}"
        command = f"python -m join_engine train-{kind.trained_as or name} {of} --out runs/{name}"
        yield kind.title.capitalize(), found.training, _stretches(found.training, command, _told(kind, found))


def _always(options: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], Mapping[str, Any]]:
    return lambda _: options


def _told(kind: BankWide, found: Any) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """The options of a bank-wide network in a stretch of its training: its own, unless it has grown since."""

    def options(stretch: Mapping[str, Any]) -> dict[str, Any]:
        stored = stretch.get("architecture")
        config = found.architecture if stored is None else type(found.architecture).from_dict(stored)
        told = config.to_dict()  # without what came later, where it is at its default
        return {option: getattr(config, option) for option in kind.options if option in told}

    return options


def _stretches(
    training: Mapping[str, Any], command: str, architecture: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> list[str]:
    """How it was trained, as the commands that would do it again, folded: they may be many. ``architecture``: options
    of the network in a stretch."""
    if "stretches" not in training:
        return ["How it was trained is not told."]
    told = [stretch for stretch in training["stretches"] if stretch["to_images"] > stretch["from_images"]]
    title = "The command of the training" if len(told) == 1 else f"The training's {len(told)} stretches, one on another"
    lines = ["<details>", f"<summary>{title}</summary>", "", "```"]
    for stretch in told:
        files = " ".join(pack["file"] for pack in stretch["packs"])
        settings = {**stretch["settings"], **stretch.get("augmentation", {})}
        options = " ".join(_option(key, value) for key, value in settings.items() if value is not None)
        begun = stretch.get("start_from")
        options += f" --start-from {begun['file']}" if begun else ""
        network = " ".join(_option(key, value) for key, value in architecture(stretch).items() if value != ())
        where = f"{stretch['device']}, {stretch['threads']} thread(s), torch {stretch['torch']}"
        lines.append(f"# from {stretch['from_images']:,} to {stretch['to_images']:,} images shown; {where}")
        lines.append(f"{command} --data {files} --kimg {stretch['to_images'] / 1000:g} {network} {options}")
        if "share" in stretch:
            lines.append(f"# what follows has {stretch['share']:g} of these weights, the rest are those before")
    return [*lines, "```", "", "</details>"]


def _option(key: str, value: Any) -> str:
    name = key.replace("_", "-")
    if isinstance(value, bool):
        return f"--{name}" if value else f"--no-{name}"
    return f"--{name} {' '.join(map(str, value)) if isinstance(value, (tuple, list)) else value}"


def put_part(card: Path, begin: str, end: str, text: str) -> None:
    """Put ``text``, which begins and ends with these markers, in the place of what lies between them, or at the end.

    Up to its first comma a marker says what the part is; the command that wrote it may have had another name then.
    Raises JoinError ``output_unwritable``.
    """
    old = card.read_text(encoding="utf-8") if is_file(card) else ""
    before, found, rest = old.partition(begin.partition(",")[0])
    _, closed, after = rest.partition(end)
    if found and closed:
        write_text(card, f"{before}{text}{after}")
    else:
        write_text(card, f"{old.rstrip()}\n\n{text}\n".lstrip())
