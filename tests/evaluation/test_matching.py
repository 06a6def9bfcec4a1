"""Crossings of lines by rows of a track file, and counted events matched to true ones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.evaluation.matching import PixelLine, crossings, match

UPRIGHT = PixelLine("gate", ((100.0, 200.0), (100.0, 0.0)), ("right", "left"), endless=True)
SEGMENT = PixelLine("door", ((100.0, 200.0), (100.0, 150.0)), ("right", "left"))


def walker(xs: list[float], foot: float = 180.0, track: int = 1) -> np.ndarray:
    """Rows of an object 40 pixels high whose foot point has these x."""
    return np.array(
        [[frame, track, x - 10, foot - 40, 20, 40, 1] for frame, x in enumerate(xs, start=1)], float
    )


def ways(rows: np.ndarray, line: PixelLine = UPRIGHT) -> list[tuple[int, str]]:
    return [(event.frame, event.direction) for event in crossings(rows, line)]


def test_a_walker_to_the_right_crosses_once_where_it_leaves_the_dead_band() -> None:
    assert ways(walker([80, 90, 99, 101, 103, 110])) == [(5, "right")]


def test_one_who_comes_back_crosses_once_each_way() -> None:
    assert ways(walker([80, 120, 80])) == [(2, "right"), (3, "left")]


def test_shaking_on_the_line_is_no_crossing() -> None:
    assert ways(walker([90, 99, 101, 99, 101, 90])) == []


def test_a_segment_is_crossed_on_itself_alone() -> None:
    assert ways(walker([80, 120], foot=180), SEGMENT) == [(2, "right")]
    assert ways(walker([80, 120], foot=100), SEGMENT) == []


def test_rows_need_not_be_in_order() -> None:
    rows = walker([80, 90, 120])
    assert ways(rows[[2, 0, 1]]) == ways(rows)


def test_each_true_event_takes_the_nearest_of_its_kind() -> None:
    true = [(10.0, "in"), (20.0, "in"), (30.0, "out")]
    counted = [(21.0, "in"), (12.0, "in"), (30.0, "in")]
    assert match(true, counted, 5.0) == [(0, 1), (1, 0)]


def test_an_event_exactly_as_far_as_the_tolerance_matches() -> None:
    assert match([(0.0, "in")], [(15.0, "in")], 15.0) == [(0, 0)]
    assert match([(0.0, "in")], [(15.1, "in")], 15.0) == []


EVENTS = st.lists(st.tuples(st.integers(0, 40).map(float), st.sampled_from("ab")), max_size=12)


@given(EVENTS, EVENTS, st.floats(0, 10))
def test_no_event_is_matched_twice_and_all_pairs_are_near_and_alike(
    true: list[tuple[float, str]], counted: list[tuple[float, str]], tolerance: float
) -> None:
    pairs = match(true, counted, tolerance)
    assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)
    for a, b in pairs:
        assert true[a][1] == counted[b][1]
        assert abs(true[a][0] - counted[b][0]) <= tolerance


@given(EVENTS)
def test_events_match_themselves(events: list[tuple[float, str]]) -> None:
    assert len(match(events, events, 0.0)) == len(events)


@given(st.lists(st.floats(20, 180), min_size=2, max_size=30))
def test_mirrored_scenes_have_mirrored_crossings(xs: list[float]) -> None:
    swapped = {"right": "left", "left": "right"}
    mirrored = ways(walker([200 - x for x in xs]))
    assert mirrored == [(frame, swapped[way]) for frame, way in ways(walker(xs))]


@pytest.mark.parametrize("shift", [0, 7])
def test_moving_everything_changes_no_crossing(shift: float) -> None:
    line = PixelLine("gate", ((100.0 + shift, 200.0), (100.0 + shift, 0.0)), ("right", "left"), endless=True)
    assert ways(walker([80 + shift, 130 + shift, 60 + shift]), line) == ways(walker([80, 130, 60]))
