# SPDX-License-Identifier: GPL-3.0-or-later
"""Open Image Denoise through its C interface, with the library that Blender itself is linked to.

Not Blender's Denoise node: the compositor's Python interface differs between 4.2, 4.5 and 5.0, it would cost another
pass through files, and its threads are not ours to count. The C interface is the same in all of them (2.x), runs on
our arrays, and outside of Python's lock. No bpy here: the caller says where to look for the library.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dataset_tools.errors import UserError

# Linux, macOS, Windows. Tried by bare name first, which finds what is already loaded into this process.
_FILES = {
    "linux": ("libOpenImageDenoise.so.2",),
    "darwin": ("libOpenImageDenoise.2.dylib", "libOpenImageDenoise.dylib"),
    "win32": ("OpenImageDenoise.dll",),
}
# From oidn.h: OIDN_DEVICE_TYPE_CPU and OIDN_FORMAT_FLOAT3.
_CPU = 1
_FLOAT3 = 3

_SIGNATURES: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "oidnNewDevice": (ctypes.c_void_p, (ctypes.c_int,)),
    "oidnSetDeviceInt": (None, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_int)),
    "oidnSetDeviceBool": (None, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_bool)),
    "oidnCommitDevice": (None, (ctypes.c_void_p,)),
    "oidnGetDeviceError": (ctypes.c_int, (ctypes.c_void_p, ctypes.POINTER(ctypes.c_char_p))),
    "oidnReleaseDevice": (None, (ctypes.c_void_p,)),
    "oidnNewFilter": (ctypes.c_void_p, (ctypes.c_void_p, ctypes.c_char_p)),
    "oidnSetSharedFilterImage": (
        None,
        (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p, ctypes.c_int, *[ctypes.c_size_t] * 5),
    ),
    "oidnSetFilterBool": (None, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_bool)),
    "oidnCommitFilter": (None, (ctypes.c_void_p,)),
    "oidnExecuteFilter": (None, (ctypes.c_void_p,)),
    "oidnReleaseFilter": (None, (ctypes.c_void_p,)),
}


class Denoiser:
    """Denoises linear layers of one size on one CPU thread: the same bytes whatever came before."""

    def __init__(self, folders: Sequence[Path], resolution: int) -> None:
        """Layers are [resolution, resolution, 3]. ``folders`` may hold the library; raises UserError when none does."""
        self._library = load(folders)
        self._device = self._library.oidnNewDevice(_CPU)
        # One thread as in rendering, so that neither the number of workers nor of cores can show in the result.
        self._library.oidnSetDeviceInt(self._device, b"numThreads", 1)
        self._library.oidnSetDeviceBool(self._device, b"setAffinity", False)
        self._library.oidnCommitDevice(self._device)
        self._filter = self._library.oidnNewFilter(self._device, b"RT")
        # The filter reads and writes these very arrays; it is prepared once and run for every layer. Guides (albedo,
        # normals) would gain nothing: what carries texture, the albedo, is not in these layers (measured).
        self._images = {name: np.zeros((resolution, resolution, 3), np.float32) for name in ("color", "output")}
        for name, image in self._images.items():
            size = (resolution, resolution, 0, 0, 0)
            self._library.oidnSetSharedFilterImage(self._filter, name.encode(), image.ctypes.data, _FLOAT3, *size)
        self._library.oidnSetFilterBool(self._filter, b"hdr", True)
        self._library.oidnCommitFilter(self._filter)
        self._raise_error()

    def __call__(self, layer: np.ndarray) -> np.ndarray:
        """A denoised copy of a layer: [R, R, 3] float32, linear, zero or more."""
        self._images["color"][:] = layer
        self._library.oidnExecuteFilter(self._filter)
        self._raise_error()
        return np.maximum(self._images["output"], 0.0)

    def close(self) -> None:
        """Release the library's memory; the object is of no use afterwards."""
        self._library.oidnReleaseFilter(self._filter)
        self._library.oidnReleaseDevice(self._device)

    def _raise_error(self) -> None:
        message = ctypes.c_char_p()
        if self._library.oidnGetDeviceError(self._device, ctypes.byref(message)):
            reason = (message.value or b"no reason given").decode(errors="replace")
            raise UserError(f"Open Image Denoise failed ({reason}): render without --denoise.")


def load(folders: Sequence[Path]) -> Any:
    """The library with its functions' signatures declared. Raises UserError when there is none."""
    for candidate in _candidates(folders):
        try:
            library = ctypes.CDLL(candidate)
            for name, (result, arguments) in _SIGNATURES.items():
                function = getattr(library, name)
                function.restype, function.argtypes = result, arguments
        except (OSError, AttributeError):  # not there, or of another generation
            continue
        return library
    raise UserError(
        "This Blender comes without Open Image Denoise 2, which --denoise needs: use an official Blender, or more "
        "--samples without --denoise."
    )


def _candidates(folders: Sequence[Path]) -> Iterator[str]:
    names = _FILES.get(sys.platform, _FILES["linux"])
    yield from names
    for folder in folders:
        yield from (str(folder / name) for name in names if (folder / name).is_file())
