"""Unique objects: confirmation, votes, joins, and what must not make one object two."""

from __future__ import annotations

import numpy as np
import pytest

from pipeline.config.schema import TrackerConfig
from pipeline.counting.counter import StreamCounter
from tests.counting.counting_scenes import (
    FPS,
    HEIGHT,
    UPRIGHT,
    Thing,
    along,
    counter,
    instances,
    play,
    play_at,
    walk,
)


def test_each_object_counts_once_for_its_class() -> None:
    frames = [
        [Thing((x, 340)), Thing((640 - x, 200), (90, 45), class_id=2), Thing((x, 120), (40, 40), class_id=1)]
        for x, _ in along([(100, 0), (540, 0)], [4])
    ]
    assert play(counter(), frames).totals["unique"] == {"person": 1, "bicycle": 1, "car": 1}


def test_a_false_alarm_of_two_frames_is_not_an_object() -> None:
    frames = walk([(100, 300), (300, 300)], [3])
    frames[20] = [*frames[20], Thing((500, 200))]
    frames[21] = [*frames[21], Thing((500, 200))]
    assert play(counter(), frames).totals["unique"] == {"person": 1}


def test_weak_detections_alone_never_make_an_object() -> None:
    weak = walk([(100, 300), (300, 300)], [3], make=lambda xy: Thing(xy, score=0.3))
    assert play(counter(), weak).totals["unique"] == {}


def test_weak_detections_keep_an_object_that_was_strong() -> None:
    frames = [
        [Thing(xy, score=0.9 if number < 20 else 0.3)]
        for number, xy in enumerate(along([(100, 300), (500, 300)], [6]))
    ]
    outcome = play(counter(), frames)
    assert outcome.totals["unique"] == {"person": 1}
    assert all(step.tracks.ids.tolist() == [1] for step in outcome.steps[20:])


def test_ids_are_numbers_from_the_first_frame_they_are_shown_in() -> None:
    outcome = play(counter(), walk([(100, 300), (300, 300)], [3]))
    shown = [step.tracks.ids.tolist() for step in outcome.steps]
    assert shown[0] == [] and shown[-1] == [1]
    assert all(ids in ([], [1]) for ids in shown)
    assert outcome.final_ids == {1: 1}


def test_rows_reach_back_to_before_the_object_was_confirmed() -> None:
    outcome = play(counter(), walk([(100, 300), (300, 300)], [3]))
    assert [row.index for row in outcome.rows] == list(range(76))
    assert {row.track for row in outcome.rows} == {1}


def test_only_objects_seen_in_this_very_frame_are_shown() -> None:
    frames = walk([(100, 300), (300, 300)], [3])
    frames[40] = []
    outcome = play(counter(), frames)
    assert outcome.steps[40].tracks.ids.tolist() == []
    assert outcome.steps[41].tracks.ids.tolist() == [1]


def test_class_flips_do_not_make_a_second_object() -> None:
    size = (120.0, 60.0)
    frames = [
        [Thing(xy, size, class_id=3 if 30 <= number < 45 else 2)]
        for number, xy in enumerate(along([(150, 300), (500, 300)], [4]))
    ]
    outcome = play(counter(), frames)
    assert outcome.totals["unique"] == {"car": 1}
    assert outcome.steps[40].tracks.class_ids.tolist() == [2]


def test_one_thing_found_as_two_classes_at_once_is_one_object() -> None:
    frames = [
        [Thing(xy, (120, 60), class_id=2), Thing((xy[0] + 3, xy[1]), (116, 62), class_id=3, score=0.6)]
        for xy in along([(150, 300), (500, 300)], [4])
    ]
    assert play(counter(), frames).totals["unique"] == {"car": 1}


def test_two_that_walk_side_by_side_stay_two() -> None:
    frames = [[Thing(xy), Thing((xy[0] + 18, xy[1] + 4))] for xy in along([(100, 300), (500, 300)], [6])]
    assert play(counter(), frames).totals["unique"] == {"person": 2}


def test_two_that_meet_and_pass_keep_their_ids() -> None:
    right, left = along([(100, 300), (540, 300)], [6]), along([(540, 312), (100, 312)], [6])
    frames = []
    for a, b in zip(right, left, strict=True):
        hidden = abs(a[0] - b[0]) < 14
        frames.append([Thing(b)] if hidden else [Thing(a), Thing(b)])
    outcome = play(counter(), frames)
    assert outcome.totals["unique"] == {"person": 2}
    first, last = outcome.steps[20].tracks, outcome.steps[-1].tracks
    at_start = dict(zip(first.ids.tolist(), first.feet_px[:, 0] < 320, strict=True))
    at_end = dict(zip(last.ids.tolist(), last.feet_px[:, 0] > 320, strict=True))
    assert at_start == at_end


