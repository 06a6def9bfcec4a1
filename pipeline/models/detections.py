"""`Detections`: what a model found in one frame. Filters, stages, images and replays all take this type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.masks import MASK_SIZE


@dataclass(frozen=True, slots=True)
class Detections:
    """The instances of one frame. Row i of every array describes the same object.

    Attributes:
        boxes_px: (N, 4) float32, corners x0 y0 x1 y1 in pixels of the frame, inside it, x0 < x1 and y0 < y1.
        scores: (N,) float32, confidence 0..1, in descending order.
        class_ids: (N,) int16, indices into the model's `classes`.
        masks: (N, 28, 28) uint8, mask probability scaled to 0..255, spread over the box; 128 or more is inside.
    """

    boxes_px: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int16]
    masks: NDArray[np.uint8]

    @classmethod
    def empty(cls) -> Detections:
        """No instances."""
        return cls(
            np.zeros((0, 4), np.float32),
            np.zeros(0, np.float32),
            np.zeros(0, np.int16),
            np.zeros((0, MASK_SIZE, MASK_SIZE), np.uint8),
        )

    @classmethod
    def invalid(cls) -> Detections:
        """The result of a model whose output contains NaN or infinity: `is_finite` is false."""
        return cls(
            np.full((1, 4), np.nan, np.float32),
            np.full(1, np.nan, np.float32),
            np.zeros(1, np.int16),
            np.zeros((1, MASK_SIZE, MASK_SIZE), np.uint8),
        )

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: NDArray[Any]) -> Detections:
        """The instances selected by an index array or a boolean mask, in that order."""
        return Detections(self.boxes_px[rows], self.scores[rows], self.class_ids[rows], self.masks[rows])

    @property
    def is_finite(self) -> bool:
        """Whether all boxes and scores are finite; masks are integers and always are."""
        return bool(np.isfinite(self.boxes_px).all() and np.isfinite(self.scores).all())
