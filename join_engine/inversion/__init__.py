# SPDX-License-Identifier: GPL-3.0-or-later
"""Inversion: from an image to latent codes. A preset strings stages together; losses say what they minimise."""