def test_two_that_bump_into_each_other_and_turn_back_are_still_two() -> None:
    right = along([(100, 300), (305, 300), (100, 300)], [3, 3])
    left = along([(540, 304), (335, 304), (540, 304)], [3, 3])
    outcome = play(counter(), [[Thing(a), Thing(b)] for a, b in zip(right, left, strict=True)])
    assert outcome.totals["unique"] == {"person": 2}
    first, last = outcome.steps[20].tracks, outcome.steps[-1].tracks
    at_start = dict(zip(first.ids.tolist(), first.feet_px[:, 0] < 320, strict=True))
    at_end = dict(zip(last.ids.tolist(), last.feet_px[:, 0] < 320, strict=True))
    assert at_start == at_end


@pytest.mark.parametrize("hidden_s", [0.4, 1.0, 2.0])
def test_walking_on_behind_a_post_counts_once(hidden_s: float) -> None:
    frames = walk([(100, 300), (540, 300)], [8])
    start = 75
    frames[start : start + int(hidden_s * FPS)] = [[]] * int(hidden_s * FPS)
    outcome = play(counter(), frames)
    assert outcome.totals["unique"] == {"person": 1}
    assert outcome.steps[-1].tracks.ids.tolist() == [1]


def test_standing_hidden_for_a_while_counts_once() -> None:
    frames = walk([(100, 300), (300, 300), (300, 300), (540, 300)], [3, 3, 3])
    frames[90:140] = [[]] * 50
    assert play(counter(), frames).totals["unique"] == {"person": 1}


def test_half_hidden_behind_a_car_counts_once() -> None:
    frames = []
    for number, (x, y) in enumerate(along([(100, 300), (540, 300)], [8])):
        hidden = 60 <= number < 130
        frames.append([Thing((x, y - 32), (20, 28)) if hidden else Thing((x, y))])
    assert play(counter(), frames).totals["unique"] == {"person": 1}


def test_an_object_that_was_hidden_while_it_crossed_the_line_has_crossed_it() -> None:
    frames = walk([(100, 300), (220, 300)], [3]) + [[]] * 20 + walk([(325, 300), (445, 300)], [3])
    outcome = play(counter({"line": UPRIGHT}), frames + [[]] * 250)
    assert outcome.totals["unique"] == {"person": 1}
    assert outcome.crossings() == ["right"]


def test_two_with_nobody_lost_between_them_stay_two() -> None:
    frames = [[Thing((100 + n, 300)), *([Thing((330 + n - 95, 300))] if n >= 95 else [])] for n in range(200)]
    assert play(counter(), frames + [[]] * 250).totals["unique"] == {"person": 2}


def test_who_comes_long_after_another_has_gone_is_someone_else() -> None:
    frames = walk([(100, 300), (300, 300)], [3]) + [[]] * int(8 * FPS) + walk([(310, 300), (500, 300)], [3])
    assert play(counter(), frames).totals["unique"] == {"person": 2}


def test_who_begins_far_from_where_another_was_lost_is_someone_else() -> None:
    frames = walk([(100, 300), (200, 300)], [3]) + [[]] * 12 + walk([(500, 120), (600, 120)], [3])
    assert play(counter(), frames).totals["unique"] == {"person": 2}


def test_one_comes_in_where_another_has_just_gone_out() -> None:
    out = walk([(450, 300), (690, 300)], [2], make=lambda xy: Thing(xy, (90, 45), class_id=2))
    come = walk([(690, 300), (450, 300)], [2], make=lambda xy: Thing(xy, (90, 45), class_id=2))
    outcome = play(counter(), out + [[]] * 15 + come)
    assert outcome.totals["unique"] == {"car": 2}


def test_enter_and_leave_at_the_same_spot_of_different_people_one_after_another() -> None:
    one = walk([(-30, 300), (200, 300), (-30, 300)], [3, 3])
    assert play(counter(), [*one, *[[]] * 100, *one]).totals["unique"] == {"person": 2}


def test_only_configured_classes_are_unique_objects_and_they_are_there_with_zero() -> None:
    frames = [
        [Thing(xy), Thing((xy[0], 150), (90, 45), class_id=2)] for xy in along([(100, 300), (500, 300)], [3])
    ]
    outcome = play(counter(classes=("person", "bus")), frames)
    assert outcome.totals["unique"] == {"bus": 0, "person": 1}
    assert set(outcome.steps[-1].tracks.class_ids.tolist()) == {0}


