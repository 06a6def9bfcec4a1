"""Where the log of a run goes: a file that is rotated, and standard error."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from logging.handlers import RotatingFileHandler
from pathlib import Path

from pipeline.logs.line import LogFormat, formatter_of, level_of, origin_of, stage_of

FILE_BYTES = 10 * 1024 * 1024
FILES = 5
"""Older files that are kept beside the current one: `run.log.1` is the newest of them."""
OURS = "pipeline"
"""Logger of all code of this package; other loggers are those of libraries."""


def run_log_path(out: Path) -> Path:
    """The log file in the folder of a run.

    Args:
        out: Folder of the run.
    """
    return out / "log" / "run.log"


class RunLogFile(RotatingFileHandler):
    """The log file of a run. A full disk costs lines, which are counted, and nothing else.

    Args:
        path: The file; it is continued if it exists.
        form: Form of the lines.

    Raises:
        OSError: The file cannot be opened.
    """

    def __init__(self, path: Path, form: LogFormat) -> None:
        super().__init__(path, maxBytes=FILE_BYTES, backupCount=FILES, encoding="utf-8")
        self.setFormatter(formatter_of(form))
        self._lost = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record. The first one written after a failure is followed by the number of lost lines.

        Args:
            record: The record.
        """
        lost, self._lost = self._lost, 0
        super().emit(record)
        if lost and not self._lost:
            text = f"{lost} log lines could not be written"
            super().emit(logging.LogRecord(__name__, logging.WARNING, "", 0, text, None, None))
        elif self._lost:
            self._lost += lost

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  (named by `logging`)
        """Counts a record that could not be written.

        Args:
            record: The record.
        """
        self._lost += 1


class ConsoleHandler(logging.Handler):
    """Log lines for the person at the terminal.

    Lines of libraries are shown from level `info` on only, or if they are errors: what a person has to know is said by
    our own code. Records with `extra={"shown": True}` are left out, since the command itself shows their text.

    Args:
        form: Form of the lines.
        level: Lowest level shown, as in `logging`.
        print_line: Writes a line; it must not disturb a table that is being redrawn. None is standard error.
    """

    def __init__(self, form: LogFormat, level: int, print_line: Callable[[str], None] | None = None) -> None:
        super().__init__(level)
        self.setFormatter(formatter_of(form, tracebacks=level <= logging.DEBUG))
        self._print = print_line or _print_to_stderr
        self._libraries_from = level if level <= logging.INFO else logging.ERROR

    def emit(self, record: logging.LogRecord) -> None:
        """Prints a record, unless it has been shown (`extra={"shown": True}`), or is one of a library below its level.

        Args:
            record: The record.
        """
        ours = record.name.partition(".")[0] == OURS
        if getattr(record, "shown", False) or (not ours and record.levelno < self._libraries_from):
            return
        try:
            self._print(self.format(record))
        except OSError:
            return  # the terminal is gone; the log file has the line


class LogLineCounter(logging.Handler):
    """Counts lines.

    Args:
        count: Called with stage and level of each line, e.g. `decode`, `warning`.
    """

    def __init__(self, count: Callable[[str, str], None]) -> None:
        super().__init__()
        self._count = count

    def emit(self, record: logging.LogRecord) -> None:
        """Counts a record.

        Args:
            record: The record.
        """
        self._count(stage_of(origin_of(record)), level_of(record))


def _print_to_stderr(line: str) -> None:
    # A live table of rich stands in for standard error, and would print the line on standard output.
    stream = getattr(sys.stderr, "rich_proxied_file", sys.stderr)
    stream.write(line + "\n")
    stream.flush()
