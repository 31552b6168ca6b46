# SPDX-License-Identifier: GPL-3.0-or-later
"""What a request may hold: checked in one place before anything is done with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from ..errors import JoinError
from ..untrusted import read_json

if TYPE_CHECKING:
    from ..forward_models import Formula

LONGEST_MESSAGE = 2**20
"""Bytes. Pixels never travel in messages; what is longer was not meant for us."""
_LONGEST_ID = 256
_LONGEST_PATH = 4096
_LONGEST_NAME = 100
_LARGEST_NUMBER = 1000.0
MOST = 1000
"""Layers, terms or edits in one request."""
MOST_PHOTOS = 32
"""Photos of one thing in one request: each is compared with each."""


def parse(data: bytes) -> dict[str, Any]:
    """A message: a JSON object with a ``type``. Raises JoinError ``message_too_long``, ``message_malformed``."""
    if len(data) > LONGEST_MESSAGE:
        sentence = f"A message is longer than {LONGEST_MESSAGE // 2**20} MiB."
        raise JoinError("message_too_long", sentence, "Name files instead of sending what is in them.")
    try:
        message = read_json(data, LONGEST_MESSAGE)
    except ValueError as error:
        raise JoinError("message_malformed", f"A message is not UTF-8 JSON ({error}).") from error
    if not isinstance(message.get("type"), str):
        raise JoinError("message_malformed", "A message must be a JSON object with a 'type'.")
    return message


def request_id(message: Mapping[str, Any]) -> str | int | None:
    """What the answers to a message carry. Raises JoinError ``request_invalid``."""
    value = message.get("id")
    if isinstance(value, bool) or not isinstance(value, str | int | None):
        raise JoinError("request_invalid", "An id is a string or a whole number.")
    if isinstance(value, str) and len(value) > _LONGEST_ID:
        raise JoinError("request_invalid", f"An id is longer than {_LONGEST_ID} characters.")
    return value


def check(message: Mapping[str, Any]) -> None:
    """See that the fields of a job's request are of their kinds; what is null counts as left out. Raises JoinError
    ``request_invalid``."""
    kind = message["type"]
    for key, (fits, words) in _FIELDS[kind].items():
        value = message.get(key)
        if value is not None and not fits(value):
            raise JoinError("request_invalid", f"In a {kind} request '{key}' is {words}, not {_short(value)}.")
        if value is None and key in _NEEDED:
            raise JoinError("request_invalid", f"A {kind} request needs '{key}', {words}.")


def formula_of(message: Mapping[str, Any]) -> Formula | None:
    """How the layers of an export make the image; None where the client does not say."""
    formula = message.get("formula")
    if formula is None:
        return None
    return tuple(tuple(factor if isinstance(factor, str) else float(factor) for factor in term) for term in formula)


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"


def _is_path(value: Any) -> bool:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_PATH or "\0" in value:
        return False
    try:
        os.fsencode(value)
    except UnicodeEncodeError:  # half of a surrogate pair
        return False
    return True


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0.0 <= value <= _LARGEST_NUMBER


def _is_list(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MOST


def _are_paths(value: Any) -> bool:
    if not isinstance(value, dict) or len(value) > MOST or not all(map(_is_path, [*value, *value.values()])):
        return False
    # The name of a layer becomes part of a file's name.
    return all(len(name) <= _LONGEST_NAME and not set(name) & set("/\\") for name in value)


def _is_formula(value: Any) -> bool:
    if not _is_list(value) or not all(_is_list(term) and term and all(map(_is_factor, term)) for term in value):
        return False
    return any(isinstance(factor, str) for term in value for factor in term)  # of numbers alone comes no picture


def _is_factor(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _are_photos(value: Any) -> bool:
    return _is_list(value) and len(value) <= MOST_PHOTOS and all(map(_is_path, value))


def _is_face(value: Any) -> bool:
    """``{"box": [left, top, right, bottom]}`` or ``{"points": [[x, y], [x, y], [x, y]]}``."""
    if not isinstance(value, dict) or len(value) != 1:
        return False
    box, points = value.get("box"), value.get("points")
    if box is not None:
        return _are_numbers(box, 4)
    return isinstance(points, list) and len(points) == 3 and all(_are_numbers(point, 2) for point in points)


def _are_numbers(value: Any, count: int) -> bool:
    number = (int, float)
    kinds = isinstance(value, list) and len(value) == count and all(isinstance(one, number) for one in value)
    return kinds and not any(isinstance(one, bool) for one in value)


_Field = tuple[Callable[[Any], bool], str]
_PATH: _Field = (_is_path, "a path")
_NAME = (_is_path, "a name")
_BANK = (_is_path, "the name or the path of a bank")
_WHOLE = (_is_whole, "a whole number from 0 on")
_NUMBER = (_is_number, f"a number from 0 to {_LARGEST_NUMBER:g}")
_SWITCH = (lambda value: isinstance(value, bool), "true or false")
_LAYERS = (_are_paths, "a path for each name")
_FORMULA = (_is_formula, "a list of lists of names and numbers")
_STORED: dict[str, _Field] = {"decomposition": _PATH, "bank": _BANK, "layers": _LAYERS}
_SEARCHED: dict[str, _Field] = {"output": _PATH, "bank": _BANK, "preset": _NAME, "seed": _WHOLE, "steps": _WHOLE}

# What each request that takes time may hold, beside its edits, which :class:`Edit` knows.
_FIELDS: dict[str, dict[str, _Field]] = {
    "decompose": {
        "image": _PATH,
        **_SEARCHED,
        "preview_every": _WHOLE,
        "preview_size": _WHOLE,
        "detail": _SWITCH,
        "layer": _NAME,
        "upright": _SWITCH,
        "files": _SWITCH,
        "skip_existing": _SWITCH,
        "mask": _PATH,
        "face": (_is_face, "a box of four numbers or three points of two, in pixels"),
    },
    "decompose_together": {
        "images": (_are_photos, f"a list of at most {MOST_PHOTOS} paths"),
        "names": (_are_photos, "a name for each image"),
        **_SEARCHED,
    },
    "relight": {**_STORED, "output": _PATH, "preview": _SWITCH, "preview_size": _WHOLE, "store": _SWITCH},
    "directions": {**_STORED, "preview_size": _WHOLE},
    "store": {**_STORED, "output": _PATH},
    "mix": {"decomposition": _PATH, "other": _PATH, "output": _PATH},
    "paste": {
        **_STORED,
        "patch": _PATH,
        "mask": _PATH,
        "scale": _NUMBER,
        "feather": _NUMBER,
        "steps": _WHOLE,
        "output": _PATH,
    },
    "export": {
        "layers": _LAYERS,
        "format": _NAME,
        "depth": _WHOLE,
        "output": _PATH,
        "alpha": _PATH,
        "formula": _FORMULA,
    },
    "convert": {"image": _PATH, "output": _PATH},
    "maps": {"layers": _LAYERS, "relief": _NUMBER, "output": _PATH, "alpha": _PATH},
    "tile": {"layers": _LAYERS, "output": _PATH},
}
_NEEDED = {"other", "patch", "image", "images", "output", "decomposition", "format", "depth"}
