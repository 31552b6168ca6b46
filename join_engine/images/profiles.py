# SPDX-License-Identifier: GPL-3.0-or-later
"""What a file says of its colours (ICC profiles, chunks of PNG, chromaticities), and the way to linear Rec.709.

A :class:`ColourSpace` is a curve per channel and a matrix, which is what cameras, phones and screens have; pictures
keep all their bits through it, and colours that Rec.709 has not come out above 1 or below 0. Profiles of other kinds
(tables, CMYK) go through LittleCMS, at 8 bits.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..color import LUMINANCE_WEIGHTS, srgb_decode
from ..errors import JoinError

Curve = Callable[[np.ndarray], np.ndarray]
Chromaticities = tuple[float, float, float, float, float, float, float, float]
"""x and y of red, green, blue and white."""

_D65 = (0.3127, 0.3290)
_D50 = (0.9642, 1.0, 0.8249)  # the XYZ of ICC's connection space
REC709: Chromaticities = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *_D65)
_ADOBE_RGB: Chromaticities = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06, *_D65)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
# Profiles of sRGB differ by less than this: by how their makers rounded.
_SAME_MATRIX, _SAME_CURVE = 3e-3, 4e-3
_GAMMA_OF_SRGB = 45455  # what PNG writes for sRGB where it has no room to say so
_KNOTS = np.linspace(0.0, 1.0, 256)


@dataclass(frozen=True)
class ColourSpace:
    """How values of a file become linear Rec.709.

    Attributes:
        name: for people.
        curves: encoded values, 0 to 1 for those of integers → linear; one for all channels, or one each.
        matrix: [3, 3], from linear values of the file to linear Rec.709; None where they are that.
    """

    name: str
    curves: tuple[Curve, ...]
    matrix: np.ndarray | None = None

    def linear(self, encoded: np.ndarray) -> np.ndarray:
        """Encoded float [..., C] → linear float32 [..., C]; three channels where there is a matrix."""
        if len(self.curves) == 1:
            found = self.curves[0](encoded)
        else:
            found = np.stack([curve(encoded[..., i]) for i, curve in enumerate(self.curves)], axis=-1)
        if self.matrix is not None:
            found = found.astype(np.float32) @ self.matrix.T.astype(np.float32)
        return found.astype(np.float32, copy=False)

    def lookup(self, values: np.ndarray) -> np.ndarray:
        """The linear values, before the matrix, of all that an integer type can hold: float32 [N] or [N, 3].
        ``values``: [N], what the integers mean."""
        columns = [curve(values) for curve in self.curves]
        return np.stack(columns, axis=-1).astype(np.float32)[..., 0 if len(columns) == 1 else slice(None)]


SRGB = ColourSpace("sRGB", (srgb_decode,))
LINEAR = ColourSpace("linear Rec.709", (lambda values: values,))


class TableProfile(Exception):
    """An ICC profile that is no curves and matrix: its colours must go through LittleCMS (:func:`through_lcms`)."""


def space_of_icc(profile: bytes, channels: int) -> ColourSpace:
    """The colour space of an ICC profile with curves (and a matrix, if it is of colours).

    Args:
        profile: the file's bytes.
        channels: colour channels of the picture, 1 or 3; a profile for another number says nothing of it.

    Raises:
        TableProfile: it is of another kind.
        ValueError: it is damaged, or not for such a picture.
    """
    tags = _tags(profile)
    kind = profile[16:20]
    name = _profile_name(profile)
    if kind not in (b"RGB ", b"GRAY"):
        raise TableProfile(name)
    if kind == b"GRAY" and channels != 1:
        raise ValueError(f"the profile '{name}' is for grey pictures")
    if kind == b"RGB " and channels == 1 and b"gTRC" in tags:
        return _named(name, (_curve(tags[b"gTRC"]),), None)  # grey is where all channels are alike
    if kind == b"GRAY":
        if b"kTRC" not in tags:
            raise TableProfile(name)
        return _named(name, (_curve(tags[b"kTRC"]),), None)
    if not {b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"} <= tags.keys():
        raise TableProfile(name)
    to_xyz = np.stack([_xyz(tags[letter + b"XYZ"]) for letter in (b"r", b"g", b"b")], axis=1)
    matrix = np.linalg.inv(_adapted(REC709, _D50)) @ to_xyz
    return _named(name, tuple(_curve(tags[letter + b"TRC"]) for letter in (b"r", b"g", b"b")), matrix)


def through_lcms(picture: Any, profile: bytes) -> Any:
    """A Pillow image of any mode in a profile's colours → in sRGB, mode RGB. Raises ValueError."""
    from PIL import ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        return ImageCms.profileToProfile(
            picture, source, ImageCms.createProfile("sRGB"), ImageCms.Intent.RELATIVE_COLORIMETRIC, "RGB"
        )
    except (ImageCms.PyCMSError, OSError, TypeError) as error:
        raise ValueError(f"the profile does not fit the picture ({error})") from error


