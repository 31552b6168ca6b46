# SPDX-License-Identifier: GPL-3.0-or-later
"""The table by which Retinex's say in the light is chosen."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from join_engine.bank import Bank, SplitHeader
from join_engine.commands.main import main
from join_engine.evaluation.choices.caution_choice import _DRAWN, _FIGURINE, _GLINTS, as_product, painted_as
from join_engine.evaluation.choices.split_ways import compare
from join_engine.renders.samples import Sample, read_samples
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
    jumps = ["--errors", "0.3", "--jumps", "0.4,0.1", "0.4,0.05/inf,0.03"]
    assert main([*command[:-3], *jumps, "--bank", str(path)]) == 0
    one, mean = capsys.readouterr().out.splitlines()[2:4]
    assert one.startswith("| renders, 0.3, jumps 0.4,0.1 | 2 | ") and mean.split(" | ")[2:] != one.split(" | ")[2:]
    assert main([*command, "--cut-out", "--bank", str(path)]) == 0
    assert "| renders, 0.3 | 0 |" in capsys.readouterr().out, "these fill their pictures"
    with pytest.raises(SystemExit):
        main([*command, "--jumps", "0.4", "--bank", str(path)])
    assert "no pair of numbers" in capsys.readouterr().err
    assert main([*command, "--bank", str(seeing_bank.path)]) == 2
    assert "has no split network beside encoders" in capsys.readouterr().err


def test_a_product_stands_before_a_backdrop_and_its_paint_stays() -> None:
    paint, light = np.full((32, 32, 3), 0.4, np.float32), np.full((32, 32, 3), 0.7, np.float32)
    filling = Sample("a", {"albedo": paint, "shading": light})
    assert as_product(filling) is None
    cut = Sample("a", {name: part * (np.arange(32) > 12)[:, None, None] for name, part in filling.components.items()})
    shown, again = as_product(cut), as_product(cut)
    assert shown is not None and again is not None and list(shown.components) == ["albedo", "shading"]
    for name, part in shown.components.items():
        assert (part > 0.0).all() and np.array_equal(part, again.components[name])
    assert np.array_equal(shown.components["albedo"][16:], paint[16:])
    other = as_product(replace(cut, name="b"))
    assert other is not None and not np.array_equal(other.components["albedo"], shown.components["albedo"])


def test_a_figurine_has_other_paint_a_relief_and_less_gloss() -> None:
    thing = (np.arange(32) > 12)[:, None, None] * np.ones((32, 32, 3), np.float32)
    parts = {"albedo": 0.4 * thing, "shading": 0.7 * thing, "specular": 0.2 * thing}
    sample = Sample("a", {name: part.astype(np.float32) for name, part in parts.items()})
    shown, again = painted_as(sample, _FIGURINE).components, painted_as(sample, _FIGURINE).components
    assert all(np.array_equal(shown[name], again[name]) and not shown[name][:12].any() for name in parts)
    assert shown["shading"][14:].std() > 0.01 and not np.allclose(shown["albedo"], parts["albedo"])
    exposure = shown["specular"][14:] / (0.25 * parts["specular"][14:])
    assert exposure.max() / exposure.min() < 1.001
    matt = Sample("a", {name: parts[name] for name in ("albedo", "shading")})
    assert "specular" not in painted_as(matt, _FIGURINE).components
    white = painted_as(sample, replace(_FIGURINE, pale=1.0)).components["albedo"][14:]
    assert white.max(axis=2).mean() > 0.3 and (white.max(axis=2) / white.min(axis=2)).max() < 1.4
    assert (shown["albedo"][14:].max(axis=2) / shown["albedo"][14:].min(axis=2)).max() > 1.4
    drawn = painted_as(sample, _DRAWN).components
    assert drawn["shading"][14:].std() < 1e-6 and not drawn["albedo"][:12].any()
    assert len(np.unique(drawn["albedo"][14:].round(3).reshape(-1, 3), axis=0)) > 1


def test_a_glossy_relief_keeps_its_paint_and_has_glints_where_it_shows_something() -> None:
    thing = (np.arange(32) > 12)[:, None, None] * np.ones((32, 32, 3), np.float32)
    parts = {"albedo": 0.4 * thing, "shading": 0.7 * thing, "specular": 0.0 * thing}
    samples = [Sample(name, {part: values.astype(np.float32) for part, values in parts.items()}) for name in "abcdefgh"]
    shown = [painted_as(sample, _GLINTS, gloss=1.0).components for sample in samples]
    assert all(np.allclose(one["albedo"], parts["albedo"]) and not one["specular"][:12].any() for one in shown)
    assert sum(one["shading"][14:].std() > 0.01 for one in shown) >= 4, "one paint, taken for heights, is flat"
    peaks = [float(one["specular"].max() / one["shading"].mean()) for one in shown]
    assert max(peaks) > 1.0 and sum(peak > 0.05 for peak in peaks) >= 4, "some show what mirrors a lamp"
