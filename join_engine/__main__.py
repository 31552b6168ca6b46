# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m join_engine``."""

import sys

from .commands.main import main

sys.exit(main())
