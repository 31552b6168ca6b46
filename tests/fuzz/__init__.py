# SPDX-License-Identifier: GPL-3.0-or-later
"""Damaged files and messages for every reader, without end: ``make fuzz``."""
