# SPDX-License-Identifier: GPL-3.0-or-later
"""The networks: generators, discriminators, encoders and perceptual trunks. Import the module that you need."""
