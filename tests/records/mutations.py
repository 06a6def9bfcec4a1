"""Instances logs that were tampered with: their checksums are right, what they hold is not."""

from __future__ import annotations

import struct
from typing import Any

import msgspec
import numpy as np

from pipeline.records.framing import frame

PREAMBLE_SIZE = 9
_HEAD = struct.Struct("<III")
_PREFIX = struct.Struct("<BBI")

NUMBERS: tuple[Any, ...] = (
    0, 1, -1, 2, 255, 65535, 65536, 2**31, -(2**31), 2**63 - 1, -(2**63), 2**64 - 1, 0.0, -0.0, 1e-300, 1e-30, 1e18,
    1e30, 1e308, -1e308, float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
OTHERS: tuple[Any, ...] = (
    None, True, "", "x", "/", "..", "a/b", "\x00", "\n", "\x1b[31m", "é" * 300, b"\xff\xfe", [], {}, [[]] * 50,
    ["person"], ["person"] * 3, {"a": 1},
)  # fmt: skip
FLOATS = np.array(
    [np.nan, np.inf, -np.inf, 0, -1, 1e-30, 1e-3, 1, 1e4, 1e6, 1e30, 3e38, -1e30, 639.99, 640, 1e-45],
    np.float32,
)


def payloads(data: bytes) -> list[bytes]:
    """The payloads of a log's frames: its header, then its records."""
    found, offset = [], PREAMBLE_SIZE
    while offset < len(data):
        length, _, _ = _HEAD.unpack_from(data, offset)
        offset += _HEAD.size
        found.append(data[offset : offset + length])
        offset += length
    return found


def mutated(data: bytes, seed: int) -> bytes:
    """A log with one to four changes, the same for the same seed.

    Args:
        data: a whole log with at least one record.
        seed: which changes.
    """
    rng = np.random.default_rng(seed)
    parts = payloads(data)
    for _ in range(rng.integers(1, 5)):
        kind = rng.integers(0, 10)
        if kind == 0:
            parts[0] = _other_header(parts[0], rng)
        elif kind == 1:
            place, other = rng.integers(0, len(parts), 2)
            parts[place], parts[other] = parts[other], parts[place]
        elif kind == 2:
            parts.insert(int(rng.integers(1, len(parts))), parts[rng.integers(0, len(parts))])
        elif kind == 3:
            del parts[rng.integers(0, len(parts))]
        else:
            place = rng.integers(1, len(parts)) if len(parts) > 1 else 0
            change = (_other_field, _other_field, _other_floats, _flipped)[rng.integers(0, 4)]
            parts[place] = change(parts[place], rng)
        if not parts:
            break
    return data[:PREAMBLE_SIZE] + b"".join(map(frame, parts))


def damaged(data: bytes, seed: int) -> bytes:
    """A log with flipped, lost or added bytes, whose checksums are wrong."""
    rng = np.random.default_rng(seed)
    broken = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        at, size = int(rng.integers(0, len(broken))), int(rng.integers(1, 40))
        kind = rng.integers(0, 4)
        if kind == 0:
            del broken[at : at + size]
        elif kind == 1:
            broken[at:at] = rng.bytes(size)
        elif kind == 2:
            broken[at : at + size] = bytes(len(broken[at : at + size]))
        else:
            broken[at] ^= 1 << int(rng.integers(0, 8))
        if not broken:
            break
    return bytes(broken)


def _value(rng: np.random.Generator) -> Any:
    table = NUMBERS if rng.random() < 0.7 else OTHERS
    return table[rng.integers(0, len(table))]


def _other_header(payload: bytes, rng: np.random.Generator) -> bytes:
    try:
        header = msgspec.msgpack.decode(payload)
        name = sorted(header)[rng.integers(0, len(header))]
    except (msgspec.DecodeError, TypeError, ValueError, UnicodeDecodeError):
        return _flipped(payload, rng)
    header[name] = _value(rng)
    return msgspec.msgpack.encode(header)


def _other_field(payload: bytes, rng: np.random.Generator) -> bytes:
    """Another value in the MessagePack header of a message, whose arrays stay as they are."""
    fields, arrays = _split(payload)
    if not fields:
        return _flipped(payload, rng)
    place = rng.integers(0, len(fields))
    if isinstance(fields[place], list) and fields[place] and rng.random() < 0.7:
        fields[place][rng.integers(0, len(fields[place]))] = _value(rng)
    else:
        fields[place] = _value(rng)
    return _joined(fields, arrays)


def _other_floats(payload: bytes, rng: np.random.Generator) -> bytes:
    """Other boxes and scores, or class ids: the arrays come first after the header."""
    fields, arrays = _split(payload)
    values = bytearray(arrays)
    for _ in range(rng.integers(1, 4)):
        if len(values) >= 24:
            at = 4 * int(rng.integers(0, 6))
            values[at : at + 4] = FLOATS[rng.integers(0, len(FLOATS))].tobytes()
    return _joined(fields, bytes(values)) if fields else payload


def _flipped(payload: bytes, rng: np.random.Generator) -> bytes:
    broken = bytearray(payload)
    for _ in range(rng.integers(1, 4)):
        if broken:
            broken[rng.integers(0, min(len(broken), 200))] = rng.integers(0, 256)
    return bytes(broken)


def _split(payload: bytes) -> tuple[list[Any], bytes]:
    try:
        _, _, length = _PREFIX.unpack_from(payload)
        end = _PREFIX.size + length
        return msgspec.msgpack.decode(payload[_PREFIX.size : end]), payload[end + -end % 8 :]
    except (struct.error, msgspec.DecodeError, UnicodeDecodeError):
        return [], b""


def _joined(fields: list[Any], arrays: bytes) -> bytes:
    header = msgspec.msgpack.encode(fields)
    start = _PREFIX.pack(1, 1, len(header)) + header
    return start + bytes(-len(start) % 8) + arrays
