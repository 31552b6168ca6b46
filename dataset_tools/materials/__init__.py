# SPDX-License-Identifier: GPL-3.0-or-later
"""Procedural materials: ``library`` holds the families (no bpy), ``build`` makes Blender materials of descriptions."""
