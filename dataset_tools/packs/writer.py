# SPDX-License-Identifier: GPL-3.0-or-later
"""The tar files that training reads: ``pack.json`` first, then the samples; one file, or several of a bounded size.

    train.tar                                       without a bound
    train-00000-of-00002.tar, train-00001-of-…      with one; each holds whole samples and can be read alone

Equal samples give equal bytes. No file has its final name before all are complete.
"""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from dataset_tools.errors import UserError
from dataset_tools.storage import shards
from join_engine import leftovers
from join_engine.names import refuse_no_file

HEADER = "pack.json"
_BLOCK = tarfile.BLOCKSIZE
# A header is complete only when its part is: it gets this many spare bytes for the numbers that come late.
_SPARE = 160


class PackWriter:
    """Writes samples into one pack or into parts of at most ``max_bytes``; a context manager that publishes at its end.

    ``header`` is the contents of each file's ``pack.json``, to which ``count`` (of that file) is added, and ``part``
    and ``parts`` where there may be several. Raises UserError when a sample alone is larger than a part may be, or
    when the disk is full.
    """

    def __init__(self, out: Path, header: Mapping[str, Any], max_bytes: int | None = None) -> None:
        self._out = out
        self._header = dict(header)
        self._max_bytes = max_bytes
        self._partials: list[Path] = []
        self._counts: list[int] = []
        self._archive: tarfile.TarFile | None = None
        self.written: list[Path] = []
        """The finished files, once the block has ended."""

    def __enter__(self) -> PackWriter:
        return self

    def add(self, members: Sequence[tuple[str, bytes]]) -> None:
        """Append one sample: names and contents of its members, which stay together in one file."""
        size = sum(_BLOCK + -(-len(data) // _BLOCK) * _BLOCK for _, data in members)
        try:
            archive = self._archive_for(size)
            for name, data in members:
                shards.add_member(archive, name, data)
        except OSError as error:
            raise self._not_written(error) from error
        self._counts[-1] += 1

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        try:
            self._close()
            if kind is None:
                self._publish()
        except OSError as failure:
            raise self._not_written(failure) from failure
        finally:
            for partial in self._partials:
                with suppress(OSError):
                    partial.unlink(missing_ok=True)

    def _archive_for(self, size: int) -> tarfile.TarFile:
        """The archive that takes the next ``size`` bytes."""
        if self._archive and not self._fits(self._archive, size):
            self._close()
        if self._archive is None:
            self._archive = self._open()
            if not self._fits(self._archive, size):
                raise UserError(
                    f"One sample needs {size / 2**20:.1f} MiB and a part may have {(self._max_bytes or 0) / 2**20:g}: "
                    "raise --max-mib or lower --resolution."
                )
        return self._archive

    def _fits(self, archive: tarfile.TarFile, size: int) -> bool:
        end = archive.offset + size + 2 * _BLOCK
        # A tar is padded to whole records.
        return self._max_bytes is None or -(-end // tarfile.RECORDSIZE) * tarfile.RECORDSIZE <= self._max_bytes

    def _open(self) -> tarfile.TarFile:
        refuse_no_file(self._out)
        self._out.parent.mkdir(parents=True, exist_ok=True)
        leftovers.sweep(self._out.parent, ".partial")
        name = f".{self._out.name}.{leftovers.owner()}-{len(self._partials):05d}.partial"
        self._partials.append(self._out.with_name(name))
        self._counts.append(0)
        archive = tarfile.open(self._partials[-1], "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - until _close
        shards.add_member(archive, HEADER, b" " * self._header_size())
        return archive

    def _header_size(self) -> int:
        return -(-(len(shards.json_bytes(self._header)) + _SPARE) // _BLOCK) * _BLOCK

    def _close(self) -> None:
        if self._archive:
            self._archive.close()
            self._archive = None

    def _publish(self) -> None:
        """Complete the headers, give the files their names, and remove those of an earlier export of this name."""
        parts = len(self._partials)
        for part, (partial, count) in enumerate(zip(self._partials, self._counts, strict=True)):
            numbers = {} if self._max_bytes is None else {"part": part, "parts": parts}
            text = json.dumps({**self._header, "count": count, **numbers}, sort_keys=True, ensure_ascii=False)
            with partial.open("r+b") as file:
                file.seek(_BLOCK)  # behind the block that names the member
                file.write(text.encode().ljust(self._header_size() - 1) + b"\n")
        for part, partial in enumerate(self._partials):
            name = f"{self._out.stem}-{part:05d}-of-{parts:05d}{self._out.suffix}"
            path = self._out if self._max_bytes is None else self._out.with_name(name)
            partial.replace(path)
            self.written.append(path)
        for path in (self._out, *existing_parts(self._out)):
            if path not in self.written:
                path.unlink(missing_ok=True)

    def _not_written(self, error: OSError) -> UserError:
        reason = error.strerror or error
        return UserError(f"Could not write {self._out} ({reason}): make room there or choose another folder.")


def existing_parts(out: Path) -> list[Path]:
    """The files beside ``out`` that are parts of a divided pack of its name, in order."""
    pattern = re.compile(re.escape(out.stem) + r"-\d{5}-of-\d{5}" + re.escape(out.suffix))
    return sorted(path for path in out.parent.iterdir() if pattern.fullmatch(path.name))
