"""Converts a model's detections in a frame to the message for `track`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.models.appearance import appearance_descriptors
from pipeline.models.detections import Detections
from pipeline.transport.messages import OK, FrameRef, Instances
from pipeline.transport.planes import Planes

NOT_FINITE = "not_finite"
"""`Instances.skipped` of a frame for which the model returned nothing but NaN or infinity."""


def instances_of(
    ref: FrameRef, found: Detections, skipped: str = OK, planes: Planes | None = None
) -> Instances:
    """The message for one frame.

    Args:
        ref: The frame.
        found: What the model found. Instances that are not finite are left out; where that leaves none, the frame is
            skipped as `NOT_FINITE`.
        skipped: As in `Instances`.
        planes: Pixels of the frame. With them the message has an appearance descriptor for each instance, the model's
            where it gives them.
    """
    found = found.without_non_finite()
    if found.invalid:
        found, skipped = Detections.empty(), NOT_FINITE
    return Instances(
        stream=ref.stream,
        epoch=ref.epoch,
        seq=ref.seq,
        index=ref.index,
        pts_s=ref.pts_s,
        wall_s=ref.wall_s,
        width=ref.width,
        height=ref.height,
        skipped=skipped,
        boxes_px=found.boxes_px,
        scores=found.scores,
        class_ids=found.class_ids,
        masks=found.masks,
        appearances=None if planes is None else _appearances(planes, found),
        camera=ref.camera,
        condition=ref.condition,
    )


def _appearances(planes: Planes, found: Detections) -> NDArray[np.uint8]:
    if found.appearances is not None:
        return found.appearances
    return appearance_descriptors(planes, found.boxes_px, found.masks)
