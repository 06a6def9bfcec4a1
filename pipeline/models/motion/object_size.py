"""The size of a single upright object as a function of its foot position, learnt from objects that move alone."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_SAMPLES = 600
"""Objects remembered; the oldest is dropped first."""
MIN_SAMPLES = 40
"""Objects needed before a size is given."""
REFIT_EVERY = 20
"""New objects between two fits."""
UPRIGHT = (1.4, 4.5)
"""Height over width of a person who walks alone."""
MAX_ERROR = 0.15
"""Median relative error of the heights above which the objects are not of one kind."""


@dataclass(frozen=True, slots=True)
class ObjectSize:
    """Size of one object, in pixels of the foreground mask.

    Attributes:
        width: with arms and stride.
        height: from head to foot.
        area: of its mask.
    """

    width: float
    height: float
    area: float


class ObjectSizeModel:
    """Height as a linear function of the row of the feet.

    That is the perspective of a flat ground plane (Hoiem et al., Putting Objects in Perspective, 2006).
    """

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float, float, float]] = deque(maxlen=MAX_SAMPLES)
        self._new = 0
        self._line: tuple[float, float] | None = None
        self._height_limits = (0.0, 0.0)
        self._shape = (0.0, 0.0)
        """Width over height, and area over the square of the height."""

    def add(self, foot: float, width: float, height: float, area: float) -> None:
        """Adds an object that touches no border. Objects that are not upright are ignored.

        Args:
            foot: row it stands on.
            width: pixels.
            height: pixels.
            area: pixels.
        """
        if not UPRIGHT[0] <= height / width <= UPRIGHT[1]:
            return
        self._samples.append((foot, width, height, area))
        self._new += 1
        if self._new >= REFIT_EVERY and len(self._samples) >= MIN_SAMPLES:
            self._new = 0
            self._fit(np.array(self._samples))

    def size_at(self, foot: float) -> ObjectSize | None:
        """Expected size of one object.

        Args:
            foot: Row of its feet, pixels of the mask.

        Returns:
            Its size; None before the model is fitted.
        """
        if self._line is None:
            return None
        height = float(np.clip(self._line[0] + self._line[1] * foot, *self._height_limits))
        return ObjectSize(self._shape[0] * height, height, self._shape[1] * height * height)

    def _fit(self, samples: NDArray[np.float64]) -> None:
        foot, width, height, area = samples.T
        low, high = np.percentile(height, (5, 95))
        slope, intercept = _fit_line(foot, height)
        expected = np.clip(intercept + slope * foot, 0.8 * low, 1.2 * high)
        error = np.abs(height - expected) / expected
        if np.median(error) > MAX_ERROR:
            self._line = None
            return
        inliers = error < 2 * MAX_ERROR
        self._line, self._height_limits = (intercept, slope), (0.8 * low, 1.2 * high)
        # Groups are wider than single people, so the lower percentiles belong to single people.
        self._shape = (
            float(np.percentile(width[inliers] / height[inliers], 40)),
            float(np.percentile(area[inliers] / height[inliers] ** 2, 40)),
        )


def _fit_line(x: NDArray[np.float64], y: NDArray[np.float64], rounds: int = 8) -> tuple[float, float]:
    """Slope and intercept of the line of least absolute error, by iteratively reweighted least squares.

    Where `x` spreads too little for a slope, the line is level.
    """
    if np.subtract(*np.percentile(x, (90, 10))) < 0.5 * np.median(y):
        return 0.0, float(np.median(y))
    weight = np.ones(len(x))
    slope = intercept = 0.0
    for _ in range(rounds):
        slope, intercept = (float(value) for value in np.polyfit(x, y, 1, w=np.sqrt(weight)))
        weight = 1.0 / np.maximum(np.abs(y - slope * x - intercept), 0.02 * np.median(y))
    return slope, intercept
