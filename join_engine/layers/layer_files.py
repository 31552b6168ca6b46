# SPDX-License-Identifier: GPL-3.0-or-later
"""A decomposition's layers as files for other programs."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import JoinError
from ..forward_models import FORWARD_MODELS, Formula, components_in, compose
from ..images.between import between
from ..images.files import display_encode, exr_writer, npy_writer, png_writer, strips, write_exr, write_png, write_text
from .decomposition import Decomposition, decomposition_writer
from .strips import Layers, rows_of, size_of

RowsWriter = Callable[[slice, Layers], Any]

LAYER_FORMATS = {("exr", 16), ("exr", 32), ("png", 8), ("png", 16)}
"""What :func:`export_layers` can write, with the bits per channel."""


def write_layers(folder: Path, decomposition: Decomposition) -> dict[str, Path]:
    """Write every layer as EXR (linear) and PNG (for looking at), and ``recomposed.png``; returns the files by name.

    Each file is written under a temporary name first. Raises JoinError ``output_unwritable``.
    """
    with ExitStack() as opened:
        files, writers = _layer_writers(folder, decomposition, opened)
        _write_rows(decomposition, writers)
    return files


def write_result(folder: Path, decomposition: Decomposition, error: np.ndarray | None = None) -> None:
    """All files of a result: what :func:`write_layers` writes, ``decomposition.join`` and, where there is an ``error``
    (see :func:`write_confidence`), the map of confidence. The layers are made once, rows after rows. Raises JoinError
    ``output_unwritable``."""
    with ExitStack() as opened:
        _, writers = _layer_writers(folder, decomposition, opened)
        writers.append(opened.enter_context(decomposition_writer(folder / "decomposition.join", decomposition)))
        _write_rows(decomposition, writers)
    if error is not None:
        write_confidence(folder, error, decomposition.size)


def write_report(folder: Path, image: str, notes: Sequence[str], decomposition: Decomposition) -> None:
    """``report.json`` of a result: the image, what was noted as it was read, and what is known of its layers. Raises
    JoinError ``output_unwritable``."""
    report = {"image": image, "size": list(decomposition.size), "notes": list(notes), **decomposition.summary()}
    write_text(folder / "report.json", json.dumps(report, indent=2, ensure_ascii=False) + "\n")


def write_arrays(folder: Path, decomposition: Decomposition, stored: Path) -> dict[str, Any]:
    """The layers and the image that they make as ``.npy``, and the ``.join`` file ``stored``; the layers are made once.
    Returns the files' paths, ``layers`` by name and ``recomposed``. Raises JoinError ``output_unwritable``."""
    size, model = decomposition.size, decomposition.model
    paths, recomposed = {name: folder / f"{name}.npy" for name in decomposition.layers}, folder / "recomposed.npy"
    with ExitStack() as opened:
        writers = [opened.enter_context(decomposition_writer(stored, decomposition))]
        for name, path in paths.items():
            writers.append(_of_layer(name, opened.enter_context(npy_writer(path, size))))
        write = opened.enter_context(npy_writer(recomposed, size))
        writers.append(lambda _, layers: write(np.asarray(model.compose(layers))))
        _write_rows(decomposition, writers)
    return {"layers": {name: str(path) for name, path in paths.items()}, "recomposed": str(recomposed)}


def _layer_writers(
    folder: Path, decomposition: Decomposition, opened: ExitStack
) -> tuple[dict[str, Path], list[RowsWriter]]:
    files: dict[str, Path] = {}
    writers: list[RowsWriter] = []
    size, model = decomposition.size, decomposition.model

    def add(name: str, writer: AbstractContextManager[Callable[[np.ndarray], None]], of: Callable[..., Any]) -> None:
        files[name] = folder / name
        write = opened.enter_context(writer)
        writers.append(lambda _, layers: write(of(layers)))

    for name in decomposition.layers:
        add(f"{name}.exr", exr_writer(folder / f"{name}.exr", size, "RGB"), itemgetter(name))
        add(
            f"{name}.png",
            png_writer(folder / f"{name}.png", size, 3),
            lambda layers, name=name: display_encode(name, layers[name]),
        )
    add(
        "recomposed.png",
        png_writer(folder / "recomposed.png", size, 3),
        lambda layers: display_encode("image", np.asarray(model.compose(layers))),
    )
    return files, writers


def _of_layer(name: str, write: Callable[[np.ndarray], None]) -> RowsWriter:
    return lambda _, layers: write(layers[name])


def _write_rows(decomposition: Decomposition, writers: Sequence[RowsWriter]) -> None:
    """Each strip to all writers at once, while the next strip is made."""
    with ThreadPoolExecutor(max(1, min(4, os.cpu_count() or 1)), "writer") as pool:
        running: list[Future[None]] = []
        for rows, layers in rows_of(decomposition.layers):
            for future in running:
                future.result()
            running = [pool.submit(write, rows, layers) for write in writers]
        for future in running:
            future.result()


