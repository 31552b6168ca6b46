# SPDX-License-Identifier: GPL-3.0-or-later
"""The table by which the size at which the split network looks is chosen."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from join_engine.bank import Bank, SplitHeader
from join_engine.commands.main import main
from join_engine.evaluation.choices.split_ways import compare
from join_engine.renders.samples import read_samples
from join_engine.training import make_bank

from ..invented_renders import write_renders
from ..test_split import SMALL, with_split


@pytest.mark.slow
def test_the_size_of_the_look_changes_the_figures(
    seeing_bank: Bank, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = SplitHeader(replace(SMALL, specular=False), {})
    bank = with_split(seeing_bank, header)
    pack = write_renders(tmp_path / "val.tar", 2, seed=1)
    samples = list(read_samples(pack, bank.forward_model.components, 2))
    (small, whole, more), seconds = compare(bank, samples, [{"seen_at": size} for size in (8, 64, 4096)])
    assert len(small) == 2 and small[0]["albedo"] != whole[0]["albedo"] and len(seconds) == 3
    assert whole == more
    (cut,), _ = compare(bank, samples, [{"seen_at": 64}], (40, 24))
    assert len(cut) == 2 and cut[0]["albedo"] != whole[0]["albedo"]
    path = tmp_path / "sure.safetensors"
    make_bank.make_bank(path, "sure", "lambertian", make_bank.Parts.of_bank(bank), {})
    command = ["look-choice", "--data", f"renders={pack}", "--device", "cpu", "--count", "1", "--sizes", "8", "16"]
    assert main([*command, "--bank", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("| renders, 8 | 1 | ") and lines[3].startswith("| renders, 16 | 1 | ")
    assert re.fullmatch(r"8: \d+\.\d\d s, 16: \d+\.\d\d s", lines[-1])
    assert main([*command, "--bank", str(path), "--ways", "1", "3"]) == 0
    assert capsys.readouterr().out.splitlines()[3].startswith("| renders, 8, 3 ways | 1 | ")
    assert main([*command, "--bank", str(seeing_bank.path)]) == 2
    assert "has no split network beside encoders" in capsys.readouterr().err
