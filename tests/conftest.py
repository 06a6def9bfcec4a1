"""What many tests share: the footage that is not part of the repository, and words for what is missing."""

from __future__ import annotations

import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from pipeline.redact import forget

ROOT = Path(__file__).parents[1]
_POSTGRESQL = sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)
"""Where Debian keeps the server's programs, which are not on the PATH."""

# Workers of pytest-xdist share the cores: a library that takes all of them for itself only slows the others down.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Without a GPU, Triton's kernels are interpreted; it wants to know before it is imported for the first time.
if not Path("/dev/nvidiactl").exists():
    os.environ.setdefault("TRITON_INTERPRET", "1")

# Many tests start processes: each of them would compile every module anew where the environment forbids caching.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# The same examples everywhere, none lost to a busy machine.
settings.register_profile(
    "tallycam", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("tallycam")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With several workers, files with many slow tests come first: else the last one keeps a single worker busy."""
    if not hasattr(config, "workerinput"):
        return
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(autouse=True)
def _no_password_is_known() -> Iterator[None]:
    """Passwords of one test's configuration are not hidden in the text of another's."""
    yield
    forget()


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


def missing(text: str) -> NoReturn:
    """Something that a test needs is not there: a developer's test skips and says so, in CI it fails."""
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)


@pytest.fixture(scope="session")
def need_program() -> Callable[[str, str], str]:
    """Path of a program, e.g. `need_program("promtool", "prometheus")` with the Debian package that has it.

    Where it is missing the test skips, naming the package; in CI it fails, since `.ci/run` installs the package.
    """

    def need(program: str, package: str) -> str:
        folders = [os.environ["PATH"], str(Path(sys.executable).parent), *_POSTGRESQL]
        return shutil.which(program, path=os.pathsep.join(folders)) or missing(
            f"{program} is not installed (Debian: {package})"
        )

    return need
