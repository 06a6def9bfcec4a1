"""A counting line as geometry: a chain of two or more points, its sides, and how a path crosses it. Pixels, y down.

The first and the last segment go on for ever, so that the chain divides the plane in a left hand and a right
hand of who walks from its first point to its last. Sides are told with the prolonged chain; crossed is only the
chain itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.masks import mask_cells
from pipeline.geometry.plane import Floats, left_of, path_meets, point_left_of
from pipeline.geometry.points import Xy

GRID = 33
"""Points along each side of the frame at which the room on both sides of a bent line is measured."""


class Polyline:
    """A chain of points.

    Args:
        points: two or more, x y in pixels; neighbours differ, and the chain does not meet itself.
    """

    def __init__(self, points: Sequence[Xy]) -> None:
        self.points: tuple[Xy, ...] = tuple(points)
        self._edges = tuple(pairwise(self.points))
        corners = np.array(self.points, np.float64)
        self._from = corners[:-1]
        self._step = np.diff(corners, axis=0)
        self._length = np.hypot(self._step[:, 0], self._step[:, 1])
        # left-hand normals; at a bend the mean of both (Baerentzen and Aanaes 2005)
        self._normal = np.stack([self._step[:, 1], -self._step[:, 0]], axis=1) / self._length[:, None]
        self._bend = self._normal[:-1] + self._normal[1:]

    def distance(self, point: Xy) -> float:
        """Signed distance to the prolonged chain: positive on the left hand."""
        if len(self._edges) == 1:
            return point_left_of(*self._edges[0], point)
        return float(self.distances(np.array([point], np.float64))[0])

    def distances(self, points: Floats) -> Floats:
        """`distance` of many points.

        Args:
            points: (N, 2).

        Returns:
            (N,), pixels.
        """
        if len(self._edges) == 1:
            return left_of(*self._edges[0], points)
        return self._nearest(points)[0]

    def mask_anchor(self, box_px: Floats, mask: NDArray[Any]) -> tuple[Xy, float]:
        """Where an instance's mask stands to the chain: half of the mask lies on either side of the place.

        Args:
            box_px: (4,), x0 y0 x1 y1.
            mask: (28, 28), 0..255; an empty one stands for the whole box.

        Returns:
            The centre of the mask, moved straight towards the chain or away from it to its median distance,
            and that distance: its sign is the side that holds most of the mask.
        """
        cells = mask_cells(box_px, mask)
        median = float(np.median(self.distances(cells)))
        middle = cells.mean(axis=0)
        if len(self._edges) == 1:
            distance, normal = self.distance((float(middle[0]), float(middle[1]))), self._normal[0]
        else:
            found, edges = self._nearest(middle[None])
            distance, normal = float(found[0]), self._normal[edges[0]]
        x, y = middle + (median - distance) * normal
        return (float(x), float(y)), median

    def crossings(self, path: Sequence[Xy]) -> int:
        """How often a path crosses the chain from the left hand to the right hand, less how often back.

        A position on the chain belongs to its left hand, so that each step counts by itself and none twice;
        a step through the first or last point crosses.
        """
        return sum(self._crossed(p, q) for p, q in pairwise(path))

    def meets(self, path: Sequence[Xy]) -> bool:
        """Whether a path shares a point with the chain."""
        return any(path_meets(list(path), a, b) for a, b in self._edges)

    def room(self, frame: tuple[int, int]) -> dict[int, float]:
        """How far away one can be on the left hand (1) and on the right hand (-1) within a frame of (width,
        height) pixels."""
        steps = np.linspace(0.0, 1.0, 2 if len(self._edges) == 1 else GRID)
        xs, ys = np.meshgrid(steps * frame[0], steps * frame[1])
        distances = self.distances(np.stack([xs.ravel(), ys.ravel()], axis=1))
        return {1: max(0.0, float(distances.max())), -1: max(0.0, float(-distances.min()))}

    def _nearest(self, points: Floats) -> tuple[Floats, np.ndarray[tuple[int], np.dtype[np.int64]]]:
        """Signed distances, (N,), and numbers of the segments that are nearest, (N,)."""
        place = points[:, None] - self._from[None]
        along = (place * self._step).sum(axis=2) / self._length**2
        low, high = np.zeros(len(self._edges)), np.ones(len(self._edges))
        low[0], high[-1] = -np.inf, np.inf
        inner = np.clip(along, low, high)
        away = np.hypot(*np.moveaxis(place - inner[..., None] * self._step, 2, 0))
        edge = away.argmin(axis=1)
        rows = np.arange(len(points))
        side = (place[rows, edge] * self._normal[edge]).sum(axis=1)
        # beside a bend both segments are equally near: the mean of their normals tells the side
        at_end = along[rows, edge] > high[edge]
        at_start = along[rows, edge] < low[edge]
        bend = np.where(at_end, edge, edge - 1).clip(0, len(self._bend) - 1)
        corner = points - self._from[bend + 1]
        side = np.where(at_end | at_start, (corner * self._bend[bend]).sum(axis=1), side)
        return np.copysign(away[rows, edge], side) * (side != 0), edge

    def _crossed(self, p: Xy, q: Xy) -> int:
        net, last = 0, len(self._edges) - 1
        dx, dy = q[0] - p[0], q[1] - p[1]
        for number, (a, b) in enumerate(self._edges):
            was_left, is_left = _left(a, b, p), _left(a, b, q)
            if was_left == is_left:
                continue
            start = (a[0] - p[0]) * dy - (a[1] - p[1]) * dx
            end = (b[0] - p[0]) * dy - (b[1] - p[1]) * dx
            through_end = (number == 0 and start == 0) or (number == last and end == 0)
            if through_end or (start >= 0) != (end >= 0):
                net += 1 if was_left else -1
        return net


def _left(a: Xy, b: Xy, point: Xy) -> bool:
    return (point[0] - a[0]) * (b[1] - a[1]) - (point[1] - a[1]) * (b[0] - a[0]) >= 0
