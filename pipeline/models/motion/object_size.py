"""How large one upright object is where it stands, learnt from the objects that walk alone."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SAMPLES = 600
"""Objects remembered; the oldest is forgotten first."""
ENOUGH = 40
"""Objects seen before anything is said."""
REFIT = 20
"""New objects between two fits."""
UPRIGHT = (1.4, 4.5)
"""Height over width of somebody who walks alone."""
AGREE = 0.15
"""Median relative error of the heights, above which the objects are not of one kind."""


@dataclass(frozen=True, slots=True)
class Size:
    """Of one object, in pixels of the mask: width with arms and stride, height, area of its mask."""

    width: float
    height: float
    area: float


class Sizes:
    """Heights as a straight line over the row of the feet: the perspective of flat ground (Hoiem et al., 2006)."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, float, float, float]] = deque(maxlen=SAMPLES)
        self._new = 0
        self._line: tuple[float, float] | None = None
        self._limits = (0.0, 0.0)
        self._shape = (0.0, 0.0)

    def add(self, foot: float, width: float, height: float, area: float) -> None:
        """An object that stands on the row `foot` and touches no border. Those that are not upright are left out."""
        if not UPRIGHT[0] <= height / width <= UPRIGHT[1]:
            return
        self._seen.append((foot, width, height, area))
        self._new += 1
        if self._new >= REFIT and len(self._seen) >= ENOUGH:
            self._new = 0
            self._fit(np.array(self._seen))

    def at(self, foot: float) -> Size | None:
        """Of one object that stands on the row `foot`; None while that is not known."""
        if self._line is None:
            return None
        height = float(np.clip(self._line[0] + self._line[1] * foot, *self._limits))
        return Size(self._shape[0] * height, height, self._shape[1] * height * height)

    def _fit(self, seen: NDArray[np.float64]) -> None:
        foot, width, height, area = seen.T
        low, high = np.percentile(height, (5, 95))
        slope, level = _line_through(foot, height)
        expected = np.clip(level + slope * foot, 0.8 * low, 1.2 * high)
        error = np.abs(height - expected) / expected
        if np.median(error) > AGREE:
            self._line = None
            return
        alone = error < 2 * AGREE
        self._line, self._limits = (level, slope), (0.8 * low, 1.2 * high)
        # Those that walk together are wider: the narrower half is alone.
        self._shape = (
            float(np.percentile(width[alone] / height[alone], 40)),
            float(np.percentile(area[alone] / height[alone] ** 2, 40)),
        )


def _line_through(x: NDArray[np.float64], y: NDArray[np.float64], rounds: int = 8) -> tuple[float, float]:
    """Slope and level of the line with the least absolute error, by reweighted least squares."""
    if np.subtract(*np.percentile(x, (90, 10))) < 0.5 * np.median(y):
        return 0.0, float(np.median(y))
    weight = np.ones(len(x))
    slope = level = 0.0
    for _ in range(rounds):
        slope, level = (float(value) for value in np.polyfit(x, y, 1, w=np.sqrt(weight)))
        weight = 1.0 / np.maximum(np.abs(y - slope * x - level), 0.02 * np.median(y))
    return slope, level
