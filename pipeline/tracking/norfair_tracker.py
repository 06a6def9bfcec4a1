"""The same tracker on Norfair: its list of objects, its two rounds and its life of an object, with our cost,
motion and assignment put in. Slower, because Norfair handles each object by itself; kept to compare with.

Ids are this stream's own: Norfair's `global_id` counts over the whole process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from norfair.distances import Distance
from norfair.filter import FilterFactory
from norfair.tracker import Detection, TrackedObject
from norfair.tracker import Tracker as Norfair
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

from pipeline.config.schema import TrackerConfig
from pipeline.geometry.masks import MASK_SIZE, Masks
from pipeline.geometry.plane import Floats
from pipeline.records.state import State, attributes, set_attributes
from pipeline.tracking.association import MAX_COST, association_costs
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

WHOLE = np.full((MASK_SIZE, MASK_SIZE), 255, np.uint8)
LIFE_FRAMES = 1 << 40
"""Norfair counts patience in frames; here it is counted in seconds, so Norfair's never runs out."""


def _lives(seen: int) -> int:
    """Norfair's hit counter of an object that has been seen less than `seen` times is not above this: a new one
    begins with one life and gains two with each hit."""
    return LIFE_FRAMES * 2 * (seen - 1)


class _KalmanRow:
    """What Norfair takes for a Kalman filter: one row of `KalmanFilter`, which moves and corrects all at once."""

    def __init__(self, bank: KalmanFilter, points: Floats) -> None:
        self._bank = bank
        self.row = len(bank.mean)
        bank.add(points.reshape(1, 4))

    @property
    def x(self) -> Floats:
        """(8, 1): place and speed. A copy: Norfair resets parts of it that it believes unseen, of which
        there are none here."""
        state: Floats = np.concatenate([self._bank.mean[self.row], self._bank.velocity[self.row]])[:, None]
        return state

    def predict(self) -> None:
        """Nothing: `KalmanFilter.predict` has been called."""

    def update(self, points: Floats, noise: object = None, sensors: object = None) -> None:
        """Nothing: `KalmanFilter.update` will be called."""


class _KalmanRows(FilterFactory):
    def __init__(self, bank: KalmanFilter) -> None:
        self._bank = bank

    def create_filter(self, initial_detection: Floats) -> _KalmanRow:
        return _KalmanRow(self._bank, initial_detection)


@dataclass(frozen=True, slots=True)
class _Origin:
    row: int
    of: Measurements

    @property
    def weak(self) -> bool:
        return bool(self.of.weak[self.row])


def _mask(origin: _Origin) -> Masks:
    masks = origin.of.masks
    return WHOLE if masks is None else masks[origin.row]


class _AssociationCost(Distance):
    """`association_costs` as a matrix, once for each round: which objects are many for one detection, so that
    masks are compared, is seen in each round for itself."""

    def __init__(self, bank: KalmanFilter) -> None:
        self._bank = bank

    def get_distances(self, objects: Sequence[Any], candidates: Any) -> Floats:
        matrix = np.full((len(candidates), len(objects)), np.inf)
        if not matrix.size:
            return matrix
        of, rows = candidates[0].data.of, np.array([item.data.row for item in candidates])
        seen = None if of.seen is None else of.seen.only(rows)
        masks = None if of.masks is None else of.masks[rows]
        new = Measurements(
            of.cxcywh_px[rows],
            of.scores[rows],
            of.class_ids[rows],
            of.groups[rows],
            of.weak[rows],
            of.edges[rows],
            seen,
            masks,
        )
        kept = np.array([item.filter.row for item in objects])
        lasts = [item.last_detection.data for item in objects]
        edges = np.array([last.of.edges[last.row] for last in lasts])
        old = Predictions(
            mean=self._bank.mean[kept],
            variance=self._bank.variance[kept],
            class_ids=np.array([last.of.class_ids[last.row] for last in lasts]),
            groups=np.array([last.of.groups[last.row] for last in lasts]),
            edges=edges,
            new=np.array([item.hit_counter <= _lives(STEADY_OBSERVATIONS) for item in objects]),
            fresh=np.array([item.hit_counter <= _lives(2) and item.age == 1 for item in objects]),
            leaving=self._bank.leaving(kept, edges),
            noise=self._bank.noise.measurement,
            appearances=self._bank.appearances.only(kept),
            masks=np.stack([_mask(last) for last in lasts]),
        )
        found, tracks, costs = association_costs(new, old)
        matrix[found, tracks] = costs
        return matrix


