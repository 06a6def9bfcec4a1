"""Plane geometry of counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.geometry.boxes import box_iou
from pipeline.geometry.mask_iou import mask_iou
from pipeline.geometry.masks import foot_points
from pipeline.geometry.plane import path_intersects, polygon_depth, signed_distance, signed_distances
from pipeline.geometry.points import segments_intersect
from pipeline.geometry.polyline import Polyline

COORDINATE = st.integers(-50, 50).map(float)
POINT = st.tuples(COORDINATE, COORDINATE)


def test_left_hand_of_who_walks_up_the_screen_is_the_left_of_the_screen() -> None:
    up = ((100.0, 200.0), (100.0, 0.0))
    assert signed_distances(*up, np.array([[90.0, 50.0], [110.0, 50.0], [100.0, 70.0]])).tolist() == [
        10.0,
        -10.0,
        0.0,
    ]


def test_left_hand_of_who_walks_to_the_right_is_the_upper_half() -> None:
    right = ((0.0, 100.0), (200.0, 100.0))
    assert signed_distances(*right, np.array([[50.0, 60.0], [50.0, 130.0]])).tolist() == [40.0, -30.0]


@given(start=POINT, end=POINT, point=POINT)
def test_side_of_one_point_is_the_side_of_many(
    start: tuple[float, float], end: tuple[float, float], point: tuple[float, float]
) -> None:
    if start != end:
        assert signed_distance(start, end, point) == signed_distances(start, end, np.array([point]))[0]


def test_segments_meet_at_a_point_an_end_and_along_a_common_part() -> None:
    assert segments_intersect((0, 0), (10, 10), (0, 10), (10, 0))
    assert segments_intersect((0, 0), (5, 5), (5, 5), (9, 0))
    assert segments_intersect((0, 0), (10, 0), (5, 0), (15, 0))
    assert not segments_intersect((0, 0), (4, 4), (5, 5), (9, 9))
    assert not segments_intersect((0, 0), (10, 0), (0, 1), (10, 1))
    assert not segments_intersect((0, 0), (1, 1), (0, 10), (10, 0))


@given(a=POINT, b=POINT, c=POINT, d=POINT)
def test_meeting_does_not_depend_on_who_is_asked(
    a: tuple[float, float], b: tuple[float, float], c: tuple[float, float], d: tuple[float, float]
) -> None:
    assert segments_intersect(a, b, c, d) == segments_intersect(c, d, a, b) == segments_intersect(b, a, d, c)


@given(a=POINT, b=POINT, c=POINT, d=POINT, share=st.integers(0, 8))
def test_a_point_on_both_segments_makes_them_meet(
    a: tuple[float, float], b: tuple[float, float], c: tuple[float, float], d: tuple[float, float], share: int
) -> None:
    on_path = (a[0] + (b[0] - a[0]) * share / 8, a[1] + (b[1] - a[1]) * share / 8)
    assert segments_intersect(a, b, on_path, on_path)
    assert path_intersects([a, b, c, d], b, c)


def test_path_of_one_position_meets_nothing() -> None:
    assert not path_intersects([(5.0, 5.0)], (0.0, 0.0), (10.0, 10.0))


def test_depth_is_the_distance_to_the_border_positive_inside() -> None:
    square = np.array([[0, 0], [10, 0], [10, 10], [0, 10]], float)
    assert polygon_depth(square, (5, 5)) == pytest.approx(5)
    assert polygon_depth(square, (9, 5)) == pytest.approx(1)
    assert polygon_depth(square, (13, 14)) == pytest.approx(-5)


@given(point=POINT, turn=st.integers(0, 3))
def test_depth_does_not_depend_on_the_corner_that_comes_first(point: tuple[float, float], turn: int) -> None:
    corners = np.array([[-20, -20], [30, -10], [25, 40], [-15, 20]], float)
    assert polygon_depth(np.roll(corners, turn, axis=0), point) == pytest.approx(
        polygon_depth(corners, point)
    )
    assert abs(polygon_depth(corners[::-1], point)) == pytest.approx(abs(polygon_depth(corners, point)))


def test_foot_of_a_full_mask_is_the_bottom_centre_of_the_box() -> None:
    box = np.array([[10.0, 20.0, 30.0, 80.0]])
    assert foot_points(box, np.full((1, 28, 28), 255, np.uint8)).tolist() == [[20.0, 80.0]]


def test_foot_of_an_empty_mask_is_the_bottom_centre_of_the_box() -> None:
    box = np.array([[10.0, 20.0, 30.0, 80.0]])
    assert foot_points(box, np.zeros((1, 28, 28), np.uint8)).tolist() == [[20.0, 80.0]]


def test_foot_follows_the_mask_not_the_box() -> None:
    mask = np.zeros((1, 28, 28), np.uint8)
    mask[0, :14, 14:] = 200
    assert foot_points(np.array([[0.0, 0.0, 28.0, 56.0]]), mask).tolist() == [[21.0, 28.0]]


def test_foot_lies_between_the_two_feet_of_a_walker() -> None:
    mask = np.zeros((1, 28, 28), np.uint8)
    mask[0, :20, 10:18] = 255
    mask[0, 20:28, 4:8] = 255
    mask[0, 20:27, 20:24] = 255
    assert foot_points(np.array([[0.0, 0.0, 28.0, 28.0]]), mask).tolist() == [[14.0, 28.0]]


def test_no_instances_have_no_feet() -> None:
    assert foot_points(np.zeros((0, 4)), np.zeros((0, 28, 28), np.uint8)).shape == (0, 2)


def test_side_of_a_mask_is_where_most_of_it_lies() -> None:
    mask = np.zeros((28, 28), np.uint8)
    mask[:, :9] = 255
    mask[:4, 9:] = 255
    box = np.array([90.0, 0.0, 118.0, 28.0])
    up = ((104.0, 100.0), (104.0, 0.0))
    assert Polyline(up).mask_anchor(box, mask)[1] > 0
    assert Polyline(up).mask_anchor(box, mask[:, ::-1])[1] < 0


def test_overlap_of_boxes() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], float)
    assert box_iou(boxes, boxes) == pytest.approx(np.array([[1, 1 / 3, 0], [1 / 3, 1, 0], [0, 0, 1]]))
    assert box_iou(boxes, np.zeros((0, 4))).shape == (3, 0)


def test_overlap_of_masks_is_that_of_what_they_hold_not_of_their_boxes() -> None:
    box = np.array([0.0, 0.0, 28.0, 28.0])
    left, right = np.zeros((28, 28), np.uint8), np.zeros((28, 28), np.uint8)
    left[:, :14] = right[:, 14:] = 255
    assert mask_iou(box, left, box, right) == 0.0
    assert mask_iou(box, left, box, left) == pytest.approx(1.0)
    assert mask_iou(box, left, box + np.array([7, 0, 7, 0]), left) == pytest.approx(1 / 3, abs=0.03)
    assert mask_iou(box, left, box + 100, left) == 0.0


def test_overlap_of_empty_masks_is_that_of_their_boxes() -> None:
    box, none = np.array([0.0, 0.0, 28.0, 28.0]), np.zeros((28, 28), np.uint8)
    assert mask_iou(box, none, box + np.array([14, 0, 14, 0]), none) == pytest.approx(1 / 3)
