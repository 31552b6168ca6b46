# SPDX-License-Identifier: GPL-3.0-or-later
"""The table by which it is decided how a picture's bank is chosen."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from join_engine.bank import Bank, SplitHeader
from join_engine.commands.main import main
from join_engine.evaluation.choices.bank_choice import FIGURES, Render, best_threshold, format_table, gain, taken, ways
from join_engine.training import make_bank

from ..invented_renders import write_renders
from ..test_split import SMALL, with_split


def render(ahead: float, better: float, distance: float = 0.4) -> Render:
    """What the second of two banks is ahead by in every figure, and better by in its layers."""

    def row(more: float, psnr: float) -> dict[str, float]:
        figures = {"log_likelihood": more, "discriminators": more, "distance": distance, "familiar": 1.0}
        return figures | {"unfamiliarity": math.exp(-more), "fit": math.exp(-more), "codes": math.exp(-more)} | {
            "albedo": 20.0 + psnr, "shading": 20.0 + 3.0 * psnr,
        }  # fmt: skip

    return {"plain": row(0.0, 0.0), "other": row(ahead, better)}


def test_the_threshold_gains_the_most() -> None:
    assert gain(render(0.0, 1.0), "other", "plain") == pytest.approx(2.0)
    kinds = {"one": [render(3.0, 1.0), render(1.0, -0.5)], "two": [render(2.0, 0.5), render(4.0, -0.2)]}
    for figure in FIGURES.values():
        assert best_threshold(kinds, figure, "plain") == pytest.approx(1.5)
        assert best_threshold({"one": [render(1.0, -1.0)]}, figure, "plain") == math.inf
        assert taken(render(3.0, 1.0), figure, "plain", 2.0) == "other"
        assert taken(render(2.0, 1.0), figure, "plain", 2.0) == "plain"


def test_what_is_chosen_on_some_is_told_of_others() -> None:
    better, worse = render(6.0, 1.0), render(-6.0, -1.0)
    table = format_table({"one": [better, better, better, worse], "two": [worse, worse, worse, better]}, "plain")
    rows = {line.split(" | ")[0].removeprefix("| "): line.split(" | ")[1:] for line in table.splitlines()[2:]}
    assert rows["always plain"][:3] == ["+0.00 ± 0.00 (0%)", "+0.00 ± 0.00 (0%)", "+0.00 ± 0.00"]
    assert rows["always other"][0].startswith("+0.00 ± 3.92 (100%)")
    assert rows["as shipped, 5"][0].startswith("+1.00 ") and rows["as shipped, 5"][3].startswith("100%")
    assert rows["whoever knows the layers"][:3] == rows["as shipped, 5"][:3]
    assert rows["whoever knows the kind"][1].startswith("+0.00 ± 0.00 (0%)")
    assert set(ways({"one": [better]}, "plain")) >= {"always plain", "always other", "whoever knows the kind"}


@pytest.mark.slow
def test_the_command_compares_banks(seeing_bank: Bank, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack = write_renders(tmp_path / "val.tar", 40, seed=1)
    training = {"scores": {"familiar": 0.2}}
    paths = []
    for name in ("plain", "other"):
        bank = with_split(seeing_bank, SplitHeader(replace(SMALL, specular=False), training))
        parts = make_bank.Parts.of_bank(bank)
        parts.add_pictures([pack], "lambertian")
        paths.append(str(tmp_path / f"{name}.safetensors"))
        make_bank.make_bank(Path(paths[-1]), name, "lambertian", parts, {})
    command = ["bank-choice", "--data", f"renders={pack}", "--device", "cpu", "--count", "4", "--banks"]
    assert main([*command, *paths, "--out", str(tmp_path / "told.json")]) == 0
    assert "| always other | +0.00 ± 0.00 (100%) | +0.00 ± 0.00 | 100% |" in capsys.readouterr().out
    assert (tmp_path / "told.json").read_text("utf-8").count('"log_likelihood"') == 8
    assert main([*command, paths[0]]) == 2
    assert "two or more" in capsys.readouterr().err
    assert main([*command, paths[0], str(seeing_bank.path)]) == 2
    assert "does not tell how well it knows a picture" in capsys.readouterr().err
