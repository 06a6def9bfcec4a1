"""What one model finds and loses beside another on the same frames, and how fast both are."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.boxes import box_iou
from pipeline.models.detections import Detections
from pipeline.models.segmenter import Segmenter
from pipeline.transport.planes import Planes

SAME_IOU = 0.5
"""Boxes of one class that overlap by this much are the same object."""


@dataclass(slots=True)
class ModelComparison:
    """The figures.

    Attributes:
        frames: how many were compared.
        same: class -> objects that both found.
        lost: class -> objects that only the first model found.
        found: class -> objects that only the second model found.
        ious: IoU of the boxes of each object that both found.
        score_changes: score of the second model minus that of the first, for each of them.
        single_scores: scores of the objects that only one found.
        first_ms: of each frame, for the first model.
        second_ms: of each frame, for the second model.
    """

    frames: int = 0
    same: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    found: Counter[str] = field(default_factory=Counter)
    ious: list[float] = field(default_factory=list)
    score_changes: list[float] = field(default_factory=list)
    single_scores: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    second_ms: list[float] = field(default_factory=list)

    @property
    def speed_ratio(self) -> float:
        """Frames a second of the second model over those of the first."""
        return statistics.median(self.first_ms) / statistics.median(self.second_ms)

    def as_json(self) -> dict[str, Any]:
        """The figures as plain values."""
        return {
            "frames": self.frames,
            "same": dict(self.same),
            "lost": dict(self.lost),
            "found": dict(self.found),
            "mean_iou": statistics.mean(self.ious) if self.ious else None,
            "mean_score_change": statistics.mean(self.score_changes) if self.score_changes else None,
            "single_scores": sorted(self.single_scores),
            "ms": [statistics.median(self.first_ms), statistics.median(self.second_ms)],
            "speed_ratio": self.speed_ratio,
        }

    def add(self, first: Detections, second: Detections, classes: Sequence[str]) -> None:
        """Adds the objects of one frame.

        Args:
            first: of the first model.
            second: of the second model.
            classes: class names of both.
        """
        pairs = match(first, second)
        taken = ({row for row, _ in pairs}, {column for _, column in pairs})
        for row, column in pairs:
            self.same[classes[int(first.class_ids[row])]] += 1
            self.ious.append(float(_iou(first[np.array([row])], second[np.array([column])])[0, 0]))
            self.score_changes.append(float(second.scores[column] - first.scores[row]))
        for rows, one, counts in ((taken[0], first, self.lost), (taken[1], second, self.found)):
            for row in set(range(len(one))) - rows:
                counts[classes[int(one.class_ids[row])]] += 1
                self.single_scores.append(float(one.scores[row]))


def compare(
    first: Segmenter,
    second: Segmenter,
    frames: Sequence[Planes],
    clock: Callable[[], float] = time.perf_counter,
) -> ModelComparison:
    """Runs both models on each frame, one after the other.

    Args:
        first: warmed up.
        second: warmed up, with the same classes.
        frames: at least one.
        clock: seconds from any origin.
    """
    result = ModelComparison()
    for frame in frames:
        began_s = clock()
        (one,) = first.segment([frame])
        between_s = clock()
        (other,) = second.segment([frame])
        result.first_ms.append(1e3 * (between_s - began_s))
        result.second_ms.append(1e3 * (clock() - between_s))
        result.frames += 1
        result.add(one, other, first.classes)
    return result


def match(first: Detections, second: Detections) -> list[tuple[int, int]]:
    """Rows of the same objects in two results for one frame: same class, boxes that overlap most first.

    Args:
        first: one result.
        second: the other.
    """
    overlap = _iou(first, second)
    overlap = np.where(first.class_ids[:, None] == second.class_ids[None], overlap, 0.0)
    pairs: list[tuple[int, int]] = []
    while overlap.size and overlap.max() >= SAME_IOU:
        row, column = np.unravel_index(int(overlap.argmax()), overlap.shape)
        pairs.append((int(row), int(column)))
        overlap[row, :] = overlap[:, column] = 0.0
    return pairs


def _iou(first: Detections, second: Detections) -> NDArray[np.float64]:
    return box_iou(first.boxes_px.astype(np.float64), second.boxes_px.astype(np.float64))
