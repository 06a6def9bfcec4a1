"""The instances log: what the model found in each frame of one stream, appended before it is tracked.

A log is a folder of segments (`segments.py`), each a file that can be read by itself:

- a preamble: magic and a version byte;
- frames with checksums (`framing.py`), of which the first holds the `LogHeader`;
- where the header says so, a checkpoint: the state of tracking and counting before the first record;
- the records, `wire.encode(Instances)` each.

Durability: a record is in the operating system's hands when `append` returns, so a killed process loses none. The disk
is asked to keep what was written when a segment is complete and every few seconds, by a thread, since a slow disk must
not hold up counting; a power cut costs at most what was written after that. An incomplete record at the end of a file,
left by a kill or a power cut, is ignored by readers. No file is written to again by a later process.
"""

from __future__ import annotations

import fcntl
import os
import threading
import zlib
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from pipeline.errors import OutputError
from pipeline.files import unwritable, writing
from pipeline.records.framing import RecordError, frame
from pipeline.records.log_file import IncompleteError, LogFile
from pipeline.records.log_header import MAGIC, PREAMBLE, VERSION, LogHeader, SegmentLink, printable
from pipeline.records.segments import is_log, log_files, logs_in, read_log, read_range, segments
from pipeline.transport import wire
from pipeline.transport.messages import Instances

__all__ = [
    "MAGIC", "VERSION", "LogHeader", "LogWriter", "RecordError", "SegmentLink", "is_log", "log_files", "logs_in",
    "read_log", "read_range", "segments",
]  # fmt: skip


class LogWriter:
    """Appends to one file of a log; one writer a file at a time.

    An existing file is continued: a torn tail is truncated, and `next_seq` is the number of the next frame.

    Args:
        path: the file; its folder is made.
        header: must agree with the header in the file (stream, classes and run), where there is one.
        checkpoint: of a new file: the state before its first record.

    Raises:
        OutputError: it cannot be written, or another process is writing it.
        RecordError: the file is not a log, is damaged, or belongs to another stream or run.
    """

    def __init__(self, path: Path | str, header: LogHeader, checkpoint: bytes | None = None) -> None:
        self.path = Path(path)
        self.header = msgspec.structs.replace(printable(header), has_checkpoint=checkpoint is not None)
        self.next_seq = header.first_seq
        self.crc = 0
        """Over the records of this writer, as in `SegmentLink.crc`."""
        with writing(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            self._lock()
            self._continue(checkpoint)
        except BaseException:
            self.close()
            raise

    def append(self, instances: Instances, encoded: bytes | None = None) -> None:
        """Writes one frame's instances; frames come in sequence without gaps.

        Args:
            instances: of the frame `next_seq`.
            encoded: `wire.encode(instances)`, where it is at hand.

        Raises:
            OutputError: the disk is full or the file cannot be written; the log ends with the frame before.
            ValueError: not the frame that `next_seq` names, or of another stream.
        """
        if instances.stream != self.header.stream or instances.seq != self.next_seq:
            raise ValueError(
                f"{self.path}: got frame {instances.stream}/{instances.seq}, "
                f"expected {self.header.stream}/{self.next_seq}"
            )
        payload = wire.encode(instances) if encoded is None else encoded
        self._write(frame(payload))
        self.crc = zlib.crc32(payload, self.crc)
        self.next_seq += 1

    @property
    def size(self) -> int:
        """Bytes written."""
        return self._size

    def sync(self) -> None:
        """Waits until everything is on disk (fdatasync), so that it survives a power failure."""
        with writing(self.path):
            os.fdatasync(self._fd)

    def sync_in_background(self) -> threading.Thread:
        """Runs `sync` in a thread, and returns the thread. Errors are ignored: the next write fails as well."""
        descriptor = os.dup(self._fd)
        thread = threading.Thread(target=_sync_and_close, args=(descriptor,), daemon=True)
        thread.start()
        return thread

    def close(self) -> None:
        """Closes the file; it may be opened again."""
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

    def _continue(self, checkpoint: bytes | None) -> None:
        """Cuts off a torn tail, or writes the beginning of a new file."""
        try:
            with LogFile(self.path) as file:
                self._check(file.header)
                for _ in file.records():
                    pass
                self._size, self.next_seq = file.end, file.next_seq
        except IncompleteError:
            self._size = 0
        os.ftruncate(self._fd, self._size)
        os.lseek(self._fd, self._size, os.SEEK_SET)
        if not self._size:
            start = PREAMBLE + frame(msgspec.msgpack.encode(self.header))
            self._write(start + (b"" if checkpoint is None else frame(checkpoint)))

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


def _sync_and_close(descriptor: int) -> None:
    try:
        os.fdatasync(descriptor)
    except OSError:
        pass  # the next write fails as well, and reports it
    finally:
        os.close(descriptor)
