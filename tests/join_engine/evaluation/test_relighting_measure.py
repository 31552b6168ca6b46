# SPDX-License-Identifier: GPL-3.0-or-later
"""Edits of the light beside true renders: what the figures mean, and that only the right edit gets good ones."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from join_engine.bank import Bank, DirectionsHeader, DirectionVectors, fingerprint, load_bank, save_bank
from join_engine.color import reinhard_decode
from join_engine.commands.main import main
from join_engine.errors import JoinError
from join_engine.evaluation.methods.by_name import Method
from join_engine.evaluation.scores import relighting_scores as relighting_command
from join_engine.evaluation.scores.relighting_scores import BEGIN, compare_layers, measure, measure_methods, summarise
from join_engine.evaluation.sheets.relighting import write_render_sheet
from join_engine.images.files import write_png
from join_engine.inversion.presets import Detail, Preset
from join_engine.inversion.stages.joint import Joint
from join_engine.inversion.stages.mean_start import MeanStart
from join_engine.inversion.stages.spaces import Spaces
from join_engine.renders.relit import read_relit

from ..fake_packs import add_member

SHORT = Preset("short", (MeanStart(), Joint(steps=40, space="whitened", learning_rate=0.05)), Detail())
UNIT = 0.2


@pytest.fixture(scope="module")
def step(tiny_bank: Bank) -> torch.Tensor:
    """What one standard deviation to the right does to the shading's code."""
    codes = tiny_bank.components["shading"].sample_codes()[:2000]
    _, _, axes = torch.linalg.svd(codes - codes.mean(dim=0), full_matrices=False)
    return axes[0] * (codes @ axes[0]).std()


@pytest.fixture(scope="module")
def with_directions(tiny_bank: Bank, tmp_path_factory: pytest.TempPathFactory) -> Callable[[torch.Tensor], Bank]:
    """The tiny bank, knowing left and right as this vector."""

    def make(vector: torch.Tensor) -> Bank:
        path = tmp_path_factory.mktemp("lit") / "lit.safetensors"
        vectors = DirectionVectors(1, 1, len(vector))
        vectors.vectors.copy_(vector)
        generator = fingerprint(tiny_bank.components["shading"].generator)
        figures = {"unit": UNIT, "r2": 0.5, "r2_shading": 0.5, "moves_shading": 1.0, "alike_shading": 1.0}
        training = {"samples": 9, "validation_samples": 3}
        header = DirectionsHeader({"left_right": figures}, {"shading": generator}, {"shading": 1}, training)
        networks = {name: (part.generator, part.discriminator) for name, part in tiny_bank.components.items()}
        save_bank(path, replace(tiny_bank.header, directions=header), networks, directions={"shading": vectors})
        return load_bank(path)

    return make


