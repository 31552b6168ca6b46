# SPDX-License-Identifier: GPL-3.0-or-later
"""Decompose the frames of a sequence, one after the other, with an albedo that stays the same where the scene does.

--out gets a folder for each layer with an EXR for each frame, under the frames' own names, as Blender and others
open a sequence of images, and sequence.json. A run that was ended goes on where it was. The camera is thought to stand
still. A movie is first made into frames, such as by `ffmpeg -i movie.mp4 frames/%05d.png`.

With --messages a program listens: the first message on stdin tells the frames, and any other one, or its end, ends the
run; progress and result or error are told on stdout, as `serve` tells them.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import JoinError
from ..names import is_file, same_name
from ..options import BAD_INPUT, IMAGE_KINDS, add_inversion_options, as_json, expand, load_bank_for, say
from ..untrusted import read_json, read_small

if TYPE_CHECKING:
    from ..bank import Bank
    from ..inversion.presets import Preset

NAME, STATE = "sequence.json", "sequence.npz"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("frames", nargs="*", metavar="FRAME", help=f"{IMAGE_KINDS} in their order, or a folder of them")
    parser.add_argument("--out", type=Path, required=True, help="folder of the layers")
    parser.add_argument("--messages", action="store_true", help="be run by a program, see above")
    parser.add_argument("--fresh", action="store_true", help="forget what an earlier run has done in --out")
    add_inversion_options(parser, "draft", chooses=True)


def run(options: argparse.Namespace) -> int:
    if not options.messages:
        _decompose(options, lambda _done, _of: None)
        print(options.out)
        return 0
    import threading

    from ..server.channel import Channel, leave, read_messages, take_stdout
    from ..server.requests import parse

    channel, messages = Channel(take_stdout()), read_messages(0)

    def listen() -> None:
        next(messages, None)
        channel.send("cancelled")
        leave()  # what is written is whole, and the next run goes on from there

    def told(done: int, of: int) -> None:
        channel.send("progress", fraction=done / of, text=f"Frame {done} of {of}")

    try:
        first = parse(next(messages, b""))
        if not isinstance(first.get("frames"), list):
            raise JoinError("request_invalid", "The first message has no list 'frames'.")
        options.frames = [str(frame) for frame in first["frames"]]
        threading.Thread(target=listen, daemon=True).start()
        channel.send("progress", fraction=0.0, text="Loading the bank")
        channel.send("result", layers=_decompose(options, told))
    except JoinError as error:
        channel.send_error(None, error)
        return BAD_INPUT
    return 0


def _decompose(options: argparse.Namespace, told: Callable[[int, int], None]) -> list[str]:
    """All frames; the names of the layers. ``told`` is told how many of how many are done. Raises JoinError."""
    from ..bank import AUTO
    from ..forward_models import DETAILED
    from ..images.files import folder_of_ones_own, read_picture
    from ..inversion.presets import get_preset
    from ..portraits import refuse_faces

    paths, problems = expand(options.frames, options.out)
    if problems:
        raise problems[0]
    if not paths:
        raise JoinError("image_missing", "There are no frames.", "Name them in their order, or a folder of them.")
    names = [same_name(path.stem) for path in paths]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise JoinError("settings_invalid", f"Two frames are called '{twice}'.", "Name each frame once.")
    first = [read_picture(paths[0]).pixels] if options.bank == AUTO else []  # its bank is that of all frames
    (bank, _), preset = load_bank_for(options, first), get_preset(options.preset)
    refuse_faces(bank, "Decomposing a sequence")
    if bank.forward_model.name not in DETAILED:
        words = f"The bank '{bank.header.name}' has no albedo that could be followed."
        raise JoinError("forward_model_unsuited", words, "Choose a bank of albedo and shading.")
    with folder_of_ones_own(options.out):
        _follow(paths, bank, preset, options, told)
    return list(bank.forward_model.components)


def _follow(
    paths: Sequence[Path], bank: Bank, preset: Preset, options: argparse.Namespace, told: Callable[[int, int], None]
) -> None:
    import numpy as np
    from tqdm import tqdm  # type: ignore[import-untyped]

    from ..images.files import opaque, read_picture, write_exr, write_text
    from ..inversion.codebook import CodeBook
    from ..layers.steady import Steady
    from ..layers.together import Photo
    from ..pipeline import decompose

    made = {"bank": bank.sha256, **preset.to_json(), "seed": options.seed}
    done, state = ([], {}) if options.fresh else _earlier(options.out, made, [path.name for path in paths])
    if 0 < len(done) < len(paths):
        say(f"{len(done)} of {len(paths)} frames are there: it goes on with {paths[len(done)].name}.")
    if not is_file(options.out / NAME):
        _refuse_others(options.out, bank, paths)
        write_text(options.out / NAME, as_json({"made": made, "frames": []}))
    steady, codebook = Steady(state), CodeBook(bank)
    told(len(done), len(paths))
    for path in tqdm(paths[len(done) :], desc="frames", initial=len(done), total=len(paths), disable=None):
        picture = read_picture(path)
        for note in picture.notes:
            say(f"{path.name}: {note}")
        found = decompose(picture.pixels, bank, preset, options.seed, codebook=codebook)
        colour = opaque(picture.pixels)
        shown = picture.pixels[..., 3] if picture.pixels.shape[2] == 4 else np.ones(colour.shape[:2], np.float32)
        layers = steady.follow(Photo(colour, dict(found.decomposition.layers), found.error, shown))
        for name, layer in layers.items():
            write_exr(options.out / name / f"{path.stem}.exr", layer)
        done.append({"frame": path.name, "psnr": found.decomposition.metrics["psnr"]})
        _write_state(options.out / STATE, steady.state, len(done))
        write_text(options.out / NAME, as_json({"made": made, "frames": done}))
        told(len(done), len(paths))


def _refuse_others(out: Path, bank: Bank, paths: Sequence[Path]) -> None:
    """Raise JoinError ``output_taken`` where a layer would replace a file that no earlier run has written."""
    layers = (out / name / f"{path.stem}.exr" for name in bank.forward_model.components for path in paths)
    if taken := next((path for path in layers if path.exists() or path.is_symlink()), None):
        words = f"'{taken}' is not of a sequence that was decomposed here."
        raise JoinError("output_taken", words, "Choose another folder, which need not exist.")


def _earlier(out: Path, made: dict[str, Any], names: Sequence[str]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """The frames that an earlier run has done, and what it knew after them. Raises JoinError ``output_exists`` for one
    of other frames or with other settings."""
    import json
    import zipfile
    import zlib

    import numpy as np

    if not is_file(out / NAME) or not is_file(out / STATE):
        return [], {}
    try:
        told = read_json(read_small(out / NAME))
        done = list(told["frames"])
        with np.load(out / STATE, allow_pickle=False) as stored:
            state = {name: stored[name] for name in stored.files}
        known = int(state.pop("frames"))
        before = [str(one["frame"]) for one in done]
        same = told["made"] == json.loads(json.dumps(made))
    except (ValueError, KeyError, TypeError, OSError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        words = f"What an earlier run left in '{out}' cannot be read ({error})."
        raise JoinError("output_exists", words, "Add --fresh, or choose another folder.") from error
    if not same or before != list(names[: len(before)]):
        words = f"'{out}' holds the layers of other frames, or of other settings."
        raise JoinError("output_exists", words, "Add --fresh, or choose another folder.")
    # The state is written first: a run may have ended before it told of the last frame.
    return (done, state) if known == len(done) else ([], {})


def _write_state(path: Path, state: dict[str, Any], frames: int) -> None:
    import numpy as np

    from ..images.files import atomically

    with atomically(path) as temporary, temporary.open("wb") as file:
        np.savez(file, frames=np.array(frames), **state)
