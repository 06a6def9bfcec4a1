"""Runs where the system allows little: clear words instead of a run that fails half-way."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.runtime.limits import files_needed
from tests.running import ROOT, scene


def limited(config: Path, out: Path, kind: int, soft: int, hard: int) -> tuple[int, str, str]:
    """A run under a limit: exit code, standard output, standard error."""
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "run", str(config), "--out", str(out)],
        cwd=ROOT, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, check=False, timeout=120,
        preexec_fn=lambda: resource.setrlimit(kind, (soft, hard)),
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scene(tmp_path_factory.mktemp("scene"), 20)


@pytest.mark.slow
def test_few_files_are_enough_for_a_stream(config: Path, tmp_path: Path) -> None:
    few = files_needed(1)
    code, _, err = limited(config, tmp_path / "out", resource.RLIMIT_NOFILE, few, few)
    assert (code, err) == (0, "")


@pytest.mark.slow
def test_a_low_limit_that_may_be_raised_is_raised(config: Path, tmp_path: Path) -> None:
    code, _, err = limited(config, tmp_path / "out", resource.RLIMIT_NOFILE, 20, 1000)
    assert (code, err) == (0, "")


def test_too_few_files_are_told_before_anything_starts(config: Path, tmp_path: Path) -> None:
    code, _, err = limited(config, tmp_path / "out", resource.RLIMIT_NOFILE, 30, 30)
    line = (
        "a process may open 30 files here, and a run of 1 stream needs 56; raise the limit "
        "(`ulimit -n`, LimitNOFILE= of a service)"
    )
    assert (code, err) == (2, f"tallycam: {line}\n")
    assert not (tmp_path / "out").exists()


def test_too_little_memory_is_told_before_anything_starts(config: Path, tmp_path: Path) -> None:
    size = 300 * 1024**2
    code, _, err = limited(config, tmp_path / "out", resource.RLIMIT_AS, size, size)
    line = "a process may use 300 MB of memory here, and a run needs 768 MB at least; raise the limit (`ulimit -v`)"
    assert (code, err) == (2, f"tallycam: {line}\n")
    assert not (tmp_path / "out").exists()
