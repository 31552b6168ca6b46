# SPDX-License-Identifier: GPL-3.0-or-later
"""Ours beside the plain loop: both do the same, and what is said of their times."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

import pytest
import torch

from join_engine.bank import Bank
from join_engine.commands.main import main
from join_engine.evaluation.speed.beside import alternately, compared
from join_engine.evaluation.speed.plain_loop import (
    PlainLoop,
    PlainTraining,
    plain_codes,
    plain_knn,
    plain_look,
    plain_synthesis,
)
from join_engine.inversion.adam import Adam
from join_engine.inversion.losses.knn import KnnLoss
from join_engine.layers.split import look
from join_engine.networks.split import Split, SplitConfig
from join_engine.networks.stylegan2 import generate

from ..invented_renders import write_renders


def test_the_plain_generator_makes_what_ours_makes(tiny_bank: Bank) -> None:
    for component in tiny_bank.components.values():
        w = component.sample_codes()[:3]
        ours = generate(component.generator, w[:, None])
        assert torch.allclose(plain_synthesis(component.generator, w), ours, atol=1e-4)
        assert float(ours.std()) > 0.01


def test_the_plain_neighbours_are_ours(tiny_bank: Bank) -> None:
    component = tiny_bank.components["albedo"]
    codes = plain_codes(component)
    assert torch.allclose(codes, component.sample_codes(), atol=1e-6)
    w = codes[:4] + 0.1
    assert torch.allclose(plain_knn(w, codes), KnnLoss(codes, 50)(w[:, None]), rtol=1e-3)


@pytest.mark.slow
def test_the_plain_loop_finds_images(tiny_bank: Bank, own_targets: torch.Tensor) -> None:
    codes = {name: component.sample_codes()[:2000] for name, component in tiny_bank.components.items()}
    loop = PlainLoop(tiny_bank, own_targets, "random", codes, steps=20)

    def missed() -> float:
        image = tiny_bank.forward_model.render(loop.components())
        return float((image - own_targets).square().mean())

    before = missed()
    for _ in range(20):
        loop.step()
    assert missed() < 0.5 * before


@pytest.mark.slow
def test_the_plain_training_makes_what_it_is_shown(tiny_bank: Bank) -> None:
    config = tiny_bank.components["albedo"].generator.config
    torch.manual_seed(0)
    training = PlainTraining(config, 4, 0.01, torch.device("cpu"))
    white = torch.ones(4, config.image_channels, config.resolution, config.resolution)

    def missed() -> float:
        with torch.no_grad():
            return float((training._fakes().mean() - 1.0).abs())

    before = missed()
    losses = [torch.stack(training.step(white)) for _ in range(60)]
    assert missed() < 0.5 * before and bool(torch.stack(losses).isfinite().all())


def test_the_plain_look_is_ours_but_for_its_precision() -> None:
    torch.manual_seed(0)
    network = Split(SplitConfig((8, 8), 8, 1, 4, 16)).eval()
    image, visible = torch.rand(1, 3, 48, 40), torch.ones(1, 1, 48, 40)
    ours, plain = (each(network, image, visible, None, 8) for each in (look, plain_look))
    for name in ("share", "shading", "gloss", "specular", "error"):
        assert torch.allclose(getattr(ours, name), getattr(plain, name), atol=0.05), name
    assert plain.shading.std() > 0.0


@pytest.mark.slow
def test_adam_is_that_of_torch() -> None:
    torch.manual_seed(0)
    starts = [torch.randn(3, 5), torch.randn(7)]
    mine, theirs = ([start.clone().requires_grad_() for start in starts] for _ in range(2))
    own, other = Adam(mine), torch.optim.Adam(theirs)
    for step in range(20):
        rate = 0.1 / (step + 1)
        for group in other.param_groups:
            group["lr"] = rate
        for variables in (mine, theirs):
            ((variables[0] - 1.0).pow(4).sum() + variables[1].abs().sum()).backward()
        own.step(rate)
        other.step()
        other.zero_grad()
        assert all(torch.equal(one, two) for one, two in zip(mine, theirs, strict=True))
        assert mine[0].grad is None
    assert not torch.equal(mine[0], starts[0])


def test_pairs_alternate_and_their_ratio_has_an_interval() -> None:
    order: list[str] = []

    def slow() -> None:
        order.append("plain")
        time.sleep(0.02)

    plain, ours = alternately(slow, lambda: order.append("ours"), 3)
    assert order == ["plain", "ours", "plain", "ours", "ours", "plain", "plain", "ours"]
    assert len(plain) == len(ours) == 3 and min(plain) > max(ours)
    asleep, _ = alternately(slow, lambda: None, 2, time.process_time)
    assert max(asleep) < 0.02
    found = compared([2.0, 8.0, 4.0], [1.0, 2.0, 2.0], per=2)
    assert found["plain"] == 2.0 and found["ours"] == 1.0
    assert found["ratio"] == pytest.approx(16.0 ** (1 / 3))
    low, high = found["interval"]
    assert low < found["ratio"] < high and math.sqrt(low * high) == pytest.approx(found["ratio"])
    assert compared([2.0], [1.0])["interval"] is None


@pytest.mark.slow
def test_the_command(tmp_path: Path, tiny_bank_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pack = write_renders(tmp_path / "renders.tar", 2, seed=0)
    options = ["--bank", str(tiny_bank_path), "--threads", "1", "--pairs", "1", "--presets", "standard"]
    options += ["--sizes", "1K", "--data", str(pack), "--renders", "1", "--out", str(tmp_path / "out")]
    assert main(["bench", "--beside", *options]) == 0
    told = capsys.readouterr().out
    found = json.loads((tmp_path / "out" / "beside.json").read_text(encoding="utf-8"))
    rows = found["rows"]
    assert rows["layers at 1K"] == {"missing": "the bank has no split network"}
    for name in (
        "joint step, 8 at once",
        "standard, a photo of 1K",
        "engine start to hello",
        "bank loading",
        "training, an image",
    ):
        assert rows[name]["plain"] > 0.0 and rows[name]["ratio"] > 0.0 and f"| {name} |" in told
    curves = found["renders"]
    assert [point["name"] for point in curves["plain"]] == ["5", "10", "20", "40", "80"]
    assert [point["name"] for point in curves["ours"]] == ["standard"] and curves["renders"] == 1
    assert (tmp_path / "out" / "beside-renders.png").stat().st_size > 1000 and "Load before" in told
