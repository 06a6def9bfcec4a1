"""From what a model found to the message: instances that are not finite are left out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import pytest

from pipeline.models.detections import Detections
from pipeline.stages.frame_queue import QUARANTINED
from pipeline.stages.instances import NOT_FINITE, instances_of
from pipeline.transport.messages import APPEARANCE_SIZE, FrameRef
from pipeline.transport.planes import Planes

REF = FrameRef(
    stream="gate", epoch=2, seq=7, index=9, pts_s=0.36, wall_s=5.0, slot=1, ring="/r", width=64, height=48
)


def found(**changes: Any) -> Detections:
    values = {
        "boxes_px": np.array([[1, 2, 3, 4]], np.float32),
        "scores": np.array([0.5], np.float32),
        "class_ids": np.array([1], np.int16),
        "masks": np.full((1, 28, 28), 255, np.uint8),
    }
    return Detections(**(values | changes))


def test_the_message_is_of_its_frame() -> None:
    message = instances_of(REF, found())
    assert (message.stream, message.epoch, message.seq, message.index) == ("gate", 2, 7, 9)
    assert (message.pts_s, message.wall_s, message.width, message.height) == (0.36, 5.0, 64, 48)
    assert message.skipped == "" and message.boxes_px.tolist() == [[1, 2, 3, 4]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", ["boxes_px", "scores"])
def test_a_number_that_is_none_empties_the_frame_and_names_the_reason(field: str, bad: float) -> None:
    values = getattr(found(), field).copy()
    values[..., -1] = bad
    message = instances_of(REF, found(**{field: values}))
    assert message.skipped == NOT_FINITE
    assert [len(array) for name in message.ARRAYS if (array := getattr(message, name)) is not None] == [
        0,
        0,
        0,
        0,
    ]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("field", ["boxes_px", "scores"])
def test_one_instance_that_is_not_finite_costs_that_instance(field: str, bad: float) -> None:
    three = found()[np.array([0, 0, 0])]
    values = getattr(three, field).copy()
    values[1] = bad
    message = instances_of(REF, replace(three, **{field: values}))
    assert message.skipped == "" and message.boxes_px.tolist() == [[1, 2, 3, 4]] * 2
    assert len(message.scores) == len(message.masks) == len(message.class_ids) == 2


def test_lost_rows_are_counted_with_those_that_the_model_left_out_itself() -> None:
    rows = replace(found(), scores=np.array([np.nan], np.float32), non_finite=3)
    assert (rows.without_non_finite().non_finite, rows.without_non_finite().invalid) == (4, True)
    assert found().without_non_finite() is not None and not found().without_non_finite().invalid
    assert not Detections.empty(non_finite=2).without_non_finite().invalid


def test_a_frame_that_no_worker_survived_has_no_instances() -> None:
    message = instances_of(REF, Detections.empty(), QUARANTINED)
    assert (message.skipped, len(message.boxes_px)) == ("quarantined", 0)


def test_with_the_frame_the_message_says_what_instances_look_like() -> None:
    planes = Planes.from_rgb(np.full((REF.height, REF.width, 3), (200, 30, 30), np.uint8))
    assert instances_of(REF, found()).appearances is None
    appearances = instances_of(REF, found(), planes=planes).appearances
    assert appearances is not None
    assert appearances.shape == (len(found().scores), APPEARANCE_SIZE)


def test_where_the_camera_looks_goes_along() -> None:
    camera = (3, 1.0, 0.0, 5.0, -2.0)
    assert instances_of(msgspec.structs.replace(REF, camera=camera), found()).camera == camera
