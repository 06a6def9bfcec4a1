"""Occupancy, entries, exits and dwell time of one zone, a polygon.

An entry is a border crossed from outside to inside in sight of the camera, an exit the other way. An object
that is first seen inside, or lost inside, is inside without an entry or an exit; its stay counts for the
dwell time. Near the border the last state stands, so that shaking on it counts nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import Literal

import numpy as np

from pipeline.config import ZoneConfig
from pipeline.counting.geometry import depth
from pipeline.counting.sighting import Sighting

BORDER = 0.1
"""Half width of the border, in heights of the object."""
STAYS = 1024
"""Stays per class that the dwell time is taken from, the latest."""


@dataclass(slots=True)
class _Stay:
    inside: bool
    since_s: float
    last_s: float
    class_name: str


class ZoneCounter:
    """Follows every object against one zone.

    Args:
        config: the zone, in relative coordinates.
        frame: width and height in pixels.
    """

    def __init__(self, config: ZoneConfig, frame: tuple[int, int]) -> None:
        self._config = config
        self._polygon = np.array(config.points, np.float64) * np.array(frame, np.float64)
        self._widest = float((self._polygon.max(axis=0) - self._polygon.min(axis=0)).min()) / 8
        self._stays: dict[int, _Stay] = {}
        self._dwell: dict[str, deque[float]] = {}

    def see(self, item: int, sighting: Sighting, class_name: str) -> Literal["entry", "exit"] | None:
        """The next sighting of an object. Returns the border crossing that it completes, or None."""
        place = sighting.foot if self._config.anchor == "foot" else sighting.center
        deep = depth(self._polygon, place)
        pts_s = sighting.moment.pts_s
        stay = self._stays.get(item)
        if stay is None:
            self._stays[item] = _Stay(deep > 0, pts_s, pts_s, class_name)
            return None
        stay.class_name = class_name
        border = min(BORDER * sighting.height_px, self._widest)
        if stay.inside:
            stay.last_s = pts_s
        if stay.inside == (deep > 0) or abs(deep) <= border:
            return None
        stay.inside = deep > 0
        if stay.inside:
            stay.since_s = stay.last_s = pts_s
            return "entry"
        self._leave(stay)
        return "exit"

    def end(self, item: int) -> None:
        """The object will not be seen again."""
        stay = self._stays.pop(item, None)
        if stay is not None and stay.inside:
            self._leave(stay)

    def now(self) -> dict[str, int]:
        """Class -> objects inside."""
        counts: dict[str, int] = {}
        for stay in self._stays.values():
            if stay.inside:
                counts[stay.class_name] = counts.get(stay.class_name, 0) + 1
        return counts

    def dwell_s(self, class_name: str) -> float:
        """Median stay in media seconds, of those that are over; 0 where there is none."""
        stays = self._dwell.get(class_name)
        return float(median(stays)) if stays else 0.0

    def _leave(self, stay: _Stay) -> None:
        stays = self._dwell.setdefault(stay.class_name, deque(maxlen=STAYS))
        stays.append(stay.last_s - stay.since_s)
