"""Plane geometry of counting: anchors of instances, sides of a line, segments, polygons. Pixels, y down."""

from __future__ import annotations

from itertools import pairwise
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.points import Xy, segments_meet
from pipeline.transport.messages import MASK_SIZE

__all__ = [
    "Floats",
    "Xy",
    "corners",
    "depth",
    "feet",
    "left_of",
    "mask_cells",
    "mask_overlap",
    "overlaps",
    "path_meets",
    "point_left_of",
    "segments_meet",
    "within",
]

Floats: TypeAlias = NDArray[np.float64]
MASK_INSIDE = 128
"""Mask values from here on are inside the object."""


def feet(boxes_px: Floats, masks: NDArray[np.uint8]) -> Floats:
    """Foot points: the bottom of each mask, at the middle of what its lowest third spans.

    The middle of the lowest third lies between the two feet of a walker, where the lowest pixel alone would
    jump from foot to foot. An empty mask gives the bottom centre of the box.

    Args:
        boxes_px: (N, 4), x0 y0 x1 y1.
        masks: (N, 28, 28), 0..255, spread over the box.

    Returns:
        (N, 2), x y in pixels.
    """
    count = len(boxes_px)
    inside = masks >= MASK_INSIDE
    rows = inside.any(axis=2)
    filled = rows.any(axis=1)
    bottom = MASK_SIZE - 1 - np.argmax(rows[:, ::-1], axis=1)
    top = np.argmax(rows, axis=1)
    third = bottom - (bottom - top + 1) // 3
    index = np.arange(MASK_SIZE)
    low = (index[None] >= third[:, None]) & (index[None] <= bottom[:, None])
    columns = (inside & low[:, :, None]).any(axis=1)
    left = np.argmax(columns, axis=1)
    right = MASK_SIZE - np.argmax(columns[:, ::-1], axis=1)
    size = boxes_px[:, 2:] - boxes_px[:, :2]
    result = np.empty((count, 2))
    result[:, 0] = boxes_px[:, 0] + np.where(filled, (left + right) / (2 * MASK_SIZE), 0.5) * size[:, 0]
    result[:, 1] = boxes_px[:, 1] + np.where(filled, (bottom + 1) / MASK_SIZE, 1.0) * size[:, 1]
    return result


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


def mask_cells(box_px: Floats, mask: NDArray[np.uint8]) -> Floats:
    """Centres of the cells of an instance's mask.

    Args:
        box_px: (4,), x0 y0 x1 y1.
        mask: (28, 28), 0..255, spread over the box; an empty one stands for the whole box.

    Returns:
        (N, 2), x y in pixels, N >= 1.
    """
    inside = mask >= MASK_INSIDE
    rows, columns = np.nonzero(inside if inside.any() else np.ones_like(inside))
    cell = (box_px[2:] - box_px[:2]) / MASK_SIZE
    cells: Floats = box_px[:2] + (np.stack([columns, rows], axis=1) + 0.5) * cell
    return cells


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


def corners(boxes: Floats) -> Floats:
    """(N, 4) left, top, width, height, as in MOTChallenge's rows -> (N, 4) x0 y0 x1 y1."""
    result: Floats = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:4]], axis=1)
    return result


def overlaps(first_px: Floats, second_px: Floats) -> Floats:
    """Intersection over union of every box with every box.

    Args:
        first_px: (N, 4), x0 y0 x1 y1.
        second_px: (M, 4).

    Returns:
        (N, M), 0..1.
    """
    top_left = np.maximum(first_px[:, None, :2], second_px[None, :, :2])
    bottom_right = np.minimum(first_px[:, None, 2:], second_px[None, :, 2:])
    inter = np.clip(bottom_right - top_left, 0.0, None).prod(axis=2)
    first_area = (first_px[:, 2:] - first_px[:, :2]).prod(axis=1)
    second_area = (second_px[:, 2:] - second_px[:, :2]).prod(axis=1)
    union = first_area[:, None] + second_area[None] - inter
    result: Floats = inter / np.maximum(union, 1e-9)
    return result


def mask_overlap(
    first_px: Floats, first: NDArray[np.uint8], second_px: Floats, second: NDArray[np.uint8]
) -> float:
    """Intersection over union of two masks, sampled on a grid over the overlap of their boxes.

    Args:
        first_px, second_px: boxes (4,), x0 y0 x1 y1.
        first, second: masks (28, 28) spread over the boxes; an empty one stands for its whole box.

    Returns:
        0..1.
    """
    low, high = np.maximum(first_px[:2], second_px[:2]), np.minimum(first_px[2:], second_px[2:])
    if (high <= low).any():
        return 0.0
    step = (np.arange(MASK_SIZE) + 0.5) / MASK_SIZE
    xs, ys = (low[axis] + step * (high[axis] - low[axis]) for axis in (0, 1))
    both = np.ones((MASK_SIZE, MASK_SIZE), np.bool_)
    areas = []
    for box, mask in ((first_px, first), (second_px, second)):
        inside = mask >= MASK_INSIDE
        if not inside.any():
            inside = np.ones_like(inside)
        cell = (box[2:] - box[:2]) / MASK_SIZE
        columns = np.clip((xs - box[0]) / cell[0], 0, MASK_SIZE - 1).astype(np.int64)
        rows = np.clip((ys - box[1]) / cell[1], 0, MASK_SIZE - 1).astype(np.int64)
        both &= inside[np.ix_(rows, columns)]
        areas.append(float(inside.sum() * cell.prod()))
    common = float(both.mean() * (high - low).prod())
    return common / max(areas[0] + areas[1] - common, 1e-9)
