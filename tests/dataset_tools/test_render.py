# SPDX-License-Identifier: GPL-3.0-or-later
"""Real renders, in processes of their own as a user starts them: identity, same bytes in any order, resume."""

from __future__ import annotations

import importlib.util
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dataset_tools.description.scene import Scene
from dataset_tools.specs import describe
from dataset_tools.specs.relighting import spread
from dataset_tools.storage import passes, shards
from join_engine import leftovers

pytestmark = pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("bpy", "OpenEXR")), reason="needs the bpy and OpenEXR packages"
)

SCRIPT = Path(shards.__file__).parents[1] / "render.py"
SEED = 11
# Two samples before and two after the border of a shard.
START = shards.SHARD_SIZE - 2


def _command(out: Path, *extra: str, start: int = START, count: int = 4, denoise: bool = True) -> list[str]:
    quality = ["--resolution", "32", "--samples", "2", "--seed", str(SEED), *(["--denoise"] if denoise else [])]
    where = ["--start", str(start), "--count", str(count), "--out", str(out)]
    return [sys.executable, str(SCRIPT), "primeshapes", *quality, *where, *extra]


def _render(
    out: Path, *extra: str, start: int = START, count: int = 4, denoise: bool = True
) -> subprocess.CompletedProcess[str]:
    command = _command(out, *extra, start=start, count=count, denoise=denoise)
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


