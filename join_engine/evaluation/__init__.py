# SPDX-License-Identifier: GPL-3.0-or-later
"""How good a decomposition is: metrics, baselines, tables and sheets to look at."""
