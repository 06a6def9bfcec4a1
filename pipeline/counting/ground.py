"""Speed on the ground, by a homography from four points whose positions on the ground are known.

The speed of an object is the slope of a least-squares line through the ground positions of its foot point over the last
second. A foot point that jitters by a pixel, far away where a pixel is metres, then does not turn into speed.
"""

from __future__ import annotations

from collections import deque
from math import hypot

import numpy as np

from pipeline.config.schema import GroundConfig
from pipeline.geometry.plane import Floats
from pipeline.geometry.points import Xy
from pipeline.records.state import AttributeState
from pipeline.tracking.observation import Observation

WINDOW_S = 1.0
"""Length of the past over which a speed is measured."""
MIN_SPAN_S = 0.25
MIN_POSITIONS = 3
"""With fewer positions, or within a shorter time, no speed is measured."""
MAX_POSITIONS = 64
"""Positions kept of each object."""
KMH = 3.6
"""km/h in one m/s."""


def homography(points: Floats, places: Floats) -> Floats:
    """The homography that maps four points of the picture to four positions on a plane.

    The inhomogeneous solution of R. Hartley and A. Zisserman, Multiple View Geometry in Computer Vision, 2nd edition,
    section 4.1.2.

    Args:
        points: (4, 2) x y, no three on one line.
        places: (4, 2) x y of the same points on the plane.

    Returns:
        (3, 3) matrix H with H[2, 2] = 1; H (x, y, 1) is the position in homogeneous coordinates.
    """
    rows, right = [], []
    for (x, y), (u, v) in zip(points, places, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    solved = np.linalg.solve(np.array(rows, np.float64), np.array(right, np.float64))
    return np.append(solved, 1.0).reshape(3, 3)


class Ground(AttributeState):
    """Measures the speeds of objects on the ground.

    Args:
        config: the calibration; points are fractions of the frame.
        frame: width and height of the frame in pixels.
    """

    STATE = ("_past",)

    def __init__(self, config: GroundConfig, frame: tuple[int, int]) -> None:
        points = np.array(config.points, np.float64)
        matrix = homography(points, np.array(config.metres, np.float64))
        # The third homogeneous coordinate changes its sign at the horizon: points above it are not on the ground.
        self._sign = 1.0 if (matrix @ np.append(points[0], 1.0))[2] > 0 else -1.0
        self._rows = [(a / frame[0], b / frame[1], c) for a, b, c in matrix.tolist()]
        self._past: dict[int, deque[tuple[float, float, float]]] = {}

    def place_m(self, point: Xy) -> Xy | None:
        """Projects an image point onto the ground plane.

        Args:
            point: x y, pixels of the stream's first frame.

        Returns:
            x y in metres; None above the horizon.
        """
        x, y = point
        u, v, w = (a * x + b * y + c for a, b, c in self._rows)
        return (u / w, v / w) if w * self._sign > 1e-9 else None

    def observe(self, object_id: int, observation: Observation) -> None:
        """Adds an observation, except where the border of the frame cuts the object and hides its foot.

        Args:
            object_id: The object.
            observation: In the order of time.
        """
        place = None if observation.edges else self.place_m(observation.foot)
        if place is None:
            return
        past = self._past.setdefault(object_id, deque(maxlen=MAX_POSITIONS))
        past.append((observation.frame_time.pts_s, *place))
        while past[-1][0] - past[0][0] > WINDOW_S:
            past.popleft()

    def speed_kmh(self, object_id: int, pts_s: float) -> float | None:
        """Speed of an object over the last `WINDOW_S` seconds: slope of a linear fit to its positions.

        Args:
            object_id: The object.
            pts_s: End of the window, media seconds.

        Returns:
            km/h, or None with too few positions.
        """
        past = [row for row in self._past.get(object_id, ()) if pts_s - WINDOW_S <= row[0] <= pts_s]
        if len(past) < MIN_POSITIONS or past[-1][0] - past[0][0] < MIN_SPAN_S:
            return None
        middle = sum(row[0] for row in past) / len(past)
        variation = sum((row[0] - middle) ** 2 for row in past)
        slope = [sum((row[0] - middle) * row[axis] for row in past) / variation for axis in (1, 2)]
        return KMH * hypot(*slope)

    def end(self, object_id: int) -> None:
        """Drops the state of an object that has ended.

        Args:
            object_id: Also one that was never observed.
        """
        self._past.pop(object_id, None)
