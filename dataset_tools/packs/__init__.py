# SPDX-License-Identifier: GPL-3.0-or-later
"""Packs for training, and true renders of a scene in several states."""
