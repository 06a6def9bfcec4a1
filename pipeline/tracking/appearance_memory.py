"""What objects look like: kept over a track's life, and compared when detections and fragments are joined to it.

A descriptor is a row of `Instances.appearances`: six histograms, of the upper and the lower part. Two are compared by
their total variation distance, the mean of the six: 0 the same, 1 nothing in common. On two real clips, 9 in 10 pairs
of fragments of one person differ by less than 0.13, half of those of two people by more than 0.25. Crowded
observations count little: their pixels may belong to somebody else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.plane import Floats
from pipeline.records.state import AttributeState, checkpointed
from pipeline.transport.messages import APPEARANCE_SIZE

STITCH_SAME_DISTANCE = 0.1
"""Difference of appearance up to which it is evidence for stitching two fragments."""
STITCH_OTHER_DISTANCE = 0.15
"""And from which on it is evidence against. Between the two it is none: cars of one colour follow each other."""
STITCH_EVIDENCE_PER_DISTANCE = -16.0
"""Evidence for a stitch, in nats, for each unit of the difference beyond these."""
STITCH_EVIDENCE_RANGE = (-12.0, 1.6)
"""Bounds of that evidence."""
LINK_SAME_DISTANCE = 0.08
LINK_COST_PER_DISTANCE = 8.0
LINK_COST_RANGE = (-0.5, 3.0)
"""The same for linking a detection with a track, in the units of `association.py`."""
FULL_TRUST_WEIGHT = 3.0
"""Weight of its observations from which on the appearance of an object counts in full."""
MAX_UNCROWDED_OVERLAP = 0.1
"""Part of a box that lies in another one from which on its pixels may be that one's."""
CROWDED_WEIGHT = 0.1
"""Weight of such an observation."""
MEMORY_OBSERVATIONS = 10.0
"""Number of the latest observations over which the mean goes, about."""

_WHOLE = 2 * 255 * 6
"""Difference of two histograms that have nothing in common."""


@checkpointed
@dataclass(frozen=True, slots=True)
class Appearance:
    """Appearance of one object: the mean over its observations, in which the latest weigh most.

    Attributes:
        mean: (24,) 0..255.
        weight: of the observations in it; 0 if there is none.
    """

    mean: Floats
    weight: float


UNKNOWN = Appearance(np.zeros(APPEARANCE_SIZE), 0.0)


class DetectionAppearances:
    """Appearances of the detections of one frame.

    Attributes:
        appearances: (N, 24) float64, 0..255.
        weights: (N,) 1, or less where it is crowded, or 0 where nothing is known.
    """

    def __init__(self, appearances: NDArray[np.uint8], boxes_px: Floats) -> None:
        self.appearances = appearances.astype(np.float64)
        self.weights: Floats = np.where(crowded(boxes_px), CROWDED_WEIGHT, 1.0) * appearances.any(axis=1)

    def only(self, rows: Any) -> DetectionAppearances:
        """The appearances of some detections.

        Args:
            rows: (N,) bool, or (M,) int64 numbers of rows.
        """
        some = DetectionAppearances.__new__(DetectionAppearances)
        some.appearances, some.weights = self.appearances[rows], self.weights[rows]
        return some


