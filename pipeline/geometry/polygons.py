"""Polygons and masks: which pixels a polygon covers, and the polygons along the edges of a mask's pixels.

A pixel is inside a polygon if its centre is, by the even-odd rule. Vertices are in pixels, (0, 0) being the upper left
corner of the upper left pixel, so that a mask and the polygons along the edges of its pixels are the same area.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.mask_paste import Corner

Polygon: TypeAlias = NDArray[np.float64]
"""(K, 2) x y in pixels; the last vertex is connected to the first."""
Region: TypeAlias = NDArray[np.bool_]
"""(h, w): a mask, or the part of one that is not empty."""

SIMPLIFICATIONS_PX = (3.0, 2.0, 1.5, 1.0, 0.75)
"""Distances by which `few_points` tries to move the outline, the largest first."""


def fill_polygon(polygon: Polygon, width: int, height: int) -> tuple[Corner, Region]:
    """The pixels that a polygon covers.

    Args:
        polygon: (K, 2); it may cross itself and leave the image.
        width, height: of the image, pixels.

    Returns:
        The upper left corner of the polygon's region in the image, and (h, w) which of its pixels are inside; of size
        0 if the polygon is outside of the image or thinner than a pixel.
    """
    low = np.maximum(np.ceil(polygon.min(axis=0) - 0.5), 0).astype(np.int64)
    high = np.minimum(np.ceil(polygon.max(axis=0) - 0.5), (width, height)).astype(np.int64)
    columns, rows = (int(size) for size in high - low)
    if columns <= 0 or rows <= 0:
        return (0, 0), np.zeros((0, 0), np.bool_)
    start, end = polygon - low, np.roll(polygon, -1, axis=0) - low
    first = np.clip(np.ceil(np.minimum(start[:, 1], end[:, 1]) - 0.5), 0, rows).astype(np.int64)
    last = np.clip(np.ceil(np.maximum(start[:, 1], end[:, 1]) - 0.5), 0, rows).astype(np.int64)
    spans = last - first
    edge = np.repeat(np.arange(len(polygon)), spans)
    row = np.arange(int(spans.sum())) - np.repeat(np.cumsum(spans) - spans, spans) + first[edge]
    step = end - start
    slope = np.divide(step[:, 0], step[:, 1], out=np.zeros(len(step)), where=step[:, 1] != 0)
    crossing = start[edge, 0] + (row + 0.5 - start[edge, 1]) * slope[edge]
    column = np.clip(np.ceil(crossing - 0.5), 0, columns).astype(np.int64)
    toggles = np.bincount(row * (columns + 1) + column, minlength=rows * (columns + 1))
    inside = np.cumsum(toggles.reshape(rows, columns + 1)[:, :columns], axis=1) % 2 == 1
    return (int(low[0]), int(low[1])), inside


def fill_polygons(polygons: Sequence[Polygon], width: int, height: int) -> tuple[Corner, Region]:
    """The pixels that any of several polygons covers, as `fill_polygon`."""
    return union([fill_polygon(polygon, width, height) for polygon in polygons])


def union(parts: Sequence[tuple[Corner, Region]]) -> tuple[Corner, Region]:
    """Joins regions of one image.

    Args:
        parts: upper left corner and (h, w) pixels of each.

    Returns:
        The smallest region that holds them all; of size 0 if all are empty.
    """
    filled = [(corner, region) for corner, region in parts if region.size]
    if len(filled) == 1:
        return filled[0]
    if not filled:
        return (0, 0), np.zeros((0, 0), np.bool_)
    left, top = (min(corner[axis] for corner, _ in filled) for axis in (0, 1))
    right = max(corner[0] + region.shape[1] for corner, region in filled)
    bottom = max(corner[1] + region.shape[0] for corner, region in filled)
    whole = np.zeros((bottom - top, right - left), np.bool_)
    for (x, y), region in filled:
        whole[y - top : y - top + region.shape[0], x - left : x - left + region.shape[1]] |= region
    return (left, top), whole


def outlines(region: Region, corner: Corner = (0, 0)) -> list[Polygon]:
    """The polygons along the edges of a mask's pixels: one for each part, with bridges of no width to its holes.

    Filled by `fill_polygons`, they are the mask again, to the pixel.

    Args:
        region: (h, w).
        corner: column and row of its upper left pixel in the image.

    Returns:
        Polygons in pixels of the image, without vertices on straight edges.
    """
    # At twice the size, every pixel has a left and a right half, so that OpenCV's contours, which run through the
    # middle of pixels, tell on which of its edges they are.
    doubled = np.repeat(np.repeat(region.astype(np.uint8), 2, axis=0), 2, axis=1)
    rings, tree = cv2.findContours(doubled, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    if tree is None:
        return []
    edges = [
        _corners(np.asarray(ring, np.int32).reshape(-1, 2)) + np.array(corner, np.float64) for ring in rings
    ]
    parents = tree[0][:, 3]
    return [
        _bridged([edges[place], *(edges[hole] for hole in np.flatnonzero(parents == place))])
        for place in np.flatnonzero(parents < 0)
    ]


def joined(polygons: Sequence[Polygon]) -> Polygon:
    """Several polygons that do not overlap as one, connected by bridges of no width.

    Args:
        polygons: at least one.
    """
    return _bridged(list(polygons))


def few_points(region: Region, corner: Corner = (0, 0), least_iou: float = 0.99) -> list[Polygon]:
    """Polygons like `outlines`, with as few vertices as keep the mask: for people who edit them.

    Args:
        region: (h, w).
        corner: column and row of its upper left pixel in the image.
        least_iou: intersection over union of the mask and the polygons, at least.
    """
    exact = outlines(region)
    height, width = region.shape
    for distance_px in SIMPLIFICATIONS_PX:
        simple = [_simplified(polygon, distance_px) for polygon in exact]
        if all(len(polygon) >= 3 and not crosses_itself(polygon) for polygon in simple):
            (x, y), filled = fill_polygons(simple, width, height)
            both = np.count_nonzero(region[y : y + filled.shape[0], x : x + filled.shape[1]] & filled)
            either = np.count_nonzero(region) + np.count_nonzero(filled) - both
            if both >= least_iou * either:
                return [polygon + corner for polygon in simple]
    return [polygon + corner for polygon in exact]


def crosses_itself(polygon: Polygon) -> bool:
    """Whether two edges of a polygon cross. Touching is not crossing, and bridges to other parts do not count.

    Args:
        polygon: (K, 2).
    """
    start, end = polygon, np.roll(polygon, -1, axis=0)
    edges = {(*one, *two) for one, two in zip(start.tolist(), end.tolist(), strict=True)}
    single = [(*two, *one) not in edges for one, two in zip(start.tolist(), end.tolist(), strict=True)]
    start, end = start[single], end[single]
    for place in range(len(start) - 1):
        rest = slice(place + 1, None)
        sides = _turn(start[place], end[place], start[rest]) * _turn(start[place], end[place], end[rest])
        back = _turn(start[rest], end[rest], start[place]) * _turn(start[rest], end[rest], end[place])
        if ((sides < 0) & (back < 0)).any():
            return True
    return False


def _turn(start: Polygon, end: Polygon, point: Polygon) -> NDArray[np.float64]:
    """Sign of the side of a line on which points are; 0: on it."""
    along, away = end - start, point - start
    side: NDArray[np.float64] = np.sign(along[..., 0] * away[..., 1] - along[..., 1] * away[..., 0])
    return side


def _simplified(polygon: Polygon, distance_px: float) -> Polygon:
    points = cv2.approxPolyDP(polygon.astype(np.float32).reshape(-1, 1, 2), distance_px, True)
    return np.asarray(points, np.float64).reshape(-1, 2)


def _corners(contour: NDArray[np.int32]) -> Polygon:
    """The corners of a contour at twice the size, without repeated points and those on straight edges."""
    ring = (contour + 1) // 2
    ring = ring[(ring != np.roll(ring, 1, axis=0)).any(axis=1)]
    before, after = ring - np.roll(ring, 1, axis=0), np.roll(ring, -1, axis=0) - ring
    return np.asarray(ring[before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]], np.float64)


def _bridged(rings: list[Polygon]) -> Polygon:
    """Rings as one polygon that goes to each of them and back along the same line, which encloses nothing."""
    whole = rings[0]
    for ring in rings[1:]:
        distance = ((whole[:, None] - ring[None]) ** 2).sum(axis=2)
        at, begin = (int(place) for place in np.unravel_index(int(distance.argmin()), distance.shape))
        there_and_back = np.concatenate([ring[begin:], ring[: begin + 1], whole[at : at + 1]])
        whole = np.concatenate([whole[: at + 1], there_and_back, whole[at + 1 :]])
    return whole
