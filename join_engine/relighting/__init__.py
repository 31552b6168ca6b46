# SPDX-License-Identifier: GPL-3.0-or-later
"""Directions in latent space, and layers that follow them."""