class TrackAppearances(AttributeState):
    """Appearances of all tracks of a stream, one row each.

    Attributes:
        means: (M, 24) float64, as in `Appearance`.
        weights: (M,) float64.
    """

    STATE = ("means", "weights")

    def __init__(self) -> None:
        self.means = np.zeros((0, APPEARANCE_SIZE))
        self.weights = np.zeros(0)

    def add(self, count: int) -> None:
        """Adds tracks whose appearance is not known, in rows after the others.

        Args:
            count: Number of tracks.
        """
        self.means = np.concatenate([self.means, np.zeros((count, APPEARANCE_SIZE))])
        self.weights = np.concatenate([self.weights, np.zeros(count)])

    def keep(self, rows: Any) -> None:
        """Drops rows.

        Args:
            rows: The rows that stay: (M,) bool, or int64 numbers in their new order.
        """
        self.means, self.weights = self.means[rows], self.weights[rows]

    def only(self, rows: Any) -> TrackAppearances:
        """The appearances of some tracks.

        Args:
            rows: Bool for all rows, or (K,) int64 numbers of rows.
        """
        some = TrackAppearances()
        some.means, some.weights = self.means[rows], self.weights[rows]
        return some

    def observe(self, rows: Any, seen: DetectionAppearances) -> None:
        """Updates the mean appearance of tracks with one observation each.

        Args:
            rows: (K,) int64 rows of the tracks.
            seen: The K observations.
        """
        total = np.minimum(self.weights[rows] + seen.weights, MEMORY_OBSERVATIONS)
        share = seen.weights / np.maximum(total, 1e-9)
        self.means[rows] += share[:, None] * (seen.appearances - self.means[rows])
        self.weights[rows] = total

    def of(self, rows: Any) -> list[Appearance]:
        """The appearances of some tracks, as copies.

        Args:
            rows: (K,) int64.
        """
        if not self.weights.any():
            return [UNKNOWN] * len(rows)
        return [
            Appearance(mean, weight)
            for mean, weight in zip(self.means[rows], self.weights[rows].tolist(), strict=True)
        ]


def appearance_costs(seen: DetectionAppearances, rows: Any, old: TrackAppearances, columns: Any) -> Floats:
    """What appearance adds to the association cost of detection-track pairs.

    Args:
        seen: Appearances of the detections.
        rows: (K,) int64 rows of `seen`.
        old: Appearances of the tracks.
        columns: (K,) int64 rows of `old`.

    Returns:
        (K,) float64, within `LINK_COST_RANGE`; 0 where one of the two is not known.
    """
    difference = np.abs(seen.appearances[rows] - old.means[columns]).sum(axis=1) / _WHOLE
    trust = np.minimum(old.weights[columns], FULL_TRUST_WEIGHT) / FULL_TRUST_WEIGHT * (seen.weights[rows] > 0)
    costs: Floats = trust * np.clip(
        LINK_COST_PER_DISTANCE * (difference - LINK_SAME_DISTANCE), *LINK_COST_RANGE
    )
    return costs


def appearance_evidence(one: Appearance, other: Appearance) -> float:
    """Log-likelihood ratio of one object against two, by the appearance of two fragments.

    Args:
        one: Mean appearance of the earlier fragment.
        other: Of the later one.

    Returns:
        Within `STITCH_EVIDENCE_RANGE`; 0 where one of the two is not known.
    """
    trust = min(one.weight, other.weight, FULL_TRUST_WEIGHT) / FULL_TRUST_WEIGHT
    if trust == 0:
        return 0.0
    difference = float(np.abs(one.mean - other.mean).sum()) / _WHOLE
    beyond = min(difference - STITCH_SAME_DISTANCE, 0.0) + max(difference - STITCH_OTHER_DISTANCE, 0.0)
    low, high = STITCH_EVIDENCE_RANGE
    return trust * min(max(STITCH_EVIDENCE_PER_DISTANCE * beyond, low), high)


def crowded(boxes_px: Floats) -> NDArray[np.bool_]:
    """Which boxes of a frame overlap others by more than `MAX_UNCROWDED_OVERLAP` of their area.

    Args:
        boxes_px: (N, 4) x0 y0 x1 y1, pixels.

    Returns:
        (N,) bool.
    """
    order = np.argsort(boxes_px[:, 0])
    boxes = boxes_px[order]
    # of each box, those that begin further right, but before it ends
    count = np.maximum(np.searchsorted(boxes[:, 0], boxes[:, 2]) - np.arange(len(boxes)) - 1, 0)
    result = np.zeros(len(boxes), np.bool_)
    if not count.any():
        return result
    one = np.repeat(np.arange(len(boxes)), count)
    other = one + 1 + np.arange(len(one)) - np.repeat(np.cumsum(count) - count, count)
    sides = np.minimum(boxes[one, 2:], boxes[other, 2:]) - np.maximum(boxes[one, :2], boxes[other, :2])
    common = np.clip(sides, 0.0, None).prod(axis=1)
    area = MAX_UNCROWDED_OVERLAP * (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    for rows in (one, other):
        result[order[rows[common > area[rows]]]] = True
    return result
