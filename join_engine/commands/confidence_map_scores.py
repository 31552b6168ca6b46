# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether the errors that a bank expects of each pixel are those that it makes, on renders.

Printed are the mean errors of each component, expected and true, and how they correlate over the pixels of a render and
over the renders.
"""

from __future__ import annotations

import argparse

from .table_options import add_pack_options, run_on_packs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_pack_options(parser, 40)


def run(options: argparse.Namespace) -> None:
    from ..evaluation.confidence_maps import format_table, measure

    run_on_packs(options, measure, format_table)
