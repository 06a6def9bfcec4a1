"""Noise and speed of the objects of one stream, learnt from how well they were predicted.

A Kalman filter needs the variance of its measurements (R) and of the acceleration (Q). Both differ by a factor of ten
between detectors and between kinds of objects: walkers seen by a shaky detector, cars seen from a car. If they are
right, normalised innovations have variance 1 and are uncorrelated in time (Mehra, On the identification of variances
and adaptive Kalman filtering, IEEE Trans. Automatic Control, 1970). Variances above 1 say that R and Q are too small
together; innovations that keep their sign say that the filter is too slow (Q too small beside R), those that
alternate that it follows the noise (Q too large beside R). The statistics are pooled over all tracks of a stream, so
that a few seconds tell enough.
"""

from __future__ import annotations

import numpy as np

from pipeline.geometry.plane import Floats
from pipeline.records.state import AttributeState

POSITION_NOISE = 0.05
"""Standard deviation of a detected centre, in object sizes, before anything is learnt."""
SHAPE_NOISE = 0.04
"""Standard deviation of a detected width or height, in object sizes."""
ACCELERATION = 0.7
"""Change of velocity within one second, object sizes per second."""
SHAPE_ACCELERATION = 0.12
"""Change of the rate of growth within one second, in object sizes per second."""
INITIAL_SPEED = 3.0
"""Standard deviation of an unknown velocity, object sizes per second."""
INITIAL_GROWTH = 0.3
"""Standard deviation of an unknown rate of growth, object sizes per second."""

PRIOR_WEIGHT = 150.0
"""Innovations after which what was learnt weighs as much as what was assumed."""
MEMORY = 4000.0
"""Innovations over which is learnt, about: scenes change."""
STEP = 1.0
"""How fast logarithms of the variances follow the statistics."""
MAX_LOG_FACTOR = 3.0
"""Bounds of what is learnt: the variances change by at most this in the logarithm, a factor of 20."""
MAX_STEP = 0.5
"""The most by which a logarithm changes at once."""
BATCH = 32
"""Innovations that are collected before the variances follow them."""
MAX_INNOVATION = 3.0
"""Normalised innovations are cut off there: occlusions and wrong links are no noise."""
_CLIPPED_VARIANCE = 0.97
"""Variance of a standard normal variable that is cut off at `MAX_INNOVATION`."""


class StreamNoise(AttributeState):
    """Variances of one stream, as shares of the squared object size.

    Attributes:
        measurement: (4,) variance R of centre x, centre y, width, height.
        process: (4,) variance Q of the change of their velocities within one second.
        initial: (4,) variance of unknown velocities, per second squared.
    """

    STATE = (
        "_seen",
        "_squares",
        "_products",
        "_count",
        "_log_measurement",
        "_log_process",
        "measurement",
        "process",
    )

    def __init__(self) -> None:
        self.initial = np.array([INITIAL_SPEED, INITIAL_SPEED, INITIAL_GROWTH, INITIAL_GROWTH]) ** 2
        self._seen = 0.0
        self._squares, self._products, self._count = np.zeros(2), np.zeros(2), 0
        self._log_measurement = np.zeros(2)
        self._log_process = np.zeros(2)
        self._set()

    def learn(self, innovations: Floats, before: Floats) -> None:
        """Takes what was measured of steady tracks into account.

        Args:
            innovations: (K, 4) differences of measurement and prediction, in standard deviations of that difference.
            before: (K, 4) the same of the same tracks one frame earlier.
        """
        now = np.minimum(np.maximum(innovations, -MAX_INNOVATION), MAX_INNOVATION)
        then = np.minimum(np.maximum(before, -MAX_INNOVATION), MAX_INNOVATION)
        # position and shape are two groups of two axes each
        self._squares += np.add.reduce(np.add.reduce(now * now).reshape(2, 2), axis=1)
        self._products += np.add.reduce(np.add.reduce(now * then).reshape(2, 2), axis=1)
        self._count += 2 * len(innovations)
        if self._count >= BATCH:
            self._step()

    def _step(self) -> None:
        """Moves the variances by the statistics collected so far."""
        surprise = self._squares / (self._count * _CLIPPED_VARIANCE) - 1
        lag = self._products / self._count
        self._seen = min(self._seen + self._count, MEMORY)
        gain = STEP * self._count / (PRIOR_WEIGHT + self._seen)
        for log, step in (
            (self._log_measurement, surprise - 2 * lag),
            (self._log_process, surprise + 2 * lag),
        ):
            log += np.clip(gain * step, -MAX_STEP, MAX_STEP)
            np.clip(log, -MAX_LOG_FACTOR, MAX_LOG_FACTOR, out=log)
        self._squares, self._products, self._count = np.zeros(2), np.zeros(2), 0
        self._set()

    def _set(self) -> None:
        noise = np.array([POSITION_NOISE, SHAPE_NOISE]) ** 2 * np.exp(self._log_measurement)
        process = np.array([ACCELERATION, SHAPE_ACCELERATION]) ** 2 * np.exp(self._log_process)
        self.measurement: Floats = np.repeat(noise, 2)
        self.process: Floats = np.repeat(process, 2)
