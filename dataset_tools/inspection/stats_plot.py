# SPDX-License-Identifier: GPL-3.0-or-later
"""Statistics of a dataset as one picture: histograms, lights seen from above, families."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from dataset_tools import packages
from dataset_tools.inspection.photos import MIDDLE

_BACKGROUND = (24, 24, 26)
_PANEL = (36, 36, 40)
_TEXT = (215, 215, 220)
_FAINT = (140, 140, 148)
_COLORS = {"albedo": (214, 150, 92), "shading": (150, 170, 205), "specular": (230, 215, 140)}
_ACCENT = (120, 180, 160)
_BAND = (48, 56, 58)
_ALARM = (240, 80, 70)
_WIDTH, _HEIGHT, _GAP, _MARGIN = 380, 250, 16, 20
_TITLE = 30
_FAMILIES = 26

Box = tuple[float, float, float, float]
Color = tuple[int, int, int]


def draw(stats: Mapping[str, Any]) -> Any:
    """A Pillow image of about 1200 × 730 pixels, 1200 × 990 with photos beside the dataset."""
    image = packages.load_pillow()
    from PIL import ImageDraw, ImageFont

    width = 2 * _MARGIN + 3 * _WIDTH + 2 * _GAP
    lower = _HEIGHT + 140
    compared = stats.get("photos", {})
    height = 2 * _MARGIN + _TITLE + _HEIGHT + _GAP + lower + (_HEIGHT + _GAP if compared else 0)
    sheet = image.new("RGB", (width, height), _BACKGROUND)
    pen = _Pen(ImageDraw.Draw(sheet), ImageFont.load_default(13), ImageFont.load_default(20))
    pen.write((_MARGIN, _MARGIN - 6), f"{stats['dataset']}   {stats['samples']} samples", _TEXT, large=True)
    top = _MARGIN + _TITLE
    for column, (name, item) in enumerate(stats["components"].items()):
        box = _panel(column, top, _HEIGHT)
        median = item["linear_percentiles"]["50"]
        pen.bars(box, f"{name}, {item['curve']} curve; linear median {median:.3g}", item["tone_mapped_shares"], name)
    top += _HEIGHT + _GAP
    pen.sky(_panel(0, top, lower), "lights: azimuth around, elevation inwards", stats["lights"]["positions"])
    pen.ranking(_panel(1, top, lower), f"{len(stats['families'])} material families", stats["families"])
    pen.facts(_panel(2, top, lower), "shares and errors", _facts(stats))
    top += lower + _GAP
    own = (width - 2 * _MARGIN + _GAP) / max(1, len(compared)) - _GAP
    for column, (name, item) in enumerate(compared.items()):
        left = _MARGIN + column * (own + _GAP)
        pen.beside((left, top, left + own, top + _HEIGHT), name, item)
    return sheet


def _panel(column: int, top: int, height: int) -> Box:
    left = _MARGIN + column * (_WIDTH + _GAP)
    return left, top, left + _WIDTH, top + height


def _facts(stats: Mapping[str, Any]) -> list[tuple[str, str]]:
    def mean(spread: Mapping[str, float], form: str) -> str:
        return format(spread["mean"], form) if spread else "–"

    def largest(spread: Mapping[str, float]) -> str:
        return f"{spread['max']:.2g}" if spread else "–"

    return [
        *((f"split {name}", str(count)) for name, count in stats["splits"].items()),
        ("highlights, mean share", mean(stats["highlight_share"], ".2%")),
        ("invalid pixels, mean share", mean(stats["invalid_share"], ".2%")),
        ("materials with bare metal", "–" if stats["metal_share"] is None else f"{stats['metal_share']:.1%}"),
        ("light distance, mean", mean(stats["lights"]["distance"], ".2f")),
        ("largest identity error, float32", largest(stats["identity_error"])),
        ("largest identity error, as stored", largest(stats["identity_error_half"])),
        ("seconds a sample, mean", mean(stats["seconds"], ".2f")),
        ("redrawn samples", str(stats["redraws"]["samples"])),
    ]


class _Pen:
    """Draws panels."""

    def __init__(self, draw: Any, small: Any, large: Any) -> None:
        self._draw, self._small, self._large = draw, small, large

    def write(
        self, corner: tuple[float, float], text: str, color: Color, large: bool = False, anchor: str = "la"
    ) -> None:
        self._draw.text(corner, text, color, self._large if large else self._small, anchor)

    def bars(self, box: Box, title: str, shares: Sequence[float], name: str) -> None:
        """A histogram over 0 … 1, as high as its highest bar."""
        left, top, right, bottom = self._frame(box, title)
        bottom -= 18
        highest = max(shares) or 1.0
        step = (right - left) / len(shares)
        for number, share in enumerate(shares):
            x = left + number * step
            height = (bottom - top) * share / highest
            self._draw.rectangle((x, bottom - height, x + step - 2, bottom), _COLORS[name])
        for value in (0.0, 0.5, 1.0):
            anchor = {0.0: "la", 0.5: "ma", 1.0: "ra"}[value]
            self.write((left + value * (right - left), bottom + 4), f"{value:g}", _FAINT, anchor=anchor)
        self.write((right, top), f"{highest:.1%}", _FAINT, anchor="ra")

    def beside(self, box: Box, name: str, item: Mapping[str, Any]) -> None:
        """A measure of the dataset (bars), its middle (the band), and the photos' (outline, and a tick for each)."""
        outside = len(item["below"]) + len(item["above"])
        total = len(item["photos"])
        title = f"{name}: {total - outside} of {total} photos in {MIDDLE:g}%"
        left, top, right, bottom = self._frame(box, title)
        bottom -= 18

        def x(value: float) -> float:
            return left + (right - left) * value / item["top"]

        self._draw.rectangle((x(item["low"]), top, x(item["high"]), bottom), _BAND)
        highest = max(*item["shares"], *item["photo_shares"])
        step = (right - left) / len(item["shares"])
        for number, (share, photos) in enumerate(zip(item["shares"], item["photo_shares"], strict=True)):
            start, end = left + number * step, left + (number + 1) * step - 2
            self._draw.rectangle((start, bottom - (bottom - top) * share / highest, end, bottom), _ACCENT)
            if photos:
                height = (bottom - top) * photos / highest
                self._draw.rectangle((start, bottom - height, end, bottom), outline=_COLORS["albedo"])
        for photo, value in item["photos"].items():
            color = _ALARM if photo in item["below"] or photo in item["above"] else _COLORS["albedo"]
            self._draw.line((x(value), bottom - 8, x(value), bottom + 4), color, 2)
        self.write((left, bottom + 4), "0", _FAINT)
        self.write((right, bottom + 4), f"{item['top']:.2g}", _FAINT, anchor="ra")

    def sky(self, box: Box, title: str, positions: Sequence[Sequence[float]]) -> None:
        """Lights as seen from above: the viewer below, the horizon as the circle, overhead in its middle."""
        left, top, right, bottom = self._frame(box, title)
        radius = min(right - left, bottom - top) / 2 - 10
        x, y = (left + right) / 2, (top + bottom) / 2
        for circle in (0, 30, 60):
            r = radius * (90 - circle) / 90
            self._draw.ellipse((x - r, y - r, x + r, y + r), outline=(70, 70, 76))
            self.write((x + 3, y - r + 1), f"{circle}°", _FAINT)
        for azimuth, elevation in positions:
            r = radius * (90.0 - max(0.0, elevation)) / 90.0
            turn = math.radians(azimuth)
            px, py = x + r * math.sin(turn), y + r * math.cos(turn)
            self._draw.ellipse((px - 1.5, py - 1.5, px + 1.5, py + 1.5), _ACCENT)
        self.write((x, bottom + 2), "viewer", _FAINT, anchor="ms")

    def ranking(self, box: Box, title: str, counts: Mapping[str, int]) -> None:
        left, top, right, bottom = self._frame(box, title)
        shown = list(counts.items())[:_FAMILIES]
        if not shown:
            return
        step = min(16.0, (bottom - top) / len(shown))
        for number, (name, count) in enumerate(shown):
            y = top + number * step
            end = left + 120 + (right - left - 160) * count / shown[0][1]
            self.write((left, y), name[:18], _TEXT)
            self._draw.rectangle((left + 120, y + 3, end, y + step - 3), _ACCENT)
            self.write((end + 4, y), str(count), _FAINT)

    def facts(self, box: Box, title: str, rows: Sequence[tuple[str, str]]) -> None:
        left, top, right, _ = self._frame(box, title)
        for number, (name, value) in enumerate(rows):
            self.write((left, top + number * 24), name, _FAINT)
            self.write((right, top + number * 24), value, _TEXT, anchor="ra")

    def _frame(self, box: Box, title: str) -> Box:
        """The panel's ground and title; returns what is left inside."""
        self._draw.rounded_rectangle(box, 6, _PANEL)
        self.write((box[0] + 12, box[1] + 8), title, _TEXT)
        return box[0] + 12, box[1] + 36, box[2] - 12, box[3] - 12
