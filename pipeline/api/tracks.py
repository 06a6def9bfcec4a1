"""The tracked objects of one frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pipeline.api.steps import Step
from pipeline.transport import messages


@dataclass(frozen=True, slots=True)
class Tracks:
    """The objects that are seen in one frame. Row i of every array is the same object.

    An object appears here once it is confirmed, that is, seen for `tracker.confirm_s` seconds.

    Attributes:
        ids: (N,) int64, identity of the object within the stream, from 1.
        boxes_px: (N, 4) float32, x0 y0 x1 y1 in pixels of the frame.
        scores: (N,) float32, 0..1.
        class_ids: (N,) int16, the class that the object was taken for most of the time.
        class_names: N names of these classes.
        masks: (N, 28, 28) uint8, mask probability 0..255 spread over the box; 128 or more is inside.
        feet_px: (N, 2) float32, x y of the foot point: the middle of the lower edge of the mask.
        frame_size: width and height in pixels of the stream's first frame.
        steps: for counters: all that the frame says of objects, also of those that are not seen in it. It has the
            observations of an object from before it was confirmed, and tells which objects are gone for good.
    """

    ids: NDArray[np.int64]
    boxes_px: NDArray[np.float32]
    scores: NDArray[np.float32]
    class_ids: NDArray[np.int16]
    class_names: tuple[str, ...]
    masks: NDArray[np.uint8]
    feet_px: NDArray[np.float32]
    frame_size: tuple[int, int]
    steps: tuple[Step, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.ids)

    @classmethod
    def of_message(
        cls,
        message: messages.FrameTracks,
        classes: Sequence[str],
        frame_size: tuple[int, int],
        steps: tuple[Step, ...],
    ) -> Self:
        """From the message of a run; `classes` are the model's."""
        return cls(
            ids=message.ids,
            boxes_px=message.boxes_px,
            scores=message.scores,
            class_ids=message.class_ids,
            class_names=tuple(classes[class_id] for class_id in message.class_ids),
            masks=message.masks,
            feet_px=message.feet_px,
            frame_size=frame_size,
            steps=steps,
        )
