"""A disk that is full while a camera runs: the video stops, counting goes on, and everything is back with the room."""

from __future__ import annotations

import contextlib
import re
import signal
import sqlite3
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import OutputError
from pipeline.sinks.retried import RETRY_S, RetriedSink
from pipeline.sinks.sink import VideoInfo
from pipeline.transport.messages import FrameTracks
from pipeline.video.video_index import read_index, video_folder
from tests.running import Command, frames_of, log_size, run_log, scene, summary, wait_until
from tests.sinks.test_frame_writer import grey, tracks


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", disk], check=False)
    if mounted.returncode:
        pytest.skip("cannot mount a small disk: needs root")
    yield disk
    subprocess.run(["umount", "-l", disk], check=True)


def fill(path: Path) -> None:
    """Takes all the room there is."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 12))


def counted(targets: str) -> float:
    """Frames that `track` has passed on."""
    for port in re.findall(r"127\.0\.0\.1:(\d+)", targets):
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        if found := re.search(r'^tallycam_frames_out_total\{stage="track",.*\} (\S+)$', text, re.MULTILINE):
            return float(found[1])
    return 0.0


@pytest.mark.slow
def test_a_camera_is_counted_on_while_the_disk_is_full(
    tmp_path: Path, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import pipeline.sinks.retried as retried\nretried.RETRY_S = 0.5\n"
        "import pipeline.stages.stream_log as stream_log\nstream_log.RETRY_S = 0.5\n"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{Path(__file__).parents[1]}")
    config, out = scene(tmp_path, 200, realtime=True, loop=True), small_disk / "out"
    with Command("run", config, "--out", out, "--set", "streams.gate.fps=10") as command:
        wait_until(lambda: log_size(out) > 20_000)
        targets = (out / "prometheus-targets.json").read_text()
        fill(small_disk / "filler")
        before = counted(targets)
        wait_until(lambda: counted(targets) > before + 60, what="frames counted on a full disk")
        (small_disk / "filler").unlink()
        wait_until(lambda: "the instances log is written again" in run_log(out), what="the log to be back")
        wait_until(lambda: "video of gate goes on" in run_log(out), what="the video to be back")
        command.popen.send_signal(signal.SIGINT)
        code, _, err = command.finish()
    assert code == 0, err
    assert "restarted" not in err and "Traceback" not in err
    assert "counting goes on without the log" in err and "stops, counting goes on" in err
    result = summary(out)
    with contextlib.closing(sqlite3.connect(out / "events.db")) as database:
        rows = dict(database.execute("select kind, count(*) from events group by kind"))
    assert rows["unique"] == sum(result["unique"].values()) > 0
    folder = video_folder(out, "gate")
    videos = read_index(folder)
    assert sum(frames_of(folder / video.file) for video in videos) > 0
    assert {video.file for video in videos} == {path.name for path in folder.glob("*.mp4*")}


class Disk:
    """A sink whose disk may be full."""

    annotated = False
    silence_every_s = 0.0

    def __init__(self) -> None:
        self.full, self.written, self.lives = False, 0, 0

    def make(self, attempts: int) -> Disk:
        self.lives += 1
        return self

    def begin(self, video: VideoInfo) -> None:
        self.write_frame(None, None)
        self.written -= 1

    def wants(self, tracks: FrameTracks) -> bool:
        return True

    def ready(self) -> bool:
        return True

    def write_frame(self, planes: object, tracks: object) -> None:
        if self.full:
            raise OutputError("gate.mp4: cannot be written: No space left on device")
        self.written += 1

    def close(self) -> None:
        """Nothing is open."""

    def closed(self) -> bool:
        return True

    def failed(self) -> None:
        """Counted elsewhere."""

    def lost(self, number: int) -> None:
        """Counted elsewhere."""


def retried(disk: Disk, live: bool, clock: list[float]) -> RetriedSink:
    sink = RetriedSink("video of gate", disk.make, disk, clock=lambda: clock[0])
    sink.begin(VideoInfo(320, 180, 25.0, (1, 1), live))
    return sink


def test_a_sink_is_tried_again_once_in_a_while_and_says_what_is_missing(
    caplog: pytest.LogCaptureFixture,
) -> None:
    disk, clock = Disk(), [0.0]
    sink = retried(disk, True, clock)
    for second in range(60):
        clock[0] = float(second)
        disk.full = 10 <= second < 30
        if sink.wants(tracks(second)):
            sink.write_frame(grey(), tracks(second))
    assert disk.lives == 3, "tried every ten seconds"
    assert RETRY_S == 10.0
    said = [one.message for one in caplog.records]
    assert said[0].endswith("No space left on device; video of gate stops, counting goes on")
    assert said[1:] == ["video of gate goes on; frames missing in it: 20"]
    assert disk.written == 60 - 20
    sink.close()
    assert sink.closed()


def test_a_sink_is_not_tried_before_there_is_room() -> None:
    disk, clock, room = Disk(), [0.0], [False]
    sink = RetriedSink("video of gate", disk.make, disk, lambda: clock[0], lambda: room[0])
    sink.begin(VideoInfo(320, 180, 25.0, (1, 1), True))
    disk.full = True
    sink.write_frame(grey(), tracks(0))
    disk.full = False
    for second in range(60):
        clock[0], room[0] = float(second), second >= 40
        assert sink.wants(tracks(second)) == (second >= 40)
    assert disk.lives == 2


def test_the_sink_of_a_recording_fails_at_once() -> None:
    disk, clock = Disk(), [0.0]
    sink = retried(disk, False, clock)
    disk.full = True
    with pytest.raises(OutputError, match="No space left"):
        sink.write_frame(grey(), tracks(0))
