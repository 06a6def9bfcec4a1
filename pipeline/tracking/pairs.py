"""What is linked with what: the detections of a frame, and the tracks as they should be in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.mask_iou import informative_masks
from pipeline.geometry.masks import Masks
from pipeline.geometry.plane import Floats
from pipeline.tracking import kalman
from pipeline.tracking.appearance_memory import DetectionAppearances, TrackAppearances
from pipeline.tracking.class_groups import Groups
from pipeline.tracking.observation import touches
from pipeline.transport.messages import Instances

MIN_INITIATION_SCORE = 0.42
"""Detections below this score never begin a track."""


@dataclass(frozen=True, slots=True)
class Measurements:
    """The instances of one frame, as the tracker sees them.

    Attributes:
        cxcywh_px: (N, 4) centre x, centre y, width, height, pixels.
        scores: (N,) 0..1.
        class_ids: (N,).
        groups: (N,) the groups of these.
        weak: (N,) whether too weak to begin a track.
        edges: (N, 4) whether the box touches the left, top, right, bottom border of the frame.
        seen: their appearance; None if it was not computed.
        masks: (N, 28, 28), or None if they tell nothing.
    """

    cxcywh_px: Floats
    scores: Floats
    class_ids: NDArray[np.int16]
    groups: NDArray[np.int16]
    weak: NDArray[np.bool_]
    edges: NDArray[np.bool_]
    seen: DetectionAppearances | None = None
    masks: Masks | None = None

    @classmethod
    def of(cls, instances: Instances, groups: Groups) -> Measurements:
        """The measurements of a frame.

        Args:
            instances: The detections, N of them.
            groups: Class id -> group of classes that are linked with each other.
        """
        boxes_px = instances.boxes_px.astype(np.float64)
        return cls(
            cxcywh_px=kalman.measurements(boxes_px),
            scores=instances.scores.astype(np.float64),
            class_ids=instances.class_ids,
            groups=groups[instances.class_ids],
            weak=instances.scores < MIN_INITIATION_SCORE,
            edges=touches(boxes_px, (instances.width, instances.height)),
            seen=None
            if instances.appearances is None
            else DetectionAppearances(instances.appearances, boxes_px),
            masks=informative_masks(instances.masks),
        )


@dataclass(frozen=True, slots=True)
class Predictions:
    """Where the tracks should be.

    Attributes:
        mean: (M, 4) predicted box, as `Measurements.cxcywh_px`.
        variance: (M, 4) variance of `mean`, square pixels.
        class_ids: (M,).
        groups: (M,) the groups of these.
        edges: (M, 4) borders that each touched when it was last seen.
        fresh: (M,) whether each began in the last frame.
        new: (M,) whether it has too few observations for an estimate of its speed.
        leaving: (M, 4) pixels by which each has gone out over the left, top, right, bottom border since the last
            frame; 0 where it does not.
        noise: (4,) variance of measurements, as shares of the squared size.
        appearances: of the tracks.
        masks: (M, 28, 28), their last ones.
    """

    mean: Floats
    variance: Floats
    class_ids: NDArray[np.int16]
    groups: NDArray[np.int16]
    edges: NDArray[np.bool_]
    new: NDArray[np.bool_]
    fresh: NDArray[np.bool_]
    leaving: Floats
    noise: Floats
    appearances: TrackAppearances
    masks: Masks
