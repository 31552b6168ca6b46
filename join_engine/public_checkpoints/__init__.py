# SPDX-License-Identifier: GPL-3.0-or-later
"""Generators and discriminators from public StyleGAN2 checkpoints; nothing in such a file is ever executed."""

from .read import PublicCheckpoint, read_public_checkpoint

__all__ = ["PublicCheckpoint", "read_public_checkpoint"]
