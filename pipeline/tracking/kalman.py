"""Motion of all objects of one stream: constant velocity with uncertainty, in seconds and object sizes.

One Kalman filter for each of centre x, centre y, width and height (Kalman 1960; white-noise acceleration as in
Bar-Shalom, Estimation with Applications to Tracking and Navigation, section 6.2), for all objects at once.
Noise is relative to the object's size, so that near and far objects, small and large frames behave alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.plane import Floats
from pipeline.tracking.appearance_memory import TrackAppearances
from pipeline.tracking.camera import CameraTransform

POSITION_NOISE = 0.091
"""Standard deviation of a detected centre, in object sizes."""
LOW_SCORE_NOISE = 1.9
"""How much larger these are for a detection of score 0 than for one of score 1."""
SHAPE_CHANGE_NOISE = 2.0
"""How much larger they are on an axis on which the box changes its length, for each unit of the logarithm."""
SHAPE_NOISE = 0.06
"""Standard deviation of a detected width or height, in object sizes."""
INITIAL_SPEED = 2.0
"""Standard deviation of an unknown velocity, object sizes per second."""
ACCELERATION = 0.52
"""Change of velocity within one second, object sizes per second."""
SHAPE_DRIFT = 0.07
"""Change of width or height within one second, in object sizes."""
COAST_S = 1.6
"""Time over which the velocity of an object that is not seen fades."""

_MEASUREMENT_NOISE = np.array([POSITION_NOISE, POSITION_NOISE, SHAPE_NOISE, SHAPE_NOISE]) ** 2
_INITIAL_VARIANCE = np.array([INITIAL_SPEED, INITIAL_SPEED, SHAPE_DRIFT, SHAPE_DRIFT]) ** 2
_PROCESS_NOISE = np.array([ACCELERATION, ACCELERATION, SHAPE_DRIFT, SHAPE_DRIFT]) ** 2


def area_of(place: Floats) -> Floats:
    """(N, 4) places -> (N, 1) squares of the objects' sizes. The size of an object of any shape is one length:
    about the height of a person, the length of a car."""
    result: Floats = 2.25 * np.maximum(place[:, 2:3] * place[:, 3:4], 1.0)
    return result


class KalmanFilter:
    """State of all objects, one row each.

    Attributes:
        mean: (N, 4) float64, centre x, centre y, width, height, pixels.
        velocity: (N, 4) float64, their change in one second.
        spread: (N, 4) float64, variance of `mean`.
        looks: what they look like.
    """

    def __init__(self) -> None:
        self.mean = np.zeros((0, 4))
        self.velocity = np.zeros((0, 4))
        self.variance = np.zeros((0, 4))
        self._cross_covariance = np.zeros((0, 4))
        self._velocity_variance = np.zeros((0, 4))
        self._coasting = np.zeros(0, np.bool_)
        self.appearances = TrackAppearances()

    def add(self, measured: Floats) -> None:
        """New objects at `measured` (K, 4), in rows after the others."""
        area = area_of(measured)
        nothing = np.zeros_like(measured)
        self.mean = np.concatenate([self.mean, measured])
        self.velocity = np.concatenate([self.velocity, nothing])
        self.variance = np.concatenate([self.variance, _MEASUREMENT_NOISE * area])
        self._cross_covariance = np.concatenate([self._cross_covariance, nothing])
        self._velocity_variance = np.concatenate([self._velocity_variance, _INITIAL_VARIANCE * area])
        self.appearances.add(len(measured))
        self._coasting = np.concatenate([self._coasting, np.zeros(len(measured), np.bool_)])

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Forgets the objects whose `rows` (N,) are False; the others move up."""
        self.mean, self.velocity, self.variance = self.mean[rows], self.velocity[rows], self.variance[rows]
        self._cross_covariance, self._velocity_variance = (
            self._cross_covariance[rows],
            self._velocity_variance[rows],
        )
        self._coasting = self._coasting[rows]
        self.appearances.keep(rows)

    def predict(self, dt_s: float) -> None:
        """Moves every object on by `dt_s` seconds."""
        drive = _PROCESS_NOISE * area_of(self.mean)
        self.mean += self.velocity * dt_s
        np.maximum(self.mean[:, 2:], 1.0, out=self.mean[:, 2:])
        self.variance += (
            2 * dt_s * self._cross_covariance + dt_s**2 * self._velocity_variance + drive * (dt_s**3 / 3)
        )
        self._cross_covariance += dt_s * self._velocity_variance + drive * (dt_s**2 / 2)
        self._velocity_variance += drive * dt_s
        fade = np.exp(-dt_s / COAST_S)
        self.velocity[:, 2:] *= fade
        if self._coasting.any():
            self.velocity[self._coasting] *= fade
        self._coasting[:] = True

    def camera_transform(self, camera_transform: CameraTransform) -> None:
        """The camera has moved: every place, size and velocity in the pixels of the new frame."""
        scale = camera_transform.scale
        self.mean[:, :2] = camera_transform.points(self.mean[:, :2])
        self.velocity[:, :2] = camera_transform.vectors(self.velocity[:, :2])
        self.mean[:, 2:] *= scale
        self.velocity[:, 2:] *= scale
        for variance in (self.variance, self._cross_covariance, self._velocity_variance):
            variance[:, :2] = camera_transform.variances(variance[:, :2])
            variance[:, 2:] *= scale**2

    def update(self, rows: NDArray[np.int64], measured: Floats, scores: Floats) -> None:
        """Takes one measurement for each of `rows` (K,) into account.

        Args:
            measured: (K, 4), as `mean`.
            scores: (K,), 0..1: a doubtful detection, often of an object half hidden, moves the object less.
        """
        mean, variance, mixed = self.mean[rows], self.variance[rows], self._cross_covariance[rows]
        noise = _MEASUREMENT_NOISE * area_of(measured) * ((1 + LOW_SCORE_NOISE * (1 - scores)) ** 2)[:, None]
        noise[:, :2] *= (1 + SHAPE_CHANGE_NOISE * np.abs(np.log(measured[:, 2:] / mean[:, 2:]))) ** 2
        total = variance + noise
        gain, velocity_gain = variance / total, mixed / total
        error = measured - mean
        self.mean[rows] = mean + gain * error
        self.velocity[rows] += velocity_gain * error
        self._velocity_variance[rows] -= velocity_gain * mixed
        self._cross_covariance[rows] = mixed - gain * mixed
        self.variance[rows] = variance - gain * variance
        self._coasting[rows] = False


def measurements(boxes_px: Floats) -> Floats:
    """Boxes (N, 4) x0 y0 x1 y1 -> (N, 4) centre x, centre y, width, height (1 pixel at least)."""
    result = np.empty_like(boxes_px)
    size = boxes_px[:, 2:] - boxes_px[:, :2]
    result[:, :2] = boxes_px[:, :2] + size / 2
    np.maximum(size, 1.0, out=result[:, 2:])
    return result


def boxes(place: Floats) -> Floats:
    """The other way round."""
    result = np.empty_like(place)
    half = place[:, 2:] / 2
    result[:, :2] = place[:, :2] - half
    result[:, 2:] = place[:, :2] + half
    return result
