"""The video only around what is counted."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from pipeline.config.schema import Config, VideoConfig
from pipeline.metrics.stage_metrics import StageMetrics
from pipeline.sinks.event_clips import EventClips
from pipeline.sinks.sink import SinkContext
from pipeline.sinks.sink_table import frame_sinks
from pipeline.transport.messages import FrameTracks
from pipeline.video.video_index import read_index, video_folder
from tests.running import frames_of
from tests.sinks.test_video_files import HOUR_S, VIDEO, frame, picture, written

FPS = 5


def clips(out: Path, before_s: float = 2, after_s: float = 3, **settings: object) -> EventClips:
    context = SinkContext("video", "gate", 0, 0, out, "run", ("person",))
    around = {"before_s": before_s, "after_s": after_s}
    made = EventClips(
        VideoConfig.model_validate({"preset": "ultrafast", "around_events": around} | settings), context
    )
    made.begin(VIDEO)
    return made


def day(events_s: Iterable[float], seconds: int = 60) -> list[FrameTracks]:
    """Frames of a camera that counts one object at each of some times."""
    frames = []
    for seq in range(seconds * FPS):
        at_s = seq / FPS
        counted = {"person": sum(event <= at_s for event in events_s)}
        frames.append(msgspec.structs.replace(frame(seq, HOUR_S + at_s, pts_s=at_s), unique=counted))
    return frames


def spans(out: Path) -> list[tuple[float, float]]:
    return [(one.first_pts_s, one.last_pts_s) for one in read_index(video_folder(out, "gate"))]


def test_a_clip_shows_the_seconds_before_and_after_an_event(tmp_path: Path) -> None:
    subject = clips(tmp_path)
    written(subject, day([20.0, 45.0]))
    subject.close()
    first, second = spans(tmp_path)
    assert first[0] <= 18.0 and first[1] >= 22.8
    assert second[0] <= 43.0 and second[1] >= 47.8
    assert first[1] - first[0] < 10 and second[1] - second[0] < 10, "and not much more"


def test_nothing_else_is_on_the_disk(tmp_path: Path) -> None:
    subject = clips(tmp_path)
    folder = video_folder(tmp_path, "gate")
    for number, one in enumerate(day([20.0])):
        written(subject, [one])
        if number > 30 * FPS:
            assert len(list(folder.glob("*.mp4*"))) <= 5
    subject.close()
    files = [entry.file for entry in read_index(folder)]
    assert [path.name for path in folder.glob("*.mp4*")] == files
    assert frames_of(folder / files[0]) == read_index(folder)[0].frames


def test_events_that_follow_each_other_are_one_clip(tmp_path: Path) -> None:
    subject = clips(tmp_path)
    written(subject, day([20.0, 23.0, 27.0]))
    subject.close()
    (only,) = spans(tmp_path)
    assert only[0] <= 18.0 and only[1] >= 29.8


def test_an_event_at_the_end_is_kept(tmp_path: Path) -> None:
    subject = clips(tmp_path)
    written(subject, day([59.0]))
    subject.close()
    (only,) = spans(tmp_path)
    assert only[0] <= 57.0 and only[1] == pytest.approx(59.8)


def test_a_clip_without_end_is_cut_after_file_s(tmp_path: Path) -> None:
    subject = clips(tmp_path, file_s=10)
    written(subject, day(range(5, 60)))
    subject.close()
    found = spans(tmp_path)
    assert len(found) >= 5
    assert all(last - first < 13 for first, last in found)
    assert all(after[0] - before[1] == pytest.approx(1 / FPS) for before, after in pairwise(found))


def test_no_event_no_video(tmp_path: Path) -> None:
    subject = clips(tmp_path)
    written(subject, day([]))
    subject.close()
    assert not list(video_folder(tmp_path, "gate").glob("*.mp4*"))


def test_the_configuration_asks_for_clips(tmp_path: Path) -> None:
    config = Config.model_validate(
        {
            "streams": {"gate": {"source": "rtsp://camera/1"}},
            "output": {"video": {"around_events": {}, "preset": "ultrafast"}},
        }
    )
    context = SinkContext("", "gate", 0, 0, tmp_path, "run", ("person",))
    sinks = frame_sinks(config, context, StageMetrics("sink").sink)
    for sink in sinks:
        sink.begin(VIDEO)
        for one in day([3.0], 10):
            if sink.wants(one):
                sink.write_frame(picture(), one)
        sink.close()
    while not all(sink.closed() for sink in sinks):
        pass
    assert len(spans(tmp_path)) == 1
