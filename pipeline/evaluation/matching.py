"""Counted events matched to true ones, and crossings of lines by rows of a track file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.geometry.plane import Floats
from pipeline.geometry.points import Xy
from pipeline.geometry.polyline import Polyline

BAND = 0.05
"""Dead band of a line in `crossings`, as a part of an object's height; 2 pixels at the least."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line in pixels, walked from its first point to its last as seen on the screen.

    Attributes:
        points: two or more.
        directions: names of the way from the left hand to the right hand, and back.
        endless: goes on beyond its ends.
    """

    name: str
    points: tuple[Xy, ...]
    directions: tuple[str, str]
    endless: bool = False


@dataclass(frozen=True, slots=True)
class Crossing:
    """A track crossed a line.

    Attributes:
        frame: first frame beyond the dead band, from 1.
    """

    frame: int
    line: str
    direction: str
    track: int


def crossings(rows: Floats, line: Line) -> list[Crossing]:
    """Crossings of the foot points (bottom centres) over a line, a track at a time.

    An object crosses when it was beyond the dead band on one side and then is on the other, and its way between
    meets the line.

    Args:
        rows: (N, >= 6), frame, id, left, top, width, height.
    """
    found: list[Crossing] = []
    chain = Polyline(line.points)
    for track in np.unique(rows[:, 1]):
        own = rows[rows[:, 1] == track]
        own = own[np.argsort(own[:, 0])]
        feet = np.stack([own[:, 2] + own[:, 4] / 2, own[:, 3] + own[:, 5]], axis=1)
        distance = chain.distances(feet)
        band = max(2.0, BAND * float(np.median(own[:, 5])))
        sides = (distance > band).astype(int) - (distance < -band).astype(int)
        last = -1
        for place in np.flatnonzero(sides).tolist():
            if last >= 0 and sides[place] != sides[last]:
                way = [(float(x), float(y)) for x, y in feet[last : place + 1]]
                if line.endless or chain.meets(way):
                    direction = line.directions[0 if sides[last] > 0 else 1]
                    found.append(Crossing(int(own[place, 0]), line.name, direction, int(track)))
            last = place
    return found


def match(
    true: Sequence[tuple[float, Hashable]], counted: Sequence[tuple[float, Hashable]], tolerance: float
) -> list[tuple[int, int]]:
    """Pairs (place in `true`, place in `counted`) of events of the same kind within `tolerance` of each other.

    In the order of time each true event takes the nearest counted one that is left.

    Args:
        true: (time, kind).
        counted: (time, kind).
        tolerance: in the unit of the times; exactly so far is near enough.
    """
    waiting: dict[Hashable, list[int]] = defaultdict(list)
    for place, (_, kind) in enumerate(counted):
        waiting[kind].append(place)
    pairs = []
    for place in sorted(range(len(true)), key=lambda number: true[number][0]):
        time, kind = true[place]
        near = [(abs(time - counted[other][0]), other) for other in waiting[kind]]
        near = [one for one in near if one[0] <= tolerance]
        if near:
            other = min(near)[1]
            waiting[kind].remove(other)
            pairs.append((place, other))
    return pairs
