# SPDX-License-Identifier: GPL-3.0-or-later
"""Count the layers of a stored decomposition.

This file is a command, too: adding one takes a module such as this and its line in the table.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import pytest

from join_engine.commands.main import COMMANDS, main


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("decomposition", type=Path, metavar="FILE.join")
    parser.add_argument("--threshold", type=float, default=0.0)


def run(options: argparse.Namespace) -> None:
    from join_engine.layers.decomposition import load_decomposition

    layers = load_decomposition(options.decomposition).layers
    print(sum(float(layer.mean()) > options.threshold for layer in layers.values()))


def test_a_command_is_one_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from join_engine.layers.decomposition import Decomposition, save_decomposition

    layers = {"albedo": np.full((4, 4, 3), 0.5, np.float32), "shading": np.full((4, 4, 3), 2.0, np.float32)}
    codes = dict.fromkeys(layers, np.zeros((1, 8), np.float32))
    stored = tmp_path / "photo.join"
    save_decomposition(stored, Decomposition(layers, codes, "lambertian", "a bank", "0" * 64))
    monkeypatch.setitem(COMMANDS, "count-layers", __name__)
    assert main(["count-layers", str(stored), "--threshold", "1"]) == 0 and capsys.readouterr().out == "1\n"
    assert main(["count-layers", str(tmp_path / "none.join")]) == 2
    assert "There is no decomposition" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "count the layers of a stored decomposition" in capsys.readouterr().out
