"""How fast the frames of a stream leave the pipeline, and how old they are then."""

from __future__ import annotations

import time

from pipeline.metrics.quantiles import QuantileSketch
from pipeline.stages.context import now
from pipeline.transport.messages import Pace


class PaceMeter:
    """Measures at the end of the pipeline: in `sink`, or in `track` where a stream has none."""

    def __init__(self) -> None:
        self._latency = QuantileSketch()
        self._first_s = self._last_s = 0.0
        self._pts_s = 0.0

    def frame(self, wall_s: float, pts_s: float) -> float:
        """Notes a frame that is finished.

        Args:
            wall_s: Unix time at which it was decoded.
            pts_s: Its media time, seconds.

        Returns:
            Seconds since it was decoded.
        """
        latency_s = max(0.0, time.time() - wall_s)
        self._latency.add(latency_s)
        self._last_s = now()
        self._first_s = self._first_s or self._last_s
        self._pts_s = pts_s
        return latency_s

    def pace(self) -> Pace:
        """The figures so far."""
        frames, spent_s = self._latency.count, self._last_s - self._first_s
        return Pace(
            frames=frames,
            fps=(frames - 1) / spent_s if spent_s > 0 else 0.0,
            p50_ms=1e3 * self._latency.quantile(0.5),
            p99_ms=1e3 * self._latency.quantile(0.99),
            pts_s=self._pts_s,
        )
