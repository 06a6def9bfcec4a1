"""From the network's output to `Detections` in pixels of the frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from pipeline.models.detections import Detections
from pipeline.models.letterbox import Letterbox
from pipeline.models.maskrcnn.copy_to_host import HostOutput
from pipeline.transport.planes import Planes


def to_detections(
    output: HostOutput, frames: Sequence[Planes], letterbox: Letterbox, class_of_label: NDArray[np.int16]
) -> list[Detections]:
    """The instances of a batch of frames of one size.

    Args:
        output: of the network.
        frames: the batch.
        letterbox: where each frame lies in the input.
        class_of_label: (labels,) index into the model's classes.

    Returns:
        One `Detections` per frame, without instances that are not finite.
    """
    return [
        Detections.empty(non_finite=int(output.non_finite[number]), invalid=True)
        if output.invalid[number]
        else _of_image(output, number, frame, letterbox, class_of_label)
        for number, frame in enumerate(frames)
    ]


def _of_image(
    output: HostOutput, number: int, frame: Planes, letterbox: Letterbox, class_of_label: NDArray[np.int16]
) -> Detections:
    in_image = output.rows[:, 6] == number
    rows, masks = output.rows[in_image], output.masks[in_image]
    scale = np.array([letterbox.scale_x, letterbox.scale_y] * 2, np.float32)
    limit = np.array([frame.width, frame.height] * 2, np.float32)
    boxes_px = np.clip(rows[:, :4] / scale, 0, limit).astype(np.float32)
    kept = (boxes_px[:, 0] < boxes_px[:, 2]) & (boxes_px[:, 1] < boxes_px[:, 3])
    class_ids = class_of_label[rows[kept, 5].astype(np.int64)]
    described = output.appearances
    found = Detections(
        boxes_px[kept],
        rows[kept, 4],
        class_ids,
        masks[kept],
        non_finite=int(output.non_finite[number]),
        appearances=None if described is None else described[in_image][kept],
    )
    return found.without_non_finite()
