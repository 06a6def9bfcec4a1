"""Reading one file of an instances log: a whole log of version 1, or one segment."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

import msgspec
import numpy as np

from pipeline.errors import WireError
from pipeline.records.framing import DamageError, RecordError, RecordReader, open_for_reading
from pipeline.records.log_check import impossible, usable_rows
from pipeline.records.log_header import MAGIC, PREAMBLE, READABLE, LogHeader, decode_header
from pipeline.transport import wire
from pipeline.transport.messages import KINDS, Instances

OnDamage = Callable[[str], None]
"""Takes one line for each loss. Without it, the first loss ends reading with a `RecordError`."""
Key = Literal["seq", "pts_s", "wall_s"]

_RECORD_START = bytes([wire.VERSION, KINDS.index(Instances)])


class LogFile:
    """One file of a log, open for reading; it may still be written to.

    Args:
        path: the file.

    Raises:
        RecordError: the file does not exist, is not a log, or its header is damaged or incomplete.

    Attributes:
        header: the header of the file.
        checkpoint: encoded state before the first record; None where there is none or it is damaged.
        end: offset behind the last record that was read.
        next_seq: sequence number expected of the next record.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = open_for_reading(path)
        try:
            self.header = self._read_header()
            self.checkpoint = self._read_checkpoint()
        except BaseException:
            self._file.close()
            raise
        self.end = self._frames.offset
        self.next_seq = self.header.first_seq
        self._last_pts_s = -np.inf

    def records(self, on_damage: OnDamage | None = None) -> Iterator[Instances]:
        """Yields the records from the current position on. A torn tail is left out.

        Args:
            on_damage: called with one line for each loss; damaged records, and impossible instances (for example a
                box without area), are then left out.

        Raises:
            RecordError: a record is damaged or impossible, and there is no `on_damage`.
        """
        lost: str | None = None
        left_out = 0
        while True:
            try:
                record = self._next()
            except RecordError as error:
                lost = lost or str(error)
                if on_damage is None:
                    raise RecordError(f"{lost}; what lies before can be used") from None
                if not isinstance(error, DamageError) or self._frames.resynchronise(_RECORD_START):
                    continue
                record = None
            if lost is not None and on_damage is not None:
                on_damage(self._loss(lost, record))
                lost = None
            if record is None:
                break
            good = usable_rows(record, len(self.header.classes))
            if good is not None:
                left_out += int((~good).sum())
                record = record.only(good)
            self.end, self.next_seq, self._last_pts_s = self._frames.offset, record.seq + 1, record.pts_s
            yield record
        if left_out and on_damage is not None:
            on_damage(f"{self.path}: instances without a box, score or class were left out: {left_out}")

    def seek(self, key: Key, value: float) -> None:
        """Moves to the first record whose `key` is at least `value`, by bisection.

        Only frame headers and some records are read. In a damaged file it stops at the damage: the caller still has to
        skip records before `value`.

        Args:
            key: `seq`, `pts_s` (media time) or `wall_s` (Unix time).
            value: in the unit of `key`.

        Raises:
            RecordError: the file cannot be read.
        """
        self.next_seq, self._last_pts_s = -1, -np.inf  # not known before a record is read
        offsets: list[int] = []
        try:
            while True:
                offset = self._frames.offset
                if not self._frames.skip():
                    break
                offsets.append(offset)
        except DamageError:
            offsets.append(self._frames.offset)
        offsets.append(self._frames.offset)
        first = bisect_left(offsets, value, hi=len(offsets) - 1, key=lambda offset: self._value(offset, key))
        self._frames.offset = self.end = offsets[first]

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _read_header(self) -> LogHeader:
        preamble = self._file.read(len(PREAMBLE))
        if not MAGIC.startswith(preamble[: len(MAGIC)]):
            raise RecordError(f"{self.path}: is not an instances log")
        if len(preamble) == len(PREAMBLE) and preamble[-1] not in READABLE:
            versions = " and ".join(map(str, READABLE))
            raise RecordError(f"{self.path}: has log version {preamble[-1]}, this Tallycam reads {versions}")
        self._frames = RecordReader(self._file, self.path)
        payload = self._frames.next() if len(preamble) == len(PREAMBLE) else None
        if payload is None:
            raise IncompleteError(f"{self.path}: is not a whole instances log: it ends within its header")
        try:
            return decode_header(payload)
        except RecordError as error:
            raise RecordError(f"{self.path}: {error}") from None

    def _read_checkpoint(self) -> bytes | None:
        if not self.header.has_checkpoint:
            return None
        try:
            return self._frames.next()
        except DamageError:
            self._frames.resynchronise(_RECORD_START)
            return None

    def _next(self) -> Instances | None:
        """The next record, or None at the end. After an error that is no damage, the file stands behind the record."""
        offset = self._frames.offset
        payload = self._frames.next()
        if payload is None:
            return None
        where = f"{self.path}: damaged after byte {offset}: the record"
        try:
            record = wire.decode(payload)
        except WireError as error:
            raise RecordError(f"{where} is not one: {error}") from None
        if not isinstance(record, Instances):
            raise RecordError(f"{where} is something else")
        if (reason := impossible(record, self.header)) is not None:
            raise RecordError(f"{where} is impossible: {reason}")
        if record.seq < self.next_seq or (record.seq > self.next_seq >= 0 and offset == self.end):
            raise RecordError(f"{where} has number {record.seq}, expected {self.next_seq}")
        if record.pts_s < self._last_pts_s:
            raise RecordError(
                f"{where} is of {record.pts_s:.3f} s, earlier than {self._last_pts_s:.3f} s before it"
            )
        return record

    def _value(self, offset: int, key: Key) -> float:
        self._frames.offset = offset
        try:
            record = self._next()
        except RecordError:
            return np.inf
        return np.inf if record is None else float(getattr(record, key))

    def _loss(self, what: str, following: Instances | None) -> str:
        if following is None:
            return f"{what}; what follows in this file is lost"
        if self.next_seq < 0:
            return f"{what}; frames before {following.seq} are lost"
        last = following.seq - 1
        lost = f"frame {last} is" if last == self.next_seq else f"frames {self.next_seq} to {last} are"
        return f"{what}; {lost} lost" if last >= self.next_seq else f"{what}; no frame is lost"


class IncompleteError(RecordError):
    """A file that ends within its header: its writer was killed when it began it."""


def header_of(path: Path) -> LogHeader:
    """Header of one file.

    Args:
        path: a log of version 1, or a segment.

    Raises:
        RecordError: see `LogFile`.
    """
    with LogFile(path) as file:
        return file.header


def renumbered(record: Instances, class_ids: np.ndarray[tuple[int], np.dtype[np.int16]]) -> Instances:
    """Maps the class ids of a record.

    Args:
        record: (N,) int16 class ids.
        class_ids: (C,) int16: class `i` becomes `class_ids[i]`.
    """
    return msgspec.structs.replace(record, class_ids=class_ids[record.class_ids])
