"""Plane geometry of counting: sides of a line, segments, polygons. Pixels, y down."""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.points import Xy, segments_meet

Floats: TypeAlias = NDArray[np.float64]


def left_of(start: Xy, end: Xy, points: Floats) -> Floats:
    """Signed distance to the infinite line: positive on the left hand of who walks from `start` to `end`.

    The screen's y axis points down, so the left hand of a walker heading (dx, dy) is (dy, -dx).

    Args:
        points: (..., 2).

    Returns:
        (...), pixels.
    """
    dx, dy = end[0] - start[0], end[1] - start[1]
    length = float(np.hypot(dx, dy))
    distance: Floats = ((points[..., 0] - start[0]) * dy - (points[..., 1] - start[1]) * dx) / length
    return distance


def point_left_of(start: Xy, end: Xy, point: Xy) -> float:
    """`left_of` for one point."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    return ((point[0] - start[0]) * dy - (point[1] - start[1]) * dx) / float(np.hypot(dx, dy))


def path_meets(path: list[Xy], start: Xy, end: Xy) -> bool:
    """Whether a chain of positions meets the segment start-end."""
    return any(segments_meet(a, b, start, end) for a, b in pairwise(path))


def within(polygon: Floats, points: Floats) -> NDArray[np.bool_]:
    """Which points lie inside a polygon (even-odd rule), as in `depth`.

    Args:
        polygon: (K, 2), K >= 3, not closed.
        points: (N, 2).

    Returns:
        (N,).
    """
    first, second = polygon, np.roll(polygon, -1, axis=0)
    edge = second - first
    x, y = points[:, :1], points[:, 1:]
    spans = (first[:, 1] > y) != (second[:, 1] > y)
    rise = np.where(spans, edge[:, 1], 1.0)
    hits = spans & (x < first[:, 0] + (y - first[:, 1]) / rise * edge[:, 0])
    inside: NDArray[np.bool_] = hits.sum(axis=1) % 2 == 1
    return inside


def depth(polygon: Floats, point: Xy) -> float:
    """Signed distance of a point to a polygon's border: positive inside (even-odd rule).

    Args:
        polygon: (K, 2), K >= 3, not closed.

    Returns:
        Pixels.
    """
    x, y = point
    first, second = polygon, np.roll(polygon, -1, axis=0)
    edge = second - first
    place = np.array([x, y]) - first
    length = np.maximum((edge**2).sum(axis=1), 1e-12)
    along = np.clip((place * edge).sum(axis=1) / length, 0.0, 1.0)
    distance = float(np.sqrt(((place - along[:, None] * edge) ** 2).sum(axis=1)).min())
    spans = (first[:, 1] > y) != (second[:, 1] > y)
    rise = np.where(spans, edge[:, 1], 1.0)
    hits = spans & (x < first[:, 0] + (y - first[:, 1]) / rise * edge[:, 0])
    return distance if int(hits.sum()) % 2 else -distance
