"""Media time of a live source, over all of its connections."""

from __future__ import annotations

from pipeline.video.sources.media_clock import MediaClock
from pipeline.video.sources.source_rate import SourceRate
from pipeline.video.sources.stream_info import fps_or_default

CLOCK_JUMP_S = 5.0
"""A timestamp that advances by this much more than the time that elapsed is a jump of the source's clock."""
STUCK_S = 2.0
"""Timestamps that do not advance for this long, while frames arrive, are not used any more."""


class LiveTimeline:
    """Media time over all connections of a live source: gaps between them are as long as on this host's clock.

    Timestamps of a connection that stop advancing while frames keep arriving are replaced by the times of arrival;
    those that run at another rate than the clock are corrected.

    Args:
        stated_fps: nominal frame rate in Hz; None if unknown.
    """

    def __init__(self, stated_fps: float | None) -> None:
        self.stated_fps = stated_fps
        self._clock = MediaClock(fps_or_default(stated_fps))
        self._rate = SourceRate()
        self._last_raw_s: float | None = None
        self._last_s: float | None = None
        self._advanced_s = 0.0
        self._by_arrival = False
        self._arrivals = 0

    @property
    def retimed(self) -> int:
        """Number of frames so far whose own timestamp could not be used."""
        return self._clock.repaired + self._arrivals

    @property
    def epoch(self) -> int:
        """Number of discontinuities so far."""
        return self._clock.epoch

    @property
    def ratio(self) -> float:
        """Seconds of the clock for a second of the timestamps."""
        return self._rate.ratio

    def next(self, raw_s: float | None, now_s: float, *, reconnected: bool, waited_s: float = 0.0) -> float:
        """Advances to the next frame.

        Args:
            raw_s: its timestamp, in seconds; None if it has none.
            now_s: when it arrived, on the monotonic clock.
            reconnected: it is the first frame of a connection.
            waited_s: for how long the network was waited for since the frame before, seconds.

        Returns:
            Its media time in seconds.
        """
        advanced = raw_s is None or self._last_raw_s is None or raw_s > self._last_raw_s
        if reconnected or advanced:
            self._advanced_s = now_s
        if self._last_s is None:
            self._rate.restart(now_s)
        else:
            gap_s = now_s - self._last_s
            jumped = (
                raw_s is not None
                and self._last_raw_s is not None
                and raw_s - self._last_raw_s > gap_s + CLOCK_JUMP_S
            )
            if reconnected or jumped:
                self._rate.restart(now_s)
                self._clock.restart(gap_s)
                self._by_arrival = False
            elif not self._by_arrival and now_s - self._advanced_s > STUCK_S:
                self._clock.restart(gap_s, new_epoch=False)
                self._by_arrival = True
        self._last_raw_s, self._last_s = raw_s, now_s
        if self._by_arrival:
            self._arrivals += 1
            return self._clock.next(now_s)
        return self._clock.next(None if raw_s is None else self._rate.next(raw_s, now_s, waited_s))
