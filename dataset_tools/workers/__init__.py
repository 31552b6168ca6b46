# SPDX-License-Identifier: GPL-3.0-or-later
"""The processes that render, and what they report."""
