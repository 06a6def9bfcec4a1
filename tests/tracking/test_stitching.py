"""What it costs that one fragment goes on another one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.tracking.observation import FrameTime, Observation, touched
from pipeline.tracking.stitching import Speed, left_frame, stitch_cost
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


def test_who_goes_on_where_he_should_be_costs_least() -> None:
    lost = fragment(seen(200), speed=50)
    costs = [
        stitch_cost(lost, fragment(seen(200 + away, at_s=1.0), 50), 1.0, FRAME) for away in (38, 80, 160)
    ]
    assert costs == sorted(costs) and costs[0] < 0.2 < 1 < costs[2]


def test_another_height_another_class_and_another_way_cost_more() -> None:
    lost, found = fragment(seen(200), 50), fragment(seen(240, at_s=1.0), 50)
    plain = stitch_cost(lost, found, 1.0, FRAME)
    small = fragment(seen(240, size=(12, 30), at_s=1.0), 50)
    assert stitch_cost(lost, small, 1.0, FRAME) > plain + 0.3
    assert stitch_cost(lost, replace(found, votes=Counter({2: 1})), 1.0, FRAME) > plain + 0.3
    assert stitch_cost(lost, fragment(found.first, -50), 1.0, FRAME) > plain


def test_who_has_gone_out_over_the_border_is_nobody_else() -> None:
    lost = fragment(seen(10), speed=-60)
    assert lost.last.edges == "l"
    assert stitch_cost(lost, fragment(seen(14, at_s=1.0)), 1.0, FRAME) == inf


def test_who_was_walking_out_has_left_by_the_time_another_one_appears() -> None:
    leaving = fragment(seen(60), speed=-100)
    assert not left_frame(leaving, 0.5, FRAME)
    assert left_frame(leaving, 1.0, FRAME)
    assert not left_frame(fragment(seen(60), speed=100), 1.0, FRAME)
    assert not left_frame(fragment(seen(60)), 60.0, FRAME)


def test_a_box_without_area_is_no_error() -> None:
    lost, found = fragment(seen(200, size=(0, 0))), fragment(seen(200, size=(0, 0), at_s=1.0))
    assert stitch_cost(lost, found, 1.0, FRAME) < 1
    assert stitch_cost(lost, fragment(seen(500, at_s=1.0)), 1.0, FRAME) > 1


@given(
    x=st.floats(100, 500),
    away=st.floats(-60, 60),
    speed=st.floats(-80, 80),
    gap_s=st.floats(0.04, 3.0),
    size=st.floats(20, 90),
)
def test_the_mirror_costs_the_same(x: float, away: float, speed: float, gap_s: float, size: float) -> None:
    def cost(sign: int) -> float:
        def at(place: float) -> float:
            return place if sign > 0 else WIDTH - place

        lost = fragment(seen(at(x), size=(size / 2, size)), sign * speed)
        found = fragment(seen(at(x + away), at_s=gap_s), sign * speed)
        return stitch_cost(lost, found, gap_s, FRAME)

    assert cost(1) == pytest.approx(cost(-1))
