# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine as a process that serves requests (for the Blender extension)."""
