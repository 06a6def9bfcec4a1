"""docs/architecture.md leads a reader through files that exist, and through few of them."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


def way_of_a_frame() -> list[Path]:
    """The files of the table, in reading order."""
    table = PAGE.split("## One frame, step by step")[1].split("\n## ")[0]
    rows = [line.split("|") for line in table.splitlines() if line.startswith("| ") and "`" in line]
    return [ROOT / "pipeline" / row[4].strip().strip("`") for row in rows]


def test_every_file_that_the_page_names_exists() -> None:
    named = re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", PAGE)
    assert len(named) > 30
    assert not [
        name for name in named if not (ROOT / "pipeline" / name).exists() and not (ROOT / name).exists()
    ]


def test_one_frame_is_followed_in_about_a_dozen_files_and_two_thousand_lines() -> None:
    files = way_of_a_frame()
    assert len(files) == len(set(files)) <= 14
    lines = sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)
    assert lines < 2600, f"{lines} lines"
