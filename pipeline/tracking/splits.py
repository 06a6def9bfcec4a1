"""One object, one box: what a post before it has split in two is put together again.

A detector gives a car behind a post as two boxes, to the left and to the right of it. Both lie in the box where the
car is expected, and together they fill it. People side by side that were one box before split in the same way; so only
objects that are wider than tall are put together, into parts neither of which is as wide as such an object.
"""

from __future__ import annotations

import cv2
import msgspec
import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.masks import MASK_SIZE
from pipeline.geometry.plane import Floats
from pipeline.tracking.class_groups import Groups
from pipeline.transport.messages import Instances

MIN_ASPECT = 1.2
"""Width by height from which on an object is put together."""
MAX_MISFIT = 0.06
"""How far each edge of the parts together may be from the expected one, in widths."""


def without_splits(instances: Instances, expected: Floats, groups: Groups) -> Instances:
    """The instances, with the two parts of a split object as one, in the place of the larger one.

    Args:
        instances: of one frame.
        expected: (M, 4) x0 y0 x1 y1, where the established tracks should be in this frame.
        groups: (C,) group of each class.
    """
    wide = expected[:, 2] - expected[:, 0] >= MIN_ASPECT * (expected[:, 3] - expected[:, 1])
    if len(instances.scores) < 2 or not wide.any():
        return instances
    boxes = instances.boxes_px.astype(np.float64)
    drop = np.zeros(len(boxes), np.bool_)
    changed: list[tuple[int, int]] = []
    for track, parts in _parts(boxes, expected[wide]):
        first, second = sorted(parts, key=lambda row: boxes[row, 0])
        if (
            groups[instances.class_ids[first]] != groups[instances.class_ids[second]]
            or drop[[first, second]].any()
        ):
            continue
        if _fits(boxes[first], boxes[second], expected[wide][track]):
            large, small = sorted((first, second), key=lambda row: boxes[row, 0] - boxes[row, 2])
            changed.append((large, small))
            drop[small] = True
    return _merged(instances, changed, ~drop) if changed else instances


def _parts(boxes: Floats, expected: Floats) -> list[tuple[int, list[int]]]:
    """Expected boxes in which the centres of exactly two boxes lie: (row of `expected`, rows of `boxes`)."""
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    order = np.argsort(centre[:, 0])
    low = np.searchsorted(centre[order, 0], expected[:, 0])
    high = np.searchsorted(centre[order, 0], expected[:, 2])
    found = []
    for track in (high - low >= 2).nonzero()[0].tolist():
        rows = order[low[track] : high[track]]
        y = centre[rows, 1]
        rows = rows[(y >= expected[track, 1]) & (y <= expected[track, 3])]
        if len(rows) == 2:
            found.append((track, rows.tolist()))
    return found


def _fits(left: Floats, right: Floats, whole: Floats) -> bool:
    """Whether two boxes side by side are the parts of `whole`."""
    width, height = whole[2] - whole[0], whole[3] - whole[1]
    union = np.array([left[0], min(left[1], right[1]), right[2], max(left[3], right[3])])
    parts = max(left[2] - left[0], right[2] - right[0])
    return bool(
        right[0] >= left[2] - MAX_MISFIT * width
        and parts < 0.9 * width
        and (np.abs(union - whole) <= MAX_MISFIT * width).all()
        and min(left[3] - left[1], right[3] - right[1]) >= 0.8 * height
    )


def _merged(instances: Instances, pairs: list[tuple[int, int]], keep: NDArray[np.bool_]) -> Instances:
    boxes, masks, scores = instances.boxes_px.copy(), instances.masks.copy(), instances.scores.copy()
    for large, small in pairs:
        a, b = instances.boxes_px[large], instances.boxes_px[small]
        union = np.concatenate([np.minimum(a[:2], b[:2]), np.maximum(a[2:], b[2:])])
        masks[large] = np.maximum(_spread(masks[large], a, union), _spread(masks[small], b, union))
        boxes[large] = union
        scores[large] = max(scores[large], scores[small])
    changed = msgspec.structs.replace(instances, boxes_px=boxes, masks=masks, scores=scores)
    return changed.only(keep)


def _spread(mask: NDArray[np.uint8], box: Floats, union: Floats) -> NDArray[np.uint8]:
    """The mask of a part on the grid of the whole."""
    scale = MASK_SIZE / np.maximum(union[2:] - union[:2], 1e-6)
    low = np.clip(np.floor((box[:2] - union[:2]) * scale), 0, MASK_SIZE - 1).astype(int)
    high = np.clip(np.ceil((box[2:] - union[:2]) * scale), low + 1, MASK_SIZE).astype(int)
    result = np.zeros((MASK_SIZE, MASK_SIZE), np.uint8)
    size = (int(high[0] - low[0]), int(high[1] - low[1]))
    result[low[1] : high[1], low[0] : high[0]] = cv2.resize(mask, size, interpolation=cv2.INTER_LINEAR)
    return result
