"""Reporting of a decoder: metrics, sums in the log, and the report in its heartbeat."""

from __future__ import annotations

import logging
import time

from pipeline.logs.sums import SumLog
from pipeline.metrics.source_metrics import SourceMetrics
from pipeline.metrics.stream_metrics import StreamMetrics
from pipeline.stages.camera_watch import CameraWatch
from pipeline.stages.context import now
from pipeline.stages.frame_queue import QUARANTINED, FrameQueue
from pipeline.stages.frame_reader import FrameReader
from pipeline.stages.overload import Overload
from pipeline.transport.messages import Report
from pipeline.video.sources.source import (
    CONNECTED,
    ENDED,
    RETRYING,
    STALLED,
    STATES,
    Source,
    SourceState,
)

log = logging.getLogger(__name__)

LATE = "late"
"""A live source had a newer frame before the reader took this one."""


STALLED_S = 1.0
"""Without a frame for this long, a live source is stalled."""


class DecodeTotals:
    """Totals of one incarnation of a decoder.

    Args:
        source: The open source.
        queue: Its frames.
        reader: The thread that reads it.
        metrics: Of the stream.
        source_metrics: Of the source.
        slots: Slots of the ring.
        watch: Of the camera, where there is one.
    """

    def __init__(
        self,
        source: Source,
        queue: FrameQueue,
        reader: FrameReader,
        metrics: StreamMetrics,
        source_metrics: SourceMetrics,
        slots: int,
        watch: CameraWatch | None = None,
    ) -> None:
        self._source, self._queue, self._reader = source, queue, reader
        self._metrics, self._slots, self._watch = metrics, slots, watch
        self._source_metrics = source_metrics
        self._overload = Overload()
        self._stalls = 0
        self._shown: dict[str, int] = {}
        self._decoded, self._decoded_s = 0, time.time()
        self._last_state = SourceState(CONNECTED, self._decoded_s)
        self._drop_log = SumLog("frames dropped", now())
        self._damage_log = SumLog("damaged parts of the source left out", now())

    def dropped(self) -> dict[str, int]:
        """Reason -> frames that were decoded and not handed on."""
        skipped = self._source.stats.skipped
        return dict(self._queue.dropped) | ({LATE: skipped[LATE]} if LATE in skipped else {})

    def show(self) -> None:
        """Updates the metrics."""
        stats = self._source.stats
        self._metrics.slots(self._queue.used, self._slots)
        self._metrics.queue(self._queue.waiting)
        self._source_metrics.totals(
            frames=stats.decoded,
            bytes=stats.bytes,
            stalls=self._stalls,
            reconnects=stats.reconnects,
            errors=stats.errors,
            retimed=stats.retimed,
        )
        self._source_metrics.stream(self._source.info.fps or 0.0, self._decoded_s, stats.clock_ratio)
        for reason, frames in self.dropped().items():
            self._metrics.dropped(reason, frames - self._shown.get(reason, 0))
            self._shown[reason] = frames

    def log_sums(self, *, at_once: bool = False) -> None:
        """Logs dropped frames and damage, summed over a period.

        Args:
            at_once: Do not wait for the period to end.
        """
        stats = self._source.stats
        if line := self._drop_log.due(self.dropped(), now(), at_once=at_once):
            log.info(line)
        if line := self._damage_log.due({"errors": stats.errors}, now(), at_once=at_once):
            log.info("%s; last: %s", line, stats.last_error)

    def _state(self) -> SourceState:
        """State of the source; `since_s` is when it last changed."""
        stats, now_s = self._source.stats, time.time()
        if stats.decoded != self._decoded:
            self._decoded, self._decoded_s = stats.decoded, now_s
        if self._reader.done:
            name, since_s, why = ENDED, now_s, ""
        elif stats.lost_s:
            name, since_s, why = RETRYING, stats.lost_s, stats.lost_why
        elif self._source.info.live and now_s - self._decoded_s > STALLED_S:
            name, since_s, why = STALLED, self._decoded_s, ""
        else:
            name, since_s, why = CONNECTED, now_s, ""
        if name != self._last_state.name:
            self._stalls += name in (STALLED, RETRYING) and self._last_state.name == CONNECTED
            self._last_state = SourceState(name, since_s, why)
        return SourceState(name, self._last_state.since_s, why)

    def _overloaded_since_s(self) -> float:
        """Unix time since which the model does not keep up with a live source; 0 while it does."""
        if not self._source.info.live:
            return 0.0
        left_out = sum(frames for reason, frames in self.dropped().items() if reason != QUARANTINED)
        if line := self._overload.update(self._queue.next_seq + left_out, left_out, now(), time.time()):
            log.warning("%s", line)
        self._source_metrics.overloaded(self._overload.since_s)
        return self._overload.since_s

    def silent_since_s(self) -> float:
        """Unix time since which no frame comes from a live source; 0 while frames come."""
        return self._decoded_s if self._state().name in (STALLED, RETRYING) else 0.0

    def report(self) -> Report:
        """The report of the heartbeat."""
        info, stats = self._source.info, self._source.stats
        values = {
            "decoded": stats.decoded,
            "errors": stats.errors,
            "reconnects": stats.reconnects,
            "used": self._queue.used,
            "width": info.width,
            "height": info.height,
            "live": float(info.live),
            "fps": info.fps or 0.0,
            "frames": info.frames or 0,
            "duration_s": info.duration_s or 0.0,
            "ended": float(self._reader.ended),
            "overloaded_since_s": self._overloaded_since_s(),
        }
        state = self._state()
        values["since_s"] = state.since_s
        self._source_metrics.state(state.name, state.since_s, STATES)
        condition = ""
        if self._watch is not None and state.name == CONNECTED:
            condition, values["condition_since_s"] = self._watch.condition, self._watch.since_s
        return Report(
            frames_in=stats.decoded,
            frames_out=self._queue.next_seq,
            dropped=self.dropped(),
            values=values,
            texts={"error": stats.last_error, "kind": info.kind, "state": state.name, "condition": condition},
        )
