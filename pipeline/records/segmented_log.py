"""Segmented instances log, which bounds both the replay after a restart and the disk space."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from pipeline.errors import OutputError
from pipeline.files import open_lock, unwritable, writing
from pipeline.records.log import LogHeader, LogWriter, RecordError, SegmentLink
from pipeline.records.log_file import header_of
from pipeline.records.segments import log_files, segment_path
from pipeline.transport.messages import Instances


@dataclass(frozen=True, slots=True)
class SegmentLimits:
    """When the next segment begins, and how often data is synced to disk."""

    media_s: float = 600.0
    size_bytes: int = 64 * 1024 * 1024
    sync_s: float = 5.0


class SegmentedLog:
    """Appends to one stream's log in segments. Each process begins a segment of its own.

    Args:
        folder: of the segments; it is made.
        header: stream, classes, size and run; the other fields are filled in for each segment.
        next_seq: first frame to be appended: the one after the last that can be read.
        limits: size of a segment.
        clock: seconds of a monotonic clock.

    Raises:
        OutputError: the folder cannot be written, or another process is writing there.
        RecordError: it holds frames after `next_seq` already.
    """

    def __init__(
        self,
        folder: Path,
        header: LogHeader,
        next_seq: int = 0,
        limits: SegmentLimits = SegmentLimits(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.folder, self.next_seq = folder, next_seq
        self._header, self._limits, self._clock = header, limits, clock
        self._writer: LogWriter | None = None
        self._synced_s = clock()
        self._syncing: threading.Thread | None = None
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            self._lock = open_lock(folder / ".lock")
        try:
            self._take_lock()
            self._previous = self._link_to_earlier_process()
        except BaseException:
            self.close()
            raise

    @property
    def segment(self) -> Path | None:
        """The file that is being written."""
        return self._writer.path if self._writer else None

    def append(
        self, instances: Instances, state: Callable[[], bytes | None], encoded: bytes | None = None
    ) -> None:
        """Writes one frame's instances. After a gap, left by frames lost to a full disk, a new segment begins.

        Args:
            instances: of frame `next_seq` or a later one.
            state: gives the checkpoint of the state before this frame; called where a segment begins with it.
            encoded: `wire.encode(instances)`, where it is at hand.

        Raises:
            OutputError: the disk is full or cannot be written. The frame is not in the log; a later one may be again.
            ValueError: an earlier frame than `next_seq`, or of another stream.
        """
        if instances.stream != self._header.stream or instances.seq < self.next_seq:
            raise ValueError(
                f"{self.folder}: got frame {instances.stream}/{instances.seq}, "
                f"expected {self._header.stream}/{self.next_seq}"
            )
        if self._writer is None or instances.seq > self.next_seq or self._is_full(self._writer, instances):
            self._begin(instances, state(), encoded)
        else:
            self._writer.append(instances, encoded)
        self.next_seq = instances.seq + 1
        self._sync_now_and_then()

    def close(self) -> None:
        """Waits until everything is on the disk, and closes the files."""
        if self._writer is not None:
            with contextlib.suppress(OutputError):
                self._writer.sync()
            self._writer.close()
            self._writer = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OutputError(f"{self.folder}: another process is writing this log") from None

    def _link_to_earlier_process(self) -> SegmentLink | None:
        """Link to the segment that ends before `next_seq`."""
        last: SegmentLink | None = None
        for path in log_files(self.folder):
            try:
                header = header_of(path)
            except RecordError:
                continue  # a damaged segment is reported when it is read
            if header.first_seq > self.next_seq:
                raise RecordError(f"{path}: begins after frame {self.next_seq}, which is to be written next")
            if header.first_seq < self.next_seq:
                last = SegmentLink(first_seq=header.first_seq, frames=self.next_seq - header.first_seq)
        return last

    def _is_full(self, writer: LogWriter, following: Instances) -> bool:
        age_s = following.pts_s - writer.header.pts_s
        return not 0 <= age_s < self._limits.media_s or writer.size >= self._limits.size_bytes

    def _begin(self, first: Instances, checkpoint: bytes | None, encoded: bytes | None) -> None:
        """Writes the beginning of a segment with its first record; it appears whole or not at all."""
        path = segment_path(self.folder, first.seq)
        part = path.with_name(f".{path.name}.part")
        header = msgspec.structs.replace(
            self._header,
            width=first.width,
            height=first.height,
            first_seq=first.seq,
            pts_s=first.pts_s,
            wall_s=first.wall_s,
            previous=self._link() if first.seq == self.next_seq else None,
        )
        with writing(path):
            part.unlink(missing_ok=True)
        writer = LogWriter(part, header, checkpoint)
        try:
            writer.append(first, encoded)
            if path.exists():  # it holds no record that can be read
                path.rename(path.with_name(f"{path.name}.damaged"))
            part.rename(path)
        except BaseException as error:
            writer.close()
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            if isinstance(error, OSError):
                raise unwritable(path, error) from None
            raise
        writer.path = path
        if self._writer is not None:
            self._writer.sync_in_background()
            self._writer.close()
        self._writer = writer

    def _link(self) -> SegmentLink | None:
        if self._writer is None:
            return self._previous
        first_seq = self._writer.header.first_seq
        return SegmentLink(
            first_seq=first_seq, frames=self._writer.next_seq - first_seq, crc=self._writer.crc
        )

    def _sync_now_and_then(self) -> None:
        if self._writer is None or self._clock() - self._synced_s < self._limits.sync_s:
            return
        if self._syncing is None or not self._syncing.is_alive():  # a stuck disk does not pile up threads
            self._synced_s = self._clock()
            self._syncing = self._writer.sync_in_background()
