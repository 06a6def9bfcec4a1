"""Rule `heat`: dwell time of objects in each part of the image, on a grid of fixed size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from pipeline.counting.rule import CountingRule
from pipeline.counting.rule_state import RulePart, StateOf
from pipeline.geometry.plane import Floats
from pipeline.geometry.points import Xy
from pipeline.records.event import CountEvent
from pipeline.records.state import AttributeState, State
from pipeline.tracking.observation import Observation

COLUMNS = 128
"""Cells across the width of the frame; cells are square."""
MAX_GAP_S = 3.0
"""After a longer gap between two observations the path between them is unknown, and its time is not counted."""


class HeatGrid(AttributeState):
    """Seconds that objects spent in each cell, by class.

    Args:
        frame: width and height in pixels.
    """

    STATE = ("_seconds", "_last")

    def __init__(self, frame: tuple[int, int]) -> None:
        self._cell = frame[0] / COLUMNS
        self._shape = (max(1, round(frame[1] / self._cell)), COLUMNS)
        self._seconds: dict[str, Floats] = {}
        self._last: dict[int, tuple[float, Xy]] = {}

    def observe(self, object_id: int, class_name: str, place: Xy, pts_s: float) -> None:
        """Spreads the time since the object's last observation evenly over the straight path from there.

        Args:
            place: foot point, pixels.
            pts_s: media time, seconds.
        """
        since_s, before = self._last.get(object_id, (pts_s, place))
        self._last[object_id] = (pts_s, place)
        spent_s = pts_s - since_s
        if not 0 < spent_s <= MAX_GAP_S:
            return
        grid = self._seconds.get(class_name)
        if grid is None:
            grid = self._seconds[class_name] = np.zeros(self._shape)
        x, y = before[0] / self._cell, before[1] / self._cell
        dx, dy = place[0] / self._cell - x, place[1] / self._cell - y
        steps = 1 + int(max(abs(dx), abs(dy)))
        for step in range(steps):
            share = (step + 0.5) / steps
            row = min(max(int(y + share * dy), 0), self._shape[0] - 1)
            column = min(max(int(x + share * dx), 0), COLUMNS - 1)
            grid[row, column] += spent_s / steps

    def end(self, object_id: int) -> None:
        """Drops the state of an object that has ended.

        Args:
            object_id: Also one that was never observed.
        """
        self._last.pop(object_id, None)

    @property
    def seconds(self) -> dict[str, Floats]:
        """Class -> (rows, columns) float64: object-seconds in each cell; not to be changed."""
        return self._seconds


class HeatMap(CountingRule):
    """Keeps the grid that the picture `STREAM-heatmap.png` is made of."""

    picture_only = True
    _grid: HeatGrid | None = None

    def begin(self, frame: tuple[int, int]) -> None:
        """See `CountingRule.begin`."""
        self._grid = HeatGrid(frame)

    def observe(
        self, object_id: int, class_name: str, observation: Observation, arriving: bool
    ) -> Iterable[CountEvent]:
        """See `CountingRule.observe`."""
        if self._grid is not None:
            self._grid.observe(object_id, class_name, observation.foot, observation.frame_time.pts_s)
        return ()

    def end(self, object_id: int, class_name: str) -> Iterable[CountEvent]:
        """See `CountingRule.end`."""
        if self._grid is not None:
            self._grid.end(object_id)
        return ()

    def parts(self) -> Mapping[str, RulePart]:
        """See `CountingRule.parts`."""
        return {"": RulePart("", StateOf(self._state, self._restore))}

    def _state(self) -> State:
        return {} if self._grid is None else self._grid.state()

    def _restore(self, state: State) -> None:
        if self._grid is not None:
            self._grid.restore(state)

    def heat(self) -> Mapping[str, Floats]:
        """Class -> (rows, columns) float64: object-seconds in each cell so far; not to be changed."""
        return {} if self._grid is None else self._grid.seconds
