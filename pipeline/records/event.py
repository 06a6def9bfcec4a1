"""One count event: what a counting rule finds and the events database stores. Cheap to import."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, Self

from pipeline.records.state import checkpointed

Clock = Literal["wall", "recording", "unknown"]
"""Of a live source the time at which a frame is decoded is that of what it shows; of a recording it is not."""

Change = Literal["new", "corrected", "withdrawn", "internal"]
"""What an event does to the database:

- `new`: adds a row, unless there is one with the same key;
- `corrected`: adds a row, or replaces the one with the same key: the object turned out to be of another class;
- `withdrawn`: removes the row with the same key, if any: the object turned out to be one that was counted before;
- `internal`: nothing, it is meant for other counting rules.

Each of them may be applied any number of times. Replaying a sequence of events from any earlier point on gives the
same rows in the end, which is what makes at-least-once delivery safe.
"""


@checkpointed
@dataclass(frozen=True, slots=True)
class CountEvent:
    """An object crossed a line, entered or left a zone, was confirmed as a new unique object, or whatever else a
    counting rule reports.

    Attributes:
        stream: name of the stream.
        kind: `line`, `zone`, `unique`, or the name of a counting rule that is not built in.
        name: name of the line or zone; empty for `unique`.
        class_name: class of the object, e.g. `person`.
        direction: the line's name for the direction; `entry` or `exit` for a zone; empty for `unique`.
        track: id of the object within the stream.
        epoch, seq: identify the frame, see `messages.FrameRef`.
        index: number of the frame in the source, from 0.
        pts_s: media time in seconds.
        wall_s: Unix time at which the frame was decoded.
        score: of the instance in this frame, 0..1.
        box_px: x0 y0 x1 y1 in pixels of the decoded frame.
        dwell_s: media seconds spent in the zone, for an exit.
        speed_kmh: speed on the ground, for a line crossing in a stream with a ground calibration.
        change: what the event does to the database.
        clock: what `time_s` is taken from.
        recorded_s: of the clock `recording`: Unix time of what the frame shows.
    """

    stream: str
    kind: str
    name: str
    class_name: str
    direction: str
    track: int
    epoch: int
    seq: int
    index: int
    pts_s: float
    wall_s: float
    score: float
    box_px: tuple[float, float, float, float]
    dwell_s: float | None = None
    speed_kmh: float | None = None
    change: Change = "new"
    clock: Clock = "wall"
    recorded_s: float | None = None

    @property
    def time_s(self) -> float | None:
        """Unix time at which it happened; None for a recording whose start is unknown."""
        return self.wall_s if self.clock == "wall" else self.recorded_s

    @property
    def key(self) -> str:
        """Identifies the event within its run. Counting the same frames again gives the same key.

        No part may hold a `/`: the configuration checks the names of streams, lines, zones, rules and directions.
        """
        return f"{self.stream}/{self.epoch}/{self.seq}/{self.kind}/{self.name}/{self.track}/{self.direction}"

    def corrected(self, class_name: str) -> Self:
        """The same event for an object whose class turned out to be another one.

        Args:
            class_name: the new class.
        """
        return replace(self, class_name=class_name, change="corrected")

    def withdrawn(self) -> Self:
        """The event that removes this one from the database."""
        return replace(self, change="withdrawn")
