"""Lines with bends: sides, distances, and how often a path goes through."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipeline.config.schema import LineConfig
from pipeline.geometry.polyline import Polyline
from tests.counting.counting_scenes import counter, play, walk

Xy = tuple[float, float]
ROOF: list[Xy] = [(0.0, 60.0), (50.0, 10.0), (100.0, 60.0)]
"""A line with a bend, walked to the right: the left hand is above."""
COORDINATE = st.integers(-60, 160).map(float)
POINT = st.tuples(COORDINATE, COORDINATE)
OUTSIDE = [(-50.0, 0.0), (50.0, -40.0), (150.0, 0.0)]
INSIDE = [(50.0, 100.0), (20.0, 120.0), (50.0, 30.0)]


@pytest.mark.parametrize("point", OUTSIDE)
def test_above_the_roof_is_the_left_hand(point: Xy) -> None:
    assert Polyline(ROOF).distance(point) > 0


@pytest.mark.parametrize("point", INSIDE)
def test_below_the_roof_is_the_right_hand(point: Xy) -> None:
    assert Polyline(ROOF).distance(point) < 0


def test_beside_the_bend_the_distance_is_that_to_the_corner() -> None:
    assert Polyline(ROOF).distance((50.0, 0.0)) == pytest.approx(10)
    assert Polyline(ROOF[::-1]).distance((52.0, 2.0)) == pytest.approx(-math.hypot(2, 8))


def test_the_ends_go_on_for_ever_for_the_side_but_not_for_a_crossing() -> None:
    line = Polyline(ROOF)
    assert line.distance((-100.0, 150.0)) > 0 > line.distance((-100.0, 170.0))
    assert line.crossings([(-20.0, 60.0), (-20.0, 120.0)]) == 0


def test_a_bend_with_equal_segments_is_a_straight_line() -> None:
    straight, chain = Polyline([(0, 0), (90, 30)]), Polyline([(0, 0), (30, 10), (60, 20), (90, 30)])
    points = np.array([[5.0, 7.0], [30.0, 10.5], [-20.0, 3.0], [200.0, 40.0], [60.0, 80.0]])
    assert chain.distances(points) == pytest.approx(straight.distances(points))


@given(start=POINT, end=POINT)
def test_who_gets_from_one_side_to_the_other_went_through_the_prolonged_line(start: Xy, end: Xy) -> None:
    far = 1e4
    whole = Polyline([(-far, 60 + far), *ROOF[1:2], (100 + far, 60 + far)])
    line = Polyline(ROOF)
    before, after = line.distance(start), line.distance(end)
    assume(min(abs(before), abs(after)) > 1e-6)
    assert whole.crossings([start, end]) == (np.sign(before) - np.sign(after)) / 2


@given(path=st.lists(POINT, min_size=2, max_size=6))
def test_a_path_and_back_is_no_crossing(path: list[Xy]) -> None:
    assert Polyline(ROOF).crossings(path + path[-2::-1]) == 0


@given(path=st.lists(POINT, min_size=2, max_size=6))
def test_a_line_walked_the_other_way_counts_the_other_way(path: list[Xy]) -> None:
    line, back = Polyline(ROOF), Polyline(ROOF[::-1])
    for place in path:
        assert back.distance(place) == pytest.approx(-line.distance(place))
    assume(all(abs(line.distance(place)) > 1e-6 for place in path))
    assert back.crossings(path) == -line.crossings(path)


@pytest.mark.parametrize("at", [(50.0, 10.0), (0.0, 60.0), (100.0, 60.0), (25.0, 35.0)])
@pytest.mark.parametrize("stop", [False, True])
def test_through_a_corner_an_end_or_a_point_on_the_line_is_one_crossing(at: Xy, stop: bool) -> None:
    above, below = (at[0], at[1] - 20), (at[0], at[1] + 20)
    path = [above, at, below] if stop else [above, below]
    assert Polyline(ROOF).crossings(path) == 1
    assert Polyline(ROOF).crossings(path[::-1]) == -1


def test_in_and_out_of_a_bend_is_no_crossing() -> None:
    assert Polyline(ROOF).crossings([(0.0, 30.0), (100.0, 30.0)]) == 0


def test_most_of_a_mask_tells_the_side_and_its_place_agrees() -> None:
    mask = np.zeros((28, 28), np.uint8)
    mask[:, :4] = 255
    mask[20:, 4:] = 255
    box = np.array([0.0, 0.0, 56.0, 56.0])
    for line in (Polyline([(20.0, 90.0), (20.0, -10.0)]), Polyline(ROOF)):
        place, distance = line.mask_anchor(box, mask)
        assert line.distance(place) == pytest.approx(distance)


# --- counting over a line with bends --------------------------------------------------------------------------

KNEE = LineConfig(points=((0.3, 1.0), (0.3, 0.5), (0.8, 0.5)), directions=("in", "out"))
"""Up, then to the right: the left hand is left of it and above it. x 192, y 180 pixels."""


def test_either_arm_of_a_bent_line_counts() -> None:
    from_the_left = walk([(100, 320), (300, 320)], [3])
    from_above = walk([(420, 100), (420, 260)], [3])
    for frames in (from_the_left, from_above):
        assert play(counter({"line": KNEE}), frames).crossings() == ["in"]
        assert play(counter({"line": KNEE}), frames[::-1]).crossings() == ["out"]


def test_into_the_knee_over_one_arm_and_out_over_the_other_is_one_each_way() -> None:
    path = [(100, 320), (300, 320), (420, 260), (420, 100)]
    assert play(counter({"line": KNEE}), walk(path, [3, 2, 3])).crossings() == ["in", "out"]


def test_cutting_the_corner_within_the_dead_band_counts_nothing() -> None:
    path = [(150, 200), (196, 183), (240, 140)]
    assert play(counter({"line": KNEE}), walk(path, [2, 2])).crossings() == []


def test_passing_beyond_the_ends_of_a_bent_line_counts_nothing() -> None:
    assert play(counter({"line": KNEE}), walk([(560, 100), (560, 300)], [4])).crossings() == []


def test_a_zigzag_is_crossed_once() -> None:
    zigzag = tuple((0.2 + 0.1 * i, 0.5 + 0.01 * (i % 2)) for i in range(7))
    line = LineConfig(points=zigzag, directions=("down", "up"))
    path = walk([(200, 100), (420, 300), (200, 100)], [4, 4])
    assert play(counter({"line": line}), path).crossings() == ["down", "up"]
    along = walk([(100, 150), (150, 184), (500, 183), (550, 150)], [1, 6, 1])
    assert play(counter({"line": line}), along).crossings() == []
