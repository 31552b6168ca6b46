# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a dataset whole and true? Hashes, pixels, splits and descriptions of every sample, read from the stored files."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from dataset_tools import specs
from dataset_tools.description.scene import Scene
from dataset_tools.description.seeds import split
from dataset_tools.errors import UserError
from dataset_tools.imports import importer as imports
from dataset_tools.progress import steps
from dataset_tools.sources import Sources
from dataset_tools.sources.scanned import group_of
from dataset_tools.storage import contents, passes, shards
from dataset_tools.storage.shards import Shard
from join_engine.untrusted import open_tar, read_json, tar_content

# The beginnings of the names of passes that Eq. 14 leaves out.
_ZERO = ("transmission", "emission", "environment")
# More of it than a print or a flower in a scan has.
_MAGENTA_SHARE = 0.01
# So many indices are named of the samples that share a fault.
_NAMED = 5

# What the header says of folders of files.
_DRAWN_FROM = ("materials", "environments", "skins")

Entry = Mapping[str, Any]


@dataclass(frozen=True)
class Report:
    """What was found wrong (one sentence each), what is worth knowing, and how much was looked at."""

    findings: list[str]
    notes: list[str]
    samples: int
    shards: int
    splits: dict[str, int]
    largest_error: float | None
    """Of the identity, from the stored passes; None where none was computed."""


@dataclass
class _Findings:
    """Collects faults; equal ones of many samples become one sentence."""

    sentences: list[str] = field(default_factory=list)
    samples: dict[str, list[int]] = field(default_factory=dict)
    notes: dict[str, list[int]] = field(default_factory=dict)
    largest_error: float | None = None

    def add(self, sentence: str) -> None:
        self.sentences.append(sentence)

    def sample(self, index: int, fault: str) -> None:
        self.samples.setdefault(fault, []).append(index)

    def note(self, index: int, fact: str) -> None:
        self.notes.setdefault(fact, []).append(index)


def verify(folder: Path, quick: bool = False) -> Report:
    """Check the dataset in ``folder``; ``quick`` looks at files, hashes and descriptions, but at no pixel.

    Reads one sample at a time. Raises UserError when the folder holds no dataset at all.
    """
    header = shards.read_header(folder)
    found = _Findings()
    parts = list(_parts(folder, found))
    entries = [entry for _, part in parts for entry in part]
    quarantined = _quarantined(folder, found)
    _check_manifest(folder, entries, found)
    _check_indices([shard for shard, _ in parts], entries, quarantined, found)
    owners: dict[str, tuple[str, int]] = {}
    with steps(len(entries), "verify") as advance:
        for shard, part in parts:
            for entry, exr, stored in _members(folder, shard, part, found):
                _check_description(header, entry, stored, owners, found)
                if not quick:
                    _check_pixels(header, entry["index"], exr, found)
                advance()
    return Report(
        findings=[*found.sentences, *(_sentence(fault, indices) for fault, indices in found.samples.items())],
        notes=[
            *(f"Sample {index} is in quarantine: {reason}." for index, reason in sorted(quarantined.items())),
            *(_sentence(fact, indices) for fact, indices in found.notes.items()),
        ],
        samples=len(entries),
        shards=len(parts),
        splits=dict(sorted(Counter(str(entry["split"]) for entry in entries).items())),
        largest_error=found.largest_error,
    )


def _sentence(fault: str, indices: list[int]) -> str:
    named = ", ".join(map(str, indices[:_NAMED])) + (", …" if len(indices) > _NAMED else "")
    return f"{len(indices)} sample{'s' if len(indices) > 1 else ''} ({named}): {fault}."


def _parts(folder: Path, found: _Findings) -> Iterator[tuple[Shard, list[dict[str, Any]]]]:
    """The finished shards with their entries; tells of those that are not finished or cannot be read."""
    finished = shards.finished(folder)
    stems = {shard.stem for shard in finished}
    for path in sorted((folder / "shards").glob("*")):
        if path.name.startswith(".") or path.stem in stems:
            continue
        if path.suffix in (".tar", ".jsonl"):
            found.add(
                f"{path.name} has no {'.jsonl' if path.suffix == '.tar' else '.tar'} of its name: delete it and run "
                "the render command again."
            )
    for shard in finished:
        path = folder / "shards" / f"{shard.stem}.jsonl"
        try:
            part = [read_json(line) for line in path.read_bytes().splitlines()]
            for entry in part:
                _ = entry["index"] + 0, entry["split"] + "", entry["shard"] + "", dict(entry["sha256"])
        except (ValueError, KeyError, TypeError):
            found.add(f"{path.name} is damaged: delete it and {shard.stem}.tar, and run the render command again.")
            continue
        foreign = [entry["index"] for entry in part if entry["index"] not in shard.indices]
        if foreign or {Path(entry["shard"]).stem for entry in part} - {shard.stem}:
            found.add(f"{path.name} lists samples that do not belong to it: delete it and {shard.stem}.tar.")
            continue
        yield shard, part


