"""Overlap of masks that are spread over different boxes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.masks import MASK_INSIDE, MASK_SIZE, Masks
from pipeline.geometry.plane import Floats

GRID = 14
"""Samples along each axis at which `iou_in_common_box` compares two masks."""


def mask_iou(first_px: Floats, first: Masks, second_px: Floats, second: Masks) -> float:
    """Intersection over union of two masks, sampled on a grid over the intersection of their boxes.

    Args:
        first_px, second_px: boxes, (4,) x0 y0 x1 y1.
        first, second: masks, (28, 28), 0..255; an empty one stands for its whole box.

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
    intersection = float(both.mean() * (high - low).prod())
    return intersection / max(areas[0] + areas[1] - intersection, 1e-9)


def iou_in_common_box(
    first_cxcywh: Floats, first_masks: Masks, second_cxcywh: Floats, second_masks: Masks
) -> Floats:
    """Intersection over union of pairs of masks, within the intersection of their boxes only.

    Unlike `mask_iou` it does not depend on how much the boxes overlap, only on whether the masks agree where they do.

    Args:
        first_cxcywh, second_cxcywh: boxes, (K, 4) centre x, centre y, width, height.
        first_masks, second_masks: (K, 28, 28), 0..255.

    Returns:
        (K,), 0..1; 1 where the boxes do not overlap, or neither mask covers anything of the intersection.
    """
    low = np.maximum(_top_left(first_cxcywh), _top_left(second_cxcywh))
    first_high, second_high = (_top_left(boxes) + boxes[:, 2:] for boxes in (first_cxcywh, second_cxcywh))
    extent = np.minimum(first_high, second_high) - low
    steps = (np.arange(GRID) + 0.5) / GRID
    points = low[:, None, :] + steps[None, :, None] * extent[:, None, :]
    first = _sample(first_cxcywh, first_masks, points)
    second = _sample(second_cxcywh, second_masks, points)
    union = (first | second).sum(axis=(1, 2))
    intersection = (first & second).sum(axis=(1, 2))
    comparable = (extent > 0).all(axis=1) & (union > 0)
    result: Floats = np.where(comparable, intersection / np.maximum(union, 1), 1.0)
    return result


def informative_masks(masks: Masks) -> Masks | None:
    """The masks of a frame, or None if all of them fill their boxes, as those of a detector without masks do.

    Args:
        masks: (N, 28, 28), 0..255.
    """
    return masks if len(masks) and masks.min() < MASK_INSIDE else None


def _top_left(boxes_cxcywh: Floats) -> Floats:
    corner: Floats = boxes_cxcywh[:, :2] - boxes_cxcywh[:, 2:] / 2
    return corner


def _sample(boxes_cxcywh: Floats, masks: Masks, points: Floats) -> NDArray[np.bool_]:
    """Whether masks cover the points of a grid.

    Args:
        boxes_cxcywh: (K, 4).
        masks: (K, 28, 28).
        points: (K, GRID, 2), x of the columns and y of the rows.

    Returns:
        (K, GRID, GRID).
    """
    cell = boxes_cxcywh[:, None, 2:] / MASK_SIZE
    offset = points - _top_left(boxes_cxcywh)[:, None, :]
    cells = np.clip(offset / cell, 0, MASK_SIZE - 1).astype(np.int64)
    pair = np.arange(len(masks))[:, None, None]
    covered: NDArray[np.bool_] = (
        masks[pair, cells[:, :, 1][:, :, None], cells[:, :, 0][:, None, :]] >= MASK_INSIDE
    )
    return covered
