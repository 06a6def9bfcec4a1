"""Logs from anywhere: whatever they hold, they give records that can be counted, or one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from pipeline.errors import TallycamError
from pipeline.records.framing import frame
from pipeline.records.log import LogWriter, RecordError, read_log
from pipeline.records.log_check import MAX_INSTANCES
from pipeline.transport import wire
from pipeline.transport.messages import Instances
from tests.records.logs import HEADER, VERSION_1, found
from tests.records.mutations import damaged, mutated, payloads

NAN, INF = float("nan"), float("inf")


def log_of(path: Path, *records: Instances) -> Path:
    """A log that holds just these, whatever they are."""
    with LogWriter(path, HEADER):
        pass
    path.write_bytes(path.read_bytes() + b"".join(frame(wire.encode(record)) for record in records))
    return path


def changed(**fields: Any) -> Instances:
    return msgspec.structs.replace(found(1), **fields)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"stream": "yard"}, "another stream"),
        ({"width": 0}, "got a frame of 0x360"),
        ({"height": 10**9}, "got a frame of 640x1000000000"),
        ({"index": -1}, "got frame -1"),
        ({"epoch": -1}, "of epoch -1"),
        ({"pts_s": NAN}, "media time nan"),
        ({"pts_s": INF}, "media time inf"),
        ({"pts_s": -1.0}, "earlier than 0.000 s"),
        ({"wall_s": INF}, "Unix time inf"),
        ({"wall_s": -1.0}, "Unix time -1"),
        ({"skipped": "\x1b[31m"}, "is no text"),
        ({"camera": (0, 0.0, 0.0, 0.0, 0.0)}, "camera position"),
        ({"camera": (0, NAN, 0.0, 0.0, 0.0)}, "camera position"),
        ({"seq": 0}, "has number 0, expected 1"),
        ({"seq": 5}, "has number 5, expected 1"),
    ],
)
def test_an_impossible_record_is_one_line_or_left_out(
    tmp_path: Path, fields: dict[str, Any], says: str
) -> None:
    path = log_of(tmp_path / "x.log", found(0), changed(**fields), found(2))
    with pytest.raises(RecordError, match=says) as caught:
        list(read_log(path)[1])
    assert "\n" not in str(caught.value)
    told: list[str] = []
    assert [record.seq for record in read_log(path, told.append)[1]] == [0, 2]
    assert len(told) == 1
    assert says in told[0]
    assert "frame 1 is lost" in told[0]


def test_too_many_instances_are_refused(tmp_path: Path) -> None:
    path = log_of(tmp_path / "x.log", found(0, MAX_INSTANCES + 1))
    with pytest.raises(RecordError, match=f"at most {MAX_INSTANCES}"):
        list(read_log(path)[1])


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("boxes_px", (10, 10, 10, 40)),
        ("boxes_px", (10, 40, 30, 10)),
        ("boxes_px", (NAN, 10, 30, 40)),
        ("boxes_px", (10, 10, INF, 40)),
        ("boxes_px", (-1e30, 10, 30, 40)),
        ("scores", NAN),
        ("scores", -1),
        ("scores", 2),
        ("class_ids", -1),
        ("class_ids", 2),
        ("class_ids", 32767),
    ],
)
def test_an_impossible_instance_is_left_out_and_the_frame_stays(
    tmp_path: Path, place: str, value: Any
) -> None:
    array = getattr(found(1, 3), place).copy()
    array[1] = value
    good, bad = found(0), msgspec.structs.replace(found(1, 3), **{place: array})
    path = log_of(tmp_path / "x.log", good, bad)
    told: list[str] = []
    first, second = read_log(path, told.append)[1]
    assert len(first.scores) == 2
    assert np.array_equal(second.masks, found(1, 3).masks[[0, 2]])
    assert told == [f"{path}: instances without a box, score or class were left out: 1"]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("stream", "../gate", "name of the stream"),
        ("stream", "", "name of the stream"),
        ("width", 0, "got frames of 0x360"),
        ("classes", ["x" * 1000], "too long"),
        ("first_seq", -1, "number of its first record"),
        ("pts_s", NAN, "its time"),
        ("strange", 1, "damaged header"),
        ("width", "wide", "damaged header"),
    ],
)
def test_an_impossible_header_is_one_line(tmp_path: Path, name: str, value: Any, says: str) -> None:
    header = msgspec.to_builtins(HEADER) | {name: value}
    path = tmp_path / "x.log"
    path.write_bytes(b"TALLYCAM\x02" + frame(msgspec.msgpack.encode(header)))
    with pytest.raises(RecordError, match=says) as caught:
        read_log(path)
    assert "\n" not in str(caught.value)


def test_text_that_is_no_utf_8_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    payload = msgspec.msgpack.encode(HEADER).replace(b"person", b"pers\xff\xfe")
    path.write_bytes(b"TALLYCAM\x02" + frame(payload))
    with pytest.raises(RecordError, match="damaged header"):
        read_log(path)


def test_names_from_a_log_hold_no_control_characters(tmp_path: Path) -> None:
    header = msgspec.structs.replace(HEADER, classes=("per\x1b[31mson", "car"))
    path = tmp_path / "x.log"
    path.write_bytes(b"TALLYCAM\x02" + frame(msgspec.msgpack.encode(header)))
    assert read_log(path)[0].classes == ("per\\x1b[31mson", "car")


@pytest.mark.parametrize("change", [mutated, damaged])
def test_a_log_that_was_tampered_with_gives_good_records_or_one_line(
    tmp_path: Path, change: Callable[[bytes, int], bytes]
) -> None:
    data = VERSION_1.read_bytes()
    path = tmp_path / "x.log"
    read = lines = 0
    for seed in range(400):
        path.write_bytes(change(data, seed))
        told: list[str] = []
        try:
            header, records = read_log(path, told.append)
            last_s = -INF
            for record in records:
                read += 1
                assert (record.class_ids < len(header.classes)).all()
                assert np.isfinite(record.boxes_px).all() and last_s <= record.pts_s < INF
                last_s = record.pts_s
        except TallycamError as error:
            told.append(str(error))
        lines += len(told)
        assert all(line.isprintable() and str(path) in line for line in told)
    assert read > 1000 and lines > 300


def test_what_is_tampered_with_is_another_log() -> None:
    data = VERSION_1.read_bytes()
    assert len(payloads(data)) == 25
    assert len({mutated(data, seed) for seed in range(50)}) > 40
