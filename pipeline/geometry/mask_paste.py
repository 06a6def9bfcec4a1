"""Mask grids spread over their boxes, at the pixels of the frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Corner = tuple[int, int]
"""Column and row of the upper left pixel of a part of the frame."""


def paste(mask: NDArray[np.uint8], box_px: NDArray[np.float32], width: int, height: int) -> NDArray[np.bool_]:
    """Spreads a mask grid over its box: bilinear between cell centres, 128 or more at a pixel's centre is inside.

    Args:
        mask: (S, S) uint8.
        box_px: (4,) x0 y0 x1 y1, pixels.
        width: of the frame.
        height: of the frame.

    Returns:
        (height, width) bool.
    """
    whole = np.zeros((height, width), np.bool_)
    (left, top), inside = paste_part(mask, box_px, width, height)
    whole[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return whole


def paste_part(
    mask: NDArray[np.uint8], box_px: NDArray[np.float32], width: int, height: int
) -> tuple[Corner, NDArray[np.bool_]]:
    """As `paste`, but only the pixels of the frame whose centres lie in the box, and where they begin.

    Returns:
        The corner, and (h, w) bool; of size 0 where the box holds no pixel's centre.
    """
    x0, y0, x1, y1 = (float(value) for value in box_px)
    columns = np.arange(max(0, int(np.ceil(x0 - 0.5))), min(width, int(np.ceil(x1 - 0.5))))
    rows = np.arange(max(0, int(np.ceil(y0 - 0.5))), min(height, int(np.ceil(y1 - 0.5))))
    if not len(columns) or not len(rows):
        return (0, 0), np.zeros((0, 0), np.bool_)
    side = len(mask)
    across = _between((columns + 0.5 - x0) / (x1 - x0) * side - 0.5, side)
    down = _between((rows + 0.5 - y0) / (y1 - y0) * side - 0.5, side)
    inside: NDArray[np.bool_] = down @ mask.astype(np.float32) @ across.T >= 127.5
    return (int(columns[0]), int(rows[0])), inside


def _between(places: NDArray[np.float64], side: int) -> NDArray[np.float32]:
    """(len(places), side): the weights of linear interpolation at each place among `side` cells."""
    clipped = np.clip(places, 0, side - 1)
    weights = 1 - np.abs(clipped[:, None] - np.arange(side))
    return np.asarray(np.maximum(weights, 0), np.float32)
