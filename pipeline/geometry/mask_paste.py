"""Mask grids resampled to the pixels of a frame."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Corner: TypeAlias = tuple[int, int]
"""Column and row of the upper left pixel of a region of the frame."""


def paste_mask(
    mask: NDArray[np.uint8], box_px: NDArray[np.float32], width: int, height: int
) -> NDArray[np.bool_]:
    """Spreads a mask over its box in a frame.

    Values are interpolated bilinearly between cell centres; a pixel is inside if the value at its centre is at least
    128.

    Args:
        mask: (S, S), 0..255.
        box_px: (4,) x0 y0 x1 y1.
        width, height: of the frame, pixels.

    Returns:
        (height, width).
    """
    whole = np.zeros((height, width), np.bool_)
    (left, top), inside = paste_mask_region(mask, box_px, width, height)
    whole[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return whole


def paste_mask_region(
    mask: NDArray[np.uint8], box_px: NDArray[np.float32], width: int, height: int
) -> tuple[Corner, NDArray[np.bool_]]:
    """`paste_mask` for the pixels of the box only.

    Args:
        mask: (S, S), 0..255.
        box_px: (4,) x0 y0 x1 y1.
        width, height: of the frame, pixels.

    Returns:
        The upper left corner of the region of pixels whose centres lie in the box and in the frame, and (h, w) which
        of them are inside; of size 0 if there are none.
    """
    x0, y0, x1, y1 = (float(value) for value in box_px)
    columns = np.arange(max(0, int(np.ceil(x0 - 0.5))), min(width, int(np.ceil(x1 - 0.5))))
    rows = np.arange(max(0, int(np.ceil(y0 - 0.5))), min(height, int(np.ceil(y1 - 0.5))))
    if not len(columns) or not len(rows):
        return (0, 0), np.zeros((0, 0), np.bool_)
    side = len(mask)
    across = _linear_weights((columns + 0.5 - x0) / (x1 - x0) * side - 0.5, side)
    down = _linear_weights((rows + 0.5 - y0) / (y1 - y0) * side - 0.5, side)
    inside: NDArray[np.bool_] = down @ mask.astype(np.float32) @ across.T >= 127.5
    return (int(columns[0]), int(rows[0])), inside


def _linear_weights(positions: NDArray[np.float64], side: int) -> NDArray[np.float32]:
    """(len(positions), side): weights of linear interpolation at each position among `side` cells."""
    clipped = np.clip(positions, 0, side - 1)
    weights = 1 - np.abs(clipped[:, None] - np.arange(side))
    return np.asarray(np.maximum(weights, 0), np.float32)
