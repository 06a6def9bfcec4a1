"""How well masks of many pairs agree where their boxes overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.masks import MASK_INSIDE, MASK_SIZE
from pipeline.geometry.plane import Floats

GRID = 14
"""Points on each axis at which two masks are compared."""

Masks = NDArray[np.uint8]


def informative(masks: Masks) -> Masks | None:
    """The masks (N, 28, 28) of one frame, or None if they tell no more than the boxes: a detector without masks."""
    return masks if len(masks) and masks.min() < MASK_INSIDE else None


def agreements(first: Floats, first_masks: Masks, second: Floats, second_masks: Masks) -> Floats:
    """(K,) intersection over union of two masks inside the overlap of their boxes, 0..1; 1 where neither mask has
    anything there, or the boxes do not overlap.

    Args:
        first, second: (K, 4) centre x, centre y, width, height, pixels.
        first_masks, second_masks: (K, 28, 28) spread over the boxes.
    """
    low = np.maximum(_low(first), _low(second))
    extent = np.minimum(_low(first) + first[:, 2:], _low(second) + second[:, 2:]) - low
    steps = (np.arange(GRID) + 0.5) / GRID
    points = low[:, None, :] + steps[None, :, None] * extent[:, None, :]
    one, other = _sampled(first, first_masks, points), _sampled(second, second_masks, points)
    either = (one | other).sum(axis=(1, 2))
    both = (one & other).sum(axis=(1, 2))
    result: Floats = np.where((extent > 0).all(axis=1) & (either > 0), both / np.maximum(either, 1), 1.0)
    return result


def _low(places: Floats) -> Floats:
    corner: Floats = places[:, :2] - places[:, 2:] / 2
    return corner


def _sampled(places: Floats, masks: Masks, points: Floats) -> NDArray[np.bool_]:
    """(K, GRID, GRID) whether the masks cover the grid of `points` (K, GRID, 2) x, y."""
    cell = places[:, None, 2:] / MASK_SIZE
    cells = np.clip((points - _low(places)[:, None, :]) / cell, 0, MASK_SIZE - 1).astype(np.int64)
    pair = np.arange(len(masks))[:, None, None]
    covered: NDArray[np.bool_] = (
        masks[pair, cells[:, :, 1][:, :, None], cells[:, :, 0][:, None, :]] >= MASK_INSIDE
    )
    return covered
