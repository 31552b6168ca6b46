# SPDX-License-Identifier: GPL-3.0-or-later
"""Other people's passes as a dataset."""
