"""What users of other counters complain of: each complaint is a scenario that must come out right here."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from pipeline.config.schema import LineConfig
from pipeline.counting.lines import net_of
from tests.counting.counting_scenes import (
    FPS,
    UPRIGHT,
    Frame,
    Outcome,
    Thing,
    Xy,
    along,
    counter,
    play,
    play_at,
    walk,
)

ANCHORS = ["foot", "center", "mask"]


def upright(**changes: object) -> LineConfig:
    return LineConfig.model_validate({**UPRIGHT.model_dump(), **changes})


def count(frames: Sequence[Frame], line: LineConfig = UPRIGHT) -> Outcome:
    return play(counter({"line": line}), frames)


def shaken(path: Sequence[Xy], by_px: float, seed: int = 1) -> list[list[Thing]]:
    """Boxes whose place and size shake, as a detector's do."""
    random = np.random.default_rng(seed)
    return [
        [
            Thing(
                (x + random.normal(0, by_px), y + random.normal(0, by_px)),
                (24.0, 60.0 + random.normal(0, by_px)),
            )
        ]
        for x, y in path
    ]


@pytest.mark.parametrize("anchor", ANCHORS)
def test_one_car_that_stops_and_goes_on_the_line_is_one_crossing(anchor: str) -> None:
    """opendatacam#204: counted 15 times."""
    path = [(250, 300), (317, 300), (323, 300), (316, 300), (324, 300), (319, 300), (400, 300)]
    frames = shaken(along(path, [1, 1, 1, 1, 1, 1]), 1.0)
    assert count(frames, upright(anchor=anchor)).crossings() == ["right"]


@pytest.mark.parametrize("seed", range(4))
def test_jitter_is_never_a_crossing_the_wrong_way(seed: int) -> None:
    """opendatacam#501, supervision#1540."""
    assert count(shaken(along([(250, 300), (390, 300)], [4]), 4.0, seed)).crossings() == ["right"]


def test_detections_that_come_and_go_do_not_inflate_the_counts() -> None:
    """supervision#2578: objects without an id made 97 of 7."""
    random = np.random.default_rng(4)
    rows = [along([(220, 120.0 + 60 * i), (420, 120.0 + 60 * i)], [4]) for i in range(4)]
    frames = [[Thing(foot) for foot in feet if random.random() > 0.3] for feet in zip(*rows, strict=True)]
    outcome = count(frames)
    assert outcome.crossings() == ["right"] * 4
    assert outcome.totals["unique"] == {"person": 4}


BORDERS: dict[str, tuple[tuple[Xy, Xy], list[Xy]]] = {
    "left": (((0.0, 1.0), (0.0, 0.0)), [(200, 300), (-20, 300)]),
    "right": (((1.0, 0.0), (1.0, 1.0)), [(440, 300), (660, 300)]),
    "top": (((0.0, 0.0), (1.0, 0.0)), [(300, 160), (300, -5)]),
    "bottom": (((1.0, 1.0), (0.0, 1.0)), [(300, 200), (300, 430)]),
}


@pytest.mark.parametrize("inset", [0.0, 0.02])
@pytest.mark.parametrize("border", BORDERS)
def test_a_line_on_the_very_border_of_the_frame_counts_who_leaves_and_who_comes(
    border: str, inset: float
) -> None:
    """supervision#1838: a line near the frame's edge counts zero. Feet below the frame cannot be seen."""
    points, path = BORDERS[border]
    inner = [tuple(min(max(part, inset), 1 - inset) for part in point) for point in points]
    line = LineConfig.model_validate({"points": inner, "directions": ("in", "out")})
    empty: list[list[Thing]] = [[]] * 6
    assert count(walk(path, [4]) + empty, line).crossings() == ["out"]
    assert count(empty + walk(path[::-1], [4]), line).crossings() == ["in"]


