# SPDX-License-Identifier: GPL-3.0-or-later
"""The command: ``blender -b -P dataset_tools/render.py -- …`` or ``python dataset_tools/render.py …``."""

from __future__ import annotations

import signal
import sys
import traceback
from pathlib import Path

# As a script, Python puts this folder on its path and not the checkout that the package lies in.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dataset_tools.cli import main


def _interrupt(number: int, frame: object) -> None:
    """End on SIGTERM as on Ctrl-C: temporary files are removed on the way out."""
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        status = main(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:])
    except Exception:
        # Blender would print the trace and still exit with 0, and a worker's failure would go unseen.
        traceback.print_exc()
        status = 1
    sys.exit(status)
