"""Events of a recording carry the time of the recording, or none; never that of its processing."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import pipeline
from pipeline.config.load import load
from pipeline.config.schema import StreamConfig
from pipeline.errors import ConfigError
from pipeline.video.sources.recording_time import RecordingTime, recording_time
from tests.running import scene, summary, tallycam
from tests.video.media import write_image, write_video

CREATED = "2026-03-29T00:59:59.000000Z"
BEGAN = datetime(2026, 3, 29, 0, 59, 59, tzinfo=UTC)
"""One second before the clocks change in Berlin."""


def stamped(source: Path, target: Path, **tags: str) -> Path:
    """The same video with tags in its container."""
    with av.open(str(source)) as old, av.open(str(target), "w") as new:
        new.metadata.update(tags)
        stream = new.add_stream_from_template(old.streams.video[0])
        for packet in old.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                new.mux(packet)
    return target


def events(out: Path) -> list[tuple[Any, float]]:
    with contextlib.closing(sqlite3.connect(out / "events.db")) as database:
        return database.execute("select time, pts_s from events").fetchall()


def hours(out: Path) -> dict[Any, int]:
    with contextlib.closing(sqlite3.connect(out / "events.db")) as database:
        return dict(database.execute("select hour, sum(count) from counts_by_hour group by hour"))


def stream(source: Path, **settings: Any) -> StreamConfig:
    return StreamConfig(source=str(source), **settings)


@pytest.mark.parametrize("by", ["container", "file name", "configuration"])
def test_events_by_hour_are_those_of_the_recording_over_a_change_of_the_clocks(
    tmp_path: Path, by: str
) -> None:
    config = scene(tmp_path, 60)
    clip, start = tmp_path / "clip.mp4", []
    if by == "container":
        stamped(clip, moved := tmp_path / "gate.mp4", creation_time=CREATED)
    elif by == "file name":
        shutil.copy(clip, moved := tmp_path / "gate_20260329-015959.mp4")
    else:
        moved, start = clip, ["--start", "2026-03-29T01:59:59"]
    out = tmp_path / "out"
    zone = ["--set", "time_zone=Europe/Berlin"]
    code, text, err = tallycam("run", config, "--source", moved, *start, *zone, "--out", out)
    assert code == 0, err
    assert f"gate: recorded from 2026-03-29 01:59:59+01:00 on, by its {by}" in text
    found = events(out)
    assert found
    for time, pts_s in found:
        difference_s = datetime.fromisoformat(time).replace(tzinfo=UTC) - (BEGAN + timedelta(seconds=pts_s))
        assert abs(difference_s) < timedelta(milliseconds=1)
    before = sum(pts_s < 1.0 for _, pts_s in found)
    expected = {"2026-03-29 00:00:00": before, "2026-03-29 01:00:00": len(found) - before}
    assert hours(out) == {hour: count for hour, count in expected.items() if count}
    assert summary(out)["recorded"] == {"start": BEGAN.isoformat(), "by": by}
    assert f"recorded from {BEGAN.isoformat()} on, by its {by}" in (out / "log" / "run.log").read_text()


def test_without_anything_that_tells_the_time_is_unknown_rather_than_wrong(tmp_path: Path) -> None:
    code, text, err = tallycam("run", scene(tmp_path, 60), "--out", tmp_path / "out")
    assert code == 0, err
    assert (
        "gate: when it was recorded is not known, so its events have no time; set streams.gate.start" in text
    )
    found = events(tmp_path / "out")
    assert found and {time for time, _ in found} == {None}
    assert summary(tmp_path / "out")["recorded"] == {"start": "unknown", "by": ""}


def test_a_run_of_an_earlier_version_goes_on_although_it_knew_no_start(tmp_path: Path) -> None:
    config, out = scene(tmp_path, 60), tmp_path / "out"
    tallycam("run", config, "--out", out)
    left = json.loads((out / "config.json").read_text())
    del left["streams"]["gate"]["start"]
    (out / "config.json").write_text(json.dumps(left))
    code, text, err = tallycam("run", config, "--out", out)
    assert code == 0
    assert "nothing is left to count" in err + text


def test_frames_from_python_carry_the_time_of_the_recording(tmp_path: Path) -> None:
    config = load(scene(tmp_path, 40, start="2026-03-29T02:00:00+02:00"))
    with pipeline.open(config.streams["gate"].source, config) as frames:
        found = [event for frame in frames for event in frame.events if event.change == "new"]
    assert found
    began_s = datetime(2026, 3, 29, tzinfo=UTC).timestamp()
    assert all(event.time_s == pytest.approx(began_s + event.pts_s) for event in found)


def test_names_go_before_containers_and_clocks_that_were_never_set_do_not_count(tmp_path: Path) -> None:
    plain = write_video(tmp_path / "plain.mp4", 3)
    named = stamped(plain, tmp_path / "20260101_120000.mp4", creation_time=CREATED)
    created = stamped(plain, tmp_path / "a.mkv", creation_time=CREATED)
    unset = stamped(plain, tmp_path / "b.mkv", creation_time="1970-01-01T00:00:00Z")
    assert recording_time(stream(named), UTC) == RecordingTime(
        datetime(2026, 1, 1, 12, tzinfo=UTC), "file name"
    )
    assert recording_time(stream(created), UTC) == RecordingTime(BEGAN, "container")
    assert recording_time(stream(unset), UTC) == RecordingTime()
    assert recording_time(stream(named, start="unknown"), UTC) == RecordingTime()


def test_a_folder_of_images_is_dated_by_its_first_image(tmp_path: Path) -> None:
    for number in (0, 1):
        write_image(tmp_path / f"gate_20260101_12000{number}.png", np.full((32, 32, 3), 255, np.uint8))
    found = recording_time(stream(tmp_path), UTC)
    assert found == RecordingTime(datetime(2026, 1, 1, 12, tzinfo=UTC), "file name")


def test_a_start_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    plain = write_video(tmp_path / "plain.mp4", 3)
    with pytest.raises(ConfigError, match=r"gate\.start: plain\.mp4 does not match the pattern x%Y%m%d%H%M"):
        recording_time(stream(plain, start="x%Y%m%d%H%M"), UTC, "gate")
    for live in (
        stream(plain, realtime=True, start="2026-01-01"),
        StreamConfig(source="rtsp://h/a", start="2026-01-01"),
    ):
        with pytest.raises(ConfigError, match=r"gate\.start: is for recordings, and .* is played live"):
            recording_time(live, UTC, "gate")
    assert recording_time(StreamConfig(source="rtsp://h/a"), UTC) is None
    assert recording_time(stream(plain, loop=True), UTC) is None


def test_start_says_which_stream_it_means(tmp_path: Path) -> None:
    config = tmp_path / "two.yaml"
    config.write_text("streams: {a: {source: a.mp4}, b: {source: b.mp4}}\n")
    code, _, err = tallycam("run", config, "--start", "2026-01-01", "--out", tmp_path / "out")
    assert code == 2
    assert "--start: there are several streams; set streams.NAME.start of each" in err
