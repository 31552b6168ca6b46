# SPDX-License-Identifier: GPL-3.0-or-later
"""Serve requests on stdin (for the Blender extension)."""

from __future__ import annotations

import argparse

from ..options import add_device_options


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_device_options(parser)


def run(options: argparse.Namespace) -> int:
    from ..server.serve import serve

    return serve(options.device, options.threads)
