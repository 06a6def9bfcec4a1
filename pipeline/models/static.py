"""`skip_static`: which frames of a stream the model may be spared because nothing moves in them.

A frame is compared with the last one that the model saw, not with the one before it: motion too slow to be seen from
frame to frame adds up until it is. Where nothing moved, what the model found last is used again, so objects that stand
still stay tracked, counted and drawn.

A single look can miss an object that is there, or see one that is not, and here it would do so for seconds. What was
found is therefore used again only when two looks in a row agree.
"""

from __future__ import annotations

from enum import Enum, auto

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import StaticConfig
from pipeline.geometry.boxes import box_iou
from pipeline.models.detections import Detections

WIDTH = 320
"""Columns of the small pictures that are compared, at the most: noise averages out, a distant walker does not."""
SAME_IOU = 0.5
"""Overlap from which on two boxes show one object at one place."""


class Verdict(Enum):
    """What is to be done with a frame."""

    LOOK = auto()
    """The model has to see it; `told` gets what it found."""
    HOLD = auto()
    """Nothing moved: `held` is what is in it."""
    WAIT = auto()
    """Cannot be said before `told` has what the model finds in the frame before."""


class StaticGate:
    """The frames of one stream, in order. Time is media time: a file is decided in the same way each time."""

    def __init__(self, config: StaticConfig) -> None:
        self._config = config
        self._seen: NDArray[np.uint8] | None = None
        """The last frame that the model saw, small."""
        self._seen_s = 0.0
        self._untold = 0
        self._looks = 0
        """Frames that the model saw since something moved, with the one in which it did."""
        self._agree = False
        self.held = Detections.empty()
        """What the model found last."""

    def decide(self, luma: NDArray[np.uint8], pts_s: float) -> Verdict:
        """The next frame. `luma`: (H, W) uint8, only read. `pts_s`: its media time."""
        small = shrunk(luma)
        moved = self._seen is None or moving(small, self._seen, self._config)
        if moved:
            self._looks = 0
        elif self._looks >= 2:
            if self._untold:
                return Verdict.WAIT
            if self._agree and 0 <= pts_s - self._seen_s < self._config.refresh_s:
                return Verdict.HOLD
        self._seen, self._seen_s = small, pts_s
        self._looks += 1
        self._untold += 1
        return Verdict.LOOK

    def told(self, found: Detections | None) -> None:
        """What the model found in the first of the frames that it had to see and of which nothing was told yet.

        None: nothing that could be used, so the next frame has to be seen, too.
        """
        self._untold -= 1
        self._agree = found is not None and agree(self.held, found)
        self.held = self.held if found is None else found


def shrunk(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A small copy, each of its pixels the mean of a square of the frame; what is over at two edges is left out."""
    height, width = luma.shape
    factor = -(-width // WIDTH)
    if factor == 1 or height < factor:
        return luma.copy()
    size = (width // factor, height // factor)
    whole = luma[: size[1] * factor, : size[0] * factor]  # a whole factor is ten times as fast as any other
    return np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)


def moving(small: NDArray[np.uint8], before: NDArray[np.uint8], config: StaticConfig) -> bool:
    """Whether enough of the picture changed, apart from what all of it did: a cloud, or the camera's exposure."""
    if small.shape != before.shape:
        return True
    brighter = round(cv2.mean(small)[0] - cv2.mean(before)[0])
    level = cv2.addWeighted(small, 1.0, small, 0.0, -brighter)
    changed = cv2.threshold(cv2.absdiff(level, before), config.threshold, 1, cv2.THRESH_BINARY)[1]
    return cv2.countNonZero(changed) >= max(2.0, config.area * small.size)


def agree(first: Detections, second: Detections) -> bool:
    """Whether both show the same objects at the same places."""
    if len(first.scores) != len(second.scores):
        return False
    same = box_iou(first.boxes_px.astype(np.float64), second.boxes_px.astype(np.float64)) >= SAME_IOU
    same &= first.class_ids[:, None] == second.class_ids[None]
    return bool(same.any(axis=0).all() and same.any(axis=1).all())
