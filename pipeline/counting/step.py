"""What counting says: after each frame, and of a whole stream so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.messages import Tracks
from pipeline.records.event import CountEvent


@dataclass(frozen=True, slots=True)
class TrackRow:
    """One confirmed object in one frame, for track files: also of frames before it was confirmed."""

    track: int
    index: int
    class_name: str
    score: float
    box_px: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Step:
    """What one frame brought: the objects to draw, the events, the rows of a track file."""

    tracks: Tracks
    events: list[CountEvent]
    rows: list[TrackRow]


@dataclass(frozen=True, slots=True)
class Totals:
    """All counts so far.

    Attributes:
        unique: class -> objects.
        lines: line -> class -> direction -> crossings; every direction is there, also with 0.
        zones: zone -> class -> `now`, `entries`, `exits`, and `dwell_s`, the median stay.
    """

    unique: dict[str, int] = field(default_factory=dict)
    lines: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    zones: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
