# SPDX-License-Identifier: GPL-3.0-or-later
"""``python -s -P run_pip.py …``: runs pip with these arguments, and ends it when its stdin ends.

So no pip lives on where whoever started it was killed, on any system, even while it waits for a server.
"""

import os
import runpy
import threading


def _end_with_stdin() -> None:
    while os.read(0, 1):
        pass
    os._exit(1)


threading.Thread(target=_end_with_stdin, daemon=True).start()
runpy.run_module("pip", run_name="__main__", alter_sys=True)
