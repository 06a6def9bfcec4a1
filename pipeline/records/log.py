"""The instances log: what the model found in each frame of one stream, appended before it is tracked.

The file is a preamble (magic, version byte) and then frames, the first of which holds the `LogHeader`:

    [u32 length][u32 crc32 of the payload][u32 crc32 of these 8 bytes][payload]

all little endian; the payload of a record is `wire.encode(Instances)`. A process that is killed leaves at
most one incomplete frame at the end (a torn tail). It is left out by readers and cut off by the next
writer. The check of the eight bytes tells a torn tail from a damaged length in the middle of the file.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import msgspec

from pipeline.errors import OutputError, TallycamError, WireError
from pipeline.files import reading, unwritable, writing
from pipeline.transport import wire
from pipeline.transport.messages import Instances

MAGIC = b"TALLYCAM"
VERSION = 1
PREAMBLE = MAGIC + bytes([VERSION])
MAX_PAYLOAD = 256 * 1024 * 1024
"""Bytes; a longer frame is damage, not data (1000 instances take 0.8 MB)."""

_HEAD = struct.Struct("<III")
_CHECKED = struct.Struct("<II")


class RecordError(TallycamError):
    """A log that cannot be read: not a log, another version, or damaged in the middle (exit code 2)."""


class LogHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What holds for every record of a log."""

    stream: str
    classes: tuple[str, ...]
    """Names; `Instances.class_ids` index them."""
    width: int
    """Pixels of the stream's first frame, as shown. A record holds its own frame's size."""
    height: int
    run: str = ""
    """Identity of the run that writes the log."""


class LogWriter:
    """Appends to one stream's log; one writer a file at a time.

    Opening a log that exists goes on with it: a torn tail is cut off and `next_seq` tells which frame is
    to come. Every record is in the operating system's hands when `append` returns, so a killed process
    loses none of them.

    Args:
        path: the file; its folder is made.
        header: must agree with the header in the file (stream, classes and run), where there is one.

    Raises:
        OutputError: it cannot be written, or another process is writing it.
        RecordError: the file is not a log, is damaged, or belongs to another stream or run.
    """

    def __init__(self, path: Path | str, header: LogHeader) -> None:
        self.path = Path(path)
        self.header = header
        self.next_seq = 0
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._lock()
            self._continue()
        except BaseException:
            os.close(self._fd)
            self._fd = -1
            raise

    def append(self, instances: Instances) -> None:
        """Writes one frame's instances; frames come in sequence without gaps.

        Raises:
            OutputError: the disk is full or the file cannot be written; the log ends with the frame before.
            ValueError: not the frame that `next_seq` names, or of another stream.
        """
        if instances.stream != self.header.stream or instances.seq != self.next_seq:
            raise ValueError(
                f"{self.path}: got frame {instances.stream}/{instances.seq}, "
                f"expected {self.header.stream}/{self.next_seq}"
            )
        self._write(_frame(wire.encode(instances)))
        self.next_seq += 1

    def sync(self) -> None:
        """Waits until everything is on the disk, where it survives a power cut as well."""
        with writing(self.path):
            os.fsync(self._fd)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OutputError(f"{self.path}: another process is writing this log") from None

    def _continue(self) -> None:
        """Cuts off a torn tail, or writes the header of a new log."""
        with self.path.open("rb") as file:
            reader = _Reader(file, self.path)
            header = reader.header()
            if header is not None:
                self._check(header)
                for record in reader.records():
                    self.next_seq = record.seq + 1
            good_until = reader.good_until
        os.ftruncate(self._fd, good_until)
        os.lseek(self._fd, good_until, os.SEEK_SET)
        self._size = good_until
        if header is None:
            self._write(PREAMBLE + _frame(msgspec.msgpack.encode(self.header)))

    def _check(self, found: LogHeader) -> None:
        for name in ("stream", "run", "classes"):
            if getattr(found, name) != getattr(self.header, name):
                raise RecordError(
                    f"{self.path}: is the log of {name} {getattr(found, name)!r}, not "
                    f"{getattr(self.header, name)!r}; give another output folder"
                )

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError as error:
            os.ftruncate(self._fd, self._size)
            os.lseek(self._fd, self._size, os.SEEK_SET)
            raise unwritable(self.path, error) from None
        self._size += len(data)


