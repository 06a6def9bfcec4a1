"""Messages as bytes: what goes in comes out, and nothing else is taken."""

import struct

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import WireError
from pipeline.geometry.masks import MASK_SIZE
from pipeline.transport import wire
from pipeline.transport.messages import (
    APPEARANCE_SIZE,
    KINDS,
    Accepted,
    Beat,
    FrameRef,
    FrameTracks,
    Instances,
    Leases,
    Message,
    Report,
)

names = st.text(min_size=1, max_size=20)
finite = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def instances(draw: st.DrawFn) -> Instances:
    count = draw(st.integers(0, 6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return Instances(
        stream=draw(names),
        epoch=draw(st.integers(0, 2**31)),
        seq=draw(st.integers(0, 2**40)),
        index=draw(st.integers(0, 2**40)),
        pts_s=draw(finite),
        wall_s=draw(finite),
        width=draw(st.integers(1, 8192)),
        height=draw(st.integers(1, 8192)),
        skipped=draw(st.sampled_from(["", "static"])),
        boxes_px=rng.normal(size=(count, 4)).astype(np.float32),
        scores=rng.random(count, np.float32),
        class_ids=rng.integers(-5, 99, count).astype(np.int16),
        masks=rng.integers(0, 256, (count, MASK_SIZE, MASK_SIZE)).astype(np.uint8),
        appearances=draw(
            st.sampled_from([None, rng.integers(0, 256, (count, APPEARANCE_SIZE)).astype(np.uint8)])
        ),
        camera=draw(st.none() | st.tuples(st.integers(0, 2**40), finite, finite, finite, finite)),
    )


def same(a: Message, b: Message) -> bool:
    return type(a) is type(b) and all(
        np.array_equal(x, y) and x.dtype == y.dtype if isinstance(x, np.ndarray) else x == y
        for x, y in ((getattr(a, name), getattr(b, name)) for name in a.__struct_fields__)
    )


@given(instances())
def test_instances_come_out_as_they_went_in(message: Instances) -> None:
    assert same(wire.decode(wire.encode(message)), message)


@given(instances())
def test_instances_from_before_looks_and_cameras_are_read(message: Instances) -> None:
    plain = msgspec.structs.replace(message, appearances=None, camera=None, condition="")
    raw = wire.encode(plain)
    version, kind, length = struct.unpack_from("<BBI", raw)
    fields = msgspec.msgpack.decode(raw[6 : 6 + length])
    assert fields[-3:] == [None, None, ""]
    header = msgspec.msgpack.encode(fields[:-3])
    arrays = raw[6 + length + -(6 + length) % 8 :]
    old = struct.pack("<BBI", version, kind, len(header)) + header + bytes(-(6 + len(header)) % 8) + arrays
    assert same(wire.decode(old), plain)


def test_an_array_that_must_be_there_is_there() -> None:
    message = Instances(
        stream="a", epoch=0, seq=0, index=0, pts_s=0.0, wall_s=0.0, width=4, height=4,
        boxes_px=None, scores=np.zeros(0, np.float32), class_ids=np.zeros(0, np.int16),
        masks=np.zeros((0, MASK_SIZE, MASK_SIZE), np.uint8),
    )  # fmt: skip
    with pytest.raises(WireError, match=r"Instances\.boxes_px: got None, expected float32"):
        wire.encode(message)


@given(instances())
def test_some_of_the_instances_are_some_rows_of_every_array(message: Instances) -> None:
    keep = np.arange(len(message.scores)) % 2 == 0
    some = message.only(keep)
    assert np.array_equal(some.scores, message.scores[keep])
    assert (
        some.appearances is None
        if message.appearances is None
        else np.array_equal(some.appearances, message.appearances[keep])
    )
    assert some.camera == message.camera


@given(names, st.integers(0, 2**40), st.dictionaries(names, st.integers(0, 2**40)))
def test_messages_without_arrays_come_out_as_they_went_in(
    name: str, number: int, dropped: dict[str, int]
) -> None:
    beat = Beat(process=name, incarnation=1, state="ready", report=Report(frames_in=number, dropped=dropped))
    back = wire.decode(wire.encode(beat))
    assert isinstance(back, Beat)
    assert back.report == beat.report
    assert back.process == name


def test_several_frames_go_in_one_answer() -> None:
    frame = FrameRef(
        stream="gate", epoch=1, seq=7, index=9, pts_s=0.5, wall_s=1e9, slot=3, ring="/x", width=4, height=2
    )
    back = wire.decode(wire.encode(Leases(frames=(frame, frame))))
    assert isinstance(back, Leases)
    assert [one.slot for one in back.frames] == [3, 3]


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_foreign_bytes_are_refused_and_never_raise_anything_else(data: bytes) -> None:
    try:
        wire.decode(data)
    except WireError:
        return


@settings(max_examples=200)
@given(instances(), st.data())
def test_a_damaged_message_is_refused_or_is_still_a_message(message: Instances, data: st.DataObject) -> None:
    raw = bytearray(wire.encode(message))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))
    try:
        back = wire.decode(bytes(raw))
    except WireError:
        return
    assert isinstance(back, KINDS)


@given(instances(), st.data())
def test_a_message_cut_short_or_made_longer_is_refused(message: Instances, data: st.DataObject) -> None:
    raw = wire.encode(message)
    with pytest.raises(WireError):
        wire.decode(raw[: data.draw(st.integers(0, len(raw) - 1))])
    with pytest.raises(WireError):
        wire.decode(raw + b"\0" * 8)


def test_another_version_says_to_update() -> None:
    raw = bytearray(wire.encode(Accepted(stream="gate", seq=1)))
    raw[0] += 1
    with pytest.raises(WireError, match="version 2, this is version 1"):
        wire.decode(bytes(raw))


def test_an_array_of_the_wrong_type_or_shape_never_leaves() -> None:
    good = {
        "stream": "a", "epoch": 0, "seq": 0, "index": 0, "pts_s": 0.0, "wall_s": 0.0,
        "ids": np.zeros(2, np.int64), "boxes_px": np.zeros((2, 4), np.float32), "scores": np.zeros(2, np.float32),
        "class_ids": np.zeros(2, np.int16), "masks": np.zeros((2, 28, 28), np.uint8),
        "feet_px": np.zeros((2, 2), np.float32),
    }  # fmt: skip
    wire.encode(FrameTracks(**good))
    with pytest.raises(WireError, match=r"Tracks\.boxes_px: got float64, expected float32"):
        wire.encode(FrameTracks(**good | {"boxes_px": np.zeros((2, 4))}))
    with pytest.raises(WireError, match=r"Tracks\.scores: got shape \(3,\)"):
        wire.encode(FrameTracks(**good | {"scores": np.zeros(3, np.float32)}))
