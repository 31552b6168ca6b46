# SPDX-License-Identifier: GPL-3.0-or-later
"""What generators make and know, apart from any photo: distances of distributions, codes, losses over them."""
