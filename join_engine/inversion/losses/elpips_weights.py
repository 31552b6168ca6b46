# SPDX-License-Identifier: GPL-3.0-or-later
"""VGG16 and SqueezeNet 1.1 for E-LPIPS, over weights that the user has: nothing of it is shipped or fetched unasked.

The trunks' weights are torchvision's for ImageNet, the heads (one non-negative weight per channel) those of the lpips
package: its data files are read where it is installed, its code is never imported. Average pooling stands in for max
pooling, as in E-LPIPS; the taps are those that the lpips heads were fitted to, five of VGG16 and seven of SqueezeNet
(the published E-LPIPS has 14 and 10 of its own, whose heads are not in that package). Without heads every channel
counts alike, which the name says.
"""

from __future__ import annotations

import hashlib
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import JoinError
from ...images.files import write_atomically
from ...networks.features import OnInput, unchanged

FOLDER_VARIABLE = "JOIN_ENGINE_WEIGHTS"
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


@dataclass(frozen=True)
class TrunkWeights:
    """Where torchvision publishes a trunk.

    Attributes:
        file: its name; between "-" and ".pth" the beginning of its SHA-256, as torchvision names its files.
        sha256: accepted beginnings of the hash.
        heads: the lpips package's data file.
    """

    file: str
    sha256: tuple[str, ...]
    heads: str

    @property
    def url(self) -> str:
        """torchvision's."""
        return f"https://download.pytorch.org/models/{self.file}"


KNOWN = {
    "vgg16": TrunkWeights("vgg16-397923af.pth", ("397923af",), "weights/v0.1/vgg.pth"),
    "squeezenet": TrunkWeights("squeezenet1_1-b8a52dc0.pth", ("b8a52dc0", "f364aa15"), "weights/v0.1/squeeze.pth"),
}

# torchvision's numbers of the layers: a convolution or Fire module; P is a pooling before it, T a tap after its ReLU.
_VGG16 = "0 2T P5 7T P10 12 14T P17 19 21T P24 26 28T"
_SQUEEZENET = "0T P3 4T P6 7T P9T 10T 11T 12T"


class PublishedFeatures(nn.Module):
    """Taps of a published trunk, for images [B, 3, H, W] in [0, 1].

    Attributes:
        label: names trunk and heads, for reports.
        heads: weights of the channels of each tap.
    """

    def __init__(self, kind: str, state: Mapping[str, Tensor], heads: list[Tensor] | None) -> None:
        super().__init__()
        self._plan = [_parse(word) for word in (_VGG16 if kind == "vgg16" else _SQUEEZENET).split()]
        self._stride = 1 if kind == "vgg16" else 2
        self._ceil = kind != "vgg16"
        for index, _, _ in self._plan:
            prefix = f"features.{index}."
            for key, value in state.items():
                if key.startswith(prefix):
                    self.register_buffer(key.replace(".", "_"), value.float(), persistent=False)
        self.register_buffer("shift", torch.tensor(_SHIFT)[:, None, None], persistent=False)
        self.register_buffer("scale", torch.tensor(_SCALE)[:, None, None], persistent=False)
        self.heads = heads
        self.label = f"{kind}, {'lpips heads' if heads is not None else 'uniform heads'}"

    def forward(self, images: Tensor, on_input: OnInput = unchanged) -> list[Tensor]:
        """One tap per stage."""
        features = ((images * 2.0 - 1.0) - self.get_buffer("shift")) / self.get_buffer("scale")
        taps = []
        for index, pooled, tapped in self._plan:
            if pooled:
                features = self._pool(features)
            features = self._layer(index, features, on_input)
            if tapped:
                taps.append(features)
        return taps

    def _pool(self, features: Tensor) -> Tensor:
        if self._ceil:  # SqueezeNet: 3×3 with stride 2
            return functional.avg_pool2d(features, 3, 2, ceil_mode=True) if min(features.shape[2:]) > 2 else features
        return functional.avg_pool2d(features, 2) if min(features.shape[2:]) > 1 else features

    def _layer(self, index: int, features: Tensor, on_input: OnInput) -> Tensor:
        if not hasattr(self, f"features_{index}_squeeze_weight"):
            first = index == 0 and self._stride == 2
            padding = 0 if first else 1
            return self._convolve(f"features_{index}", on_input(features), padding, self._stride if first else 1)
        squeezed = on_input(self._convolve(f"features_{index}_squeeze", on_input(features), 0))
        return torch.cat(
            [
                self._convolve(f"features_{index}_expand1x1", squeezed, 0),
                self._convolve(f"features_{index}_expand3x3", squeezed, 1),
            ],
            dim=1,
        )

    def _convolve(self, name: str, features: Tensor, padding: int, stride: int = 1) -> Tensor:
        weight, bias = self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias")
        return functional.conv2d(features, weight, bias, stride, padding).relu()


