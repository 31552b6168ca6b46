# SPDX-License-Identifier: GPL-3.0-or-later
"""Renders for training and evaluation: packs of images, compositions, augmentations."""
