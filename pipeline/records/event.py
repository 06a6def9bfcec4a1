"""One count event: what `counting` finds and `records` writes. Light: imports nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["line", "zone", "unique"]


@dataclass(frozen=True, slots=True)
class CountEvent:
    """An object crossed a line, entered or left a zone, or was confirmed as a new unique object.

    Attributes:
        stream: name of the stream.
        kind: `line`, `zone` or `unique`.
        name: name of the line or zone; empty for `unique`.
        class_name: class of the object, e.g. `person`.
        direction: the line's direction name; `entry` or `exit` for a zone; empty for `unique`.
        track: identity of the object within the stream.
        epoch, seq: name the frame for ever, see `messages.FrameRef`.
        index: number of the frame in the source, from 0.
        pts_s: media time in seconds.
        wall_s: Unix time at which the frame was decoded.
        score: of the instance in this frame, 0..1.
        box_px: x0 y0 x1 y1 in pixels of the decoded frame.
        dwell_s: media seconds in the zone, of an exit.
        speed_kmh: on the ground, of a crossing in a stream with a ground calibration.
    """

    stream: str
    kind: Kind
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

    @property
    def key(self) -> str:
        """Names this event within its run, the same however often the frame is counted again.

        No part may hold a `/`: stream, line, zone and direction names are checked by the configuration.
        """
        return f"{self.stream}/{self.epoch}/{self.seq}/{self.kind}/{self.name}/{self.track}/{self.direction}"
