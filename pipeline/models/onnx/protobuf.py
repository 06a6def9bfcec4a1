"""Protocol buffers' wire format, as far as ONNX metadata needs it; see docs/decisions for why not the package `onnx`.

Fields are walked without reading what is skipped, so that the metadata of a file of gigabytes takes a fraction of a
millisecond. The format: https://protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

VARINT, LENGTH_DELIMITED = 0, 2
"""Wire types."""
FIXED_SIZES = {1: 8, 5: 4}
"""Wire type -> bytes of its value."""
MAX_VARINT_BITS = 70
"""Ten groups of seven bits hold any 64-bit number."""
MAX_STRING = 1 << 26
"""Bytes of the longest string that is read; longer ones are damage or an attack."""


def read_fields(file: IO[bytes], end: int, *, scalars: bool = False) -> Iterator[tuple[int, int]]:
    """Walks the fields of a message.

    The consumer may read from the file up to the end of the field; the rest is skipped.

    Args:
        file: positioned at the start of the message.
        end: offset of the end of the message.
        scalars: also yields varint fields, with the file positioned before the value.

    Yields:
        Field number, and offset of the end of the field.

    Raises:
        ValueError: the bytes are no message, or cut off.
    """
    while file.tell() < end:
        key = read_varint(file)
        number, wire_type = key >> 3, key & 7
        start = file.tell()
        if wire_type == VARINT:
            read_varint(file)
            stop = file.tell()
            file.seek(start)
        elif wire_type == LENGTH_DELIMITED:
            length = read_varint(file)
            stop = file.tell() + length
        elif wire_type in FIXED_SIZES:
            stop = start + FIXED_SIZES[wire_type]
        else:
            raise ValueError("not a protobuf message")
        if stop > end:
            raise ValueError("cut off")
        if scalars or wire_type != VARINT:
            yield number, stop
        file.seek(stop)


def read_string(file: IO[bytes], end: int) -> str:
    """Reads the bytes up to `end` as UTF-8.

    Args:
        file: positioned at the string.
        end: offset in the file, exclusive.

    Raises:
        ValueError: they are not UTF-8, or more than `MAX_STRING`.
    """
    size = end - file.tell()
    if size > MAX_STRING:
        raise ValueError(f"a string of {size} bytes")
    return file.read(size).decode()


def read_varint(file: IO[bytes]) -> int:
    """Reads a variable-length integer, least significant group of seven bits first.

    Args:
        file: positioned at the integer.

    Raises:
        ValueError: it is cut off, or too long.
    """
    value = 0
    for shift in range(0, MAX_VARINT_BITS, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("cut off")
        value |= (byte[0] & 0x7F) << shift
        if byte[0] < 0x80:
            return value
    raise ValueError("not a protobuf message")


def field_bytes(number: int, data: bytes) -> bytes:
    """Encodes a length-delimited field.

    Args:
        number: of the field.
        data: its content.
    """
    return varint_bytes(number << 3 | LENGTH_DELIMITED) + varint_bytes(len(data)) + data


def varint_bytes(value: int) -> bytes:
    """Encodes a variable-length integer.

    Args:
        value: 0 or more.
    """
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])
