# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -m join_engine``."""

import os
import sys

# Threads that have nothing to do give up the processor at once instead of turning in circles for some milliseconds:
# beside a render the engine would else wait for its own idle threads. The library reads it when it is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from .commands.main import main

sys.exit(main())
