# SPDX-License-Identifier: GPL-3.0-or-later
"""Training: the generators of a bank, from packs of renders. Each command is a module that runs with ``python -m``."""
