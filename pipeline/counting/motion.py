"""Motion of all objects of one stream: constant velocity with uncertainty, in seconds and object sizes.

One Kalman filter for each of centre x, centre y, width and height (Kalman 1960; white-noise acceleration as in
Bar-Shalom, Estimation with Applications to Tracking and Navigation, section 6.2), for all objects at once.
Noise is relative to the object's size, so that near and far objects, small and large frames behave alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.counting.geometry import Floats

POSITION_NOISE = 0.09
"""Standard deviation of a detected centre, in object sizes."""
DOUBT = 1.6
"""How much larger these are for a detection of score 0 than for one of score 1."""
JUMP = 2.0
"""How much larger they are on an axis on which the box changes its length, for each unit of the logarithm."""
SHAPE_NOISE = 0.06
"""Standard deviation of a detected width or height, in object sizes."""
FIRST_SPEED = 1.0
"""Standard deviation of an unknown speed, object sizes per second."""
ACCELERATION = 0.52
"""Change of speed within one second, object sizes per second."""
SHAPE_DRIFT = 0.07
"""Change of width or height within one second, in object sizes."""
COAST_S = 1.8
"""Time over which the speed of an object that is not seen fades."""


def size_of(width: Floats, height: Floats) -> Floats:
    """One length for an object of any shape: about the height of a person, the length of a car."""
    result: Floats = 1.5 * np.sqrt(np.maximum(width * height, 1.0))
    return result


class Motion:
    """State of all objects; each has a row from `add` until `drop`.

    Attributes:
        place: (R, 4) float64, centre x, centre y, width, height, pixels.
        speed: (R, 4) float64, their change in one second.
        spread: (R, 4) float64, variance of `place`.
    """

    def __init__(self) -> None:
        self.place = np.zeros((64, 4))
        self.speed = np.zeros((64, 4))
        self.spread = np.ones((64, 4))
        self._mixed = np.zeros((64, 4))
        self._speed_spread = np.zeros((64, 4))
        self._coasting = np.zeros(64, np.bool_)
        self._used = np.zeros(64, np.bool_)

    def add(self, measured: Floats) -> int:
        """A new object at `measured` (4,); returns its row."""
        free = np.flatnonzero(~self._used)
        if not len(free):
            self._grow()
            free = np.flatnonzero(~self._used)
        row = int(free[0])
        size = float(size_of(measured[2], measured[3]))
        self._used[row] = True
        self._coasting[row] = False
        self.place[row] = measured
        self.speed[row] = 0.0
        self.spread[row] = _noise(np.array([size]))[0]
        self._mixed[row] = 0.0
        self._speed_spread[row] = (
            np.array([FIRST_SPEED, FIRST_SPEED, SHAPE_DRIFT, SHAPE_DRIFT]) ** 2 * size**2
        )
        return row

    def drop(self, row: int) -> None:
        self._used[row] = False

    def advance(self, dt_s: float) -> None:
        """Moves every object on by `dt_s` seconds."""
        size = size_of(self.place[:, 2], self.place[:, 3])[:, None]
        drive = (np.array([ACCELERATION, ACCELERATION, SHAPE_DRIFT, SHAPE_DRIFT]) * size) ** 2
        self.place += self.speed * dt_s
        self.place[:, 2:] = np.maximum(self.place[:, 2:], 1.0)
        self.spread += 2 * dt_s * self._mixed + dt_s**2 * self._speed_spread + drive * dt_s**3 / 3
        self._mixed += dt_s * self._speed_spread + drive * dt_s**2 / 2
        self._speed_spread += drive * dt_s
        fade = np.exp(-dt_s / COAST_S)
        self.speed[self._coasting] *= fade
        self.speed[:, 2:] *= fade
        self._coasting[:] = True

    def correct(self, rows: NDArray[np.int64], measured: Floats, scores: Floats) -> None:
        """Takes one measurement for each of `rows` (K,) into account.

        Args:
            measured: (K, 4), as `place`.
            scores: (K,), 0..1: a doubtful detection, often of an object half hidden, moves the object less.
        """
        noise = _noise(size_of(measured[:, 2], measured[:, 3])) * (1 + DOUBT * (1 - scores))[:, None] ** 2
        jump = np.abs(np.log(np.maximum(measured[:, 2:], 1.0) / self.place[rows, 2:]))
        noise[:, :2] *= (1 + JUMP * jump) ** 2
        total = self.spread[rows] + noise
        gain, speed_gain = self.spread[rows] / total, self._mixed[rows] / total
        error = measured - self.place[rows]
        self.place[rows] += gain * error
        self.speed[rows] += speed_gain * error
        self._speed_spread[rows] -= speed_gain * self._mixed[rows]
        self._mixed[rows] -= gain * self._mixed[rows]
        self.spread[rows] -= gain * self.spread[rows]
        self._coasting[rows] = False

    def _grow(self) -> None:
        for name in ("place", "speed", "spread", "_mixed", "_speed_spread", "_coasting", "_used"):
            old: NDArray[np.generic] = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.zeros_like(old)]))


def _noise(size: Floats) -> Floats:
    """(K,) sizes -> (K, 4) variances."""
    noise: Floats = (
        np.array([POSITION_NOISE, POSITION_NOISE, SHAPE_NOISE, SHAPE_NOISE]) * size[:, None]
    ) ** 2
    return noise


def measurements(boxes_px: Floats) -> Floats:
    """Boxes (N, 4) x0 y0 x1 y1 -> (N, 4) centre x, centre y, width, height (1 pixel at least)."""
    size = boxes_px[:, 2:] - boxes_px[:, :2]
    return np.concatenate([boxes_px[:, :2] + size / 2, np.maximum(size, 1.0)], axis=1)


def boxes(place: Floats) -> Floats:
    """The other way round."""
    return np.concatenate([place[:, :2] - place[:, 2:] / 2, place[:, :2] + place[:, 2:] / 2], axis=1)
