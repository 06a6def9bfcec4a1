"""What a run deletes of its results while it goes on, and what it says about the disk."""

from __future__ import annotations

import logging
import math
import os
import threading
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from pipeline.config.schema import Config
from pipeline.metrics.disk_metrics import DiskMetrics
from pipeline.records.deletion import DAY_S, Disk
from pipeline.runtime.housekeeping import Housekeeping, limits_of

NOW_S = 1.8e9
GB = 10**9


class House:
    """The folder of a run with a camera `gate` and a recording `film`, on a disk of 100 GB."""

    def __init__(self, out: Path, monkeypatch: pytest.MonkeyPatch, **retention: float | None) -> None:
        self.out, self.free = out, 90 * GB
        film = out / "film.avi"
        film.touch()
        config = Config.model_validate({
            "streams": {"gate": {"source": "rtsp://camera/1"}, "film": {"source": str(film)}},
            "retention": retention,
        })  # fmt: skip
        self.registry = CollectorRegistry()
        self.housekeeping = Housekeeping(config, out, DiskMetrics(self.registry))
        monkeypatch.setattr(Disk, "of", classmethod(lambda cls, path: cls(100 * GB, self.free)))

    def put(self, name: str, age_days: float) -> None:
        path = self.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 5000)
        os.utime(path, (NOW_S - age_days * DAY_S,) * 2)

    def fill(self, age_days: float) -> None:
        for stream in ("gate", "film"):
            for number in range(4):
                self.put(f"log/{stream}/{number:012d}.log", age_days - number / 100)
            for name in (
                f"{stream}.001.mp4",
                f"{stream}.mp4",
                f"{stream}.mp4.part",
                f"video/{stream}/{stream}-20260329T020000Z.mp4",
                f"video/{stream}/{stream}-20260329T030000Z.mp4.part",
                f"video/{stream}/index.csv",
                f"log/quarantine/{stream}-000000017.png",
                f"cutouts/{stream}/000012-person.png",
            ):
                self.put(name, age_days)
        for name in (
            "events.db",
            "summary.json",
            "events.spool/0/00000001.events",
            "log/run.log",
            "mine.001.mp4",
        ):
            self.put(name, age_days)

    def tidied(self, minute: int = 0) -> set[str]:
        """The files that a pass deletes."""
        before = self.files()
        self.housekeeping.tidy(NOW_S, 60.0 * minute)
        return before - self.files()

    def files(self) -> set[str]:
        return {str(path.relative_to(self.out)) for path in self.out.rglob("*") if path.is_file()}

    def metric(self, name: str) -> float | None:
        return self.registry.get_sample_value(f"tallycam_{name}")


DUE = {
    "log/gate/000000000000.log",
    "log/gate/000000000001.log",
    "gate.001.mp4",
    "video/gate/gate-20260329T020000Z.mp4",
    "log/quarantine/gate-000000017.png",
    "cutouts/gate/000012-person.png",
}


def test_what_is_older_than_a_week_goes_and_counts_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path, monkeypatch)
    house.fill(age_days=8)
    assert house.tidied() == DUE
    assert house.tidied() == set()
    assert (house.metric("retention_deleted_bytes_total") or 0) >= 4 * 5000


def test_what_is_younger_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(tmp_path, monkeypatch, days=7)
    house.fill(age_days=6)
    assert house.tidied() == set()


def test_a_full_disk_costs_the_oldest_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(tmp_path, monkeypatch, disk_percent=80)
    house.fill(age_days=1)
    house.free = 20 * GB
    assert house.tidied() == set()
    house.free -= 1
    first = "cutouts/gate/000012-person.png"  # all have one age
    assert house.tidied() == {first}
    house.free = 10 * GB
    assert house.tidied() == DUE - {first}


def test_everything_is_kept_for_ever_if_that_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = House(tmp_path, monkeypatch, days=None, disk_percent=None)
    house.fill(age_days=5000)
    house.free = 1
    assert house.tidied() == set()


def test_a_video_of_a_stream_is_no_part_of_another_ones(tmp_path: Path) -> None:
    config = Config.model_validate({
        "streams": {"gate": {"source": "rtsp://a/1"}, "gate.001": {"source": "rtsp://b/1"}},
    })  # fmt: skip
    housekeeping = Housekeeping(config, tmp_path, DiskMetrics(CollectorRegistry()))
    (tmp_path / "gate.001.mp4").touch()
    os.utime(tmp_path / "gate.001.mp4", (0, 0))
    housekeeping.tidy(NOW_S, 0.0)
    assert (tmp_path / "gate.001.mp4").exists()


def test_free_space_and_its_end_are_metrics_and_told_once_an_hour(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path, monkeypatch)
    house.tidied(0)
    assert (house.metric("disk_free_bytes"), house.metric("disk_full_in_seconds")) == (90 * GB, math.inf)
    for minute in range(1, 11):
        house.free = (90 - minute) * GB
        house.tidied(minute)
    assert house.metric("disk_full_in_seconds") == pytest.approx(80 * 60)
    assert [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING] == [
        f"{tmp_path}: the disk is full in 1.4 hours at the present rate, 85.0 GB are free"
    ]


def test_a_disk_that_others_fill_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path, monkeypatch)
    house.free = 5 * GB
    for minute in (0, 1, 59, 61):
        house.tidied(minute)
    assert len(caplog.records) == 2
    assert caplog.records[0].getMessage() == (
        f"{tmp_path}: the disk is 95 % full, more than 80 % (retention.disk_percent); "
        "all that may be deleted is deleted, make room"
    )


def test_a_folder_that_is_gone_is_told_and_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    house = House(tmp_path, monkeypatch)
    monkeypatch.undo()
    (tmp_path / "film.avi").unlink()
    tmp_path.rmdir()
    house.tidied()
    assert caplog.records[0].getMessage() == f"{tmp_path}: cannot be tidied up: No such file or directory"


def test_the_thread_ends_with_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    house = House(tmp_path, monkeypatch)
    house.fill(age_days=8)
    before = house.files()
    with house.housekeeping.going_on():
        (thread,) = (one for one in threading.enumerate() if one.name == "housekeeping")
    assert not thread.is_alive()
    assert house.metric("disk_free_bytes") == 90 * GB
    assert house.files() == before, "nothing is deleted before the run has gone on for a minute"


def test_limits_follow_the_configuration() -> None:
    config = Config.model_validate({
        "streams": {"gate": {"source": "x"}}, "retention": {"days": 2, "disk_percent": 50},
    })  # fmt: skip
    limits = limits_of(config)
    assert (set(limits.age_s.values()), limits.disk_share) == ({2 * DAY_S}, 0.5)
