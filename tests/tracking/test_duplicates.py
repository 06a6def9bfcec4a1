"""Instances that repeat others are left out; objects that merely overlap are not."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from pipeline.geometry.masks import MASK_SIZE
from pipeline.tracking.duplicates import without_duplicates
from pipeline.transport.messages import Instances

ELLIPSE = np.hypot(*np.mgrid[-1 : 1 : MASK_SIZE * 1j, -1 : 1 : MASK_SIZE * 1j]) <= 1.0

GROUPS = np.arange(10, dtype=np.int16)


def frame(*found: tuple[tuple[float, float, float, float], float, int], masks: object = None) -> Instances:
    count = len(found)
    ellipses = np.repeat((ELLIPSE * np.uint8(255))[None], count, axis=0)
    shapes = ellipses if masks is None else np.asarray(masks, np.uint8)
    return Instances(
        stream="gate", epoch=0, seq=0, index=0, pts_s=0.0, wall_s=0.0, width=640, height=360,
        boxes_px=np.array([box for box, _, _ in found], np.float32).reshape(-1, 4),
        scores=np.array([score for _, score, _ in found], np.float32),
        class_ids=np.array([cls for _, _, cls in found], np.int16),
        masks=shapes.reshape(count, MASK_SIZE, MASK_SIZE),
    )  # fmt: skip


def scores(instances: Instances) -> list[float]:
    return [round(float(score), 2) for score in without_duplicates(instances, GROUPS).scores]


LEFT, RIGHT, BOTH = (100, 100, 140, 200), (136, 100, 176, 200), (100, 100, 176, 200)


def test_one_box_around_two_people_who_have_their_own_is_left_out() -> None:
    assert scores(frame((LEFT, 0.9, 0), (BOTH, 0.6, 0), (RIGHT, 0.8, 0))) == [0.9, 0.8]


def test_a_second_box_on_a_part_of_an_object_is_left_out() -> None:
    assert scores(frame((LEFT, 0.9, 0), ((105, 110, 135, 160), 0.7, 0))) == [0.9]


def test_people_side_by_side_stay_however_much_their_boxes_overlap() -> None:
    behind = (120, 100, 160, 200)  # its mask is what is seen beside the other one
    half = ELLIPSE * np.uint8(255)
    half[:, :14] = 0
    masks = [ELLIPSE * np.uint8(255), half]
    assert scores(frame((LEFT, 0.9, 0), (behind, 0.8, 0), masks=masks)) == [0.9, 0.8]


def test_a_rucksack_on_a_person_stays() -> None:
    assert scores(frame((LEFT, 0.9, 0), ((105, 110, 135, 160), 0.7, 1))) == [0.9, 0.7]


def test_boxes_without_masks_are_not_judged() -> None:
    full = np.full((2, MASK_SIZE, MASK_SIZE), 255)
    assert scores(frame((LEFT, 0.9, 0), ((102, 100, 142, 200), 0.8, 0), masks=full)) == [0.9, 0.8]


boxes = st.tuples(
    st.floats(-50, 600), st.floats(-50, 300), st.floats(1, 300), st.floats(1, 300), st.floats(0.1, 1.0)
)


@given(st.lists(boxes, max_size=8))
def test_what_stays_is_some_of_what_came_in_its_order_and_the_best_always_stays(
    found: list[tuple[float, float, float, float, float]],
) -> None:
    instances = frame(*(((x, y, x + w, y + h), score, 0) for x, y, w, h, score in found))
    kept = without_duplicates(instances, GROUPS)
    rows = [box.tolist() for box in kept.boxes_px]
    before = iter(box.tolist() for box in instances.boxes_px)
    assert all(row in before for row in rows)
    assert len(kept.masks) == len(kept.scores) == len(rows)
    if found:
        assert kept.scores.max() == instances.scores.max()
    again = without_duplicates(kept, GROUPS)
    assert len(again.scores) == len(kept.scores)
