# SPDX-License-Identifier: GPL-3.0-or-later
"""Decomposes the sample, or anybody's image, inside Blender and leaves something to look at.

    python samples/demo.py --out out/demo [--image PHOTO] [--preset standard]

Opens the image in Blender (bpy, in the background), runs the operator *Decompose Image* with the shipped bank, saves
``decomposed.blend``, and lets the engine write the layers, ``sheet.png`` and ``report.json``. The results appear under
their final names only when all of them are there.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "samples" / "materials"


def load_extension() -> ModuleType:
    """The checkout as Blender would load it: a package whose name is the extension's, whatever the folder's name."""
    spec = importlib.util.spec_from_file_location(
        "join_intrinsics", ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def decompose_in_blender(image: Path, folder: Path, preset: str) -> None:
    """Run the operator on ``image`` in a fresh scene; leaves ``decomposed.blend`` and ``decomposition.join``.

    Raises:
        RuntimeError: the operator's own sentence, when it reports an error.
    """
    import bpy

    bpy.ops.wm.read_factory_settings(use_empty=True)
    extension = load_extension()
    extension.register()
    try:
        source = bpy.data.images.load(str(image))
        source.pack()
        operators: Any = bpy.ops  # the stubs know only Blender's own
        operators.join.decompose(image=source.name, preset=preset.upper(), seed=0, save_directory=str(folder))
        operators.join.add_nodes(image=source.name, render=True)  # F12 in that file renders the recombined picture
        bpy.ops.wm.save_as_mainfile(filepath=str(folder / "decomposed.blend"))
    finally:
        extension.unregister()


def write_report(image: Path, truth: Path | None, folder: Path) -> int:
    """The engine writes each layer as EXR and PNG, the sheet and the figures. Returns its exit code."""
    command = [sys.executable, "-m", "join_engine", "report", "--decomposition", str(folder / "decomposition.join")]
    command += ["--image", str(image), "--out", str(folder)]
    if truth is not None:
        command += ["--truth-dir", str(truth)]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


def publish(folder: Path, out: Path) -> None:
    """Move a finished folder to its final name, in place of what an earlier run left there."""
    out.parent.mkdir(parents=True, exist_ok=True)
    earlier = out.with_name(out.name + ".earlier")
    shutil.rmtree(earlier, ignore_errors=True)
    if out.exists():
        out.rename(earlier)
    folder.rename(out)
    shutil.rmtree(earlier, ignore_errors=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image", type=Path, help="any image instead of the sample; then there is no ground truth")
    parser.add_argument("--out", type=Path, default=ROOT / "out" / "demo")
    parser.add_argument("--preset", choices=["draft", "standard", "best"], default="standard")
    return parser.parse_args()


def main() -> int:
    arguments = parse_arguments()
    image = (arguments.image or SAMPLE / "image.png").resolve()
    if not image.is_file():
        print(f"There is no file {image}. Give the path of an image: make demo IMAGE=photo.png", file=sys.stderr)
        return 2
    out = arguments.out.resolve()
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        folder = Path(scratch) / "results"
        folder.mkdir()
        # Blender's own Python is the engine's here: the project's environment holds both.
        os.environ.setdefault("JOIN_ENGINE_PYTHON", sys.executable)
        try:
            decompose_in_blender(image, folder, arguments.preset)
        except RuntimeError as error:
            print(str(error).strip(), file=sys.stderr)
            return 2
        status = write_report(image, None if arguments.image else SAMPLE, folder)
        if status == 0:
            publish(folder, out)
            print(f"Done. Look at {out / 'sheet.png'}")
    return status


if __name__ == "__main__":
    result = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(result)  # some wheels of Blender hang at an orderly exit, in their destructors