class _Norfair(Norfair):
    """Norfair's tracker with the best assignment for all together."""

    def match_dets_and_objs(
        self, distance_matrix: Floats, distance_threshold: float
    ) -> tuple[list[int], list[int]]:
        if not distance_matrix.size:
            return [], []
        capped = np.minimum(distance_matrix, distance_threshold)
        candidates, objects = linear_sum_assignment(capped)
        good = capped[candidates, objects] < distance_threshold
        return candidates[good].tolist(), objects[good].tolist()


_STATE = ("_lifetime", "_motion", "_unseen_s", "_numbers", "_next")
_ORIGINAL = ("cxcywh_px", "scores", "class_ids", "groups", "weak", "edges")
_DERIVED = ("_obj_factory", "last_detection", "past_detections", "filter", "global_id")


def _object_state(item: Any) -> State:
    """One of Norfair's objects: its own attributes, its row in the filter, and the one row of its last detection that
    later costs depend on."""
    origin = item.last_detection.data
    row = slice(origin.row, origin.row + 1)
    last: State = {name: getattr(origin.of, name)[row] for name in _ORIGINAL}
    last["masks"] = None if origin.of.masks is None else origin.of.masks[row]
    own = {name: value for name, value in vars(item).items() if name not in _DERIVED}
    return {**own, "row": item.filter.row, "last": last, "points": item.last_detection.points}


