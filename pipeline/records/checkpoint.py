"""Checkpoints: the state of tracking and counting after a frame, from which a later process continues.

A checkpoint is derived: replaying the log from its beginning gives the same state, and any checkpoint can be thrown
away. It is a preamble and frames with checksums (`framing.py`): a header, and one frame for each section. A section has
its own version and configuration digest, so that a moved line does not cost the tracker's state.

It stands at the beginning of each segment of the log (`segmented_log.py`), and in a file of its own that is written
more often, so that a restart has little to replay.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from pipeline.errors import TallycamError
from pipeline.files import write_bytes
from pipeline.records.framing import RecordError, RecordReader, frame, open_for_reading
from pipeline.records.state import State, StateError, decode_state, encode_state
from pipeline.transport.messages import Instances

_MAGIC = b"TALLYCKP"
_VERSION = 1
_PREAMBLE = _MAGIC + bytes([_VERSION])


class CheckpointError(TallycamError):
    """A checkpoint that cannot be used: damaged, of another version, or of another stream."""


class Position(msgspec.Struct, frozen=True, kw_only=True):
    """The last frame that a state includes."""

    seq: int
    index: int
    epoch: int
    pts_s: float
    wall_s: float

    @classmethod
    def of(cls, instances: Instances) -> Position:
        """Position of a frame.

        Args:
            instances: the last frame included.
        """
        return cls(**{name: getattr(instances, name) for name in cls.__struct_fields__})


class SectionKey(msgspec.Struct, frozen=True):
    """Condition for restoring a section: both fields must be equal."""

    version: int
    """Of the state's layout; rises when it changes."""
    digest: str
    """Of the configuration that the state depends on; see `digest`."""


class CheckpointHeader(msgspec.Struct, frozen=True, kw_only=True):
    """The first frame of a checkpoint."""

    stream: str
    run: str
    position: Position
    sections: dict[str, SectionKey]
    """In the order of their frames."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint that was read.

    Attributes:
        header: of the checkpoint.
        states: section -> its state, where it can be used.
        unusable: section that was asked for -> why it cannot be used.
    """

    header: CheckpointHeader
    states: Mapping[str, State]
    unusable: Mapping[str, str] = field(default_factory=dict)


def digest(*parts: Any) -> str:
    """Digest of values, equal for equal values.

    Args:
        *parts: what JSON can hold: parts of a configuration, class names.

    Returns:
        The first 32 hexadecimal digits of a SHA-256.
    """
    return hashlib.sha256(msgspec.json.encode(parts, order="sorted")).hexdigest()[:32]


def encode_checkpoint(
    stream: str, run: str, position: Position, sections: Mapping[str, tuple[SectionKey, State]]
) -> bytes:
    """A checkpoint as bytes, the same for the same state.

    Args:
        stream: name of the stream.
        run: identity of the run.
        position: the last frame that the states include.
        sections: name -> what it depends on, and its state.

    Raises:
        StateError: a state holds something that has no place in one.
    """
    keys = {name: key for name, (key, _) in sections.items()}
    header = CheckpointHeader(stream=stream, run=run, position=position, sections=keys)
    frames = [frame(msgspec.msgpack.encode(header))]
    frames += [frame(encode_state(state)) for _, state in sections.values()]
    return b"".join([_PREAMBLE, *frames])


def write_checkpoint(path: Path, data: bytes) -> None:
    """Replaces a checkpoint file atomically, and syncs it to disk.

    Args:
        path: the file.
        data: from `encode_checkpoint`.

    Raises:
        OutputError: it cannot be written; the previous checkpoint is kept.
    """
    write_bytes(path, data, durable=True)


def read_checkpoint(
    source: Path | bytes, stream: str, wanted: Mapping[str, SectionKey], name: str = "checkpoint"
) -> Checkpoint:
    """Reads a checkpoint, and of its sections those that can be used.

    Args:
        source: a file, or the bytes that a segment of a log holds.
        stream: whose state it has to be.
        wanted: section -> what has to agree.
        name: of bytes, for messages.

    Raises:
        CheckpointError: no section of it can be used; one line says why.
    """
    try:
        if isinstance(source, Path):
            name = str(source)
            with open_for_reading(source) as file:
                return _read(file, source, stream, wanted)
        return _read(io.BytesIO(source), Path(name), stream, wanted)
    except RecordError as error:
        raise CheckpointError(str(error)) from None


def _read(
    file: io.FileIO | io.BytesIO, path: Path, stream: str, wanted: Mapping[str, SectionKey]
) -> Checkpoint:
    preamble = file.read(len(_PREAMBLE))
    if preamble != _PREAMBLE:
        what = "is of another version" if preamble.startswith(_MAGIC) else "is not a checkpoint"
        raise CheckpointError(f"{path}: {what}")
    frames = RecordReader(file, path)
    header = _header(frames, path)
    if header.stream != stream:
        raise CheckpointError(f"{path}: is of stream {header.stream!r}, not {stream!r}")
    states: dict[str, State] = {}
    unusable: dict[str, str] = {}
    for section, key in header.sections.items():
        if section not in wanted:
            frames.skip()
            continue
        reason = _difference(key, wanted[section])
        if reason is not None:
            unusable[section] = reason
            frames.skip()
            continue
        try:
            payload = frames.next()
            if payload is None:
                raise StateError("ends before its end")
            states[section] = decode_state(payload)
        except StateError as error:
            unusable[section] = str(error)
    unusable |= {section: "is not there" for section in wanted if section not in header.sections}
    return Checkpoint(header, states, unusable)


def _header(frames: RecordReader, path: Path) -> CheckpointHeader:
    payload = frames.next()
    if payload is None:
        raise CheckpointError(f"{path}: ends within its header")
    try:
        return msgspec.msgpack.decode(payload, type=CheckpointHeader)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CheckpointError(f"{path}: has a damaged header: {error}") from None


def _difference(key: SectionKey, wanted: SectionKey) -> str | None:
    if key.version != wanted.version:
        return f"is of state version {key.version}, this Tallycam has {wanted.version}"
    if key.digest != wanted.digest:
        return "is of another configuration"
    return None
