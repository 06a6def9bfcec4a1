"""Where objects went: how long they were at each spot of the picture, and from which line or zone to which.

Both are bounded: a grid of a fixed size for each class, and a table of the lines and zones that are configured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pipeline.geometry.plane import Floats
from pipeline.geometry.points import Xy

COLUMNS = 128
"""Cells of the grid over the width of the frame."""
GAP_S = 3.0
"""An object that was hidden for longer has not gone straight."""


class Heat:
    """Seconds that objects spent at each spot, by class.

    Args:
        frame: width and height in pixels.
    """

    def __init__(self, frame: tuple[int, int]) -> None:
        self._cell = frame[0] / COLUMNS
        self._shape = (max(1, round(frame[1] / self._cell)), COLUMNS)
        self._seconds: dict[str, Floats] = {}
        self._last: dict[int, tuple[float, Xy]] = {}

    def observe(self, object_id: int, class_name: str, place: Xy, pts_s: float) -> None:
        """The next sighting of an object, its foot point in pixels: the time since the last one is laid along the
        way between them."""
        since_s, before = self._last.get(object_id, (pts_s, place))
        self._last[object_id] = (pts_s, place)
        spent_s = pts_s - since_s
        if not 0 < spent_s <= GAP_S:
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
        """The object will not be seen again."""
        self._last.pop(object_id, None)

    @property
    def seconds(self) -> dict[str, Floats]:
        """Class -> (rows, columns): object-seconds in each cell; read only."""
        return self._seconds


@dataclass(slots=True)
class _Journey:
    class_name: str
    first: str
    last: str
    stops: int = 1


class Journeys:
    """From which line or zone to which objects went: the first and the last that each of them met.

    Leaving a zone and entering it again is one stay; crossing a line again is a way of its own, there and back.

    Args:
        lines, zones: their names; where both have one, ` (line)` and ` (zone)` tell them apart.
    """

    def __init__(self, lines: Iterable[str], zones: Iterable[str]) -> None:
        lines, zones = set(lines), set(zones)
        self._names = {
            (kind, name): f"{name} ({kind})" if name in lines & zones else name
            for kind, names in (("line", lines), ("zone", zones))
            for name in names
        }
        self._areas = {self._names["zone", name] for name in zones}
        self._under_way: dict[int, _Journey] = {}
        self._over: Counter[tuple[str, str, str]] = Counter()

    def stop(self, object_id: int, class_name: str, kind: str, name: str) -> None:
        """An object crossed a line, or is in a zone in which it was not before."""
        where = self._names[kind, name]
        journey = self._under_way.get(object_id)
        if journey is None:
            self._under_way[object_id] = _Journey(class_name, where, where)
            return
        again = where == journey.last and where in self._areas
        journey.class_name, journey.last = class_name, where
        journey.stops += not again

    def end(self, object_id: int) -> None:
        """The object will not be seen again."""
        journey = self._under_way.pop(object_id, None)
        if journey is not None and journey.stops > 1:
            self._over[journey.first, journey.last, journey.class_name] += 1

    def stitch(self, object_id: int, later: int) -> None:
        """The object `later` has turned out to be `object_id`: it goes on with the past of both."""
        journey, rest = self._under_way.pop(object_id, None), self._under_way.get(later)
        if journey is None:
            return
        if rest is not None:
            journey.class_name, journey.last = rest.class_name, rest.last
            again = rest.first == journey.last and rest.first in self._areas
            journey.stops += rest.stops - again
        self._under_way[later] = journey

    def table(self) -> dict[str, dict[str, dict[str, int]]]:
        """Origin -> destination -> class -> objects, also of those that are still under way."""
        counts = self._over.copy()
        for journey in self._under_way.values():
            if journey.stops > 1:
                counts[journey.first, journey.last, journey.class_name] += 1
        result: dict[str, dict[str, dict[str, int]]] = {}
        for (first, last, class_name), count in sorted(counts.items()):
            result.setdefault(first, {}).setdefault(last, {})[class_name] = count
        return result
