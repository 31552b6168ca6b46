# SPDX-License-Identifier: GPL-3.0-or-later
"""List, show or verify banks, write a bank's card, draw its samples or the picture by which one chooses it."""

from __future__ import annotations

import argparse
from pathlib import Path

from ..options import add_device_options, as_json, load_bank_named, natural, positive


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    found = actions.add_parser("list", help="the shipped banks")
    found.set_defaults(action=_list)
    show = actions.add_parser("show", help="a bank's header, as JSON")
    show.set_defaults(action=_show)
    verify = actions.add_parser("verify", help="read every weight and let every network work once")
    verify.set_defaults(action=_verify)
    card = actions.add_parser("card", help="write a bank's card from its header")
    card.add_argument("--out", type=Path, metavar="CARD.md", help="default: beside the bank")
    card.set_defaults(action=_write_card)
    sheet = actions.add_parser("sheet", help="draw generated images beside real ones, a PNG for each component")
    sheet.add_argument("--data", nargs="+", required=True, metavar="PACK.tar", help="packs of real renders")
    sheet.add_argument("--out", type=Path, required=True, help="folder for BANK-COMPONENT.png and BANK-samples.json")
    sheet.add_argument("--columns", type=positive, default=6)
    sheet.add_argument("--rows", type=positive, default=7)
    sheet.add_argument("--seed", type=natural, default=0)
    sheet.add_argument(
        "--compared",
        type=natural,
        default=0,
        metavar="N",
        help="distances in the bank's trunk over N images of either kind",
    )
    add_device_options(sheet)
    sheet.set_defaults(action=_draw_samples)
    picture = actions.add_parser("picture", help="four renders of a bank's kind in a square: what Blender's list shows")
    picture.add_argument("--data", nargs="+", required=True, metavar="PACK.tar", help="packs with the component image")
    picture.add_argument("--chosen", type=natural, nargs=4, default=[0, 1, 2, 3], metavar="N", help="which of them")
    picture.add_argument("--out", type=Path, metavar="FILE.jpg", help="default: beside the bank")
    picture.set_defaults(action=_draw_picture)
    for one in (show, card, sheet, picture):
        one.add_argument("bank", nargs="?", help="name or path (default: the default bank)")
    verify.add_argument("bank", nargs="?", help="name or path (default: all that are shipped)")


def run(options: argparse.Namespace) -> None:
    options.action(options)


def _list(options: argparse.Namespace) -> None:
    from ..bank import list_banks, read_header

    for path in list_banks():
        header = read_header(path)
        parts = " + ".join(header.components)
        print(f"{header.name}\t{header.resolution} px\t{header.forward_model}: {parts}\t{path}")


def _show(options: argparse.Namespace) -> None:
    from ..bank import find_bank, read_header

    path = find_bank(options.bank)
    print(as_json({"path": str(path), **read_header(path).to_dict()}))


def _verify(options: argparse.Namespace) -> None:
    from ..bank import find_bank, list_banks, load_bank, verify_bank

    for path in list_banks() if options.bank is None else [find_bank(options.bank)]:
        bank = load_bank(path, with_discriminators=True)
        verify_bank(bank)
        print(f"{bank.header.name}: good, sha256 {bank.sha256}")


def _write_card(options: argparse.Namespace) -> None:
    from ..bank import find_bank, read_header
    from ..bank.card import write_card

    path = find_bank(options.bank)
    out = options.out or path.with_suffix(".md")
    write_card(out, read_header(path), path.stat().st_size)
    print(out)


def _draw_samples(options: argparse.Namespace) -> None:
    from ..evaluation.sheets.bank_samples import SheetSettings, write_sheets

    settings = SheetSettings(options.columns, options.rows, options.seed, options.compared)
    for path in write_sheets(load_bank_named(options), options.data, options.out, settings):
        print(path)


def _draw_picture(options: argparse.Namespace) -> None:
    from ..bank import find_bank
    from ..errors import JoinError
    from ..images.files import write_atomically
    from ..renders.contact_sheet import contact_sheet
    from ..renders.packs import read_packs

    data = read_packs(options.data, "image")
    if max(options.chosen) >= len(data.images):
        raise JoinError("pack_mismatch", f"The packs hold {len(data.images)} images.", "Choose smaller numbers.")
    out = options.out or find_bank(options.bank).with_suffix(".jpg")
    square = contact_sheet(data.batch(options.chosen), 2)
    write_atomically(out, lambda temporary: square.save(temporary, format="JPEG", quality=85))
    print(out)
