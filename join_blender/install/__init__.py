# SPDX-License-Identifier: GPL-3.0-or-later
"""Making, checking and removing the engine's own environment. Nothing is ever installed into Blender's Python.

``builds`` knows what there is to install, ``paths`` where it lies and in which state. ``worker`` and ``probe`` run in
processes of their own; ``task`` starts them and looks at them without ever waiting.
"""
