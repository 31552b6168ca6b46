# SPDX-License-Identifier: GPL-3.0-or-later
"""The training of a StyleGAN2."""
