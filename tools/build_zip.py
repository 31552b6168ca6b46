# SPDX-License-Identifier: GPL-3.0-or-later
"""Builds the extension with Blender's own tool, which also comes with the bpy wheel: ``build_zip.py --out dist``.

With ``--wheels linux-x86_64-py311-cpu`` (the name of a lock file) the zip carries the engine's packages for that system
and Python, and then *Install Engine* needs no network. They are downloaded once, into ``dist/wheels``.

The manual goes into it as a page for a browser. Prints the zip's path. Fails when the manifest is not valid or the zip
holds what it should not.
"""

from __future__ import annotations

import argparse
import importlib.util
import itertools
import re
import shutil
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # a script of the checkout, not of the extension

from join_blender.install.builds import CARRIED, LOCKS, Build, read_build  # noqa: E402

MANUAL = ROOT / "docs" / "manual.md"
_STYLE = """
:root { color-scheme: light dark }
body { font: 16px/1.55 system-ui, sans-serif; margin: 2rem 1rem }
main { max-width: 46rem; margin: auto }
img { max-width: 100%; height: auto }
h2 { margin-top: 2.5rem }
table { border-collapse: collapse }
td, th { border-top: 1px solid #8886; padding: .3rem .6rem; text-align: left; vertical-align: top }
code { font-size: .9em }
pre { overflow-x: auto; background: #8882; padding: .6rem }
"""
_EXPECTED = {"__init__.py", "blender_manifest.toml", "LICENSE", "join_blender", "join_engine"}


def build(out: Path) -> Path:
    """The zip, complete under its name.

    Raises:
        SystemExit: with one sentence, when it cannot be built.
    """
    manifest = tomllib.loads((ROOT / "blender_manifest.toml").read_text(encoding="utf-8"))
    out.mkdir(parents=True, exist_ok=True)
    target = out / f"{manifest['id']}-{manifest['version']}.zip"
    partial = target.with_suffix(".partial.zip")
    _run_tool("build", "--source-dir", str(ROOT), "--output-filepath", str(partial))
    _add_manual(partial)
    _run_tool("validate", str(partial))
    _check_contents(partial)
    partial.replace(target)
    return target


def build_full(out: Path, lock: str) -> Path:
    """The zip that carries the wheels of a lock file, complete under its name.

    Raises:
        SystemExit: with one sentence, when it cannot be built.
    """
    wheels = read_build(LOCKS / f"{lock}.txt")
    folder = download(wheels, out / "wheels" / lock)
    small = build(out)
    target = small.with_name(f"{small.stem}-full-{lock}.zip")
    partial = target.with_suffix(".partial.zip")
    shutil.copyfile(small, partial)
    with zipfile.ZipFile(partial, "a", zipfile.ZIP_STORED) as archive:  # wheels are compressed already
        for wheel in wheels.wheels:
            archive.write(folder / wheel.file, (CARRIED / wheel.file).relative_to(ROOT).as_posix())
    _run_tool("validate", str(partial))
    _check_contents(partial)
    partial.replace(target)
    return target


def _add_manual(target: Path) -> None:
    """docs/manual.md as a page for a browser, with its pictures: ``join_blender/manual`` in the zip."""
    page, pictures = manual_page(MANUAL.read_text("utf-8"))
    with zipfile.ZipFile(target, "a", zipfile.ZIP_DEFLATED) as archive:
        folder = "join_blender/manual"
        entry = zipfile.ZipInfo(f"{folder}/manual.html", time.localtime()[:6])
        entry.external_attr = 0o644 << 16  # for everybody to read
        archive.writestr(entry, page, zipfile.ZIP_DEFLATED)
        for name in pictures:
            archive.write(MANUAL.with_name(name), f"{folder}/{name}")


def manual_page(text: str) -> tuple[str, list[str]]:
    """HTML of the manual's Markdown, and the names of the pictures that it shows. Headings have the ids that links to
    them on GitHub name; what links to another document keeps its words alone, as that is not in the zip."""
    from markdown_it import MarkdownIt

    markdown = MarkdownIt("commonmark").enable("table")
    tokens = markdown.parse(text)
    pictures: list[str] = []
    for before, token in itertools.pairwise(tokens):
        if before.type == "heading_open":
            before.attrSet("id", re.sub(r"[^\w\- ]", "", token.content.lower()).replace(" ", "-"))
        for child in token.children or ():
            if child.type == "image":
                pictures.append(str(child.attrGet("src")))
                child.attrSet("loading", "lazy")
            elif child.type == "link_open" and not str(child.attrGet("href")).startswith(("#", "https:")):
                child.attrs = {}  # in HTML, an "a" without an address is no link
    body = markdown.renderer.render(tokens, markdown.options, {})
    title = text.partition("\n")[0].lstrip("# ")
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style>'
    return f"{head}\n<main>\n{body}</main></html>\n", pictures


def download(build: Build, folder: Path) -> Path:
    """All wheels of the build; pip takes none but those that the lock names, and leaves those that are there."""
    system = {"linux": "manylinux_2_28", "windows": "win", "macos": "macosx_14_0"}[build.system.split("-")[0]]
    machine = build.system.split("-")[1].replace("x86_64", "amd64" if system == "win" else "x86_64")
    # fmt: off
    command = [
        sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps", "--require-hashes",
        "--only-binary", ":all:", "--python-version", build.python, *_tags(f"{system}_{machine}"),
        *(word for index in build.indexes for word in ("--extra-index-url", index)),
        "--dest", str(folder), "-r", str(build.lock),
    ]
    # fmt: on
    if subprocess.run(command, check=False).returncode != 0:
        raise SystemExit(f"The engine's packages of {build.lock.name} could not be downloaded.")
    return folder


def _tags(platform: str) -> list[str]:
    """pip's options for that platform and the older ones whose wheels it also runs."""
    system, _, machine = platform.partition("_2_28_")
    older = [f"{system}_2_{minor}_{machine}" for minor in (17, 24, 27)] + [f"{system}2014_{machine}"] if machine else []
    if platform.startswith("macosx"):
        older = [f"macosx_{major}_0_arm64" for major in (11, 12, 13)]
    return [word for tag in (platform, *older) for word in ("--platform", tag)]


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
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    parser.add_argument("--wheels", default="", help="name of the lock file whose wheels the zip shall carry")
    given = parser.parse_args()
    made = build_full(given.out, given.wheels) if given.wheels else build(given.out)
    print(f"{made} ({made.stat().st_size / 1e6:.1f} MB)")
