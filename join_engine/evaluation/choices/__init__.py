# SPDX-License-Identifier: GPL-3.0-or-later
"""Which setting does best on renders: a command for each default that rests on a table of docs/choices.md."""
