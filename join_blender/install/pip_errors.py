# SPDX-License-Identifier: GPL-3.0-or-later
"""What pip says when it fails, as one sentence that an artist understands and one that says what to do."""

from __future__ import annotations

import errno
import re
from collections.abc import Sequence

from ..engine.failure import Failure

_TRY_AGAIN = "What has been downloaded is kept: install again to go on."

# The first that occurs anywhere in what pip said decides: causes come before what follows from them.
_KNOWN: tuple[tuple[str, str, str, str], ...] = (
    (
        r"DO NOT MATCH THE HASHES",
        "hash_wrong",
        "{what} is not the file that this version of the add-on was tested with, so it was not installed.",
        "Install again; if that does not help, a proxy on the way changes files, or the add-on needs an update.",
    ),
    (
        r"No space left on device|Errno 28|not enough space on the disk|WinError 112|Disk quota exceeded",
        "disk_full",
        "The disk is full.",
        f"Make room and install again. {_TRY_AGAIN}",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLCertVerificationError|SSLError",
        "certificate",
        "The connection to the server of {what} is not trusted.",
        "Check the computer's clock; behind a company's proxy set up its certificate, or install from a folder.",
    ),
    (
        r"ProxyError|Tunnel connection failed|Cannot connect to proxy",
        "proxy",
        "The proxy that this computer is set to use does not answer or refuses.",
        f"Check the proxy, or install from a folder. {_TRY_AGAIN}",
    ),
    (
        r"NameResolutionError|Failed to resolve|NewConnectionError|ConnectTimeoutError|ConnectionResetError|"
        r"ReadTimeoutError|Read timed out|IncompleteRead|ConnectionError|Connection broken|RemoteDisconnected|"
        r"Failed to establish a new connection|Download failed|incomplete-download|not enough bytes",
        "no_network",
        "{what} could not be downloaded: the server cannot be reached.",
        f"Check the network and install again, or install from a folder. {_TRY_AGAIN}",
    ),
    (
        r"Permission denied|Errno 13|WinError 5\b|WinError 32|Access is denied",
        "no_permission",
        "The folder of the engine cannot be written to, or a file in it is in use.",
        "Close other Blenders, look whether a virus scanner holds the folder, and install again.",
    ),
    (
        r"Long Path|WinError 206|File name too long|Errno 36",
        "path_long",
        "Windows refused a path that is too long.",
        "Turn on long paths in Windows, or use a Blender whose settings lie in a shorter folder.",
    ),
    (
        r"No matching distribution found|Could not find a version|HTTP error 404|404 Client Error",
        "not_offered",
        "The server does not offer {what}.",
        "Install from a folder, or choose your own Python.",
    ),
)


def explain(what: str, said: Sequence[str], code: int | None) -> Failure:
    """The failure behind a pip that ended with exit status ``code`` after it ``said`` these lines about ``what``."""
    text = "\n".join(said)
    for pattern, name, message, hint in _KNOWN:
        if re.search(pattern, text, re.IGNORECASE):
            return Failure(name, message.format(what=what), hint)
    last = next((line for line in reversed(said) if line.startswith("ERROR")), said[-1] if said else "")
    words = last.removeprefix("ERROR:").strip() or f"exit status {code}"
    return Failure("install_failed", f"Installing {what} failed: {words[:200]}", "The log has the details.")


def explain_system(error: OSError) -> Failure:
    """The failure behind an error of the system in our own part of the work."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return explain("", ["No space left on device"], None)
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS) or isinstance(error, PermissionError):
        return explain("", ["Permission denied"], None)
    return Failure("install_failed", f"Installing the engine failed: {error}.", "The log has the details.")
