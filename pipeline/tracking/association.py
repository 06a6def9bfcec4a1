"""How unlike it is that a detection shows the object of a track: the cost of every pair that is worth a look.

The cost is a negative logarithm of likelihood: half the squared Mahalanobis distance of place and height, with
the uncertainty of the place itself, and what overlap, class and weakness of the detection say.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pipeline.geometry.mask_iou import iou_in_common_box
from pipeline.geometry.plane import Floats
from pipeline.tracking import kalman
from pipeline.tracking.appearance_memory import appearance_costs
from pipeline.tracking.border import came_in
from pipeline.tracking.pairs import Measurements, Predictions

Rows = NDArray[np.int64]
Touching = NDArray[np.bool_]

MAX_COST = 5.5
"""Distance from which on a detection is not the object."""
EDGE_ALIGNMENT = 0.57
"""0: places are compared by their centres; 1: by the best of both edges and the centre, on each axis, as fits
objects that are half hidden."""
MAX_SHAPE_COST = 3.7
"""The most that a difference of heights can cost."""
SHAPE_TOLERANCE = 0.49
"""Standard deviation of the logarithm of the ratio of heights between two observations of one object."""
SCALE_FREE = float(np.log(1.1))
SCALE_TOLERANCE = 0.25
"""An object grows or shrinks by the first, logarithms of factors, from one frame to the next, on both axes, without any
cost; the second is the standard deviation beyond it. Cut boxes change along one axis."""
OVERLAP_WEIGHT = 3.5
UNCERTAINTY_WEIGHT = 0.3
"""Weight of the log variance of the prediction: an unobserved track does not win a detection that fits
an observed one."""
CONFUSED_CLASS_COST = 0.8
"""Added to the distance where the classes differ, but are of one group (`class_groups.py`)."""
CLASS_CHANGE_COST = 3.4
"""Added to the distance where the classes differ: a flip is believed only where all else agrees."""
WEAK_COST = 0.99
"""Added to the distance of a weak detection: strong ones choose first."""


MASK_WEIGHT = 2.0
"""Of masks that do not agree, where several detections or several objects come into question."""
NEUTRAL_MASK_IOU = 0.7
"""Agreement of masks, inside the overlap of their boxes, that speaks neither for a pair nor against it."""
LONE_REACH = 4.0
"""Distance up to which a detection and a new track that have no other are linked, in sizes of the object."""
LONE_MARGIN = 1.5
"""How many times as far every other one must be."""
LONE_SHAPE_TOLERANCE = 0.25
"""Logarithm of the ratio of widths or heights, whichever is less, up to which they are alike."""
LONE_COST = MAX_COST - 0.1
MAX_DENSE_PAIRS = 10_000
"""More than so many are not looked at one by one."""

LOCALISATION_NOISE = 0.091
"""Standard deviation of a detected centre, in object sizes, where a box may be half hidden: larger than the noise of
the filter, which learns what the clean boxes of a stream scatter."""

_REACH = float(np.sqrt(2 * MAX_COST))
"""Standard deviations beyond which the place alone costs `MAX_COST`."""


def association_costs(new: Measurements, old: Predictions) -> tuple[Rows, Rows, Floats]:
    """Association costs of the gated detection-track pairs: negative log-likelihoods of the innovation, and what class,
    appearance and mask add.

    Args:
        new: Detections of the frame.
        old: Predicted tracks.

    Returns:
        Rows of `new` (K,), rows of `old` (K,) and costs (K,) of the gated pairs whose cost is below
        `MAX_COST`, and of lone pairs (`_with_lone_pairs`), which have a fixed cost.
    """
    rows, columns = _gate(new, old)
    if not len(rows):
        return _with_lone_pairs(new, old, rows, columns, np.zeros(0))
    measured, expected = new.cxcywh_px[rows], old.mean[columns]
    noise = 2.25 * LOCALISATION_NOISE**2 * (measured[:, 2] * measured[:, 3])
    off = measured - expected
    moved = _moved(off, new.edges, old.edges, rows, columns)
    predicted = old.variance[columns, :2]
    variance = predicted + noise[:, None]
    away = moved * moved / variance
    costs: Floats = 0.5 * (away[:, 0] + away[:, 1])
    if old.leaving.any():
        costs[_came_in(off, new, old, rows, columns)] = MAX_COST
    fair = (costs < MAX_COST).nonzero()[0]
    if len(fair) < len(rows):
        rows, columns, costs = rows[fair], columns[fair], costs[fair]
        measured, expected, off = measured[fair], expected[fair], off[fair]
        noise, predicted, variance = noise[fair], predicted[fair], variance[fair]
    ratio = np.log(measured[:, 3] / expected[:, 3])
    vague = np.log(variance[:, 0] * variance[:, 1] / (noise * noise))
    costs += (
        (UNCERTAINTY_WEIGHT / 2) * vague
        + np.minimum(ratio * ratio * (0.5 / SHAPE_TOLERANCE**2), MAX_SHAPE_COST)
        + _scale_costs(measured[:, 2] / expected[:, 2], ratio)
        + OVERLAP_WEIGHT * (1 - _overlap(off, measured, expected, predicted, old.new[columns]))
    )
    other_class = new.class_ids[rows] != old.class_ids[columns]
    if other_class.any():
        other_group = new.groups[rows] != old.groups[columns]
        costs += CONFUSED_CLASS_COST * other_class + (CLASS_CHANGE_COST - CONFUSED_CLASS_COST) * other_group
    weak = new.weak[rows]
    if weak.any():
        costs += WEAK_COST * weak
    if new.seen is not None:
        costs += appearance_costs(new.seen, rows, old.appearances, columns)
    good = costs < MAX_COST
    rows, columns, costs = _with_mask_costs(new, old, rows[good], columns[good], costs[good])
    return _with_lone_pairs(new, old, rows, columns, costs)


def _with_lone_pairs(
    new: Measurements, old: Predictions, rows: Rows, columns: Rows, costs: Floats
) -> tuple[Rows, Rows, Floats]:
    """The same pairs, and those of a detection and a new track that are far apart and have no other candidate.

    What moves by more than its own length between two frames overlaps nothing, and its velocity is known only when
    it has been linked once. A pair is taken if each is the other's nearest, by far, and they are alike in size.
    """
    if not old.fresh.any():
        return rows, columns, costs
    detections = ~new.weak
    detections[rows] = False
    tracks = old.fresh.copy()
    tracks[columns] = False
    row, column = detections.nonzero()[0], tracks.nonzero()[0]
    if not len(row) or not len(column) or len(row) * len(column) > MAX_DENSE_PAIRS:
        return rows, columns, costs
    one, other = new.cxcywh_px[row][:, None], old.mean[column][None]
    size = 1.5 * np.sqrt(one[..., 2] * one[..., 3])
    away = np.hypot(one[..., 0] - other[..., 0], one[..., 1] - other[..., 1]) / size
    unlike = np.abs(np.log(one[..., 2:] / other[..., 2:])).min(axis=-1) > LONE_SHAPE_TOLERANCE
    unlike |= new.groups[row][:, None] != old.groups[column]
    away[unlike | (away > LONE_REACH)] = np.inf
    near = away.min(axis=1, keepdims=True), away.min(axis=0, keepdims=True)
    clear = (away <= np.minimum(*near)) & np.isfinite(away)
    rivals = (away < LONE_MARGIN * near[0]).sum(axis=1, keepdims=True) + (away < LONE_MARGIN * near[1]).sum(
        axis=0
    )
    first, second = (clear & (rivals <= 2)).nonzero()
    if not len(first):
        return rows, columns, costs
    found = np.concatenate([rows, row[first]]), np.concatenate([columns, column[second]])
    order = np.lexsort((found[1], found[0]))
    every = np.concatenate([costs, np.full(len(first), LONE_COST)])
    return found[0][order], found[1][order], every[order]


def _with_mask_costs(
    new: Measurements, old: Predictions, rows: Rows, columns: Rows, costs: Floats
) -> tuple[Rows, Rows, Floats]:
    """The same pairs: where a detection or a track has several, masks have a word in it, too."""
    if new.masks is None or not len(rows):
        return rows, columns, costs
    some = ((np.bincount(rows)[rows] > 1) | (np.bincount(columns)[columns] > 1)).nonzero()[0]
    if not len(some):
        return rows, columns, costs
    row, column = rows[some], columns[some]
    agreed = iou_in_common_box(new.cxcywh_px[row], new.masks[row], old.mean[column], old.masks[column])
    costs[some] += MASK_WEIGHT * (NEUTRAL_MASK_IOU - agreed)
    good = costs < MAX_COST
    return rows[good], columns[good], costs[good]


def _gate(new: Measurements, old: Predictions) -> tuple[Rows, Rows]:
    """Pairs close enough, on both axes, that their cost, without appearance, may be below `MAX_COST`; none such is left
    out. By rows of `new`, then of `old`."""
    area = np.sqrt(new.cxcywh_px[:, 2:3] * new.cxcywh_px[:, 3:4])
    reach = (_REACH * LOCALISATION_NOISE * 1.5) * area + new.cxcywh_px[:, 2:] / 2
    low, high = new.cxcywh_px[:, :2] - reach, new.cxcywh_px[:, :2] + reach
    reach = _REACH * np.sqrt(old.variance[:, :2]) + old.mean[:, 2:] / 2
    first, last = old.mean[:, :2] - reach, old.mean[:, :2] + reach
    if len(low) * len(first) <= MAX_DENSE_PAIRS:
        near = (low[:, :1] <= last[:, 0]) & (first[:, 0] <= high[:, :1])
        near &= low[:, 1:] <= last[:, 1]
        near &= first[:, 1] <= high[:, 1:]
        rows, columns = near.nonzero()
        return rows, columns
    rows, columns = _overlapping_intervals(low[:, 0], high[:, 0], first[:, 0], last[:, 0])
    near = low[rows, 1] <= last[columns, 1]
    near &= first[columns, 1] <= high[rows, 1]
    near &= first[columns, 0] <= high[rows, 0]
    rows, columns = rows[near], columns[near]
    order = np.argsort(rows * len(first) + columns)
    return rows[order], columns[order]


def _overlapping_intervals(low: Floats, high: Floats, first: Floats, last: Floats) -> tuple[Rows, Rows]:
    """Pairs of intervals `low`..`high` (N,) and `first`..`last` (M,) that may overlap: a sort and a search instead of
    all pairs. Some that end just before the other begins are among them."""
    order = np.argsort(low)
    sorted_low = low[order]
    widest = (high - low).max(initial=0.0)
    start = np.searchsorted(sorted_low, first - widest)
    count = np.maximum(np.searchsorted(sorted_low, last, side="right") - start, 0)
    columns = np.repeat(np.arange(len(first)), count)
    places = np.arange(len(columns)) + np.repeat(start - (np.cumsum(count) - count), count)
    return order[places], columns


def _moved(off: Floats, touch: Touching, touched: Touching, rows: Rows, columns: Rows) -> Floats:
    """(K, 2): how far each candidate lies from where the object should be, on both axes: the distance of the
    centres, less what one edge alone explains.

    Args:
        off: (K, 4) candidate less expected place.
        touch: (N, 4) borders that candidates touch, `touched` (M, 4) those that objects did: at a border that both
            touch only the other edge tells where they are.
        rows: (K,) of the candidates, `columns` (K,) of the objects.
    """
    moved: Floats = np.abs(off[:, :2])
    half = off[:, 2:] / 2
    moved -= EDGE_ALIGNMENT * np.minimum(moved, np.abs(half))
    some = (touch.any(axis=1)[rows] & touched.any(axis=1)[columns]).nonzero()[0]
    if len(some):
        cut = touch[rows[some]] & touched[columns[some]]
        low, high = np.abs(off[some, :2] - half[some]), np.abs(off[some, :2] + half[some])
        moved[some] = np.where(cut[:, 2:], low, np.where(cut[:, :2], high, moved[some]))
    return moved


def _came_in(off: Floats, new: Measurements, old: Predictions, rows: Rows, columns: Rows) -> Rows:
    """Which of the pairs, with `off` as in `_moved`, take what comes in for what goes out."""
    some = (new.edges[rows] & (old.leaving[columns] > 0)).any(axis=1).nonzero()[0]
    row, column = rows[some], columns[some]
    sd = np.sqrt(old.variance[column, :2] + old.noise[:2] * kalman.area_of(new.cxcywh_px[row]))
    result: Rows = some[came_in(off[some], old.leaving[column], new.edges[row], sd)]
    return result


def _scale_costs(width_ratio: Floats, height_log_ratio: Floats) -> Floats:
    """(K,) cost of a change of size on both axes alike: of another object at another distance, or of one in its place.

    Args:
        width_ratio: (K,) measured width in expected widths.
        height_log_ratio: (K,) logarithm of the measured height in expected heights.
    """
    width = np.log(width_ratio)
    same = np.where(width * height_log_ratio > 0, np.minimum(np.abs(width), np.abs(height_log_ratio)), 0.0)
    beyond = np.maximum(same - SCALE_FREE, 0.0)
    result: Floats = beyond * beyond * (0.5 / SCALE_TOLERANCE**2)
    return result


def _overlap(
    off: Floats, measured: Floats, expected: Floats, variance: Floats, new: NDArray[np.bool_]
) -> Floats:
    """(K,) intersection over union of boxes, from their sizes and the distance of their centres.

    A new track's boxes are buffered by how vague its place is (after Yang et al., C-BIoU,
    https://arxiv.org/abs/2211.14317, whose buffer is a part of the box): who runs, seen five times a second, does
    not overlap where he was before, and his speed is not known yet.
    """
    pad = np.sqrt(variance) * (2.0 * new)[:, None] if new.any() else 0.0
    first, second = measured[:, 2:] + pad, expected[:, 2:] + pad
    common = (first + second) / 2 - np.abs(off[:, :2])
    np.minimum(common, np.minimum(first, second), out=common)
    np.maximum(common, 0.0, out=common)
    shared = common[:, 0] * common[:, 1]
    result: Floats = shared / (first[:, 0] * first[:, 1] + second[:, 0] * second[:, 1] - shared)
    return result
