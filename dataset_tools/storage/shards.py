# SPDX-License-Identifier: GPL-3.0-or-later
"""The dataset on disk: WebDataset tar shards, their manifest, and what makes a killed run resume.

    FOLDER/dataset.json                          what the dataset is; a run with other settings is refused
    FOLDER/manifest.jsonl                        one line per sample: index, split, shard, sha256, seconds
    FOLDER/shards/primeshapes-00000064-064.tar   first index and count; per sample {index:08d}.exr and {index:08d}.json
    FOLDER/shards/primeshapes-00000064-064.jsonl the shard's part of the manifest, written last: the shard is finished
    FOLDER/quarantine.jsonl                      samples that are left out because they ended their worker, and why

Everything is written to a temporary name and renamed. A tar's bytes depend on the descriptions, the settings, the
Blender build and the CPU only; what differs from run to run (seconds) is in the manifest.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import secrets
import tarfile
import tempfile
import time
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from dataset_tools.errors import UserError
from join_engine import leftovers
from join_engine.names import refuse_no_file
from join_engine.untrusted import open_tar, read_json, tar_content

FORMAT = 2
SHARD_SIZE = 64
_STALE_SECONDS = 3600.0
_NAME = re.compile(r"^(?P<dataset>.+)-(?P<first>\d{8})-(?P<count>\d{3,})\.jsonl$")


@dataclass(frozen=True)
class Shard:
    """A run of consecutive samples that is stored, and resumed, as one."""

    dataset: str
    first: int
    count: int

    @property
    def stem(self) -> str:
        """File name without its ending."""
        return f"{self.dataset}-{self.first:08d}-{self.count:03d}"

    @property
    def indices(self) -> range:
        """The samples it holds."""
        return range(self.first, self.first + self.count)


@dataclass(frozen=True)
class Sample:
    """What is stored of one sample: the EXR as bytes, the JSON beside it, and its manifest entries (seconds)."""

    index: int
    split: str
    exr: bytes
    description: Mapping[str, Any]
    notes: Mapping[str, Any]


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` that takes its name when the block ends well, and vanishes when it does not."""
    # Its owner's number lets the supervisor find what a worker left.
    partial = path.with_name(f".{path.name}.{leftovers.owner()}-{secrets.token_hex(4)}.partial")
    try:
        refuse_no_file(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        leftovers.sweep(path.parent, ".partial")
        yield partial
        partial.replace(path)
    except OSError as error:
        raise _unwritable(path, error) from error
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


def add_member(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    """Append a file with fixed owner, mode and time, so that equal contents give equal archives."""
    info = tarfile.TarInfo(name)
    info.size = len(data)
    info.mode = 0o644
    archive.addfile(info, io.BytesIO(data))


def json_bytes(data: Any) -> bytes:
    """JSON in one fixed form."""
    return (json.dumps(data, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()


def open_dataset(folder: Path, header: Mapping[str, Any]) -> None:
    """Create ``dataset.json``, or refuse a folder that holds something else. ``header`` decides the pixels."""
    path = folder / "dataset.json"
    wanted = {"format": FORMAT, **header}
    if path.exists():
        found = read_header(folder)
        for name in sorted(wanted.keys() | found.keys()):
            if name == "scan_splits" and name not in found and "materials" in found:
                raise UserError(
                    f"{folder} was begun by an older version, which put colour variants of one scan into different "
                    "splits: choose another --out."
                )
            if wanted.get(name) != found.get(name):
                raise UserError(
                    f"{folder} holds a dataset with {name} {found.get(name)!r}, not {wanted.get(name)!r}: "
                    "choose another --out, or the settings it was rendered with."
                )
        return
    check_folder(folder)
    with atomic(path) as partial:
        partial.write_bytes(json_bytes(wanted))


def check_folder(folder: Path) -> None:
    """Raise UserError where no dataset can be rendered to: something else is there, or it cannot be written to."""
    if folder.is_dir():
        names = {path.name for path in folder.iterdir() if not path.name.endswith((".partial", ".lock"))}
        # Another job may be about to create it too, with the same contents.
        if names and "dataset.json" not in names:
            raise UserError(f"{folder} is not empty and holds no dataset.json: choose another --out.")
    try:
        # Without a name where the system can do that, and in the nearest folder that is there: nothing is created yet.
        with tempfile.TemporaryFile(dir=nearest(folder)):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from error


@contextmanager
def dataset_of_ones_own(folder: Path) -> Iterator[None]:
    """A dataset that no other run renders to meanwhile. Raises UserError."""
    with ExitStack() as stack:
        try:
            stack.enter_context(leftovers.alone_in(folder))
        except leftovers.InUse as error:
            message = f"In {folder} {error} renders already: wait for its end, or choose another --out."
            raise UserError(message) from error
        except OSError as error:
            raise _unwritable(folder, error) from error
        yield


def nearest(folder: Path) -> Path:
    """``folder``, or the first one above it that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def _unwritable(path: Path, error: OSError) -> UserError:
    reason = error.strerror or error
    return UserError(f"Could not write {path} ({reason}): make room there or choose another folder.")


def remove_stale(folder: Path) -> None:
    """Remove temporary files that killed runs left behind: those of processes that are gone, and those that nobody has
    written to for an hour."""
    for path in (*folder.glob(".*.partial"), *folder.glob("shards/.*.partial")):
        with suppress(OSError):
            if leftovers.is_left_behind(path) or time.time() - path.stat().st_mtime > _STALE_SECONDS:
                path.unlink()


def remove_partial(folder: Path, shard: Shard, process: int) -> None:
    """Remove what a process that was ended had written of a shard."""
    for path in (folder / "shards").glob(f".{shard.stem}.*.????????-{process}-*.partial"):
        with suppress(OSError):
            path.unlink()


def read_header(folder: Path) -> dict[str, Any]:
    """The contents of ``dataset.json``."""
    try:
        header = read_json((folder / "dataset.json").read_bytes())
    except OSError:
        raise UserError(f"{folder} holds no dataset.json: name the folder that was rendered to.") from None
    except ValueError:
        raise UserError(f"{folder / 'dataset.json'} is not valid JSON: render into a new folder.") from None
    if header.get("format") != FORMAT:
        raise UserError(f"{folder / 'dataset.json'} is not of format {FORMAT}: use the version that rendered it.")
    return header


def finished(folder: Path) -> list[Shard]:
    """The finished shards, by first index."""
    shards = []
    for path in (folder / "shards").glob("*.jsonl"):
        match = _NAME.match(path.name)
        if match and path.with_suffix(".tar").exists():
            shards.append(Shard(match["dataset"], int(match["first"]), int(match["count"])))
    return sorted(shards, key=lambda shard: shard.first)


def damaged(folder: Path) -> list[Shard]:
    """Shards that were finished once and whose tar or list was cut since: resuming renders them again."""
    return [shard for shard in finished(folder) if not _is_whole(folder, shard)]


def _is_whole(folder: Path, shard: Shard) -> bool:
    path = folder / "shards" / f"{shard.stem}.tar"
    if not has_end(path):
        return False
    try:
        listed = [f"{entry['index']:08d}.exr" for entry in _shard_entries(folder, shard)]
        with open_tar(path) as archive:
            return listed == [name for name in archive.getnames() if name.endswith(".exr")]
    except (UserError, tarfile.TarError, OSError, EOFError, ValueError):
        return False


def discard(folder: Path, shard: Shard) -> None:
    """Remove a shard, so that it is rendered anew."""
    for ending in (".jsonl", ".tar"):
        (folder / "shards" / f"{shard.stem}{ending}").unlink(missing_ok=True)


def has_end(path: Path) -> bool:
    """Whether a tar ends as every whole one does: on a full record, with two empty blocks."""
    size = path.stat().st_size
    if size == 0 or size % tarfile.RECORDSIZE:
        return False
    with path.open("rb") as file:
        file.seek(size - 2 * tarfile.BLOCKSIZE)
        return not any(file.read())


def missing(folder: Path, dataset: str, wanted: range, again: Iterable[int] = ()) -> list[Shard]:
    """Shards that have to be rendered so that all ``wanted`` indices are there.

    Cut on a fixed grid, so that a longer run later continues a shorter one. Finished shards with one of the indices
    ``again``, and damaged ones, count as missing.
    """
    anew = set(again).union(*(shard.indices for shard in damaged(folder)))
    covered = {index for shard in finished(folder) if anew.isdisjoint(shard.indices) for index in shard.indices}
    runs: list[list[int]] = []
    for index in (i for i in wanted if i not in covered):
        if runs and runs[-1][-1] == index - 1 and index % SHARD_SIZE:
            runs[-1].append(index)
        else:
            runs.append([index])
    return [Shard(dataset, run[0], len(run)) for run in runs]


def write_shard(folder: Path, shard: Shard, samples: Iterable[Sample]) -> int:
    """Write a shard from its samples (in order), then the part of the manifest that marks it as finished.

    Samples that are left out are listed in ``quarantine.jsonl``; the shard is finished all the same. Returns the tar's
    size in bytes.
    """
    path = folder / "shards" / f"{shard.stem}.tar"
    lines = []
    with atomic(path) as partial, tarfile.open(partial, "w", format=tarfile.USTAR_FORMAT) as archive:
        for sample in samples:
            add_member(archive, f"{sample.index:08d}.exr", sample.exr)
            add_member(archive, f"{sample.index:08d}.json", json_bytes(sample.description))
            lines.append(_manifest_line(shard, sample))
    with atomic(path.with_suffix(".jsonl")) as partial:
        partial.write_bytes(b"".join(lines))
    return path.stat().st_size


def _manifest_line(shard: Shard, sample: Sample) -> bytes:
    entry = {
        "index": sample.index,
        "split": sample.split,
        "shard": f"shards/{shard.stem}.tar",
        "sha256": {
            "exr": hashlib.sha256(sample.exr).hexdigest(),
            "json": hashlib.sha256(json_bytes(sample.description)).hexdigest(),
        },
        **sample.notes,
    }
    return json_bytes(entry)


def write_manifest(folder: Path) -> int:
    """Join the parts of all finished shards into ``manifest.jsonl``; returns the number of samples."""
    found = None
    # Again if another job finished a shard meanwhile: the last one to write has seen them all.
    while found != (found := finished(folder)):
        lines = [json_bytes(entry) for shard in found for entry in _shard_entries(folder, shard)]
        with atomic(folder / "manifest.jsonl") as partial:
            partial.write_bytes(b"".join(lines))
    return len(lines)


def _shard_entries(folder: Path, shard: Shard) -> list[dict[str, Any]]:
    """The shard's part of the manifest. Raises UserError where it was cut."""
    path = folder / "shards" / f"{shard.stem}.jsonl"
    try:
        found = [read_json(line) for line in path.read_bytes().splitlines()]
        for entry in found:
            _ = entry["index"] + 0, entry["split"] + "", entry["shard"] + "", entry["sha256"]["exr"] + ""
        return found
    except (ValueError, TypeError, KeyError):
        pass
    raise UserError(
        f"{path} is cut short or damaged: run the command that made the dataset again for samples {shard.first} to "
        f"{shard.indices[-1]}."
    )


def entries(folder: Path, without: Container[Shard] = ()) -> list[dict[str, Any]]:
    """Manifest entries of all finished shards but those ``without``, by index; works while rendering goes on."""
    found: dict[int, dict[str, Any]] = {}
    for shard in finished(folder):
        if shard not in without:
            for entry in _shard_entries(folder, shard):
                found.setdefault(entry["index"], entry)
    return [found[index] for index in sorted(found)]


def read_samples(folder: Path, chosen: Iterable[Mapping[str, Any]]) -> Iterator[tuple[int, bytes, dict[str, Any]]]:
    """Index, EXR bytes and description of the samples with the given manifest entries, checked against their hashes."""
    for shard, group in groupby(chosen, key=lambda entry: str(entry["shard"])):
        try:
            with open_tar(folder / shard) as archive:
                for entry in group:
                    exr = _member(archive, f"{entry['index']:08d}.exr", entry["sha256"]["exr"])
                    description = _member(archive, f"{entry['index']:08d}.json", entry["sha256"]["json"])
                    yield entry["index"], exr, json.loads(description)
        except (tarfile.TarError, OSError, EOFError, ValueError, TypeError, KeyError) as error:
            raise UserError(
                f"{folder / shard} is cut short or damaged ({error}): delete it and render again (verify names all)."
            ) from error


def _member(archive: tarfile.TarFile, name: str, sha256: str) -> bytes:
    data = tar_content(archive, archive.getmember(name))
    if hashlib.sha256(data).hexdigest() != sha256:
        raise UserError(f"{name} in {archive.name!s} does not match its hash: delete that shard and render again.")
    return data
