"""Links the instances of a stream's frames into tracks, with Norfair.

Norfair keeps the list of objects, its two rounds (established tracks first, new ones with what is left) and
the life of each object. Around it, where it is weak for counting:

- time is media seconds, not frames: motion and patience do not depend on the frame rate (`motion.py`);
- the distance is one matrix for all pairs: where the object should be, with the uncertainty of that, how
  alike the boxes are, and the class; a class that flips costs something but does not break a track;
- the assignment is the best one for all together (Hungarian method), not the nearest pair first;
- weak detections prolong tracks but never begin one;
- ids are this stream's own: Norfair's `global_id` counts over the whole process.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from norfair.distances import Distance
from norfair.filter import FilterFactory
from norfair.tracker import Detection
from norfair.tracker import Tracker as NorfairTracker
from scipy.optimize import linear_sum_assignment  # type: ignore[import-untyped]

from pipeline.config import TrackerConfig
from pipeline.counting import motion
from pipeline.counting.geometry import Floats, overlaps
from pipeline.counting.sighting import outside, touched
from pipeline.messages import Instances

ESTABLISHED_SEEN = 3
"""Sightings after which a track is served in the first round."""
NEW_HOLD_S = 1.1
"""How long a track that is not established is looked for, at the most."""
WORST = 6.7
"""Distance from which on a detection is not the object."""
ALIGNED = 0.79
"""0: places are compared by their centres; 1: by the best of both edges and the centre, on each axis, as fits
objects that are half hidden."""
MOST_SHAPE = 4.0
"""The most that a difference of heights can cost."""
SHAPE_TOLERANCE = 0.49
"""Standard deviation of the logarithm of the ratio of heights between two looks at one object."""
OVERLAP_WEIGHT = 4.0
VAGUE = 0.39
"""Weight of the logarithm of how vague the expected place is: one who is lost does not take what fits one in sight."""
OTHER_CLASS = 3.4
"""Added to the distance where the classes differ: a flip is believed only where all else agrees."""
WEAK = 0.99
"""Added to the distance of a weak detection: strong ones choose first."""
WEAK_SCORE = 0.4
"""Detections below this score never begin a track."""
LIFE_FRAMES = 1 << 40
"""Norfair counts patience in frames; here it is counted in seconds, so Norfair's never runs out."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One track seen in one frame.

    Attributes:
        track: number of the track in this stream, from 1, never used again.
        row: row of the instance in the message.
        speed_px_s: change of centre x, centre y, width, height, pixels per second.
    """

    track: int
    row: int
    speed_px_s: tuple[float, float, float, float]


class _RowFilter:
    """What Norfair takes for a Kalman filter: one row of `Motion`, which moves and corrects all at once."""

    def __init__(self, bank: motion.Motion, points: Floats) -> None:
        self._bank = bank
        self.row = bank.add(points.ravel())

    @property
    def x(self) -> Floats:
        """(8, 1): place and speed. A copy: Norfair resets parts of it that it believes unseen, of which
        there are none here."""
        state: Floats = np.concatenate([self._bank.place[self.row], self._bank.speed[self.row]])[:, None]
        return state

    def predict(self) -> None:
        """Nothing: `Motion.advance` has been called."""

    def update(self, points: Floats, noise: object = None, sensors: object = None) -> None:
        """Nothing: `Motion.correct` will be called."""


class _RowFilters(FilterFactory):
    def __init__(self, bank: motion.Motion) -> None:
        self._bank = bank

    def create_filter(self, initial_detection: Floats) -> _RowFilter:
        return _RowFilter(self._bank, initial_detection)


class _Likeness(Distance):
    """Half the squared Mahalanobis distance of place and height, plus overlap, class and weakness."""

    def __init__(self, bank: motion.Motion) -> None:
        self._bank = bank

    def get_distances(self, objects: Sequence[Any], candidates: Any) -> Floats:
        if not objects or not candidates:
            return np.full((len(candidates), len(objects)), np.inf)
        rows = np.array([item.filter.row for item in objects])
        place, spread = self._bank.place[rows], self._bank.spread[rows]
        measured = np.stack([item.points.ravel() for item in candidates])
        size = motion.size_of(measured[:, 2], measured[:, 3])[:, None, None]
        variance = spread[None, :, :2] + (motion.POSITION_NOISE * size) ** 2
        moved = self._moved(measured, place, candidates, objects)
        away = (moved**2 / variance).sum(axis=2)
        vague = np.log(variance / (motion.POSITION_NOISE * size) ** 2).sum(axis=2)
        ratio = np.log(measured[:, None, 3] / place[None, :, 3]) / SHAPE_TOLERANCE
        overlap = overlaps(motion.boxes(measured), motion.boxes(place))
        classes = np.array([item.data.class_id for item in candidates])
        votes = np.array([item.last_detection.data.class_id for item in objects])
        weak = np.array([item.data.weak for item in candidates])
        total: Floats = (
            away / 2
            + VAGUE / 2 * vague
            + np.minimum(ratio**2 / 2, MOST_SHAPE)
            + OVERLAP_WEIGHT * (1 - overlap)
            + OTHER_CLASS * (classes[:, None] != votes[None])
            + WEAK * weak[:, None]
        )
        return total

    @staticmethod
    def _moved(measured: Floats, place: Floats, candidates: Sequence[Any], objects: Sequence[Any]) -> Floats:
        """(N, M, 2): how far each candidate lies from where each object should be, on both axes."""
        off = measured[:, None] - place[None]
        moved: Floats = np.abs(off[:, :, :2])
        grown = np.abs(off[:, :, 2:]) / 2
        # the distance of the centres, less what one edge alone explains
        moved -= ALIGNED * np.minimum(moved, grown)
        new = np.array([[edge in item.data.edges for edge in "ltrb"] for item in candidates])
        old = np.array([[edge in item.last_detection.data.edges for edge in "ltrb"] for item in objects])
        cut = new[:, None] & old[None]
        for axis in (0, 1):
            # both cut by the same border of the frame: only the other edge tells where they are
            low, high = off[:, :, axis] - off[:, :, axis + 2] / 2, off[:, :, axis] + off[:, :, axis + 2] / 2
            moved[:, :, axis] = np.where(cut[:, :, axis], np.abs(high), moved[:, :, axis])
            moved[:, :, axis] = np.where(cut[:, :, axis + 2], np.abs(low), moved[:, :, axis])
        return moved


@dataclass(frozen=True, slots=True)
class _Origin:
    row: int
    class_id: int
    weak: bool
    edges: str


class _Norfair(NorfairTracker):
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


class Tracker:
    """Links instances over the frames of one stream. Deterministic; knows no clock but `dt_s`."""

    def __init__(self, config: TrackerConfig) -> None:
        self._hold_s = config.hold_s
        self._motion = motion.Motion()
        self._norfair = _Norfair(
            distance_function="euclidean",
            distance_threshold=WORST,
            hit_counter_max=LIFE_FRAMES * 1000,
            # a new object begins with one life and gains two with each hit
            initialization_delay=LIFE_FRAMES * 2 * (ESTABLISHED_SEEN - 1),
            pointwise_hit_counter_max=LIFE_FRAMES,
            filter_factory=_RowFilters(self._motion),
            past_detections_length=0,
        )
        # Norfair's constructor takes names and scalar functions only; its update takes any `Distance`
        vars(self._norfair)["distance_function"] = _Likeness(self._motion)
        self._unseen_s: dict[int, float] = {}
        self._step_s = 0.0

    def update(self, instances: Instances, dt_s: float) -> list[Seen]:
        """Links the instances of the next frame.

        Args:
            instances: what the model found.
            dt_s: media seconds since the last frame given, 0 or more.

        Returns:
            One entry for each track seen in this frame, by track number.
        """
        self._age(dt_s)
        self._motion.advance(dt_s)
        self._let_go(instances.width, instances.height)
        places = motion.measurements(instances.boxes_px.astype(np.float64))
        found = [
            Detection(
                points=place.reshape(2, 2),
                data=_Origin(
                    row,
                    int(instances.class_ids[row]),
                    bool(instances.scores[row] < WEAK_SCORE),
                    touched(instances.boxes_px[row].tolist(), (instances.width, instances.height)),
                ),
            )
            for row, place in enumerate(places)
        ]
        self._norfair.update(found, period=LIFE_FRAMES)
        now = {id(item) for item in found}
        kept: list[Any] = []
        seen: list[Any] = []
        items: Sequence[Any] = self._norfair.tracked_objects
        for item in items:
            if id(item.last_detection) in now:
                if item.age == 0 and item.last_detection.data.weak:
                    self._motion.drop(item.filter.row)
                    continue
                seen.append(item)
                self._unseen_s[item.initializing_id] = 0.0
            kept.append(item)
        self._norfair.tracked_objects = kept
        old = [item for item in seen if item.age > 0]
        of = [item.last_detection.data.row for item in old]
        self._motion.correct(
            np.array([item.filter.row for item in old], np.int64),
            places[of],
            instances.scores[of].astype(np.float64),
        )
        result = []
        for item in sorted(seen, key=lambda item: item.initializing_id):
            speed = self._motion.speed[item.filter.row]
            vx, vy, vw, vh = speed.tolist()
            result.append(Seen(item.initializing_id, item.last_detection.data.row, (vx, vy, vw, vh)))
        return result

    def forget(self, track: int) -> None:
        """Ends a track now: its object goes on as another one."""
        self._end({track})

    def _age(self, dt_s: float) -> None:
        """Ends tracks that have not been seen for too long; at low frame rates a track is looked for at
        least twice."""
        least_s = 2.5 * (self._step_s or min(dt_s, 1.0))
        if dt_s > 0:
            self._step_s = min(0.9 * self._step_s + 0.1 * dt_s if self._step_s else dt_s, 1.0)
        over = set()
        items: Sequence[Any] = self._norfair.tracked_objects
        for item in items:
            hold_s = min(self._hold_s, NEW_HOLD_S) if item.is_initializing else self._hold_s
            self._unseen_s[item.initializing_id] += dt_s
            if self._unseen_s[item.initializing_id] > max(hold_s, least_s):
                over.add(item.initializing_id)
        self._end(over)

    def _let_go(self, width: int, height: int) -> None:
        """Ends tracks that were last seen cut by the frame's border and should be outside of it by now, so
        that the next one who comes in there is not taken for them."""
        over = set()
        items: Sequence[Any] = self._norfair.tracked_objects
        for item in items:
            edges, row = item.last_detection.data.edges, item.filter.row
            if not edges:
                continue
            place, speed = self._motion.place[row].tolist(), self._motion.speed[row].tolist()
            if outside(place, speed, edges, (width, height)):
                over.add(item.initializing_id)
        self._end(over)

    def _end(self, tracks: set[int]) -> None:
        if not tracks:
            return
        kept = []
        for item in self._norfair.tracked_objects:
            if item.initializing_id in tracks:
                self._motion.drop(item.filter.row)
                self._unseen_s.pop(item.initializing_id, None)
            else:
                kept.append(item)
        self._norfair.tracked_objects = kept
