# SPDX-License-Identifier: GPL-3.0-or-later
"""What lies on disk: passes and layers of a sample, EXR, shards."""
