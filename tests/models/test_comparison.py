"""What a model finds and loses beside another on the same frames."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.models.comparison import compare, match
from pipeline.models.detections import Detections
from pipeline.transport.planes import Planes

FRAME = Planes.from_rgb(np.zeros((64, 64, 3), np.uint8))
CLASSES = ("person", "car")


def objects(*rows: tuple[float, float, float, float, float, int]) -> Detections:
    """Rows of x0 y0 x1 y1 score class."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    masks = np.full((len(rows), 28, 28), 255, np.uint8)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int16), masks)


class Fixed:
    """A model that gives prepared results, one a frame, and takes some time for it."""

    classes = CLASSES
    device = "cpu"

    def __init__(self, clock: list[float], spent_s: float, *results: Detections) -> None:
        self._clock, self._spent_s, self._results = clock, spent_s, list(results)

    def warm_up(self) -> None: ...

    def segment(self, frames: Sequence[Planes]) -> list[Detections]:
        self._clock[0] += self._spent_s
        return [self._results.pop(0) for _ in frames]


def test_each_object_is_found_by_both_or_lost_or_new() -> None:
    person, car = (0, 0, 10, 20, 0.9, 0), (30, 30, 50, 40, 0.8, 1)
    moved, other = (0, 0, 10, 18, 0.7, 0), (40, 0, 60, 20, 0.6, 0)
    now = [0.0]
    first = Fixed(now, 0.3, objects(person, car), objects())
    second = Fixed(now, 0.1, objects(moved, other), objects(person))
    found = compare(first, second, [FRAME, FRAME], clock=lambda: now[0])
    assert found.frames == 2
    assert dict(found.same) == {"person": 1}
    assert dict(found.lost) == {"car": 1} and dict(found.found) == {"person": 2}
    assert found.ious == [pytest.approx(0.9)] and found.score_changes == [pytest.approx(-0.2)]
    assert sorted(found.single_scores) == pytest.approx([0.6, 0.8, 0.9])
    assert found.speed_ratio == pytest.approx(3.0)


def test_an_object_of_another_class_or_elsewhere_is_another_object() -> None:
    assert match(objects((0, 0, 10, 10, 0.9, 0)), objects((0, 0, 10, 10, 0.9, 1))) == []
    assert match(objects((0, 0, 10, 10, 0.9, 0)), objects((6, 0, 16, 10, 0.9, 0))) == []
    assert match(objects(), objects((0, 0, 10, 10, 0.9, 0))) == []


def test_of_two_neighbours_each_has_the_one_that_overlaps_most() -> None:
    first = objects((0, 0, 10, 10, 0.9, 0), (3, 0, 13, 10, 0.8, 0))
    second = objects((3, 0, 13, 10, 0.9, 0), (0, 0, 10, 10, 0.8, 0))
    assert sorted(match(first, second)) == [(0, 1), (1, 0)]
