# SPDX-License-Identifier: GPL-3.0-or-later
"""What is drawn over the picture in an Image Editor. It is a matter of the screen: no file knows of it."""
