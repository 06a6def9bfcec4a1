"""The frame rate of a file of detections, estimated from the speed of its boxes.

Walking people move by about half their own height in the image each second, whatever the camera. The noise of the boxes
is removed by comparing displacements over one and two frames: over `n` frames the mean square displacement is
`(n * step)**2 + noise**2`, the structure function of uniform motion with white measurement noise.
"""

from __future__ import annotations

import numpy as np

from pipeline.geometry.boxes import box_iou, ltwh_to_xyxy
from pipeline.geometry.plane import Floats

HEIGHTS_PER_S = 0.45
"""75th percentile of the speed of people, in their heights per second: 0.39 to 0.57 in four public sequences."""
MIN_IOU = 0.3
"""Smallest IoU of two boxes that are taken for the same object; each must be the best match of the other."""
MIN_PAIRS = 100
MIN_FPS, MAX_FPS = 4.0, 60.0


def estimated_fps(rows: Floats, frames: int = 1500) -> float | None:
    """Estimate the frame rate of detections.

    The estimate is within a factor of about 1.5 for people. For faster objects it is too low, so that a tracker tuned
    for people sees them move as fast as people.

    Args:
        rows: (N, >= 6) frame, id, left, top, width, height.
        frames: use only this many frames from the first one on.

    Returns:
        Frames per second, or None if too little moves.
    """
    one, two = _moved(rows, 1, frames), _moved(rows, 2, frames)
    if min(len(one), len(two)) < MIN_PAIRS:
        return None
    near, far = (float(np.percentile(moved, 75)) for moved in (one, two))
    step = np.sqrt(max(0.0, far**2 - near**2) / 3)
    if step <= 0:
        return None
    return float(np.clip(HEIGHTS_PER_S / step, MIN_FPS, MAX_FPS))


def _moved(rows: Floats, ahead: int, frames: int) -> Floats:
    """Displacement of boxes over `ahead` frames, in their heights: (N,)."""
    if not len(rows):
        return np.zeros(0)
    rows = rows[rows[:, 0] < rows[:, 0].min() + frames]
    rows = rows[np.argsort(rows[:, 0], kind="stable")]
    numbers, starts = np.unique(rows[:, 0], return_index=True)
    parts = dict(zip(numbers.tolist(), np.split(rows[:, 2:6], starts[1:]), strict=True))
    found = [np.zeros(0)]
    for number, here in parts.items():
        there = parts.get(number + ahead)
        if there is None:
            continue
        overlap = box_iou(ltwh_to_xyxy(here), ltwh_to_xyxy(there))
        best = overlap.argmax(axis=1)
        own = np.arange(len(here))
        same = (overlap.argmax(axis=0)[best] == own) & (overlap[own, best] > MIN_IOU)
        a, b = here[same], there[best[same]]
        centres = a[:, :2] + a[:, 2:] / 2 - b[:, :2] - b[:, 2:] / 2
        found.append(np.hypot(centres[:, 0], centres[:, 1]) / np.sqrt(a[:, 3] * b[:, 3]))
    return np.concatenate(found)
