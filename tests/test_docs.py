# SPDX-License-Identifier: GPL-3.0-or-later
"""The documents agree with the tree: links, paths, commands, rooms."""

from __future__ import annotations

import argparse
import configparser
import importlib
import re
from functools import cache
from pathlib import Path

import pytest

from dataset_tools.commands import main as renderer
from join_engine.commands.main import COMMANDS

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("join_blender", "join_engine", "dataset_tools")
FOLDERS = (".", "docs", "dataset_tools", "join_engine/banks", "samples/compared")
DOCUMENTS = sorted(path for folder in FOLDERS for path in (ROOT / folder).glob("*.md"))
IDS = [path.relative_to(ROOT).as_posix() for path in DOCUMENTS]


def anchors(path: Path) -> set[str]:
    """Of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=IDS)
def test_lines_for_blender_end_with_a_status(path: Path) -> None:
    """Blender ends with 0 whatever a script does, unless it is told before the script what else to end with. (The
    renderer's own, ``-P``, ends the process itself.)"""
    for line in path.read_text("utf-8").splitlines():
        if re.search(r"^\s*blender .*--python(-expr|-text)? ", line):
            assert re.search(r"--python-exit-code [1-9]\d* .*--python(-expr|-text)? ", line), line


def parsers(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Of a parser's commands."""
    found = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(found[0].choices) if found else {}


@cache
def engine_options(verb: str) -> set[str]:
    """Of a command of the engine and, if it has any, of its own commands."""
    parser = argparse.ArgumentParser()
    importlib.import_module(COMMANDS[verb]).add_arguments(parser)
    return {option for part in (parser, *parsers(parser).values()) for option in part._option_string_actions}


@cache
def renderer_options() -> dict[str, set[str]]:
    """Of each command of the renderer."""
    return {name: set(parser._option_string_actions) for name, parser in parsers(renderer._parser()).items()}


def said(text: str, command: str) -> list[tuple[str, set[str]]]:
    """The verb and the options of each time that a document says a command."""
    text = text.replace("\\\n", " ")  # a line that goes on
    found = re.findall(command + r" ([a-z-]+)\b([^\n`|;]*)", text)
    return [(verb, set(re.findall(r"(?<=\s)--[a-z][a-z0-9-]*", rest.partition(" #")[0]))) for verb, rest in found]


@pytest.mark.parametrize("path", DOCUMENTS, ids=IDS)
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{link} is not there"
        assert not anchor or anchor in anchors(target), f"{target.name} has no heading for #{anchor}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=IDS)
def test_modules_are_there(path: Path) -> None:
    """`inversion/stages/joint.py` may be said from the root, or from the package that the text is about."""
    folders = [ROOT, path.parent, *(ROOT / package for package in PACKAGES)]
    for name in set(re.findall(r"`([\w./-]+\.py)`", path.read_text("utf-8"))):
        if "NAME" not in name:
            assert any((folder / name).is_file() for folder in folders), f"there is no {name}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=IDS)
def test_commands_are_there(path: Path) -> None:
    text = path.read_text("utf-8")
    for verb, options in said(text, r"-m join_engine"):
        assert verb in COMMANDS, f"there is no command {verb}"
        assert options <= engine_options(verb), f"{verb} has no {options - engine_options(verb)}"
    for verb, options in said(text, r"render\.py(?: --)?"):
        assert verb in renderer_options(), f"the renderer has no command {verb}"
        assert options <= renderer_options()[verb], f"{verb} has no {options - renderer_options()[verb]}"
    targets = set(re.findall(r"^([a-z-]+(?: [a-z-]+)*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    known = {target for line in targets for target in line.split()} | {"train-primeshapes", "train-materials"}
    assert set(re.findall(r"\bmake ((?:test|demo|lint|package|train|heldout|scorecard)[a-z-]*)", text)) <= known


def test_rooms_are_the_folders() -> None:
    """The tables of docs/architecture.md name every folder of code, and no other."""
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    rooms = text[text.index("## The rooms") : text.index("## Who may import whom")]
    for part in re.split(r"^(?=`\w+/`, )", rooms, flags=re.MULTILINE)[1:]:
        package = re.match(r"`(\w+)/`", part)
        assert package is not None and package[1] in PACKAGES
        named = set(re.findall(r"^\| `(\w+)/`", part, re.MULTILINE))
        folders = {
            path.name for path in (ROOT / package[1]).iterdir() if path.is_dir() and not path.name.startswith("__")
        }
        assert named == folders, package[1]
    assert sum(f"`{package}/`, " in rooms for package in PACKAGES) == len(PACKAGES)


def test_every_module_of_the_renderer_is_told() -> None:
    """Each in the row of its room."""
    text = (ROOT / "dataset_tools" / "README.md").read_text("utf-8")
    rows = dict(re.findall(r"^\| `([a-z_/]+?)/?` \| (.*) \|$", text[text.index("## The files") :], re.MULTILINE))
    package = ROOT / "dataset_tools"
    for path in package.rglob("*.py"):
        if path.name != "__init__.py":
            room = path.parent.relative_to(package).as_posix() if path.parent != package else "dataset_tools"
            assert f"`{path.stem}`" in rows[room], path


@pytest.mark.parametrize(("package", "first"), [("engine", "commands"), ("renderer-rooms", "render")])
def test_the_drawn_layers_are_those_of_the_contract(package: str, first: str) -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    drawn = re.findall(rf"```text\n({first}\n.*?)```", text, re.DOTALL)[0].splitlines()
    contracts = configparser.ConfigParser()
    contracts.read(ROOT / ".importlinter", "utf-8")
    layers = contracts[f"importlinter:contract:{package}"]["layers"].split("\n")
    assert [line.split() for line in drawn] == [layer.split(" | ") for layer in layers if layer not in ("", "__main__")]


def test_readme_is_for_reading() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 120
