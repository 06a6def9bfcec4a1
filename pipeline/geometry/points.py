"""Points of lines, zones and calibrations: what makes them usable, and whether segments meet."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, pairwise
from typing import TypeAlias

Xy: TypeAlias = tuple[float, float]
"""x, y."""

ALIKE = 1e-4
"""Points nearer to each other are the same, in parts of the frame."""
FLAT = 1e-6
"""Triangles with less area are lines."""


def at_least(count: int) -> Callable[[tuple[Xy, ...]], tuple[Xy, ...]]:
    """Refuses fewer points."""

    def check(points: tuple[Xy, ...]) -> tuple[Xy, ...]:
        if len(points) < count:
            raise ValueError(f"expected at least {count}, got a list of {len(points)}")
        return points

    return check


def apart(points: tuple[Xy, ...]) -> tuple[Xy, ...]:
    """Refuses two neighbours at one place."""
    for first, second in pairwise(points):
        if abs(first[0] - second[0]) + abs(first[1] - second[1]) < ALIKE:
            raise ValueError(f"two neighbouring points are the same: {list(first)}")
    return points


def with_area(points: tuple[Xy, ...]) -> tuple[Xy, ...]:
    """Refuses a polygon without an inside."""
    if max(abs(turn(points[0], b, c)) for b, c in pairwise(points[1:])) < FLAT:
        raise ValueError("all points are on one line; a zone needs an area")
    return points


def uncrossed(points: tuple[Xy, ...]) -> tuple[Xy, ...]:
    """Refuses a polygon whose edges cross, as of a bow tie: its points are not in order. Edges may touch.

    Raises:
        ValueError: two edges cross; they are named by the numbers of their points, from 1.
    """
    count = len(points)
    edges = [(place, (place + 1) % count) for place in range(count)]
    for (a, b), (c, d) in combinations(edges, 2):
        sides = turn(points[a], points[b], points[c]), turn(points[a], points[b], points[d])
        others = turn(points[c], points[d], points[a]), turn(points[c], points[d], points[b])
        if all(min(pair) < -FLAT and max(pair) > FLAT for pair in (sides, others)):
            raise ValueError(
                f"the edges from point {a + 1} to {b + 1} and from {c + 1} to {d + 1} cross; list the points in order "
                "around the zone"
            )
    return points


def apart_from_itself(points: tuple[Xy, ...]) -> tuple[Xy, ...]:
    """Refuses a line that meets itself: it has no two sides."""
    segments = list(pairwise(points))
    for late, (c, d) in enumerate(segments):
        for early, (a, b) in enumerate(segments[:late]):
            neighbours = early == late - 1
            if _turns_back(a, b, d) if neighbours else segments_meet(a, b, c, d):
                raise ValueError(
                    f"segments {early + 1} and {late + 1} meet, a line must not meet itself; "
                    "to count in and out of an area use a zone"
                )
    return points


def corners(points: tuple[Xy, ...]) -> tuple[Xy, ...]:
    """Refuses four points of which three are on one line: they tell no perspective."""
    for a, b, c in combinations(points, 3):
        size = max(abs(p[axis] - q[axis]) for p, q in combinations((a, b, c), 2) for axis in (0, 1))
        if abs(turn(a, b, c)) < 1e-3 * size * size:
            raise ValueError(f"three points are on one line: {list(a)}, {list(b)}, {list(c)}")
    return points


def seen_alike(points: tuple[Xy, ...], places: tuple[Xy, ...]) -> bool:
    """Whether four points can be a picture of four places, or of their mirror image: the horizon is not
    between them (Hartley and Zisserman, 21.1)."""
    turns = [
        turn(points[i], points[j], points[k]) * turn(places[i], places[j], places[k]) > 0
        for i, j, k in combinations(range(len(points)), 3)
    ]
    return len(set(turns)) == 1


def turn(a: Xy, b: Xy, c: Xy) -> float:
    """Twice the area of the triangle a b c: its sign tells on which side of a-b c lies, 0 on it."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def segments_meet(a: Xy, b: Xy, c: Xy, d: Xy) -> bool:
    """Whether the closed segments a-b and c-d share a point."""
    c_side, d_side = turn(a, b, c), turn(a, b, d)
    a_side, b_side = turn(c, d, a), turn(c, d, b)
    if ((c_side > 0 > d_side) or (c_side < 0 < d_side)) and ((a_side > 0 > b_side) or (a_side < 0 < b_side)):
        return True
    return (
        (c_side == 0 and _within(a, b, c))
        or (d_side == 0 and _within(a, b, d))
        or (a_side == 0 and _within(c, d, a))
        or (b_side == 0 and _within(c, d, b))
    )


def _within(a: Xy, b: Xy, c: Xy) -> bool:
    """Whether c, which lies on the line through a and b, lies between them."""
    return min(a[0], b[0]) <= c[0] <= max(a[0], b[0]) and min(a[1], b[1]) <= c[1] <= max(a[1], b[1])


def _turns_back(a: Xy, b: Xy, c: Xy) -> bool:
    """Whether b-c runs back along a-b."""
    back = (b[0] - a[0]) * (c[0] - b[0]) + (b[1] - a[1]) * (c[1] - b[1])
    return back < 0 and abs(turn(a, b, c)) < 1e-3 * -back
