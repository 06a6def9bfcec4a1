"""What tests of models share: packages that are installed beside Tallycam, and a server of files."""

from __future__ import annotations

import importlib
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

InstallPackage = Callable[[str, str, dict[str, dict[str, str]]], Path]
"""Module name, its code, and entry-point group -> name -> `module:object`; returns the folder it lies in."""


@pytest.fixture
def install_package(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[InstallPackage]:
    """Puts a package on Python's path as pip leaves it: a module and its entry points."""
    modules: list[str] = []

    def install(module: str, code: str, groups: dict[str, dict[str, str]]) -> Path:
        folder = tmp_path_factory.mktemp("site-packages")
        modules.append(module)
        (folder / f"{module}.py").write_text(code, encoding="utf-8")
        info = folder / f"{module}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
        lines = [
            line
            for group, entries in groups.items()
            for line in (f"[{group}]", *(f"{name} = {value}" for name, value in entries.items()))
        ]
        (info / "entry_points.txt").write_text("\n".join(lines) + "\n")
        monkeypatch.syspath_prepend(str(folder))
        importlib.invalidate_caches()
        return folder

    yield install
    for module in modules:
        sys.modules.pop(module, None)


@dataclass
class FileServer:
    """A server of this machine.

    Attributes:
        folder: what it serves.
        address: without a slash at its end.
        cut_off_after: bytes after which it drops the connection.
        asked: paths that were asked for.
    """

    folder: Path
    address: str
    cut_off_after: int | None = None
    asked: tuple[str, ...] = ()


@pytest.fixture
def file_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FileServer]:
    """Serves the files of a folder over HTTP."""
    served = FileServer(tmp_path_factory.mktemp("served"), "")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            served.asked += (self.path,)
            path = served.folder / self.path.lstrip("/")
            if not path.is_file():
                self.send_error(404)
                return
            data = path.read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data[: served.cut_off_after])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        served.address = f"http://127.0.0.1:{running.server_port}"
        thread = threading.Thread(target=running.serve_forever, args=(0.01,))
        thread.start()
        yield served
        running.shutdown()
        thread.join()