def test_a_car_too_fast_to_be_seen_at_the_border_is_counted_all_the_same() -> None:
    line = LineConfig(points=((0.98, 0.0), (0.98, 1.0)), directions=("in", "out"))
    car = [[Thing((float(x), 300.0), (90, 60), 2)] for x in range(110, 600, 60)]
    empty: list[list[Thing]] = [[]] * 8
    assert play(counter({"line": line}), car + empty, fps=5).crossings() == ["out"]
    assert play(counter({"line": line}), empty + car[::-1], fps=5).crossings() == ["in"]


@pytest.mark.parametrize("anchor", ANCHORS)
def test_an_object_far_from_the_segment_is_not_counted(anchor: str) -> None:
    """supervision#518, #109: lines counted as if they went on for ever."""
    gate = upright(points=((0.5, 0.95), (0.5, 0.6)), anchor=anchor)
    assert count(walk([(220, 150), (420, 150)], [3]), gate).crossings() == []
    assert count(walk([(220, 300), (420, 300)], [3]), gate).crossings() == ["right"]


def test_many_that_cross_at_the_same_moment_all_count() -> None:
    """ultralytics#14291."""
    rows = [along([(220, 100.0 + 50 * i), (420, 100.0 + 50 * i)], [3]) for i in range(5)]
    outcome = count([[Thing(foot) for foot in feet] for feet in zip(*rows, strict=True)])
    assert outcome.crossings() == ["right"] * 5
    assert outcome.totals["unique"] == {"person": 5}


def test_the_directions_mean_what_they_have_always_meant() -> None:
    """ultralytics#15697: in and out were swapped by a release."""
    downward = LineConfig(points=((0.1, 0.6), (0.9, 0.6)), directions=("in", "out"))
    assert count(walk([(320, 150), (320, 320)], [3]), downward).crossings() == ["in"]
    assert count(walk([(320, 320), (320, 150)], [3]), downward).crossings() == ["out"]


@pytest.mark.parametrize("deadband", [0.0, 0.1])
@pytest.mark.parametrize("stay", [1, 30])
def test_a_point_exactly_on_the_line_is_not_lost(deadband: float, stay: int) -> None:
    """DL Streamer loses it: neither before nor after."""
    line = upright(deadband=deadband)
    xs = [*range(250, 320, 5), *[320] * stay, *range(325, 400, 5)]
    assert count([[Thing((float(x), 300.0))] for x in xs], line).crossings() == ["right"]
    back = [*range(250, 320, 5), *[320] * stay, *range(315, 250, -5)]
    assert count([[Thing((float(x), 300.0))] for x in back], line).crossings() == []


def test_a_return_counts_the_other_way_each_time() -> None:
    """Ultralytics: an id counts once ever."""
    path = [(260, 300), (380, 300), (260, 300), (380, 300), (260, 300)]
    outcome = count(walk(path, [2, 2, 2, 2]))
    assert outcome.crossings() == ["right", "left", "right", "left"]
    assert outcome.totals["unique"] == {"person": 1}


def test_a_class_that_flips_is_one_object_and_one_crossing() -> None:
    """supervision#87; DL Streamer gives a new id."""
    frames = [
        [Thing(foot, (120.0, 60.0), class_id=3 if number % 3 == 1 else 2)]
        for number, foot in enumerate(along([(150, 300), (500, 300)], [3]))
    ]
    outcome = count(frames)
    assert [(event.class_name, event.direction) for event in outcome.events] == [("car", "right")]
    assert outcome.totals["unique"] == {"car": 1}


def test_two_that_meet_on_the_line_and_may_swap_ids_count_one_each_way() -> None:
    """norfair#288: ids swap on collision."""
    one, other = along([(220, 300), (420, 300)], [4]), along([(420, 301), (220, 301)], [4])
    frames = []
    for a, b in zip(one, other, strict=True):
        hidden = abs(a[0] - b[0]) < 14
        frames.append([Thing(b)] if hidden else [Thing(a), Thing(b)])
    outcome = count(frames)
    assert sorted(outcome.crossings()) == ["left", "right"]
    assert outcome.totals["unique"] == {"person": 2}


