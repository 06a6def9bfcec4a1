"""Boxes of a track file, smoothed by what was seen of the same object shortly before and after.

Detected boxes shake by several percent of their size from frame to frame; the object does not. Each row's box is
the value at its time of a straight line fitted to the boxes around it, nearer and surer ones weighing more (local
linear regression: Fan and Gijbels, Local Polynomial Modelling and Its Applications, 1996, section 2.3). Only rows of
sightings: where an object was not seen there is none. Rows are told late by `REACH` times the width.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from pipeline.counting.frame_result import TrackRow
from pipeline.geometry.plane import Floats

REACH = 2.5
"""How far a box is looked at, in standard deviations of the weight."""
LEAST_WEIGHT = 0.1
"""Weight of a detection goes with the square of its score; scores below this count as this."""


@dataclass(slots=True)
class _Run:
    """What is kept of one object: rows from before the first that is not told."""

    rows: deque[tuple[float, TrackRow]] = field(default_factory=deque)
    told: int = 0
    """How many of `rows` have been told."""


class Smoother:
    """Rows of one stream. Times are seconds of its clock.

    Args:
        smooth_s: standard deviation of the weight over time; 0 leaves boxes as they are.
    """

    def __init__(self, smooth_s: float) -> None:
        self._smooth_s = smooth_s
        self._reach_s = REACH * smooth_s
        self._runs: dict[int, _Run] = {}

    def add(self, row: TrackRow, at_s: float) -> None:
        """The next row of an object, seen at `at_s`."""
        self._runs.setdefault(row.track, _Run()).rows.append((at_s, row))

    def due(self, now_s: float) -> list[TrackRow]:
        """Rows whose boxes nothing can change any more at `now_s`: all objects' earlier rows have been added."""
        return self._tell(now_s - self._reach_s)

    def rest(self) -> list[TrackRow]:
        """All rows that are left, at the end, or where the frame changes its size."""
        return self._tell(np.inf)

    def _tell(self, until_s: float) -> list[TrackRow]:
        told: list[TrackRow] = []
        near: list[list[tuple[float, TrackRow]]] = []
        times: list[float] = []
        for track, run in list(self._runs.items()):
            while run.told < len(run.rows) and run.rows[run.told][0] <= until_s:
                at_s, row = run.rows[run.told]
                run.told += 1
                told.append(row)
                if self._smooth_s:
                    while run.rows[0][0] < at_s - self._reach_s:
                        run.rows.popleft()
                        run.told -= 1
                    times.append(at_s)
                    near.append([one for one in run.rows if one[0] <= at_s + self._reach_s])
            if run.told == len(run.rows) and (
                not self._smooth_s or run.rows[-1][0] < until_s - self._reach_s
            ):
                del self._runs[track]
        return self._smoothed(told, times, near) if times else told

    def _smoothed(
        self, rows: list[TrackRow], times: list[float], near: Iterable[list[tuple[float, TrackRow]]]
    ) -> list[TrackRow]:
        """`rows`, with boxes fitted to those `near` each."""
        owner = np.array([number for number, group in enumerate(near) for _ in group])
        every = [one for group in near for one in group]
        off = np.array([at_s for at_s, _ in every]) - np.array(times)[owner]
        scores = np.maximum(np.array([row.score for _, row in every]), LEAST_WEIGHT)
        boxes = np.array([row.box_px for _, row in every])
        weight = np.exp(-0.5 * (off / self._smooth_s) ** 2) * scores**2
        fitted = _lines_at_0(owner, off, weight, boxes)
        fitted[:, 2:] = np.maximum(fitted[:, 2:], fitted[:, :2] + 1e-3)
        return [
            replace(row, box_px=(x0, y0, x1, y1))
            for row, (x0, y0, x1, y1) in zip(rows, fitted.tolist(), strict=True)
        ]


def _lines_at_0(owner: Floats, off: Floats, weight: Floats, values: Floats) -> Floats:
    """Weighted straight lines through the values of each owner, at 0: (N, 4); the mean where there is but one."""
    count = int(owner[-1]) + 1
    zeroth, first, second = (np.bincount(owner, weight * off**power, count) for power in range(3))
    area = zeroth * second - first**2
    level = area <= 1e-9 * zeroth**2
    slope = np.where(level, 0.0, first)
    scale = np.where(level, zeroth, area)
    share = weight * (np.where(level, 1.0, second)[owner] - slope[owner] * off) / scale[owner]
    result: Floats = np.stack([np.bincount(owner, share * column, count) for column in values.T], axis=1)
    return result
