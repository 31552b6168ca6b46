# SPDX-License-Identifier: GPL-3.0-or-later
"""The dataset card: README.md and an example sheet inside the dataset's folder, generated from what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dataset_tools import specs
from dataset_tools.errors import UserError
from dataset_tools.imports import importer as imports
from dataset_tools.inspection import preview, stats, stats_text
from dataset_tools.storage import shards
from dataset_tools.storage.passes import COMPONENTS

README = "README.md"
EXAMPLE = "example.png"
_EXAMPLES = preview.Sheet(count=12, columns=4, tile=128)
# Enough for statistics that a reader wants, few enough for the end of every render.
_MEASURED = 100

_OWN_LICENSE = (
    "The renders are our own, of procedural descriptions, and in the public domain: CC0 1.0 "
    "(https://creativecommons.org/publicdomain/zero/1.0/). Scanned textures, where a sample's description names any, "
    "keep the licence of their authors."
)


def write(folder: Path, measured: int = _MEASURED) -> Path:
    """Write the card and its picture; returns the card. Needs Pillow and at least one finished sample."""
    header = shards.read_header(folder)
    numbers = stats.measure(folder, measured)
    preview.write(folder, _EXAMPLES, folder / EXAMPLE)
    with shards.atomic(folder / README) as partial:
        partial.write_text(_text(folder, header, numbers), "utf-8")
    return folder / README


def write_if_possible(folder: Path) -> str | None:
    """Write the card after a render; returns one sentence where that was not possible, since renders need no Pillow."""
    try:
        write(folder)
    except UserError as error:
        return f"No dataset card was written: {error} Then run: render.py card DIR"
    return None


def _text(folder: Path, header: Mapping[str, Any], numbers: Mapping[str, Any]) -> str:
    own = not imports.is_imported(header)
    tars = sorted((folder / "shards").glob("*.tar"))
    size = sum(path.stat().st_size for path in tars)
    facts = [
        f"- {numbers['samples']} samples of {header['resolution']}×{header['resolution']} pixels: "
        + ", ".join(f"{count} {name}" for name, count in numbers["splits"].items()),
        f"- shards: {len(tars)}, {_size(size)} in all, {_size(size / numbers['samples'])} a sample",
        f"- splits: {header['splits']}",
        *(_own_facts(header) if own else _imported_facts(header)),
    ]
    parts = [
        f"# {header['dataset']}",
        "Images with their albedo, shading and specular layers: image = albedo × shading + specular, scene-linear "
        "Rec.709.",
        f"![Random samples]({EXAMPLE})",
        "\n".join(facts),
        *(["## Made with", f"```\n{command(folder, header)}\n```"] if own else []),
        "## Files",
        _files(header, own),
        "## Statistics",
        stats_text.markdown(numbers).rstrip(),
        "## Licence",
        _OWN_LICENSE if own else str(header["mapping"].get("license") or "That of the source; the mapping names none."),
    ]
    return "\n\n".join(parts) + "\n"


def _own_facts(header: Mapping[str, Any]) -> list[str]:
    denoised = ", denoised components beside the raw passes" if header.get("denoise") else ""
    return [f"- Blender {header.get('blender', '?')}, Cycles, {header.get('samples', '?')} samples a pixel{denoised}"]


def _imported_facts(header: Mapping[str, Any]) -> list[str]:
    facts = [f"- other people's passes, composed by the mapping '{header['dataset']}' (in dataset.json)"]
    comment = header["mapping"].get("comment")
    return [*facts, f"- {comment}"] if comment else facts


def command(folder: Path, header: Mapping[str, Any]) -> str:
    """The command that renders the finished samples again, bytes and all, on the same Blender and processor."""
    indices = [entry["index"] for entry in shards.entries(folder)]
    words = ["render.py", header["dataset"], f"--count {max(indices) - min(indices) + 1}"]
    words += [f"--start {min(indices)}"] if min(indices) else []
    words += [f"--{name} {header[name]}" for name in ("resolution", "samples", "seed") if name in header]
    words += ["--denoise"] if header.get("denoise") else []
    words += [f"--device {header['device']}"] if header.get("device", "cpu") != "cpu" else []
    if header.get("materials"):
        words += [f"--materials {header['materials']}", f"--scanned-share {header['scanned_share']}"]
    words += [f"--skins {header['skins']}"] if header.get("skins") else []
    words += [f"--environments {header['environments']}"] if header.get("environments") else []
    if header.get("lighting"):
        words += ["--lighting", *(f"{kind}={share:g}" for kind, share in header["lighting"].items())]
    words += [f"--cutout-share {header['cutout_share']}"] if "cutout_share" in header else []
    return " ".join([*words, "--out DIR"])


def _files(header: Mapping[str, Any], own: bool) -> str:
    stored = ", ".join(f"`{name}`" for name in (header.get("passes", ()) if own else (*COMPONENTS, "mask")))
    holds = "its full description, seed and identity error" if own else "where it comes from"
    lines = [
        f"- `shards/*.tar` (WebDataset): `{{index:08d}}.exr`, half floats, layers {stored}; "
        f"`{{index:08d}}.json`, {holds}",
        "- `manifest.jsonl`: one line a sample: index, split, shard, sha256 of both files",
        "- `dataset.json`: what decides the pixels",
    ]
    if own:
        lines.append(
            "- albedo = diffuse_color; shading = diffuse_direct + diffuse_indirect; specular = glossy_color × "
            "(glossy_direct + glossy_indirect); `mask` is 0 where shading means nothing (bare metal, nearly black)"
        )
        if header["dataset"] in specs.CUTOUTS:
            lines.append(
                "- `alpha`, in the EXR of cut-outs only, is the share of a pixel that is not background; over black"
            )
    return "\n".join(lines)


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError
