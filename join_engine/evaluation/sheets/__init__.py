# SPDX-License-Identifier: GPL-3.0-or-later
"""Pictures to look at: images, layers and samples side by side."""
