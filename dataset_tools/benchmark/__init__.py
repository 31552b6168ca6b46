# SPDX-License-Identifier: GPL-3.0-or-later
"""Our renderer beside the plainest loop."""
