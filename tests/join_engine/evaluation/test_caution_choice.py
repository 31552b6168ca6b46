# SPDX-License-Identifier: GPL-3.0-or-later
"""The table by which Retinex's say in the light is chosen."""

from __future__ import annotations

import math
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
def test_the_say_of_retinex_changes_the_figures(
    seeing_bank: Bank, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    header = SplitHeader(replace(SMALL, specular=False), {})
    bank = with_split(seeing_bank, header)
    pack = write_renders(tmp_path / "val.tar", 3, seed=1)
    samples = list(read_samples(pack, bank.forward_model.components, 3))
    (sure, mixed, none), _ = compare(bank, samples, [{"retinex_error": error} for error in (1e-9, 0.3, math.inf)])
    assert len(sure) == len(mixed) == len(none) == 3
    assert sure[0]["albedo"] != mixed[0]["albedo"] != none[0]["albedo"]
    assert compare(bank, samples[:1], [{"retinex_error": 0.3}])[0] == [mixed[:1]]
    path = tmp_path / "sure.safetensors"
    make_bank.make_bank(path, "sure", "lambertian", make_bank.Parts.of_bank(bank), {})
    command = ["caution-choice", "--data", f"renders={pack}", "--device", "cpu", "--count", "2"]
    command += ["--errors", "0.3", "inf"]
    assert main([*command, "--bank", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2].startswith("| renders, 0.3 | 2 | ") and lines[3].startswith("| renders, inf | 2 | ")
    assert main([*command, "--bank", str(seeing_bank.path)]) == 2
    assert "has no split network beside encoders" in capsys.readouterr().err
