# SPDX-License-Identifier: GPL-3.0-or-later
"""What it takes before a Blender can be clicked in, in the project's Python: the zip, tiny packages of an engine and an
index of them, pictures, a bank."""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
TOOL = ROOT.parent / "shared" / "tools" / "real-blender"


def arguments(description: str | None) -> argparse.ArgumentParser:
    """What every script here can be told."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--blender", default="blender", help="a Blender, 4.3, 5.2, or a command that starts one")
    parser.add_argument("--image", type=Path, help="what to decompose; a small made-up one if not given")
    parser.add_argument("--bank", default="", help="name or file of a bank; the default one if not given")
    parser.add_argument("--preset", default="best")
    parser.add_argument("--picture", type=Path, help="where to save pictures of the window, with the step in the name")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    parser.set_defaults(photos=[], only="")
    return parser


def outside(script: Path, given: argparse.Namespace) -> int:
    """Build what is needed and start the script once more, as its inner half beside that Blender, on its screen."""
    sys.path.insert(0, str(ROOT))
    from tests.join_blender.support import lit, make_bank, photo, write_movie, write_png
    from tests.join_blender.tiny_index import Index, make_lock, make_wheels
    from tools.build_zip import build

    engine = os.environ.get("JOIN_ENGINE_PYTHON") or sys.executable
    with tempfile.TemporaryDirectory(prefix="join-gui-") as name:
        folder = Path(name)
        photos = [path.resolve() for path in given.photos] or [
            write_png(folder / f"{light}.png", lit(light)) for light in ("left", "above", "right")
        ]
        image, bank = given.image and given.image.resolve(), given.bank
        if given.only == "together":
            image = image or photos[0]
        if given.only in ("sequence", "movie"):
            (folder / "frames").mkdir()
            dimmed = [(photo(256, 256) * (1.0 - 0.01 * number)).astype("uint8") for number in range(1, 41)]
            if given.only == "movie":
                image = write_movie(folder / "frames" / "shot.mp4", dimmed)
            for number, frame in enumerate(dimmed if image is None else (), 1):
                write_png(folder / "frames" / f"shot.{number:04d}.png", frame)
            image = image or folder / "frames" / "shot.0001.png"
        if given.only == "profile":
            photos = _photos_of_other_colours(folder)
            image = photos[0]
        if not bank and not any((ROOT / "join_engine" / "banks").glob("*.safetensors")):
            print("no bank is shipped yet: a bank of random weights stands in", flush=True)
            bank = str(make_bank(folder / "random.safetensors", engine))
        environment = {
            **os.environ,
            "JOIN_GUI": str(folder),
            "JOIN_GUI_ZIP": str(build(folder)),
            "JOIN_GUI_IMAGE": str(image or write_png(folder / "photo.png", photo(256, 256))),
            "JOIN_GUI_PHOTOS": json.dumps([str(path) for path in photos]),
            "JOIN_GUI_BANK": bank,
            "JOIN_GUI_PRESET": given.preset.upper(),
            "JOIN_GUI_ENGINE": engine,
            "OMP_NUM_THREADS": "1",  # the test shares its machine
            "JOIN_GUI_PICTURE": str(given.picture.resolve() if given.picture else ""),
            "JOIN_GUI_ONLY": given.only,
        }
        wheels = make_wheels(folder / "wheels")
        for python in ("3.11", "3.12", "3.13", "3.14"):
            make_lock(folder / "locks", wheels, python=python)
        index = Index(wheels)
        environment |= {"PIP_INDEX_URL": index.url, "PIP_CONFIG_FILE": os.devnull, "PIP_FIND_LINKS": ""}
        try:
            command = _inner_command(given.blender, script.resolve())
            return subprocess.run(command, env=environment, check=False).returncode
        finally:
            index.close()


def _photos_of_other_colours(folder: Path) -> list[Path]:
    """One in Display P3 and one in Adobe RGB, with what the shell reads of them as ``.npy`` beside each."""
    import numpy as np
    from PIL import Image

    from join_engine.images.files import read_image
    from tests.join_engine.test_pictures import ADOBE_RGB, DISPLAY_P3

    made = []
    for name, profile in (("phone.jpg", DISPLAY_P3), ("camera.jpg", ADOBE_RGB)):
        with Image.open(ROOT / "samples" / "photos" / "coffee.jpg") as picture:
            picture.save(folder / name, icc_profile=profile, quality=95)
        np.save(folder / f"{Path(name).stem}.npy", read_image(folder / name))
        made.append(folder / name)
    return made


def _inner_command(blender: str, script: Path) -> list[str]:
    words = shlex.split(blender)
    if words in (["4.3"], ["5.2"]) and TOOL.exists():
        words = [str(TOOL), *words]
    if Path(words[0]).name == TOOL.name:
        return [*words, "--exec", "python3", str(script), "--inside", "--blender", "blender"]
    if shutil.which(words[0]) is None:
        raise SystemExit(f"There is no Blender '{words[0]}'. Name one: make test-gui BLENDER=/path/to/blender")
    inner = [sys.executable, str(script), "--inside", "--blender", blender]
    if os.environ.get("DISPLAY"):
        return inner
    if shutil.which("xvfb-run") is None:
        raise SystemExit("There is no screen, and no xvfb-run to make one.")
    return ["xvfb-run", "-a", "-s", "-screen 0 1920x1080x24", *inner]
