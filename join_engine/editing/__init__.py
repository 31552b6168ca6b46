# SPDX-License-Identifier: GPL-3.0-or-later
"""Directions in latent space that change one component."""
