# SPDX-License-Identifier: GPL-3.0-or-later
"""What Cycles renders on, what is said of it, and Blenders that cannot render: around invented bpy modules."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from dataset_tools import requirements
from dataset_tools.errors import UserError

SCRIPT = Path(requirements.__file__).with_name("render.py")


class _Preferences:
    """Cycles' preferences on a machine with some cards; interfaces that are not built in cannot be set."""

    def __init__(self, built: tuple[str, ...], cards: dict[str, str]) -> None:
        self._built = built
        self._cards = cards
        self.devices: list[Any] = []

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "compute_device_type" and value not in self._built:
            raise TypeError(f"enum {value} not found")
        super().__setattr__(name, value)

    def refresh_devices(self) -> None:
        cards = [SimpleNamespace(id=f"{kind}_0", name=name, type=kind, use=False) for kind, name in self._cards.items()]
        self.devices = [*cards, SimpleNamespace(id="CPU", name="a processor", type="CPU", use=True)]


class _Render:
    def __init__(self, engines: tuple[str, ...]) -> None:
        self._engines = engines

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "engine" and value not in self._engines:
            raise TypeError(f"enum {value} not found")
        super().__setattr__(name, value)


def _device(
    monkeypatch: pytest.MonkeyPatch, preferences: _Preferences | None, engines: tuple[str, ...] = ("CYCLES",)
) -> ModuleType:
    bpy = ModuleType("bpy")
    addons = {} if preferences is None else {"cycles": SimpleNamespace(preferences=preferences)}
    bpy.context = SimpleNamespace(  # type: ignore[attr-defined]
        preferences=SimpleNamespace(addons=addons), scene=SimpleNamespace(render=_Render(engines))
    )
    monkeypatch.setitem(sys.modules, "bpy", bpy)
    # Under no name, so that no other test finds the one with the invented bpy.
    spec = importlib.util.spec_from_file_location("device", SCRIPT.parent / "rendering" / "device.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_best_device_is_found_and_others_are_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    preferences = _Preferences(("CUDA", "OPTIX", "HIP"), {"CUDA": "card", "OPTIX": "card"})
    device = _device(monkeypatch, preferences)
    assert device.available() == ["optix", "cuda", "cpu"]
    assert [device.choose(kind) for kind in ("auto", "cuda", "cpu")] == ["optix", "cuda", "cpu"]
    with pytest.raises(UserError, match="no hip device here: choose --device optix or cuda or cpu or auto"):
        device.choose("hip")
    with pytest.raises(UserError, match="no metal device"):
        device.choose("metal")
    assert device.name("optix") == "OPTIX (card)" and device.name("cpu") == "CPU"


def test_only_the_chosen_cards_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    preferences = _Preferences(("CUDA", "OPTIX"), {"CUDA": "card", "OPTIX": "card"})
    device = _device(monkeypatch, preferences)
    scene = SimpleNamespace(cycles=SimpleNamespace(device=""))
    device.use("cuda", scene)
    assert scene.cycles.device == "GPU"
    assert {card.id: card.use for card in preferences.devices} == {"CUDA_0": True, "OPTIX_0": False, "CPU": False}
    device.use("cpu", scene)
    assert scene.cycles.device == "CPU"


def test_without_cards_auto_is_the_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _device(monkeypatch, _Preferences((), {})).choose("auto") == "cpu"


@pytest.mark.parametrize(("preferences", "engines"), [(None, ("CYCLES",)), (_Preferences((), {}), ("EEVEE",))])
def test_a_blender_without_cycles_is_said(
    monkeypatch: pytest.MonkeyPatch, preferences: _Preferences | None, engines: tuple[str, ...]
) -> None:
    with pytest.raises(UserError, match="This Blender has no Cycles: use a Blender"):
        _device(monkeypatch, preferences, engines).choose("cpu")


def test_an_old_blender_gets_one_sentence_from_the_script_itself(tmp_path: Path) -> None:
    program = (
        "import sys, types, runpy; bpy = types.ModuleType('bpy');"
        "bpy.app = types.SimpleNamespace(version=(3, 6, 0)); sys.modules['bpy'] = bpy;"
        f"sys.argv = ['blender', '-b', '-P', 'x', '--', 'primeshapes', '--count', '1', '--out', 'o'];"
        f"runpy.run_path({str(SCRIPT)!r}, run_name='__main__')"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr == (
        "error: This is Blender 3.6.0, and 4.2 or newer is needed: install a newer Blender and run this with it.\n"
    )
    assert not (tmp_path / "o").exists()


def test_the_script_and_the_check_are_readable_to_old_pythons(monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (SCRIPT, SCRIPT.with_name("requirements.py")):
        ast.parse(path.read_text("utf-8"), feature_version=(3, 7))
    monkeypatch.setattr(sys, "version_info", (3, 10, 9))
    assert "This is Python 3.10, and 3.11 or newer is needed" in requirements.refusal(None)
