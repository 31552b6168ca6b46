# SPDX-License-Identifier: GPL-3.0-or-later
"""Inversion: stages that move an :class:`InversionState`, and :func:`invert`, which runs a preset's stages.

To add a stage, write its settings in :mod:`join_engine.presets` and a function ``(settings, state, monitor)``, and
name both in :data:`STAGES`.
"""

from .run import STAGES, invert, run_stages
from .state import InversionState, Monitor, Progress

__all__ = ["STAGES", "InversionState", "Monitor", "Progress", "invert", "run_stages"]
