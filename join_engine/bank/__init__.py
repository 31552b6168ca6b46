# SPDX-License-Identifier: GPL-3.0-or-later
"""The bank: one file with the generators of a forward model, what it says of itself, and its card."""

from .bank_wide import SplitHeader
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
    verify_bank,
)
from .header import BankHeader, ComponentHeader, DirectionsHeader, EncoderHeader

__all__ = [
    "AUTO",
    "DEFAULT_BANK",
    "MATERIAL",
    "Bank",
    "BankComponent",
    "BankHeader",
    "Choice",
    "ComponentHeader",
    "DirectionVectors",
    "DirectionsHeader",
    "EncoderHeader",
    "SplitHeader",
    "choose_bank",
    "find_bank",
    "fingerprint",
    "list_banks",
    "load_bank",
    "read_header",
    "save_bank",
    "verify_bank",
]
