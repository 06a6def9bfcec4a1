"""How a stage logs: records and plain text go to its standard error, which the supervisor reads.

A record is one line: the record separator (as in RFC 7464), JSON, a line feed. Everything else on standard error is
text of libraries: warnings of libav, tracebacks of threads, the last words of a native crash.

The pipe is not blocking. When it is not read, because the supervisor is stopped, lines are lost and counted, and the
stage goes on. When its reader is gone, because the supervisor was killed, records are appended to the log file here.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import logging
import os
import sys
from pathlib import Path

import msgspec

from pipeline.logs.line import LogFormat, exception_of, formatter_of, message_of, stream_of

SEPARATOR = b"\x1e"
STDERR = 2


class SentRecord(msgspec.Struct, frozen=True, array_like=True):
    """A log record on its way to the supervisor."""

    created: float
    """Unix time."""
    level: int
    """As in `logging`."""
    logger: str
    stream: str
    """Empty if the record is about no stream in particular."""
    message: str
    exception: str
    """Traceback, or empty."""


class SendingHandler(logging.Handler):
    """Sends the records of a stage to the supervisor.

    Args:
        process: Name in the process table.
        stream: The stream that the process serves, if it serves a single one.
        run_log: The log file, for the time after the supervisor is gone.
        form: Form of the lines in that file.
    """

    def __init__(self, process: str, stream: str, run_log: Path, form: LogFormat) -> None:
        super().__init__()
        self._process, self._stream, self._run_log = process, stream, run_log
        self._formatter = formatter_of(form)
        self._lost = 0
        self._parent = os.getppid()

    def emit(self, record: logging.LogRecord) -> None:
        """Sends a record to the supervisor, after the number of those lost before, or appends it to the log file if
        the supervisor is gone. A full pipe loses the record.

        Args:
            record: The record.
        """
        stream = stream_of(record) or self._stream
        if (
            os.getppid() != self._parent
        ):  # its end of the pipe may be open a moment longer, and nobody reads it
            self._append(record, stream)
            return
        self._tell_lost(stream)
        sent = SentRecord(
            record.created, record.levelno, record.name, stream, message_of(record), exception_of(record)
        )
        try:
            _write(STDERR, SEPARATOR + msgspec.json.encode(sent) + b"\n")
        except BlockingIOError:
            self._lost += 1
        except OSError:
            self._append(record, stream)

    def _tell_lost(self, stream: str) -> None:
        if not self._lost:
            return
        text = f"{self._lost} log lines were lost: nobody read them"
        lost = logging.LogRecord(__name__, logging.WARNING, "", 0, text, None, None)
        sent = SentRecord(lost.created, lost.levelno, lost.name, stream, text, "")
        with contextlib.suppress(OSError):
            _write(STDERR, SEPARATOR + msgspec.json.encode(sent) + b"\n")
            self._lost = 0

    def _append(self, record: logging.LogRecord, stream: str) -> None:
        vars(record).update(origin=self._process, stream=stream)
        with contextlib.suppress(OSError), self._run_log.open("a", encoding="utf-8") as file:
            file.write(self._formatter.format(record) + "\n")


class _LossyStream(io.RawIOBase):
    """A text stream's raw end on a pipe that may be full or closed: what does not fit is lost, nothing is raised."""

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return STDERR

    def write(self, data: object) -> int:
        view = memoryview(data)  # type: ignore[arg-type]
        with contextlib.suppress(OSError):
            _write(STDERR, view)
        return view.nbytes


def send_logs(process: str, stream: str, level: int, run_log: Path, form: LogFormat) -> None:
    """Sets this process up to log to the supervisor: `logging`, `warnings`, `print`, tracebacks and native crashes.

    Args:
        process: Name in the process table.
        stream: The stream that the process serves, or empty.
        level: Lowest level that is sent, as in `logging`.
        run_log: The log file, for the time after the supervisor is gone.
        form: Form of the lines in that file.
    """
    sys.stdout = sys.stderr = io.TextIOWrapper(
        io.BufferedWriter(_LossyStream()),
        encoding="utf-8",
        errors="backslashreplace",
        line_buffering=True,
        write_through=True,
    )
    faulthandler.enable(STDERR)
    logging.captureWarnings(True)
    logging.raiseExceptions = False
    root = logging.getLogger()
    root.handlers = [SendingHandler(process, stream, run_log, form)]
    root.setLevel(level)


def _write(descriptor: int, data: bytes | memoryview) -> None:
    """Writes all of `data`; raises `BlockingIOError` if the pipe is full."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
