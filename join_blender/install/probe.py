# SPDX-License-Identifier: GPL-3.0-or-later
"""Run by a Python that might become the engine's: ``python -I probe.py``. Says in one message what it can do.

Stands alone: any Python from 3.6 on must be able to run it, so that an old one can be told what is wrong.
"""

import json
import platform
import sys
from typing import Any, Dict  # noqa: UP035 (see above)

Message = Dict[str, Any]  # noqa: UP006

MODULES = ("torch", "numpy", "safetensors", "PIL", "OpenEXR", "OpenImageIO")
OLDEST = (3, 11)


def look() -> Message:
    """The message: a result with versions and device, or an error with a sentence and a hint."""
    version = platform.python_version()
    if sys.version_info[:2] < OLDEST:
        return error("python_old", f"This is Python {version}.", "The engine needs Python 3.11 or newer.")
    versions = {}
    for name in MODULES:
        try:
            module = __import__(name)
        except ImportError as problem:
            # "No module named" is plain; a library that does not load is another matter.
            missing = isinstance(problem, ModuleNotFoundError) and problem.name == name
            sentence = f"has no {name}" if missing else f"cannot load {name} ({problem})"
            hint = "Install torch, numpy, safetensors, pillow, OpenEXR and OpenImageIO for it, or choose another."
            return error("package_missing", f"This Python {version} {sentence}.", hint)
        except Exception as problem:
            sentence = f"This Python's {name} is broken ({type(problem).__name__}: {problem})."
            return error("package_broken", sentence, f"Install {name} again, or choose another Python.")
        versions[name] = str(getattr(module, "__version__", ""))
    return {"type": "result", "python": version, "versions": versions, "device": device(sys.modules["torch"])}


def device(torch: Any) -> str:
    """The best processor that torch can use, in plain words."""
    try:
        if torch.cuda.is_available():
            return f"{'ROCm' if torch.version.hip else 'CUDA'}: {torch.cuda.get_device_name(0)}"
        if torch.backends.mps.is_available():
            return "Metal"
    except (AttributeError, RuntimeError):
        pass  # a torch without these has only the processor
    return "CPU"


def error(code: str, message: str, hint: str) -> Message:
    """An error message in the engine's protocol."""
    return {"type": "error", "id": None, "code": code, "message": message, "hint": hint}


if __name__ == "__main__":
    real, sys.stdout = sys.stdout, sys.stderr  # whatever a package prints while it is imported is no message
    real.write(json.dumps(look()) + "\0")
    real.flush()
