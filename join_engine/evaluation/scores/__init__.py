# SPDX-License-Identifier: GPL-3.0-or-later
"""How good layers, and what is made of them, are on renders or registered photographs: a command for each table."""
