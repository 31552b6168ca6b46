# SPDX-License-Identifier: GPL-3.0-or-later
"""The stages of an inversion, one class in one file each. To add one, write its file and name it here."""

from . import encoder_start, joint, masking, mean_start, mirrored, samm, seeing_start, spaces, spatial, tuning

__all__ = [
    "encoder_start",
    "joint",
    "masking",
    "mean_start",
    "mirrored",
    "samm",
    "seeing_start",
    "spaces",
    "spatial",
    "tuning",
]
