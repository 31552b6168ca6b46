# SPDX-License-Identifier: GPL-3.0-or-later
"""One sample from its description to the bytes that are stored."""
