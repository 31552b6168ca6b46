# SPDX-License-Identifier: GPL-3.0-or-later
"""The command: ``blender -b -P dataset_tools/render.py -- …`` or ``python dataset_tools/render.py …``.

Old Blenders must be able to read this file and ``requirements.py``: what needs more is imported after the check.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from pathlib import Path

# As a script, Python puts this folder on its path and not the checkout that the package lies in.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# Before numpy is there: with more threads its sums come out another way, and figurines with them, so that bytes would
# tell how many processors there were. Workers inherit it.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from dataset_tools.requirements import refusal


def _run() -> int:
    reason = refusal(sys.modules.get("bpy"))
    if reason:
        print(f"error: {reason}", file=sys.stderr)
        return 1
    from dataset_tools.commands.main import main

    return main(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:])


if __name__ == "__main__":
    # Blender keeps Ctrl-C for itself unless it is asked for. SIGTERM ends it so, too: temporary files are removed.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.default_int_handler)
    try:
        status = _run()
    except Exception:
        # Blender would print the trace and still exit with 0.
        traceback.print_exc()
        status = 1
    sys.exit(status)
