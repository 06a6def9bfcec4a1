"""Which instances are used: classes, scores, sizes and places."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.config.schema import ModelConfig, StreamConfig
from pipeline.models.detections import Detections
from pipeline.models.filters import InstanceFilter, lowest_score, with_lowest_score

CLASSES = ("person", "car", "dog")
WIDTH, HEIGHT = 200, 100


def found(*things: tuple[str, float, tuple[float, float, float, float]], full: bool = True) -> Detections:
    """(class, score, box)"""
    masks = np.zeros((len(things), 28, 28), np.uint8)
    masks[:, :, slice(None) if full else slice(14)] = 255
    return Detections(
        np.array([box for *_, box in things], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in things], np.float32),
        np.array([CLASSES.index(name) for name, *_ in things], np.int16),
        masks,
    )


def kept(
    found: Detections, model: dict[str, Any] | None = None, stream: dict[str, Any] | None = None
) -> list[int]:
    """Rows that the filters of a model's and a stream's configuration let through."""
    configured = None if stream is None else StreamConfig.model_validate({"source": "x", "filter": stream})
    used = InstanceFilter(ModelConfig.model_validate(model or {}), configured, CLASSES)
    return np.flatnonzero(used.keep(found, WIDTH, HEIGHT)).tolist()


BOX = (20.0, 20.0, 40.0, 60.0)
SQUARE = [[0.0, 0.0], [0.25, 0.0], [0.25, 0.7], [0.0, 0.7]]
"""Left quarter, not down to the bottom: 0..50, 0..70 in pixels."""


def test_without_a_filter_the_model_score_holds() -> None:
    assert kept(found(("person", 0.9, BOX), ("car", 0.49, BOX), ("dog", 0.5, BOX))) == [0, 2]


def test_a_class_has_its_own_score_and_the_stream_the_last_word() -> None:
    things = found(("person", 0.35, BOX), ("car", 0.6, BOX), ("dog", 0.6, BOX))
    model = {"filter": {"scores": {"person": 0.3, "car": 0.7}}}
    assert kept(things, model) == [0, 2]
    assert kept(things, model, {"scores": {"car": 0.55, "person": 0.4}}) == [1, 2]


def test_the_model_is_asked_for_the_lowest_score_of_all() -> None:
    model = ModelConfig.model_validate({"score": 0.5, "filter": {"scores": {"car": 0.8}}})
    stream = StreamConfig.model_validate({"source": "x", "filter": {"scores": {"dog": 0.2}}})
    assert lowest_score(model) == 0.5
    assert with_lowest_score(model, [stream]).score == 0.2


def test_only_classes_that_model_and_stream_both_want() -> None:
    things = found(*((name, 0.9, BOX) for name in CLASSES))
    assert kept(things, {"filter": {"classes": ["person", "car"]}}, {"classes": ["car", "dog"]}) == [1]


def test_sizes_are_parts_of_the_frame() -> None:
    things = found(("person", 0.9, (0, 0, 10, 20)), ("person", 0.9, BOX), ("person", 0.9, (0, 0, 200, 100)))
    assert kept(things, stream={"min_height": 0.3}) == [1, 2]
    assert kept(things, stream={"max_height": 0.9}) == [0, 1]
    assert kept(things, stream={"min_area": 0.02, "max_area": 0.5}) == [1]


def test_the_area_is_that_of_the_mask() -> None:
    things = found(("person", 0.9, (0, 0, 100, 100)), full=False)  # half the box, a quarter of the frame
    assert kept(things, stream={"min_area": 0.24}) == [0]
    assert kept(things, stream={"min_area": 0.26}) == []


def test_who_stands_in_an_excluded_area_is_left_out() -> None:
    things = found(("person", 0.9, BOX), ("person", 0.9, (20, 20, 40, 90)), ("person", 0.9, (60, 20, 80, 60)))
    assert kept(things, stream={"exclude": [SQUARE]}) == [1, 2], "the second one's feet are below it"
    assert kept(things, stream={"include": [SQUARE]}) == [0]


def test_a_poster_is_left_out_by_its_mask() -> None:
    poster = found(("person", 0.9, (20, 20, 40, 90)))
    assert kept(poster, stream={"exclude": [{"points": SQUARE, "by": "mask", "share": 0.6}]}) == []
    assert kept(poster, stream={"exclude": [{"points": SQUARE, "by": "mask", "share": 0.8}]}) == [0]


def test_an_area_can_be_for_some_classes() -> None:
    things = found(("person", 0.9, BOX), ("car", 0.9, BOX), ("car", 0.9, (60, 20, 80, 60)))
    area = {"points": SQUARE, "classes": ["car"]}
    assert kept(things, stream={"exclude": [area]}) == [0, 2]
    assert kept(things, stream={"include": [area]}) == [0, 1]


def test_one_of_several_included_areas_is_enough() -> None:
    right = [[0.5, 0.0], [1.0, 0.0], [1.0, 1.0], [0.5, 1.0]]
    things = found(("person", 0.9, BOX), ("person", 0.9, (60, 20, 80, 60)), ("dog", 0.9, (120, 20, 140, 60)))
    assert kept(things, stream={"include": [SQUARE, right]}) == [0, 2]


def test_nothing_found_stays_nothing() -> None:
    assert (
        kept(Detections.empty(), stream={"include": [{"points": SQUARE, "by": "mask"}], "min_area": 0.1})
        == []
    )


boxes = st.tuples(st.floats(0, 150), st.floats(0, 60), st.floats(1, 50), st.floats(1, 40))


@given(st.lists(st.tuples(st.sampled_from(CLASSES), st.floats(0, 1), boxes), max_size=8), st.floats(0.0, 0.9))
def test_a_stricter_filter_keeps_a_part_of_what_a_wider_one_keeps(things: list[Any], least: float) -> None:
    placed = found(*((name, score, (x, y, x + w, y + h)) for name, score, (x, y, w, h) in things))
    wide = kept(placed, {"score": 0.0}, {"min_height": least / 2})
    tight = kept(placed, {"score": 0.3}, {"min_height": least, "exclude": [SQUARE]})
    assert set(tight) <= set(wide)


def test_what_is_used_keeps_its_order_and_its_rows_together() -> None:
    things = found(("person", 0.9, BOX), ("car", 0.4, BOX), ("dog", 0.7, (1, 2, 3, 4)))
    used = InstanceFilter(ModelConfig(), None, CLASSES).apply(things, WIDTH, HEIGHT)
    assert used.class_ids.tolist() == [0, 2]
    assert used.scores.tolist() == pytest.approx([0.9, 0.7])
    assert used.boxes_px[1].tolist() == [1, 2, 3, 4]
    assert len(used.masks) == 2
