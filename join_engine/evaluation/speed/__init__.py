# SPDX-License-Identifier: GPL-3.0-or-later
"""How long everything takes, also beside the plain loop."""
