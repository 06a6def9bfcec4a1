"""Exporting RF-DETR's weights to ONNX with the package `rfdetr`, in a process and an environment of its own.

The package brings another OpenCV and much else that a counting process does not need, so it is never installed beside
Tallycam. A temporary environment sees the packages of this one, PyTorch among them: what is missing is 200 MB and takes
a quarter of a minute, where an environment from nothing has several gigabytes.
"""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import ModelError
from pipeline.files import make_folder, writing
from pipeline.models.rfdetr.variants import PACKAGE, VERSION, Variant

TIMEOUT_S = 1800.0
_SHARED = ("torch", "torchvision", "numpy")
"""Packages that stay as they are here."""
_CONFLICT = "ResolutionImpossible"
_SCRIPT = Path(__file__).with_name("export_script.py")


def export(variant: Variant, weights: Path | None, folder: Path, python: Path | None = None) -> Path:
    """Exports a model.

    Args:
        variant: which one.
        weights: its weights; None: untrained ones, for tests.
        folder: an empty folder for the file.
        python: an interpreter that has the package; default: a temporary environment is made.

    Returns:
        The ONNX file.

    Raises:
        ModelError: the package cannot be installed, or cannot export.
    """
    arguments = (str(_SCRIPT), variant.class_name, str(weights or ""), str(folder))
    with _environment(folder.parent) if python is None else _given(python) as interpreter:
        done = _called(interpreter, *arguments)
    if done.returncode:
        raise ModelError(f"model.name: {variant.name} could not be exported by {PACKAGE}: {_reason(done)}")
    found = list(folder.glob("*.onnx"))
    if len(found) != 1:
        raise ModelError(f"model.name: {variant.name}: {PACKAGE} wrote {len(found)} ONNX files, expected one")
    return found[0]


@contextmanager
def _given(python: Path) -> Iterator[Path]:
    if not python.is_file():
        raise ModelError(f"--python: there is no {python}; give a Python that has the package {PACKAGE}")
    yield python.absolute()  # not resolved: an environment is known by the place of the link


@contextmanager
def _environment(folder: Path) -> Iterator[Path]:
    """Makes a virtual environment with the package that also sees the packages of this one."""
    make_folder(folder)
    with (
        writing(folder, "set XDG_CACHE_HOME to a folder with room"),
        tempfile.TemporaryDirectory(prefix="environment-", dir=folder) as temporary,
    ):
        place = Path(temporary)
        python = place / "bin" / "python"
        _require(_called(sys.executable, "-m", "venv", temporary))
        paths = {"base": temporary, "platbase": temporary}
        here = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
        Path(sysconfig.get_path("purelib", vars=paths), "tallycam.pth").write_text("\n".join(sorted(here)))
        constraints = place / "constraints.txt"
        constraints.write_text("".join(f"{one}=={importlib.metadata.version(one)}\n" for one in _SHARED))
        pip = (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--retries", "2")
        packages = (f"{PACKAGE}=={VERSION}", "onnx")
        done = _called(*pip, "--constraint", constraints, *packages)
        if _CONFLICT in done.stderr:  # pip is configured for other versions than those installed here
            done = _called(*pip, *packages)
        _require(done)
        yield python


def _require(done: subprocess.CompletedProcess[str]) -> None:
    if done.returncode:
        raise ModelError(
            f"the package {PACKAGE} {VERSION}, which exports the model, could not be installed: {_reason(done)}"
        )


def _called(*command: str | Path) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",  # the weights hold the backbone
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONNOUSERSITE": "1",
    }
    environment.pop("PYTHONPATH", None)
    try:
        return subprocess.run(
            [str(word) for word in command],
            env=environment,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise ModelError(f"{command[0]}: took more than {TIMEOUT_S / 60:.0f} minutes") from None
    except OSError as error:
        raise ModelError(f"{command[0]}: cannot be run: {error.strerror}") from None


def _reason(done: subprocess.CompletedProcess[str]) -> str:
    """The line of a failed command's output that says most."""
    lines = [line.strip() for line in (done.stderr or done.stdout).splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return " ".join((errors or lines or [f"exit code {done.returncode}"])[-1].split())[:300]
