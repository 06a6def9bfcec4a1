"""The instances log: torn tails, damage, going on after a kill."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import OutputError
from pipeline.records.log import LogHeader, LogWriter, RecordError, read_log
from pipeline.transport import wire
from pipeline.transport.messages import Instances
from tests.records.logs import HEADER, VERSION_1, found, write


def seqs(path: Path) -> list[int]:
    return [record.seq for record in read_log(path)[1]]


@pytest.fixture
def log_path(tmp_path: Path) -> Path:
    return tmp_path / "log" / "gate.log"


def test_what_is_appended_is_read_back(log_path: Path) -> None:
    write(log_path, 5)
    header, records = read_log(log_path)
    assert header == HEADER
    for seq, record in enumerate(records):
        assert wire.encode(record) == wire.encode(found(seq, count=seq % 3))
    assert seq == 4


def test_a_log_that_exists_is_gone_on_with(log_path: Path) -> None:
    write(log_path, 3)
    with LogWriter(log_path, HEADER) as log:
        assert log.next_seq == 3
        log.append(found(3))
    assert seqs(log_path) == [0, 1, 2, 3]


def test_a_torn_tail_is_left_out_and_cut_off(log_path: Path) -> None:
    write(log_path, 3)
    whole = log_path.read_bytes()
    log_path.write_bytes(whole[:-1])
    assert seqs(log_path) == [0, 1]
    with LogWriter(log_path, HEADER) as log:
        assert log.next_seq == 2
        log.append(found(2, count=2))
    assert log_path.read_bytes() == whole


def test_a_tail_of_zeros_after_a_power_cut_is_torn(log_path: Path) -> None:
    write(log_path, 3)
    log_path.write_bytes(log_path.read_bytes() + bytes(5000))
    assert seqs(log_path) == [0, 1, 2]
    with LogWriter(log_path, HEADER) as log:
        assert log.next_seq == 3


def test_a_last_record_with_damaged_payload_is_torn(log_path: Path) -> None:
    write(log_path, 3)
    data = bytearray(log_path.read_bytes())
    data[-10] ^= 1
    log_path.write_bytes(data)
    assert seqs(log_path) == [0, 1]


@settings(max_examples=150, deadline=None)
@given(cut=st.floats(0, 1))
def test_any_prefix_reads_as_a_prefix_of_the_records(
    tmp_path_factory: pytest.TempPathFactory, cut: float
) -> None:
    folder = tmp_path_factory.mktemp("prefix")
    write(folder / "whole.log", 4)
    data = (folder / "whole.log").read_bytes()
    part = folder / "part.log"
    size = int(cut * len(data))
    part.write_bytes(data[:size])
    try:
        _, records = read_log(part)
    except RecordError as error:
        assert "ends within its header" in str(error)
        got = []
    else:
        got = [record.seq for record in records]
    assert got == list(range(len(got)))
    with LogWriter(part, HEADER) as log:
        assert log.next_seq == len(got)
        for seq in range(log.next_seq, 4):
            log.append(found(seq, count=seq % 3))
    assert part.read_bytes() == data


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_one_flipped_bit_is_noticed_or_costs_the_last_record_only(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("flip") / "gate.log"
    write(path, 4)
    whole = path.read_bytes()
    at = data.draw(st.integers(0, len(whole) - 1))
    broken = bytearray(whole)
    broken[at] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(broken)
    got = []
    try:
        for record in read_log(path)[1]:
            assert wire.encode(record) == wire.encode(found(record.seq, count=record.seq % 3))
            got.append(record.seq)
    except RecordError as error:
        assert str(path) in str(error)
        assert "\n" not in str(error)
    else:
        assert got == [0, 1, 2]
    assert got == list(range(len(got)))


def test_damage_in_the_middle_says_where_and_keeps_the_file(log_path: Path) -> None:
    write(log_path, 20)
    data = bytearray(log_path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    log_path.write_bytes(data)
    with pytest.raises(RecordError, match=r"gate\.log: damaged after byte \d+"):
        seqs(log_path)
    with pytest.raises(RecordError, match="damaged after byte"):
        LogWriter(log_path, HEADER)
    assert log_path.read_bytes() == data


@pytest.mark.parametrize("lost", [3, 12])
@pytest.mark.parametrize("where", ["head", "payload", "cut out", "zeros"])
def test_damage_in_the_middle_costs_the_records_that_it_hit(log_path: Path, where: str, lost: int) -> None:
    ends = []
    with LogWriter(log_path, HEADER) as log:
        for seq in range(20):
            log.append(found(seq))
            ends.append(log.size)
    data = bytearray(log_path.read_bytes())
    start, end = ends[lost - 1], ends[lost]
    if where == "head":
        data[start] ^= 1
    elif where == "payload":
        data[end - 9] ^= 1
    elif where == "cut out":
        del data[start + 5 : start + 200]
    else:
        data[start:end] = bytes(end - start)
    log_path.write_bytes(data)
    told: list[str] = []
    got = [record.seq for record in read_log(log_path, told.append)[1]]
    assert got == [seq for seq in range(20) if seq != lost]
    assert len(told) == 1
    assert f"gate.log: damaged after byte {start}: " in told[0]
    assert f"frame {lost} is lost" in told[0]


def test_damage_up_to_the_end_is_told_as_well(log_path: Path) -> None:
    write(log_path, 10)
    size = log_path.stat().st_size
    with log_path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * (size - size // 2))
    told: list[str] = []
    got = [record.seq for record in read_log(log_path, told.append)[1]]
    assert got == list(range(len(got)))
    assert 0 < len(got) < 9
    assert told[0].endswith("what follows in this file is lost")
    assert len(told) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "ends within its header"),
        (b"TALLY", "ends within its header"),
        (b"ftypmp42 something else", "not an instances log"),
        (b"TALLYCAM\x09", "has log version 9, this Tallycam reads 1 and 2"),
    ],
)
def test_what_is_not_a_log_is_refused(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "x.log"
    path.write_bytes(content)
    with pytest.raises(RecordError, match=says):
        read_log(path)


def test_a_missing_log_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="none.log: cannot be read: No such file"):
        read_log(tmp_path / "none.log")


def test_a_log_of_another_stream_or_run_is_refused(log_path: Path) -> None:
    write(log_path, 1)
    for other, says in [
        ({"stream": "yard"}, "stream 'gate', not 'yard'"),
        ({"run": "r2"}, "run 'r1', not 'r2'"),
    ]:
        with pytest.raises(RecordError, match=says):
            LogWriter(log_path, LogHeader(**{**_fields(HEADER), **other}))
    assert seqs(log_path) == [0]


def test_only_one_writer_at_a_time(log_path: Path) -> None:
    with LogWriter(log_path, HEADER), pytest.raises(OutputError, match="another process is writing"):
        LogWriter(log_path, HEADER)


@pytest.mark.parametrize("wrong", [found(1), found(0, stream="yard")])
def test_frames_come_in_sequence(log_path: Path, wrong: Instances) -> None:
    with LogWriter(log_path, HEADER) as log, pytest.raises(ValueError, match="expected gate/0"):
        log.append(wrong)


def test_a_full_disk_leaves_whole_records(log_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(log_path, 2)
    real = os.write

    def full(fd: int, data: memoryview) -> int:
        if len(data) > 100:
            return real(fd, data[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with LogWriter(log_path, HEADER) as log:
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OutputError, match="gate.log: cannot be written: No space left"):
            log.append(found(2))
        monkeypatch.undo()
        log.append(found(2))
    assert seqs(log_path) == [0, 1, 2]


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        LogWriter(tmp_path / "file" / "gate.log", HEADER)


def test_a_killed_writer_loses_nothing_it_appended(log_path: Path) -> None:
    folders = [str(Path(__file__).parents[2]), str(Path(wire.__file__).parents[2])]
    code = (
        f"import sys; sys.path[:0] = {folders!r}\n"
        "from tests.records.logs import HEADER, found\n"
        "from pipeline.records.log import LogWriter\n"
        f"log = LogWriter({str(log_path)!r}, HEADER)\n"
        "for seq in range(10**9):\n"
        "    log.append(found(seq)); print(seq, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) == 20:
                writer.send_signal(signal.SIGKILL)
                break
        told = [int(line) for line in writer.stdout.read().split()]
    last = max(told, default=20)
    got = seqs(log_path)
    assert got[: last + 1] == list(range(last + 1))
    with LogWriter(log_path, HEADER) as log:
        assert log.next_seq == len(got)


def _fields(header: LogHeader) -> dict[str, object]:
    return {name: getattr(header, name) for name in header.__struct_fields__}


def test_a_log_of_version_1_is_read() -> None:
    header, records = read_log(VERSION_1)
    assert (header.stream, header.classes, header.width, header.height) == (
        "gate",
        ("person", "car"),
        640,
        360,
    )
    found = list(records)
    assert [record.seq for record in found] == list(range(24))
    assert [len(record.scores) for record in found] == [0 if seq == 3 else 1 for seq in range(24)]
    assert found[5].skipped == "static"
    assert [record.appearances is None for record in found[:4]] == [True, False, True, False]
    assert int(found[7].appearances[0, 0]) == 7
    assert found[20].camera is None
    assert found[21].camera == (0, 1.0, 0.0, 2.0, 3.0)
    assert found[4].boxes_px.tolist() == [[180, 100, 210, 180]]


def test_a_log_of_version_1_can_be_gone_on_with(log_path: Path) -> None:
    log_path.parent.mkdir()
    log_path.write_bytes(VERSION_1.read_bytes())
    header, _ = read_log(log_path)
    with LogWriter(log_path, header) as log:
        log.append(msgspec.structs.replace(found(24), pts_s=3.0))
    assert seqs(log_path) == list(range(25))
