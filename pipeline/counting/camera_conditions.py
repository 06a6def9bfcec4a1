"""Rule `camera`: when the camera could not see, so that the counts of that time cannot be trusted."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pipeline.counting.counted_stream import CountedStream
from pipeline.counting.rule import CountingRule
from pipeline.counting.rule_state import RulePart, StateOf
from pipeline.metrics.series import Sample, Series
from pipeline.records.event import CountEvent
from pipeline.records.state import attributes, set_attributes
from pipeline.tracking.observation import FrameTime
from pipeline.transport.totals import Table

AWAY = "away"
"""No pictures came."""
AWAY_S = 5.0
"""Shorter gaps are not told."""
BEGAN, ENDED = "began", "ended"
_STATE = ("_name", "_began", "_last", "_times", "_seconds")


class CameraConditions(CountingRule):
    """Keeps an event for the beginning and one for the end of each time in which a camera could not see.

    The condition of each picture is found where it is decoded, and stands in the log. A gap between two epochs of a
    live stream is a condition, too.
    """

    def __init__(self, stream: CountedStream, name: str, settings: Any) -> None:
        super().__init__(stream, name, settings)
        self._name = ""
        self._began: FrameTime | None = None
        self._last: FrameTime | None = None
        self._times: dict[str, int] = {}
        self._seconds: dict[str, float] = {}

    def frame(self, frame_time: FrameTime, condition: str) -> Iterable[CountEvent]:
        """See `CountingRule.frame`."""
        last, self._last = self._last, frame_time
        if last is None or last.epoch == frame_time.epoch:
            return [] if condition == self._name else self._change(condition, frame_time)
        events: list[CountEvent] = []
        if frame_time.wall_s - last.wall_s > AWAY_S and self.stream.clock(frame_time)[0] == "wall":
            events += self._change(AWAY, last)
        return events if condition == self._name else [*events, *self._change(condition, frame_time)]

    def totals(self) -> Mapping[str, Any]:
        """See `CountingRule.totals`."""
        if not self._times:
            return {}
        return {
            "camera": {
                name: {"times": times, "seconds": round(self._until_now(name), 3)}
                for name, times in sorted(self._times.items())
            }
        }

    def series(self) -> Iterable[Series]:
        """See `CountingRule.series`."""
        samples = tuple(Sample((name,), self._until_now(name)) for name in sorted(self._times))
        text = "Time in which the camera could not see, by what was wrong with its picture."
        return (Series("tallycam_camera_fault_seconds_total", text, "counter", ("condition",), samples),)

    def table(self) -> Iterable[Table]:
        """See `CountingRule.table`."""
        rows = tuple(
            (f"camera {name}", "", f"{times} x, {self._until_now(name):.0f} s")
            for name, times in sorted(self._times.items())
        )
        return (Table(rows),)

    def drawn(self) -> Mapping[str, Any]:
        """See `CountingRule.drawn`."""
        if not self._name or self._began is None:
            return {}
        return {"condition": self._name, "condition_since_s": self._began.wall_s}

    def parts(self) -> Mapping[str, RulePart]:
        """See `CountingRule.parts`."""
        return {
            "": RulePart(
                "",
                StateOf(lambda: attributes(self, _STATE), lambda state: set_attributes(self, _STATE, state)),
            )
        }

    def _change(self, condition: str, frame_time: FrameTime) -> list[CountEvent]:
        """Ends the present condition, and begins another one."""
        events = []
        if self._name and self._began is not None:
            spent_s = max(0.0, frame_time.pts_s - self._began.pts_s)
            self._seconds[self._name] = self._seconds.get(self._name, 0.0) + spent_s
            events.append(self._event(ENDED, frame_time, spent_s))
        self._name, self._began = condition, frame_time
        if condition:
            self._times[condition] = self._times.get(condition, 0) + 1
            events.append(self._event(BEGAN, frame_time, None))
        return events

    def _event(self, direction: str, frame_time: FrameTime, spent_s: float | None) -> CountEvent:
        clock, recorded_s = self.stream.clock(frame_time)
        width, height = self.stream.frame
        return CountEvent(
            stream=self.stream.name,
            kind=self.name,
            name=self._name,
            class_name="",
            direction=direction,
            track=0,
            epoch=frame_time.epoch,
            seq=frame_time.seq,
            index=frame_time.index,
            pts_s=frame_time.pts_s,
            wall_s=frame_time.wall_s,
            score=0.0,
            box_px=(0.0, 0.0, float(width), float(height)),
            dwell_s=spent_s,
            clock=clock,
            recorded_s=recorded_s,
        )

    def _until_now(self, name: str) -> float:
        """Seconds of a condition so far."""
        seconds = self._seconds.get(name, 0.0)
        if name == self._name and self._began is not None and self._last is not None:
            seconds += max(0.0, self._last.pts_s - self._began.pts_s)
        return seconds
