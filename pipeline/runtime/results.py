"""The state of each stream, during a run and at its end, collected from the reports of all processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from pipeline.records.summary import StreamSummary
from pipeline.runtime.process_state import ProcessState
from pipeline.stages.topology import Process
from pipeline.transport.messages import STATIC, Pace
from pipeline.transport.totals import StreamTotals
from pipeline.video.sources.recording_time import RecordingTime


@dataclass(slots=True)
class StreamView:
    """The state of one stream.

    Attributes:
        decoded: frames that came out of the source to be counted.
        frames: number of frames of the source; 0 if unknown.
        dropped: reason -> frames, before counting.
        damaged: packets and frames of the source that could not be decoded.
        reconnects: times that a live source came back.
        trouble: the last error of the source; empty without one.
        live: whether the source is live.
        source_fps, duration_s: of the source; 0 if unknown.
        counts: what was counted.
        pace: how its frames leave the pipeline.
        queued: frames under way.
        ended: the source came to its end; False while it goes on, and where the run was stopped before.
        state: of the source, one of `video.sources.source.STATES`; empty before it is known.
        since_s: Unix time since which it is in that state.
        condition: what is wrong with the camera's picture; empty: nothing.
        condition_since_s: Unix time since which it is.
        overloaded_since_s: Unix time since which the model does not keep up with the camera; 0 while it does.
    """

    decoded: int = 0
    frames: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    damaged: int = 0
    reconnects: int = 0
    trouble: str = ""
    live: bool = False
    source_fps: float = 0.0
    duration_s: float = 0.0
    counts: StreamTotals = field(default_factory=StreamTotals)
    pace: Pace = field(default_factory=Pace)
    queued: int = 0
    ended: bool = True
    state: str = ""
    since_s: float = 0.0
    condition: str = ""
    condition_since_s: float = 0.0
    overloaded_since_s: float = 0.0

    def as_summary(self, source: str, recorded: RecordingTime | None = None) -> StreamSummary:
        """The stream's part of `summary.json`.

        Args:
            source: Path or URL of the source; its password is redacted when the summary is written.
            recorded: When a recording was made.
        """
        skipped = {reason: n for reason, n in self.counts.skipped.items() if reason != STATIC}
        return StreamSummary(
            decoded=self.decoded,
            processed=self.counts.frames - sum(skipped.values()),
            dropped=Counter(self.dropped) + Counter(skipped),
            static=self.counts.skipped.get(STATIC, 0),
            counts=self.counts.summary,
            fps=round(self.pace.fps, 3) if self.pace.frames else None,
            latency_ms={"p50": round(self.pace.p50_ms, 3), "p99": round(self.pace.p99_ms, 3)},
            extra={
                "source": source,
                "media_s": round(self.pace.pts_s, 6),
                "damage": {"errors": self.damaged, "last": self.trouble},
                "reconnects": self.reconnects,
            }
            | ({} if recorded is None else {"recorded": {"start": recorded.setting, "by": recorded.origin}})
            | ({} if self.ended else {"stopped": self._stopped()}),
        )

    def stopped_at(self) -> str:
        """Progress of a stopped stream: `80 of 1394 frames`; without a known end `80 frames`."""
        return (
            f"{self.counts.frames} of {self.frames} frames" if self.frames else f"{self.counts.frames} frames"
        )

    def _stopped(self) -> dict[str, float | None]:
        return {
            "frames": self.counts.frames,
            "of": self.frames or None,
            "media_s": round(self.pace.pts_s, 6),
        }


def views(entries: Iterable[ProcessState]) -> dict[str, StreamView]:
    """Collects the state of all streams.

    Args:
        entries: the processes of the run.

    Returns:
        Name of the stream -> its state.
    """
    result: dict[str, StreamView] = {}
    table = list(entries)
    for entry in table:
        if entry.process.stage.per == "stream":
            result.setdefault(entry.process.label, StreamView())
    for entry in table:
        _add(result, entry.process, entry)
    return result


def _add(result: dict[str, StreamView], process: Process, entry: ProcessState) -> None:
    report = entry.report
    values = report.values
    if process.stage.name == "decode":
        view = result[process.label]
        # Quarantined frames keep their number and are among the frames counted: `track` reports them.
        view.dropped = {reason: n for reason, n in entry.dropped.items() if reason != "quarantined"}
        view.decoded = report.frames_out + sum(view.dropped.values())
        view.frames = int(values.get("frames", 0))
        view.damaged = int(values.get("errors", 0))
        view.reconnects = int(values.get("reconnects", 0))
        view.trouble = report.texts.get("error", "")
        view.live = bool(values.get("live", 0))
        view.source_fps = values.get("fps", 0.0)
        view.duration_s = values.get("duration_s", 0.0)
        view.queued = int(values.get("used", 0))
        view.ended = bool(values.get("ended", 0))
        view.state = report.texts.get("state", "")
        view.since_s = values.get("since_s", 0.0)
        view.condition = report.texts.get("condition", "")
        view.condition_since_s = values.get("condition_since_s", 0.0)
        view.overloaded_since_s = values.get("overloaded_since_s", 0.0)
    elif process.stage.name == "track":
        for name, counts in report.streams.items():
            if name in result:  # a stream that was removed has a last report here
                result[name].counts = counts
    for name, pace in report.paces.items():
        if name in result:
            result[name].pace = pace


def device(entries: Iterable[ProcessState]) -> str:
    """Devices that the model runs on, comma-separated.

    Args:
        entries: Of all processes.
    """
    words = {e.report.texts.get("device", "") for e in entries if e.process.stage.name == "segment"}
    return ", ".join(sorted(word for word in words if word))


def events_waiting(entries: Iterable[ProcessState]) -> int:
    """Number of events that are counted and on the disk, but not yet where they have to go.

    Args:
        entries: Of all processes.
    """
    return sum(int(entry.report.values.get("events_waiting", 0)) for entry in entries)


def restarts(entries: Iterable[ProcessState]) -> dict[str, int]:
    """Process -> number of restarts, for those that were restarted.

    Args:
        entries: Of all processes.
    """
    return {entry.process.name: entry.restarts for entry in entries if entry.restarts}