def _quarantined(folder: Path, found: _Findings) -> dict[int, str]:
    """Index and reason of the samples that were given up."""
    path = folder / "quarantine.jsonl"
    if not path.exists():
        return {}
    try:
        # A kill may have cut the last line in half: that sample is only tried again.
        whole = path.read_text("utf-8").rpartition("\n")[0]
        lines = [read_json(line) for line in whole.splitlines() if line.strip()]
        return {int(line["index"]): str(line.get("reason", "no reason was noted")).rstrip(".") for line in lines}
    except (ValueError, KeyError, TypeError, AttributeError):
        found.add(f"{path.name} is damaged: delete it and run the render command again.")
        return {}


def _check_manifest(folder: Path, entries: list[dict[str, Any]], found: _Findings) -> None:
    path = folder / "manifest.jsonl"
    advice = "run the render command again, which writes it anew."
    if not path.exists():
        found.add(f"{path.name} is missing, so rendering has not ended: {advice}")
        return
    try:
        listed = [read_json(line) for line in path.read_bytes().splitlines()]
    except ValueError:
        found.add(f"{path.name} is damaged: {advice}")
        return
    if len(listed) != len(entries):
        found.add(f"{path.name} counts {len(listed)} samples where the readable shards hold {len(entries)}: {advice}")
    elif listed != entries:
        found.add(f"{path.name} and the shards' own lists disagree: {advice}")


def _check_indices(
    parts: list[Shard], entries: list[dict[str, Any]], quarantined: Mapping[int, str], found: _Findings
) -> None:
    counts = Counter(entry["index"] for entry in entries)
    for index in sorted(index for index, count in counts.items() if count > 1):
        found.sample(index, "stored more than once, in shards that overlap: delete one of the shards")
    for index in sorted(set(quarantined) & set(counts)):
        found.sample(index, "in quarantine and in a shard: delete quarantine.jsonl and run the render command again")
    if not counts:
        found.add("There is no finished sample: run the render command again.")
        return
    known = set(counts) | set(quarantined)
    for before, after in pairwise([min(parts[0].first, min(known)) - 1, *sorted(known), max(parts[-1].indices) + 1]):
        if after > before + 1:
            found.add(
                f"Samples {before + 1} to {after - 1} are missing: run the render command again, or with --start "
                f"{before + 1} --count {after - before - 1}."
            )


def _members(
    folder: Path, shard: Shard, part: list[dict[str, Any]], found: _Findings
) -> Iterator[tuple[dict[str, Any], bytes, dict[str, Any]]]:
    """The samples of one shard whose bytes are those that were written."""
    name = f"{shard.stem}.tar"
    advice = f"delete it and {shard.stem}.jsonl, and run the render command again"
    try:
        with open_tar(folder / "shards" / name) as archive:
            for entry in part:
                names = [f"{entry['index']:08d}.{ending}" for ending in ("exr", "json")]
                data = [tar_content(archive, archive.getmember(member)) for member in names]
                hashes = [hashlib.sha256(member).hexdigest() for member in data]
                if hashes != [entry["sha256"].get("exr"), entry["sha256"].get("json")]:
                    found.sample(entry["index"], f"its bytes in {name} do not match their hashes: {advice}")
                    continue
                yield entry, data[0], json.loads(data[1])
            if not shards.has_end(folder / "shards" / name):
                found.add(f"{name} is cut short behind its last sample: {advice}.")
            surplus = set(archive.getnames()) - {f"{e['index']:08d}.{end}" for e in part for end in ("exr", "json")}
            if surplus:
                found.add(f"{name} holds {min(surplus)}, which its list does not know: {advice}.")
    except (tarfile.TarError, OSError, EOFError, ValueError, KeyError) as error:
        reason = str(error).strip("'\"") or type(error).__name__
        found.add(f"{name} is cut short or damaged ({reason}): {advice}.")


