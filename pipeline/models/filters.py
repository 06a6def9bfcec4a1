"""Filters: which of a model's instances are used, by class, score, size and place in the frame. Pure.

The segmentation stage applies them before anything is logged; `recount` applies them to a log, so that stricter
filters can be tried on the past.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.config.schema import FilterConfig, ModelConfig, StreamConfig, ZoneConfig
from pipeline.geometry.masks import MASK_INSIDE, foot_points, mask_cells
from pipeline.geometry.plane import points_in_polygon
from pipeline.models.detections import Detections

Bools = NDArray[np.bool_]


def lowest_score(model: ModelConfig, streams: Sequence[StreamConfig] = ()) -> float:
    """The lowest score threshold of any class in any stream.

    Args:
        model: its `score` and `filter`.
        streams: their `filter`.
    """
    parts = [model.filter, *(stream.filter for stream in streams)]
    thresholds = [score for part in parts for score in part.scores.values()]
    return min([model.score, *thresholds])


def with_lowest_score(model: ModelConfig, streams: Sequence[StreamConfig] = ()) -> ModelConfig:
    """The configuration to load the model with, so that it returns everything that some filter keeps.

    Args:
        model: its `score` and `filter`.
        streams: their `filter`.
    """
    return model.model_copy(update={"score": lowest_score(model, streams)})


class InstanceFilter:
    """The instances that satisfy `model.score`, `model.filter` and a stream's `filter`: all conditions must hold.

    The threshold of a class is that of the stream's filter, else of the model's, else `model.score`. Names of classes
    that the model does not have are ignored here: they are refused when the configuration is checked.

    Args:
        model: its `score` and `filter`.
        stream: its `filter`; None where there is no stream.
        classes: the model's class names.
    """

    def __init__(self, model: ModelConfig, stream: StreamConfig | None, classes: Sequence[str]) -> None:
        parts = [model.filter] if stream is None else [model.filter, stream.filter]
        scores = {name: score for part in parts for name, score in part.scores.items()}
        allowed = [part.classes for part in parts if part.classes is not None]
        self._names = np.array(classes)
        self._thresholds = np.array([scores.get(name, model.score) for name in classes], np.float32)
        self._thresholds[[any(name not in names for names in allowed) for name in classes]] = np.inf
        self._parts = [part for part in parts if _has_geometry(part)]

    def apply(self, found: Detections, width: int, height: int) -> Detections:
        """The instances that are used, in their order.

        Args:
            found: instances of a frame.
            width: of the frame, pixels.
            height: of the frame, pixels.
        """
        keep = self.keep(found, width, height)
        return found if keep.all() else found[keep]

    def thresholds_of(self, class_ids: NDArray[np.int16]) -> NDArray[np.float32]:
        """(N,) the score from which on instances are used, infinite for classes that are not.

        Args:
            class_ids: (N,) of instances.
        """
        return self._thresholds[class_ids]

    def keep(self, found: Any, width: int, height: int) -> Bools:
        """Which instances are used.

        Args:
            found: N instances of a frame: a `Detections`, or a message `Instances`, which has the same arrays.
            width: of the frame, pixels.
            height: of the frame, pixels.

        Returns:
            (N,) bool.
        """
        keep: Bools = found.scores >= self._thresholds[found.class_ids]
        for part in self._parts:
            if keep.any():
                keep &= _size_fits(part, found, width, height)
                keep &= _place_fits(part, found, self._names[found.class_ids], width, height)
        return keep


def _has_geometry(part: FilterConfig) -> bool:
    """Whether a filter restricts size or place."""
    limits = (part.min_height, part.max_height, part.min_area, part.max_area)
    return limits != (0.0, 1.0, 0.0, 1.0) or bool(part.include) or bool(part.exclude)


def _size_fits(part: FilterConfig, found: Any, width: int, height: int) -> Bools:
    """(N,) bool: whose height and area are within the limits, both relative to the frame."""
    sides = found.boxes_px[:, 2:].astype(np.float64) - found.boxes_px[:, :2]
    relative_height = sides[:, 1] / height
    inside = (found.masks >= MASK_INSIDE).mean(axis=(1, 2))
    area = sides.prod(axis=1) * np.where(inside > 0, inside, 1.0) / (width * height)
    fits: Bools = (relative_height >= part.min_height) & (relative_height <= part.max_height)
    fits &= (area >= part.min_area) & (area <= part.max_area)
    return fits


def _place_fits(part: FilterConfig, found: Any, names: NDArray[np.str_], width: int, height: int) -> Bools:
    """(N,) bool: outside all excluded areas for its class, and inside one of the included areas for it, if any."""
    keep = np.ones(len(found.scores), np.bool_)
    restricted, included = np.zeros_like(keep), np.zeros_like(keep)
    for area in part.include:
        applies = _applies(area, names)
        restricted |= applies
        included |= applies & _inside(area, found, width, height)
    for area in part.exclude:
        keep &= ~(_applies(area, names) & _inside(area, found, width, height))
    return keep & (included | ~restricted)


def _applies(area: ZoneConfig, names: NDArray[np.str_]) -> Bools:
    """(N,) bool: which instances an area is for, by their class names."""
    if area.classes is None:
        return np.ones(len(names), np.bool_)
    return np.isin(names, area.classes)


def _inside(area: ZoneConfig, found: Any, width: int, height: int) -> Bools:
    """(N,) bool: which instances are inside a polygon, by the rules of zones."""
    polygon = np.array(area.points, np.float64) * (width, height)
    boxes = found.boxes_px.astype(np.float64)
    if area.by == "mask":
        cells = [mask_cells(box, mask) for box, mask in zip(boxes, found.masks, strict=True)]
        return np.array([points_in_polygon(polygon, one).mean() >= area.share for one in cells], np.bool_)
    if area.anchor == "foot":
        return points_in_polygon(polygon, foot_points(boxes, found.masks))
    return points_in_polygon(polygon, (boxes[:, :2] + boxes[:, 2:]) / 2)
