"""Masks spread over their boxes: foot points, cells, overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.plane import Floats

MASK_SIZE = 28
"""Side of the box-aligned mask grid, the size of a Mask R-CNN mask head (He et al. 2017)."""
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