def _tars(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (folder / "shards").glob("*.tar")}


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four samples in two shards, rendered in one go."""
    folder = tmp_path_factory.mktemp("render") / "whole"
    result = _render(folder)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("4 samples in ")
    return folder


def test_passes_add_up_and_descriptions_replay(rendered: Path) -> None:
    entries = shards.entries(rendered)
    assert [entry["index"] for entry in entries] == [START, START + 1, START + 2, START + 3]
    for (index, exr, stored), entry in zip(shards.read_samples(rendered, entries), entries, strict=True):
        found = passes.read(exr)
        error = passes.check(found, "sample", passes.STORED_TOLERANCE)
        assert error < 5e-3 and error == stored["identity_error_half"] == entry["identity_error_half"]
        assert stored["identity_error"] == entry["identity_error"] < 1e-5
        assert Scene.from_json(stored["scene"]) == describe("primeshapes", SEED, index, stored["attempt"])
        assert stored["seed"] == SEED and stored["blender"] and 0 <= entry["sampling_seconds"] < entry["seconds"]
        assert found[passes.MASK].mean() == pytest.approx(entry["valid"], abs=1e-4)
        albedo, shading = passes.component(found, "albedo"), passes.component(found, "shading")
        assert albedo.shape == (32, 32, 3)
        # Every pixel shows a surface: the room fills the frame, so that no background is seen.
        assert np.maximum(albedo, found["glossy_color"]).max(axis=-1).min() > 0.01 and albedo.max() < 0.95
        assert 0.05 < float(np.median(shading)) < 5.0


@pytest.mark.slow
def test_a_sample_is_the_same_alone(rendered: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    assert _render(alone, start=START + 1, count=1).returncode == 0
    batch = {entry["index"]: entry["sha256"] for entry in shards.entries(rendered)}
    assert [entry["sha256"] for entry in shards.entries(alone)] == [batch[START + 1]]


def _passes_of(folder: Path, index: int) -> dict[str, np.ndarray]:
    entries = [entry for entry in shards.entries(folder) if entry["index"] == index]
    ((_, exr, _),) = shards.read_samples(folder, entries)
    return passes.read(exr)


@pytest.mark.slow
def test_denoising_adds_layers_nearer_to_the_truth_and_keeps_the_passes(rendered: Path, tmp_path: Path) -> None:
    denoised = _passes_of(rendered, START + 1)
    for name, samples in (("raw", "2"), ("true", "96")):
        result = _render(tmp_path / name, "--samples", samples, start=START + 1, count=1, denoise=False)
        assert result.returncode == 0, result.stderr
    raw, true = (_passes_of(tmp_path / name, START + 1) for name in ("raw", "true"))
    assert denoised.keys() - raw.keys() == set(passes.DENOISED)
    for name, image in raw.items():
        np.testing.assert_array_equal(image, denoised[name])
    for name in passes.DENOISED:
        errors = [np.abs(passes.component(p, name) - passes.component(true, name)).mean() for p in (denoised, raw)]
        assert errors[0] < 0.6 * errors[1]


_LAYERS_IN_BLENDER = """
import bpy, sys
tree = bpy.data.node_groups.new("compositor", "CompositorNodeTree")
node = tree.nodes.new("CompositorNodeImage")
node.image = bpy.data.images.load(sys.argv[1])
print("layers:", *sorted(socket.name for socket in node.outputs))
"""


@pytest.mark.slow
def test_blender_reads_every_stored_layer(rendered: Path, tmp_path: Path) -> None:
    ((_, exr, _),) = shards.read_samples(rendered, shards.entries(rendered)[:1])
    (tmp_path / "sample.exr").write_bytes(exr)
    command = [sys.executable, "-c", _LAYERS_IN_BLENDER, str(tmp_path / "sample.exr")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert f"layers: {' '.join(sorted(passes.read(exr)))}" in result.stdout.splitlines()


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bytes(rendered: Path, tmp_path: Path) -> None:
    folder = tmp_path / "killed"
    process = subprocess.Popen(_command(folder), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60.0
    while not shards.finished(folder) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    # Whatever the kill left of the second shard, nothing of it bears a final name unless it is complete.
    whole = _tars(rendered)
    assert _tars(folder).items() <= whole.items() and _tars(folder)
    (folder / "shards" / ".primeshapes-00000064-002.tar.1.partial").write_bytes(b"half a shard")
    assert _render(folder).returncode == 0
    assert _tars(folder) == whole
    manifest = [json.loads(line) for line in (folder / "manifest.jsonl").read_text("utf-8").splitlines()]
    assert len(manifest) == 4


@pytest.mark.slow
def test_two_runs_do_not_render_to_one_folder(tmp_path: Path) -> None:
    with leftovers.alone_in(tmp_path / "data"):
        result = _render(tmp_path / "data")
        assert result.returncode == 1 and f"process {os.getpid()} renders already: wait" in result.stderr
        assert [path.suffix for path in (tmp_path / "data").iterdir()] == [".lock"]


@pytest.mark.slow
def test_two_workers_write_the_same_bytes(rendered: Path, tmp_path: Path) -> None:
    result = _render(tmp_path / "two", "--workers", "2")
    assert result.returncode == 0, result.stderr
    assert _tars(tmp_path / "two") == _tars(rendered)


@pytest.mark.slow
def test_a_folder_with_other_settings_is_refused(rendered: Path) -> None:
    before = _tars(rendered)
    result = _render(rendered, "--samples", "3")
    assert result.returncode == 1
    assert "samples 2, not 3: choose another --out" in result.stderr
    assert _tars(rendered) == before


@pytest.mark.slow
def test_other_descriptions_are_not_mixed_in(rendered: Path, tmp_path: Path) -> None:
    folder = tmp_path / "older"
    (folder / "shards").mkdir(parents=True)
    (folder / "dataset.json").write_bytes((rendered / "dataset.json").read_bytes())
    shard = shards.Shard("primeshapes", START, 1)
    scene = describe("primeshapes", SEED, START + 1).to_json()
    shards.write_shard(folder, shard, [shards.Sample(START, "train", b"", {"scene": scene, "index": START}, {})])
    result = _render(folder)
    assert result.returncode == 1 and "begun with other scene descriptions" in result.stderr


@pytest.mark.slow
def test_every_shape_has_a_mesh() -> None:
    """In a process of its own, since bpy does not like company."""
    program = (
        "from dataset_tools.shapes import mesh; from dataset_tools.specs.primeshapes import SHAPES;"
        "assert set(SHAPES) == set(mesh._SHAPES)"
    )
    subprocess.run([sys.executable, "-c", program], cwd=SCRIPT.parents[1], check=True, timeout=60)


@pytest.mark.slow
def test_a_moved_light_changes_the_light_alone(tmp_path: Path) -> None:
    def relit(out: Path, *moves: str) -> subprocess.CompletedProcess[str]:
        quality = ["--resolution", "16", "--samples", "2", "--denoise", "--index", "3", "--seed", str(SEED)]
        command = [sys.executable, str(SCRIPT), "relit", "materials", *quality, "--move", *moves, "--out", str(out)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120)

    result = relit(tmp_path / "a", "left_right=-1", "intensity=1.5")
    assert result.returncode == 0 and result.stdout.startswith("1 scenes under 3 lights"), result.stderr
    found = {path.stem: _pack(path) for path in (tmp_path / "a").iterdir()}
    assert set(found) == {"original", "left_right-1", "intensity+1.5"}
    header, before, light = found["original"]
    assert header["move"] is None and header["count"] == 1
    for name, change in (("left_right-1", -spread("materials")["left_right"]), ("intensity+1.5", None)):
        header, after, told = found[name]
        attribute = header["move"]["attribute"]
        np.testing.assert_array_equal(after["albedo"], before["albedo"])
        assert np.abs(after["shading"] - before["shading"]).max() > 0.01
        assert told["held"] == light["held"]
        changed = [key for key, value in told["light"].items() if abs(value - light["light"][key]) > 1e-9]
        assert changed == [attribute]
        if change is not None:
            assert told["light"][attribute] - light["light"][attribute] == pytest.approx(change)
    assert found["intensity+1.5"][1]["shading"].mean() > 1.2 * before["shading"].mean()
    assert relit(tmp_path / "b", "left_right=-1").returncode == 0
    again = tmp_path / "b" / "left_right-1.tar"
    assert again.read_bytes() == (tmp_path / "a" / "left_right-1.tar").read_bytes()
    assert "is not ATTRIBUTE=AMOUNT" in relit(tmp_path / "c", "colour=1").stderr


def _pack(path: Path) -> tuple[dict[str, Any], dict[str, np.ndarray], dict[str, Any]]:
    """Header, components and light of the one sample of a float pack."""
    with tarfile.open(path) as archive:
        files = {name: archive.extractfile(name).read() for name in archive.getnames()}  # type: ignore[union-attr]
    arrays = {name.split(".")[1]: np.load(io.BytesIO(data)) for name, data in files.items() if name.endswith(".npy")}
    return json.loads(files["pack.json"]), arrays, json.loads(files["00000003.json"])
