"""Whether the timestamps of a live source run at the rate of the clock, and a correction where they do not.

Some cameras stamp their frames at the nominal rate, say 25 a second, whatever they deliver, say 21: speeds and dwell
times would be off by a fifth. The ratio is measured over two periods that have to agree, and only while the reader has
waited for the network: where the reader is the bottleneck, frames come late and their timestamps are right.
"""

from __future__ import annotations

SETTLE_S = 5.0
"""After a connection begins, servers send what they have buffered."""
PERIOD_S = 10.0
TOLERANCE = 0.05
"""A ratio that differs from 1 by less is that of a clock, with the jitter of a network."""
AGREE = 0.03
"""Two periods agree if their ratios differ by less."""
PLAUSIBLE = 0.25, 4.0
MIN_WAITED = 0.1
"""Share of a period that the reader has to have waited for the network."""


class SourceRate:
    """The rate of one live source.

    Attributes:
        ratio: seconds of the clock for a second of the timestamps; 1 unless it is known to be another one.
    """

    def __init__(self) -> None:
        self.ratio = 1.0
        self._time_s: float | None = None
        self._raw_s = 0.0
        self._settled_s = 0.0
        self._began: tuple[float, float] | None = None
        self._waited_s = 0.0
        self._before: float | None = None

    def restart(self, now_s: float) -> None:
        """A connection begins, or the timestamps have jumped.

        Args:
            now_s: monotonic seconds.
        """
        self._time_s = self._began = self._before = None
        self._settled_s = now_s + SETTLE_S

    def next(self, raw_s: float, now_s: float, waited_s: float) -> float:
        """Advances to the next frame.

        Args:
            raw_s: its timestamp, seconds.
            now_s: when it came, monotonic seconds.
            waited_s: for how long the network was waited for since the frame before, seconds.

        Returns:
            Its timestamp on a timeline that runs at the rate of the clock.
        """
        if self._time_s is None:
            self._time_s = raw_s
        else:
            self._time_s += (raw_s - self._raw_s) * self.ratio
        self._raw_s = raw_s
        if now_s >= self._settled_s:
            self._measure(raw_s, now_s, waited_s)
        return self._time_s

    def _measure(self, raw_s: float, now_s: float, waited_s: float) -> None:
        if self._began is None:
            self._began, self._waited_s = (raw_s, now_s), 0.0
            return
        self._waited_s += waited_s
        spent_s, advanced_s = now_s - self._began[1], raw_s - self._began[0]
        if spent_s < PERIOD_S:
            return
        waited, self._began = self._waited_s >= MIN_WAITED * spent_s, None
        ratio = spent_s / advanced_s if advanced_s > 0 else 0.0
        if not waited or not PLAUSIBLE[0] <= ratio <= PLAUSIBLE[1]:
            self._before = None
            return
        before, self._before = self._before, ratio
        if before is not None and abs(ratio - before) < AGREE * ratio:
            mean = (ratio + before) / 2
            self.ratio = mean if abs(mean - 1) > TOLERANCE else 1.0
