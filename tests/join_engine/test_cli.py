# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands, as a person calls them."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from join_engine.bank import load_bank
from join_engine.commands.main import main
from join_engine.evaluation.methods.baselines import BASELINES
from join_engine.images.files import read_image, write_exr
from join_engine.images.metrics import component_scores
from join_engine.inversion.presets import PRESETS, Detail, Preset
from join_engine.inversion.stages.joint import Joint
from join_engine.inversion.stages.mean_start import MeanStart


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(PRESETS, "draft", Preset("draft", (MeanStart(), Joint(steps=5)), Detail()).to_json())


@pytest.fixture
def photo(tmp_path: Path, picture: np.ndarray) -> Path:
    path = tmp_path / "ein Foto mit Ümläut.png"
    Image.fromarray((picture * 255).astype(np.uint8)).save(path)
    return path


@pytest.mark.slow
def test_decompose_writes_everything(
    tmp_path: Path, photo: Path, tiny_bank_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "aus gabe"
    missing, text = tmp_path / "fehlt.png", tmp_path / "text.png"
    text.write_text("not an image")
    images = [str(missing), str(photo), str(text), str(photo)]
    status = main(["decompose", *images, "--out", str(out), "--bank", str(tiny_bank_path), "--preset", "draft"])
    assert status == 2
    said = capsys.readouterr()
    assert [line for line in said.err.splitlines() if line.startswith("error: ")] == said.err.splitlines()
    assert len(said.err.splitlines()) == 2
    assert said.out.splitlines() == [str(out / photo.stem), str(out / f"{photo.stem}-2")]
    folder = out / photo.stem
    expected = {"albedo.exr", "albedo.png", "shading.exr", "shading.png", "recomposed.png"}
    assert {path.name for path in folder.iterdir()} == expected | {"decomposition.join", "report.json", "made.json"}
    assert read_image(folder / "albedo.exr").shape == (40, 56, 3)
    report = json.loads((folder / "report.json").read_text(encoding="utf-8"))
    assert report["settings"]["preset"] == "draft" and report["seconds"]["joint"] > 0 and report["metrics"]["psnr"] > 0
    for file in expected:
        assert (folder / file).read_bytes() == (out / f"{photo.stem}-2" / file).read_bytes()


def test_decompose_takes_folders(
    tmp_path: Path, photo: Path, tiny_bank_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "leer").mkdir()
    (tmp_path / "notes.txt").write_text("not an image, and not meant as one")
    out = tmp_path / "out"
    folders = [str(tmp_path / "leer"), str(tmp_path)]
    assert main(["decompose", *folders, "--out", str(out), "--bank", str(tiny_bank_path), "--preset", "draft"]) == 2
    said = capsys.readouterr()
    assert said.out.splitlines() == [str(out / photo.stem)]
    passed, error = said.err.splitlines()
    assert passed == f"{tmp_path}: passed over leer/ and notes.txt."
    assert error.startswith("error: There are no images in the folder")


@pytest.mark.slow
def test_detail_makes_the_image_exactly_and_can_be_left_out(tmp_path: Path, photo: Path, tiny_bank_path: Path) -> None:
    psnr = {}
    for out, flags in (("with", []), ("without", ["--no-detail"])):
        options = ["--out", str(tmp_path / out), "--bank", str(tiny_bank_path), "--preset", "draft", *flags]
        assert main(["decompose", str(photo), *options]) == 0
        report = json.loads((tmp_path / out / photo.stem / "report.json").read_text())
        psnr[out] = report["metrics"]["psnr"]
        assert (report["settings"]["detail"] is None) == bool(flags)
    assert psnr["without"] < 40 < 90 < psnr["with"]


def test_report_with_ground_truth(tmp_path: Path, photo: Path, tiny_bank_path: Path) -> None:
    main(["decompose", str(photo), "--out", str(tmp_path), "--bank", str(tiny_bank_path), "--preset", "draft"])
    truth = tmp_path / "truth"
    for name in ("albedo", "shading"):
        write_exr(truth / f"{name}.exr", np.full((40, 56, 3), 0.5, np.float32))
    stored = str(tmp_path / photo.stem / "decomposition.join")
    out = tmp_path / "bericht"
    options = ["--decomposition", stored, "--image", str(photo), "--out", str(out)]
    assert main(["report", *options]) == 0
    assert "layers" not in json.loads((out / "report.json").read_text())["scores"]
    assert main(["report", *options, "--truth-dir", str(truth)]) == 0
    report = json.loads((out / "report.json").read_text())
    assert set(report["files"]) == {path.name for path in out.iterdir()}
    assert set(report["scores"]["baselines"]) == set(BASELINES)
    for scores in (report["scores"]["layers"], *report["scores"]["baselines"].values()):
        assert set(scores) == {"albedo", "shading"} and scores["albedo"]["psnr"] > 0
    assert min(Image.open(out / "sheet.png").size) > 300


def test_report_of_another_image_is_refused(tmp_path: Path, photo: Path, tiny_bank_path: Path) -> None:
    main(["decompose", str(photo), "--out", str(tmp_path), "--bank", str(tiny_bank_path), "--preset", "draft"])
    Image.new("RGB", (64, 64)).save(tmp_path / "other.png")
    stored = str(tmp_path / photo.stem / "decomposition.join")
    other = str(tmp_path / "other.png")
    assert main(["report", "--decomposition", stored, "--image", other, "--out", str(tmp_path)]) == 2


def _write_samples(path: Path, count: int, size: int) -> None:
    rng = np.random.default_rng(0)
    with tarfile.open(path, "w") as archive:
        for index in range(count):
            for name in ("albedo", "shading", "extra"):
                buffer = io.BytesIO()
                np.save(buffer, rng.random((size, size, 3), dtype=np.float32))
                member = tarfile.TarInfo(f"{index:08d}.{name}.npy")
                member.size = buffer.tell()
                buffer.seek(0)
                archive.addfile(member, buffer)


@pytest.mark.slow
def test_evaluate(tmp_path: Path, tiny_bank_path: Path) -> None:
    _write_samples(tmp_path / "samples.tar", 5, 32)
    options = [
        "--data",
        str(tmp_path / "samples.tar"),
        "--count",
        "4",
        "--batch",
        "3",
        "--out",
        str(tmp_path / "table"),
    ]
    assert main(["evaluate", *options, "--bank", str(tiny_bank_path), "--preset", "draft"]) == 0
    table = json.loads((tmp_path / "table" / "table.json").read_text())
    assert table["samples"] == 4
    assert set(table["methods"]) == {"JoIN", "JoIN + detail", *BASELINES}
    for scores in table["methods"].values():
        assert set(scores) == {"albedo", "shading", "image"}
        low, high = scores["albedo"]["psnr"]["interval"]
        assert low <= scores["albedo"]["psnr"]["mean"] <= high
    # Every baseline explains the image exactly.
    assert all(table["methods"][name]["image"]["psnr"]["mean"] > 60 for name in BASELINES)
    lines = (tmp_path / "table" / "table.md").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "### albedo"
    assert [line.split("|")[1].strip() for line in lines[4:12]] == ["JoIN", "JoIN + detail", *BASELINES]
    # A told brightness is another table, which does not take this one's results for its own.
    again = ["evaluate", *options, "--bank", str(tiny_bank_path), "--preset", "draft", "--brightness-told"]
    assert main(again) == 2
    assert main([*again, "--fresh"]) == 0
    told = json.loads((tmp_path / "table" / "table.json").read_text())
    assert told["settings"]["brightness_told"] is True and "brightness_told" not in table["settings"]
    for name in BASELINES:
        before, after = (found["methods"][name] for found in (table, told))
        assert after["image"]["psnr"]["mean"] > 60
        for component in ("albedo", "shading"):
            assert after[component]["si_mse"]["mean"] == pytest.approx(before[component]["si_mse"]["mean"], rel=1e-4)
            assert after[component]["psnr"]["mean"] != pytest.approx(before[component]["psnr"]["mean"], abs=1e-3)


def test_evaluate_refuses_what_is_no_set(tmp_path: Path, tiny_bank_path: Path) -> None:
    (tmp_path / "text.tar").write_text("not a tar")
    with tarfile.open(tmp_path / "empty.tar", "w"):
        pass
    for name in ("text.tar", "empty.tar", "missing.tar"):
        options = ["--data", str(tmp_path / name), "--out", str(tmp_path), "--bank", str(tiny_bank_path)]
        assert main(["evaluate", *options]) == 2


def test_baselines_and_scores() -> None:
    image = np.full((4, 4, 3), 0.25, np.float32)
    for baseline in BASELINES.values():
        layers = baseline(image)
        assert np.allclose(layers["albedo"] * layers["shading"] + layers["specular"], image)
    assert component_scores("albedo", image, image) == {"mse": 0.0, "psnr": 100.0}
    scores = component_scores("shading", np.ones((2, 2, 3)), np.full((2, 2, 3), 3.0))
    assert scores["mse"] == pytest.approx(0.0625)
    assert scores["psnr"] == pytest.approx(12.04, abs=0.01)


def test_banks(tiny_bank_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["banks", "list"]) == 0
    capsys.readouterr()
    assert main(["banks", "show", str(tiny_bank_path)]) == 0
    assert json.loads(capsys.readouterr().out)["resolution"] == 16
    assert main(["banks", "verify", str(tiny_bank_path)]) == 0
    assert load_bank(tiny_bank_path).sha256 in capsys.readouterr().out
    assert main(["banks", "show", "no such bank"]) == 2


@pytest.mark.slow
def test_bench(tmp_path: Path, tiny_bank_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bank = tmp_path / "tiny.safetensors"
    bank.write_bytes(tiny_bank_path.read_bytes())
    options = ["--bank", str(bank), "--steps", "5", "--threads", "1", "--batch", "3", "1", "--no-bf16", "--card"]
    assert main(["bench", *options, "--method", "opt-knn"]) == 0
    result = json.loads(capsys.readouterr().out)
    one, three = result["batches"]
    assert (one["batch"], three["batch"]) == (1, 3) and one["steps_per_second"] > 0
    assert three["images_steps_per_second"] == pytest.approx(3 * three["steps_per_second"], abs=0.1)
    assert three["peak_memory_mib"] >= one["peak_memory_mib"] > 0
    assert result["features"] == "random, E-LPIPS" and result["precision"] == "float32"
    card = (tmp_path / "tiny.md").read_text(encoding="utf-8")
    assert f"| 3 | {three['steps_per_second']} | " in card and "5 steps of the last joint stage of 'opt-knn'" in card
    assert main(["bench", *options, "--method", "single"]) == 2 and "no bank of a single" in capsys.readouterr().err
    assert main(["bench", *options, "--method", "square-root"]) == 2
    knn = result["knn"]["albedo"]
    # 100,000 codes of 16 numbers, held twice, and a number for each: 13.2 MB.
    assert knn["codes"] == 100_000 and knn["milliseconds_per_step"] > 0 and knn["resident_mib"] == 12.6


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--threads", "99999999"),
        ("--threads", "0"),
        ("--threads", "-5"),
        ("--threads", "two"),
        ("--threads", "9" * 5000),
        ("--seed", "-1"),
        ("--seed", "1.5"),
        ("--seed", "99999999999999999999"),
        ("--seed", "²"),
    ],
)
@pytest.mark.parametrize("command", ["decompose", "bench", "banks sheet", "train-encoder", "scorecard"])
def test_numbers_that_make_no_sense(
    tmp_path: Path, command: str, option: str, value: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([*command.split(), f"{option}={value}", "--out", str(tmp_path)])
    assert caught.value.code == 2
    assert "is not a whole number from" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "1e999", "many"])
@pytest.mark.parametrize("option", ["--kimg", "--minutes", "--lr"])
def test_trainings_need_numbers_with_an_end(option: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("train-gan", "train-trunk"):
        with pytest.raises(SystemExit):
            main([command, f"{option}={value}"])
        assert "is not a number from 0 on" in capsys.readouterr().err


@pytest.mark.slow
def test_the_module_runs_without_a_traceback(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "join_engine", "decompose", "fehlt.png", "--out", str(tmp_path), "--bank", "fehlt"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("error: There is no bank 'fehlt'.") and "Traceback" not in done.stderr


def test_the_help_of_all_commands_loads_no_torch() -> None:
    code = "import sys; from join_engine.commands.main import _parser; _parser(['--help']).format_help(); "
    code += "sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
