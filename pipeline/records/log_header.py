"""Header of an instances log or of one segment of it."""

from __future__ import annotations

import math
import re

import msgspec

from pipeline.records.framing import RecordError

MAGIC = b"TALLYCAM"
VERSION = 2
READABLE = (1, 2)
"""Version 1: the whole log is one file, and its header has no field after `run`."""
PREAMBLE = MAGIC + bytes([VERSION])

MAX_SIDE_PX = 65_535
MAX_CLASSES = 32_768
"""Limit of int16, the dtype of `Instances.class_ids`."""
MAX_WALL_S = 253_402_300_799.0
"""End of the year 9999, the latest time that a `datetime` can hold."""
MAX_TEXT = 256

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
"""As in the configuration: the name becomes part of file names and event keys."""


class SegmentLink(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The segment before this one."""

    first_seq: int
    frames: int
    """Records written to it."""
    crc: int | None = None
    """CRC-32 over its records; None where another process wrote it."""


class LogHeader(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Properties common to all records of a file."""

    stream: str
    classes: tuple[str, ...]
    """Names; `Instances.class_ids` index them."""
    width: int
    """Pixels of the first frame, as shown. A record holds its own frame's size."""
    height: int
    run: str = ""
    """Identity of the run that writes the log."""
    first_seq: int = 0
    """Number of the first record."""
    pts_s: float = 0.0
    """Media time of the first record of a segment, seconds."""
    wall_s: float = 0.0
    """Unix time of the first record of a segment."""
    previous: SegmentLink | None = None
    """None where the log begins, or where frames before this segment are missing."""
    has_checkpoint: bool = False
    """Whether the frame after the header is a checkpoint of the state before the first record."""


def decode_header(payload: bytes) -> LogHeader:
    """Decodes and validates a header.

    Args:
        payload: of the first frame in the file.

    Raises:
        RecordError: it is not a header, or holds impossible values.
    """
    try:
        header = msgspec.msgpack.decode(payload, type=LogHeader)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise RecordError(f"damaged header: {error}") from None
    if (reason := _impossible(header)) is not None:
        raise RecordError(f"damaged header: {reason}")
    return printable(header)


def printable(header: LogHeader) -> LogHeader:
    """Escapes control characters in the names of a header, which are shown in tables and on terminals.

    Args:
        header: from a file, hence untrusted.
    """
    names = (header.run, *header.classes)
    if all(map(str.isprintable, names)):
        return header
    run, *classes = (name if name.isprintable() else repr(name)[1:-1] for name in names)
    return msgspec.structs.replace(header, run=run, classes=tuple(classes))


def _impossible(header: LogHeader) -> str | None:
    if not _NAME.fullmatch(header.stream):
        return "the name of the stream is not one"
    if not 1 <= header.width <= MAX_SIDE_PX or not 1 <= header.height <= MAX_SIDE_PX:
        return f"got frames of {header.width}x{header.height}, expected 1 to {MAX_SIDE_PX} pixels each way"
    if len(header.classes) > MAX_CLASSES or any(
        len(name) > MAX_TEXT for name in (header.run, *header.classes)
    ):
        return "too many class names, or too long ones"
    if not math.isfinite(header.pts_s) or not 0 <= header.wall_s <= MAX_WALL_S or header.first_seq < 0:
        return "its time or the number of its first record is impossible"
    return None
