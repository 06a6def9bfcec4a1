"""What stands behind the sign in `34 ± 2`: doubtful decisions are told, clear ones not, and the margin is honest."""

from __future__ import annotations

import numpy as np

from benchmarks.counting import ours
from benchmarks.counting_scenes import scene
from pipeline.tracking.uncertainty import margin
from tests.counting.counting_scenes import FPS, Frame, Thing, counter, instances, play, walk


def told(frames: list[Frame]) -> list[tuple[int, int, int]]:
    """(unique, margin, doubtful decisions) of people each time that one of them changes."""
    subject = counter(classes=("person",))
    result = []
    for number, frame in enumerate(frames):
        subject.update(instances(frame, number, number / FPS))
        totals = subject.totals().summary
        now = totals["unique"]["person"], totals["uncertain"]["person"], totals["doubtful"]["person"]
        if not result or now != result[-1]:
            result.append(now)
    return result


def test_who_is_in_plain_sight_is_beyond_doubt() -> None:
    assert play(counter(), walk([(100, 300), (500, 300)], [4])).totals["uncertain"] == {"person": 0}


def test_who_was_seen_for_hardly_long_enough_is_doubtful() -> None:
    frames = walk([(100, 300), (110, 300)], [0.36], make=lambda xy: Thing(xy, score=0.6))
    outcome = play(counter(), frames + [[]] * 20)
    assert (outcome.totals["unique"], outcome.totals["uncertain"]) == ({"person": 1}, {"person": 1})


def test_who_was_seen_for_not_quite_long_enough_is_doubtful_as_well() -> None:
    subject = counter(classes=("person",))
    outcome = play(subject, walk([(100, 300), (110, 300)], [0.2]) + [[]] * 400)
    assert (outcome.totals["unique"], outcome.totals["doubtful"]) == ({"person": 0}, {"person": 1})


def test_a_second_box_on_an_object_is_no_doubt() -> None:
    frames = walk([(100, 300), (500, 300)], [4])
    for number in range(30, 40):
        (x, y) = frames[number][0].foot
        frames[number] = [*frames[number], Thing((x + 1, y), (25.0, 61.0), score=0.7)]
    assert play(counter(), frames).totals["doubtful"] == {"person": 0}


def test_who_comes_back_near_where_another_was_lost_may_be_either() -> None:
    walks, hidden = walk([(100, 300), (200, 300)], [2]), [[]] * 30
    near, far = ([*walks, *hidden, *walk([(x, 300), (x + 100, 300)], [2]), *[[]] * 260] for x in (255, 460))
    assert told(near)[-1][::2] == (1, 0)
    assert told(far)[-1][0] == 2
    between = [
        told([*walks, *hidden, *walk([(x, 300), (x + 100, 300)], [2])])[-1] for x in range(255, 460, 8)
    ]
    assert any(doubtful for _, _, doubtful in between)


def test_who_is_lost_and_comes_back_elsewhere_is_somebody_else_beyond_doubt() -> None:
    stands, hidden, again = [[Thing((200, 300))]] * 40, [[]] * 20, [[Thing((400, 300))]] * 60
    assert told([*stands, *hidden, *again, *[[]] * 260])[-1] == (2, 0, 0)


def test_the_margin_grows_with_the_root_of_the_variance_while_that_is_small_and_then_with_the_variance() -> (
    None
):
    margins = [margin(variance, 10) for variance in range(200)]
    assert margins[0] == 0
    assert margins == sorted(margins)
    assert margin(1.0, 0) == 2 * margin(0.25, 0)
    assert margin(400.0, 0) == 4 * margin(100.0, 0)


def test_the_truth_lies_within_the_margin_most_of_the_time() -> None:
    within = []
    for number in (*range(25, 30), *range(55, 60)):  # all levels, at 5 frames a second
        one = scene(number)
        *_, totals = ours(one)
        within.append(abs(totals["unique"]["person"] - one.unique) <= totals["uncertain"]["person"])
    assert np.mean(within) >= 0.8
