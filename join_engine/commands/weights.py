# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights of others for E-LPIPS and LPIPS: fetched or added on request only."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..errors import JoinError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "fetch", "add"))
    parser.add_argument("trunk", nargs="?", help="of 'fetch' and 'add': one that 'list' names")
    parser.add_argument("--url", help="of fetch; default: torchvision's")
    parser.add_argument("--file", type=Path, help="of add")
    parser.add_argument("--sha256", help="expected hash, or its beginning (default: the published one)")


def run(options: argparse.Namespace) -> None:
    from ..inversion.losses import elpips_weights as weights

    if options.action == "list":
        for kind, known in weights.KNOWN.items():
            path = weights.weights_file(kind) or f"missing. {weights.how_to_get(kind)}"
            hint = f" (for others: python -m pip install --no-deps {weights.HEADS_PACKAGE})" if known.heads else ""
            print(f"{kind}\t{path}\theads: {weights.installed_heads(kind) or f'none, uniform{hint}'}")
        return
    if options.trunk is None or (options.action == "add" and options.file is None):
        raise JoinError("settings_invalid", "It is not said which weights.", "Name a trunk, and for 'add' its --file.")
    if options.action == "add":
        print(weights.adopt(options.trunk, options.file, options.sha256))
    else:
        print(weights.fetch(options.trunk, options.url, options.sha256))