def space_of_chromaticities(chromaticities: Sequence[float], name: str, curve: Curve | None = None) -> ColourSpace:
    """Linear light (or what ``curve`` makes such) of other primaries. Raises ValueError for what are none."""
    values = tuple(float(value) for value in chromaticities)
    if len(values) != 8 or not np.isfinite(values).all() or values[7] <= 0:
        raise ValueError("its chromaticities are no colours")
    try:
        matrix = np.linalg.inv(_adapted(REC709, _D50)) @ _adapted(values, _D50)
    except np.linalg.LinAlgError as error:
        raise ValueError("its chromaticities lie on one line") from error
    return _named(name, (curve or (lambda encoded: encoded),), matrix)


def luminance_weights(chromaticities: Sequence[float] | None) -> np.ndarray:
    """Share of red, green and blue in the luminance, [3]."""
    return np.array(LUMINANCE_WEIGHTS) if chromaticities is None else _to_xyz(tuple(chromaticities))[1]


def adobe_rgb() -> ColourSpace:
    """What cameras mean by "Adobe RGB" where they embed no profile."""
    return space_of_chromaticities(_ADOBE_RGB, "Adobe RGB", _power(563 / 256))


def space_of_png(chunks: dict[bytes, bytes], channels: int) -> ColourSpace | None:
    """What a PNG says of its colours, without its ICC profile; None where it says nothing.

    cICP counts before sRGB, sRGB before gAMA and cHRM (PNG specification, third edition, 4.3).

    Args:
        chunks: those before the pixels, by name.
        channels: colour channels, 1 or 3.

    Raises:
        JoinError: ``image_colours`` for a cICP that is not known.
        ValueError: a damaged chunk.
    """
    if len(chunks.get(b"cICP", b"")) == 4:
        primaries_, transfer, matrix, full_range = chunks[b"cICP"]
        return _space_of_cicp(primaries_, transfer, matrix, full_range, channels)
    if b"sRGB" in chunks:
        return SRGB
    gamma = struct.unpack(">I", chunks[b"gAMA"])[0] if len(chunks.get(b"gAMA", b"")) == 4 else None
    primaries = None
    if len(chunks.get(b"cHRM", b"")) == 32 and channels == 3:
        white_x, white_y, *rest = (value / 100_000 for value in struct.unpack(">8I", chunks[b"cHRM"]))
        primaries = (*rest, white_x, white_y)
    if gamma == 0:
        raise ValueError("its gamma is 0")
    if gamma is None and primaries is None:
        return None
    curve: Curve = srgb_decode
    if gamma not in (None, _GAMMA_OF_SRGB):
        curve = _power(100_000 / gamma)
    return space_of_chromaticities(primaries or REC709, "the file's own gamma and primaries", curve)


def _named(name: str, curves: tuple[Curve, ...], matrix: np.ndarray | None) -> ColourSpace:
    """With what is sRGB but for rounding taken as sRGB, which then keeps every bit."""
    if matrix is not None and np.abs(matrix - np.eye(3)).max() < _SAME_MATRIX:
        matrix = None
    if matrix is None and all(np.abs(curve(_KNOTS) - srgb_decode(_KNOTS)).max() < _SAME_CURVE for curve in curves):
        return SRGB
    return ColourSpace(name, curves, matrix)


def _power(exponent: float) -> Curve:
    return lambda encoded: np.clip(encoded, 0.0, None) ** exponent


def _to_xyz(chromaticities: Sequence[float]) -> np.ndarray:
    """[3, 3]: linear RGB of these primaries → XYZ, white having a luminance of 1."""
    x, y = np.array(chromaticities[0::2], float), np.array(chromaticities[1::2], float)
    xyz = np.stack([x, y, 1.0 - x - y])  # columns: red, green, blue, white
    white = xyz[:, 3] / xyz[1, 3]
    return xyz[:, :3] * np.linalg.solve(xyz[:, :3], white)  # type: ignore[no-any-return]


def _adapted(chromaticities: Sequence[float], white: Sequence[float]) -> np.ndarray:
    """[3, 3]: linear RGB of these primaries → XYZ as seen under another white (Bradford)."""
    to_xyz = _to_xyz(chromaticities)
    cones = (_BRADFORD @ np.array(white)) / (_BRADFORD @ to_xyz.sum(axis=1))
    return np.linalg.inv(_BRADFORD) @ (cones[:, None] * _BRADFORD) @ to_xyz  # type: ignore[no-any-return]


# --- ICC (specification ICC.1:2022) --------------------------------------------------------------------------------


def _tags(profile: bytes) -> dict[bytes, bytes]:
    if len(profile) < 132 or profile[36:40] != b"acsp":
        raise ValueError("its colour profile is damaged")
    count = struct.unpack(">I", profile[128:132])[0]
    tags = {}
    for at in range(132, min(132 + 12 * count, len(profile) - 11), 12):
        name, offset, size = struct.unpack(">4sII", profile[at : at + 12])
        tags[name] = profile[offset : offset + size]
    return tags


def _profile_name(profile: bytes) -> str:
    from PIL import ImageCms

    try:
        found = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(profile)))
    except (ImageCms.PyCMSError, OSError, ValueError):
        found = ""
    return " ".join(found.split())[:80] or "a profile without a name"


