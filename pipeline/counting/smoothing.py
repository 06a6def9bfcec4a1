"""Smooths the boxes of a track file over time.

Detected boxes jitter by several percent of their size from frame to frame. Each row's box is replaced by the value, at
its time, of a straight line fitted to the boxes of the same object around it, weighted by a Gaussian of the time
difference and by the squared score (local linear regression: J. Fan and I. Gijbels, Local Polynomial Modelling and Its
Applications, 1996, section 2.3). Frames in which the object was not observed get no row. A row is final only once the
rows after it are known, `REACH` standard deviations later.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from pipeline.counting.frame_result import TrackRow
from pipeline.geometry.plane import Floats
from pipeline.records.state import AttributeState, checkpointed

REACH = 2.5
"""Rows farther away than this many standard deviations have no weight."""
LEAST_WEIGHT = 0.1
"""Lower bound for the score in the weight."""


@checkpointed
@dataclass(slots=True)
class _Run:
    """The rows of one object that are still needed.

    Attributes:
        rows: (time, row) in the order of time, beginning with those that weigh in the first row to come out.
        done: how many of `rows` have come out.
    """

    rows: deque[tuple[float, TrackRow]] = field(default_factory=deque)
    done: int = 0


class Smoother(AttributeState):
    """Smooths the rows of one stream.

    Args:
        smooth_s: standard deviation of the Gaussian, seconds; 0 leaves boxes as they are.
    """

    STATE = ("_runs",)

    def __init__(self, smooth_s: float) -> None:
        self._smooth_s = smooth_s
        self._reach_s = REACH * smooth_s
        self._runs: dict[int, _Run] = {}

    def add(self, row: TrackRow, at_s: float) -> None:
        """Adds the next row of an object.

        Args:
            row: Later than the object's earlier ones.
            at_s: Media time, seconds.
        """
        self._runs.setdefault(row.track, _Run()).rows.append((at_s, row))

    def due(self, now_s: float) -> list[TrackRow]:
        """Removes and returns the rows that can no longer change.

        Args:
            now_s: Media time, seconds; all rows up to it have been added.
        """
        return self._final_until(now_s - self._reach_s)

    def rest(self) -> list[TrackRow]:
        """Removes and returns all remaining rows, at the end of the stream."""
        return self._final_until(np.inf)

    def _final_until(self, until_s: float) -> list[TrackRow]:
        final: list[TrackRow] = []
        near: list[list[tuple[float, TrackRow]]] = []
        times: list[float] = []
        for track, run in list(self._runs.items()):
            while run.done < len(run.rows) and run.rows[run.done][0] <= until_s:
                at_s, row = run.rows[run.done]
                run.done += 1
                final.append(row)
                if self._smooth_s:
                    while run.rows[0][0] < at_s - self._reach_s:
                        run.rows.popleft()
                        run.done -= 1
                    times.append(at_s)
                    near.append([one for one in run.rows if one[0] <= at_s + self._reach_s])
            if run.done == len(run.rows) and (
                not self._smooth_s or run.rows[-1][0] < until_s - self._reach_s
            ):
                del self._runs[track]
        return self._smoothed(final, times, near) if times else final

    def _smoothed(
        self, rows: list[TrackRow], times: list[float], near: Iterable[list[tuple[float, TrackRow]]]
    ) -> list[TrackRow]:
        """The rows with their boxes smoothed.

        Args:
            rows: those without a box that is final.
            times: of `rows`, seconds.
            near: for each of `rows`, the rows of the same object that weigh in.
        """
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
    """Fits a straight line to the values of each owner by weighted least squares, and evaluates it at 0.

    Args:
        owner: (M,) int64, 0..N-1, rising: which line a value belongs to.
        off: (M,) abscissae.
        weight: (M,).
        values: (M, 4).

    Returns:
        (N, 4); the weighted mean where all abscissae of an owner are equal.
    """
    count = int(owner[-1]) + 1
    zeroth, first, second = (np.bincount(owner, weight * off**power, count) for power in range(3))
    area = zeroth * second - first**2
    level = area <= 1e-9 * zeroth**2
    slope = np.where(level, 0.0, first)
    scale = np.where(level, zeroth, area)
    share = weight * (np.where(level, 1.0, second)[owner] - slope[owner] * off) / scale[owner]
    result: Floats = np.stack([np.bincount(owner, share * column, count) for column in values.T], axis=1)
    return result
