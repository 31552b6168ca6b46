# SPDX-License-Identifier: GPL-3.0-or-later
"""JoIN's points A and B: what either loss says of codes, and of points beside them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from join_engine.bank import Bank
from join_engine.commands.main import main
from join_engine.evaluation.generators.domain_scores import NEARER, format_table, measure


@pytest.mark.slow
def test_the_in_domain_loss_is_always_wrong_and_the_other_one_is_not(tiny_bank: Bank) -> None:
    """A lies nearer to the mean than B, which is all that the in-domain loss looks at."""
    table = measure(tiny_bank, 60, 5, seed=0)
    for losses in table["components"].values():
        assert losses["in-domain"]["right"] == 0.0
        assert losses["in-domain"]["a"] == pytest.approx(NEARER * losses["in-domain"]["b"], rel=1e-4)
        assert losses["in-domain"]["area"] == pytest.approx(0.5, abs=1e-2), "the same distances on both sides"
        assert losses["knn"]["right"] > 0.6 and losses["knn"]["area"] > 0.7
        assert set(losses) == {"in-domain", "knn", "discriminator"}
    assert measure(tiny_bank, 60, 5, seed=0) == table
    assert len(format_table(table).splitlines()) == 2 + 3 * len(table["components"])


def test_on_a_shell(tiny_bank: Bank, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    torch.manual_seed(0)
    command = ["domain-scores", "--bank", str(tiny_bank.path), "--count", "20", "--neighbours", "5", "--device", "cpu"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    assert json.loads((tmp_path / "domain.json").read_text("utf-8"))["points"] == 20
    assert (tmp_path / "domain.md").read_text("utf-8").strip() == capsys.readouterr().out.strip()
