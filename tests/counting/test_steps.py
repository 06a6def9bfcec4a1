"""What makes a step: one frame's flicker does not, one observation of something fast does; a zone that is jumped."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.schema import LineConfig, ZoneConfig
from pipeline.counting.crossing_detector import CrossingDetector
from pipeline.counting.passage_detector import Passage, PassageDetector
from pipeline.tracking.hidden_part import HIDDEN_S
from pipeline.tracking.observation import FrameTime, Observation, touched
from tests.counting.counting_scenes import (
    FPS,
    HEIGHT,
    UPRIGHT,
    WIDTH,
    Frame,
    Outcome,
    Thing,
    counter,
    play,
    play_at,
)

LEVEL = LineConfig(points=((0.0, 0.5), (1.0, 0.5)), directions=("in", "out"))
"""At y = 180; the left hand is the upper half."""
BAND = ZoneConfig(points=((0.5, 0.0), (0.534375, 0.0), (0.534375, 1.0), (0.5, 1.0)))
"""x 320..342: 22 pixels wide."""
CAR = (60.0, 40.0)


def observed(thing: Thing, index: int, fps: float = FPS) -> Observation:
    x0, y0, x1, y1 = place = thing.box
    return Observation(
        FrameTime(index, 0, index, index / fps, 0.0),
        place,
        place,
        ((x0 + x1) / 2, y1),
        ((x0 + x1) / 2, (y0 + y1) / 2),
        y1 - y0,
        0.9,
        0,
        touched(place, (WIDTH, HEIGHT)),
        np.full((28, 28), 255, np.uint8),
    )


def line_crossings(things: Sequence[Thing], line: LineConfig) -> list[str]:
    """Crossings of one object that no tracker stands before, its end included."""
    subject = CrossingDetector(line, (WIDTH, HEIGHT))
    found = [subject.observe(1, observed(thing, index)) for index, thing in enumerate(things)]
    left = subject.end(1)
    return [direction for direction in (*found, left and left[0]) if direction]


def zone_passages(things: Sequence[Thing], zone: ZoneConfig) -> tuple[list[Passage], dict[str, float]]:
    """Passages of one object that no tracker stands before, its end included; and the totals after it."""
    subject = PassageDetector(zone)
    subject.begin((WIDTH, HEIGHT))
    passages = [
        passage
        for index, thing in enumerate(things)
        for passage in subject.observe(1, observed(thing, index), "car")
    ]
    return passages + subject.end(1), subject.totals(["car"])["car"]


def directions(things: Sequence[Thing], zone: ZoneConfig) -> list[str]:
    return [passage.direction for passage in zone_passages(things, zone)[0]]


def standing(foot_y: float, frames: int) -> list[Thing]:
    return [Thing((300.0 + 0.2 * i, foot_y)) for i in range(frames)]


def every(step_px: int, first: float, last: float = 600.0) -> list[Thing]:
    return [Thing((float(x), 300.0), CAR) for x in np.arange(first, last, step_px)]


@pytest.mark.parametrize("flicker_px", [8.0, 20.0, 28.0, 60.0])
def test_one_frame_of_a_longer_box_is_no_crossing(flicker_px: float) -> None:
    things = standing(172.0, 80)
    for i in (30, 60):
        (x, y), (w, h) = things[i].foot, things[i].size
        things[i] = Thing((x, y + flicker_px), (w, h + flicker_px))
    assert play(counter({"line": LEVEL}), [[thing] for thing in things]).crossings() == []


@pytest.mark.parametrize("flicker_px", [18.0, 30.0, 90.0])
def test_one_frame_of_a_box_elsewhere_is_no_crossing_and_no_entry(flicker_px: float) -> None:
    things = standing(172.0, 80)
    things[40] = Thing((things[40].foot[0], 172.0 + flicker_px))
    lower = ZoneConfig(points=((0.0, 0.5), (1.0, 0.5), (1.0, 1.0), (0.0, 1.0)))
    assert line_crossings(things, LEVEL) == []
    assert directions(things, lower) == []


def test_two_frames_beyond_are_a_crossing() -> None:
    things = [*standing(172.0, 30), *standing(192.0, 2), *standing(172.0, 30)]
    assert line_crossings(things, LEVEL) == ["in", "out"]


@pytest.mark.parametrize("step_px", [5, 12, 25, 40, 60, 90, 120, 200])
def test_something_fast_counts_once_however_few_frames_show_it(step_px: int) -> None:
    """Also if it is seen beyond the line once only."""
    for first in range(40, 40 + step_px, max(1, step_px // 9)):
        assert line_crossings(every(step_px, first), UPRIGHT) == ["right"], first


def test_the_crossing_of_something_fast_is_known_at_once() -> None:
    subject = CrossingDetector(UPRIGHT, (WIDTH, HEIGHT))
    found = [subject.observe(1, observed(thing, i)) for i, thing in enumerate(every(60, 50.0))]
    assert found.index("right") == 5, "x = 350 is the first place beyond x = 320"


def test_what_is_lost_right_beyond_the_line_has_crossed_it() -> None:
    """Too irregular to be predicted, and seen beyond the line once only."""
    feet = [(200.0 + 2 * i, 300.0) for i in range(40)] + [(290.0, 300.0), (310.0, 300.0), (360.0, 300.0)]
    assert line_crossings([Thing(foot) for foot in feet], UPRIGHT) == ["right"]


def test_a_box_that_only_grew_before_it_was_lost_has_not_crossed() -> None:
    assert line_crossings([*standing(172.0, 60), Thing((312.0, 200.0), (24.0, 88.0))], LEVEL) == []


def behind_a_bench(feet: Sequence[tuple[float, float]], hidden: range) -> list[Frame]:
    """A person of whom only the upper 60 % are seen in the frames `hidden`."""
    frames: list[Frame] = []
    for i, (x, y) in enumerate(feet):
        height = 60.0 * (0.6 if i in hidden else 1.0)
        frames.append([Thing((x, y - 60.0 + height), (24.0, height))])
    return frames


@pytest.mark.parametrize("anchor", ["foot", "center"])
def test_legs_that_are_hidden_behind_a_bench_are_no_crossing(anchor: str) -> None:
    y = 190.0 if anchor == "foot" else 165.0
    line = LineConfig(points=((0.0, y / HEIGHT), (1.0, y / HEIGHT)), anchor=anchor)
    feet = [(100.0 + 2 * i, 202.0) for i in range(150)]
    assert play(counter({"line": line}), behind_a_bench(feet, range(50, 100))).crossings() == []


def test_who_crosses_with_hidden_legs_counts_once_and_where_the_feet_are() -> None:
    feet = [(100.0 + 2 * i, 140.0 + 0.8 * i) for i in range(120)]
    outcome = play(counter({"line": LEVEL}), behind_a_bench(feet, range(30, 90)))
    assert outcome.crossings() == ["in"]
    (event,) = [event for event in outcome.events if event.kind == "line"]
    assert 50 <= event.index <= 62


def test_who_sits_down_stays_where_the_feet_are() -> None:
    low = [Thing((300.0, 200.0), (24.0, 36.0))] * 40
    walked = [Thing((300.0, 200.0 - 1.5 * i), (24.0, 36.0)) for i in range(40)]
    frames = [[thing] for thing in (*standing(200.0, 40), *low, *walked)]
    assert play(counter({"line": LEVEL}), frames).crossings() == ["out"]


def test_what_is_hidden_for_long_is_taken_as_it_is_seen() -> None:
    frames = [
        (i / FPS, frame) for i, frame in enumerate(behind_a_bench([(300.0, 200.0)] * 100, range(50, 100)))
    ]
    last = frames[-1][1]
    hidden = [(4.0 + i, last) for i in range(int(HIDDEN_S) + 10)]
    outcome = play_at(counter({"line": LEVEL}), [*frames, *hidden])
    assert outcome.totals["lines"]["line"]["person"] == {"in": 0, "out": 1}


@pytest.mark.parametrize("step_px", [5, 20, 40, 60, 90, 120, 200])
def test_a_zone_that_is_jumped_is_entered_and_left(step_px: int) -> None:
    for first in range(40, 40 + step_px, max(1, step_px // 9)):
        passages, totals = zone_passages(every(step_px, first), BAND)
        assert [passage.direction for passage in passages] == ["entry", "exit"], first
        assert (totals["entries"], totals["exits"], totals["now"], totals["peak"]) == (1, 1, 0, 1)
        assert totals["dwell_s"] == pytest.approx(22 / (step_px * FPS), abs=2.1 / FPS)


def test_the_stay_in_a_zone_that_is_jumped_is_its_part_of_the_way() -> None:
    (_, leaving), _ = zone_passages(every(60, 50.0), BAND)
    assert leaving.dwell_s == pytest.approx(22 / 60 / FPS)


def a_jumped_band(line: LineConfig) -> Outcome:
    frames: list[Frame] = [[Thing((float(x), 300.0), CAR)] for x in np.arange(50.0, 310.0, 20.0)]
    frames += [[Thing((float(x), 300.0), CAR)] for x in np.arange(350.0, 600.0, 20.0)]
    return play(counter({"late": line}, {"band": BAND}), frames)


def test_a_jumped_zone_is_a_stop_of_the_journey() -> None:
    outcome = a_jumped_band(LineConfig(points=((0.75, 1.0), (0.75, 0.0))))
    assert [event.direction for event in outcome.events if event.kind == "zone"] == ["entry", "exit"]
    assert outcome.totals["od"] == {"band": {"late": {"person": 1}}}


def test_passing_beside_a_zone_is_no_jump() -> None:
    short = ZoneConfig(points=((0.5, 0.0), (0.534375, 0.0), (0.534375, 0.6), (0.5, 0.6)))
    assert directions(every(60, 50.0), short) == []


def test_one_frame_on_the_other_side_of_a_zone_is_no_jump() -> None:
    things = [Thing((300.0, 300.0))] * 40 + [Thing((362.0, 300.0))] + [Thing((300.0, 300.0))] * 40
    assert directions(things, BAND) == []


def test_a_corner_that_is_cut_by_less_than_the_band_is_not_entered() -> None:
    corner = ZoneConfig(points=((0.5, 0.5), (0.9, 0.5), (0.9, 0.9), (0.5, 0.9)))
    things = [Thing((247.0 + 30 * i, 257.0 - 30 * i), CAR) for i in range(6)]
    assert directions(things, corner) == []


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(
    steps=st.lists(st.floats(4.0, 90.0), min_size=6, max_size=40),
    flickers=st.lists(st.integers(0, 39), max_size=3),
)
def test_whoever_walks_through_counts_once_whatever_the_steps(
    steps: list[float], flickers: list[int]
) -> None:
    """Any steps, forwards only, and boxes that are too high for one frame: once over the line, once in, once out."""
    xs = [x for x in np.cumsum([50.0, *steps]).tolist() if x < 500.0]
    xs += np.arange(xs[-1] + 25.0, 560.0, 25.0).tolist()
    things = [Thing((x, 300.0), (60.0, 90.0 if i in flickers else 60.0)) for i, x in enumerate(xs)]
    assert line_crossings(things, UPRIGHT) == ["right"]
    assert directions(things, BAND) == ["entry", "exit"]


@settings(max_examples=200, deadline=None, database=None, derandomize=True)
@given(
    places=st.lists(st.tuples(st.floats(30.0, 610.0), st.floats(90.0, 350.0)), min_size=1, max_size=30),
    again=st.lists(st.integers(1, 3), min_size=30, max_size=30),
)
def test_books_balance_however_an_object_moves(places: list[tuple[float, float]], again: list[int]) -> None:
    zone = ZoneConfig(points=((0.3, 0.4), (0.6, 0.3), (0.7, 0.8), (0.45, 0.6)))
    things = [Thing(place) for place, times in zip(places, again, strict=False) for _ in range(times)]
    passages, totals = zone_passages(things, zone)
    kinds = [passage.direction for passage in passages]
    assert totals["entries"] == kinds.count("entry")
    assert totals["exits"] == kinds.count("exit")
    assert totals["entries"] + totals["appeared"] == totals["exits"] + totals["vanished"]
    assert totals["now"] == 0
    assert all(one != other for one, other in pairwise(kinds)), "in and out by turns"


def test_shaking_boxes_beside_a_line_cross_nothing() -> None:
    """Single frames beyond the dead band are no crossings."""
    random = np.random.default_rng(3)
    shaken = 175.0 + random.uniform(-4.0, 4.0, 1500)
    shaken[20::30] = 190.0
    things = [Thing((300.0, y)) for y in shaken.tolist()]
    assert line_crossings(things, LEVEL) == []
