# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for the servers of Python packages: two tiny wheels, a lock of them, and an index on this machine."""

from __future__ import annotations

import hashlib
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from join_blender.install.builds import Build, read_build, this_python, this_system

MODULES = {
    "torch": {"torch/__init__.py": "__version__ = '9.1'\n"},
    "tinynumpy": {
        f"{name}/__init__.py": "__version__ = '9.2'\n"
        for name in ("numpy", "safetensors", "PIL", "OpenEXR", "OpenImageIO")
    },
}


def make_wheel(folder: Path, name: str, files: dict[str, str]) -> Path:
    """A wheel that pip installs."""
    path = folder / f"{name}-1.0-py3-none-any.whl"
    info = f"{name}-1.0.dist-info"
    files = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tiny\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = "".join(f"{file},,\n" for file in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for file, text in {**files, f"{info}/RECORD": record}.items():
            archive.writestr(zipfile.ZipInfo(file), text)  # without the time of day: the same files, the same hash
    return path


def make_wheels(folder: Path, **changed: dict[str, str]) -> Path:
    """All of :data:`MODULES`, some of them ``changed``."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, files in (MODULES | changed).items():
        make_wheel(folder, name, files)
    return folder


def digest(path: Path) -> str:
    """SHA-256, in hexadecimal digits."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def make_lock(folder: Path, wheels: Path, unpacked: int = 1000, python: str = "") -> Build:
    """A lock file of those wheels for this system."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / f"{this_system()}-py{(python or this_python()).replace('.', '')}-cpu.txt"
    lines = ["# a comment"]
    for path in sorted(wheels.glob("*.whl")):
        facts = f"file={path.name} bytes={path.stat().st_size} unpacked={unpacked}"
        lines.append(f"{path.name.split('-')[0]}==1.0 --hash=sha256:{digest(path)}  # {facts}")
    lock.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return read_build(lock)


class Index:
    """An index of the wheels in a folder, at ``url``.

    ``hangs`` names a package whose file arrives in part and then no further; ``fetched`` lists the files asked for.
    """

    def __init__(self, wheels: Path) -> None:
        self.wheels = wheels
        self.hangs = ""
        self.fetched: list[str] = []
        self.hanging = threading.Event()
        self._over = threading.Event()
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                index.answer(self)

            def log_message(self, *_arguments: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/simple"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        """A page of links, or a file."""
        parts = request.path.strip("/").split("/")
        found = sorted(self.wheels.glob(f"{parts[1]}-*.whl")) if len(parts) == 2 else []
        if parts[0] == "simple" and found:
            links = "".join(f'<a href="/files/{path.name}#sha256={digest(path)}">{path.name}</a>' for path in found)
            self._send(request, f"<!DOCTYPE html><html><body>{links}</body></html>".encode(), "text/html")
        elif parts[0] == "files":
            self.fetched.append(parts[1])
            data = (self.wheels / parts[1]).read_bytes()
            if parts[1].startswith(self.hangs or "\0"):
                self._send(request, data[: len(data) // 2], "application/octet-stream", len(data))
                self.hanging.set()
                self._over.wait(60)
            else:
                self._send(request, data, "application/octet-stream")
        else:
            request.send_error(404)

    def _send(self, request: BaseHTTPRequestHandler, data: bytes, kind: str, length: int | None = None) -> None:
        request.send_response(200)
        request.send_header("Content-Type", kind)
        request.send_header("Content-Length", str(len(data) if length is None else length))
        request.end_headers()
        request.wfile.write(data)
        request.wfile.flush()

    def close(self) -> None:
        """No server any more."""
        self._over.set()
        self._server.shutdown()
        self._server.server_close()
