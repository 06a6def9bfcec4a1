"""The frame rate of a detections file that does not tell it, from how fast the boxes move.

People who walk pass about half their own height a second in a picture, whatever camera shows them. The noise of
the boxes is taken out by looking one and two frames ahead: over `n` frames the mean square of the distances is
`(n * step)**2 + noise**2`, the structure function of a walk with white noise.
"""

from __future__ import annotations

import numpy as np

from pipeline.geometry.boxes import box_iou, ltwh_to_xyxy
from pipeline.geometry.plane import Floats

HEIGHTS_PER_S = 0.45
"""Three quarters of what moves is slower than that: 0.39-0.57 in four public sequences of people, by their truth."""
SAME = 0.3
"""Overlap from which on two boxes that are each other's best are taken for one object."""
LEAST_PAIRS = 100
SLOWEST_FPS, FASTEST_FPS = 4.0, 60.0


def estimated_fps(rows: Floats, frames: int = 1500) -> float | None:
    """Frames per second of (N, >= 6) rows frame, left, top, width, height at 0 and 2..5; None where too little moves.

    Looks at the first `frames` frames. Right within a factor of about 1.5 for people; for what is faster the rate
    comes out lower, which is what a tracker needs that expects people.
    """
    one, two = _moved(rows, 1, frames), _moved(rows, 2, frames)
    if min(len(one), len(two)) < LEAST_PAIRS:
        return None
    near, far = (float(np.percentile(moved, 75)) for moved in (one, two))
    step = np.sqrt(max(0.0, far**2 - near**2) / 3)
    if step <= 0:
        return None
    return float(np.clip(HEIGHTS_PER_S / step, SLOWEST_FPS, FASTEST_FPS))


def _moved(rows: Floats, ahead: int, frames: int) -> Floats:
    """How far boxes got in `ahead` frames, in heights."""
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
        same = (overlap.argmax(axis=0)[best] == own) & (overlap[own, best] > SAME)
        a, b = here[same], there[best[same]]
        centres = a[:, :2] + a[:, 2:] / 2 - b[:, :2] - b[:, 2:] / 2
        found.append(np.hypot(centres[:, 0], centres[:, 1]) / np.sqrt(a[:, 3] * b[:, 3]))
    return np.concatenate(found)
