"""One line of the log, as text and as JSON.

Both forms hold one record per line, whatever is in the message: control characters are escaped and passwords are
hidden here, once for all destinations.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from enum import Enum

from pipeline.redact import redact

MESSAGE_MAX = 2000
"""Characters of a message; the rest is cut away."""
EXCEPTION_MAX = 12_000
"""Characters of a traceback; the last ones are kept, they name the error."""


class LogFormat(Enum):
    """Forms of a log line."""

    TEXT = "text"
    JSON = "json"


class LogLevel(Enum):
    """Levels that a user can choose from."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"

    @property
    def number(self) -> int:
        """The level of the `logging` module."""
        return int(getattr(logging, self.name))


def origin_of(record: logging.LogRecord, default: str = "supervisor") -> str:
    """The process that a record is about, e.g. `decode/gate`.

    Args:
        record: The record.
        default: The process if the record names none.
    """
    return str(getattr(record, "origin", default))


def stream_of(record: logging.LogRecord) -> str:
    """The stream that a record is about; empty if it is about none or about all of them.

    Args:
        record: The record.
    """
    return str(getattr(record, "stream", ""))


def stage_of(origin: str) -> str:
    """The stage of a process: `decode` of `decode/gate`.

    Args:
        origin: Name of the process.
    """
    return origin.partition("/")[0]


def level_of(record: logging.LogRecord) -> str:
    """Name of the level in lower case, as in JSON and in metrics.

    Args:
        record: The record.
    """
    return logging.getLevelName(record.levelno).lower()


def message_of(record: logging.LogRecord) -> str:
    """The message as one printable line without passwords, at most `MESSAGE_MAX` characters.

    Args:
        record: The record.
    """
    return _printable(redact(record.getMessage()))[:MESSAGE_MAX]


def exception_of(record: logging.LogRecord) -> str:
    """The traceback of a record without passwords, empty if it has none; lines end in `\\n`.

    Args:
        record: The record.
    """
    if record.exc_info and not record.exc_text:
        record.exc_text = logging.Formatter().formatException(record.exc_info)
    if not record.exc_text:
        return ""
    lines = redact(record.exc_text)[-EXCEPTION_MAX:].splitlines()
    return "\n".join(map(_printable, lines))


class TextFormatter(logging.Formatter):
    """`TIME LEVEL PROCESS [STREAM]: MESSAGE`, a traceback indented below it.

    Args:
        tracebacks: Whether tracebacks are shown.
    """

    def __init__(self, *, tracebacks: bool = True) -> None:
        super().__init__()
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """A record as text, with its traceback in further, indented lines.

        Args:
            record: The record.
        """
        origin, stream = origin_of(record), stream_of(record)
        shown = f" [{stream}]" if stream and not origin.endswith(f"/{stream}") else ""
        line = f"{_time(record, utc=False)} {record.levelname:<7} {origin}{shown}: {message_of(record)}"
        if self._tracebacks and (exception := exception_of(record)):
            line += "".join(f"\n    {part}" for part in exception.splitlines())
        return line


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time`, `level`, `process`, `stage`, `stream`, `logger`, `message`, `exception`.

    `stream` and `exception` are left out where there is none.
    """

    def format(self, record: logging.LogRecord) -> str:
        """A record as one line of JSON.

        Args:
            record: The record.
        """
        origin = origin_of(record)
        fields = {
            "time": _time(record, utc=True),
            "level": level_of(record),
            "process": origin,
            "stage": stage_of(origin),
            "stream": stream_of(record),
            "logger": record.name,
            "message": message_of(record),
            "exception": exception_of(record),
        }
        optional = ("stream", "exception")
        return json.dumps({k: v for k, v in fields.items() if v or k not in optional}, ensure_ascii=False)


def formatter_of(form: LogFormat, *, tracebacks: bool = True) -> logging.Formatter:
    """The formatter of a form.

    Args:
        form: Text or JSON.
        tracebacks: Whether text includes tracebacks; JSON always does.
    """
    return TextFormatter(tracebacks=tracebacks) if form is LogFormat.TEXT else JsonFormatter()


def _time(record: logging.LogRecord, *, utc: bool) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return (moment if utc else moment.astimezone()).isoformat(timespec="milliseconds")


def _printable(text: str) -> str:
    """`text` with control characters escaped: a message from elsewhere cannot forge a line or move the cursor."""
    text = text.replace("\t", "    ").rstrip()
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
