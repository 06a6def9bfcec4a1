"""Framed files: a preamble, then frames that each carry their own length and checksums.

    [u32 length][u32 crc32 of the payload][u32 crc32 of these 8 bytes][payload]

All integers are little endian. The checksum of the first eight bytes tells a torn tail, the incomplete frame that a
killed process leaves at the end of a file, from a damaged length in the middle of it.
"""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path

from pipeline.errors import TallycamError
from pipeline.files import reading

MAX_PAYLOAD = 256 * 1024 * 1024
"""Bytes; a longer frame is damage, not data (1000 instances take 0.8 MB)."""

_HEAD = struct.Struct("<III")
_CHECKED = struct.Struct("<II")
_BLOCK = 1 << 20


class RecordError(TallycamError):
    """A log that cannot be read: not a log, an unknown version, damaged, or with impossible content (exit code 2)."""


class DamageError(RecordError):
    """Bytes in the middle of a file that are not what was written; what follows may still be readable."""


def frame(payload: bytes) -> bytes:
    """Wraps a payload into one frame.

    Args:
        payload: at most `MAX_PAYLOAD` bytes.
    """
    checked = _CHECKED.pack(len(payload), zlib.crc32(payload))
    return checked + zlib.crc32(checked).to_bytes(4, "little") + payload


def _is_head(head: bytes) -> bool:
    return head[_CHECKED.size :] == zlib.crc32(head[: _CHECKED.size]).to_bytes(4, "little")


def open_for_reading(path: Path) -> io.FileIO:
    """Opens a file unbuffered.

    Args:
        path: the file.

    Raises:
        RecordError: it cannot be opened.
    """
    with reading(path, RecordError):
        return path.open("rb", buffering=0)  # heads are read without the payloads between them


class RecordReader:
    """Reads the frames of an open file in their order. The file may still be written to.

    Attributes:
        offset: of the next frame.
    """

    def __init__(self, file: io.FileIO | io.BytesIO, path: Path) -> None:
        self._file = file
        self._path = path
        self.offset = file.tell()

    def next(self) -> bytes | None:
        """The payload of the next frame, or None at the end of the file or at a torn tail.

        Raises:
            DamageError: the frame is damaged; `offset` stays where it begins.
            RecordError: the file cannot be read.
        """
        head = self._head()
        if head is None:
            return None
        length, crc = head
        payload = self._read(length)
        if len(payload) < length:
            return None
        if zlib.crc32(payload) != crc:
            if self._at_end():
                return None
            raise self._damage("a record is damaged")
        self.offset += _HEAD.size + length
        return payload

    def skip(self) -> bool:
        """Passes over the next frame without reading its payload. False at the end of the file or at a torn tail.

        Raises:
            DamageError: its length is damaged.
        """
        head = self._head()
        if head is None or self.offset + _HEAD.size + head[0] > self._size():
            return False
        self.offset += _HEAD.size + head[0]
        return True

    def peek(self, size: int) -> bytes | None:
        """Reads the beginning of the next payload without moving on.

        Args:
            size: bytes wanted.

        Returns:
            Up to `size` bytes of the payload; None at the end of the file or at a torn tail.

        Raises:
            DamageError: the length field is damaged.
        """
        head = self._head()
        if head is None or self.offset + _HEAD.size + head[0] > self._size():
            return None
        return self._read(min(size, head[0]))

    def resynchronise(self, payload_start: bytes) -> bool:
        """Moves on to the next whole frame after a damaged one.

        Args:
            payload_start: the bytes with which every payload in this file begins.

        Returns:
            False where no whole frame follows; `offset` is then the end of the file.
        """
        position = self.offset + 1
        overlap = _HEAD.size + len(payload_start)
        while True:
            self._seek(position)
            block = self._read(_BLOCK + overlap)
            at = _HEAD.size - 1
            while (at := block.find(payload_start, at + 1)) >= 0:
                if _is_head(block[at - _HEAD.size : at]) and self._is_whole(position + at - _HEAD.size):
                    return True
            if len(block) < _BLOCK + overlap:
                self.offset = self._size()
                return False
            position += _BLOCK

    def _is_whole(self, offset: int) -> bool:
        """Moves to `offset`, and tells whether a whole frame begins there."""
        self.offset = offset
        try:
            whole = self.next() is not None
        except DamageError:
            whole = False
        self.offset = offset
        return whole

    def _head(self) -> tuple[int, int] | None:
        """Length and checksum of the next payload, or None where the file ends first."""
        self._seek(self.offset)
        head = self._read(_HEAD.size)
        if len(head) < _HEAD.size:
            return None
        length, crc, _ = _HEAD.unpack(head)
        if not _is_head(head) or length > MAX_PAYLOAD:
            if not any(head) and self._only_zeros_follow():
                return None
            raise self._damage("the length of a record is damaged")
        return length, crc

    def _seek(self, offset: int) -> None:
        self._file.seek(offset)

    def _read(self, size: int) -> bytes:
        with reading(self._path, RecordError):
            return self._file.read(size)

    def _size(self) -> int:
        if isinstance(self._file, io.BytesIO):
            return len(self._file.getbuffer())
        return os.fstat(self._file.fileno()).st_size

    def _at_end(self) -> bool:
        return self._file.tell() >= self._size()

    def _only_zeros_follow(self) -> bool:
        """A power cut may leave a tail of zeros: the size was written, the data was not."""
        while block := self._read(_BLOCK):
            if any(block):
                return False
        return True

    def _damage(self, what: str) -> DamageError:
        return DamageError(f"{self._path}: damaged after byte {self.offset}: {what}")
