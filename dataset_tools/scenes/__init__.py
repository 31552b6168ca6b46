# SPDX-License-Identifier: GPL-3.0-or-later
"""A description becomes a Blender scene and a render of it."""