def _xyz(tag: bytes) -> np.ndarray:
    if len(tag) < 20:
        raise ValueError("its colour profile is damaged")
    return np.array(struct.unpack(">3i", tag[8:20])) / 65536.0


def _curve(tag: bytes) -> Curve:
    """Of a ``curv`` or ``para`` tag."""
    kind = tag[:4]
    try:
        if kind == b"curv":
            (count,) = struct.unpack(">I", tag[8:12])
            table = np.frombuffer(tag, ">u2", count, 12) / 65535.0
            if count == 0:
                return lambda encoded: encoded
            if count == 1:
                return _power(float(np.frombuffer(tag, ">u2", 1, 12)[0]) / 256.0)
            knots = np.linspace(0.0, 1.0, count)
            return lambda encoded: np.interp(encoded, knots, table)
        if kind == b"para":
            (form,) = struct.unpack(">H", tag[8:10])
            count = (1, 3, 4, 5, 7)[form]
            return _parametric(
                form, [value / 65536.0 for value in struct.unpack(f">{count}i", tag[12 : 12 + 4 * count])]
            )
    except (struct.error, ValueError, IndexError) as error:
        raise ValueError("its colour profile is damaged") from error
    raise ValueError(f"its colour profile has a curve of an unknown kind {kind!r}")


def _parametric(form: int, given: list[float]) -> Curve:
    """ICC.1:2022, table 68: (a·x + b)^g + e from d on, c·x + f below."""
    g = given[0]
    a, b, c, d, e, f = 1.0, 0.0, 0.0, -np.inf, 0.0, 0.0
    if form in (1, 2):
        a, b = given[1:3]
        d = -b / a if a else 0.0
        e = f = given[3] if form == 2 else 0.0
    elif form >= 3:
        a, b, c, d = given[1:5]
        e, f = given[5:7] if form == 4 else (0.0, 0.0)

    def curve(encoded: np.ndarray) -> np.ndarray:
        power = np.clip(a * encoded + b, 0.0, None) ** g + e
        return np.where(encoded >= d, power, c * encoded + f)

    return curve


# --- cICP (ITU-T H.273) --------------------------------------------------------------------------------------------

_PRIMARIES: dict[int, tuple[str, Chromaticities]] = {
    1: ("Rec.709", REC709),
    4: ("NTSC 1953", (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, 0.310, 0.316)),
    5: ("PAL", (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *_D65)),
    6: ("SMPTE 170M", (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65)),
    7: ("SMPTE 240M", (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65)),
    9: ("Rec.2020", (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65)),
    11: ("DCI-P3", (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351)),
    12: ("Display P3", (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_D65)),
    22: ("EBU 3213", (0.630, 0.340, 0.295, 0.605, 0.155, 0.077, *_D65)),
}
_REFERENCE_WHITE = 203.0  # cd/m² of diffuse white in HDR pictures (ITU-R BT.2408)


def _pq(encoded: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084, diffuse white being 1."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    root = np.clip(encoded, 0.0, 1.0).astype(np.float64) ** (1 / m2)
    return 10_000 / _REFERENCE_WHITE * (np.clip(root - c1, 0.0, None) / (c2 - c3 * root)) ** (1 / m1)


def _hlg(encoded: np.ndarray) -> np.ndarray:
    """Light of the scene by ITU-R BT.2100, its white at a signal of 75 % being 1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    value = np.clip(encoded, 0.0, 1.0).astype(np.float64)
    scene = np.where(value <= 0.5, value**2 / 3, (np.exp((value - c) / a) + b) / 12)
    return scene / ((np.exp((0.75 - c) / a) + b) / 12)  # type: ignore[no-any-return]


# Pictures made for screens of Rec.709 are looked at like sRGB, whatever camera the curve is named after.
_TRANSFERS: dict[int, Curve] = {
    **dict.fromkeys((1, 6, 13, 14, 15), srgb_decode),
    4: _power(2.2),
    5: _power(2.8),
    8: lambda encoded: encoded,
    16: _pq,
    17: lambda encoded: np.clip(encoded, 0.0, None) ** 2.6 * (52.37 / 48.0),
    18: _hlg,
}


def _space_of_cicp(primaries: int, transfer: int, matrix: int, full_range: int, channels: int) -> ColourSpace:
    if primaries not in _PRIMARIES or transfer not in _TRANSFERS or matrix != 0:
        message = f"The picture's colours are of a kind (cICP {primaries}-{transfer}-{matrix}) that is not known here."
        raise JoinError("image_colours", message, "Save it as sRGB, Display P3 or Rec.2100.")
    name, chromaticities = _PRIMARIES[primaries]
    curve = _TRANSFERS[transfer]
    if not full_range:
        full = curve

        def curve(encoded: np.ndarray) -> np.ndarray:
            return full(np.clip((encoded * 255.0 - 16.0) / 219.0, 0.0, None))

    return space_of_chromaticities(chromaticities if channels == 3 else REC709, name, curve)
