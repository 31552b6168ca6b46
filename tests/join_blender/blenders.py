# SPDX-License-Identifier: GPL-3.0-or-later
"""The zip in every supported Blender: ``blenders.py [VERSION …]``, with the real engine and the shipped bank.

Each version has an environment of its own (``tests/blender_versions.py``), with bpy and numpy and nothing else. The
engine runs with this interpreter (or with ``JOIN_ENGINE_PYTHON``), as it does for a user.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import OpenEXR

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # a script of the checkout, not of the extension

from tests.blender_versions import VERSIONS, environment  # noqa: E402
from tests.join_blender.support import Blender, make_bank, photo, write_png  # noqa: E402
from tools.build_zip import build  # noqa: E402

_TOLERANCE = 1e-4
_ENGINE = os.environ.get("JOIN_ENGINE_PYTHON") or sys.executable


def main(versions: list[str]) -> int:
    """Try each; prints a line per version, returns how many failed."""
    failed = 0
    with tempfile.TemporaryDirectory(prefix="join-blenders-") as name:
        folder = Path(name)
        archive = build(folder)
        bank = _bank(folder)
        image = write_png(folder / "photo.png", photo(48, 64))
        for version in versions:
            failed += not _try(version, folder / f"Blender {version} für Zoë", archive, bank, image)
    return failed


def _try(version: str, folder: Path, archive: Path, bank: str, image: Path) -> bool:
    python = environment(version)
    if python is None:
        print(f"{version}: SKIPPED, there is no Python {VERSIONS[version]} on this machine", flush=True)
        return True
    start = time.monotonic()
    blender = Blender(folder, archive, python)
    try:
        options = {"bank": bank, "preset": "STANDARD", "steps": 3}
        report = blender.run("photo", _ENGINE, 600, folder=folder, image=image, options=options)
        assert report["source_unchanged"], "the source image was changed"
        again = blender.run("render", _ENGINE, folder=folder)
        assert again["layers"] == report["layers"], "the layers did not survive saving"
        assert all(layer["packed"] and layer["fake_user"] for layer in again["layers"].values())
        difference = _difference(folder)
        assert difference < _TOLERANCE, f"the compositor is {difference:.2e} off"
        tree = blender.run("own_tree", _ENGINE, 600, image=image, options=options)
        assert tree["kept"] and not tree["crossing"] and tree["resolution"] == [123, 45], "the user's tree was touched"
        _suite(python)
    except (AssertionError, subprocess.TimeoutExpired) as error:
        print(f"{version}: FAILED\n{error}", flush=True)
        return False
    layers = len(again["layers"])
    print(
        f"{version}: ok, {layers} layers, compositor within {difference:.1e}, {time.monotonic() - start:.0f} s",
        flush=True,
    )
    return True


def _suite(python: Path) -> None:
    """All tests that run in a Blender, in that one: in a user's folder with umlauts and spaces in its path, an add-on
    whose files nobody may write, and no network."""
    names = ("test_in_blender", "test_install_in_blender", "test_layers", "test_sets")
    files = [f"tests/join_blender/{name}.py" for name in names]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", "--dist", "loadfile", *files]
    environment = {**os.environ, "JOIN_BPY_PYTHON": str(python), "JOIN_WALK_STEPS": "200"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=3600, check=False)
    assert done.returncode == 0, done.stdout[-4000:]


def _difference(folder: Path) -> float:
    with OpenEXR.File(str(folder / "rendered.exr")) as file:
        rendered = np.asarray(file.channels()["RGB"].pixels, dtype=np.float32)
    return float(np.abs(rendered - np.load(folder / "recomposed.npy")).max())


def _bank(folder: Path) -> str:
    """The default (shipped) bank; a small one of random weights as long as none is shipped."""
    if any((ROOT / "join_engine" / "banks").glob("*.safetensors")):
        return ""
    print("no bank is shipped yet: a bank of random weights stands in", flush=True)
    return str(make_bank(folder / "random.safetensors", _ENGINE))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(VERSIONS)))
