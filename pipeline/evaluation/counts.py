"""Counts of a run compared with the truth, event by event."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.evaluation.count_truth import ENTRY, ComparedEvent, TrueCounts
from pipeline.evaluation.matching import match
from pipeline.evaluation.report import f1, percent
from pipeline.evaluation.run_events import read_events, read_stream_summary

TOLERANCE_S = 1.0
"""Largest time difference of matching events; an event is counted a moment after the crossing."""


@dataclass(frozen=True, slots=True)
class MatchedEvents:
    """True and counted events and their one-to-one matches.

    Attributes:
        true: the true events.
        counted: the events of the run.
        pairs: (index in `true`, index in `counted`) of events with the same name, class and direction.
    """

    true: tuple[ComparedEvent, ...]
    counted: tuple[ComparedEvent, ...]
    pairs: tuple[tuple[int, int], ...]

    @property
    def hits(self) -> int:
        """Number of matches."""
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

    def only(self, wanted: Callable[[ComparedEvent], bool]) -> MatchedEvents:
        """The events that `wanted` accepts; it must give the same answer for both events of a pair."""
        true = [place for place, event in enumerate(self.true) if wanted(event)]
        counted = [place for place, event in enumerate(self.counted) if wanted(event)]
        new_true, new_counted = (
            {place: new for new, place in enumerate(places)} for places in (true, counted)
        )
        pairs = tuple(
            (new_true[a], new_counted[b]) for a, b in self.pairs if a in new_true and b in new_counted
        )
        return MatchedEvents(
            tuple(self.true[a] for a in true), tuple(self.counted[b] for b in counted), pairs
        )


@dataclass(frozen=True, slots=True)
class CountScores:
    """The scores of one stream.

    Attributes:
        stream: its name.
        lines: events of lines.
        zones: events of zones.
        unique: class -> (counted, true); None if the truth is not known.
        end_s: length of the stream in seconds of media time.
        tolerance_s: largest time difference of matching events.
        left_out: names of lines and zones without truth, whose events were left out.
    """

    stream: str
    lines: MatchedEvents
    zones: MatchedEvents
    unique: dict[str, tuple[int, int]] | None
    end_s: float
    tolerance_s: float
    left_out: tuple[str, ...]

    @property
    def unique_error(self) -> float:
        """Sum over the classes of |counted - true|, in percent of the true number."""
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
    """Score the events and the unique counts of a run.

    Args:
        truth: the ground truth.
        folder: of the run.
        stream: name of the stream; may be None if there is only one.
        tolerance_s: largest time difference of matching events.
        events_url: SQLAlchemy URL of the event database; default: `events.db` in the folder.

    Raises:
        EvaluationError: the folder is not that of a finished run, or has no such stream.
        OutputError: the events cannot be read.
    """
    name, summary = read_stream_summary(folder, stream)
    rows = [row for row in read_events(folder, events_url) if row["stream"] == name]
    counted = [_event(row, truth.fps) for row in rows if row["kind"] in ("line", "zone")]
    known = [event for event in counted if _known(event, truth)]
    unknown = {event.name for event in counted if event.name not in truth.lines | truth.zones}
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
        lines=match_events(truth.events, known, "line", tolerance_s),
        zones=match_events(truth.events, known, "zone", tolerance_s),
        unique=unique,
        end_s=end_s,
        tolerance_s=tolerance_s,
        left_out=tuple(sorted(unknown)),
    )


def match_events(
    true: Sequence[ComparedEvent], counted: Sequence[ComparedEvent], kind: str, tolerance_s: float
) -> MatchedEvents:
    """Match events by name, class, direction and time.

    Args:
        true: the true events.
        counted: the events of the run.
        kind: only events of this kind, `line` or `zone`.
        tolerance_s: largest time difference of matching events.
    """
    ours, theirs = (tuple(event for event in events if event.kind == kind) for events in (true, counted))
    pairs = match([_key(event) for event in ours], [_key(event) for event in theirs], tolerance_s)
    return MatchedEvents(ours, theirs, tuple(pairs))


def _key(event: ComparedEvent) -> tuple[float, tuple[str, str, str]]:
    return event.time_s, (event.name, event.class_name, event.direction)


def _event(row: dict[str, Any], fps: float | None) -> ComparedEvent:
    time_s = row["frame"] / fps if fps else row["pts_s"]
    what = f"frame {row['frame']}, track {row['track']}, score {row['score']:.2f}"
    return ComparedEvent(row["kind"], time_s, row["name"], row["class_name"], row["direction"], what)


def _known(event: ComparedEvent, truth: TrueCounts) -> bool:
    if event.kind == "line":
        return event.name in truth.lines
    return event.name in truth.zones and (event.direction == ENTRY or not truth.entries_only)
