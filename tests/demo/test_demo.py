"""What the README promises first: the demo counts the clip that ships, and every count is right."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_every_count_of_the_demo_is_the_truth(tmp_path: Path) -> None:
    told = subprocess.run(
        [sys.executable, "-m", "pipeline", "demo", "--out", str(tmp_path / "demo")],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stdout + told.stderr
    assert "every count is right" in told.stdout
