"""Line crossings: each complaint of other counters' users, as a scenario."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipeline.config.schema import LineConfig
from tests.counting.counting_scenes import (
    FPS,
    HEIGHT,
    UPRIGHT,
    WIDTH,
    Thing,
    along,
    counter,
    play,
    play_at,
    walk,
)

ACROSS = LineConfig(points=((0.0, 0.5), (1.0, 0.5)), directions=("in", "out"))
"""Walked from left to right: the left hand is the upper half."""


def test_from_left_to_right_over_a_line_drawn_from_bottom_to_top_is_the_first_direction() -> None:
    right_hand = LineConfig(points=((0.75, 1.0), (0.75, 0.0)), directions=("first", "second"))
    outcome = play(counter({"line": right_hand}), walk([(360, 300), (600, 300)], [3]))
    assert outcome.crossings() == ["first"]
    assert outcome.totals["lines"] == {"line": {"person": {"first": 1, "second": 0}}}


@pytest.mark.parametrize(
    ("points", "path", "direction"),
    [
        (((0.5, 1.0), (0.5, 0.0)), [(200, 200), (440, 200)], "A"),
        (((0.5, 1.0), (0.5, 0.0)), [(440, 200), (200, 200)], "B"),
        (((0.5, 0.0), (0.5, 1.0)), [(440, 200), (200, 200)], "A"),
        (((0.0, 0.5), (1.0, 0.5)), [(320, 100), (320, 300)], "A"),
        (((1.0, 0.5), (0.0, 0.5)), [(320, 100), (320, 300)], "B"),
        (((0.1, 0.9), (0.9, 0.1)), [(200, 120), (440, 300)], "A"),
    ],
)
def test_first_direction_is_from_the_left_hand_to_the_right_hand_of_who_walks_the_line(
    points: tuple[tuple[float, float], tuple[float, float]], path: list[tuple[float, float]], direction: str
) -> None:
    line = LineConfig(points=points, directions=("A", "B"))
    assert play(counter({"line": line}), walk(path, [3])).crossings() == [direction]


def test_crossing_names_the_frame_the_object_and_the_instance() -> None:
    outcome = play(counter({"line": UPRIGHT}), walk([(200, 300), (440, 300)], [3]))
    (event,) = [event for event in outcome.events if event.kind == "line"]
    step = outcome.steps[event.seq]
    assert (event.stream, event.name, event.class_name, event.track) == ("gate", "line", "person", 1)
    assert event.pts_s == event.index / FPS == event.seq / FPS
    assert event.wall_s == 1e9 + event.pts_s
    assert event.box_px == tuple(step.tracks.boxes_px[0].tolist())
    assert step.tracks.crossed == ("line",)
    assert 320 < step.tracks.feet_px[0, 0] < 320 + 0.1 * 60 + 4


def test_object_that_touches_the_line_and_turns_back_is_not_counted() -> None:
    outcome = play(counter({"line": UPRIGHT}), walk([(200, 300), (324, 300), (200, 300)], [2, 2]))
    assert outcome.crossings() == []
    assert outcome.totals["unique"] == {"person": 1}


def test_crossing_and_coming_back_counts_one_each_way() -> None:
    path = [(200, 300), (440, 300), (200, 300), (440, 300)]
    assert play(counter({"line": UPRIGHT}), walk(path, [3, 3, 3])).crossings() == ["right", "left", "right"]


def test_stop_and_go_on_the_line_counts_once() -> None:
    path = [(200, 300), (318, 300), (323, 300), (317, 300), (322, 300), (440, 300)]
    assert play(counter({"line": UPRIGHT}), walk(path, [2, 4, 4, 4, 2])).crossings() == ["right"]


def test_a_box_that_shakes_while_standing_on_the_line_counts_nothing() -> None:
    random = np.random.default_rng(5)
    frames = walk([(200, 300), (318, 300)], [2])
    frames += [[Thing((320 + float(random.normal(0, 2)), 300))] for _ in range(400)]
    assert play(counter({"line": UPRIGHT}), frames).crossings() == []
    frames += walk([(320, 300), (440, 300)], [2])
    assert play(counter({"line": UPRIGHT}), frames).crossings() == ["right"]


def test_a_walker_whose_box_shakes_counts_once() -> None:
    random = np.random.default_rng(7)
    frames = [
        [Thing((x + float(random.normal(0, 3)), y + float(random.normal(0, 3))))]
        for x, y in along([(200, 300), (440, 300)], [6])
    ]
    assert play(counter({"line": UPRIGHT}), frames).crossings() == ["right"]


def test_a_position_exactly_on_the_line_is_not_lost() -> None:
    line = UPRIGHT.model_copy(update={"deadband": 0.0})
    xs = [260, 270, 280, 290, 300, 310, 320, 320, 330, 340, 350, 360]
    assert play(counter({"line": line}), [[Thing((x, 300.0))] for x in xs]).crossings() == ["right"]
    back = [260, 270, 280, 290, 300, 310, 320, 320, 310, 300, 290, 280]
    assert play(counter({"line": line}), [[Thing((x, 300.0))] for x in back]).crossings() == []


def test_an_object_far_from_the_segment_is_not_counted() -> None:
    gate = LineConfig(points=((0.5, 0.9), (0.5, 0.6)), directions=("right", "left"))
    assert play(counter({"line": gate}), walk([(200, 120), (440, 120)], [3])).crossings() == []
    assert play(counter({"line": gate}), walk([(200, 270), (440, 270)], [3])).crossings() == ["right"]


def test_walking_around_an_end_of_the_segment_is_not_counted() -> None:
    gate = LineConfig(points=((0.5, 0.9), (0.5, 0.6)), directions=("right", "left"))
    around = [(220, 280), (290, 180), (350, 180), (420, 280)]
    assert play(counter({"line": gate}), walk(around, [2, 1, 2])).crossings() == []


def test_walking_around_the_end_inside_the_band_and_then_through_is_counted_once_in_the_right_direction() -> (
    None
):
    gate = LineConfig(points=((0.5, 0.9), (0.5, 0.6)), directions=("right", "left"))
    path = [(220, 280), (290, 180), (350, 180), (420, 280), (220, 280)]
    assert play(counter({"line": gate}), walk(path, [2, 1, 2, 3])).crossings() == ["left"]


def test_several_objects_crossing_together_all_count() -> None:
    frames = [
        [Thing((x + 40 * (i % 2), 120.0 + 45 * i)) for i in range(5)]
        for x, _ in along([(200, 0), (440, 0)], [3])
    ]
    outcome = play(counter({"line": UPRIGHT}), frames)
    assert outcome.crossings() == ["right"] * 5
    assert outcome.totals["unique"] == {"person": 5}


def test_two_that_cross_against_each_other_count_one_each_way() -> None:
    rightward, leftward = along([(200, 300), (440, 300)], [3]), along([(440, 330), (200, 330)], [3])
    frames = [[Thing(a), Thing(b)] for a, b in zip(rightward, leftward, strict=True)]
    assert sorted(play(counter({"line": UPRIGHT}), frames).crossings()) == ["left", "right"]


def test_pause_before_the_same_object_may_count_again() -> None:
    line = UPRIGHT.model_copy(update={"cooldown_s": 5.0})
    path = [(280, 300), (360, 300), (280, 300), (360, 300)]
    assert play(counter({"line": line}), walk(path, [1, 1, 12])).crossings() == ["right", "right"]


def test_a_wider_dead_band_asks_for_a_clearer_crossing() -> None:
    frames = walk([(200, 300), (335, 300)], [3])
    assert play(counter({"line": UPRIGHT}), frames).crossings() == ["right"]
    wide = UPRIGHT.model_copy(update={"deadband": 0.5})
    assert play(counter({"line": wide}), frames).crossings() == []


def test_the_dead_band_grows_with_the_object_so_that_near_and_far_ones_are_treated_alike() -> None:
    def passes(scale: float) -> list[str]:
        frames = walk(
            [(320 - 60 * scale, 300), (320 + 8 * scale, 300)],
            [3],
            make=lambda xy: Thing(xy, (20 * scale, 60 * scale)),
        )
        return play(counter({"line": UPRIGHT}), frames).crossings()

    assert passes(0.5) == passes(1.0) == passes(4.0) == ["right"]


@pytest.mark.parametrize("anchor", ["foot", "center", "mask"])
def test_every_anchor_counts_a_plain_crossing_once(anchor: str) -> None:
    line = LineConfig.model_validate({**UPRIGHT.model_dump(), "anchor": anchor})
    assert play(counter({"line": line}), walk([(200, 300), (440, 300)], [3])).crossings() == ["right"]


def test_the_center_crosses_a_level_line_later_than_the_foot() -> None:
    path = walk([(320, 120), (320, 300)], [6])
    foot = play(counter({"line": ACROSS}), path).events[0]
    center = play(counter({"line": ACROSS.model_copy(update={"anchor": "center"})}), path).events[0]
    assert foot.direction == center.direction == "in"
    assert center.pts_s - foot.pts_s == pytest.approx(1.0, abs=0.1)


# --- the border of the frame ---------------------------------------------------------------------------------


def test_a_line_along_the_left_border_counts_who_comes_in() -> None:
    line = LineConfig(points=((0.01, 1.0), (0.01, 0.0)), directions=("in", "out"))
    empty: list[list[Thing]] = [[]] * 5
    outcome = play(counter({"line": line}), empty + walk([(-20, 300), (200, 300)], [4]))
    assert outcome.crossings() == ["in"]


def test_a_line_along_the_left_border_counts_who_goes_out() -> None:
    line = LineConfig(points=((0.01, 1.0), (0.01, 0.0)), directions=("in", "out"))
    empty: list[list[Thing]] = [[]] * 20
    outcome = play(counter({"line": line}), walk([(200, 300), (-20, 300)], [4]) + empty)
    assert outcome.crossings() == ["out"]


def test_a_line_along_the_bottom_counts_who_comes_in_and_who_goes_out() -> None:
    line = LineConfig(points=((0.0, 0.98), (1.0, 0.98)), directions=("out", "in"))
    empty: list[list[Thing]] = [[]] * 5
    outcome = play(counter({"line": line}), empty + walk([(300, 400), (300, 200)], [4]))
    assert outcome.crossings() == ["in"]
    outcome = play(counter({"line": line}), walk([(300, 200), (300, 440)], [4]) + empty * 4)
    assert outcome.crossings() == ["out"]


def test_who_stands_cut_by_the_border_since_the_start_has_not_come_in() -> None:
    line = LineConfig(points=((0.01, 1.0), (0.01, 0.0)), directions=("in", "out"))
    assert play(counter({"line": line}), walk([(9, 300), (9, 300), (200, 300)], [2, 3])).crossings() == []


def test_who_is_cut_by_the_border_and_stays_there_counts_nothing() -> None:
    line = LineConfig(points=((0.01, 1.0), (0.01, 0.0)), directions=("in", "out"))
    empty: list[list[Thing]] = [[]] * 5
    outcome = play(counter({"line": line}), empty + walk([(10, 300), (10, 300)], [5]) + empty)
    assert outcome.crossings() == []


# --- identity ------------------------------------------------------------------------------------------------


def test_lost_on_one_side_and_found_on_the_other_counts_once() -> None:
    frames = walk([(200, 300), (440, 300)], [3])
    frames[25:56] = [[]] * 31  # hidden by a post from x = 280 to x = 367
    outcome = play(counter({"line": UPRIGHT}), frames)
    assert outcome.crossings() == ["right"]
    assert outcome.totals["unique"] == {"person": 1}


def test_crossing_before_being_confirmed_counts_once_confirmed_and_names_its_own_frame() -> None:
    frames: list[list[Thing]] = [[]] * 3
    frames += walk([(300, 300), (400, 300)], [0.5])
    outcome = play(counter({"line": UPRIGHT}), frames)
    (event,) = [event for event in outcome.events if event.kind == "line"]
    revealed = next(number for number, step in enumerate(outcome.steps) if event in step.events)
    assert event.seq <= revealed
    assert event.direction == "right"


def test_flicker_that_is_never_confirmed_counts_nothing() -> None:
    random = np.random.default_rng(3)
    frames = [
        [Thing((float(random.uniform(20, 620)), float(random.uniform(70, 350))))]
        if random.random() < 0.2
        else []
        for _ in range(200)
    ]
    outcome = play(counter({"line": UPRIGHT}), frames)
    assert outcome.crossings() == []
    assert outcome.totals["unique"] == {}


def test_class_that_flips_on_the_line_counts_once_as_what_it_mostly_was() -> None:
    size = (120.0, 60.0)
    frames = [
        [Thing(foot, size, class_id=3 if number % 4 == 0 else 2)]
        for number, foot in enumerate(along([(150, 300), (500, 300)], [3]))
    ]
    outcome = play(counter({"line": UPRIGHT}), frames)
    assert [(event.class_name, event.direction) for event in outcome.events if event.kind == "line"] == [
        ("car", "right")
    ]
    assert outcome.totals["unique"] == {"car": 1}


# --- time ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fps", [4.0, 8.0, 15.0, 30.0, 120.0])
def test_the_frame_rate_does_not_change_the_count(fps: float) -> None:
    frames = walk([(200, 300), (440, 300), (200, 300)], [4, 4], fps=fps)
    assert play(counter({"line": UPRIGHT}), frames, fps=fps).crossings() == ["right", "left"]


def test_a_frame_rate_that_changes_under_way_does_not_change_the_count() -> None:
    times = [*np.arange(0, 2, 0.04), *np.arange(2, 4, 0.2), *np.arange(4, 6, 0.0666)]
    frames = [(float(t), [Thing((200 + 40 * float(t), 300))]) for t in times]
    outcome = play_at(counter({"line": UPRIGHT}), frames)
    assert outcome.crossings() == ["right"]
    assert outcome.totals["unique"] == {"person": 1}


def test_a_short_gap_in_time_while_crossing_counts_once() -> None:
    frames = [(t, [Thing((200 + 80 * t, 300))]) for t in np.arange(0, 3, 0.04).tolist() if not 1.2 < t < 1.9]
    outcome = play_at(counter({"line": UPRIGHT}), frames)
    assert outcome.crossings() == ["right"]
    assert outcome.totals["unique"] == {"person": 1}


def test_after_a_long_gap_in_time_it_is_someone_else() -> None:
    frames = [(t, [Thing((200 + 20 * t, 300))]) for t in np.arange(0, 3, 0.04).tolist()]
    frames += [(t + 60, [Thing((440, 300))]) for t in np.arange(0, 3, 0.04).tolist()]
    outcome = play_at(counter({"line": UPRIGHT}), frames)
    assert outcome.crossings() == []
    assert outcome.totals["unique"] == {"person": 2}


# --- configuration -------------------------------------------------------------------------------------------


def test_a_line_counts_only_its_classes() -> None:
    frames = [
        [Thing(foot), Thing((foot[0], 200), (100, 50), class_id=2)]
        for foot in along([(150, 320), (500, 320)], [3])
    ]
    cars = UPRIGHT.model_copy(update={"classes": ("car",)})
    outcome = play(counter({"line": cars, "all": UPRIGHT}), frames)
    assert outcome.totals["lines"]["line"] == {"car": {"right": 1, "left": 0}}
    assert outcome.totals["lines"]["all"] == {
        "car": {"right": 1, "left": 0},
        "person": {"right": 1, "left": 0},
    }


def test_configured_classes_are_in_the_totals_from_the_start() -> None:
    cars = UPRIGHT.model_copy(update={"classes": ("car", "bus")})
    zeros = {"right": 0, "left": 0}
    assert counter({"line": cars}).totals().summary["lines"] == {"line": {"bus": zeros, "car": zeros}}


def test_geometry_is_done_in_pixels_so_that_a_slanted_line_has_the_same_ends_in_a_wide_frame() -> None:
    slanted = LineConfig(points=((0.25, 1.0), (0.75, 0.0)), directions=("right", "left"))
    # the line at y = 300 px stands at x = 213 px; the foot passes there
    before, after = (213 - 30, 300), (213 + 30, 300)
    assert math.isclose(0.25 * WIDTH + (HEIGHT - 300) / HEIGHT * 0.5 * WIDTH, 213.3, abs_tol=0.1)
    assert play(counter({"line": slanted}), walk([before, after], [3])).crossings() == ["right"]
    assert play(counter({"line": slanted}), walk([before, (205, 300)], [3])).crossings() == []
