"""Imports point down: a module imports from its own layer or from a lower one, never upward, never in a circle."""

from __future__ import annotations

import ast
import graphlib
from pathlib import Path

import pytest

import pipeline

LAYERS = (
    ("cli", "__main__"),
    ("commands",),
    ("demo", "audit", "train", "recount", "run", "heatmaps", "live", "results", "images"),
    ("supervisor",),
    ("engines", "runs"),
    ("stages",),
    ("web",),
    ("evaluation",),
    ("video", "scene"),
    ("models",),
    ("counting",),
    ("records",),
    ("links", "wire", "messages", "planes"),
    ("topology", "spec"),
    (
        "metrics",
        "metrics_counts",
        "config_load",
        "config_yaml",
        "config",
        "config_model",
        "config_places",
        "config_part",
        "points",
        "redact",
        "errors",
    ),
)
"""From top to bottom, the modules and packages right below `pipeline`. One that is not there yet is no mistake."""

LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
FOLDER = Path(pipeline.__file__).parent


def modules() -> dict[str, Path]:
    """Dotted name below `pipeline` -> file."""
    found = {}
    for path in sorted(FOLDER.rglob("*.py")):
        parts = path.relative_to(FOLDER).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            found[name] = path
    return found


def imports(source: str, known: set[str]) -> set[str]:
    """The modules below `pipeline` that `source` imports anywhere, also within functions."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.startswith("pipeline."):
                below = name.removeprefix("pipeline.")
                found.add(below if below in known else below.rpartition(".")[0])
    return found - {""}


def upward(module: str, imported: set[str]) -> list[str]:
    level = LEVEL[module.partition(".")[0]]
    return sorted(other for other in imported if LEVEL[other.partition(".")[0]] < level)


def test_every_module_has_its_layer() -> None:
    assert {name.partition(".")[0] for name in modules()} <= LEVEL.keys()


@pytest.mark.parametrize("module", modules())
def test_imports_point_down(module: str) -> None:
    files = modules()
    imported = imports(files[module].read_text(encoding="utf-8"), set(files))
    assert not upward(module, imported), f"{module} imports from a layer above its own"


def test_no_two_modules_import_each_other() -> None:
    files = modules()
    graph = {}
    for name, path in files.items():
        graph[name] = imports_when_loaded(path.read_text(encoding="utf-8"), set(files)) - {name}
    graphlib.TopologicalSorter(graph).prepare()


def imports_when_loaded(source: str, known: set[str]) -> set[str]:
    """Like `imports`, but only what runs when the module is loaded."""
    top = [node for node in ast.parse(source).body if isinstance(node, ast.Import | ast.ImportFrom)]
    return imports(ast.unparse(ast.Module(top, [])), known)


def test_an_import_that_points_up_is_found() -> None:
    known = set(modules())
    source = "def f():\n    from pipeline.runtime.supervisor import Supervisor\n    import pipeline.errors\n"
    assert imports(source, known) == {"supervisor", "errors"}
    assert upward("records.log", imports(source, known)) == ["supervisor"]
