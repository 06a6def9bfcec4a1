"""Which of a model's instances are used: by class, score, size and place in the frame.

Pure. The segmentation stage applies it before anything is logged; `recount` applies it to a log, so that a stricter
filter can be tried on the past.
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


def floor_score(model: ModelConfig, streams: Sequence[StreamConfig] = ()) -> float:
    """The lowest score that any class needs in any stream: what the model itself has to be asked for."""
    parts = [model.filter, *(stream.filter for stream in streams)]
    own = [score for part in parts for score in part.scores.values()]
    return min([model.score, *own])


def wide_open(model: ModelConfig, streams: Sequence[StreamConfig] = ()) -> ModelConfig:
    """The configuration with which to load the model, so that filters get all that they let through."""
    return model.model_copy(update={"score": floor_score(model, streams)})


class InstanceFilter:
    """What `model.score`, `model.filter` and a stream's `filter` let through. All conditions must hold.

    A class's score is that of the stream's filter, else of the model's, else `model.score`. Names of classes that the
    model has not are of no effect here: they are refused when the configuration is checked.

    Args:
        model: its `score` and `filter`.
        stream: its `filter`; None where there is no stream.
        classes: the model's.
    """

    def __init__(self, model: ModelConfig, stream: StreamConfig | None, classes: Sequence[str]) -> None:
        parts = [model.filter] if stream is None else [model.filter, stream.filter]
        scores = {name: score for part in parts for name, score in part.scores.items()}
        unwanted = [part.classes for part in parts if part.classes is not None]
        self._names = np.array(classes)
        self._least = np.array([scores.get(name, model.score) for name in classes], np.float32)
        self._least[[any(name not in wanted for wanted in unwanted) for name in classes]] = np.inf
        self._parts = [part for part in parts if _looks_at_place_or_size(part)]

    def apply(self, found: Detections, width: int, height: int) -> Detections:
        """The instances that are used, in their order. `width`, `height`: of the frame, pixels."""
        keep = self.keep(found, width, height)
        return found if keep.all() else found[keep]

    def keep(self, found: Any, width: int, height: int) -> Bools:
        """(N,) bool. `found`: a `Detections`, or `Instances`, which have the same arrays."""
        keep: Bools = found.scores >= self._least[found.class_ids]
        for part in self._parts:
            if keep.any():
                keep &= _size_fits(part, found, width, height)
                keep &= _place_fits(part, found, self._names[found.class_ids], width, height)
        return keep


def _looks_at_place_or_size(part: FilterConfig) -> bool:
    limits = (part.min_height, part.max_height, part.min_area, part.max_area)
    return limits != (0.0, 1.0, 0.0, 1.0) or bool(part.include) or bool(part.exclude)


def _size_fits(part: FilterConfig, found: Any, width: int, height: int) -> Bools:
    sides = found.boxes_px[:, 2:].astype(np.float64) - found.boxes_px[:, :2]
    tall = sides[:, 1] / height
    inside = (found.masks >= MASK_INSIDE).mean(axis=(1, 2))
    area = sides.prod(axis=1) * np.where(inside > 0, inside, 1.0) / (width * height)
    fits: Bools = (tall >= part.min_height) & (tall <= part.max_height)
    fits &= (area >= part.min_area) & (area <= part.max_area)
    return fits


def _place_fits(part: FilterConfig, found: Any, names: NDArray[np.str_], width: int, height: int) -> Bools:
    """Outside of all excluded areas, and inside one of the included ones that are for its class, if any are."""
    keep = np.ones(len(found.scores), np.bool_)
    bound, welcome = np.zeros_like(keep), np.zeros_like(keep)
    for area in part.include:
        meant = _meant(area, names)
        bound |= meant
        welcome |= meant & _inside(area, found, width, height)
    for area in part.exclude:
        keep &= ~(_meant(area, names) & _inside(area, found, width, height))
    return keep & (welcome | ~bound)


def _meant(area: ZoneConfig, names: NDArray[np.str_]) -> Bools:
    """(N,) bool: which instances an area is for, by the names of their classes."""
    if area.classes is None:
        return np.ones(len(names), np.bool_)
    return np.isin(names, area.classes)


def _inside(area: ZoneConfig, found: Any, width: int, height: int) -> Bools:
    """(N,) bool: which instances are in a polygon, by the same rules as zones."""
    polygon = np.array(area.points, np.float64) * (width, height)
    boxes = found.boxes_px.astype(np.float64)
    if area.by == "mask":
        cells = [mask_cells(box, mask) for box, mask in zip(boxes, found.masks, strict=True)]
        return np.array([points_in_polygon(polygon, one).mean() >= area.share for one in cells], np.bool_)
    if area.anchor == "foot":
        return points_in_polygon(polygon, foot_points(boxes, found.masks))
    return points_in_polygon(polygon, (boxes[:, :2] + boxes[:, 2:]) / 2)
