"""What many tests share: the footage that is not part of the repository, and words for what is missing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

ROOT = Path(__file__).parents[1]

# The same examples everywhere, none lost to a busy machine.
settings.register_profile(
    "tallycam", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tallycam")


@pytest.fixture(scope="session")
def root() -> Path:
    """The top folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real footage, truth and a COCO model: `TALLYCAM_SHARED_DATA`, or `shared/data` beside the checkout.

    Nobody has to have it: tests that ask for it skip where it is missing.
    """
    for folder in (os.environ.get("TALLYCAM_SHARED_DATA"), ROOT.parent / "shared" / "data"):
        if folder and (Path(folder) / "README.md").is_file():
            return Path(folder)
    pytest.skip("no real footage: set TALLYCAM_SHARED_DATA to the folder that holds it")


@pytest.fixture(scope="session")
def need_program() -> Callable[[str, str], str]:
    """Path of a program, e.g. `need_program("promtool", "prometheus")` with its Debian package.

    Where it is missing a developer's test skips, naming the package; in CI (environment variable CI) it fails:
    `.ci/run` installs the package.
    """

    def need(program: str, package: str) -> str:
        path = shutil.which(program, path=f"{os.environ['PATH']}{os.pathsep}{Path(sys.executable).parent}")
        if path is None:
            text = f"{program} is not installed (Debian: {package})"
            if os.environ.get("CI"):
                pytest.fail(text)
            pytest.skip(text)
        return path

    return need
