"""What counting says: after each frame, and of a whole stream so far."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.metrics.quantiles import Histogram
from pipeline.records.event import CountEvent
from pipeline.transport.messages import Counts, Tracks


@dataclass(frozen=True, slots=True)
class TrackRow:
    """One confirmed object in one frame, for track files: also of frames before it was confirmed."""

    track: int
    index: int
    class_name: str
    score: float
    box_px: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class FrameResult:
    """What one frame brought: the objects to draw, the events, the rows of a track file."""

    tracks: Tracks
    events: list[CountEvent]
    rows: list[TrackRow]


@dataclass(frozen=True, slots=True)
class Totals:
    """All counts so far.

    Attributes:
        unique: class -> objects.
        uncertain: class -> by how many objects `unique` may be off, as in 34 ± 2; see `doubt.py`.
        doubtful: class -> decisions behind `unique` that might as well have been the other way.
        lines: line -> class -> direction -> crossings; every direction is there, also with 0.
        zones: zone -> class -> `now`, `entries`, `exits`, `dwell_s` and `dwell_p95_s`, the median stay and the one
            that 95 % do not exceed, `peak`, `appeared`, `vanished`; see `zones.py`.
        speeds: line -> class -> `count` of measured crossings, `median_kmh`, `p85_kmh`, `p95_kmh`.
        od: origin -> destination -> class -> objects; lines and zones by name.
        dwell: zone -> class -> stays that are over, seconds.
        speed: line -> class -> speeds, km/h.
    """

    unique: dict[str, int] = field(default_factory=dict)
    uncertainty: dict[str, int] = field(default_factory=dict)
    ambiguous: dict[str, int] = field(default_factory=dict)
    lines: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    zones: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    speeds: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    od: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    dwell: dict[str, dict[str, Histogram]] = field(default_factory=dict)
    speed: dict[str, dict[str, Histogram]] = field(default_factory=dict)

    def counts(self, frames: int, skipped: dict[str, int]) -> Counts:
        """What the supervisor shows and writes of a stream.

        Args:
            frames: frames counted.
            skipped: reason -> frames among them that the model did not see.
        """
        return Counts(
            frames=frames,
            skipped=dict(skipped),
            unique=self.unique,
            uncertainty=self.uncertainty,
            ambiguous=self.ambiguous,
            lines=self.lines,
            zones=self.zones,
            speeds=self.speeds,
            od=self.od,
        )