def _check_pixels(header: Mapping[str, Any], index: int, exr: bytes, found: _Findings) -> None:
    try:
        rendered = passes.read(exr)
    except UserError as error:
        found.sample(index, str(error).rstrip("."))
        return
    layers = {name: passes.component(rendered, name) for name in passes.COMPONENTS}
    size = header.get("resolution")
    if {layer.shape for layer in layers.values()} != {(size, size, 3)}:
        found.sample(index, f"not the {size}×{size} pixels that dataset.json promises")
    for name, values in rendered.items():
        if not np.all(np.isfinite(values)):
            found.sample(index, f"'{name}' holds values that are not numbers")
            return
    if imports.is_imported(header):
        return
    if _magenta_share(rendered["diffuse_color"]) > _MAGENTA_SHARE:
        found.sample(
            index,
            "its albedo shows the magenta of a texture that Blender could not read: put the texture right and render "
            "into a new folder",
        )
    for name, values in rendered.items():
        if name.startswith(_ZERO) and np.any(values):
            found.sample(index, f"the pass '{name}' is not zero, which Eq. 14 needs")
    difference = passes.identity_error(rendered)
    found.largest_error = max(difference, found.largest_error or 0.0)
    if not difference < passes.STORED_TOLERANCE:
        found.sample(index, "the stored passes do not add up to the image")


def _magenta_share(albedo: np.ndarray) -> float:
    """Of the pixels, [H, W, 3] linear, the share that is of a missing texture's colour: (1, 0, 1), which a material may
    bound (0.85, 0.01, 0.85), less what the gloss takes of each channel alike."""
    red, green, blue = np.moveaxis(albedo, -1, 0)
    return float(np.mean((red > 0.3) & (np.abs(red - blue) < 0.01 * red) & (green < 0.015 * red)))


def _check_description(
    header: Mapping[str, Any],
    entry: Entry,
    stored: Mapping[str, Any],
    owners: dict[str, tuple[str, int]],
    found: _Findings,
) -> None:
    index = entry["index"]
    if stored.get("index") != index or stored.get("seed") != header["seed"]:
        found.sample(index, "its description is of another sample")
        return
    if imports.is_imported(header):
        group = str(stored.get("source", {}).get("group"))
        wanted = imports.split_of(group)
        _check_owner(f"group {group}", entry, owners, found)
    else:
        wanted = split(header["seed"], index)
        _check_replay(header, index, stored, found)
        error = stored.get("identity_error")
        limit = passes.IDENTITY_TOLERANCE
        if not isinstance(error, (int, float)) or not error <= limit:
            found.sample(index, f"the identity error before storing was above {limit:g} or was not noted")
        textures, pictures = contents.textures(stored), contents.environments(stored)
        keys = (*map(group_of, textures), *(f"environment {file}" for file in pictures), *contents.forms(stored))
        for key in (_subject(stored["scene"]), *keys):
            _check_owner(key, entry, owners, found)
    if entry["split"] != wanted:
        found.sample(index, f"in the split '{entry['split']}' and belongs to '{wanted}'")


def _check_replay(header: Mapping[str, Any], index: int, stored: Mapping[str, Any], found: _Findings) -> None:
    """The description has to survive being read; that today's tool would draw it again is only worth knowing."""
    try:
        scene = Scene.from_json(stored["scene"])
        same = json.loads(json.dumps(scene.to_json())) == stored["scene"]
    except (KeyError, TypeError, ValueError, AttributeError):
        same = False
    if not same:
        found.sample(index, "its description cannot be replayed by this version of the tool")
        return
    if scene.dataset != header["dataset"] or (scene.seed, scene.index) != (header["seed"], index):
        found.sample(index, "its scene is of another sample")
        return
    # What was drawn from a folder of files takes that folder to be drawn again, which may lie elsewhere.
    if scene.dataset not in specs.DATASETS or any(header.get(f) for f in _DRAWN_FROM):
        return
    sources = Sources(lighting=header.get("lighting"), cutout_share=header.get("cutout_share"))
    if specs.describe(scene.dataset, scene.seed, scene.index, scene.attempt, sources) != scene:
        found.note(index, "described by another version of the tool; the stored description still renders it")


def _subject(scene: Mapping[str, Any]) -> str:
    """A hash of what may lie in one split only: the scene, or the covering where a sample is of one."""
    tile = scene.get("tile")
    subject = tile["covering"] if tile else {**scene, "index": None, "seed": None, "noise_seed": None, "attempt": None}
    return hashlib.sha256(shards.json_bytes(subject)).hexdigest()


def _check_owner(key: str, entry: Entry, owners: dict[str, tuple[str, int]], found: _Findings) -> None:
    owner, first = owners.setdefault(key, (str(entry["split"]), entry["index"]))
    if owner != entry["split"]:
        found.sample(entry["index"], f"the same scene or material as sample {first}, which is in the split '{owner}'")
