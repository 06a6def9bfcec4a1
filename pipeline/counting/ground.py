"""Speed on the ground: pictures of four points with known places give the plane's perspective.

The speed of an object is the slope of its foot point on the ground over the last second, by least squares, so
that a foot point that shakes by a pixel does not make a racing car of a lorry.
"""

from __future__ import annotations

from collections import deque
from math import hypot

import numpy as np

from pipeline.config.schema import GroundConfig
from pipeline.geometry.plane import Floats
from pipeline.geometry.points import Xy
from pipeline.tracking.observation import Observation

WINDOW_S = 1.0
"""How much of the past a speed is measured over."""
LEAST_S = 0.25
"""Of less no speed is told."""
LEAST_SEEN = 3
MOST_SEEN = 64
"""Positions kept of each object."""
KMH = 3.6


def homography(points: Floats, places: Floats) -> Floats:
    """The perspective that maps four points of the picture to four places (Hartley and Zisserman, 4.1).

    Args:
        points: (4, 2), no three on one line.
        places: (4, 2), as `points`.

    Returns:
        (3, 3).
    """
    rows, right = [], []
    for (x, y), (u, v) in zip(points, places, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    solved = np.linalg.solve(np.array(rows, np.float64), np.array(right, np.float64))
    return np.append(solved, 1.0).reshape(3, 3)


class Ground:
    """Follows every object on the ground.

    Args:
        config: the calibration, in relative coordinates.
        frame: width and height in pixels.
    """

    def __init__(self, config: GroundConfig, frame: tuple[int, int]) -> None:
        points = np.array(config.points, np.float64)
        matrix = homography(points, np.array(config.metres, np.float64))
        # what lies on the other side of the horizon has the other sign
        self._sign = 1.0 if (matrix @ np.append(points[0], 1.0))[2] > 0 else -1.0
        self._rows = [(a / frame[0], b / frame[1], c) for a, b, c in matrix.tolist()]
        self._past: dict[int, deque[tuple[float, float, float]]] = {}

    def place_m(self, point: Xy) -> Xy | None:
        """Where a point of the picture, pixels, lies on the ground, metres; None above the horizon."""
        x, y = point
        u, v, w = (a * x + b * y + c for a, b, c in self._rows)
        return (u / w, v / w) if w * self._sign > 1e-9 else None

    def observe(self, object_id: int, observation: Observation) -> None:
        """The next sighting of an object. What the border of the frame cuts has no foot point to be measured."""
        place = None if observation.edges else self.place_m(observation.foot)
        if place is None:
            return
        past = self._past.setdefault(object_id, deque(maxlen=MOST_SEEN))
        past.append((observation.frame_time.pts_s, *place))
        while past[-1][0] - past[0][0] > WINDOW_S:
            past.popleft()

    def speed_kmh(self, object_id: int, pts_s: float) -> float | None:
        """Speed of an object at its sighting `pts_s`; None where too little of it was seen lately."""
        past = [row for row in self._past.get(object_id, ()) if pts_s - WINDOW_S <= row[0] <= pts_s]
        if len(past) < LEAST_SEEN or past[-1][0] - past[0][0] < LEAST_S:
            return None
        middle = sum(row[0] for row in past) / len(past)
        spread = sum((row[0] - middle) ** 2 for row in past)
        slope = [sum((row[0] - middle) * row[axis] for row in past) / spread for axis in (1, 2)]
        return KMH * hypot(*slope)

    def end(self, object_id: int) -> None:
        """The object will not be seen again."""
        self._past.pop(object_id, None)
