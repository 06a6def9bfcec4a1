"""Instances that only repeat others: a second box on one object, or one box around two people that have their own.

The masks of objects cover what is seen of each, so those of different objects hardly overlap, however much
their boxes do. An instance most of whose mask is covered by better ones of its class shows nothing new; non-maximum
suppression by boxes keeps it, because its box is unlike each of theirs. Unlike matrix NMS (Wang et al., SOLOv2,
2020, section 3.3), which compares pairs, the union of all better masks counts here.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.tracking.class_groups import Groups
from pipeline.transport.messages import Instances

COVERED = 0.6
"""Part of a mask that better ones cover, from which on the instance is a duplicate."""

SIDE_CELLS = 384
"""Cells of the longer side of the frame on which masks are compared."""

FILLS = 0.97
"""Part of its box that a mask fills, from which on it tells no more than the box: detectors without masks."""


def without_duplicates(instances: Instances, groups: Groups) -> Instances:
    """Leaves out instances whose mask is mostly covered by those of instances with higher scores of the same group.

    Args:
        instances: Of one frame.
        groups: Class id -> group of classes.

    Returns:
        The others, in their order.
    """
    group = groups[instances.class_ids]
    count = len(instances.scores)
    if count < 2:
        return instances
    scale = SIDE_CELLS / max(instances.width, instances.height)
    shape = (int(np.ceil(instances.height * scale)), int(np.ceil(instances.width * scale)))
    corners = _cells(instances.boxes_px * scale, shape)
    tells = _meet(corners, group)
    if not tells.any():
        return instances
    tells[tells] = (instances.masks[tells] >= 128).mean((1, 2)) < FILLS
    keep = np.ones(count, bool)
    covered: dict[int, NDArray[np.bool_]] = {}
    for row in np.argsort(-instances.scores, kind="stable").tolist():
        if not tells[row]:
            continue
        x0, y0, x1, y1 = corners[row].tolist()
        cells = cv2.resize(instances.masks[row], (x1 - x0, y1 - y0), interpolation=cv2.INTER_LINEAR) >= 128
        canvas = covered.setdefault(int(group[row]), np.zeros(shape, bool))
        there = canvas[y0:y1, x0:x1]
        area = np.count_nonzero(cells)
        if area and np.count_nonzero(there & cells) >= COVERED * area:
            keep[row] = False
        else:
            there |= cells
    return instances if keep.all() else instances.only(keep)


def _cells(boxes: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.int64]:
    """Boxes in cells: (N, 4) x0 y0 x1 y1, inside the frame, at least one cell each."""
    limit = np.array([shape[1], shape[0]])
    result = np.empty(boxes.shape, np.int64)
    result[:, :2] = np.clip(np.floor(boxes[:, :2]), 0, limit - 1)
    result[:, 2:] = np.clip(np.ceil(boxes[:, 2:]), result[:, :2] + 1, limit)
    return result


def _meet(cells: NDArray[np.int64], class_ids: NDArray[np.int16]) -> NDArray[np.bool_]:
    """(N,) whether each box shares a cell with another one of its class; the others cannot be duplicates."""
    meet: NDArray[np.bool_] = class_ids[:, None] == class_ids
    for axis in (0, 1):
        low, high = cells[:, axis], cells[:, axis + 2]
        meet &= (low[:, None] < high) & (low < high[:, None])
    np.fill_diagonal(meet, False)
    result: NDArray[np.bool_] = meet.any(axis=1)
    return result
