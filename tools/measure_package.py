"""How a Python package is laid out, measured from its files: `python tools/measure_package.py FOLDER [FOLDER ...]`.

Prints a table in Markdown, one column for each package folder. Tests and generated files are left out. Floors are the
longest chain of folders that import each other; circles count lazily imported modules too; an argument is documented
where the docstring of its function has an `Args:` section (or NumPy's `Parameters`).
"""

from __future__ import annotations

import ast
import statistics
import sys
from pathlib import Path

SKIPPED = {"tests", "test", "_version.py", "__pycache__", "node_modules"}


def files_of(folder: Path) -> list[Path]:
    return sorted(p for p in folder.rglob("*.py") if not SKIPPED & set(p.relative_to(folder).parts))


def module_name(folder: Path, path: Path) -> str:
    parts = path.relative_to(folder.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(tree: ast.Module, name: str, is_package: bool, known: set[str]) -> set[str]:
    """Modules of the package that a module imports, within functions too, but not for type checkers alone."""
    found: set[str] = set()
    typing_only = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for node in ast.walk(branch)
    }
    for node in ast.walk(tree):
        if id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parts = name.split(".") if is_package else name.split(".")[:-1]
                base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
            names = [f"{base}.{alias.name}" for alias in node.names]
        else:
            continue
        for one in names:
            if one in known:
                found.add(one)
            elif (parent := one.rpartition(".")[0]) in known:
                found.add(parent)
    return found - {name}


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """Groups of two nodes and more that reach each other (Tarjan 1972)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[set[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            group = set(stack[stack.index(node) :])
            del stack[stack.index(node) :]
            if len(group) > 1:
                groups.append(group)

    sys.setrecursionlimit(10_000)
    for node in graph:
        if node not in index:
            visit(node)
    return groups


def floors(graph: dict[str, set[str]]) -> int:
    """Folders on the longest chain, a circle counting as one."""
    group_of = {node: number for number, group in enumerate(circles(graph)) for node in group}
    name = {node: f"#{group_of[node]}" if node in group_of else node for node in graph}
    merged: dict[str, set[str]] = {}
    for node, others in graph.items():
        merged.setdefault(name[node], set()).update(name[other] for other in others if other in name)
    depth: dict[str, int] = {}

    def deep(node: str) -> int:
        if node not in depth:
            depth[node] = 1 + max((deep(other) for other in merged[node] - {node}), default=0)
        return depth[node]

    return max(map(deep, merged), default=0)


def measure(folder: Path) -> dict[str, str]:
    files = files_of(folder)
    names = {module_name(folder, path): path for path in files}
    trees = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in names.items()}
    graph = {
        name: imported(tree, name, names[name].name == "__init__.py", set(names))
        for name, tree in trees.items()
    }
    of_folder: dict[str, set[str]] = {}
    for name, others in graph.items():
        own = [*name.split("."), ""][1] if "." in name else ""
        if not (folder / own).is_dir() or not own:
            continue
        targets = {other.split(".")[1] for other in others if "." in other}
        of_folder.setdefault(own, set()).update(t for t in targets if (folder / t).is_dir() and t != own)
    lines = [len(path.read_text(encoding="utf-8").splitlines()) for path in files]
    functions = [
        n
        for t in trees.values()
        for n in ast.walk(t)
        if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    length = [(n.end_lineno or n.lineno) - n.lineno + 1 for n in functions]
    public = [
        n
        for n in functions
        if not n.name.startswith("_")
        and [
            a for a in (*n.args.posonlyargs, *n.args.args, *n.args.kwonlyargs) if a.arg not in ("self", "cls")
        ]
    ]
    documented = [
        n
        for n in public
        if any(w in (ast.get_docstring(n) or "") for w in ("Args:", "Parameters\n", ":param"))
    ]
    typed = [n for n in functions if n.returns is not None]
    loose = list(folder.glob("*.py"))
    stems: dict[str, int] = {}
    for path in files:
        if path.stem != "__init__":
            stems[path.stem] = stems.get(path.stem, 0) + 1
    return {
        "files": str(len(files)),
        "lines": f"{sum(lines):,}",
        "lines a file, median / longest": f"{statistics.median(lines):.0f} / {max(lines):,}",
        "lines of the longest function": str(max(length, default=0)),
        "modules loose at the top": str(len(loose)),
        "floors of folders": str(floors(of_folder)) if of_folder else "1",
        "circles of modules (modules in them)": f"{len(circles(graph))} ({sum(map(len, circles(graph)))})",
        "circles of folders": str(len(circles(of_folder))),
        "file stems that repeat": str(sum(1 for n in stems.values() if n > 1)),
        "public functions with arguments documented": f"{100 * len(documented) / max(1, len(public)):.0f} %",
        "functions with a return type": f"{100 * len(typed) / max(1, len(functions)):.0f} %",
    }


def main(folders: list[str]) -> None:
    measured = {Path(folder).name: measure(Path(folder)) for folder in folders}
    print("| |", " | ".join(measured), "|")
    print("|---|" + "---|" * len(measured))
    for row in next(iter(measured.values())):
        print(f"| {row} |", " | ".join(columns[row] for columns in measured.values()), "|")


if __name__ == "__main__":
    main(sys.argv[1:])
