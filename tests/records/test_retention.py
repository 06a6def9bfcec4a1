"""What is deleted, what never is, and when the disk will be full."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.records.deletion import (
    DAY_S,
    Disk,
    FreeSpaceForecast,
    Kind,
    RetentionLimits,
    StoredFile,
    delete,
    files_in,
    log_segments,
    plan,
)
from pipeline.records.log import log_files, read_log
from pipeline.records.segmented_log import SegmentedLog, SegmentLimits
from tests.records.logs import HEADER, found

NOW_S = 1.8e9
ROOMY = Disk(1000, 900)


def stored(age_s: float, size: int = 10, kind: Kind = "log", in_use: bool = False) -> StoredFile:
    return StoredFile(Path(f"{kind}-{age_s}"), kind, size, NOW_S - age_s, in_use)


def test_what_is_older_than_its_limit_goes() -> None:
    files = [stored(day * DAY_S, kind=kind) for day in range(10) for kind in ("log", "video")]
    limits = RetentionLimits(age_s={"log": 7.5 * DAY_S, "video": 2.5 * DAY_S})
    doomed = plan(files, ROOMY, limits, NOW_S)
    assert {one.path.name for one in doomed if one.kind == "log"} == {f"log-{day * DAY_S}" for day in (8, 9)}
    assert len([one for one in doomed if one.kind == "video"]) == 7
    assert [one.modified_s for one in doomed] == sorted(one.modified_s for one in doomed)


def test_the_default_is_a_week() -> None:
    files = [stored(day * DAY_S, kind=kind) for day in (6.9, 7.1) for kind in ("log", "video", "picture")]
    assert {one.path.name for one in plan(files, ROOMY, RetentionLimits(), NOW_S)} == {
        f"{kind}-{7.1 * DAY_S}" for kind in ("log", "video", "picture")
    }


def test_above_the_share_of_the_disk_the_oldest_go_until_it_is_met() -> None:
    files = [stored(hour * 3600, size=50) for hour in range(2, 12)]
    doomed = plan(files, Disk(1000, 80), RetentionLimits(), NOW_S)
    assert [one.path.name for one in doomed] == [f"log-{hour * 3600}" for hour in (11, 10, 9)]
    assert plan(files, Disk(1000, 200), RetentionLimits(), NOW_S) == []


def test_above_their_own_size_the_oldest_go() -> None:
    files = [stored(hour * 3600, size=50) for hour in range(2, 12)]
    doomed = plan(files, ROOMY, RetentionLimits(size_bytes=410), NOW_S)
    assert [one.path.name for one in doomed] == [f"log-{hour * 3600}" for hour in (11, 10)]


def test_a_disk_that_something_else_fills_does_not_cost_the_last_hour() -> None:
    files = [stored(minute * 60) for minute in range(0, 120, 10)]
    doomed = plan(files, Disk(1_000_000, 0), RetentionLimits(), NOW_S)
    assert [NOW_S - one.modified_s for one in doomed] == [6600, 6000, 5400, 4800, 4200]


def test_what_is_in_use_stays() -> None:
    files = [stored(30 * DAY_S, in_use=True), stored(29 * DAY_S)]
    assert plan(files, Disk(100, 0), RetentionLimits(), NOW_S) == files[1:]


def test_files_from_the_future_stay() -> None:
    assert plan([stored(-50 * DAY_S)], Disk(100, 0), RetentionLimits(), NOW_S) == []


@given(
    st.lists(st.tuples(st.floats(-1e6, 2e6), st.integers(0, 1000), st.booleans()), max_size=30),
    st.integers(0, 10_000),
)
def test_a_plan_frees_enough_or_all_it_may(files: list[tuple[float, int, bool]], free: int) -> None:
    all_files = [stored(age_s, size, in_use=in_use) for age_s, size, in_use in files]
    limits = RetentionLimits(disk_share=0.8)
    disk = Disk(10_000, free)
    doomed = plan(all_files, disk, limits, NOW_S)
    assert not any(one.in_use for one in doomed)
    used = 10_000 - free - sum(one.size_bytes for one in doomed)
    left = [one for one in all_files if one not in doomed and not one.in_use]
    assert used <= 8000 or all(NOW_S - one.modified_s <= limits.least_s for one in left)
    assert all(NOW_S - one.modified_s <= 7 * DAY_S for one in left)
    assert plan(left, Disk(10_000, 10_000 - max(0, used)), limits, NOW_S) == []


def test_segments_of_a_log_are_deleted_but_not_what_a_restart_needs(tmp_path: Path) -> None:
    folder = tmp_path / "log" / "gate"
    with SegmentedLog(folder, HEADER, limits=SegmentLimits(media_s=1.0)) as log:
        for seq in range(100):
            log.append(found(seq), lambda: None)
        for path in log_files(folder):
            os.utime(path, (NOW_S - 30 * DAY_S, NOW_S - 30 * DAY_S))
        freed, failures = delete(plan(log_segments(folder), Disk.of(tmp_path), RetentionLimits(), NOW_S))
        assert freed > 0
        assert not failures
        log.append(found(100), lambda: None)
    assert [path.name for path in log_files(folder)] == [
        "000000000050.log",
        "000000000075.log",
        "000000000100.log",
    ]
    assert [record.seq for record in read_log(folder)[1]] == list(range(50, 101))


def test_videos_are_found_by_their_names(tmp_path: Path) -> None:
    for name in ("gate.1.mp4", "gate.2.mp4", "gate.3.mp4.part", "events.db"):
        (tmp_path / name).write_bytes(b"x" * 5000)
    files = files_in(tmp_path, "video", ["gate.*.mp4"], in_use={tmp_path / "gate.2.mp4"})
    assert [(one.path.name, one.in_use) for one in files] == [("gate.1.mp4", False), ("gate.2.mp4", True)]
    assert files[0].size_bytes >= 4096
    assert files_in(tmp_path / "none", "video", ["*"]) == []


def test_what_cannot_be_deleted_is_told_and_the_rest_goes(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("x")
    files = [StoredFile(tmp_path / name, "log", 10, 0.0) for name in ("folder", "gone", "file")]
    freed, failures = delete(files)
    assert freed == 10
    assert len(failures) == 1
    assert "folder: cannot be deleted: " in failures[0]
    assert not (tmp_path / "file").exists()


def test_the_disk_is_measured(tmp_path: Path) -> None:
    disk = Disk.of(tmp_path)
    assert 0 < disk.free_bytes <= disk.total_bytes
    assert 0 <= disk.used_share < 1
    assert Disk(1000, 200).used_share == pytest.approx(0.8)


def test_a_disk_that_fills_evenly_is_full_when_it_is_foretold() -> None:
    forecast = FreeSpaceForecast(window_s=600, step_s=60)
    assert forecast.seconds_left() == math.inf
    for second in range(0, 3600, 10):
        forecast.add(second, 1_000_000 - 100 * second)
    assert forecast.seconds_left() == pytest.approx(1_000_000 / 100 - 3540, rel=1e-6)


def test_a_minute_foretells_no_hours_but_a_disk_that_is_nearly_full() -> None:
    forecast = FreeSpaceForecast()
    for minute in range(3):
        forecast.add(60 * minute, 60_000 - 1000 * minute)
    assert forecast.seconds_left() == math.inf  # an hour, as it seems
    forecast.add(180, 57_000)
    assert forecast.seconds_left() == pytest.approx(57 * 60)
    soon = FreeSpaceForecast()
    soon.add(0, 10_000)
    soon.add(60, 9_000)
    assert soon.seconds_left() == pytest.approx(9 * 60)


def test_a_disk_that_does_not_fill_is_never_full() -> None:
    forecast = FreeSpaceForecast(window_s=600, step_s=60)
    for minute in range(30):
        forecast.add(60 * minute, 1000 + (minute % 3 == 0))
    forecast.add(1800, 1001)
    assert forecast.seconds_left() == math.inf
