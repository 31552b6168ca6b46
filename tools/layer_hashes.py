# SPDX-License-Identifier: GPL-3.0-or-later
"""Are the layers what they were, to the bit?

    layer_hashes.py write BEFORE.json IMAGE … [--engine CHECKOUT] [--bank NAME] [--presets draft standard]
    layer_hashes.py compare BEFORE.json AFTER.json

Uses of the engine nothing but ``python -m join_engine decompose`` and its ``.join`` files, so that it outlives every
renaming, and ``--engine`` may be a checkout of before (``git worktree add``) whose files are compared with today's.
Both must be written on the same machine: other processors round otherwise.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def write(images: Sequence[Path], engine: Path, bank: str | None, presets: Sequence[str]) -> dict[str, str]:
    """Decompose images → hashes of all that their ``.join`` files hold, by "preset/image/tensor".

    Args:
        images: files; their names must differ.
        engine: the checkout whose engine does it.
        bank: name or path; None for the engine's own default.

    Raises:
        SystemExit: two images of one name, or the engine refuses one.
    """
    paths = [str(path.resolve()) for path in images]
    if len({Path(path).stem.lower() for path in paths}) < len(paths):
        raise SystemExit("Two of these images have the same name: rename one.")
    # One thread: sums in another order round otherwise.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(engine)}
    chosen = [] if bank is None else ["--bank", str(Path(bank).resolve()) if Path(bank).is_file() else bank]
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        for preset in presets:
            out = Path(folder) / preset
            command = [sys.executable, "-m", "join_engine", "decompose", *paths, "--preset", preset, "--out", str(out)]
            command += [*chosen, "--device", "cpu", "--threads", "1"]
            if subprocess.run(command, cwd=engine, env=environment, stdout=subprocess.DEVNULL, check=False).returncode:
                raise SystemExit("The engine did not decompose them all.")
            for file in sorted(out.glob("*/decomposition.join")):
                found |= {f"{preset}/{file.parent.name}/{name}": told for name, told in _tensors(file).items()}
    return found


def _tensors(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(str(path), framework="numpy") as file:
        arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
    return {
        name: hashlib.sha256(f"{array.dtype} {array.shape}".encode() + array.tobytes()).hexdigest()
        for name, array in arrays.items()
    }


def compare(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """A line for each tensor that is not the same in both."""
    lines = []
    for name in sorted(before.keys() | after.keys()):
        if name not in after or name not in before:
            lines.append(f"{name} is only {'before' if name in before else 'after'}")
        elif before[name] != after[name]:
            lines.append(f"{name} differs")
    return lines


def main(arguments: list[str] | None = None) -> int:
    """Exit status 1 where something differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    writing = verbs.add_parser("write", help="decompose images and write the hashes of their layers and codes")
    writing.add_argument("file", type=Path)
    writing.add_argument("images", type=Path, nargs="+", metavar="IMAGE")
    writing.add_argument("--engine", type=Path, default=ROOT, help="a checkout; default: this one")
    writing.add_argument("--bank", help="name or path of a bank (default: the engine's own)")
    writing.add_argument("--presets", nargs="+", default=["draft", "standard"])
    comparing = verbs.add_parser("compare", help="say which hashes of two such files differ")
    comparing.add_argument("files", type=Path, nargs=2, metavar="FILE")
    options = parser.parse_args(arguments)
    if options.verb == "write":
        found = write(options.images, options.engine.resolve(), options.bank, options.presets)
        options.file.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
        print(f"{len(found)} tensors of {len(options.images)} images in {options.file}")
        return 0
    before, after = (json.loads(path.read_text("utf-8")) for path in options.files)
    different = compare(before, after)
    print("\n".join(different) or f"All {len(after)} tensors are identical to the bit.")
    return int(bool(different))


if __name__ == "__main__":
    sys.exit(main())
