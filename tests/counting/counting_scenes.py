"""Small scenes for the counting tests: boxes that move along paths, as a perfect model would see them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.config.schema import LineConfig, StreamConfig, TrackerConfig, ZoneConfig
from pipeline.counting.counter import StreamCounter
from pipeline.counting.frame_result import FrameResult, TrackRow
from pipeline.metrics.series import Series
from pipeline.records.event import CountEvent
from pipeline.transport.messages import Instances

WIDTH, HEIGHT = 640, 360
CLASSES = ("person", "bicycle", "car", "bus")
FPS = 25.0

Xy = tuple[float, float]
UPRIGHT = LineConfig(points=((0.5, 1.0), (0.5, 0.0)), directions=("right", "left"))
"""Walked from bottom to top: the left hand is the left of the screen."""


@dataclass(frozen=True)
class Thing:
    """One instance: foot point, size, class, score."""

    foot: Xy
    size: Xy = (24.0, 60.0)
    class_id: int = 0
    score: float = 0.9

    @property
    def box(self) -> tuple[float, float, float, float]:
        (x, y), (w, h) = self.foot, self.size
        return max(0.0, x - w / 2), max(0.0, y - h), min(float(WIDTH), x + w / 2), min(float(HEIGHT), y)


Frame = Sequence[Thing]


def instances(
    things: Frame, seq: int, pts_s: float, stream: str = "gate", epoch: int = 0, skipped: str = ""
) -> Instances:
    """What a model would say of these things. Things out of the frame are left out."""
    seen = [thing for thing in things if thing.box[0] < thing.box[2] - 2 and thing.box[1] < thing.box[3] - 2]
    return Instances(
        stream=stream,
        epoch=epoch,
        seq=seq,
        index=seq,
        pts_s=pts_s,
        wall_s=1e9 + pts_s,
        width=WIDTH,
        height=HEIGHT,
        skipped=skipped,
        boxes_px=np.array([thing.box for thing in seen], np.float32).reshape(-1, 4),
        scores=np.array([thing.score for thing in seen], np.float32),
        class_ids=np.array([thing.class_id for thing in seen], np.int16),
        masks=np.full((len(seen), 28, 28), 255, np.uint8),
    )


def counter(
    lines: Mapping[str, LineConfig] | None = None,
    zones: Mapping[str, ZoneConfig] | None = None,
    classes: tuple[str, ...] | None = None,
    tracker: TrackerConfig | None = None,
) -> StreamCounter:
    stream = StreamConfig(source="scene", lines=dict(lines or {}), zones=dict(zones or {}), classes=classes)
    return StreamCounter("gate", stream, tracker or TrackerConfig(), CLASSES)


@dataclass(frozen=True)
class Outcome:
    steps: list[FrameResult]
    events: list[CountEvent]
    """Of lines, zones and rules of one's own."""
    unique_events: list[CountEvent]
    """Of kind `unique`, with corrections and withdrawals."""
    totals: dict[str, Any]
    """As in `summary.json`."""
    series: dict[str, Series]
    final_ids: dict[int, int]
    rows: list[TrackRow]

    def samples(self, name: str) -> dict[tuple[str, ...], Any]:
        """Label values -> value of each sample of a metric."""
        return {one.labels: one.value for one in self.series[name].samples}

    def crossings(self, line: str = "line") -> list[str]:
        """Directions in which the line was crossed, in order."""
        return [event.direction for event in self.events if event.kind == "line" and event.name == line]


def play(subject: StreamCounter, frames: Iterable[Frame], fps: float = FPS) -> Outcome:
    """Feeds frames at a constant rate, then ends the stream."""
    return play_at(subject, ((number / fps, frame) for number, frame in enumerate(frames)))


def play_at(subject: StreamCounter, frames: Iterable[tuple[float, Frame]]) -> Outcome:
    """Feeds frames at the given media seconds, then ends the stream."""
    steps = [subject.update(instances(frame, seq, pts_s)) for seq, (pts_s, frame) in enumerate(frames)]
    events = [event for step in steps for event in step.events] + subject.finish()
    rows = [row for step in steps for row in step.rows] + subject.last_rows()
    totals = subject.totals()
    series = {one.name: one for one in totals.series}
    unique = [event for event in events if event.kind == "unique"]
    events = [event for event in events if event.kind != "unique"]
    return Outcome(steps, events, unique, totals.summary, series, subject.final_ids(), rows)


def along(points: Sequence[Xy], seconds: Sequence[float], fps: float = FPS) -> list[Xy]:
    """Positions on a chain of points; `seconds[i]` is the time from point i to point i + 1."""
    times = np.concatenate([[0.0], np.cumsum(seconds)])
    now = np.arange(0.0, times[-1] + 1e-9, 1 / fps)
    xs, ys = (np.interp(now, times, [point[axis] for point in points]) for axis in (0, 1))
    return list(zip(xs.tolist(), ys.tolist(), strict=True))


def walk(
    points: Sequence[Xy], seconds: Sequence[float], fps: float = FPS, make: Callable[[Xy], Thing] = Thing
) -> list[list[Thing]]:
    """Frames of one object walking along points."""
    return [[make(foot)] for foot in along(points, seconds, fps)]
