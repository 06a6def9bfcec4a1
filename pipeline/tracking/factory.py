"""Makes the tracker that the configuration names."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.config.schema import TrackerConfig
from pipeline.tracking.base import TrackingEngine
from pipeline.tracking.class_groups import groups_of
from pipeline.tracking.kalman_tracker import KalmanTracker


def make_tracker(config: TrackerConfig, classes: Sequence[str]) -> TrackingEngine:
    """The tracker that a configuration names.

    Args:
        config: `tracker` of the configuration.
        classes: Class names of the model.
    """
    groups = groups_of(classes)
    if config.engine == "norfair":
        from pipeline.tracking.norfair_tracker import NorfairTracker

        return NorfairTracker(config, groups)
    return KalmanTracker(config, groups)
