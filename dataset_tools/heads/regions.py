# SPDX-License-Identifier: GPL-3.0-or-later
"""What is where on MakeHuman's base mesh (hm08), by number of vertex: parts, landmarks, lips, ears, eyelids."""

from __future__ import annotations

VERTICES = 19158
BODY = "body"
EYES = ("helper-l-eye", "helper-r-eye")
TEETH = ("helper-upper-teeth", "helper-lower-teeth")
TONGUE = "helper-tongue"

# Left and right as seen by the viewer: −x and +x.
LANDMARKS = ("eye_left", "eye_right", "mouth_left", "mouth_right")

# The right half's lids are numbered like the left half's, so much higher.
_OTHER_LID = 7748 - 1056
_UPPER_LID = (7767, 7766, 7765, 7748, 7747, 7776, 7778)
_LID = (7766, 7748, 7776, 7763, 7761, 7756, 7771, 7778)


def _numbers(ranges: str) -> tuple[int, ...]:
    found: list[int] = []
    for part in ranges.split():
        first, _, last = part.partition("-")
        found.extend(range(int(first), int(last or first) + 1))
    return tuple(found)


NUMBERS = {
    "eye_left": tuple(number - _OTHER_LID for number in _LID),
    "eye_right": _LID,
    "mouth_left": (424,),
    "mouth_right": (7184,),
    # From the inner to the outer corner.
    "upper_lid_left": tuple(number - _OTHER_LID for number in _UPPER_LID),
    "upper_lid_right": _UPPER_LID,
    "neck": tuple(range(14534, 14542)),
    "lips": _numbers(
        "405-406 409-421 424-425 427-449 451-455 457-478 480-484 487-490 492-539 3704-3709 3731-3735 5351-5354 "
        "5359-5362 7166 7169-7181 7187-7209 7211-7233 7235-7239 7241-7248 7251-7283 10373-10377 10399-10403 "
        "11953-11956 11961-11964"
    ),
    "ears": _numbers(
        "5412-5423 5425-5426 5428-5543 5567-5726 5728-5734 5737 5740 5742-5744 5746-5747 5749 5752-5753 5757 "
        "5761-5762 5764 5766 5768 5770 12011-12022 12024 12027-12142 12164-12331 12334 12337 12339-12341 12343-12344 "
        "12346 12349-12350 12354 12356 12358-12359 12361 12363 12365 12367"
    ),
    "lids": _numbers(
        "0-3 6-7 9-10 12-13 15-16 18-19 21-22 24-25 27-28 30-31 33-34 36-37 40-41 43-44 46-47 49-55 57-58 60-61 63-64 "
        "66-67 69-70 72-73 100-102 1055-1093 1095-1106 4847-4872 5077-5081 5101-5104 5127-5128 6756-6787 6790-6791 "
        "6793-6794 6796-6797 6799-6800 6802-6803 6805-6806 6808-6809 6811-6812 6814-6815 6817-6818 6820-6821 "
        "6824-6825 6827-6828 6830-6831 6833-6839 6841-6842 6844-6854 6856-6857 6884-6886 7747-7785 7787-7798 "
        "11465-11490 11692-11696 11716-11719 11742-11743 13352-13379"
    ),
}
