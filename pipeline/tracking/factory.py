"""Makes the tracker that the configuration names."""

from __future__ import annotations

from pipeline.config.schema import TrackerConfig
from pipeline.tracking.base import Tracker
from pipeline.tracking.tracker import KalmanTracker


def make_tracker(config: TrackerConfig) -> Tracker:
    """The tracker that the configuration names."""
    if config.engine == "norfair":
        from pipeline.tracking.norfair_tracker import NorfairTracker

        return NorfairTracker(config)
    return KalmanTracker(config)
