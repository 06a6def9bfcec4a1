"""Occupancy, entries, exits and dwell time of one zone, a polygon.

An object is inside by one point, or by the part of its mask that lies inside. An entry is a border crossed from
outside to inside in sight of the camera, an exit the other way. An object that is first seen inside has appeared
there, one that is lost inside has vanished there; its stay counts for the dwell time. Near the border the last
state stands, so that shaking on it counts nothing. At every moment, over all classes:

    entries + appeared = exits + vanished + inside now
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np

from pipeline.config.schema import ZoneConfig
from pipeline.geometry.masks import mask_cells
from pipeline.geometry.plane import points_in_polygon, polygon_depth
from pipeline.metrics.quantiles import Histogram, QuantileSketch
from pipeline.tracking.observation import Observation

BORDER = 0.1
"""Half width of the border: in heights of the object, or as a part of its mask."""
DWELL_EDGES_S = (1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0)
"""Buckets of the dwell time for Prometheus."""


class Passage(NamedTuple):
    """A border crossing; `dwell_s` is the stay that an exit ends, in media seconds."""

    direction: Literal["entry", "exit"]
    dwell_s: float | None


@dataclass(slots=True)
class _Stay:
    inside: bool
    since_s: float
    last_s: float
    class_name: str
    appeared: bool
    """Whether it was inside when it was first seen."""


@dataclass(slots=True)
class _Numbers:
    now: int = 0
    peak: int = 0
    entries: int = 0
    exits: int = 0
    appeared: int = 0
    vanished: int = 0
    dwell: QuantileSketch = field(default_factory=lambda: QuantileSketch(DWELL_EDGES_S))

    def move(self, count: int) -> None:
        self.now += count
        self.peak = max(self.peak, self.now)

    def as_dict(self) -> dict[str, float]:
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


class ZoneCounter:
    """Follows every object against one zone.

    Args:
        config: the zone, in relative coordinates.
    """

    def __init__(self, config: ZoneConfig) -> None:
        self._config = config
        self._polygon = np.array(config.points, np.float64)
        self._widest = 0.0
        self._box = (0.0, 0.0, 0.0, 0.0)
        self._stays: dict[int, _Stay] = {}
        self._numbers: dict[str, _Numbers] = {}

    def begin(self, frame: tuple[int, int]) -> None:
        """The width and height of the frame in pixels are known."""
        self._polygon = self._polygon * np.array(frame, np.float64)
        low, high = self._polygon.min(axis=0), self._polygon.max(axis=0)
        self._widest = float((high - low).min()) / 8
        self._box = (float(low[0]), float(low[1]), float(high[0]), float(high[1]))

    def observe(self, object_id: int, observation: Observation, class_name: str) -> Passage | None:
        """The next sighting of an object. Returns the border crossing that it completes, or None."""
        inside, clear = self._state(observation)
        pts_s = observation.frame_time.pts_s
        stay = self._stays.get(object_id)
        if stay is None:
            self._stays[object_id] = _Stay(inside, pts_s, pts_s, class_name, inside)
            if inside:
                self._of(class_name).appeared += 1
                self._of(class_name).move(1)
            return None
        if stay.class_name != class_name:
            if stay.inside:
                self._of(stay.class_name).move(-1)
                self._of(class_name).move(1)
            stay.class_name = class_name
        if stay.inside:
            stay.last_s = pts_s
        if stay.inside == inside or not clear:
            return None
        if inside:
            return self._enter(stay, pts_s)
        return self._exit(stay)

    def inside(self, object_id: int) -> bool:
        """Whether an object is inside."""
        stay = self._stays.get(object_id)
        return stay is not None and stay.inside

    def end(self, object_id: int) -> None:
        """The object will not be seen again."""
        stay = self._stays.pop(object_id, None)
        if stay is not None and stay.inside:
            self._leave(stay)
            self._of(stay.class_name).vanished += 1

    def stitch(self, object_id: int, later: int) -> Passage | None:
        """The object `later` has turned out to be `object_id`, seen again: it goes on with the past of both.

        Returns:
            The border crossing that nobody saw, between the two.
        """
        after = self._stays.get(later)
        before = None if after is None else self._stays.pop(object_id, None)
        if before is None or after is None:
            return None
        result = None
        if before.inside and not after.appeared:
            result = self._exit(before)
        elif after.appeared:
            self._of(after.class_name).appeared -= 1
            if before.inside:
                self._of(before.class_name).move(-1)
                after.since_s = before.since_s if after.inside else after.since_s
            else:
                self._of(after.class_name).entries += 1
                result = Passage("entry", None)
        after.appeared = before.appeared
        return result

    def now(self) -> dict[str, int]:
        """Class -> objects inside."""
        return {name: numbers.now for name, numbers in self._numbers.items() if numbers.now}

    def totals(self, classes: Iterable[str]) -> dict[str, dict[str, float]]:
        """Class -> now, entries, exits, dwell_s and dwell_p95_s (median and 95 % of the stays that are over), peak,
        appeared, vanished: for `classes` and all that were seen."""
        nothing = _Numbers()
        return {
            name: self._numbers.get(name, nothing).as_dict() for name in sorted({*classes, *self._numbers})
        }

    def dwell(self) -> dict[str, Histogram]:
        """Class -> the stays that are over, seconds."""
        return {name: numbers.dwell.histogram() for name, numbers in sorted(self._numbers.items())}

    def _of(self, class_name: str) -> _Numbers:
        return self._numbers.setdefault(class_name, _Numbers())

    def _enter(self, stay: _Stay, pts_s: float) -> Passage:
        stay.inside, stay.since_s, stay.last_s = True, pts_s, pts_s
        self._of(stay.class_name).entries += 1
        self._of(stay.class_name).move(1)
        return Passage("entry", None)

    def _exit(self, stay: _Stay) -> Passage:
        self._leave(stay)
        self._of(stay.class_name).exits += 1
        return Passage("exit", stay.last_s - stay.since_s)

    def _leave(self, stay: _Stay) -> None:
        stay.inside = False
        self._of(stay.class_name).move(-1)
        self._of(stay.class_name).dwell.add(stay.last_s - stay.since_s)

    def _state(self, observation: Observation) -> tuple[bool, bool]:
        """Whether the object is inside, and whether that is clear: not near the border."""
        if self._config.by == "mask":
            share = self._share(observation)
            least = self._config.share
            low, high = max(least - BORDER, least / 2), min(least + BORDER, (least + 1) / 2)
            return share >= least, not low < share < high
        place = observation.foot if self._config.anchor == "foot" else observation.center
        deep = polygon_depth(self._polygon, place)
        return deep > 0, abs(deep) > min(BORDER * observation.height_px, self._widest)

    def _share(self, observation: Observation) -> float:
        """Which part of the mask lies inside, 0..1."""
        x0, y0, x1, y1 = observation.place_px
        left, top, right, bottom = self._box
        if x1 <= left or x0 >= right or y1 <= top or y0 >= bottom:
            return 0.0
        cells = mask_cells(np.array(observation.place_px), observation.mask)
        return float(points_in_polygon(self._polygon, cells).mean())
