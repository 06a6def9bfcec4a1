"""Motion of all objects of one stream: constant velocity with uncertainty, in seconds and object sizes.

One Kalman filter for each of centre x, centre y, width and height (Kalman 1960; white-noise acceleration as in
Bar-Shalom, Estimation with Applications to Tracking and Navigation, section 6.2), for all objects at once.
Noise is relative to the object's size, so that near and far objects, small and large frames behave alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.plane import Floats
from pipeline.records.state import AttributeState
from pipeline.tracking.appearance_memory import TrackAppearances
from pipeline.tracking.border import outward_steps
from pipeline.tracking.camera import CameraTransform
from pipeline.tracking.noise import StreamNoise

LOW_SCORE_FACTOR = 1.9
"""By how much the standard deviation of a detection of score 0 is larger than that of one of score 1, as a factor."""
LOW_SCORE_NOISE = 0.1
"""And by how much in object sizes."""
POSITION_NOISE_PER_CHANGE = 0.15
SHAPE_NOISE_PER_CHANGE = 0.1
"""Standard deviation on an axis on which the box changes its length, for each unit of the logarithm, in object sizes:
what is half hidden moves its box, not itself."""
COAST_S = 1.6
"""Time constant with which the velocity of an object that is not seen decays."""
GROWTH_FADE_S = 1.6
"""Time constant with which a rate of growth decays."""
MAX_GROWTH_STEP = 1.3
"""Largest factor by which perspective changes a velocity in one step, before it is squared."""

_NOISE_PER_CHANGE = np.array([POSITION_NOISE_PER_CHANGE] * 2 + [SHAPE_NOISE_PER_CHANGE] * 2)


def area_of(place: Floats) -> Floats:
    """Squared sizes of objects; the size of an object of any shape is one length, about the height of a person or the
    length of a car.

    Args:
        place: (N, 4) centre x y, width and height, pixels.

    Returns:
        (N, 1), squared pixels.
    """
    result: Floats = 2.25 * np.maximum(place[:, 2:3] * place[:, 3:4], 1.0)
    return result


class KalmanFilter(AttributeState):
    """State of all objects, one row each.

    Attributes:
        mean: (N, 4) float64, centre x, centre y, width, height, pixels.
        velocity: (N, 4) float64, their change in one second.
        variance: (N, 4) float64, of `mean`.
        appearances: of the objects.
    """

    STATE = (
        "mean",
        "velocity",
        "variance",
        "_cross_covariance",
        "_velocity_variance",
        "_coasting",
        "_innovation",
        "_cut",
        "_step_s",
        "noise",
        "appearances",
    )

    def __init__(self) -> None:
        self.mean = np.zeros((0, 4))
        self.velocity = np.zeros((0, 4))
        self.variance = np.zeros((0, 4))
        self._cross_covariance = np.zeros((0, 4))
        self._velocity_variance = np.zeros((0, 4))
        self._coasting = np.zeros(0, np.bool_)
        self._innovation = np.full((0, 4), np.nan)
        self._cut = np.zeros(0, np.bool_)
        self._step_s = 0.0
        self.noise = StreamNoise()
        self.appearances = TrackAppearances()

    def add(self, measured: Floats) -> None:
        """Adds objects, in rows after the others.

        Args:
            measured: (K, 4) centre x y, width and height of their first observations, pixels.
        """
        area = area_of(measured)
        nothing = np.zeros_like(measured)
        self.mean = np.concatenate([self.mean, measured])
        self.velocity = np.concatenate([self.velocity, nothing])
        self.variance = np.concatenate([self.variance, self.noise.measurement * area])
        self._cross_covariance = np.concatenate([self._cross_covariance, nothing])
        self._velocity_variance = np.concatenate([self._velocity_variance, self.noise.initial * area])
        self.appearances.add(len(measured))
        self._innovation = np.concatenate([self._innovation, np.full_like(measured, np.nan)])
        self._cut = np.concatenate([self._cut, np.zeros(len(measured), np.bool_)])
        self._coasting = np.concatenate([self._coasting, np.zeros(len(measured), np.bool_)])

    def keep(self, rows: NDArray[np.bool_]) -> None:
        """Drops objects.

        Args:
            rows: (N,) bool: those that stay.
        """
        self.mean, self.velocity, self.variance = self.mean[rows], self.velocity[rows], self.variance[rows]
        self._cross_covariance, self._velocity_variance = (
            self._cross_covariance[rows],
            self._velocity_variance[rows],
        )
        self._coasting = self._coasting[rows]
        self._innovation = self._innovation[rows]
        self._cut = self._cut[rows]
        self.appearances.keep(rows)

    def predict(self, dt_s: float) -> None:
        """Prediction step for all objects: constant velocity, corrected for perspective; that of unobserved objects and
        the rates of size decay. The variance of the process noise is in proportion to the squared size.

        Args:
            dt_s: Seconds.
        """
        self._step_s = dt_s
        drive = self.noise.process * area_of(self.mean)
        factor = self._perspective(dt_s)
        self.mean += self.velocity * dt_s * factor
        self.velocity *= factor * factor
        np.maximum(self.mean[:, 2:], 1.0, out=self.mean[:, 2:])
        self.variance += (
            2 * dt_s * self._cross_covariance + dt_s**2 * self._velocity_variance + drive * (dt_s**3 / 3)
        )
        self._cross_covariance += dt_s * self._velocity_variance + drive * (dt_s**2 / 2)
        self._velocity_variance += drive * dt_s
        self.velocity[:, 2:] *= np.exp(-dt_s / GROWTH_FADE_S)
        if self._coasting.any():
            self.velocity[self._coasting] *= np.exp(-dt_s / COAST_S)
            self._innovation[self._coasting] = np.nan
        self._coasting[:] = True

    def expected(self, rows: NDArray[Any], dt_s: float) -> Floats:
        """Predicts boxes; the state does not change.

        Args:
            rows: (K,) rows.
            dt_s: Seconds from now.

        Returns:
            (K, 4) x0 y0 x1 y1, pixels.
        """
        return boxes(self.mean[rows] + dt_s * self.velocity[rows])

    def leaving(self, rows: Any, edges: NDArray[np.bool_]) -> Floats:
        """How far objects have moved out over the borders that cut them since the last frame, as
        `border.outward_steps`.

        Args:
            rows: (K,) rows.
            edges: (K, 4) bool: the left, top, right and bottom borders that cut them.

        Returns:
            (K, 4), pixels.
        """
        return outward_steps(self.velocity[rows, :2], self._velocity_variance[rows, :2], edges, self._step_s)

    def _perspective(self, dt_s: float) -> Floats:
        """(N, 1) by how much perspective makes velocities larger over `dt_s`, on the way.

        What comes nearer at constant speed has 1 / size linear in time, and its place linear in its size (a pinhole
        camera): place and size accelerate by twice the rate of growth. The rate is shrunk by its uncertainty (James
        and Stein 1961), so that the noise of the boxes of what keeps its distance does not count.
        """
        rates = self.velocity[:, 2:] / self.mean[:, 2:]
        variances = self._velocity_variance[:, 2:] / (self.mean[:, 2:] * self.mean[:, 2:])
        rate = (rates[:, 0] + rates[:, 1]) / 2
        variance = (variances[:, 0] + variances[:, 1]) / 4
        rate *= ~self._cut
        rate *= np.maximum(1 - variance / np.maximum(rate * rate, 1e-12), 0.0)
        factor: Floats = np.minimum(np.maximum(1 + dt_s * rate, 1 / MAX_GROWTH_STEP), MAX_GROWTH_STEP)[
            :, None
        ]
        return factor

    def camera_transform(self, camera_transform: CameraTransform) -> None:
        """Converts all states to the pixels of the next frame.

        Args:
            camera_transform: Maps pixels of the last frame to pixels of the next one.
        """
        scale = camera_transform.scale
        self.mean[:, :2] = camera_transform.points(self.mean[:, :2])
        self.velocity[:, :2] = camera_transform.vectors(self.velocity[:, :2])
        self.mean[:, 2:] *= scale
        self.velocity[:, 2:] *= scale
        for variance in (self.variance, self._cross_covariance, self._velocity_variance):
            variance[:, :2] = camera_transform.variances(variance[:, :2])
            variance[:, 2:] *= scale**2

    def update(
        self, rows: NDArray[np.int64], measured: Floats, scores: Floats, edges: NDArray[np.bool_]
    ) -> None:
        """Takes one measurement for each of `rows` (K,) into account.

        Where one border of the frame cuts a box, the edge on the other side is what is measured of the object's
        motion: the box grows as the object comes in, and its centre moves at half the object's velocity.

        Args:
            measured: (K, 4), as `mean`.
            scores: (K,), 0..1: a doubtful detection, often of an object half hidden, moves the object less.
            edges: (K, 4) whether the box touches the left, top, right, bottom border of the frame.
        """
        mean, variance, mixed = self.mean[rows], self.variance[rows], self._cross_covariance[rows]
        change = np.abs(np.log(measured[:, 2:] / mean[:, 2:]))
        side = (
            edges[:, :2].astype(np.float64) - edges[:, 2:]
        )  # of the free edge: 1 right, -1 left, 0 neither is free
        cut = side != 0
        change[cut] = 0.0
        weak = (1 - scores)[:, None]
        sd = np.concatenate([change, change], axis=1) * _NOISE_PER_CHANGE + np.sqrt(self.noise.measurement)
        sd = sd * (1 + LOW_SCORE_FACTOR * weak) + LOW_SCORE_NOISE * weak
        total = variance + sd * sd * area_of(measured)
        gain, velocity_gain = variance / total, mixed / total
        error = measured - mean
        error[:, :2] += side / 2 * error[:, 2:]
        self._learn(rows, error / np.sqrt(total))
        self.mean[rows] = mean + gain * error
        self.velocity[rows] += velocity_gain * error
        self._velocity_variance[rows] -= velocity_gain * mixed
        self._cross_covariance[rows] = mixed - gain * mixed
        self.variance[rows] = variance - gain * variance
        self._coasting[rows] = False
        self._cut[rows] = edges.any(axis=1)
        if cut.any():
            self._take_size(rows, mean, measured, side)

    def _take_size(self, rows: NDArray[np.int64], before: Floats, measured: Floats, side: Floats) -> None:
        """Sizes along axes on which a border cuts the box: what is to be seen now. They tell of no growth.

        Args:
            before: (K, 4) `mean` before the update.
            side: (K, 2) where the free edge is: 1 at the larger coordinate, -1 at the smaller one, 0 not cut.
        """
        row, axis = side.nonzero()
        at, place = rows[row], side[row, axis] / 2
        self.mean[at, axis] -= place * (measured[row, 2 + axis] - before[row, 2 + axis])
        self.mean[at, 2 + axis] = measured[row, 2 + axis]
        self.velocity[at, 2 + axis] = 0.0
        area = area_of(self.mean[at])[:, 0]
        self.variance[at, 2 + axis] = self.noise.measurement[2 + axis] * area
        self._cross_covariance[at, 2 + axis] = 0.0
        self._velocity_variance[at, 2 + axis] = self.noise.initial[2 + axis] * area
        self._innovation[at] = np.nan

    def _learn(self, rows: NDArray[np.int64], innovation: Floats) -> None:
        """Noise of the stream, by what was not predicted of tracks that were seen in the last frame, too."""
        before = self._innovation[rows]
        self._innovation[rows] = innovation
        steady = before[:, 0] == before[:, 0]  # not NaN
        if steady.any():
            # by rows: the sums are the same whatever the order of the pairs
            order = np.argsort(rows)
            order = order[steady[order]]
            self.noise.learn(innovation[order], before[order])


def measurements(boxes_px: Floats) -> Floats:
    """Boxes as measurements.

    Args:
        boxes_px: (N, 4) x0 y0 x1 y1, pixels.

    Returns:
        (N, 4) centre x y, width and height; both are 1 pixel at least.
    """
    result = np.empty_like(boxes_px)
    size = boxes_px[:, 2:] - boxes_px[:, :2]
    result[:, :2] = boxes_px[:, :2] + size / 2
    np.maximum(size, 1.0, out=result[:, 2:])
    return result


def boxes(place: Floats) -> Floats:
    """Inverse of `measurements`.

    Args:
        place: (N, 4) centre x y, width and height, pixels.

    Returns:
        (N, 4) x0 y0 x1 y1.
    """
    result = np.empty_like(place)
    half = place[:, 2:] / 2
    result[:, :2] = place[:, :2] - half
    result[:, 2:] = place[:, :2] + half
    return result
