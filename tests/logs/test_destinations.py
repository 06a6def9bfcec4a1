"""Where log lines go: a file that cannot grow without end, and a terminal that is told what matters."""

from __future__ import annotations

import errno
import io
import logging
from pathlib import Path

import pytest

from pipeline.logs import destinations
from pipeline.logs.destinations import ConsoleHandler, LogLineCounter, RunLogFile
from pipeline.logs.line import LogFormat


def record(
    message: str, level: int = logging.WARNING, name: str = "pipeline.x", **extra: object
) -> logging.LogRecord:
    made = logging.LogRecord(name, level, "", 0, message, None, None)
    vars(made).update(extra)
    return made


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")


def test_the_file_is_rotated_and_old_ones_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(destinations, "FILE_BYTES", 10_000)
    file = RunLogFile(tmp_path / "run.log", LogFormat.JSON)
    for number in range(2000):
        file.emit(record(f"line {number}"))
    file.close()
    found = sorted(path.name for path in tmp_path.iterdir())
    assert found == ["run.log", *(f"run.log.{number}" for number in range(1, destinations.FILES + 1))]
    assert all(path.stat().st_size <= 10_000 for path in tmp_path.iterdir())
    assert "line 1999" in (tmp_path / "run.log").read_text()


def test_lines_that_do_not_fit_on_the_disk_are_counted_and_cost_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = RunLogFile(tmp_path / "run.log", LogFormat.TEXT)
    there, file.stream = file.stream, FullDisk()
    for _ in range(3):
        file.emit(record("lost"))
    file.stream = there
    file.emit(record("there is room again"))
    file.close()
    lines = (tmp_path / "run.log").read_text().splitlines()
    assert lines[0].endswith("there is room again")
    assert lines[1].endswith("3 log lines could not be written")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        (logging.WARNING, ["our warning", "error of a library"]),
        (logging.INFO, ["our warning", "warning of a library", "error of a library"]),
    ],
)
def test_noise_of_libraries_is_shown_when_asked_for(level: int, shown: list[str]) -> None:
    lines: list[str] = []
    console = ConsoleHandler(LogFormat.TEXT, level, lines.append)
    for one in (
        record("our warning"),
        record("warning of a library", name="stderr"),
        record("error of a library", logging.ERROR, name="sqlalchemy.pool"),
        record("the last line of the command", logging.ERROR, shown=True),
    ):
        console.emit(one)
    assert [line.split(": ", 1)[1] for line in lines] == shown


def test_lines_are_counted_by_stage_and_level() -> None:
    counted: list[tuple[str, str]] = []
    counter = LogLineCounter(lambda stage, level: counted.append((stage, level)))
    counter.emit(record("x", origin="decode/gate"))
    counter.emit(record("x", logging.INFO))
    assert counted == [("decode", "warning"), ("supervisor", "info")]
