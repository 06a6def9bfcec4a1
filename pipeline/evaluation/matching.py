"""Matching of counted and true events, and line crossings of the rows of a track file."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from pipeline.geometry.plane import Floats
from pipeline.geometry.points import Xy
from pipeline.geometry.polyline import Polyline

DEAD_BAND = 0.05
"""Half width of the dead band around a line, in heights of the object; at least `MIN_DEAD_BAND_PX`."""
MIN_DEAD_BAND_PX = 2.0


@dataclass(frozen=True, slots=True)
class PixelLine:
    """A counting line in pixels.

    Attributes:
        name: of the line.
        points: two or more.
        directions: names of the crossing from left to right, walking from the first point to the last as seen on the
            screen, and of the opposite one.
        endless: the line extends beyond its ends.
    """

    name: str
    points: tuple[Xy, ...]
    directions: tuple[str, str]
    endless: bool = False


@dataclass(frozen=True, slots=True)
class Crossing:
    """A track has crossed a line.

    Attributes:
        frame: first frame beyond the dead band, from 1.
        line: name of the line.
        direction: name of the direction.
        track: id of the track.
    """

    frame: int
    line: str
    direction: str
    track: int


def crossings(rows: Floats, line: PixelLine) -> list[Crossing]:
    """Find where foot points (bottom centres of the boxes) cross a line.

    An object crosses when it has been beyond the dead band on one side, is then beyond it on the other, and its path in
    between intersects the line.

    Args:
        rows: (N, >= 6) frame, id, left, top, width, height.
        line: in the same pixels.

    Returns:
        The crossings, track by track.
    """
    found: list[Crossing] = []
    chain = Polyline(line.points)
    for track in np.unique(rows[:, 1]):
        own = rows[rows[:, 1] == track]
        own = own[np.argsort(own[:, 0])]
        feet = np.stack([own[:, 2] + own[:, 4] / 2, own[:, 3] + own[:, 5]], axis=1)
        distance = chain.distances(feet)
        band = max(MIN_DEAD_BAND_PX, DEAD_BAND * float(np.median(own[:, 5])))
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
    """Match events of the same kind greedily: in the order of time, each true one takes the nearest free counted one.

    Args:
        true: (time, kind) of each event.
        counted: (time, kind) of each event.
        tolerance: largest difference of times, inclusive, in their unit.

    Returns:
        Pairs (index in `true`, index in `counted`).
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
