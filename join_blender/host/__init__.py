# SPDX-License-Identifier: GPL-3.0-or-later
"""The only code that touches Blender's data: images, the compositor, the differences between versions."""
