"""Instance masks as small grids, each spread over the instance's box: foot points and cells."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.plane import Floats

MASK_SIZE = 28
"""Rows and columns of a mask: the resolution of Mask R-CNN's mask head (He et al. 2017)."""
MASK_INSIDE = 128
"""Mask values from this on are inside the object."""

_CENTRES = (np.stack(np.meshgrid(np.arange(MASK_SIZE), np.arange(MASK_SIZE)), axis=2) + 0.5).reshape(-1, 2)
"""(784, 2) x y of the middle of each cell, in cells, row by row."""

Masks: TypeAlias = NDArray[np.uint8]
"""(N, 28, 28), 0..255."""


def foot_points(boxes_px: Floats, masks: Masks) -> Floats:
    """Where instances stand: at the bottom of each mask, in the middle of the width of its lowest third.

    The middle of the lowest third lies between the two feet of a walking person, where the lowest pixel alone would
    jump from foot to foot. For an empty mask it is the bottom centre of the box.

    Args:
        boxes_px: (N, 4) x0 y0 x1 y1.
        masks: (N, 28, 28), 0..255.

    Returns:
        (N, 2) x y, pixels.
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


def mask_cells(box_px: Floats, mask: Masks) -> Floats:
    """Centres of the cells that are inside an instance's mask.

    Args:
        box_px: (4,) x0 y0 x1 y1.
        mask: (28, 28), 0..255; an empty one stands for the whole box.

    Returns:
        (N, 2) x y in pixels, N >= 1.
    """
    inside = np.flatnonzero(mask >= MASK_INSIDE)
    centres = _CENTRES[inside] if len(inside) else _CENTRES
    cells: Floats = box_px[:2] + centres * ((box_px[2:] - box_px[:2]) / MASK_SIZE)
    return cells
