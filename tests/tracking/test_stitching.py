"""Evidence that one fragment goes on another one, against chance."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tracking.observation import FrameTime, Observation, touched
from pipeline.tracking.stitching import Speed, left_frame, stitch_evidence
from tests.counting.counting_scenes import HEIGHT, WIDTH

STILL: Speed = (0.0, 0.0, 0.0, 0.0)
FRAME = (WIDTH, HEIGHT)


@dataclass
class Fragment:
    first: Observation
    last: Observation
    speed_px_s: Speed = STILL
    first_speed_px_s: Speed = STILL
    votes: Counter[int] = field(default_factory=lambda: Counter({0: 1}))
    still_s: float = 0.0
    moved: bool = True


def seen(
    x: float, y: float = 300.0, size: tuple[float, float] = (24.0, 60.0), at_s: float = 0.0
) -> Observation:
    box = (x - size[0] / 2, y - size[1], x + size[0] / 2, y)
    edges = touched(box, FRAME)
    return Observation(
        FrameTime(int(25 * at_s), 0, int(25 * at_s), at_s, at_s),
        box,
        box,
        (x, y),
        (x, y - size[1] / 2),
        size[1],
        0.9,
        0,
        edges,
        np.full((28, 28), 255, np.uint8),
    )


def fragment(observation: Observation, speed: float = 0.0) -> Fragment:
    moving = (speed, 0.0, 0.0, 0.0)
    return Fragment(observation, observation, moving, moving)


def evidence(lost: Fragment, found: Fragment, gap_s: float = 1.0, births: float = 0.002) -> float:
    return stitch_evidence(lost, found, gap_s, births, 0.5, FRAME)


def test_an_object_that_reappears_where_it_should_be_has_most_evidence() -> None:
    lost = fragment(seen(200), speed=50)
    found = [evidence(lost, fragment(seen(200 + away, at_s=1.0), 50)) for away in (38, 80, 160)]
    assert found == sorted(found, reverse=True) and found[0] > 2 and found[2] < 0


def test_another_size_another_class_and_another_direction_speak_against_it() -> None:
    lost, found = fragment(seen(200), 50), fragment(seen(240, at_s=1.0), 50)
    plain = evidence(lost, found)
    assert evidence(lost, fragment(seen(240, size=(12, 30), at_s=1.0), 50)) < plain - 2
    assert evidence(lost, replace(found, votes=Counter({2: 1}))) < plain - 1
    assert evidence(lost, fragment(found.first, -50)) < plain


def test_the_same_gap_is_stitched_in_an_empty_scene_and_not_where_many_begin() -> None:
    lost, found = fragment(seen(200), 50), fragment(seen(255, at_s=1.5), 50)
    assert evidence(lost, found, 1.5, births=0.001) > 0 > evidence(lost, found, 1.5, births=0.5)


@pytest.mark.parametrize("gap_s", [6.0, 60.0, 600.0])
def test_what_stands_still_comes_back_however_long_it_was_hidden(gap_s: float) -> None:
    parked = replace(fragment(seen(200)), still_s=5.0)
    again = replace(fragment(seen(201, at_s=gap_s)), moved=False)
    assert evidence(parked, again, gap_s) > 2
    assert evidence(parked, replace(again, moved=True), gap_s) < evidence(parked, again, gap_s)


def test_who_has_gone_out_over_the_border_is_nobody_else() -> None:
    lost = fragment(seen(10), speed=-60)
    assert lost.last.edges == "l"
    assert evidence(lost, fragment(seen(14, at_s=1.0))) == -inf


def test_who_was_walking_out_has_left_by_the_time_another_one_appears() -> None:
    leaving = fragment(seen(60), speed=-100)
    assert not left_frame(leaving, 0.5, FRAME)
    assert left_frame(leaving, 1.0, FRAME)
    assert not left_frame(fragment(seen(60), speed=100), 1.0, FRAME)
    assert not left_frame(fragment(seen(60)), 60.0, FRAME)


def test_a_box_without_area_is_no_error() -> None:
    lost, found = fragment(seen(200, size=(0, 0))), fragment(seen(200, size=(0, 0), at_s=1.0))
    assert evidence(lost, found) > 0
    assert evidence(lost, fragment(seen(500, at_s=1.0))) < 0


@given(
    x=st.floats(100, 500),
    away=st.floats(-60, 60),
    speed=st.floats(-80, 80),
    gap_s=st.floats(0.04, 3.0),
    size=st.floats(20, 90),
)
def test_the_mirror_image_has_the_same_evidence(
    x: float, away: float, speed: float, gap_s: float, size: float
) -> None:
    def mirrored(sign: int) -> float:
        def at(place: float) -> float:
            return place if sign > 0 else WIDTH - place

        lost = fragment(seen(at(x), size=(size / 2, size)), sign * speed)
        found = fragment(seen(at(x + away), at_s=gap_s), sign * speed)
        return evidence(lost, found, gap_s)

    assert mirrored(1) == pytest.approx(mirrored(-1))
