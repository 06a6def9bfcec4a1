"""The command in this process: no second one has to import everything again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from pipeline.cli import app as cli

Command: TypeAlias = Callable[..., tuple[int, str, str]]
"""`command("evaluate", ...)`: exit code, standard output and standard error of `tallycam evaluate ...`."""


def command_of(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """For a fixture."""

    def run(*arguments: str | Path, columns: int = 120) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["tallycam", *map(str, arguments)])
        monkeypatch.setenv("COLUMNS", str(columns))
        try:
            cli.main()
        except SystemExit as end:
            code = int(end.code or 0)
        else:
            code = 0
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run
