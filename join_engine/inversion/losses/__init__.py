# SPDX-License-Identifier: GPL-3.0-or-later
"""What an inversion minimises: distances between images, and what keeps codes among those that generators know."""
