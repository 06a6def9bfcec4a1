"""A log in segments: each can be read alone, ranges read what they need, nothing is written to twice."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest

from pipeline.config.schema import Config, ModelConfig
from pipeline.errors import OutputError
from pipeline.models import replay
from pipeline.records.log import (
    LogHeader,
    LogWriter,
    RecordError,
    is_log,
    log_files,
    logs_in,
    read_log,
    read_range,
    segments,
)
from pipeline.records.log_file import LogFile
from pipeline.records.segmented_log import SegmentedLog, SegmentLimits
from pipeline.runtime.recount import recount
from pipeline.transport import wire
from pipeline.transport.messages import Instances
from pipeline.transport.planes import Planes
from tests.records.logs import HEADER, VERSION_1, found, write

SHORT = SegmentLimits(media_s=1.0)
"""25 frames a segment."""


def no_state() -> None:
    return None


def append(folder: Path, start: int, stop: int, limits: SegmentLimits = SHORT) -> None:
    with SegmentedLog(folder, HEADER, start, limits) as log:
        for seq in range(start, stop):
            log.append(found(seq), lambda: f"state before {log.next_seq}".encode())


def seqs(records: Iterator[Instances]) -> list[int]:
    return [record.seq for record in records]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "log" / "gate"


def test_segments_are_read_as_one_log_and_each_alone(folder: Path) -> None:
    append(folder, 0, 60)
    header, records = read_log(folder)
    assert (header.stream, header.classes, header.run) == ("gate", ("person", "car"), "r1")
    for seq, record in enumerate(records):
        assert wire.encode(record) == wire.encode(found(seq))
    assert seq == 59
    files = log_files(folder)
    assert [path.name for path in files] == ["000000000000.log", "000000000025.log", "000000000050.log"]
    for path, first in zip(files, (0, 25, 50), strict=True):
        header, records = read_log(path)
        assert (header.first_seq, header.pts_s, header.wall_s) == (first, first / 25, 1.7e9 + first / 25)
        assert seqs(records) == list(range(first, min(first + 25, 60)))


def test_a_segment_names_what_precedes_it_and_holds_the_state_before_it(folder: Path) -> None:
    append(folder, 0, 60)
    first, second, third = (LogFile(path) for path in log_files(folder))
    assert first.header.previous is None
    assert (second.header.previous.first_seq, second.header.previous.frames) == (0, 25)
    assert (third.header.previous.first_seq, third.header.previous.frames) == (25, 25)
    assert second.header.previous.crc != third.header.previous.crc
    assert [file.checkpoint for file in (first, second, third)] == [
        b"state before 0",
        b"state before 25",
        b"state before 50",
    ]
    for file in (first, second, third):
        file.close()


def test_a_segment_ends_by_its_size_as_well(folder: Path) -> None:
    append(folder, 0, 10, SegmentLimits(size_bytes=5000))
    assert len(log_files(folder)) == 4
    assert seqs(read_log(folder)[1]) == list(range(10))


def test_a_later_process_begins_a_segment_and_leaves_the_others_as_they_are(folder: Path) -> None:
    append(folder, 0, 30)
    before = {path: path.read_bytes() for path in log_files(folder)}
    append(folder, 30, 33)
    assert all(path.read_bytes() == data for path, data in before.items())
    assert seqs(read_log(folder)[1]) == list(range(33))
    assert segments(folder)[-1].header.previous.first_seq == 25
    assert segments(folder)[-1].header.previous.frames == 5


def test_a_torn_record_at_the_end_of_a_segment_is_written_again_in_the_next(folder: Path) -> None:
    append(folder, 0, 20)
    path = log_files(folder)[0]
    path.write_bytes(path.read_bytes()[:-7])
    append(folder, 19, 22)
    assert seqs(read_log(folder)[1]) == list(range(22))


def test_a_process_that_would_write_what_is_there_is_refused(folder: Path) -> None:
    append(folder, 0, 60)
    with pytest.raises(RecordError, match="000000000050.log: begins after frame 40"):
        SegmentedLog(folder, HEADER, 40)


def test_a_segment_without_a_whole_record_makes_room(folder: Path) -> None:
    append(folder, 0, 26)
    path = log_files(folder)[1]
    path.write_bytes(path.read_bytes()[:-7])
    append(folder, 25, 27)
    assert seqs(read_log(folder)[1]) == list(range(27))
    assert path.with_name(f"{path.name}.damaged").exists()


def test_only_one_process_writes_a_log(folder: Path) -> None:
    with (
        SegmentedLog(folder, HEADER),
        pytest.raises(OutputError, match="another process is writing this log"),
    ):
        SegmentedLog(folder, HEADER)


def test_frames_that_found_no_room_are_missing_and_the_log_goes_on(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with SegmentedLog(folder, HEADER, limits=SHORT) as log:
        for seq in range(10):
            log.append(found(seq), no_state)
        monkeypatch.setattr(os, "write", full)
        for seq in range(10, 40):
            with pytest.raises(OutputError, match="No space left"):
                log.append(found(seq), no_state)
        monkeypatch.undo()
        for seq in range(40, 50):
            log.append(found(seq), no_state)
    assert [path.name for path in log_files(folder)] == ["000000000000.log", "000000000040.log"]
    assert segments(folder)[1].header.previous is None
    told: list[str] = []
    assert seqs(read_log(folder)[1]) == [*range(10), *range(40, 50)]
    assert seqs(read_log(folder, told.append)[1]) == [*range(10), *range(40, 50)]
    assert len(told) == 1
    assert "frame 40 comes after frame 9; those between are not in the log" in told[0]


def test_a_killed_writer_loses_nothing_it_appended(folder: Path) -> None:
    code = (
        "import itertools, sys\n"
        f"sys.path[:0] = {[str(Path(__file__).parents[2]), str(Path(wire.__file__).parents[2])]!r}\n"
        "from pathlib import Path\n"
        "from tests.records.test_segments import *\n"
        f"log = SegmentedLog(Path({str(folder)!r}), HEADER, 0, SegmentLimits(media_s=0.2))\n"
        "for seq in itertools.count():\n"
        "    log.append(found(seq), lambda: b'state'); print(seq, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        for line in writer.stdout:
            if int(line) == 40:
                writer.kill()
                break
        told = [int(line) for line in writer.stdout.read().split()]
    last = max(told, default=40)
    got = seqs(read_log(folder)[1])
    assert got[: last + 1] == list(range(last + 1))
    append(folder, len(got), len(got) + 3)
    assert seqs(read_log(folder)[1]) == list(range(len(got) + 3))


@pytest.mark.parametrize("key", ["seq", "pts_s", "wall_s"])
@pytest.mark.parametrize("single", [True, False])
def test_a_range_is_read_without_the_rest(
    folder: Path, key: str, single: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if single:
        write(folder.with_suffix(".log"), 500)
    else:
        append(folder, 0, 500)
    decoded = []
    real = wire.decode
    monkeypatch.setattr(wire, "decode", lambda data: decoded.append(len(data)) or real(data))
    start, stop = getattr(found(130), key), getattr(found(140), key)
    assert seqs(read_range(folder, start, stop, key)[1]) == list(range(130, 140))
    assert len(decoded) < 25
    assert seqs(read_range(folder, None, getattr(found(3), key), key)[1]) == [0, 1, 2]
    assert seqs(read_range(folder, getattr(found(497), key), None, key)[1]) == [497, 498, 499]
    assert seqs(read_range(folder, getattr(found(600), key), None, key)[1]) == []


def test_a_range_behind_damage_is_found(folder: Path) -> None:
    path = folder.with_suffix(".log")
    write(path, 100)
    data = bytearray(path.read_bytes())
    data[len(data) // 4 : len(data) // 4 + 3000] = b"\xff" * 3000
    path.write_bytes(data)
    told: list[str] = []
    assert seqs(read_range(path, 3.0, 3.2, on_damage=told.append)[1]) == [75, 76, 77, 78, 79]
    assert len(told) == 1


def test_a_log_of_an_earlier_version_comes_before_the_segments(folder: Path) -> None:
    folder.parent.mkdir()
    shutil.copy(VERSION_1, folder.with_suffix(".log"))
    *_, last = read_log(folder.with_suffix(".log"))[1]
    with SegmentedLog(folder, HEADER, last.seq + 1) as log:
        for seq in range(last.seq + 1, 60):
            log.append(msgspec.structs.replace(found(seq), pts_s=last.pts_s + seq), no_state)
    assert seqs(read_log(folder)[1]) == list(range(60))
    assert seqs(read_range(folder, last.seq, 30, "seq")[1]) == list(range(last.seq, 30))


def test_the_name_of_the_single_file_stands_for_the_segments(folder: Path) -> None:
    append(folder, 0, 30)
    assert seqs(read_log(folder.with_suffix(".log"))[1]) == list(range(30))
    assert is_log(folder)
    assert is_log(folder.with_suffix(".log"))


def test_what_is_no_log_is_told(tmp_path: Path) -> None:
    with pytest.raises(RecordError, match="holds no instances log"):
        read_log(tmp_path)
    with pytest.raises(RecordError, match="gate.log: cannot be read: No such file"):
        read_log(tmp_path / "gate.log")
    assert not is_log(tmp_path)


def test_classes_may_change_between_segments(folder: Path) -> None:
    other = msgspec.structs.replace(HEADER, classes=("bus", "person"))
    with SegmentedLog(folder, HEADER) as log:
        log.append(found(0), no_state)
    with SegmentedLog(folder, other, 1) as log:
        log.append(found(1), no_state)
    header, records = read_log(folder)
    assert header.classes == ("person", "car", "bus")
    first, second = records
    assert [header.classes[i] for i in first.class_ids] == [HEADER.classes[i] for i in found(0).class_ids]
    assert [header.classes[i] for i in second.class_ids] == [other.classes[i] for i in found(1).class_ids]


def test_a_damaged_header_costs_its_segment(folder: Path) -> None:
    append(folder, 0, 60)
    path = log_files(folder)[1]
    data = bytearray(path.read_bytes())
    data[30] ^= 1
    path.write_bytes(data)
    with pytest.raises(RecordError, match="000000000025.log"):
        read_log(folder)
    told: list[str] = []
    assert seqs(read_log(folder, told.append)[1]) == [*range(25), *range(50, 60)]
    assert "this segment is left out" in told[0]


def test_a_damaged_checkpoint_costs_no_record(folder: Path) -> None:
    append(folder, 0, 26)
    path = log_files(folder)[1]
    path.write_bytes(path.read_bytes().replace(b"state before", b"state behind"))
    with LogFile(path) as file:
        assert file.checkpoint is None
        assert seqs(file.records()) == [25]


def test_logs_of_two_streams_are_not_read_as_one(folder: Path) -> None:
    append(folder, 0, 3)
    LogWriter(folder / "000000000003.log", LogHeader(stream="yard", classes=(), width=4, height=4)).close()
    with pytest.raises(RecordError, match="holds logs of streams 'yard' and 'gate'"):
        read_log(folder)


def test_what_was_logged_may_be_passed_on_as_it_came(folder: Path) -> None:
    with SegmentedLog(folder, HEADER) as log:
        for seq in range(3):
            log.append(found(seq), no_state, encoded=wire.encode(found(seq)))
    assert [wire.encode(record) for record in read_log(folder)[1]] == [
        wire.encode(found(seq)) for seq in range(3)
    ]


def test_the_disk_is_asked_to_keep_it_now_and_then(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, synced = 0.0, []
    monkeypatch.setattr(LogWriter, "sync_in_background", lambda self: synced.append(self.next_seq) or _Done())
    with SegmentedLog(folder, HEADER, clock=lambda: now_s) as log:
        for seq in range(30):
            now_s = seq * 0.5
            log.append(found(seq), no_state)
    assert synced == [11, 21]


class _Done:
    def is_alive(self) -> bool:
        return False


def test_the_logs_of_a_run_are_found(tmp_path: Path) -> None:
    append(tmp_path / "gate", 0, 3)
    append(tmp_path / "yard", 0, 3)
    write(tmp_path / "back.log", 2)
    write(tmp_path / "yard.log", 2)  # of an earlier version
    (tmp_path / "run.log").write_text("started\n")
    (tmp_path / "gate.heat").write_text("")
    (tmp_path / "empty").mkdir()
    assert logs_in(tmp_path) == [tmp_path / "back.log", tmp_path / "gate", tmp_path / "yard"]
    assert logs_in(tmp_path / "nothing") == []


def test_a_folder_of_segments_is_replayed_and_counted_like_a_file(tmp_path: Path) -> None:
    append(tmp_path / "segments" / "gate", 0, 60)
    write(tmp_path / "gate.log", 0)
    with LogWriter(tmp_path / "gate.log", HEADER) as log:
        for seq in range(60):
            log.append(found(seq))
    config = Config.model_validate({
        "streams": {"gate": {"source": "x", "lines": {"door": {"points": [[0.4, 0.0], [0.4, 1.0]]}}}},
        "model": {"score": 0.1},
    })  # fmt: skip
    views = [recount(path, config)[1] for path in (tmp_path / "gate.log", tmp_path / "segments" / "gate")]
    assert views[0].as_summary("").as_json() == views[1].as_summary("").as_json()
    planes = Planes(np.zeros((360, 640), np.uint8), *np.zeros((2, 180, 320), np.uint8))
    models = [
        replay.load(ModelConfig(name=f"replay:{path}", score=0.0))
        for path in (tmp_path / "gate.log", tmp_path / "segments" / "gate")
    ]
    first, second = (model.segment([planes] * 5) for model in models)
    assert len(first[4].scores) == 2
    for one, other in zip(first, second, strict=True):
        assert np.array_equal(one.boxes_px, other.boxes_px)