def test_two_that_meet_on_the_line_and_turn_back_count_nothing() -> None:
    one = along([(220, 300), (300, 300), (300, 300), (220, 300)], [2, 1, 2])
    other = along([(420, 300), (340, 300), (340, 300), (420, 300)], [2, 1, 2])
    outcome = count([[Thing(a), Thing(b)] for a, b in zip(one, other, strict=True)])
    assert outcome.crossings() == []
    assert outcome.totals["unique"] == {"person": 2}


@pytest.mark.parametrize("hidden_s", [0.4, 1.2, 2.4])
def test_behind_a_post_on_the_line_is_one_object_and_one_crossing(hidden_s: float) -> None:
    """norfair#298: occluded cars are counted again."""
    path = along([(160, 300), (480, 300)], [8])
    middle, half = 4.0, hidden_s / 2
    frames = [[] if abs(number / FPS - middle) < half else [Thing(foot)] for number, foot in enumerate(path)]
    outcome = count(frames)
    assert outcome.crossings() == ["right"]
    assert outcome.totals["unique"] == {"person": 1}


def test_in_by_the_door_and_out_by_the_same_door_is_one_each_way() -> None:
    door = LineConfig(points=((0.4, 0.6), (0.6, 0.6)), directions=("out", "in"))
    inward = walk([(320, 330), (320, 195)], [3])
    empty: list[list[Thing]] = [[]] * round(6 * FPS)
    outcome = count(inward + empty + inward[::-1], door)
    assert outcome.crossings() == ["in", "out"]
    assert outcome.totals["unique"] == {"person": 2}


@pytest.mark.parametrize("fps", [5.0, 10.0, 50.0])
@pytest.mark.parametrize("anchor", ANCHORS)
def test_the_frame_rate_does_not_change_the_count(fps: float, anchor: str) -> None:
    path = walk([(240, 300), (400, 300), (240, 300)], [3, 3], fps=fps)
    assert play(counter({"line": upright(anchor=anchor)}), path, fps=fps).crossings() == ["right", "left"]


def test_a_rate_that_falls_and_rises_under_way_does_not_change_the_count() -> None:
    times = [*np.arange(0, 1.5, 0.04), *np.arange(1.5, 3.5, 0.25), *np.arange(3.5, 5, 0.02)]
    outcome = play_at(
        counter({"line": UPRIGHT}), [(float(t), [Thing((220 + 40 * float(t), 300))]) for t in times]
    )
    assert outcome.crossings() == ["right"]
    assert outcome.totals["unique"] == {"person": 1}


@pytest.mark.parametrize("gap_s", [0.5, 1.5])
def test_a_gap_in_time_on_the_line_is_one_object_and_one_crossing(gap_s: float) -> None:
    """A camera that is lost for a moment: media time goes on, frames do not come."""
    times = [t for t in np.arange(0, 6, 0.04).tolist() if not 3 - gap_s / 2 < t < 3 + gap_s / 2]
    outcome = play_at(counter({"line": UPRIGHT}), [(t, [Thing((200 + 40 * t, 300))]) for t in times])
    assert outcome.crossings() == ["right"]
    assert outcome.totals["unique"] == {"person": 1}


def test_after_an_hour_of_darkness_it_is_somebody_else_and_no_crossing() -> None:
    before = [(t, [Thing((260, 300))]) for t in np.arange(0, 2, 0.04).tolist()]
    after = [(3600 + t, [Thing((380, 300))]) for t in np.arange(0, 2, 0.04).tolist()]
    outcome = play_at(counter({"line": UPRIGHT}), before + after)
    assert outcome.crossings() == []
    assert outcome.totals["unique"] == {"person": 2}


def test_net_is_first_less_second_direction() -> None:
    """opendatacam#122."""
    outcome = count(walk([(260, 300), (380, 300), (260, 300), (380, 300)], [2, 2, 2]))
    assert net_of(outcome.totals["lines"]) == {"line": {"person": 1}}
