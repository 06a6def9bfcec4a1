"""What one zone has counted of one class."""

from __future__ import annotations

from dataclasses import dataclass, field

from pipeline.metrics.quantiles import QuantileSketch
from pipeline.records.state import checkpointed

checkpointed(QuantileSketch)

DWELL_EDGES_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)
"""Bucket edges of the dwell time for Prometheus."""


@checkpointed
@dataclass(slots=True)
class ZoneNumbers:
    """Totals of one class: objects inside now and at most, passages, and how long the stays were."""

    now: int = 0
    peak: int = 0
    entries: int = 0
    exits: int = 0
    appeared: int = 0
    vanished: int = 0
    dwell: QuantileSketch = field(default_factory=lambda: QuantileSketch(DWELL_EDGES_S))

    def move(self, count: int) -> None:
        """Changes the number of objects inside now.

        Args:
            count: Objects that have entered, less those that have left.
        """
        self.now += count
        self.peak = max(self.peak, self.now)

    def as_dict(self) -> dict[str, float]:
        """As in `summary.json`: the stays by their median and 95th percentile, seconds."""
        return {
            "now": self.now,
            "entries": self.entries,
            "exits": self.exits,
            "dwell_s": round(self.dwell.quantile(0.5), 3),
            "dwell_p95_s": round(self.dwell.quantile(0.95), 3),
            "peak": self.peak,
            "appeared": self.appeared,
            "vanished": self.vanished,
        }
