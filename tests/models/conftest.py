"""What tests of models share: packages that are installed beside Tallycam."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
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
