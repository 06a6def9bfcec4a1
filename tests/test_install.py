"""`tools/install.sh`: what it says where it cannot go on. That it can is what `make test` itself shows."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest


def install(root: Path, python: Path | str, venv: Path) -> tuple[int, str]:
    done = subprocess.run(
        ["sh", root / "tools/install.sh", venv, "-e", "."],
        env={"PATH": os.environ["PATH"], "PYTHON": str(python)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def fake_python(folder: Path, script: str) -> Path:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("exit 1",
         "install: found no Python; install Python 3.11 or 3.12 (Debian: apt install python3 python3-venv)\n"),
        ("echo 3.13",
         "install: {} is Python 3.13, Tallycam needs 3.11 or 3.12; name one: make PYTHON=/path/to/python3.11\n"),
        ('case "$2" in *venv*) exit 1 ;; esac; echo 3.12',
         "install: {} has no venv module (Debian: apt install python3.12-venv)\n"),
    ],
)  # fmt: skip
def test_it_says_what_is_missing_and_makes_nothing(
    root: Path, tmp_path: Path, script: str, says: str
) -> None:
    python = fake_python(tmp_path, script)
    assert install(root, python, tmp_path / "venv") == (1, says.format(python))
    assert not (tmp_path / "venv").exists()