def write_layers_together(folder: Path, decompositions: Mapping[str, Decomposition]) -> None:
    """Write the layers of several photos with a common albedo as :func:`write_layers` does: ``albedo`` once, the others
    as ``shading-NAME`` by the names of the photos. Raises JoinError ``output_unwritable``."""
    written = set()
    for photo, decomposition in decompositions.items():
        for component, pixels in decomposition.layers.items():
            name = component if component == "albedo" else f"{component}-{photo}"
            if name not in written:
                write_exr(folder / f"{name}.exr", pixels)
                write_png(folder / f"{name}.png", display_encode(component, pixels))
                written.add(name)


def write_confidence(folder: Path, error: np.ndarray, size: tuple[int, int]) -> None:
    """Write ``confidence.exr`` and ``confidence.png``: of albedo, shading and specular in red, green and blue, e to the
    power of minus the error that the bank expects there, 1 for certain. Raises JoinError ``output_unwritable``.

    Args:
        error: [h, w, 3], see :class:`join_engine.pipeline.Outcome`.
        size: height and width of the image, which the map gets.
    """
    sure = np.exp(-error)
    with (
        exr_writer(folder / "confidence.exr", size, "RGB") as write_exr_rows,
        png_writer(folder / "confidence.png", size, 3) as write_png_rows,
    ):
        for rows in strips(*size):
            part = grown(sure, size, rows)
            write_exr_rows(part)
            write_png_rows(part)


def grown(image: np.ndarray, size: tuple[int, int], rows: slice) -> np.ndarray:
    """Some rows of [h, w, C] brought to a larger size, linearly in between."""
    at = [
        (np.arange(wanted) + 0.5) * (given / wanted) - 0.5 for wanted, given in zip(size, image.shape[:2], strict=True)
    ]
    at[0] = at[0][rows]
    for axis, place in enumerate(at):
        image = between(image, place, axis)
    return image


def export_layers(
    output: Path,
    layers: Mapping[str, np.ndarray],
    kind: str,
    depth: int,
    alpha: np.ndarray | None = None,
    formula: Formula | None = None,
) -> list[Path]:
    """Layers for other programs; returns the files that were written.

    "exr" is one multilayer file: per layer the channels ``albedo.R``, ``albedo.G``, ``albedo.B`` …, all linear Rec.709,
    and as its plain R, G, B (and A) the image that the layers make. "png" is a set of files beside ``output``, named
    ``photo albedo.png`` …: sRGB-encoded, but shading and specular, which may exceed 1, through Reinhard's x / (1 + x).
    Raises JoinError ``image_unreadable`` for layers that do not fit each other, ``output_unwritable``.

    Args:
        output: name of the file; for a set of files what their names begin with.
        layers: linear [H, W, 3], all of one size.
        kind, depth: one of :data:`LAYER_FORMATS`.
        alpha: [H, W], straight.
        formula: how the layers make the image; None for that of the forward model which takes exactly these.
    """
    shapes = {pixels.shape for pixels in layers.values()} | ({(*alpha.shape, 3)} if alpha is not None else set())
    if len(shapes) != 1 or len(next(iter(shapes))) != 3 or next(iter(shapes))[2] != 3:
        raise JoinError("image_unreadable", "The layers are not images of one size.", "Export layers of one set.")
    if kind == "exr":
        write_layered_exr(output, layers, depth, alpha, formula)
        return [output]
    files = []
    for name, pixels in layers.items():
        files.append(output.with_name(f"{output.stem} {name}.png"))
        with png_writer(files[-1], size_of(layers), 3 if alpha is None else 4, depth) as write:
            for rows in strips(*size_of(layers)):
                encoded = display_encode(name, pixels[rows])
                write(encoded if alpha is None else np.concatenate([encoded, alpha[rows, :, None]], axis=2))
    return files


def write_layered_exr(
    path: Path,
    layers: Mapping[str, np.ndarray],
    depth: int,
    alpha: np.ndarray | None = None,
    formula: Formula | None = None,
) -> None:
    """One EXR with all layers, 16 or 32 bits per channel, ZIP; see :func:`export_layers`. Atomic."""
    known = (model.formula for model in FORWARD_MODELS.values() if set(model.components) == set(layers))
    formula = formula or next(known, None)
    if formula is not None and not set(components_in(formula)) <= set(layers):
        formula = None
    names = [f"{name}.{letter}" for name in layers for letter in "RGB"]
    plain = [] if formula is None else ["R", "G", "B", *(["A"] if alpha is not None else [])]
    with exr_writer(path, size_of(layers), [*plain, *names], depth) as write:
        for rows, parts in rows_of(layers):
            planes = list(parts.values())
            if formula is not None:
                whole = np.asarray(compose(formula, parts))
                # By the format's convention the plain channels are multiplied by alpha; the layers stay as they are.
                shown = [whole] if alpha is None else [whole * alpha[rows, :, None], alpha[rows, :, None]]
                planes = shown + planes
            write(np.concatenate(planes, axis=2).astype(np.float32, copy=False))
