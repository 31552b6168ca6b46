# SPDX-License-Identifier: GPL-3.0-or-later
"""The report of a problem holds nothing private."""

from __future__ import annotations

import pytest

from join_blender.engine.problem import numbered, without_private, write_report

KNOWN = {
    "/home/zoe": "<home>",
    "C:\\Users\\Zoë": "<home>",
    "zoe": "<user>",
    "/home/zoe/.config/blender/join": "<add-on>",
    **numbered("picture", ["Zoë passport.png", "wall"]),
}
KEPT = (
    'File "<add-on>/join_engine/pipeline.py", line 30, in decompose',
    "x / (1 + x), 1/2 Size, 24.00 / 19.89, and/or, 3 × 4, a.b.c",
    "New layers (stopped early): albedo, shading",
    "torch 2.13.0+cpu, numpy 2.1, join_engine.errors.JoinError: 'T' is no bank",
)
HIDDEN = (
    "/home/zoe/Clients/Acme Corp/wall paint.png cannot be read",
    "file:/mnt/Acme/secret folder/a",
    "[Errno 2] No such file: '/mnt/My Clients/Acme/x y'",
    '[Errno 2] No such file: "D:\\\\Acme\\\\b c.png"',
    "C:\\Users\\Zoë\\Acme\\photo.blend is gone",
    "c:/users/Acme/layers",
    "\\\\server\\Acme\\share is full",
    "/mnt/Zoë's secret/Acme stays",
    "~/Acme/layers cannot be written",
    "'Zoë passport.png' has no finished layers. Zoë passport albedo",
    "opened Acme-wedding.JPG, Acme.blend and Acme.mp4",
    "zoe@machine",
)


@pytest.mark.parametrize("line", KEPT)
def test_what_helps_stays(line: str) -> None:
    assert without_private(line.replace("<add-on>", "/home/zoe/.config/blender/join"), KNOWN) == line


@pytest.mark.parametrize("line", HIDDEN)
def test_what_is_private_goes(line: str) -> None:
    told = without_private(line, KNOWN)
    for private in ("zoe", "Zoë", "Acme", "Clients", "passport", "secret", "x y", "b c", "wall", "server", "wedding"):
        assert private not in told, told


def test_a_picture_is_one_thing_throughout() -> None:
    names = numbered("picture", ["a b.png", "c.png", "a b.png", ""])
    assert names == {"a b.png": "<picture 1>", "a b": "<picture 1>", "c.png": "<picture 2>", "c": "<picture 2>"}
    text = write_report({"Job": {"Name": "a b.png"}, "Said": ["a b albedo", "abc"], "Nothing": []}, names)
    assert text.splitlines()[1:] == ["", "## Job", "Name: <picture 1>", "", "## Said", "<picture 1> albedo", "abc"]
