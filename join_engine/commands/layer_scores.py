# SPDX-License-Identifier: GPL-3.0-or-later
"""How good the layers of renders are at the renders' own size, as a metering camera shows them.

The packs' validation split decides about everything between the generators and the layers. Printed are mean errors, how
bright the albedo is not counting.
"""

from __future__ import annotations

import argparse

from .table_options import add_pack_options, run_on_packs


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_pack_options(parser, 40)


def run(options: argparse.Namespace) -> None:
    from ..evaluation.layer_scores import format_table, measure

    run_on_packs(options, measure, format_table)
