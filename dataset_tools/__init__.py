# SPDX-License-Identifier: GPL-3.0-or-later
"""Render intrinsic image datasets with Cycles: description → scene → passes → shards → training packs."""
