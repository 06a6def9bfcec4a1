"""`skip_static`: which frames of a stream need no inference because nothing moves in them.

A frame is compared with the last one that the model saw, not with the one before it, so that motion too slow to be
noticed between two frames accumulates until it is. Where nothing moved, the model's last result is used again: objects
that stand still remain tracked, counted and drawn.

A single inference may miss an object or invent one, and reusing it would prolong the error for seconds. So a result
is reused only when two consecutive inferences agree.
"""

from __future__ import annotations

from enum import Enum, auto

import cv2
import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import StaticConfig
from pipeline.geometry.boxes import box_iou
from pipeline.models.detections import Detections

MAX_WIDTH = 320
"""Columns of the downscaled frames that are compared: noise averages out, a distant pedestrian does not."""
SAME_IOU = 0.5
"""IoU from which on two boxes are the same object at the same place."""


class Decision(Enum):
    """What to do with a frame."""

    INFER = auto()
    """Run the model, and pass its result to `update`."""
    REUSE = auto()
    """Nothing moved: `detections` are the frame's."""
    DEFER = auto()
    """Cannot be decided before `update` has been called for earlier frames."""


class StaticGate:
    """Decides for the frames of one stream, in order, from media time: equal for each run over a file.

    Args:
        config: thresholds, and how often to run the model at least.

    Attributes:
        detections: the last result of the model.
    """

    def __init__(self, config: StaticConfig) -> None:
        self._config = config
        self.detections = Detections.empty()
        self._reference: NDArray[np.uint8] | None = None
        """The last frame that the model saw, downscaled."""
        self._reference_s = 0.0
        self._pending = 0
        """Frames whose results have not been passed to `update` yet."""
        self._inferences = 0
        """Frames that the model saw since the last motion, including the one with the motion."""
        self._agree = False

    def decide(self, luma: NDArray[np.uint8], pts_s: float) -> Decision:
        """The decision for the next frame.

        Args:
            luma: (H, W) uint8, read only.
            pts_s: its media time.
        """
        small = downscale_luma(luma)
        if self._reference is None or has_motion(small, self._reference, self._config):
            self._inferences = 0
        elif self._inferences >= 2:
            if self._pending:
                return Decision.DEFER
            if self._agree and 0 <= pts_s - self._reference_s < self._config.refresh_s:
                return Decision.REUSE
        self._reference, self._reference_s = small, pts_s
        self._inferences += 1
        self._pending += 1
        return Decision.INFER

    def update(self, found: Detections | None) -> None:
        """Takes the model's result for the oldest frame that was decided as `INFER` and is still pending.

        Args:
            found: the result; None if it is unusable, so that the next frame needs inference as well.
        """
        self._pending -= 1
        self._agree = found is not None and same_objects(self.detections, found)
        self.detections = self.detections if found is None else found


def downscale_luma(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A frame at most `MAX_WIDTH` wide. Each pixel is the mean of a square; a remainder at two edges is cut off.

    Args:
        luma: (H, W) uint8.
    """
    height, width = luma.shape
    factor = -(-width // MAX_WIDTH)
    if factor == 1 or height < factor:
        return luma.copy()
    size = (width // factor, height // factor)
    whole = luma[
        : size[1] * factor, : size[0] * factor
    ]  # an integer factor is ten times as fast as any other
    return np.asarray(cv2.resize(whole, size, interpolation=cv2.INTER_AREA), np.uint8)


def has_motion(small: NDArray[np.uint8], reference: NDArray[np.uint8], config: StaticConfig) -> bool:
    """Whether enough pixels changed, apart from a change of brightness common to all (a cloud, automatic exposure).

    Args:
        small: (h, w) uint8, downscaled.
        reference: likewise, the frame to compare with.
        config: thresholds.
    """
    if small.shape != reference.shape:
        return True
    brightening = round(cv2.mean(small)[0] - cv2.mean(reference)[0])
    level = cv2.addWeighted(small, 1.0, small, 0.0, -brightening)
    changed = cv2.threshold(cv2.absdiff(level, reference), config.threshold, 1, cv2.THRESH_BINARY)[1]
    return cv2.countNonZero(changed) >= max(2.0, config.area * small.size)


def same_objects(first: Detections, second: Detections) -> bool:
    """Whether two results show the same objects at the same places.

    Args:
        first: N instances of a frame.
        second: M instances of a later frame.
    """
    if len(first.scores) != len(second.scores):
        return False
    same = box_iou(first.boxes_px.astype(np.float64), second.boxes_px.astype(np.float64)) >= SAME_IOU
    same &= first.class_ids[:, None] == second.class_ids[None]
    return bool(same.any(axis=0).all() and same.any(axis=1).all())