def load_published(kind: str, path: Path | None = None, heads: Path | None = None) -> PublishedFeatures:
    """The trunk ``kind`` of :data:`KNOWN`, from a file of torchvision's weights. Raises JoinError ``weights_missing``,
    ``weights_unreadable``, ``settings_invalid``.

    Args:
        path: default: where :func:`fetch` and :func:`adopt` put it.
        heads: the lpips package's ``vgg.pth`` or ``squeeze.pth``; default: of the installed package, else none.
    """
    known = _known(kind)
    path = path or weights_folder() / known.file
    if not path.is_file():
        hint = f"Run 'python -m join_engine weights fetch {kind}', or 'weights add {kind} --file …' if you have it."
        raise JoinError("weights_missing", f"The weights of {kind} are not here ('{path}').", hint)
    heads = heads or installed_heads(kind)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        channel_weights = None if heads is None else _read_heads(heads)
        features = PublishedFeatures(kind, state, channel_weights)
        with torch.no_grad():
            widths = [tap.shape[1] for tap in features(torch.zeros(1, 3, 64, 64))]
        if channel_weights is not None and [len(head) for head in channel_weights] != widths:
            raise ValueError("the heads belong to another trunk")
    except JoinError:
        raise
    except Exception as error:  # a foreign file: torch, zipfile and pickle each have errors of their own
        message = f"The weights of {kind} cannot be used ('{path}': {type(error).__name__})."
        raise JoinError("weights_unreadable", message, "Fetch them again.") from error
    return features


def installed_heads(kind: str) -> Path | None:
    """The data file of the installed lpips package; None where there is no such package. Its code is not imported."""
    try:
        found = metadata.distribution("lpips").locate_file(f"lpips/{_known(kind).heads}")
    except metadata.PackageNotFoundError:
        return None
    path = Path(str(found))
    return path if path.is_file() else None


def weights_folder() -> Path:
    """The folder of the user's weights: ``$JOIN_ENGINE_WEIGHTS``, else the system's place for such data."""
    if os.environ.get(FOLDER_VARIABLE):
        return Path(os.environ[FOLDER_VARIABLE])
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Application Support"
    else:
        base = Path(os.environ.get("XDG_DATA_HOME", Path.home() / ".local" / "share"))
    return base / "join_engine" / "weights"


def fetch(kind: str, url: str | None = None, sha256: str | None = None) -> Path:
    """Download a trunk, on explicit request only. Nothing is kept whose hash is not as expected. Raises JoinError
    ``download_failed``, ``checksum_mismatch``, ``output_unwritable``.

    Args:
        url: default: torchvision's.
        sha256: expected hash or its beginning; default: the one in torchvision's name of the file.
    """
    known = _known(kind)
    source = url or known.url
    try:
        with urllib.request.urlopen(source, timeout=60) as answer:
            data = answer.read()
    except (urllib.error.URLError, OSError, ValueError) as error:
        message = f"'{source}' cannot be fetched ({error})."
        raise JoinError("download_failed", message, "Try again, or add a file that you have.") from error
    return _store(known, data, source, sha256)


def adopt(kind: str, file: Path, sha256: str | None = None) -> Path:
    """Copy a file that the user has to where the engine looks for it; checked like a download. Raises JoinError
    ``weights_missing``, ``checksum_mismatch``, ``output_unwritable``."""
    known = _known(kind)
    if not file.is_file():
        raise JoinError("weights_missing", f"There is no file '{file}'.", "Check the path.")
    return _store(known, file.read_bytes(), str(file), sha256)


def _store(known: TrunkWeights, data: bytes, source: str, sha256: str | None) -> Path:
    found = hashlib.sha256(data).hexdigest()
    expected = known.sha256 if sha256 is None else (sha256.lower(),)
    if not any(prefix and found.startswith(prefix) for prefix in expected):
        message = f"'{source}' has the SHA-256 {found[:16]}…, not {' or '.join(expected)}…."
        raise JoinError("checksum_mismatch", message, "It is damaged or another file; nothing was kept.")
    target = weights_folder() / known.file
    write_atomically(target, lambda temporary: temporary.write_bytes(data))
    return target


def _read_heads(path: Path) -> list[Tensor]:
    """``lin0.model.1.weight`` [1, C, 1, 1] and so on → [C] each, never negative."""
    stored: Mapping[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    names = sorted(stored, key=lambda name: int(name.split(".")[0].removeprefix("lin")))
    return [stored[name].float().flatten().clamp_min(0.0) for name in names]


def _known(kind: str) -> TrunkWeights:
    if kind not in KNOWN:
        raise JoinError("settings_invalid", f"There is no trunk '{kind}'.", f"Known are: {', '.join(KNOWN)}.")
    return KNOWN[kind]


def _parse(word: str) -> tuple[int, bool, bool]:
    """``P5T`` → layer 5, pooling before it, tap after it."""
    return int(word.strip("PT")), word.startswith("P"), word.endswith("T")
