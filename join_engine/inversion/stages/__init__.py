# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages of an inversion, one file each."""
