# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the extension with Blender's own tool, which also comes with the bpy wheel: ``build_zip.py --out dist``.

Prints the zip's path. Fails when the manifest is not valid or the zip holds what it should not.
"""

from __future__ import annotations

import argparse
import importlib.util
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_EXPECTED = {"__init__.py", "blender_manifest.toml", "LICENSE", "join_blender", "join_engine"}


def build(out: Path) -> Path:
    """The zip, complete under its name.

    Raises:
        SystemExit: with one sentence, when it cannot be built.
    """
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"{manifest['id']}-{manifest['version']}.zip"
    _run_tool("build", "--source-dir", str(ROOT), "--output-filepath", str(target))
    _run_tool("validate", str(target))
    _check_contents(target)
    return target


def _run_tool(*arguments: str) -> None:
    done = subprocess.run([sys.executable, str(_tool()), *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"The extension could not be built: {(done.stdout + done.stderr).strip()}")


def _tool() -> Path:
    spec = importlib.util.find_spec("bpy")  # finds the package without importing it, which takes seconds
    if spec is None or spec.origin is None:
        raise SystemExit("This Python has no bpy, which brings the tool that builds extensions.")
    found = sorted(Path(spec.origin).parent.glob("*/scripts/addons_core/bl_pkg/cli/blender_ext.py"))
    if not found:
        raise SystemExit("This bpy does not bring the tool that builds extensions.")
    return found[-1]


def _check_contents(target: Path) -> None:
    with zipfile.ZipFile(target) as archive:
        names = archive.namelist()
    top = {name.split("/")[0] for name in names}
    if top != _EXPECTED:
        raise SystemExit(f"The zip should hold {sorted(_EXPECTED)}, but holds {sorted(top)}.")
    if strays := [name for name in names if "__pycache__" in name or name.endswith(".pyc")]:
        raise SystemExit(f"The zip holds Python's caches: {strays[:3]}.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    print(build(parser.parse_args().out))
