"""Passwords on the command line."""

from __future__ import annotations

import subprocess
import sys

import pytest

from pipeline.cli.hidden_arguments import hidden_command_line, without_passwords
from pipeline.redact import redact
from tests.running import ROOT, tallycam

SHOWN = "from pathlib import Path; print(Path('/proc/self/cmdline').read_bytes(), sys.argv)"
HIDING = f"import sys; from pipeline.cli.hidden_arguments import hide_passwords; hide_passwords(); {SHOWN}"


@pytest.mark.parametrize(
    ("argument", "shown"),
    [
        ("rtsp://viewer:hush hush@camera/1", "rtsp://viewer:***@camera/1"),
        ("--source=rtsp://viewer:hu=sh@camera/1", "--source=rtsp://viewer:***@camera/1"),
        ("streams.gate.source=http://camera/?user=a&pwd=hush&n=1", "streams.gate.source=http://camera/?user=a&pwd=***&n=1"),
        ("output.sinks.webhook.token=abc=d", "output.sinks.webhook.token=***"),
        ("--set=output.sinks.mqtt.password=hush", "--set=output.sinks.mqtt.password=***"),
        ("output.video.codec=none", "output.video.codec=none"),
        ("gate.yaml", "gate.yaml"),
    ],
)  # fmt: skip
def test_passwords_are_hidden_in_every_kind_of_argument(argument: str, shown: str) -> None:
    assert without_passwords(["run", argument]) == ["run", shown]


@pytest.mark.parametrize("password", ["x", "ä'\"% #", "a" * 300])
def test_a_command_line_keeps_its_length(password: str) -> None:
    shown = f"python\0run\0--source\0rtsp://u:{password}@h/1\0--show\0".encode()
    hidden = hidden_command_line(shown)
    assert len(hidden) == len(shown) and hidden.endswith(b"\0")
    assert hidden.startswith(b"python\0run\0--source\0rtsp://u:***@h/1\0")
    assert hidden_command_line(hidden) == hidden


def test_bytes_that_are_no_text_stay_as_they_are() -> None:
    assert hidden_command_line(b"run\0\xff\xfe.yaml\0") == b"run\0\xff\xfe.yaml\0"


def test_the_system_shows_no_password_and_the_program_has_it() -> None:
    source = "rtsp://viewer:hunter2 and more@camera/1"
    done = subprocess.run(
        [sys.executable, "-c", HIDING, "--source", source],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    shown, _, arguments = done.stdout.partition("[")
    assert "rtsp://viewer:***@camera/1" in shown and "hunter2" not in shown
    assert source in arguments


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "gate.yaml", "rtsp://viewer:hunter2-long@camera/1"),
        ("run", "gate.yaml", "--sorce=rtsp://viewer:hunter2-long@camera/1"),
        ("rtsp://viewer:hunter2-long@camera/1",),
        ("run", "gate.yaml", "--log-level", "rtsp://viewer:hunter2-long and so on for many words@camera/1"),
        ("check", "rtsp://viewer:hunter2-long@camera/1"),
    ],
)
def test_a_mistake_on_the_command_line_shows_no_password(arguments: tuple[str, ...]) -> None:
    code, out, err = tallycam(*arguments)
    assert code == 2
    assert not [word for word in ("hunter2", "so on") if word in out + err]


def test_what_is_on_the_command_line_is_hidden_elsewhere() -> None:
    without_passwords(["--source", "rtsp://viewer:long-winded-secret@camera/1"])
    assert redact("wrong: long-winded-secret") == "wrong: ***"
