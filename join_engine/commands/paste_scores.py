# SPDX-License-Identifier: GPL-3.0-or-later
"""How near a pasted material comes to the true one in the same light, beside pasted pixels, on renders.

--out gets paste.json and paste.md.
"""

from __future__ import annotations

import argparse

from .options import say
from .table_options import add_pack_table_options, run_on_pack


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_pack_table_options(parser, 24, 60, "the search for the albedo's codes")


def run(options: argparse.Namespace) -> None:
    from ..evaluation.paste_scores import format_table, measure

    run_on_pack(options, "paste", lambda bank, samples: measure(bank, samples, options.steps, say), format_table)
