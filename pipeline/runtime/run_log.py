"""The log of a run as it is set up in the supervisor's process."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.files import writing
from pipeline.logs.destinations import ConsoleHandler, RunLogFile, run_log_path
from pipeline.logs.line import LogFormat, LogLevel
from pipeline.runtime.log_collector import LogCollector


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What a user chooses.

    Attributes:
        form: Form of the lines, in the file and on standard error.
        level: Lowest level on standard error.
        print_line: Writes a line for the user; None is standard error.
    """

    form: LogFormat = LogFormat.TEXT
    level: LogLevel = LogLevel.WARNING
    print_line: Callable[[str], None] | None = None

    @property
    def file_level(self) -> int:
        """Lowest level in the file, as in `logging`: `info`, or below if the user asks for that."""
        return min(logging.INFO, self.level.number)


DEFAULT_LOG = LogSettings()


@contextmanager
def run_log(out: Path, settings: LogSettings) -> Iterator[LogCollector]:
    """Logs to `DIR/log/run.log` and standard error until the context ends; the root logger is as before then.

    Args:
        out: Folder of the run; `out/log` exists.
        settings: What the user chose.

    Yields:
        What takes the output of the stages.

    Raises:
        OutputError: The file cannot be opened.
    """
    path = run_log_path(out)
    with writing(path, "give another folder with --out"):
        file = RunLogFile(path, settings.form)
    handlers = (file, ConsoleHandler(settings.form, settings.level.number, settings.print_line))
    root = logging.getLogger()
    before = root.level
    root.setLevel(settings.file_level)
    for handler in handlers:
        root.addHandler(handler)
    try:
        with LogCollector() as collector:
            yield collector
    finally:
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
        root.setLevel(before)
