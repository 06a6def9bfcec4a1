"""Validation of log records as they are read: checksums detect damage, not impossible content.

A log may come from anywhere. Tracking and counting assume finite boxes with an area, known classes, and a media time
that does not fall; these checks make sure of that once, so that no later code has to.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from pipeline.records.log_header import MAX_SIDE_PX, MAX_WALL_S, LogHeader
from pipeline.transport.messages import Array, Instances

MAX_INSTANCES = 4096
"""Instances in one frame: the cost of tracking is quadratic in it."""
MAX_MEDIA_S = 1e9
"""31 years."""
MAX_NUMBER = 1 << 53
"""Larger frame numbers are not exact in float64, to which databases and JSON readers may convert them."""
MIN_BOX_PX = 0.01
_MAX_PX = 2.0 * MAX_SIDE_PX
_MAX_SCORE = 1.001
"""Sums of float32 probabilities may exceed 1 by a little."""
MAX_SKIPPED = 64
"""Characters in the reason for which the model did not see a frame."""


def impossible(record: Instances, header: LogHeader) -> str | None:
    """Why a record cannot be used, or None where it can.

    Args:
        record: as decoded; its array shapes are right already.
        header: of the log that holds it.
    """
    if record.stream != header.stream:
        return "it is of another stream"
    if not 1 <= record.width <= MAX_SIDE_PX or not 1 <= record.height <= MAX_SIDE_PX:
        return f"got a frame of {record.width}x{record.height}, expected 1 to {MAX_SIDE_PX} pixels each way"
    if not 0 <= record.index <= MAX_NUMBER or not 0 <= record.epoch <= MAX_NUMBER:
        return f"got frame {record.index} of epoch {record.epoch}"
    if not abs(record.pts_s) <= MAX_MEDIA_S:
        return f"got media time {record.pts_s}"
    if not 0 <= record.wall_s <= MAX_WALL_S:
        return f"got Unix time {record.wall_s}"
    if len(record.skipped) > MAX_SKIPPED or not record.skipped.isprintable():
        return "the reason for which the model did not see it is no text"
    if len(record.scores) > MAX_INSTANCES:
        return f"got {len(record.scores)} instances, at most {MAX_INSTANCES} can be counted"
    if record.camera is not None and not _is_camera(record.camera):
        return f"got camera position {record.camera}"
    return None


def usable_rows(record: Instances, classes: int) -> NDArray[np.bool_] | None:
    """Whether each instance has a finite box with an area, a score and a known class.

    Args:
        record: N instances.
        classes: how many classes the log names.

    Returns:
        (N,), or None where all of them have.
    """
    boxes, scores, class_ids = record.boxes_px, record.scores, record.class_ids
    if not len(boxes) or _all_usable(boxes, scores, class_ids, classes):
        return None
    with np.errstate(invalid="ignore", over="ignore"):
        good: NDArray[np.bool_] = ((boxes[:, 2:] - boxes[:, :2]) >= MIN_BOX_PX).all(axis=1)
        good &= (np.abs(boxes) <= _MAX_PX).all(axis=1)  # false for NaN
    good &= (scores >= 0) & (scores <= _MAX_SCORE)
    good &= (class_ids >= 0) & (class_ids < classes)
    return good


def _all_usable(boxes: Array, scores: Array, class_ids: Array, classes: int) -> bool:
    """The usual case, at a fraction of the cost. Comparisons with NaN are false."""
    low, high = np.minimum.reduce, np.maximum.reduce
    return bool(
        low(boxes, axis=None) >= -_MAX_PX
        and high(boxes, axis=None) <= _MAX_PX
        and low(boxes[:, 2:] - boxes[:, :2], axis=None) >= MIN_BOX_PX
        and low(scores) >= 0
        and high(scores) <= _MAX_SCORE
        and low(class_ids) >= 0
        and high(class_ids) < classes
    )


def _is_camera(camera: tuple[int, float, float, float, float]) -> bool:
    origin, a, b, x, y = camera
    scale = math.hypot(a, b)
    return 0 <= origin <= MAX_NUMBER and 1e-3 < scale < 1e3 and abs(x) < 1e9 and abs(y) < 1e9