def read_log(path: Path | str) -> tuple[LogHeader, Iterator[Instances]]:
    """The header and then every whole record of a log, in sequence; a torn tail is left out.

    The file is read as the iterator goes on, one record in memory at a time, and may still be written to.

    Raises:
        RecordError: there is no such file, it is not a log, or (from the iterator, after the records
            before it) it is damaged in the middle.
    """
    path = Path(path)
    with _opened(path) as file:
        header = _Reader(file, path).header()
    if header is None:
        raise RecordError(f"{path}: is not a whole instances log: it ends within its header")
    return header, _records(path)


def _records(path: Path) -> Iterator[Instances]:
    """Opens the log when the first record is asked for, so that nothing stays open if none is."""
    reader = _Reader(_opened(path), path)
    reader.header()
    yield from reader.records()


def _opened(path: Path) -> BinaryIO:
    with reading(path, RecordError):
        return path.open("rb")


class _Reader:
    """Reads frames one after the other; `good_until` is the offset after the last whole one."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._size = os.fstat(file.fileno()).st_size
        self.good_until = 0

    def header(self) -> LogHeader | None:
        """The header, or None where the file ends before its end."""
        preamble = self._read(len(PREAMBLE))
        if not PREAMBLE.startswith(preamble):
            if preamble.startswith(MAGIC):
                raise RecordError(
                    f"{self._path}: has log version {preamble[len(MAGIC)]}, this Tallycam reads {VERSION}"
                )
            raise RecordError(f"{self._path}: is not an instances log")
        payload = self._frame() if len(preamble) == len(PREAMBLE) else None
        if payload is None:
            return None
        try:
            header = msgspec.msgpack.decode(payload, type=LogHeader)
        except msgspec.DecodeError as error:
            raise RecordError(f"{self._path}: has a damaged header: {error}") from None
        self.good_until = self._file.tell()
        return header

    def records(self) -> Iterator[Instances]:
        expected = 0
        with self._file:
            while (payload := self._frame()) is not None:
                try:
                    record = wire.decode(payload)
                except WireError as error:
                    raise self._damage(f"record {expected}: {error}") from None
                if not isinstance(record, Instances) or record.seq != expected:
                    raise self._damage(f"record {expected} is something else")
                self.good_until = self._file.tell()
                expected += 1
                yield record

    def _frame(self) -> bytes | None:
        """The payload of the next frame, or None where the file ends before the frame does."""
        head = self._read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        length, crc, check = _HEAD.unpack(head)
        if zlib.crc32(head[: _CHECKED.size]) != check or length > MAX_PAYLOAD:
            if not any(head) and self._only_zeros_follow():
                return None
            raise self._damage("the length of a record is damaged")
        payload = self._read(length)
        if len(payload) < length:
            return None
        if zlib.crc32(payload) != crc:
            if self._at_end():
                return None
            raise self._damage("a record is damaged")
        return payload

    def _read(self, size: int) -> bytes:
        with reading(self._path, RecordError):
            return self._file.read(size)

    def _at_end(self) -> bool:
        return self._file.tell() >= self._size

    def _only_zeros_follow(self) -> bool:
        """A power cut may leave a tail of zeros: the size was written, the data was not."""
        while block := self._read(1 << 20):
            if any(block):
                return False
        return True

    def _damage(self, what: str) -> RecordError:
        return RecordError(
            f"{self._path}: damaged after byte {self.good_until}: {what}; what lies before can be used"
        )


def _frame(payload: bytes) -> bytes:
    checked = _CHECKED.pack(len(payload), zlib.crc32(payload))
    return checked + zlib.crc32(checked).to_bytes(4, "little") + payload
