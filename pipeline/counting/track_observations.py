"""What the tracker's matches say about one frame, one record for each track seen: the input of the object registry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import msgspec
import numpy as np

from pipeline.geometry.boxes import box_iou
from pipeline.geometry.mask_iou import mask_iou
from pipeline.geometry.plane import Floats
from pipeline.tracking.appearance_memory import Appearance
from pipeline.tracking.base import TrackMatches
from pipeline.tracking.observation import FrameTime, Observation, touched
from pipeline.tracking.stitching import Speed
from pipeline.transport.messages import Instances

SHADOW_IOU = 0.48
"""IoU of two boxes, and of their masks, from which on two tracks are taken to be on the same object."""


@dataclass(frozen=True, slots=True)
class TrackObservation:
    """One track in one frame.

    Attributes:
        track: number of the track.
        row: row of its instance in the message.
        observation: where and when.
        speed_px_s: of the track after this observation.
        appearance: of the track after this observation.
        shadow: whether the instance lies on that of an older track: a second detection of the same object.
    """

    track: int
    row: int
    observation: Observation
    speed_px_s: Speed
    appearance: Appearance
    shadow: bool


def in_first_frame(instances: Instances, frame: tuple[int, int]) -> Instances:
    """The instances in the coordinates of the stream's first frame, should the camera have changed its resolution.

    Args:
        instances: boxes in pixels of the decoded frame.
        frame: width and height of the first frame in pixels.
    """
    if (instances.width, instances.height) == frame:
        return instances
    scale = np.array([frame[0] / instances.width, frame[1] / instances.height] * 2, np.float32)
    return msgspec.structs.replace(
        instances, boxes_px=instances.boxes_px * scale, width=frame[0], height=frame[1]
    )


def track_observations(
    matches: TrackMatches,
    instances: Instances,
    scaled: Instances,
    feet_px: Floats,
    height_px: Callable[[int, float], float],
) -> list[TrackObservation]:
    """One record for each track seen, in the order of the matches.

    Args:
        matches: which track is which instance.
        instances: the frame as decoded.
        scaled: the same in the coordinates of the stream's first frame.
        feet_px: (N, 2) foot points of all instances, as `scaled`.
        height_px: smoothed height of a track's object, given its number and the height seen now.
    """
    frame_time = FrameTime(instances.seq, instances.epoch, instances.index, instances.pts_s, instances.wall_s)
    size = (scaled.width, scaled.height)
    rows = matches.rows.tolist()
    boxes, places = instances.boxes_px.tolist(), scaled.boxes_px.tolist()
    feet, scores, class_ids = feet_px.tolist(), instances.scores.tolist(), instances.class_ids.tolist()
    found = []
    for track, row, speed, appearance, shadow in zip(
        matches.tracks.tolist(),
        rows,
        matches.speed_px_s.tolist(),
        matches.appearances,
        _shadows(rows, scaled),
        strict=True,
    ):
        x0, y0, x1, y1 = place = tuple(places[row])
        observation = Observation(
            frame_time=frame_time,
            box_px=tuple(boxes[row]),
            place_px=place,
            foot=tuple(feet[row]),
            center=((x0 + x1) / 2, (y0 + y1) / 2),
            height_px=height_px(track, y1 - y0),
            score=scores[row],
            class_id=class_ids[row],
            edges=touched(place, size),
            mask=instances.masks[row],
        )
        found.append(TrackObservation(track, row, observation, tuple(speed), appearance, shadow))
    return found


def _shadows(rows: list[int], instances: Instances) -> list[bool]:
    """Whether each of the instances `rows`, those of older tracks first, lies on one before it."""
    boxes = instances.boxes_px.astype(np.float64)[rows]
    near = box_iou(boxes, boxes) >= SHADOW_IOU
    result = [False] * len(rows)
    if np.count_nonzero(near) <= len(rows):  # each with itself
        return result
    masks = instances.masks[rows]
    for young, old in zip(*np.nonzero(np.tril(near, -1)), strict=True):
        result[young] = result[young] or (
            mask_iou(boxes[young], masks[young], boxes[old], masks[old]) >= SHADOW_IOU
        )
    return result
