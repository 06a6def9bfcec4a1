"""The public names: few, typed, documented, and imported when they are used."""

from __future__ import annotations

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import pipeline

HEAVY = ("torch", "cv2", "av", "numpy", "pydantic", "zmq", "sqlalchemy")


def test_importing_the_package_imports_nothing_heavy() -> None:
    code = (
        f"import sys, pipeline; assert pipeline.__version__; print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("name", sorted(pipeline._PUBLIC))
def test_every_name_is_there_and_documented(name: str) -> None:
    assert name in dir(pipeline)
    assert inspect.getdoc(getattr(pipeline, name))


def test_type_checkers_see_the_same_names() -> None:
    tree = ast.parse(Path(pipeline.__file__).read_text(encoding="utf-8"))
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    imported = {
        alias.asname or alias.name: f"{node.module}:{alias.name}"
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert imported == pipeline._PUBLIC


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'pipeline' has no attribute 'opne'"):
        pipeline.opne  # noqa: B018
