# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line: the table of its commands, and what they have in common."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from .. import __version__
from ..errors import JoinError, is_out_of_memory
from ..options import BAD_INPUT, complain

# Which module carries out which command, in the order of the help.
COMMANDS = {
    "decompose": "join_engine.commands.decompose",
    "decompose-together": "join_engine.commands.decompose_together",
    "decompose-sequence": "join_engine.commands.decompose_sequence",
    "clean-up": "join_engine.commands.clean_up",
    "relight": "join_engine.commands.relight",
    "mix": "join_engine.commands.mix",
    "interpolate": "join_engine.commands.interpolate",
    "diffuse": "join_engine.commands.diffuse",
    "paste": "join_engine.commands.paste",
    "maps": "join_engine.commands.maps",
    "tile": "join_engine.commands.tile",
    "sheet": "join_engine.evaluation.sheets.photos",
    "report": "join_engine.evaluation.sheets.report",
    "serve": "join_engine.commands.serve",
    "banks": "join_engine.commands.banks",
    "train-gan": "join_engine.commands.train_gan",
    "train-trunk": "join_engine.training.trunk",
    "train-encoder": "join_engine.training.encoder",
    "train-domain-guided": "join_engine.training.domain_guided",
    "train-brightness": "join_engine.training.brightness",
    "train-split": "join_engine.commands.train_split",
    "train-invertibility": "join_engine.training.invertibility",
    "train-samm": "join_engine.training.samm",
    "train-seeing": "join_engine.training.seeing",
    "train-maps": "join_engine.training.maps",
    "train-unet": "join_engine.training.unet",
    "learn-directions": "join_engine.training.directions",
    "learn-materials": "join_engine.training.materials",
    "make-bank": "join_engine.training.make_bank",
    "import-checkpoint": "join_engine.public_checkpoints.import_checkpoint",
    "evaluate": "join_engine.evaluation.paper.evaluate",
    "scorecard": "join_engine.evaluation.paper.scorecard",
    "paper-tables": "join_engine.evaluation.paper.paper_tables",
    "paper-figures": "join_engine.evaluation.paper.paper_figures",
    "method-layers": "join_engine.evaluation.methods.method_layers",
    "relighting-scores": "join_engine.evaluation.scores.relighting_scores",
    "confidence-scores": "join_engine.evaluation.scores.confidence_scores",
    "confidence-map-scores": "join_engine.evaluation.scores.confidence_maps",
    "layer-scores": "join_engine.evaluation.scores.layer_scores",
    "together-scores": "join_engine.evaluation.scores.together_scores",
    "clean-up-scores": "join_engine.evaluation.scores.clean_up_scores",
    "mask-scores": "join_engine.evaluation.scores.mask_scores",
    "paste-scores": "join_engine.evaluation.scores.paste_scores",
    "diffusion-scores": "join_engine.evaluation.scores.diffusion_scores",
    "bank-choice": "join_engine.evaluation.choices.bank_choice",
    "caution-choice": "join_engine.evaluation.choices.caution_choice",
    "look-choice": "join_engine.evaluation.choices.look_choice",
    "maps-scores": "join_engine.evaluation.scores.maps_scores",
    "sequence-scores": "join_engine.evaluation.scores.sequence_scores",
    "tile-scores": "join_engine.evaluation.scores.tile_scores",
    "tone-scores": "join_engine.evaluation.scores.tone_scores",
    "detail-choice": "join_engine.evaluation.choices.detail_choice",
    "domain-scores": "join_engine.evaluation.generators.domain_scores",
    "distance": "join_engine.evaluation.generators.distances",
    "landscape": "join_engine.evaluation.generators.landscape",
    "bench": "join_engine.evaluation.speed.bench",
    "weights": "join_engine.commands.weights",
}


_NOBODY_READS = 141
"""Exit status, as a shell has it of a program that a closed pipe ends."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 2 for bad input, 130 for Ctrl-C, 141 where nobody reads any more."""
    _open_missing()
    words = list(sys.argv[1:] if arguments is None else arguments)
    parser = _parser(words)
    options = parser.parse_args(words)
    if "" in words:  # a path of that name would mean this folder
        parser.error("an argument is empty: a variable that is not set?")
    try:
        return int(options.run(options) or 0)
    except JoinError as error:
        complain(error)
        return BAD_INPUT
    except BrokenPipeError:  # whoever reads, such as head, has had enough
        _be_silent()
        return _NOBODY_READS
    except OSError as error:
        if error.filename is not None:
            text = f"'{error.filename}' cannot be used ({error.strerror})."
            complain(JoinError("file_unusable", text, "Check the path."))
        elif error.errno in (errno.ENOSPC, errno.EIO, errno.EBADF):
            complain(JoinError("output_unwritable", f"What is printed cannot be written ({error.strerror})."))
            _be_silent()
        else:
            raise
        return BAD_INPUT
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        complain(JoinError("out_of_memory", "There is not enough memory for this.", "Close other programs."))
        return BAD_INPUT
    except KeyboardInterrupt:
        print("Stopped.", file=sys.stderr)
        return 130


def _open_missing() -> None:
    """Where a caller has closed stdin, stdout or stderr, the next file that is opened would take its place, and what is
    printed would go into that."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(number)
    sys.stdout, sys.stderr = sys.stdout or _nowhere(), sys.stderr or _nowhere()


def _be_silent() -> None:
    """Let nothing more go to stdout: Python would complain of it at its end."""
    with _nowhere() as nowhere:
        os.dup2(nowhere.fileno(), 1)


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w")


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    """With the options of the one command that is called. Of the others only the docstrings are read: what trains and
    measures imports torch."""
    parser = argparse.ArgumentParser(prog="join_engine", description="Splits images into albedo, shading and specular.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    called = next((word for word in words if word in COMMANDS), None)
    for name, module in COMMANDS.items():
        text = _docstring(module)
        own = commands.add_parser(
            name,
            help=text[0].lower() + text.splitlines()[0][1:].rstrip("."),
            description=text,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == called:
            command = importlib.import_module(module)
            command.add_arguments(own)
            own.set_defaults(run=command.run)
    return parser


def _docstring(module: str) -> str:
    """Of a module that is not imported for it, and neither are its packages."""
    path = Path(__file__).parents[2].joinpath(*module.split(".")).with_suffix(".py")
    return path.read_text("utf-8").split('"""', 2)[1].strip()