def test_confirmation_takes_the_configured_time_at_any_frame_rate() -> None:
    for fps in (10.0, 25.0, 60.0):
        outcome = play(
            counter(tracker=TrackerConfig(confirm_s=1.0)),
            walk([(100, 300), (300, 300)], [3], fps=fps),
            fps=fps,
        )
        first = next(step.tracks.pts_s for step in outcome.steps if len(step.tracks.ids))
        assert first == pytest.approx(1.0, abs=0.11)


@pytest.mark.parametrize("fps", [4.0, 5.0, 8.0, 25.0])
def test_one_who_is_seen_for_not_quite_a_second_counts_at_any_frame_rate(fps: float) -> None:
    seconds = 3 / fps if fps < 5 else 0.7
    assert play(counter(), walk([(300, 300), (330, 300)], [seconds], fps=fps), fps=fps).totals["unique"] == {
        "person": 1
    }


def test_half_the_frames_lost_at_random_does_not_change_the_counts() -> None:
    random = np.random.default_rng(11)
    frames = [
        (number / FPS, [Thing(xy), Thing((640 - xy[0], 200))])
        for number, xy in enumerate(along([(60, 330), (580, 330)], [8]))
        if random.random() < 0.5
    ]
    assert play_at(counter(), frames).totals["unique"] == {"person": 2}


def test_frames_that_the_model_did_not_see_change_nothing() -> None:
    subject = counter()
    for seq, (thing,) in enumerate(walk([(100, 300), (300, 300)], [3])):
        lost = seq % 5 == 3
        step = subject.update(
            instances([] if lost else [thing], seq, seq / FPS, skipped="quarantined" if lost else "")
        )
        if lost:
            assert step.tracks.ids.tolist() == [] and step.tracks.seq == seq
    assert subject.totals().summary["unique"] == {"person": 1}


def test_nothing_moves_for_a_minute_and_everyone_is_still_the_same() -> None:
    subject = counter()
    seq = 0
    for pause_s in (0.0, 60.0):
        for number in range(50):
            subject.update(instances([Thing((300, 300))], seq, pause_s + number / FPS))
            seq += 1
        for number in range(50, 1500):
            held = instances([Thing((300, 300))], seq, pause_s + number / FPS, skipped="static")
            subject.update(held)
            seq += 1
    assert subject.totals().summary["unique"] == {"person": 1}


def test_a_camera_that_changes_its_resolution_keeps_its_objects_and_counts() -> None:
    subject = counter()
    for seq, (thing,) in enumerate(walk([(100, 300), (500, 300)], [4])):
        message = instances([thing], seq, seq / FPS)
        if seq >= 50:
            half = {"width": 320, "height": 180, "boxes_px": message.boxes_px / 2}
            message = type(message)(
                **{name: getattr(message, name) for name in message.__struct_fields__} | half
            )
        step = subject.update(message)
    assert subject.totals().summary["unique"] == {"person": 1}
    assert step.tracks.feet_px[0].tolist() == pytest.approx([250, 150], abs=1)


def test_memory_does_not_grow_with_the_objects_that_have_gone() -> None:
    def held(subject: StreamCounter) -> int:
        seen, todo, objects = set(), [subject], 0
        while todo:
            thing = todo.pop()
            if id(thing) in seen or isinstance(thing, type | str | int | float):
                continue
            seen.add(id(thing))
            objects += 1
            if isinstance(thing, dict):
                todo += [*thing.keys(), *thing.values()]
            elif isinstance(thing, list | tuple | set) or type(thing).__name__ == "deque":
                todo += list(thing)
            elif hasattr(thing, "__dict__"):
                todo.append(vars(thing))
            todo += [
                getattr(thing, name) for name in getattr(type(thing), "__slots__", ()) if hasattr(thing, name)
            ]
        return objects

    subject = counter()
    sizes = []
    seq = 0
    for _ in range(6):
        for _ in range(10):
            for frame in walk([(100, HEIGHT - 60), (200, HEIGHT - 60)], [1], fps=10):
                subject.update(instances(frame, seq, seq / 10))
                seq += 1
            seq += 100
        sizes.append(held(subject))
    assert subject.totals().summary["unique"] == {"person": 60}
    assert sizes[-1] <= sizes[1] + 5
