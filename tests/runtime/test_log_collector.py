"""What a stage writes to standard error becomes lines of the log; a stage never waits for a reader."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.logs.repeats import WINDOW_S
from pipeline.runtime.log_collector import LIBRARIES, LogCollector, StageOutput
from tests.running import ROOT, wait_until

SETUP = """
import logging, os, sys, time
from pathlib import Path
from pipeline.logs.line import LogFormat
from pipeline.logs.sender import send_logs
send_logs("decode/gate", "gate", logging.INFO, Path(sys.argv[1]), LogFormat.TEXT)
log = logging.getLogger("pipeline.test")
"""


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def messages(self) -> list[str]:
        return [record.getMessage() for record in self.records]


@pytest.fixture
def kept() -> Iterator[Kept]:
    handler = Kept()
    logging.getLogger().addHandler(handler)
    yield handler
    logging.getLogger().removeHandler(handler)


def started(code: str, output: int, run_log: Path) -> subprocess.Popen[bytes]:
    """A process that logs as a stage does."""
    return subprocess.Popen(
        [sys.executable, "-c", SETUP + textwrap.dedent(code), str(run_log)],
        stdout=output, stderr=output, cwd=ROOT,
    )  # fmt: skip


def stage(code: str, run_log: Path) -> int:
    """Runs a stage that says something; its exit status, once all it said is logged."""
    with LogCollector() as collector:
        output = collector.pipe("decode/gate", "gate")
        process = started(code, output, run_log)
        os.close(output)
        return process.wait(60)


def test_records_prints_warnings_and_tracebacks_all_become_lines(kept: Kept, tmp_path: Path) -> None:
    code = """
        import threading, warnings
        log.info("hello %d", 7)
        print("printed")
        warnings.warn("careful")
        os.write(2, b"native, and unfinished")
        log.warning("after it", extra={"stream": "yard"})
        thread = threading.Thread(target=lambda: 1 / 0)
        thread.start()
        thread.join()
        try:
            {}["key"]
        except KeyError:
            log.exception("failed")
    """
    assert stage(code, tmp_path / "run.log") == 0
    by_message = {record.getMessage(): record for record in kept.records}
    hello = by_message["hello 7"]
    assert (hello.name, hello.levelno) == ("pipeline.test", logging.INFO)
    assert vars(hello)["origin"] == "decode/gate" and vars(hello)["stream"] == "gate"
    assert by_message["printed"].name == LIBRARIES
    assert by_message["native, and unfinished"].levelno == logging.WARNING
    assert vars(by_message["after it"])["stream"] == "yard"
    assert any("careful" in message for message in kept.messages)
    assert "ZeroDivisionError: division by zero" in kept.messages
    assert "KeyError: 'key'" in (by_message["failed"].exc_text or "")


def test_the_last_words_of_a_native_crash_are_logged(kept: Kept, tmp_path: Path) -> None:
    status = stage("import ctypes; ctypes.string_at(0)", tmp_path / "run.log")
    assert status == -11
    assert "Fatal Python error: Segmentation fault" in kept.messages


def test_a_stage_does_not_wait_for_a_reader_that_does_not_read(tmp_path: Path, kept: Kept) -> None:
    """As when the supervisor is stopped: the pipe fills, lines are lost, and the loss is told later."""
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    code = """
        for number in range(20_000):
            log.info("line %d of some length, so that the pipe is soon full", number)
            print("printed", number)
        Path(sys.argv[1]).with_name("got through").touch()
        while not Path(sys.argv[1]).with_name("read").exists():
            time.sleep(0.01)
        log.info("read again")
    """
    process = started(code, writing, tmp_path / "run.log")
    os.close(writing)
    done = tmp_path / "got through"
    wait_until(lambda: done.exists() or process.poll() is not None, what="the stage to get through")
    assert done.exists(), "it wrote ten times the capacity of the pipe, and nobody read"
    data = b""
    output = StageOutput("decode/gate")
    while (part := _read(reading)) is not None:
        data += part
    (tmp_path / "read").touch()
    assert process.wait(60) == 0
    while part := _read(reading):
        data += part
    os.close(reading)
    messages = [record.getMessage() for record in output.feed(data, 0.0)]
    assert messages[-1] == "read again"
    assert messages[-2].endswith("log lines were lost: nobody read them")
    assert not (tmp_path / "run.log").exists()


def _read(descriptor: int) -> bytes | None:
    try:
        return os.read(descriptor, 65_536)
    except BlockingIOError:
        return None


def test_when_the_supervisor_is_gone_a_stage_writes_its_records_into_the_log_file(tmp_path: Path) -> None:
    reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
    os.close(reading)
    code = """
        print("nobody hears this")
        log.warning("the supervisor is gone: %s", "rtsp://u:hunter2@camera/x")
    """
    process = started(code, writing, tmp_path / "run.log")
    os.close(writing)
    assert process.wait(60) == 0
    (line,) = (tmp_path / "run.log").read_text().splitlines()
    assert line.endswith("WARNING decode/gate: the supervisor is gone: rtsp://u:***@camera/x")


def test_noise_of_libraries_is_summed_and_records_are_not() -> None:
    output = StageOutput("decode/gate")
    noise = b"".join(b"[h264 @ 0x%x] error while decoding MB %d\n" % (n, n) for n in range(58))
    first = output.feed(noise, 0.0)
    later = output.due(WINDOW_S)
    assert len(first) == 1
    assert [record.getMessage().endswith("(repeated 57 times)") for record in later] == [True]


def test_a_record_that_was_cut_off_is_shown_as_text() -> None:
    output = StageOutput("decode/gate")
    records = output.feed(b'\x1e[1.0,20,"pipeline\x1e[1.0,30,"pipeline.x","","whole",""]\n', 0.0)
    assert [record.getMessage() for record in records][-1] == "whole"


def test_a_line_without_an_end_is_cut_in_pieces_and_the_rest_comes_at_the_end() -> None:
    output = StageOutput("decode/gate")
    text = "".join(f"{chr(97 + n % 26)}{n}" for n in range(10_000))
    records = output.feed(text.encode(), 0.0) + output.due(0.0, ended=True)
    assert "".join(record.msg for record in records) == text
