# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line of the dataset tools."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from dataset_tools import packages
from dataset_tools.commands import benchmarking, datasets, importing, inspecting, rendering, varying
from dataset_tools.errors import UserError
from dataset_tools.workers import worker
from join_engine.errors import one_line


def main(arguments: Sequence[str]) -> int:
    """Run one command; returns the exit status: 0, 1 for an error (one sentence on stderr), 130 when interrupted."""
    if list(arguments) == [worker.COMMAND]:
        return worker.run()
    try:
        options = _parser().parse_args(arguments)
        packages.use_folder(options.packages)
        return int(options.run(options, arguments) or 0)
    except UserError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: run the same command again to resume", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="render.py", description="Render datasets and pack them for training.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    rendering.add(commands)
    varying.add(commands)
    datasets.add(commands)
    inspecting.add(commands)
    importing.add(commands)
    benchmarking.add(commands)
    return parser
