"""A line of the log: who said what about which stream, on one line, without a password."""

from __future__ import annotations

import json
import logging
import sys

import pytest

from pipeline.logs.line import JsonFormatter, LogFormat, TextFormatter, formatter_of


def record(message: str, *arguments: object, **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("pipeline.stages.decode", logging.WARNING, "", 0, message, arguments, None)
    made.created = 1_700_000_000.25
    vars(made).update(extra)
    return made


def test_text_names_level_process_and_message() -> None:
    line = TextFormatter().format(record("source lost: %s", "timeout", origin="decode/gate", stream="gate"))
    time, rest = line.split(" ", 1)
    assert time.startswith("2023-11-1") and ".250" in time
    assert rest == "WARNING decode/gate: source lost: timeout"


def test_text_names_the_stream_where_the_process_does_not() -> None:
    line = TextFormatter().format(record("done", origin="track/0", stream="gate"))
    assert line.endswith(" WARNING track/0 [gate]: done")


def test_json_has_every_field_by_name() -> None:
    line = JsonFormatter().format(record("done", origin="track/0", stream="gate"))
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.250+00:00",
        "level": "warning",
        "process": "track/0",
        "stage": "track",
        "stream": "gate",
        "logger": "pipeline.stages.decode",
        "message": "done",
    }


@pytest.mark.parametrize("form", LogFormat)
def test_a_message_from_elsewhere_cannot_forge_a_line_or_steer_the_terminal(form: LogFormat) -> None:
    line = formatter_of(form).format(record("bad\n2023-01-01 ERROR forged\x1b[2J\r\u202e"))
    assert line.isprintable()
    assert "forged" in line


@pytest.mark.parametrize("form", LogFormat)
def test_passwords_are_hidden_in_messages_and_in_tracebacks(form: LogFormat) -> None:
    made = record("lost %s", "rtsp://viewer:hunter2@camera/x")
    try:
        raise ValueError("rtsp://viewer:hunter2@camera/x?token=hunter3")
    except ValueError:
        made.exc_info = sys.exc_info()
    line = formatter_of(form).format(made)
    assert "hunter" not in line
    assert "ValueError" in line and "rtsp://viewer:***@camera/x" in line


def test_a_traceback_is_indented_below_its_line() -> None:
    made = record("failed")
    made.exc_text = "Traceback (most recent call last):\n  File x\nValueError: no"
    assert TextFormatter().format(made).splitlines()[1:] == [
        "    Traceback (most recent call last):",
        "      File x",
        "    ValueError: no",
    ]
    assert len(TextFormatter(tracebacks=False).format(made).splitlines()) == 1
