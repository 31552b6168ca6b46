# SPDX-License-Identifier: GPL-3.0-or-later
"""Layers at the image's own size: what completes them, the ``.join`` file, files for other programs."""
