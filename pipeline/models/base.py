"""What a model is to the rest of Tallycam."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.masks import MASK_SIZE
from pipeline.transport.planes import Planes


@dataclass(frozen=True, slots=True)
class Detections:
    """What a model found in one frame. Row i of every array is the same object.

    Attributes:
        boxes_px: (N, 4) float32, x0 y0 x1 y1, pixels of the frame, inside it, x0 < x1 and y0 < y1.
        scores: (N,) float32, 0..1, falling.
        class_ids: (N,) int16, index into the model's `classes`.
        masks: (N, 28, 28) uint8, mask probability 0..255 spread over the box; 128 or more is inside.
    """

    boxes_px: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int16]
    masks: NDArray[np.uint8]

    @classmethod
    def nothing(cls) -> Detections:
        return cls(
            np.zeros((0, 4), np.float32),
            np.zeros(0, np.float32),
            np.zeros(0, np.int16),
            np.zeros((0, MASK_SIZE, MASK_SIZE), np.uint8),
        )


def not_finite() -> Detections:
    """The answer of a model that lost its numbers: whoever takes it sees that, quarantines the frame and counts it."""
    return Detections(
        np.full((1, 4), np.nan, np.float32),
        np.full(1, np.nan, np.float32),
        np.zeros(1, np.int16),
        np.zeros((1, MASK_SIZE, MASK_SIZE), np.uint8),
    )


class Segmenter(Protocol):
    """An instance segmentation model.

    Attributes:
        classes: names; `class_ids` index them.
        device: where it runs, in words (`cpu`, `cuda:0 NVIDIA H200`).
    """

    classes: tuple[str, ...]
    device: str

    def warm_up(self) -> None:
        """Runs the model once so that the first frame is not slow."""

    def segment(self, frames: Sequence[Planes]) -> list[Detections]:
        """One `Detections` a frame, in order. Sizes may differ. The planes are only read, and only during the call."""


class Overlapping(Segmenter, Protocol):
    """A model whose device works beside us: batches can be begun before the first of them is finished. Its `ahead`
    tells that it is one.

    `finish` answers for them in the order in which they were begun. No `segment` while one is begun.

    Attributes:
        ahead: so many more than one may be begun; 0: each is to be finished before the next.
        busy: the device still computes what was begun first, so that `finish` would have to wait for it.
    """

    ahead: int

    @property
    def busy(self) -> bool: ...

    def begin(self, frames: Sequence[Planes]) -> None:
        """The planes are only read, and until `finish` has answered for them."""

    def finish(self) -> list[Detections]:
        """One `Detections` a frame of the batch that was begun first."""
