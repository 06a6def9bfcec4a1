"""Reads what the stages write to their standard error and merges it into the log of the run.

A thread reads the pipes, so that a stage that writes much does not hold up supervision. It reads at most one pipe's
capacity from each of them every `ROUND_S`: a flood fills its pipe, where the stage loses lines instead of time.
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import selectors
import threading
import time
from types import TracebackType
from typing import Self

import msgspec

from pipeline.logs.destinations import OURS
from pipeline.logs.repeats import RepeatFilter
from pipeline.logs.sender import SEPARATOR, SentRecord

PIPE_BYTES = 256 * 1024
"""Capacity requested for a pipe: a native crash of many threads writes much at once."""
ROUND_S = 0.1
DRAIN_READS = 16
LINE_BYTES_MAX = 16_384
"""A longer line is cut in pieces."""
LIBRARIES = "stderr"
"""Logger of lines that are not Tallycam's log records."""

_decoder = msgspec.json.Decoder(SentRecord)


class StageOutput:
    """Turns what one incarnation of a process writes into log records. Pure; time is passed in.

    Records of our own code are passed on as they are; what libraries write or log is summed where it repeats itself.

    Args:
        process: Name in the process table, e.g. `decode/gate`.
        stream: The stream that it serves, or empty.
    """

    def __init__(self, process: str, stream: str = "") -> None:
        self._process, self._stream = process, stream
        self._rest = b""
        self._repeats: dict[tuple[str, int], RepeatFilter] = {}
        """Logger and level -> its repetitions."""

    def feed(self, data: bytes, now_s: float) -> list[logging.LogRecord]:
        """The records that `data` completes.

        Args:
            data: What was read.
            now_s: Monotonic time.
        """
        *whole, self._rest = (self._rest + data).replace(b"\r", b"\n").split(b"\n")
        while len(self._rest) > LINE_BYTES_MAX:
            whole.append(self._rest[:LINE_BYTES_MAX])
            self._rest = self._rest[LINE_BYTES_MAX:]
        return [record for line in whole for record in self._line(line, now_s)]

    def due(self, now_s: float, *, ended: bool = False) -> list[logging.LogRecord]:
        """Sums of repeated lines that are due.

        Args:
            now_s: monotonic time.
            ended: the process has ended: all sums are due, and an unfinished line counts as a line.
        """
        records = self._line(self._rest, now_s) if ended else []
        if ended:
            self._rest = b""
        for (logger, level), repeats in self._repeats.items():
            texts = repeats.due(now_s, all_of_them=ended)
            records += [self._made(logger, level, text, self._stream) for text in texts]
        return records

    def _line(self, line: bytes, now_s: float) -> list[logging.LogRecord]:
        text, *sent = line.split(SEPARATOR)  # a library may have left a line unfinished before a record
        records: list[logging.LogRecord] = []
        if plain := text.decode(errors="replace").rstrip():
            records += self._summed(LIBRARIES, logging.WARNING, plain, self._stream, now_s)
        for one in sent:
            records += self._record(one, now_s)
        return records

    def _record(self, data: bytes, now_s: float) -> list[logging.LogRecord]:
        try:
            sent = _decoder.decode(data)
        except (msgspec.MsgspecError, UnicodeDecodeError):  # cut off where the pipe was full
            return [self._made(LIBRARIES, logging.WARNING, data.decode(errors="replace"), self._stream)]
        if not sent.exception and sent.logger.partition(".")[0] != OURS:
            return self._summed(sent.logger, sent.level, sent.message, sent.stream, now_s)
        record = self._made(sent.logger, sent.level, sent.message, sent.stream)
        record.created = sent.created
        record.exc_text = sent.exception or None
        return [record]

    def _summed(
        self, logger: str, level: int, text: str, stream: str, now_s: float
    ) -> list[logging.LogRecord]:
        repeats = self._repeats.setdefault((logger, level), RepeatFilter())
        return [self._made(logger, level, one, stream) for one in repeats.add(text, now_s)]

    def _made(self, logger: str, level: int, message: str, stream: str) -> logging.LogRecord:
        record = logging.LogRecord(logger, level, "", 0, message, None, None)
        vars(record).update(origin=self._process, stream=stream)
        return record


class LogCollector:
    """Pipes for the standard error of stages, and a thread that logs what comes through them."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._read_on, name="log collector", daemon=True)
        self._thread.start()

    def pipe(self, process: str, stream: str = "") -> int:
        """Opens a pipe for one incarnation of a process.

        Args:
            process: its name.
            stream: the stream it serves; empty: several.

        Returns:
            Descriptor to write to; the caller closes it once it is inherited.
        """
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(OSError):
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        with self._lock:
            self._selector.register(reading, selectors.EVENT_READ, StageOutput(process, stream))
        return writing

    def drain(self) -> None:
        """Logs all output written so far, so that the last lines of a process precede the report of its end."""
        with self._lock:
            for _ in range(DRAIN_READS):
                if not self._read_once():
                    return

    def close(self) -> None:
        """Logs what is left and closes the pipes."""
        self._closing.set()
        self._thread.join()
        self.drain()
        with self._lock:
            for key in list(self._selector.get_map().values()):
                self._end(key)
            self._selector.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read_on(self) -> None:
        while not self._closing.wait(ROUND_S):
            with self._lock:
                self._read_once()
                now_s = time.monotonic()
                for key in self._selector.get_map().values():
                    _log(key.data.due(now_s))

    def _read_once(self) -> bool:
        """Reads once from each pipe that has something; whether any had."""
        ready = self._selector.select(0.0)
        for key, _ in ready:
            try:
                data = os.read(key.fd, PIPE_BYTES)
            except BlockingIOError:
                continue
            if data:
                _log(key.data.feed(data, time.monotonic()))
            else:  # every process that held the other end is gone
                self._end(key)
        return bool(ready)

    def _end(self, key: selectors.SelectorKey) -> None:
        self._selector.unregister(key.fileobj)
        os.close(key.fd)
        _log(key.data.due(time.monotonic(), ended=True))


def _log(records: list[logging.LogRecord]) -> None:
    for record in records:
        logging.getLogger(record.name).handle(record)
