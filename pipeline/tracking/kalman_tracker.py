"""Links the instances of a stream's frames into tracks.

Made for counting:

- time is media seconds, not frames: motion and patience do not depend on the frame rate (`kalman.py`);
- the cost of a pair is where the object should be, with the uncertainty of that, how alike the boxes are, and
  the class; a class that flips costs something but does not break a track (`association.py`);
- two rounds: established tracks choose first, new ones among what is left; in each, the assignment is the best
  one for all together (`assignment.py`);
- weak detections prolong tracks but never begin one;
- all objects are handled at once: no loop over objects, and costs only of pairs that are near each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import TrackerConfig
from pipeline.geometry.masks import MASK_SIZE
from pipeline.geometry.plane import Floats
from pipeline.records.state import AttributeState
from pipeline.tracking.assignment import assign
from pipeline.tracking.association import MAX_COST, Rows, association_costs
from pipeline.tracking.base import (
    ESTABLISHED_OBSERVATIONS,
    STEADY_OBSERVATIONS,
    TrackLifetime,
    TrackMatches,
    outside_now,
)
from pipeline.tracking.camera import CameraTransform
from pipeline.tracking.class_groups import Groups
from pipeline.tracking.kalman import KalmanFilter
from pipeline.tracking.pairs import Measurements, Predictions
from pipeline.transport.messages import Instances


class KalmanTracker(AttributeState):
    """All tracks of one stream as rows of arrays, the oldest first."""

    STATE = (
        "_lifetime",
        "_motion",
        "_step_s",
        "_next",
        "_numbers",
        "_seen",
        "_unseen_s",
        "_class_ids",
        "_edges",
        "_masks",
    )

    def __init__(self, config: TrackerConfig, groups: Groups) -> None:
        self._groups = groups
        self._lifetime = TrackLifetime(config.hold_s)
        self._motion = KalmanFilter()
        self._step_s = 0.0
        self._next = 1
        self._numbers = np.zeros(0, np.int64)
        self._seen = np.zeros(0, np.int64)
        self._unseen_s = np.zeros(0)
        self._class_ids = np.zeros(0, np.int16)
        self._edges = np.zeros((0, 4), np.bool_)
        self._masks = np.zeros((0, MASK_SIZE, MASK_SIZE), np.uint8)

    def update(self, instances: Instances, dt_s: float) -> TrackMatches:
        """As `TrackingEngine.update`."""
        self._step_s = dt_s
        self._predict(dt_s, (instances.width, instances.height))
        new = Measurements.of(instances, self._groups)
        matched, found = self._match(new)
        order = np.argsort(matched)
        matched, found = matched[order], found[order]
        begun = ~new.weak
        begun[found] = False
        fresh = begun.nonzero()[0]
        known = len(self._numbers)
        if len(fresh):
            self._begin(new, fresh)
        self._motion.update(matched, new.cxcywh_px[found], new.scores[found], new.edges[found])
        self._seen[matched] += 1
        self._unseen_s[matched] = 0.0
        self._class_ids[matched] = new.class_ids[found]
        self._edges[matched] = new.edges[found]
        if len(fresh):
            matched = np.concatenate([matched, known + np.arange(len(fresh))])
            found = np.concatenate([found, fresh])
        if new.masks is not None:
            self._masks[matched] = new.masks[found]
        if new.seen is not None:
            self._motion.appearances.observe(matched, new.seen.only(found))
        return TrackMatches(
            self._numbers[matched],
            found,
            self._motion.velocity[matched],
            self._motion.appearances.of(matched),
        )

    def expected(self, dt_s: float) -> Floats:
        """As `TrackingEngine.expected`."""
        return self._motion.expected(self._seen >= ESTABLISHED_OBSERVATIONS, dt_s)

    def forget(self, track: int) -> None:
        """As `TrackingEngine.forget`."""
        self._keep(self._numbers != track)

    def camera_transform(self, camera_transform: CameraTransform) -> None:
        """As `TrackingEngine.camera_transform`."""
        self._motion.camera_transform(camera_transform)

    def _predict(self, dt_s: float, frame: tuple[int, int]) -> None:
        """Moves tracks on, and ends those that have not been seen for too long or have left the frame."""
        hold_s, new_hold_s = self._lifetime.limits_s(dt_s)
        if not len(self._numbers):
            return
        self._motion.predict(dt_s)
        self._unseen_s += dt_s
        keep = self._unseen_s <= np.where(self._seen < ESTABLISHED_OBSERVATIONS, new_hold_s, hold_s)
        if self._edges.any():
            keep &= ~outside_now(self._motion.mean, self._motion.velocity, self._edges, frame)
        if not keep.all():
            self._keep(keep)

    def _match(self, new: Measurements) -> tuple[Rows, Rows]:
        """Rows of tracks, and of the candidates that show them."""
        motion = self._motion
        young = self._seen < STEADY_OBSERVATIONS
        old = Predictions(
            motion.mean,
            motion.variance,
            self._class_ids,
            self._groups[self._class_ids],
            self._edges,
            young,
            (self._seen == 1) & (self._unseen_s <= self._step_s + 1e-9),
            motion.leaving(slice(None), self._edges),
            motion.noise.measurement,
            motion.appearances,
            self._masks,
        )
        found, tracks, costs = association_costs(new, old)
        first = self._seen[tracks] >= ESTABLISHED_OBSERVATIONS
        if first.all():
            found, tracks = assign(found, tracks, costs, MAX_COST)
            return tracks, found
        old_found, old_tracks = assign(found[first], tracks[first], costs[first], MAX_COST)
        rest = ~first & ~np.isin(found, old_found)
        found, tracks = assign(found[rest], tracks[rest], costs[rest], MAX_COST)
        return np.concatenate([old_tracks, tracks]), np.concatenate([old_found, found])

    def _begin(self, new: Measurements, rows: Rows) -> None:
        count = len(rows)
        self._motion.add(new.cxcywh_px[rows])
        self._numbers = np.concatenate([self._numbers, self._next + np.arange(count)])
        self._seen = np.concatenate([self._seen, np.ones(count, np.int64)])
        self._unseen_s = np.concatenate([self._unseen_s, np.zeros(count)])
        self._class_ids = np.concatenate([self._class_ids, new.class_ids[rows]])
        self._edges = np.concatenate([self._edges, new.edges[rows]])
        whole = np.full((count, MASK_SIZE, MASK_SIZE), 255, np.uint8)
        self._masks = np.concatenate([self._masks, whole])
        self._next += count

    def _keep(self, keep: NDArray[np.bool_]) -> None:
        self._motion.keep(keep)
        self._numbers, self._seen, self._unseen_s = (
            self._numbers[keep],
            self._seen[keep],
            self._unseen_s[keep],
        )
        self._class_ids, self._edges = self._class_ids[keep], self._edges[keep]
        self._masks = self._masks[keep]
