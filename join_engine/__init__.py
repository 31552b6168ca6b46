# SPDX-License-Identifier: GPL-3.0-or-later
"""JoIN Intrinsics' engine: one image into albedo, shading and specular by joint inversion of a bank of GANs.

A library, a command line (``python -m join_engine``) and a server process over the same functions. Importing this
package, :mod:`join_engine.color` or :mod:`join_engine.errors` loads neither torch nor numpy.
"""

__version__ = "0.1.0"
