"""Checks of lists of points that a user gives: lines, zones and ground planes. Each returns what it accepts.

Points are relative to the frame (0..1) unless stated otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations, pairwise
from typing import TypeAlias

from pipeline.geometry.points import Xy, orientation, segments_intersect

Points: TypeAlias = tuple[Xy, ...]

MIN_DISTANCE = 1e-4
"""Points closer to each other than this (in the L1 norm) are considered equal."""
MIN_AREA = 1e-6
"""Twice the area of a triangle below which its corners are considered collinear."""
MIN_RELATIVE_AREA = 1e-3
"""The same, in parts of the square of the triangle's extent."""


def at_least(count: int) -> Callable[[Points], Points]:
    """A check for a minimum number of points.

    Args:
        count: Least number of points.

    Returns:
        A function that raises ValueError if there are fewer than `count`.
    """

    def check(points: Points) -> Points:
        if len(points) < count:
            raise ValueError(f"expected at least {count}, got a list of {len(points)}")
        return points

    return check


def distinct_neighbours(points: Points) -> Points:
    """Checks that no two consecutive points are equal.

    Args:
        points: x y each, fractions of the frame.

    Raises:
        ValueError: two are.
    """
    for first, second in pairwise(points):
        if abs(first[0] - second[0]) + abs(first[1] - second[1]) < MIN_DISTANCE:
            raise ValueError(f"two neighbouring points are the same: {list(first)}")
    return points


def has_area(points: Points) -> Points:
    """Checks that a polygon encloses an area.

    Args:
        points: x y each, fractions of the frame.

    Raises:
        ValueError: all of its corners are collinear.
    """
    if max(abs(orientation(points[0], b, c)) for b, c in pairwise(points[1:])) < MIN_AREA:
        raise ValueError("all points are on one line; a zone needs an area")
    return points


def simple_polygon(points: Points) -> Points:
    """Checks that no edges of a polygon cross, as those of a bow tie do. Edges may touch.

    Args:
        points: x y each, fractions of the frame.

    Raises:
        ValueError: two edges cross; names them by the numbers of their corners, from 1.
    """
    count = len(points)
    edges = [(number, (number + 1) % count) for number in range(count)]
    for (a, b), (c, d) in combinations(edges, 2):
        first = orientation(points[a], points[b], points[c]), orientation(points[a], points[b], points[d])
        second = orientation(points[c], points[d], points[a]), orientation(points[c], points[d], points[b])
        if all(min(sides) < -MIN_AREA and max(sides) > MIN_AREA for sides in (first, second)):
            raise ValueError(
                f"the edges from point {a + 1} to {b + 1} and from {c + 1} to {d + 1} cross; list the points in order "
                "around the zone"
            )
    return points


def simple_line(points: Points) -> Points:
    """Checks that a polyline does not intersect itself: otherwise it has no two sides.

    Args:
        points: x y each, fractions of the frame.

    Raises:
        ValueError: two segments intersect; names them by their numbers, from 1.
    """
    segments = list(pairwise(points))
    for late, (c, d) in enumerate(segments):
        for early, (a, b) in enumerate(segments[:late]):
            neighbours = early == late - 1
            if _turns_back(a, b, d) if neighbours else segments_intersect(a, b, c, d):
                raise ValueError(
                    f"segments {early + 1} and {late + 1} meet, a line must not meet itself; "
                    "to count in and out of an area use a zone"
                )
    return points


def no_three_collinear(points: Points) -> Points:
    """Checks that no three points are collinear: otherwise they do not determine a homography. Any unit.

    Args:
        points: x y each.

    Raises:
        ValueError: three are.
    """
    for a, b, c in combinations(points, 3):
        extent = max(abs(p[axis] - q[axis]) for p, q in combinations((a, b, c), 2) for axis in (0, 1))
        if abs(orientation(a, b, c)) < MIN_RELATIVE_AREA * extent * extent:
            raise ValueError(f"three points are on one line: {list(a)}, {list(b)}, {list(c)}")
    return points


def same_orientation(points: Points, images: Points) -> bool:
    """Whether a camera can see four points of a plane as four given image points, or as their mirror image.

    All triangles must keep their orientation, or all must change it: then the horizon does not pass between the
    points (Hartley and Zisserman, Multiple View Geometry, 21.1).

    Args:
        points: of the plane, in any unit.
        images: of these points, in the same order, in any unit.
    """
    kept = [
        orientation(points[i], points[j], points[k]) * orientation(images[i], images[j], images[k]) > 0
        for i, j, k in combinations(range(len(points)), 3)
    ]
    return len(set(kept)) == 1


def _turns_back(a: Xy, b: Xy, c: Xy) -> bool:
    """Whether the segment b-c runs back along a-b."""
    back = (b[0] - a[0]) * (c[0] - b[0]) + (b[1] - a[1]) * (c[1] - b[1])
    return back < 0 and abs(orientation(a, b, c)) < MIN_RELATIVE_AREA * -back
