# SPDX-License-Identifier: GPL-3.0-or-later
"""What decomposes an image, by name: published inversions, our presets, baselines, the U-Net."""
