"""What the tests of evaluations share."""

from __future__ import annotations

import pytest

from tests.in_process import Command, command_of


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """`tallycam` in this process."""
    return command_of(capsys, monkeypatch)
