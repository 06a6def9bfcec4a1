"""`Detections`: what a model found in one frame. Filters, stages, images and replays all take this type."""

from __future__ import annotations

from dataclasses import dataclass, replace
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
        non_finite: rows of the model's output that were left out because they contain NaN or infinity.
        invalid: those were all rows, so that the output says nothing about the frame.
        appearances: (N, 24) uint8, see `models/appearance.py`, from a model that has them already; else None.
    """

    boxes_px: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int16]
    masks: NDArray[np.uint8]
    non_finite: int = 0
    invalid: bool = False
    appearances: NDArray[np.uint8] | None = None

    @classmethod
    def empty(cls, *, non_finite: int = 0, invalid: bool = False) -> Detections:
        """No instances.

        Args:
            non_finite: as the attribute.
            invalid: as the attribute.
        """
        return cls(
            np.zeros((0, 4), np.float32),
            np.zeros(0, np.float32),
            np.zeros(0, np.int16),
            np.zeros((0, MASK_SIZE, MASK_SIZE), np.uint8),
            non_finite,
            invalid,
        )

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, rows: NDArray[Any]) -> Detections:
        """The instances selected by an index array or a boolean mask, in that order."""
        return replace(
            self,
            boxes_px=self.boxes_px[rows],
            scores=self.scores[rows],
            class_ids=self.class_ids[rows],
            masks=self.masks[rows],
            appearances=None if self.appearances is None else self.appearances[rows],
        )

    def without_non_finite(self) -> Detections:
        """The instances whose box and score are finite; the others are counted in `non_finite`.

        Where that leaves none the result is `invalid`. Masks are integers and always finite.
        """
        finite = np.isfinite(self.boxes_px).all(axis=1) & np.isfinite(self.scores)
        if finite.all():
            return self
        lost = len(finite) - int(np.count_nonzero(finite))
        return replace(
            self[finite], non_finite=self.non_finite + lost, invalid=self.invalid or not finite.any()
        )
