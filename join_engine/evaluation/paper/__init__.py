# SPDX-License-Identifier: GPL-3.0-or-later
"""The paper's tables and figures, and the scorecard, which is made as they are."""