@pytest.fixture(scope="module")
def relit(tiny_bank: Bank, step: torch.Tensor, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three scenes of the bank's own making, and the same with the light one and a half deviations to either side."""
    folder = tmp_path_factory.mktemp("relit")
    albedo, shading = (tiny_bank.components[name] for name in ("albedo", "shading"))
    codes, paint = shading.sample_codes()[:3], albedo.sample_codes()[50:53]
    for deviations in (0.0, -1.5, 1.5):
        with torch.no_grad():
            made = shading.generator.synthesis(codes + deviations * step)
            layers = {
                "albedo": albedo.transform.from_generator(albedo.generator.synthesis(paint)),
                "shading": shading.transform.from_generator(made),
            }
        move = {"attribute": "left_right", "deviations": deviations} if deviations else None
        name = f"left_right{deviations:+g}" if deviations else "original"
        with tarfile.open(folder / f"{name}.tar", "w") as tar:
            header = {"resolution": 16, "components": {}, "split": "all", "count": 3, "move": move}
            add_member(tar, "pack.json", json.dumps(header).encode())
            for index in range(3):
                for component, values in layers.items():
                    buffer = io.BytesIO()
                    np.save(buffer, values[index].clip(0.0, None).permute(1, 2, 0).numpy())
                    add_member(tar, f"{index:08d}.{component}.npy", buffer.getvalue())
                light = {"left_right": 0.1 * index + deviations * UNIT}
                add_member(tar, f"{index:08d}.json", json.dumps({"light": light, "held": {"fill": 0.0}}).encode())
    return folder


@pytest.mark.slow
def test_the_right_edit_agrees_with_the_renders_and_the_wrong_one_does_not(
    with_directions: Callable[[torch.Tensor], Bank], step: torch.Tensor, relit: Path
) -> None:
    summaries = {}
    for kind, vector in {"right": step, "wrong": -step}.items():
        bank = with_directions(vector)
        table = measure(bank, read_relit(relit, ("albedo", "shading"), 2), SHORT)
        assert table["scenes"] == 2 and len(table["rows"]) == 4
        assert sorted(round(row["amount"], 6) for row in table["rows"]) == [-1.5] * 2 + [1.5] * 2
        summaries[kind] = table["summary"]["left_right"]
    for start in ("true", "found"):
        right, wrong = (summaries[kind][start]["shading"] for kind in ("right", "wrong"))
        assert right["agreement"]["mean"] > 0.6 and wrong["agreement"]["mean"] < 0.0
        assert right["psnr_unmoved"] == wrong["psnr_unmoved"]
    true = summaries["right"]["true"]
    assert true["shading"]["gain"]["mean"] > 1.0 and true["image"]["gain"]["mean"] > 1.0
    assert 0.5 < true["shading"]["length"]["mean"] < 1.5
    assert summaries["wrong"]["true"]["shading"]["gain"]["mean"] < -1.0


def test_figures_of_changes_that_are_known() -> None:
    rng = np.random.default_rng(0)
    before, change = rng.uniform(0.2, 0.5, (2, 8, 8, 3))
    change -= change.mean()

    def layers(encoded: np.ndarray) -> dict[str, np.ndarray]:
        return {"albedo": encoded, "shading": reinhard_decode(encoded)}

    start = layers(before)
    whole = compare_layers(start, layers(before + change), start, layers(before + change))["shading"]
    assert whole["agreement"] == pytest.approx(1.0) and whole["length"] == pytest.approx(1.0)
    assert whole["psnr"] > 90.0 > whole["psnr_unmoved"]
    half = compare_layers(start, layers(before + 0.5 * change), start, layers(before + change))["shading"]
    assert half["agreement"] == pytest.approx(1.0) and half["length"] == pytest.approx(0.5)
    assert half["psnr"] - half["psnr_unmoved"] == pytest.approx(20 * np.log10(2.0))
    # The same change and more light everywhere: the mean counts for the agreement, not for the correlation.
    lighter = compare_layers(start, layers(before + change + 0.1), start, layers(before + change))["shading"]
    assert lighter["correlation"] == pytest.approx(1.0) and lighter["agreement"] < 0.9
    nothing = compare_layers(start, start, start, layers(before + change))["shading"]
    assert nothing["agreement"] == 0.0 and nothing["length"] == 0.0
    assert nothing["psnr"] == nothing["psnr_unmoved"]


def test_signs_are_counted() -> None:
    figures = {"agreement": 1.0, "correlation": 1.0, "length": 1.0, "psnr": 30.0, "psnr_unmoved": 20.0}
    layers = {"shading": figures, "image": figures}
    rows = [
        {
            "attribute": "size",
            "amount": amount,
            "found": layers,
            "true": layers,
            "read": {"itself": read, "others": 0.2},
            "read_true": {"itself": 2.0 * amount, "others": 0.1},
        }
        for amount, read in ((1.0, 0.5), (-1.0, -0.5), (1.0, -0.1), (-2.0, -1.0))
    ]
    found = summarise(rows)["all"]
    assert found["read"]["right"]["mean"] == 0.75 and found["read_true"]["right"]["mean"] == 1.0
    assert found["read_true"]["length"]["mean"] == 2.0 and found["amount"] == 1.25
    assert found["true"]["image"]["gain"]["mean"] == 10.0


@pytest.mark.slow
def test_the_command_writes_tables_sheets_and_the_card(
    with_directions: Callable[[torch.Tensor], Bank],
    step: torch.Tensor,
    relit: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        relighting_command, "get_preset", lambda name: Preset(name, (MeanStart(), Joint(steps=3)), Detail())
    )
    bank = with_directions(step)
    card, photo, out = bank.path.with_suffix(".md"), tmp_path / "ein Foto.png", tmp_path / "out"
    card.write_text("# By hand\n", encoding="utf-8")
    write_png(photo, np.random.default_rng(0).random((20, 28, 3)))
    arguments = ["--bank", str(bank.path), "--data", str(relit), "--count", "1", "--preset", "draft", "--card"]
    for _ in range(2):
        assert main(["relighting-scores", *arguments, "--image", str(photo), "--device", "cpu", "--out", str(out)]) == 0
    table = json.loads((out / "relighting.json").read_text(encoding="utf-8"))
    assert table["scenes"] == 1 and set(table["summary"]) == {"left_right", "all"}
    written = card.read_text(encoding="utf-8")
    assert written.startswith("# By hand\n") and written.count(BEGIN) == 1
    assert (out / "relighting.md").read_text(encoding="utf-8").strip() in written
    sizes = {name: Image.open(out / f"{name}.png").size for name in ("sheet", "ein Foto")}
    # Two components above and below each other, for the renders twice; the scene, left and right.
    assert sizes["sheet"] == (12 + 3 * 300, 12 + 4 * (44 + 288 + 12))
    assert sizes["ein Foto"][0] > 800 and sizes["ein Foto"][1] < 700


def test_what_cannot_be_measured_is_said(
    tiny_bank: Bank,
    with_directions: Callable[[torch.Tensor], Bank],
    step: torch.Tensor,
    relit: Path,
    tmp_path: Path,
) -> None:
    scenes = read_relit(relit, ("albedo", "shading"), 1)
    with pytest.raises(JoinError, match="knows no named directions"):
        measure(tiny_bank, scenes, SHORT)
    other = replace(scenes, moves=[replace(move, attribute="size") for move in scenes.moves])
    with pytest.raises(JoinError, match="It knows left_right"):
        measure(with_directions(step), other, Preset("start", (MeanStart(),)))
    with pytest.raises(JoinError, match="holds no scenes of which the light was moved"):
        read_relit(tmp_path, ("albedo", "shading"), 1)
    (tmp_path / "original.tar").write_bytes((relit / "original.tar").read_bytes())
    with pytest.raises(JoinError, match="holds no pack of a moved light"):
        read_relit(tmp_path, ("albedo", "shading"), 1)


def test_the_sheet_leaves_out_what_the_bank_has_no_direction_of(
    with_directions: Callable[[torch.Tensor], Bank], step: torch.Tensor, relit: Path, tmp_path: Path
) -> None:
    """A light that never moved that way in the renders is not learned; the moved lights have it all the same."""
    scenes = read_relit(relit, ("albedo", "shading"), 1)
    unknown = [replace(move, attribute="up_down", name="up_down") for move in scenes.moves]
    more = replace(scenes, moves=[*unknown, *scenes.moves])
    write_render_sheet(tmp_path / "s.png", with_directions(step), more, None, Preset("start", (MeanStart(),)), seed=0)
    assert Image.open(tmp_path / "s.png").size[0] == 12 + 3 * 300


@pytest.mark.slow
def test_methods_are_edited_and_told_beside_each_other(
    with_directions: Callable[[torch.Tensor], Bank],
    step: torch.Tensor,
    relit: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where all features are held the edit of a code does less than where none is."""
    bank = with_directions(step)
    start = MeanStart()
    held = Method("held", "Held", Preset("held", (start, Spaces(only=16))))
    free = Method("free", "Free", Preset("free", (start,)))
    scenes = read_relit(relit, ("albedo", "shading"), 2)
    table = measure_methods(bank, scenes, [held, free])
    assert list(table["methods"]) == ["Held", "Free"]
    found = [
        measure(bank, scenes, preset)["summary"]["all"]["found"]["shading"]
        for preset in (held.preset, free.preset)
        if preset
    ]
    assert [one["psnr"] for one in found] == [table["methods"][name]["shading"]["psnr"] for name in ("Held", "Free")]
    # The RGB outputs of coarser blocks follow the code all the same.
    lengths = [one["length"]["mean"] for one in found]
    assert 0.0 < lengths[0] < lengths[1], lengths
    command = ["relighting-scores", "--bank", str(bank.path), "--data", str(relit), "--count", "1", "--device", "cpu"]
    command += ["--steps", "2", "--out", str(tmp_path), "--methods"]
    assert main([*command, "opt", "pti"]) == 0
    assert "| PTI | " in (tmp_path / "edits.md").read_text()
    capsys.readouterr()
    assert main([*command, "opt", "sam"]) == 2
    assert "no encoders" in capsys.readouterr().err
