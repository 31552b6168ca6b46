# SPDX-License-Identifier: GPL-3.0-or-later
"""Images: reading and writing files, the square that a bank works in, orientations, metrics."""
