"""What surrounds the package: hooks, hosted CI, releases, and links between the pages of the project."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md"), *ROOT.glob(".github/*.md")]
)


def read_yaml(path: str) -> dict:
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([\w-]+):(?!=)", makefile, re.MULTILINE))


def test_every_hook_calls_make() -> None:
    hooks = [hook for repo in read_yaml(".pre-commit-config.yaml")["repos"] for hook in repo["hooks"]]
    assert {hook["id"] for hook in hooks} == {"lint", "types", "docs"}
    for hook in hooks:
        make, target = hook["entry"].split()
        assert make == "make" and target in make_targets()


def test_the_hooks_are_valid() -> None:
    pytest.importorskip("pre_commit", reason="pre-commit is not installed")
    command = [sys.executable, "-m", "pre_commit", "validate-config", ROOT / ".pre-commit-config.yaml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_hosted_ci_runs_what_developers_run() -> None:
    workflow = read_yaml(".github/workflows/ci.yml")
    commands = {
        name: [step["run"] for step in job["steps"] if "run" in step]
        for name, job in workflow["jobs"].items()
    }
    assert commands == {"check": [".ci/run"], "release": ["make release"]}
    assert workflow["permissions"] == {"contents": "read"}
    assert "make check" in (ROOT / ".ci/run").read_text(encoding="utf-8").splitlines()
    assert {"check", "release"} <= make_targets()


@pytest.mark.parametrize(
    "form", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("[!c]*.yml")), ids=lambda form: form.stem
)
def test_issue_forms_ask_for_the_version(form: Path) -> None:
    fields = {field.get("id"): field for field in yaml.safe_load(form.read_text(encoding="utf-8"))["body"]}
    assert all(field["attributes"]["label"] for field in fields.values())
    assert "version" in fields or form.stem == "feature"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
    local = [
        target for target in targets if target and "://" not in target and not target.startswith("mailto:")
    ]
    assert not [target for target in local if not (page.parent / target).exists()]


def test_a_release_without_a_dated_changelog_is_refused(tmp_path: Path) -> None:
    for path in ("tools/release.sh", "pyproject.toml", "pipeline/__init__.py", "README.md", "LICENSE"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n\n## 9.9.9 - 2030-01-01\n")
    command = ["sh", tmp_path / "tools/release.sh", sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert re.search(r"release: CHANGELOG.md has no section '## [\d.]+ - YYYY-MM-DD'", done.stderr)
    assert not (tmp_path / "dist").exists()
