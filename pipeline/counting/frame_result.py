"""Result of counting for one frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline.geometry.plane import Floats
from pipeline.records.event import CountEvent
from pipeline.records.state import checkpointed
from pipeline.tracking.identities import CountedObject
from pipeline.transport.messages import FrameTracks, Instances


@checkpointed
@dataclass(frozen=True, slots=True)
class TrackRow:
    """One confirmed object in one frame, for track files, including frames before it was confirmed.

    Attributes:
        track: id of the object.
        index: number of the frame in the source, from 0.
        class_name: its class by vote when the row was made.
        score: of the instance, 0..1.
        box_px: x0 y0 x1 y1, pixels of the decoded frame.
    """

    track: int
    index: int
    class_name: str
    score: float
    box_px: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class FrameResult:
    """Result of one frame.

    Attributes:
        tracks: the objects to draw, and the counts so far.
        events: changes to the events database, in order.
        rows: rows of a track file that are final now; most are of earlier frames, since boxes are smoothed.
    """

    tracks: FrameTracks
    events: list[CountEvent]
    rows: list[TrackRow]


def tracks_of(
    instances: Instances,
    visible: Sequence[tuple[int, CountedObject]],
    feet_px: Floats,
    drawn: Mapping[str, Any],
    events: Sequence[CountEvent],
) -> FrameTracks:
    """The message for the sink.

    Args:
        instances: the frame.
        visible: (row in `instances`, object) of the objects to draw.
        feet_px: (N, 2) foot points of all instances, pixels of the decoded frame.
        drawn: the fields that the counting rules fill.
        events: of this frame.
    """
    rows = np.array([row for row, _ in visible], np.int64)
    return FrameTracks(
        stream=instances.stream,
        epoch=instances.epoch,
        seq=instances.seq,
        index=instances.index,
        pts_s=instances.pts_s,
        wall_s=instances.wall_s,
        ids=np.array([counted.id for _, counted in visible], np.int64),
        boxes_px=instances.boxes_px[rows],
        scores=instances.scores[rows],
        class_ids=np.array([counted.class_id for _, counted in visible], np.int16),
        masks=instances.masks[rows],
        feet_px=feet_px[rows].astype(np.float32),
        camera=instances.camera,
        crossed=tuple(dict.fromkeys(event.name for event in events if event.kind == "line")),
        **drawn,
    )
