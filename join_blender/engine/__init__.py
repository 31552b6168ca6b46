# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine as the add-on sees it: its process and protocol, jobs, and pixels on their way. Without Blender."""
