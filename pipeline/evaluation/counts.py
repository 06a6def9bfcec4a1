"""Counts of a run held against the truth, event by event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.evaluation.count_truth import ENTRY, Event, TrueCounts
from pipeline.evaluation.matching import match
from pipeline.evaluation.report import f1, percent
from pipeline.evaluation.run_events import read_events, read_stream_summary

TOLERANCE_S = 1.0
"""Media seconds between a true event and the one that matches it; an event is counted a moment after the line."""


@dataclass(frozen=True, slots=True)
class Matched:
    """Events of a run beside true ones.

    Attributes:
        pairs: (place in `true`, place in `counted`) of the same kind, name, class and direction.
    """

    true: tuple[Event, ...]
    counted: tuple[Event, ...]
    pairs: tuple[tuple[int, int], ...]

    @property
    def hits(self) -> int:
        return len(self.pairs)

    @property
    def f1(self) -> float:
        """Percent."""
        return f1(self.hits, len(self.counted), len(self.true))

    @property
    def precision(self) -> float:
        """Percent."""
        return percent(self.hits, len(self.counted))

    @property
    def recall(self) -> float:
        """Percent."""
        return percent(self.hits, len(self.true))

    def only(self, wanted: Callable[[Event], bool]) -> Matched:
        """The part whose events are wanted; members of a pair are so alike that both are, or neither."""
        true = [place for place, event in enumerate(self.true) if wanted(event)]
        counted = [place for place, event in enumerate(self.counted) if wanted(event)]
        new_true, new_counted = (
            {place: new for new, place in enumerate(places)} for places in (true, counted)
        )
        pairs = tuple(
            (new_true[a], new_counted[b]) for a, b in self.pairs if a in new_true and b in new_counted
        )
        return Matched(tuple(self.true[a] for a in true), tuple(self.counted[b] for b in counted), pairs)


@dataclass(frozen=True, slots=True)
class CountScores:
    """One stream.

    Attributes:
        lines, zones: events of lines and of zones.
        unique: class -> (counted, true); None where the truth does not tell.
        end_s: length of the stream in media seconds.
        left_out: events of lines and zones that the truth does not know.
    """

    stream: str
    lines: Matched
    zones: Matched
    unique: dict[str, tuple[int, int]] | None
    end_s: float
    tolerance_s: float
    left_out: tuple[str, ...]

    @property
    def unique_error(self) -> float:
        """Percent: sum over classes of |counted - true| of the true number."""
        pairs = (self.unique or {}).values()
        return percent(sum(abs(counted - true) for counted, true in pairs), sum(true for _, true in pairs))


def score_counts(
    truth: TrueCounts,
    folder: Path,
    stream: str | None = None,
    *,
    tolerance_s: float = TOLERANCE_S,
    events_url: str | None = None,
) -> CountScores:
    """Scores the events and the unique counts of the run in `folder`.

    Raises:
        EvaluationError: the folder holds no finished run, or the stream is not one of its.
        OutputError: its events cannot be read.
    """
    name, summary = read_stream_summary(folder, stream)
    rows = [row for row in read_events(folder, events_url) if row["stream"] == name]
    counted = [_event(row, truth.fps) for row in rows if row["kind"] in ("line", "zone")]
    known = [event for event in counted if _known(event, truth)]
    strangers = {event.name for event in counted if event.name not in truth.lines | truth.zones}
    unique = None
    if truth.unique is not None:
        found = summary.get("unique", {})
        unique = {
            cls: (int(found.get(cls, 0)), truth.unique.get(cls, 0)) for cls in sorted({*found, *truth.unique})
        }
    last_s = max((event.time_s for event in (*known, *truth.events)), default=0.0)
    end_s = max(truth.end_s or float(summary.get("media_s") or 0.0), last_s)
    return CountScores(
        stream=name,
        lines=matched(truth.events, known, "line", tolerance_s),
        zones=matched(truth.events, known, "zone", tolerance_s),
        unique=unique,
        end_s=end_s,
        tolerance_s=tolerance_s,
        left_out=tuple(sorted(strangers)),
    )


def matched(true: Sequence[Event], counted: Sequence[Event], kind: str, tolerance_s: float) -> Matched:
    """Events of one kind (`line`, `zone`), matched by name, class, direction and time."""
    ours, theirs = (tuple(event for event in events if event.kind == kind) for events in (true, counted))
    pairs = match([_key(event) for event in ours], [_key(event) for event in theirs], tolerance_s)
    return Matched(ours, theirs, tuple(pairs))


def _key(event: Event) -> tuple[float, tuple[str, str, str]]:
    return event.time_s, (event.name, event.class_name, event.direction)


def _event(row: dict[str, Any], fps: float | None) -> Event:
    time_s = row["frame"] / fps if fps else row["pts_s"]
    what = f"frame {row['frame']}, track {row['track']}, score {row['score']:.2f}"
    return Event(row["kind"], time_s, row["name"], row["class_name"], row["direction"], what)


def _known(event: Event, truth: TrueCounts) -> bool:
    if event.kind == "line":
        return event.name in truth.lines
    return event.name in truth.zones and (event.direction == ENTRY or not truth.entries_only)
