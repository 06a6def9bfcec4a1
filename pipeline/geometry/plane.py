"""Distances to lines, paths that cross segments, and polygons. Pixels, y pointing down."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.points import Xy, segments_intersect

Floats: TypeAlias = NDArray[np.float64]


def signed_distances(start: Xy, end: Xy, points: Floats) -> Floats:
    """Signed distances to the infinite line through two points.

    Positive on the left-hand side, as seen on the screen, when going from `start` to `end`. Since y points down, the
    left-hand normal of a direction (dx, dy) is (dy, -dx).

    Args:
        start, end: x y of two points on the line.
        points: (..., 2) x y.

    Returns:
        (...), pixels.
    """
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = float(np.hypot(dx, dy))
    distance: Floats = ((points[..., 0] - start[0]) * dy - (points[..., 1] - start[1]) * dx) / length
    return distance


def signed_distance(start: Xy, end: Xy, point: Xy) -> float:
    """`signed_distances` of a single point.

    Args:
        start: x y of a point on the line.
        end: x y of another one.
        point: x y.
    """
    dx, dy = end[0] - start[0], end[1] - start[1]
    return ((point[0] - start[0]) * dy - (point[1] - start[1]) * dx) / float(np.hypot(dx, dy))


def path_intersects(path: Sequence[Xy], start: Xy, end: Xy) -> bool:
    """Whether a path meets a segment.

    Args:
        path: x y of consecutive positions.
        start, end: of the segment.
    """
    return any(segments_intersect(a, b, start, end) for a, b in pairwise(path))


def points_in_polygon(polygon: Floats, points: Floats) -> NDArray[np.bool_]:
    """Which points lie inside a polygon, by the even-odd rule.

    Args:
        polygon: (K, 2) corners, K >= 3; the last is connected with the first.
        points: (N, 2).

    Returns:
        (N,) bool.
    """
    x, y = np.ascontiguousarray(points[:, 0]), np.ascontiguousarray(points[:, 1])
    inside = np.zeros(len(points), bool)
    corners = polygon.tolist()
    x0, y0 = corners[-1]
    above = y0 > y
    for x1, y1 in corners:  # few edges and many points: one edge at a time costs less than all at once
        above_next = y1 > y
        if y1 != y0:
            inside ^= (above != above_next) & (x < x0 + (y - y0) / (y1 - y0) * (x1 - x0))
        x0, y0, above = x1, y1, above_next
    return inside


def polygon_depth(polygon: Floats, point: Xy) -> float:
    """Signed distance of a point to the border of a polygon: positive inside, by the even-odd rule.

    Args:
        polygon: (K, 2) corners, K >= 3; the last is connected with the first.
        point: x y.

    Returns:
        Pixels.
    """
    x, y = float(point[0]), float(point[1])
    corners = polygon.tolist()  # a few numbers: Python is faster at them than NumPy
    x0, y0 = corners[-1]
    nearest, inside = math.inf, False
    for x1, y1 in corners:
        dx, dy, to_x, to_y = x1 - x0, y1 - y0, x - x0, y - y0
        along = min(1.0, max(0.0, (to_x * dx + to_y * dy) / max(dx * dx + dy * dy, 1e-12)))
        off_x, off_y = to_x - along * dx, to_y - along * dy
        nearest = min(nearest, off_x * off_x + off_y * off_y)
        if (y0 > y) != (y1 > y) and x < x0 + to_y / dy * dx:
            inside = not inside
        x0, y0 = x1, y1
    distance = math.sqrt(nearest)
    return distance if inside else -distance


def segment_inside(polygon: Floats, start: Xy, end: Xy) -> list[tuple[float, float]]:
    """Which parts of a segment lie inside a polygon, by the even-odd rule.

    Args:
        polygon: (K, 2) corners, K >= 3; the last is connected with the first.
        start: x y.
        end: x y.

    Returns:
        Beginning and end of each part, as fractions of the segment, in order.
    """
    first = polygon - np.array(start)
    edge = np.roll(polygon, -1, axis=0) - polygon
    dx, dy = end[0] - start[0], end[1] - start[1]
    across = dx * edge[:, 1] - dy * edge[:, 0]
    parallel = across == 0
    across = np.where(parallel, 1.0, across)
    along = (first[:, 0] * edge[:, 1] - first[:, 1] * edge[:, 0]) / across
    on_edge = (first[:, 0] * dy - first[:, 1] * dx) / across
    meets = ~parallel & (along > 0) & (along < 1) & (on_edge >= 0) & (on_edge <= 1)
    cuts = [0.0, *sorted(along[meets].tolist()), 1.0]
    parts = [(a, b) for a, b in pairwise(cuts) if b > a]
    middles = np.array(
        [[start[0] + (a + b) / 2 * dx, start[1] + (a + b) / 2 * dy] for a, b in parts]
    ).reshape(-1, 2)
    return [part for part, inside in zip(parts, points_in_polygon(polygon, middles), strict=True) if inside]
