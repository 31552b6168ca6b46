# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -I leash.py pip.whl …``: runs pip from its wheel, and ends it when its stdin ends.

So no pip lives on where whoever started it was killed, on any system, even while it waits for a server.
"""

import os
import runpy
import sys
import threading


def _end_with_stdin() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


threading.Thread(target=_end_with_stdin, daemon=True).start()
del sys.argv[0]
# A wheel can be imported from as it is, which is how Python itself brings pip into an environment.
sys.path.insert(0, sys.argv[0])
runpy.run_module("pip", run_name="__main__", alter_sys=True)
