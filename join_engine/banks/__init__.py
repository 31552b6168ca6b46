# SPDX-License-Identifier: GPL-3.0-or-later
"""The shipped banks: weights and, beside each, a card that says where it comes from."""
