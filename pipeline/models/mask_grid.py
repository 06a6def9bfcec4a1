"""Resampling a model's masks onto the 28 x 28 grids of their boxes, bilinearly between cell centres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.masks import MASK_SIZE

Floats = NDArray[np.float32]


def resample_mask(mask: Floats, box: Floats) -> Floats:
    """The part of a mask that lies in a box, as the box's grid.

    Args:
        mask: (h, w) float32.
        box: (4,) x0 y0 x1 y1 in cells of `mask`; what lies past the edge repeats the edge.

    Returns:
        (28, 28) float32, the values at the centres of the grid cells.
    """
    x, y = grid_coordinates(box[None], mask.shape[1], mask.shape[0])
    left, top = int(x[0, 0]), int(y[0, 0])
    part = mask[top : int(y[0, -1]) + 2, left : int(x[0, -1]) + 2]
    return interpolate_rows(interpolate_rows(part, y[0] - top).T, x[0] - left).T


def grid_coordinates(boxes: Floats, width: int, height: int) -> tuple[Floats, Floats]:
    """Where the centres of the grid cells of boxes lie in a mask.

    Args:
        boxes: (N, 4) x0 y0 x1 y1 in cells of the mask.
        width: of the mask, cells.
        height: of the mask, cells.

    Returns:
        (N, 28) x and (N, 28) y, float32 indices of cell centres, clipped to the mask.
    """
    cell = (np.arange(MASK_SIZE, dtype=np.float32) + 0.5) / MASK_SIZE
    xs = (boxes[:, 0:1] + cell * (boxes[:, 2:3] - boxes[:, 0:1]) - 0.5).clip(0, width - 1)
    ys = (boxes[:, 1:2] + cell * (boxes[:, 3:4] - boxes[:, 1:2]) - 0.5).clip(0, height - 1)
    return np.asarray(xs, np.float32), np.asarray(ys, np.float32)


def interpolate_rows(rows: Floats, at: Floats) -> Floats:
    """Linear interpolation between the rows of an array.

    Args:
        rows: (n, k).
        at: (m,) fractional row indices, 0 or more; past the last row is the last row.

    Returns:
        (m, k) float32.
    """
    below = at.astype(np.intp)
    above = np.minimum(below + 1, len(rows) - 1)
    fraction = (at - below)[:, None]
    return np.asarray(rows[below] * (1 - fraction) + rows[above] * fraction, np.float32)


def sigmoid_uint8(logits: Floats) -> NDArray[np.uint8]:
    """Logits as probabilities scaled to 0..255.

    Args:
        logits: float32 of any shape.
    """
    return np.asarray(np.rint(255.0 / (1.0 + np.exp(-logits.clip(-30, 30)))), np.uint8)
