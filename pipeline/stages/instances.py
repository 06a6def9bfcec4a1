"""What a model found in a frame, as the message that `track` takes."""

from __future__ import annotations

from pipeline.models.appearance import appearance_descriptors
from pipeline.models.detections import Detections
from pipeline.transport.messages import OK, FrameRef, Instances
from pipeline.transport.planes import Planes

QUARANTINED = "quarantined"
"""The frame was with a worker at too many deaths."""
NOT_FINITE = "not_finite"
"""The model answered with numbers that are none."""


def instances_of(
    ref: FrameRef, found: Detections, skipped: str = OK, planes: Planes | None = None
) -> Instances:
    """The message for a frame. Numbers that are not finite make it a frame without instances, and say so.

    Args:
        planes: the frame; with it the message says what the instances look like.
    """
    if not found.is_finite:
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
        appearances=None if planes is None else appearance_descriptors(planes, found.boxes_px, found.masks),
        camera=ref.camera,
    )
