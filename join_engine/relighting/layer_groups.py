# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of a generator's layers say what, for style mixing (Zhu et al., ECCV 2020, supplement, section 5)."""

from __future__ import annotations

import numpy as np

from ..errors import JoinError

MIX = "mix."
# Of ten layers, first to last: three, three and four. (The paper's style is the last four of fourteen, of 256 pixels.)
_FIRST, _LAST = 0.3, 0.4
# Name → label and tooltip of a slider.
GROUPS = {
    "colour": ("Colour", "Takes over the colours and the finest pattern of the other one"),
    "pattern": ("Pattern", "Takes over the pattern of the other one"),
    "layout": ("Layout", "Takes over where the other one has what"),
}


def share_of(direction: str, num_ws: int) -> np.ndarray:
    """1 for the layers that ``mix.colour``, ``mix.pattern`` or ``mix.layout`` is about and 0 for all others, [num_ws]
    float32. Raises JoinError ``edit_invalid`` for another name."""
    group = direction.removeprefix(MIX)
    if group not in GROUPS:
        known = ", ".join(f"{MIX}{name}" for name in GROUPS)
        raise JoinError("edit_invalid", f"There is no direction '{direction}'.", f"There are: {known}.")
    first, last = round(_FIRST * num_ws), round(_LAST * num_ws)
    numbers = np.arange(num_ws)
    mine = {"layout": numbers < first, "colour": numbers >= num_ws - last}
    mine["pattern"] = ~(mine["layout"] | mine["colour"])
    return mine[group].astype(np.float32)