class NorfairTracker:
    """A `TrackingEngine`."""

    def __init__(self, config: TrackerConfig, groups: Groups) -> None:
        self._groups = groups
        self._lifetime = TrackLifetime(config.hold_s)
        self._motion = KalmanFilter()
        self._norfair = _Norfair(
            distance_function="euclidean",
            distance_threshold=MAX_COST,
            hit_counter_max=LIFE_FRAMES * 1000,
            initialization_delay=_lives(ESTABLISHED_OBSERVATIONS),
            pointwise_hit_counter_max=LIFE_FRAMES,
            filter_factory=_KalmanRows(self._motion),
            past_detections_length=0,
        )
        # Norfair's constructor takes names and scalar functions only; its update takes any `Distance`
        vars(self._norfair)["distance_function"] = _AssociationCost(self._motion)
        self._unseen_s: dict[int, float] = {}
        self._numbers: dict[int, int] = {}
        self._next = 1

    def update(self, instances: Instances, dt_s: float) -> TrackMatches:
        """As `TrackingEngine.update`."""
        self._predict(dt_s, (instances.width, instances.height))
        new = Measurements.of(instances, self._groups)
        found = [
            Detection(points=place.reshape(2, 2), data=_Origin(row, new))
            for row, place in enumerate(new.cxcywh_px)
        ]
        self._norfair.update(found, period=LIFE_FRAMES)
        now = {id(item) for item in found}
        items: Sequence[Any] = self._norfair.tracked_objects
        begun = [item for item in items if item.age == 0]
        # Norfair begins an object with every detection that is left
        for item in begun:
            if not item.last_detection.data.weak:
                self._numbers[item.initializing_id] = self._next
                self._next += 1
        self._end({item.initializing_id for item in begun if item.last_detection.data.weak})
        seen: list[Any] = [item for item in self._norfair.tracked_objects if id(item.last_detection) in now]
        for item in seen:
            self._unseen_s[item.initializing_id] = 0.0
        old = [item for item in seen if item.age > 0]
        of = [item.last_detection.data.row for item in old]
        kept = np.array([item.filter.row for item in old], np.int64)
        self._motion.update(kept, new.cxcywh_px[of], new.scores[of], new.edges[of])
        seen.sort(key=lambda item: item.initializing_id)
        own = np.array([item.filter.row for item in seen], np.int64)
        rows = np.array([item.last_detection.data.row for item in seen], np.int64)
        if new.seen is not None:
            self._motion.appearances.observe(own, new.seen.only(rows))
        return TrackMatches(
            np.array([self._numbers[item.initializing_id] for item in seen], np.int64),
            rows,
            self._motion.velocity[own],
            self._motion.appearances.of(own),
        )

    def state(self) -> State:
        """See `Stateful.state`."""
        return attributes(self, _STATE) | {
            "factory": [self._norfair._obj_factory.count, self._norfair._obj_factory.initializing_count],
            "objects": [_object_state(item) for item in self._norfair.tracked_objects],
        }

    def restore(self, state: State) -> None:
        """See `Stateful.restore`."""
        state = dict(state)
        factory, objects = state.pop("factory"), state.pop("objects")
        set_attributes(self, _STATE, state)
        self._norfair._obj_factory.count, self._norfair._obj_factory.initializing_count = factory
        self._norfair.tracked_objects = [self._object(one) for one in objects]

    def _object(self, state: State) -> TrackedObject:
        """One of Norfair's objects from its state."""
        state = dict(state)
        row, last, points = state.pop("row"), state.pop("last"), state.pop("points")
        origin = _Origin(0, Measurements(**last))
        made = TrackedObject.__new__(TrackedObject)
        vars(made).update(state)
        made._obj_factory = self._norfair._obj_factory
        made.last_detection = Detection(points=points, data=origin)
        made.past_detections, made.global_id = [], made.id
        made.filter = _KalmanRow.__new__(_KalmanRow)
        made.filter._bank, made.filter.row = self._motion, row
        return made

    def expected(self, dt_s: float) -> Floats:
        """As `TrackingEngine.expected`."""
        items: Sequence[Any] = self._norfair.tracked_objects
        rows = [item.filter.row for item in items if not item.is_initializing]
        return self._motion.expected(np.array(sorted(rows), np.int64), dt_s)

    def forget(self, track: int) -> None:
        """As `TrackingEngine.forget`."""
        self._end({key for key, number in self._numbers.items() if number == track})

    def camera_transform(self, camera_transform: CameraTransform) -> None:
        """As `TrackingEngine.camera_transform`."""
        self._motion.camera_transform(camera_transform)

    def _predict(self, dt_s: float, frame: tuple[int, int]) -> None:
        """Moves tracks on, and ends those that have not been seen for too long or have left the frame."""
        hold_s, new_hold_s = self._lifetime.limits_s(dt_s)
        self._motion.predict(dt_s)
        items: Sequence[Any] = self._norfair.tracked_objects
        expired = set()
        for item in items:
            key, last = item.initializing_id, item.last_detection.data
            self._unseen_s[key] += dt_s
            row = slice(item.filter.row, item.filter.row + 1)
            edges = last.of.edges[last.row : last.row + 1]
            if self._unseen_s[key] > (new_hold_s if item.is_initializing else hold_s) or (
                edges.any()
                and outside_now(self._motion.mean[row], self._motion.velocity[row], edges, frame)[0]
            ):
                expired.add(key)
        self._end(expired)

    def _end(self, keys: set[int]) -> None:
        """Ends Norfair's objects of these `initializing_id`s."""
        if not keys:
            return
        kept: list[Any] = []
        rows = np.ones(len(self._motion.mean), np.bool_)
        items: Sequence[Any] = self._norfair.tracked_objects
        for item in items:
            if item.initializing_id in keys:
                rows[item.filter.row] = False
                self._unseen_s.pop(item.initializing_id, None)
                self._numbers.pop(item.initializing_id, None)
            else:
                kept.append(item)
        self._motion.keep(rows)
        places = np.cumsum(rows) - 1
        for item in kept:
            item.filter.row = int(places[item.filter.row])
        self._norfair.tracked_objects = kept
