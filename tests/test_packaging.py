"""What is installed works together, and what is built holds all that is needed."""

from __future__ import annotations

import ast
import importlib
import importlib.metadata
import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import pipeline

MODULES = {
    "opencv-python-headless": "cv2",
    "pillow": "PIL",
    "prometheus-client": "prometheus_client",
    "pyyaml": "yaml",
    "pyzmq": "zmq",
    "psycopg": "psycopg",
}
"""Distribution -> module, where the names differ."""


def project(root: Path) -> dict:
    return tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def distributions(requirements: list[str]) -> list[str]:
    return [re.match(r"[\w-]+", text)[0] for text in requirements]  # type: ignore[index]


@pytest.mark.slow
def test_all_dependencies_import_together(root: Path) -> None:
    names = [MODULES.get(name, name) for name in distributions(project(root)["dependencies"])]
    code = "\n".join([f"import {name}" for name in names] + ["import torchvision; torchvision.ops.nms"])
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_is_installed_is_what_is_required(root: Path) -> None:
    installed = importlib.metadata.version
    assert installed("numpy").startswith("1.26."), "norfair 2.3 does not work with NumPy 2"
    assert installed("opencv-python-headless") < "4.12"
    assert [int(part) for part in installed("torch").split(".")[:2]] >= [2, 14]
    for name in distributions(project(root)["dependencies"]):
        assert installed(name)


@pytest.mark.parametrize("extra", ["onnx", "postgres", "train", "tensorboard", "evaluate"])
def test_an_extra_that_is_installed_imports(root: Path, extra: str) -> None:
    for name in distributions(project(root)["optional-dependencies"][extra]):
        try:
            importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            pytest.skip(f"{name} is not installed (extra {extra})")
        importlib.import_module(MODULES.get(name, name))


def test_every_package_that_is_imported_is_declared(root: Path) -> None:
    """Dependencies of dependencies come and go: what the package imports itself it also asks for."""
    extras = project(root)["optional-dependencies"].values()
    declared = distributions([*project(root)["dependencies"], *(name for extra in extras for name in extra)])
    known = {MODULES.get(name, name).partition(".")[0] for name in declared}
    imported = set()
    for path in (root / "pipeline").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    exempt = {
        "pipeline",
        "pydantic_core",  # pydantic names one version of its core
        "triton",  # comes with PyTorch where it can use a GPU, and is not needed elsewhere
        "supervision",  # whoever asks for its classes has it
    }
    assert sorted(imported - known - exempt - sys.stdlib_module_names) == []


def test_the_command_is_there_and_tells_its_version() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "--version"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, f"tallycam {pipeline.__version__}\n"), done.stderr


def test_the_version_is_in_one_place(root: Path) -> None:
    assert project(root)["dynamic"] == ["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", pipeline.__version__)


def test_the_package_says_where_it_lives(root: Path) -> None:
    urls = project(root)["urls"]
    assert {"Homepage", "Documentation", "Source", "Issues", "Changelog"} <= urls.keys()
    assert all(url.startswith("https://") for url in urls.values())


def test_the_sdist_holds_every_file_of_the_repository(root: Path, tmp_path: Path) -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", str(tmp_path)]
    subprocess.run(command, cwd=root, check=True, capture_output=True)
    (sdist,) = tmp_path.glob("tallycam-*.tar.gz")
    with tarfile.open(sdist) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    assert not sorted(set(listed.stdout.splitlines()) - held)


@pytest.mark.slow
def test_the_wheel_holds_model_clip_and_types(root: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=root,
        check=True,
        capture_output=True,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
    )
    (wheel,) = tmp_path.glob("tallycam-*.whl")
    assert pipeline.__version__ in wheel.name
    with zipfile.ZipFile(wheel) as archive:
        sizes = {item.filename: item.file_size for item in archive.infolist()}
        (info,) = [name.partition("/")[0] for name in sizes if name.endswith("/METADATA")]
        commands = archive.read(f"{info}/entry_points.txt").decode()
    assert "tallycam = pipeline.__main__:main" in commands
    assert f"{info}/licenses/LICENSE" in sizes
    assert "pipeline/py.typed" in sizes
    assert not [name for name in sizes if not name.startswith(("pipeline/", f"{info}/"))]
    weights = [size for name, size in sizes.items() if re.fullmatch(r"pipeline/models/.*\.safetensors", name)]
    assert weights
    assert sum(weights) <= 8_000_000
    clips = [size for name, size in sizes.items() if re.fullmatch(r"pipeline/demo/data/.*\.mp4", name)]
    assert clips
    assert max(clips) < 2_000_000
    assert [name for name in sizes if re.fullmatch(r"pipeline/demo/data/.*\.json(\.gz)?", name)]


def test_nothing_says_to_install_from_an_index_that_has_no_release(root: Path) -> None:
    """To be removed with the first release on PyPI."""
    pages = [
        root / "README.md",
        *root.glob("docs/**/*.md"),
        *root.glob("configs/*"),
        *root.glob("pipeline/**/*.py"),
    ]
    command = re.compile(r"install ['\"]?tallycam\b")
    assert not [path.name for path in pages if command.search(path.read_text("utf-8"))]
