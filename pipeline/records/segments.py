"""The files of one stream's instances log, and reading over all of them.

A log is either one file or a folder of segments, `FOLDER/000000012500.log`, each named by the number of its first
record. A file `FOLDER.log` beside the folder, left by an earlier version, comes before the segments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from pipeline.files import reading
from pipeline.records.framing import RecordError
from pipeline.records.log_file import IncompleteError, Key, LogFile, OnDamage, header_of, renumbered
from pipeline.records.log_header import MAGIC, LogHeader
from pipeline.transport.messages import Instances

SUFFIX = ".log"
_SEGMENT = re.compile(r"\d{12,}\.log")


@dataclass(frozen=True, slots=True)
class LogSegment:
    """One file of a log."""

    path: Path
    header: LogHeader


def segment_path(folder: Path, first_seq: int) -> Path:
    """Path of a segment.

    Args:
        folder: of the log.
        first_seq: sequence number of its first record.
    """
    return folder / f"{first_seq:012d}{SUFFIX}"


def log_files(path: Path) -> list[Path]:
    """Files of a log, oldest first: the file itself, or the segments of a folder.

    Args:
        path: `DIR/log/STREAM.log` and `DIR/log/STREAM` name the same log.

    Raises:
        RecordError: the folder cannot be read.
    """
    folder = path if path.is_dir() or path.suffix != SUFFIX else path.with_suffix("")
    single = folder.with_name(folder.name + SUFFIX)
    found = [one for one in _children(folder) if _SEGMENT.fullmatch(one.name)]
    if single.is_file():
        found.insert(0, single)
    return found or ([] if path.is_dir() else [path])


def logs_in(folder: Path) -> list[Path]:
    """Logs of all streams of a run: one folder or file for each.

    Args:
        folder: `DIR/log` of the run; it need not exist.

    Raises:
        RecordError: the folder or a file in it cannot be read.
    """
    folders = [path for path in _children(folder) if path.is_dir() and is_log(path)]
    files = [path for path in _children(folder) if path.suffix == SUFFIX and path.is_file() and is_log(path)]
    return sorted([*folders, *(path for path in files if path.with_suffix("") not in folders)])


def _children(folder: Path) -> list[Path]:
    with reading(folder, RecordError):
        return sorted(folder.iterdir()) if folder.is_dir() else []


def segments(path: Path, on_damage: OnDamage | None = None) -> list[LogSegment]:
    """The segments of a log with their headers; reads the beginning of each file only.

    Args:
        path: a log: one file or a folder.
        on_damage: called with one line for each segment that is left out because its header is damaged.

    Raises:
        RecordError: there is no log, it has no whole segment, or one is damaged and there is no `on_damage`.
    """
    files = log_files(path)
    found: list[LogSegment] = []
    for file in files:
        try:
            found.append(LogSegment(file, header_of(file)))
        except IncompleteError:
            if len(files) == 1:
                raise
        except RecordError as error:
            if on_damage is None or len(files) == 1:
                raise
            on_damage(f"{error}; this segment is left out")
    if not found:
        raise RecordError(f"{path}: holds no instances log")
    if strangers := {one.header.stream for one in found} - {found[-1].header.stream}:
        raise RecordError(
            f"{path}: holds logs of streams {found[-1].header.stream!r} and {strangers.pop()!r}; name one file"
        )
    return found


def is_log(path: Path) -> bool:
    """Whether a path names an instances log: a folder with segments, or a file that begins like one.

    Args:
        path: a file or a folder.

    Raises:
        RecordError: it cannot be read.
    """
    files = log_files(path)
    if not files:
        return False
    with reading(path, RecordError), files[-1].open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def read_log(path: Path | str, on_damage: OnDamage | None = None) -> tuple[LogHeader, Iterator[Instances]]:
    """The header of a log, and every whole record of it in sequence; a torn tail is left out.

    Files are read as the iterator goes on, one record in memory at a time, and may still be written to. Where the
    classes changed between segments, the header names those of all, and records are numbered accordingly.

    Args:
        path: a file or a folder of segments.
        on_damage: called with one line for each loss; damaged records are then left out.

    Raises:
        RecordError: there is no log, or its header is damaged; or, from the iterator and without `on_damage`, a
            record is damaged or impossible.
    """
    found = segments(Path(path), on_damage)
    header = _common_header(found)
    return header, _records(found, header, on_damage)


def read_range(
    path: Path | str,
    start: float | None = None,
    stop: float | None = None,
    key: Key = "pts_s",
    on_damage: OnDamage | None = None,
) -> tuple[LogHeader, Iterator[Instances]]:
    """The header of a log, and its records from `start` up to and without `stop`.

    Segments outside the range are not read beyond their headers, and the first one is entered by bisection.

    Args:
        path: a file or a folder of segments.
        start: first value of `key`; None: from the beginning.
        stop: first value left out; None: to the end.
        key: `pts_s` media time, `wall_s` Unix time, or `seq`.
        on_damage: as in `read_log`.

    Raises:
        RecordError: as `read_log`.
    """
    found = segments(Path(path), on_damage)
    header = _common_header(found)
    values = [_first_value(one, key) for one in found]
    if start is not None:  # the segment in which it lies begins before it
        first = max((place for place, value in enumerate(values) if value <= start), default=0)
        found, values = found[first:], values[first:]
    if stop is not None:
        found = [one for one, value in zip(found, values, strict=True) if value < stop]
    return header, _records(found, header, on_damage, start, stop, key)


def _first_value(segment: LogSegment, key: Key) -> float:
    """Of the first record. A log of version 1 has no times in its header: it begins before everything."""
    header = segment.header
    if key == "seq":
        return header.first_seq
    return float(getattr(header, key)) if header.wall_s else -np.inf


def _common_header(found: Sequence[LogSegment]) -> LogHeader:
    first, *rest = (one.header for one in found)
    classes = first.classes
    for header in rest:
        if header.classes != classes[: len(header.classes)]:
            classes += tuple(name for name in dict.fromkeys(header.classes) if name not in classes)
    return msgspec.structs.replace(first, classes=classes)


def _records(
    found: Sequence[LogSegment],
    header: LogHeader,
    on_damage: OnDamage | None,
    start: float | None = None,
    stop: float | None = None,
    key: Key = "pts_s",
) -> Iterator[Instances]:
    """Opens each file when its first record is asked for, so that nothing stays open if none is."""
    last: Instances | None = None
    for place, segment in enumerate(found):
        own = segment.header.classes
        same = own == header.classes[: len(own)]
        class_ids = np.array([] if same else [header.classes.index(name) for name in own], np.int16)
        with LogFile(segment.path) as file:
            if place == 0 and start is not None:
                file.seek(key, start)
            joined = False
            for record in file.records(on_damage):
                if start is not None and getattr(record, key) < start:
                    continue
                if stop is not None and getattr(record, key) >= stop:
                    return
                if not joined and last is not None:
                    if (reason := _break_between(last, record)) is not None:
                        line = f"{segment.path}: frame {record.seq} {reason}"
                        if on_damage is not None:
                            on_damage(line)
                        elif record.seq <= last.seq + 1:
                            raise RecordError(line)
                    if record.seq <= last.seq or record.pts_s < last.pts_s:
                        continue
                joined, last = True, record
                yield record if same else renumbered(record, class_ids)


def _break_between(last: Instances, record: Instances) -> str | None:
    """Inconsistency between the last record of a segment and the first one of the next; None: there is none."""
    if record.seq <= last.seq:
        return f"was in an earlier segment already, which goes up to frame {last.seq}"
    if record.pts_s < last.pts_s:
        return f"is of {record.pts_s:.3f} s, earlier than {last.pts_s:.3f} s before it"
    if record.seq > last.seq + 1:
        return f"comes after frame {last.seq}; those between are not in the log"
    return None
