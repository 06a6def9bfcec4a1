"""Messages as bytes: `[version u8][kind u8][header length u32 LE][header][arrays]`.

The header is MessagePack; each array is replaced in it by its shape (nil where it may be missing) and follows as a raw
little-endian buffer that starts at a multiple of eight bytes. Nothing is trusted: version, kind, types, shapes and
lengths are checked before an array is built. The instances log holds the same bytes.
"""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from types import NoneType
from typing import Any, get_args

import msgspec
import numpy as np
from msgspec.structs import FieldInfo, fields

from pipeline.errors import WireError
from pipeline.transport.messages import KINDS, Array, Message, Spec

VERSION = 1
_PREFIX = struct.Struct("<BBI")
_ALIGN = 8
_MOST_ROWS = 1 << 16
_encoder = msgspec.msgpack.Encoder()


@dataclass(frozen=True, slots=True)
class _Kind:
    """How one type of message goes over the wire."""

    number: int
    cls: type[Message]
    decoder: msgspec.msgpack.Decoder[Any]
    arrays: tuple[tuple[int, str, np.dtype[Any], Spec], ...]
    """(place among the fields, name, dtype, spec), in the order in which they are sent."""
    optional: frozenset[str] = frozenset()
    """Arrays that may be missing."""


def _kind(number: int, cls: type[Message]) -> _Kind:
    names = cls.__struct_fields__
    arrays = tuple(
        (place, name, np.dtype(cls.ARRAYS[name][0]), cls.ARRAYS[name])
        for place, name in enumerate(names)
        if name in cls.ARRAYS
    )
    if not arrays:
        return _Kind(number, cls, msgspec.msgpack.Decoder(cls), ())
    header = msgspec.defstruct(
        f"{cls.__name__}Header", [_slot(cls, field) for field in fields(cls)], array_like=True, kw_only=True
    )
    optional = frozenset(field.name for field in fields(cls) if NoneType in get_args(field.type))
    return _Kind(number, cls, msgspec.msgpack.Decoder(header), arrays, optional)


def _slot(cls: type[Message], field: FieldInfo) -> tuple[str, Any, Any]:
    """What a header has for a field: the shape of an array, the value of anything else. Defaults are the message's,
    so that bytes from before a field was there can be read."""
    form = field.type
    if field.name in cls.ARRAYS:
        form = tuple[int, ...] | None if NoneType in get_args(form) else tuple[int, ...]
    if field.default_factory is not msgspec.NODEFAULT:
        return field.name, form, msgspec.field(default_factory=field.default_factory)
    return field.name, form, msgspec.field(default=field.default)


_BY_NUMBER = tuple(_kind(number, cls) for number, cls in enumerate(KINDS))
_BY_TYPE = {kind.cls: kind for kind in _BY_NUMBER}


def _padding(length: int) -> int:
    return -length % _ALIGN


def encode(message: Message) -> bytes:
    """Serialises one message.

    Args:
        message: Of a type listed in `KINDS`.

    Raises:
        WireError: An array is missing, or has another dtype or shape than `ARRAYS` states.
    """
    kind = _BY_TYPE[type(message)]
    if not kind.arrays:
        header = _encoder.encode(message)
        return _PREFIX.pack(VERSION, kind.number, len(header)) + header
    values = [getattr(message, name) for name in kind.cls.__struct_fields__]
    buffers: list[bytes] = []
    sizes: dict[str, int] = {}
    for place, name, dtype, spec in kind.arrays:
        array: Array | None = values[place]
        if array is None and name in kind.optional:
            continue
        if array is None:
            raise WireError(f"{kind.cls.__name__}.{name}: got None, expected {spec[0]}")
        _check_shape(kind, name, spec, array.shape, sizes)
        if array.dtype != dtype:
            raise WireError(f"{kind.cls.__name__}.{name}: got {array.dtype}, expected {spec[0]}")
        values[place] = array.shape
        raw = array.tobytes()
        buffers += (raw, bytes(_padding(len(raw))))
    header = _encoder.encode(values)
    prefix = _PREFIX.pack(VERSION, kind.number, len(header))
    return b"".join((prefix, header, bytes(_padding(_PREFIX.size + len(header))), *buffers))


def decode(data: bytes | memoryview) -> Message:
    """Deserialises one message, after validating version, kind, types, shapes and lengths.

    Args:
        data: Exactly one message.

    Returns:
        The message; its arrays are views of `data`, read-only where `data` is immutable.

    Raises:
        WireError: `data` is not exactly one message of this wire version.
    """
    if len(data) < _PREFIX.size:
        raise WireError(f"a message has at least {_PREFIX.size} bytes, got {len(data)}")
    version, number, header_length = _PREFIX.unpack_from(data)
    if version != VERSION:
        raise WireError(f"message of wire version {version}, this is version {VERSION}: update both sides")
    if number >= len(_BY_NUMBER):
        raise WireError(f"message of unknown kind {number}")
    kind = _BY_NUMBER[number]
    end = _PREFIX.size + header_length
    if end > len(data):
        raise WireError(f"{kind.cls.__name__}: header of {header_length} bytes in a message of {len(data)}")
    try:
        header = kind.decoder.decode(memoryview(data)[_PREFIX.size : end])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise WireError(f"{kind.cls.__name__}: {error}") from error
    if not kind.arrays:
        if end != len(data):
            raise WireError(f"{kind.cls.__name__}: {len(data) - end} bytes too many")
        message: Message = header
        return message
    values = {name: getattr(header, name) for name in kind.cls.__struct_fields__}
    offset = end + _padding(end)
    sizes: dict[str, int] = {}
    for _, name, dtype, spec in kind.arrays:
        shape: tuple[int, ...] | None = values[name]
        if shape is None:
            continue
        _check_shape(kind, name, spec, shape, sizes)
        count = math.prod(shape)
        if offset + count * dtype.itemsize > len(data):
            raise WireError(f"{kind.cls.__name__}.{name}: cut off")
        values[name] = np.frombuffer(data, dtype, count, offset).reshape(shape)
        offset += count * dtype.itemsize + _padding(count * dtype.itemsize)
    if offset != len(data):
        raise WireError(f"{kind.cls.__name__}: {len(data)} bytes, expected {offset}")
    whole: Message = kind.cls(**values)
    return whole


def _check_shape(kind: _Kind, name: str, spec: Spec, shape: tuple[int, ...], sizes: dict[str, int]) -> None:
    wanted = spec[1]
    fits = len(shape) == len(wanted)
    if fits:
        for got, want in zip(shape, wanted, strict=True):
            expected = sizes.setdefault(want, got) if isinstance(want, str) else want
            if got != expected or not 0 <= got <= _MOST_ROWS:
                fits = False
    if not fits:
        raise WireError(f"{kind.cls.__name__}.{name}: got shape {shape}, expected {wanted} with {sizes}")
