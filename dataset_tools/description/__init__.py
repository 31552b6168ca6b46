# SPDX-License-Identifier: GPL-3.0-or-later
"""What a scene is, as data: frozen dataclasses that go to JSON and back, and how they are drawn at random. No bpy."""
