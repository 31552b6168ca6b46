# SPDX-License-Identifier: GPL-3.0-or-later
"""The command: ``blender -b -P dataset_tools/render.py -- …`` or ``python dataset_tools/render.py …``."""

from __future__ import annotations

import sys
from pathlib import Path

# As a script, Python puts this folder on its path and not the checkout that the package lies in.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dataset_tools.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else sys.argv[1:]))
