"""When a camera could not see: events for reports, which a log that is counted again gives again."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from pipeline.config.schema import StreamConfig, TrackerConfig
from pipeline.counting.counter import StreamCounter
from pipeline.records.checkpoint import Position, encode_checkpoint, read_checkpoint
from pipeline.records.event import CountEvent
from pipeline.transport.messages import Instances
from tests.counting.counting_scenes import CLASSES, FPS, instances


def counter(**changes: Any) -> StreamCounter:
    return StreamCounter(
        "gate", StreamConfig.model_validate({"source": "rtsp://camera/a"} | changes), TrackerConfig(), CLASSES
    )


def frame(
    seq: int, condition: str = "", *, epoch: int = 0, gap_s: float = 0.0, skipped: str = ""
) -> Instances:
    """An empty frame; all from the same one on come `gap_s` later."""
    return msgspec.structs.replace(
        instances([], seq, seq / FPS + gap_s),
        wall_s=1.8e9 + seq / FPS + gap_s, condition=condition, epoch=epoch, skipped=skipped,
    )  # fmt: skip


def told(events: list[CountEvent]) -> list[tuple[str, str, int, float | None]]:
    assert all(event.kind == "camera" for event in events)
    return [
        (event.name, event.direction, event.seq, None if event.dwell_s is None else round(event.dwell_s, 2))
        for event in events
    ]


def test_a_condition_has_an_event_at_its_beginning_and_one_at_its_end() -> None:
    subject, events = counter(), []
    for seq in range(100):
        result = subject.update(frame(seq, "frozen" if 25 <= seq < 75 else ""))
        events += result.events
        assert result.tracks.condition == ("frozen" if 25 <= seq < 75 else "")
        assert not result.tracks.condition or result.tracks.condition_since_s == 1.8e9 + 25 / FPS
    assert told(events) == [("frozen", "began", 25, None), ("frozen", "ended", 75, 2.0)]
    assert subject.summary()["camera"] == {"frozen": {"times": 1, "seconds": 2.0}}


def test_one_condition_may_follow_another_also_in_frames_that_the_model_has_not_seen() -> None:
    subject, events = counter(), []
    for seq, (condition, skipped) in enumerate(
        [("", ""), ("frozen", "quarantined"), ("black", ""), ("", "")]
    ):
        events += subject.update(frame(seq, condition, skipped=skipped)).events
    assert [one[:3] for one in told(events)] == [
        ("frozen", "began", 1), ("frozen", "ended", 2), ("black", "began", 2), ("black", "ended", 3),
    ]  # fmt: skip
    assert len({event.key for event in events}) == 4


def test_a_time_without_pictures_is_told_when_they_come_again() -> None:
    subject, events = counter(), []
    for seq in range(20):
        events += subject.update(frame(seq, epoch=seq // 10, gap_s=60.0 * (seq // 10))).events
    assert told(events) == [("away", "began", 9, None), ("away", "ended", 10, 60.04)]
    assert events[0].time_s == 1.8e9 + 9 / FPS


@pytest.mark.parametrize(("gap_s", "changes"), [(2.0, {}), (60.0, {"source": "a.mp4", "start": "unknown"})])
def test_short_gaps_and_those_of_recordings_are_no_absence(gap_s: float, changes: dict[str, Any]) -> None:
    subject = counter(**changes)
    for seq in range(20):
        assert not subject.update(frame(seq, epoch=seq // 10, gap_s=gap_s * (seq // 10))).events
    assert "camera" not in subject.summary()


def test_a_process_that_goes_on_tells_nothing_twice() -> None:
    conditions = [""] * 5 + ["covered"] * 10 + [""] * 5
    whole, events = counter(), []
    for seq, condition in enumerate(conditions):
        events += whole.update(frame(seq, condition)).events
    for stop in range(1, len(conditions)):
        first, found = counter(), []
        for seq in range(stop):
            found += first.update(frame(seq, conditions[seq])).events
        position = Position(seq=stop - 1, index=stop - 1, epoch=0, pts_s=0.0, wall_s=0.0)
        data = encode_checkpoint("gate", "r1", position, first.sections())
        second = counter()
        second.restore(read_checkpoint(data, "gate", second.section_keys()).states)
        for seq in range(stop, len(conditions)):
            found += second.update(frame(seq, conditions[seq])).events
        assert found == events
        assert second.summary() == whole.summary()
