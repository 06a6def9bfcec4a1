"""A spool of count events: files to which the tracking process appends, and from which events are delivered.

`append` is one `write` to a local file. It takes no lock, so that no reader, no database and no network can hold up
counting. `delivery.py` carries the events on from there.

A spool is a folder with one writer. Its files `00000001.events` hold a preamble, a header, and a frame (`framing.py`)
for each append. Every writer begins a file of its own, and files are complete once a later one exists.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import OutputError
from pipeline.files import open_lock, reason, writing
from pipeline.records.event import CountEvent
from pipeline.records.framing import DamageError, RecordError, RecordReader, frame, open_for_reading

FILE_BYTES = 1 << 20
"""Size after which the next file begins: about 3,000 events."""
MAX_WAITING = 50_000
"""Events kept in memory while writes fail, about 30 MB."""

_PREAMBLE = b"TALLYEVT\x01"
_NAME = re.compile(r"(\d{8,})\.events")
_BATCH = struct.Struct("<4sId")
_BATCH_START = b"EVT1"


class SpoolHeader(msgspec.Struct, frozen=True, kw_only=True):
    """Properties common to all events of a file."""

    run: str


class EventSpool:
    """The writing end.

    Args:
        folder: of this writer alone; it is made.
        run: identity of the run, part of the key of every event.

    Raises:
        OutputError: the folder cannot be written, or another process is writing there.

    Attributes:
        lost: events that found room neither on the disk nor in memory.
        error: why the disk takes no events at the moment; empty where it does.
    """

    def __init__(self, folder: Path, run: str) -> None:
        self._folder, self._run = folder, run
        self._fd = -1
        self._size = 0
        self._waiting: list[CountEvent] = []
        self.lost = 0
        self.error = ""
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = open_lock(folder / ".lock")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._lock)
            raise OutputError(f"{folder}: another process is writing this event spool") from None

    @property
    def waiting(self) -> int:
        """Events kept in memory because writes fail."""
        return len(self._waiting)

    def append(self, events: Sequence[CountEvent]) -> None:
        """Writes events in order. Events that cannot be written are kept in memory and retried by the next call.

        Args:
            events: those with `change="internal"` are left out: no database takes them.
        """
        events = [event for event in events if event.change != "internal"]
        if len(self._waiting) + len(events) > MAX_WAITING:
            self._flush()
        room = MAX_WAITING - len(self._waiting)
        self._waiting += events[:room]
        self.lost += len(events[room:])
        self._flush()

    def sync(self) -> None:
        """Waits until everything is on disk (fdatasync), so that it survives a power failure.

        Raises:
            OutputError: it cannot be written.
        """
        with writing(self._folder):
            if self._fd >= 0:
                os.fdatasync(self._fd)

    def close(self) -> None:
        """Retries the events kept in memory once, and closes the files."""
        self.append(())
        for descriptor in (self._fd, self._lock):
            if descriptor >= 0:
                os.close(descriptor)
        self._fd = self._lock = -1

    def _flush(self) -> None:
        if not self._waiting:
            return
        try:
            if self._fd < 0 or self._size >= FILE_BYTES:
                self._begin_file()
            self._write(frame(_encode(self._waiting)))
        except OSError as error:
            self.error = f"{self._folder}: events cannot be written: {reason(error)}"
            return
        self._waiting.clear()
        self.error = ""

    def _begin_file(self) -> None:
        number = max((number for number, _ in spool_files(self._folder)), default=0) + 1
        path = self._folder / f"{number:08d}.events"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._size = descriptor, 0
        try:
            self._write(_PREAMBLE + frame(msgspec.msgpack.encode(SpoolHeader(run=self._run))))
        except OSError:
            os.close(self._fd)
            self._fd = -1
            path.unlink(missing_ok=True)
            raise

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size)
                os.lseek(self._fd, self._size, os.SEEK_SET)
            raise
        self._size += len(data)


class SpoolFile:
    """The reading end of one file; it may still be written to.

    Raises:
        RecordError: it is not an event spool, or its header is damaged or not written yet.

    Attributes:
        run: identity of the run that wrote it.
        damage: one line for each loss so far.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.damage: list[str] = []
        self._file = open_for_reading(path)
        try:
            if self._file.read(len(_PREAMBLE)) != _PREAMBLE:
                raise RecordError(f"{path}: is not an event spool, or is not complete")
            self._frames = RecordReader(self._file, path)
            payload = self._frames.next()
            if payload is None:
                raise RecordError(f"{path}: ends within its header")
            self.run = msgspec.msgpack.decode(payload, type=SpoolHeader).run
        except msgspec.MsgspecError as error:
            self._file.close()
            raise RecordError(f"{path}: has a damaged header: {error}") from None
        except BaseException:
            self._file.close()
            raise

    def next(self) -> list[CountEvent] | None:
        """The next batch as appended; None at the current end of the file. Damaged batches are skipped."""
        while True:
            try:
                payload = self._frames.next()
            except DamageError as error:
                self.damage.append(str(error))
                if not self._frames.resynchronise(_BATCH_START):
                    return None
                continue
            if payload is None:
                return None
            try:
                return _decode(payload)
            except (msgspec.MsgspecError, UnicodeDecodeError, struct.error) as error:
                self.damage.append(f"{self.path}: holds a batch of events that is none: {error}")

    def backlog(self) -> tuple[int, float | None]:
        """Events from here to the end, and the Unix time of the first of them; only their heads are read."""
        here = self._frames.offset
        count, oldest_s = 0, None
        with contextlib.suppress(DamageError):
            while (head := self._frames.peek(_BATCH.size)) is not None:
                if len(head) == _BATCH.size:
                    _, events, wall_s = _BATCH.unpack(head)
                    count += events
                    oldest_s = wall_s if oldest_s is None else oldest_s
                if not self._frames.skip():
                    break
        self._frames.offset = here
        return count, oldest_s

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def spool_files(folder: Path) -> list[tuple[int, Path]]:
    """Files of a spool, oldest first.

    Args:
        folder: of the spool; it need not exist.

    Returns:
        (number, path) of each.
    """
    if not folder.is_dir():
        return []
    names = ((path, _NAME.fullmatch(path.name)) for path in folder.iterdir())
    return sorted((int(match.group(1)), path) for path, match in names if match)


def spool_bytes(folder: Path) -> int:
    """Size of a spool on the disk. A file that is delivered, and deleted meanwhile, counts nothing.

    Args:
        folder: of the spool.
    """
    total = 0
    for _, path in spool_files(folder):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def _encode(events: Sequence[CountEvent]) -> bytes:
    head = _BATCH.pack(_BATCH_START, len(events), events[0].wall_s)
    return head + msgspec.msgpack.encode(events, enc_hook=_plain)


def _decode(payload: bytes) -> list[CountEvent]:
    _BATCH.unpack_from(payload)
    return msgspec.msgpack.decode(memoryview(payload)[_BATCH.size :], type=list[CountEvent])


def _plain(value: Any) -> Any:
    """A NumPy scalar as a number."""
    return value.item()
