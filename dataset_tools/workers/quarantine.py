# SPDX-License-Identifier: GPL-3.0-or-later
"""Samples that are left out because they ended or hung their worker twice: FOLDER/quarantine.jsonl, one a line."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from dataset_tools.errors import UserError
from dataset_tools.storage.shards import Shard, atomic, json_bytes
from join_engine.untrusted import read_json

NAME = "quarantine.jsonl"


def read(folder: Path) -> dict[int, str]:
    """Reasons by index. A line that a kill cut in half is left out, and so is what is no entry: it is tried again."""
    found: dict[int, str] = {}
    try:
        lines = (folder / NAME).read_bytes().splitlines()
    except FileNotFoundError:
        return found
    for line in lines:
        with suppress(ValueError, KeyError, TypeError):
            entry = read_json(line)
            found[entry["index"] + 0] = entry["reason"] + ""
    return found


def of_shard(folder: Path, shard: Shard) -> dict[int, str]:
    """Reasons by index, of one shard."""
    return {index: reason for index, reason in read(folder).items() if index in shard.indices}


def add(folder: Path, index: int, reason: str) -> None:
    """Append a sample. One short write at the end of the file, since several jobs may share the folder."""
    path = folder / NAME
    try:
        number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(number, json_bytes({"index": index, "reason": reason}))
        finally:
            os.close(number)
    except OSError as error:
        raise UserError(f"Could not write {path} ({error.strerror or error}): make room there.") from error


def forget(folder: Path, indices: Iterable[int]) -> None:
    """Take samples out again, so that they are tried anew."""
    kept = {index: reason for index, reason in read(folder).items() if index not in set(indices)}
    if (folder / NAME).exists():
        with atomic(folder / NAME) as partial:
            partial.write_bytes(b"".join(json_bytes({"index": i, "reason": r}) for i, r in sorted(kept.items())))
