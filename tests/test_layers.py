"""Imports point down: a folder imports from itself and from folders below it, never upward, never in a circle.

Imports inside functions count: they are drawn as arrows like the others.
"""

from __future__ import annotations

import ast
import functools
import graphlib
from pathlib import Path

import pytest

import pipeline

LAYERS = (
    ("__main__",),
    ("cli",),
    ("curation", "capacity"),
    ("demo", "images", "audit", "api"),
    ("runtime",),
    ("stages",),
    ("sinks", "finetuning"),
    ("evaluation", "web"),
    ("counting",),
    ("video",),
    ("models", "tracking"),
    ("records",),
    ("transport", "config", "datasets"),
    ("metrics", "geometry", "logs"),
    ("files", "pictures"),
    ("errors", "redact", "control_groups"),
)
"""From top to bottom, the modules and folders right below `pipeline`."""

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


def layer(module: str) -> str:
    """The name in `LAYERS` that a module belongs to."""
    name = module.split(".")[0]
    return name if name in LEVEL else ""


def upward(module: str, imported: set[str]) -> list[str]:
    own = LEVEL[layer(module)]
    return sorted(
        other
        for other in imported
        if LEVEL[layer(other)] < own or (LEVEL[layer(other)] == own and layer(other) != layer(module))
    )


@functools.cache
def graph() -> dict[str, set[str]]:
    files = modules()
    return {
        name: imports(path.read_text(encoding="utf-8"), set(files)) - {name} for name, path in files.items()
    }


def test_every_module_has_its_layer() -> None:
    assert not [name for name in modules() if not layer(name)]


def test_every_layer_is_there() -> None:
    assert not [name for name in LEVEL if not any(module.startswith(name) for module in modules())]


@pytest.mark.parametrize("module", modules())
def test_imports_point_down(module: str) -> None:
    assert not upward(module, graph()[module]), f"{module} imports from a layer above its own or beside it"


def test_no_modules_import_each_other_in_a_circle() -> None:
    graphlib.TopologicalSorter(graph()).prepare()


def test_few_modules_lie_loose() -> None:
    loose = [path.name for path in FOLDER.glob("*.py")]
    assert len(loose) < 10, f"too many loose modules: {sorted(loose)}"


def test_the_architecture_page_names_every_folder() -> None:
    page = (FOLDER.parent / "docs" / "architecture.md").read_text(encoding="utf-8")
    folders = {path.name for path in FOLDER.iterdir() if path.is_dir() and any(path.glob("*.py"))}
    assert not [name for name in sorted(folders) if f"`{name}/`" not in page]


def test_an_import_that_points_up_is_found() -> None:
    known = set(modules())
    source = "def f():\n    from pipeline.runtime.supervisor import Supervisor\n    import pipeline.errors\n"
    assert imports(source, known) == {"runtime.supervisor", "errors"}
    assert upward("records.log", imports(source, known)) == ["runtime.supervisor"]
