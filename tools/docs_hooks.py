"""MkDocs hooks of the documentation site, named in `mkdocs.yml`."""

from __future__ import annotations

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """Lists every page of `docs/decisions` in the section `Decisions`: a new one needs no entry in `mkdocs.yml`."""
    docs = Path(config["docs_dir"])
    pages = [path.relative_to(docs).as_posix() for path in sorted((docs / "decisions").glob("*.md"))]
    for section in config["nav"]:
        for entry in section.get("How it works", ()):
            if "Decisions" in entry:
                entry["Decisions"] = pages
    return config
