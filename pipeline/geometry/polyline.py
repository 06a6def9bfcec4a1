"""A counting line as geometry: a polyline, its two sides, and how often a path crosses it. Pixels, y pointing down.

The first and the last segment are extended to infinity, so that the polyline divides the plane into a left-hand and a
right-hand side, as seen when going from its first point to its last. Sides refer to the extended polyline, crossings to
the polyline itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.masks import mask_cells
from pipeline.geometry.plane import Floats, path_intersects, signed_distances
from pipeline.geometry.points import Xy

GRID = 33
"""Number of points along each side of the frame at which the extent of the two sides of a bent line is measured."""


class Polyline:
    """A polyline with two sides.

    Args:
        points: two or more, x y in pixels. Consecutive points differ, and the polyline does not intersect itself.
    """

    def __init__(self, points: Sequence[Xy]) -> None:
        self.points: tuple[Xy, ...] = tuple(points)
        self._edges = tuple(pairwise(self.points))
        corners = np.array(self.points, np.float64)
        self._start = corners[:-1]
        self._step = np.diff(corners, axis=0)
        (x0, y0), (x1, y1) = self.points[:2]
        self._straight = (x0, y0, x1 - x0, y1 - y0, float(np.hypot(x1 - x0, y1 - y0)))
        self._length = np.hypot(self._step[:, 0], self._step[:, 1])
        # Left-hand normals of the segments; at a bend their mean, which gives distances the right sign there
        # (pseudo-normals: Baerentzen and Aanaes, Signed distance computation using the angle weighted pseudonormal).
        self._normal = np.stack([self._step[:, 1], -self._step[:, 0]], axis=1) / self._length[:, None]
        bend_normal = self._normal[:-1] + self._normal[1:]
        self._segments = tuple(
            zip(
                self._start.tolist(),
                self._step.tolist(),
                (self._length**2).tolist(),
                self._normal.tolist(),
                strict=True,
            )
        )
        """Start, step, squared length and normal of each segment."""
        self._bends = tuple(zip(self._start[1:].tolist(), bend_normal.tolist(), strict=True))
        """Place and normal of each bend."""

    @property
    def straight(self) -> tuple[Floats, Floats]:
        """Start (2,) and left-hand normal (2,) of the first segment: all there is of a line without bends."""
        return self._start[0], self._normal[0]

    def distance(self, point: Xy) -> float:
        """Signed distance of a point to the extended polyline in pixels: positive on the left-hand side.

        Args:
            point: x y, pixels.
        """
        if len(self._edges) == 1:
            x, y, dx, dy, length = (
                self._straight
            )  # as `signed_distance`: asked for each object, line and frame
            return ((point[0] - x) * dy - (point[1] - y) * dx) / length
        return float(self.distances(np.array([point], np.float64))[0])

    def distances(self, points: Floats) -> Floats:
        """`distance` of many points.

        Args:
            points: (N, 2) x y.

        Returns:
            (N,), pixels.
        """
        if len(self._edges) == 1:
            return signed_distances(*self._edges[0], points)
        return self._nearest(points)[0]

    def mask_anchor(self, box_px: Floats, mask: NDArray[Any]) -> tuple[Xy, float]:
        """The point that represents an instance's mask at this line: half of the mask lies on either side of it.

        It is the centroid of the mask, moved perpendicular to the polyline to the median distance of the mask's
        cells.

        Args:
            box_px: (4,) x0 y0 x1 y1.
            mask: (28, 28), 0..255; an empty one stands for the whole box.

        Returns:
            x y of the point, and the median distance: its sign is the side that holds most of the mask.
        """
        cells = mask_cells(box_px, mask)
        median = _median(self.distances(cells))
        centroid = cells.mean(axis=0)
        if len(self._edges) == 1:
            distance, normal = self.distance((float(centroid[0]), float(centroid[1]))), self._normal[0]
        else:
            found, edges = self._nearest(centroid[None])
            distance, normal = float(found[0]), self._normal[edges[0]]
        x, y = centroid + (median - distance) * normal
        return (float(x), float(y)), median

    def crossings(self, path: Sequence[Xy]) -> int:
        """Net number of crossings of a path: from left to right, minus from right to left.

        A position on the polyline belongs to its left-hand side, so each step is counted independently of the
        others and none twice. A step through the first or last point is a crossing.

        Args:
            path: x y of consecutive positions.
        """
        return sum(self._crossing(p, q) for p, q in pairwise(path))

    def meets(self, path: Sequence[Xy]) -> bool:
        """Whether a path shares a point with the polyline.

        Args:
            path: x y of consecutive positions.
        """
        return any(path_intersects(path, a, b) for a, b in self._edges)

    def room(self, frame: tuple[int, int]) -> dict[int, float]:
        """How far from the extended polyline positions in the frame can be, on each side.

        Args:
            frame: width and height, pixels.

        Returns:
            Largest distance in pixels on the left-hand side (key 1) and on the right-hand side (key -1).
        """
        # The extremes of a straight line's distance are at the frame's corners; a bent line's are sampled.
        steps = np.linspace(0.0, 1.0, 2 if len(self._edges) == 1 else GRID)
        xs, ys = np.meshgrid(steps * frame[0], steps * frame[1])
        distances = self.distances(np.stack([xs.ravel(), ys.ravel()], axis=1))
        return {1: max(0.0, float(distances.max())), -1: max(0.0, float(-distances.min()))}

    def _nearest(self, points: Floats) -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.int64]]]:
        """Signed distances, (N,), and indices of the nearest segments, (N,)."""
        last = len(self._edges) - 1
        x, y = np.ascontiguousarray(points[:, 0]), np.ascontiguousarray(points[:, 1])
        away, side = np.full(len(points), np.inf), np.zeros(len(points))
        edge = np.zeros(len(points), np.int64)
        for number, ((x0, y0), (dx, dy), squared, (normal_x, normal_y)) in enumerate(self._segments):
            to_x, to_y = x - x0, y - y0
            along = (to_x * dx + to_y * dy) / squared
            clipped = along
            if number > 0:
                clipped = np.maximum(clipped, 0.0)
            if number < last:
                clipped = np.minimum(clipped, 1.0)
            found = np.hypot(to_x - clipped * dx, to_y - clipped * dy)
            found_side = to_x * normal_x + to_y * normal_y
            # Beyond a bend two segments are equally near; there the mean of their normals determines the side.
            for bend, beyond in ((number - 1, along < 0.0), (number, along > 1.0)):
                if 0 <= bend < last and beyond.any():
                    (bend_x, bend_y), (mean_x, mean_y) = self._bends[bend]
                    of_bend = (x - bend_x) * mean_x + (y - bend_y) * mean_y
                    found_side = np.where(beyond, of_bend, found_side)
            nearer = found < away
            away, side = np.where(nearer, found, away), np.where(nearer, found_side, side)
            edge[nearer] = number
        return np.copysign(away, side) * (side != 0), edge

    def _crossing(self, p: Xy, q: Xy) -> int:
        """Net crossings of one step: 1 from left to right, -1 from right to left, for each segment it passes."""
        net, last = 0, len(self._edges) - 1
        dx, dy = q[0] - p[0], q[1] - p[1]
        for number, (a, b) in enumerate(self._edges):
            was_left, is_left = _is_left(a, b, p), _is_left(a, b, q)
            if was_left == is_left:
                continue
            start = (a[0] - p[0]) * dy - (a[1] - p[1]) * dx
            end = (b[0] - p[0]) * dy - (b[1] - p[1]) * dx
            through_end = (number == 0 and start == 0) or (number == last and end == 0)
            if through_end or (start >= 0) != (end >= 0):
                net += 1 if was_left else -1
        return net


def _median(values: Floats) -> float:
    """As `numpy.median`, which costs ten times as much for a few hundred values without NaN."""
    middle = len(values) // 2
    if len(values) % 2:
        return float(np.partition(values, middle)[middle])
    low, high = np.partition(values, (middle - 1, middle))[middle - 1 : middle + 1]
    return float((low + high) / 2)


def _is_left(a: Xy, b: Xy, point: Xy) -> bool:
    """Whether a point is on the left-hand side of the line from a to b, or on it."""
    return (point[0] - a[0]) * (b[1] - a[1]) - (point[1] - a[1]) * (b[0] - a[0]) >= 0
