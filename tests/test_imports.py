"""What a process imports is what it takes to start: heavy libraries only where they are used."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = (
    "torch",
    "torchvision",
    "onnxruntime",
    "norfair",
    "scipy.optimize",
    "sqlalchemy",
    "cv2",
    "av",
    "rich",
)
"""Each takes more than 50 ms to import, some more than a second."""


@pytest.mark.parametrize(
    ("modules", "allowed"),
    [
        ("pipeline.cli.app", {"rich"}),
        ("pipeline.cli.app, pipeline.runtime.run, pipeline.cli.table", {"rich", "cv2", "av"}),
        ("pipeline.stages.decode", {"cv2", "av"}),
        ("pipeline.stages.segment", {"cv2"}),
        ("pipeline.stages.track", {"cv2", "sqlalchemy"}),
        ("pipeline.stages.sink", {"cv2", "av"}),
    ],
)
def test_a_process_imports_only_what_it_uses(modules: str, allowed: set[str]) -> None:
    code = f"import {modules}, sys; print(*(name for name in {HEAVY!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) <= allowed
