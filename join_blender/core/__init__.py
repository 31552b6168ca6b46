# SPDX-License-Identifier: GPL-3.0-or-later
"""What needs no Blender: the engine's process and protocol, a job's life, finding the engine's Python."""
