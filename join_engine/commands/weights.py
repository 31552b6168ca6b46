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
    from ..inversion.losses.elpips_weights import KNOWN, adopt, fetch, installed_heads, weights_file

    if options.action == "list":
        for kind in KNOWN:
            print(f"{kind}\t{weights_file(kind) or 'missing'}\theads: {installed_heads(kind) or 'none, uniform'}")
        return
    if options.trunk is None or (options.action == "add" and options.file is None):
        raise JoinError("settings_invalid", "It is not said which weights.", "Name a trunk, and for 'add' its --file.")
    if options.action == "add":
        print(adopt(options.trunk, options.file, options.sha256))
    else:
        print(fetch(options.trunk, options.url, options.sha256))
