# SPDX-License-Identifier: GPL-3.0-or-later
"""JoIN Intrinsics: the extension's entry. It hands on to ``join_blender``."""

from .join_blender import register, unregister

__all__ = ["register", "unregister"]
