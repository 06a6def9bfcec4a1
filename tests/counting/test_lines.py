"""Line crossings: each complaint of other counters' users, as a scenario."""

from __future__ import annotations

from counting_scenes import UPRIGHT, counter, play, walk


def test_from_left_to_right_over_a_line_drawn_from_bottom_to_top_is_the_first_direction() -> None:
    outcome = play(counter({"line": UPRIGHT}), walk([(200, 300), (440, 300)], [3]))
    assert outcome.crossings() == ["right"]
    assert outcome.totals.lines == {"line": {"person": {"right": 1, "left": 0}}}


def test_object_that_touches_the_line_and_turns_back_is_not_counted() -> None:
    outcome = play(counter({"line": UPRIGHT}), walk([(200, 300), (322, 300), (200, 300)], [2, 2]))
    assert outcome.crossings() == []
    assert outcome.totals.unique == {"person": 1}
