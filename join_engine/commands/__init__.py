# SPDX-License-Identifier: GPL-3.0-or-later
"""The commands of ``python -m join_engine``, one module each; :data:`join_engine.commands.main.COMMANDS` lists them.

A command's module has a docstring, whose first line is its help, ``add_arguments(parser)`` and ``run(options)``, which
returns an exit status or None for 0. Those here import torch, and whatever does, inside these, so that their ``--help``
answers at once. Those that train and measure lie in the rooms of training and evaluation, each with what it does.
"""
