"""What a newcomer meets first: help, completion, and a command that is typed without arguments."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from pipeline.cli.app import ORDER, app
from tests.in_process import Command, command_of


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    return command_of(capsys, monkeypatch)


def options(command: Any, name: str) -> Iterator[tuple[str, str]]:
    """`(tallycam run --out, its help)` of every option and argument."""
    for parameter in command.params:
        yield f"{name} {parameter.opts[0]}", parameter.help or ""
    for other, inner in getattr(command, "commands", {}).items():
        yield from options(inner, f"{name} {other}")


def tallycam(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | environment,
    )
    return done.stdout


def test_without_arguments_help_is_shown_and_names_the_demo(command: Command) -> None:
    code, out, _ = command()
    assert code == 0
    assert "Usage: tallycam" in out
    assert "tallycam demo" in out


def test_help_lists_every_command_and_run_first(command: Command) -> None:
    _, out, _ = command("--help")
    listed = re.findall(r"^│ (\w+) ", out, re.MULTILINE)
    assert listed[0] == "run"
    registered = {one.name or one.callback.__name__ for one in app.registered_commands if one.callback}
    registered |= {str(one.name) for one in app.registered_groups}
    assert set(listed) == registered == set(ORDER)


def test_every_option_is_explained_in_a_sentence() -> None:
    helps = dict(options(get_command(app), "tallycam"))
    assert len(helps) > 60
    assert not {name: text for name, text in helps.items() if not re.fullmatch(r"[A-Z].*\.", text)}


def test_a_shell_completes_commands() -> None:
    asked = {"_TALLYCAM_COMPLETE": "complete_bash", "COMP_WORDS": "tallycam rec", "COMP_CWORD": "1"}
    assert tallycam(**asked).split() == ["recount"]


def test_completion_installs_itself_for_the_shell_it_is_called_from(tmp_path: Path) -> None:
    command = f"{sys.executable} -m pipeline --install-completion; exit $?"
    subprocess.run(["bash", "-c", command], check=True, env=os.environ | {"HOME": str(tmp_path)})
    assert "_TALLYCAM_COMPLETE" in (tmp_path / ".bash_completions" / "tallycam.sh").read_text()
