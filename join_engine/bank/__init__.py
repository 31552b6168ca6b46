# SPDX-License-Identifier: GPL-3.0-or-later
"""The bank: one file with the generators of a forward model, what it says of itself, and its card."""

from .bank_wide import (
    BrightnessHeader,
    InvertibilityHeader,
    MapsHeader,
    SammHeader,
    SeeingHeader,
    SplitHeader,
    TrunkHeader,
)
from .choice import Choice, choose_bank
from .file import (
    AUTO,
    DEFAULT_BANK,
    MATERIAL,
    Bank,
    BankComponent,
    DirectionVectors,
    find_bank,
    fingerprint,
    list_banks,
    load_bank,
    read_header,
    save_bank,
    truncated_normal,
    verify_bank,
)
from .header import FORMAT_VERSION, BankHeader, ComponentHeader, DirectionsHeader, EncoderHeader

__all__ = [
    "AUTO",
    "DEFAULT_BANK",
    "FORMAT_VERSION",
    "MATERIAL",
    "Bank",
    "BankComponent",
    "BankHeader",
    "BrightnessHeader",
    "Choice",
    "ComponentHeader",
    "DirectionVectors",
    "DirectionsHeader",
    "EncoderHeader",
    "InvertibilityHeader",
    "MapsHeader",
    "SammHeader",
    "SeeingHeader",
    "SplitHeader",
    "TrunkHeader",
    "choose_bank",
    "find_bank",
    "fingerprint",
    "list_banks",
    "load_bank",
    "read_header",
    "save_bank",
    "truncated_normal",
    "verify_bank",
]
