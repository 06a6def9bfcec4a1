"""The counter as a whole: a pure function of its instances and its configuration."""

from __future__ import annotations

from dataclasses import astuple
from itertools import pairwise

import msgspec
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.config.schema import LineConfig, ZoneConfig
from pipeline.counting.counter import StreamCounter
from pipeline.counting.frame_result import FrameResult
from tests.counting.counting_scenes import (
    FPS,
    HEIGHT,
    UPRIGHT,
    WIDTH,
    Frame,
    Thing,
    along,
    counter,
    instances,
    play,
)

ZONE = ZoneConfig(points=((0.3, 0.4), (0.7, 0.4), (0.7, 1.0), (0.3, 1.0)))


def crowd(seed: int, objects: int = 4, seconds: float = 3.0) -> list[Frame]:
    """Objects that walk from side to side at their own speeds, with shaking boxes, gaps and false alarms."""
    random = np.random.default_rng(seed)
    paths = []
    for _ in range(objects):
        y = float(random.uniform(80, 350))
        xs = [float(random.uniform(30, 610)) for _ in range(3)]
        paths.append(along([(xs[0], y), (xs[1], y), (xs[2], y)], [seconds / 2, seconds / 2]))
    frames = []
    for feet in zip(*paths, strict=True):
        frame = [
            Thing(
                (x + float(random.normal(0, 1)), y + float(random.normal(0, 1))),
                score=float(random.uniform(0.5, 1)),
            )
            for x, y in feet
            if random.random() < 0.92
        ]
        if random.random() < 0.1:
            frame.append(Thing((float(random.uniform(20, 620)), float(random.uniform(70, 350))), score=0.5))
        frames.append(frame)
    return frames


def subject() -> StreamCounter:
    return counter({"line": UPRIGHT}, {"zone": ZONE})


def said(step: FrameResult) -> tuple[object, ...]:
    """All that a step says, in a form that compares bit for bit."""
    tracks = [
        value.tobytes() if isinstance(value, np.ndarray) else value
        for value in msgspec.structs.astuple(step.tracks)
    ]
    return (tracks, [astuple(event) for event in step.events], [astuple(row) for row in step.rows])


def test_the_same_instances_give_the_same_steps_events_and_totals() -> None:
    frames = [instances(frame, seq, seq / FPS) for seq, frame in enumerate(crowd(1))]
    first, second = subject(), subject()
    assert [said(first.update(frame)) for frame in frames] == [said(second.update(frame)) for frame in frames]
    assert first.finish() == second.finish()
    assert first.totals() == second.totals()


def test_another_stream_in_the_same_process_changes_nothing() -> None:
    ours = [instances(frame, seq, seq / FPS) for seq, frame in enumerate(crowd(1))]
    theirs = [instances(frame, seq, seq / FPS, stream="other") for seq, frame in enumerate(crowd(2))]
    alone = subject()
    expected = [said(alone.update(frame)) for frame in ours]
    first, other = subject(), subject()
    got = []
    for a, b in zip(ours, theirs, strict=True):
        other.update(b)
        got.append(said(first.update(a)))
        other.update(b)
    assert got == expected


def test_the_order_of_the_instances_in_a_frame_does_not_change_the_counts() -> None:
    frames = crowd(4)
    turned = [list(reversed(frame)) for frame in frames]
    one, two = play(subject(), frames), play(subject(), turned)
    assert one.totals["unique"] == two.totals["unique"]
    assert one.totals["lines"] == two.totals["lines"]


def test_the_message_is_not_changed() -> None:
    message = instances([Thing((300, 300))], 0, 0.0)
    before = [value.copy() for value in (message.boxes_px, message.scores, message.class_ids, message.masks)]
    for array in (message.boxes_px, message.scores, message.class_ids, message.masks):
        array.flags.writeable = False
    subject().update(message)
    after = (message.boxes_px, message.scores, message.class_ids, message.masks)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


def test_tracks_name_the_frame_and_hold_the_masks_of_the_instances() -> None:
    one = subject()
    for seq in range(20):
        message = instances([Thing((300 + seq, 300))], seq, seq / FPS, epoch=3)
        tracks = one.update(message).tracks
    assert (tracks.stream, tracks.epoch, tracks.seq, tracks.index, tracks.pts_s) == (
        "gate",
        3,
        19,
        19,
        19 / FPS,
    )
    assert tracks.ids.dtype == np.int64 and tracks.class_ids.dtype == np.int16
    assert tracks.feet_px.dtype == tracks.boxes_px.dtype == tracks.scores.dtype == np.float32
    assert np.array_equal(tracks.masks, message.masks) and tracks.masks.dtype == np.uint8
    assert tracks.feet_px.tolist() == [[319.0, 300.0]]
    assert tracks.lines == {"line": {"person": {"right": 0, "left": 0}}}
    assert tracks.zones == {"zone": {"person": 1}}
    assert tracks.unique == {"person": 1}


def test_frames_without_instances_are_counted_through() -> None:
    outcome = play(subject(), [[] for _ in range(10)])
    assert [len(step.tracks.ids) for step in outcome.steps] == [0] * 10
    assert outcome.totals["unique"] == {}
    assert outcome.totals["lines"] == {"line": {}}


def test_all_frames_skipped_is_no_error() -> None:
    one = subject()
    for seq in range(3):
        one.update(instances([], seq, seq / FPS, skipped="quarantined"))
    assert one.finish() == []
    assert one.totals().summary["unique"] == {}


def test_time_that_stands_still_or_is_given_twice_is_no_error() -> None:
    one = subject()
    for seq in range(10):
        one.update(instances([Thing((300, 300))], seq, 1.0))
    for seq in range(10, 40):
        one.update(instances([Thing((300, 300))], seq, 1.0 + (seq - 10) / FPS))
    assert one.totals().summary["unique"] == {"person": 1}


def test_box_without_area_is_no_error() -> None:
    one = subject()
    for seq in range(10):
        message = instances([Thing((300, 300))], seq, seq / FPS)
        boxes = message.boxes_px.copy()
        boxes[:, 2:] = boxes[:, :2]
        one.update(msgspec.structs.replace(message, boxes_px=boxes))
    one.finish()


def mirrored(frame: Frame) -> Frame:
    return [
        Thing((WIDTH - thing.foot[0], thing.foot[1]), thing.size, thing.class_id, thing.score)
        for thing in frame
    ]


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000))
def test_in_the_mirror_the_directions_swap(seed: int) -> None:
    frames = crowd(seed)
    plain = play(subject(), frames).totals
    mirror = play(subject(), [mirrored(frame) for frame in frames]).totals
    swapped = {
        cls: {"right": counts["left"], "left": counts["right"]}
        for cls, counts in mirror["lines"]["line"].items()
    }
    assert plain["lines"]["line"] == swapped
    assert plain["unique"] == mirror["unique"]


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), dx=st.integers(-60, 60), dy=st.integers(-30, 0))
def test_moving_everything_does_not_change_the_counts(seed: int, dx: int, dy: int) -> None:
    frames = [
        [thing for thing in frame if 100 < thing.foot[0] < 540 and 150 < thing.foot[1] < 330]
        for frame in crowd(seed)
    ]
    moved = [
        [Thing((t.foot[0] + dx, t.foot[1] + dy), t.size, t.class_id, t.score) for t in frame]
        for frame in frames
    ]
    line = LineConfig(
        points=((0.5 + dx / WIDTH, 0.9 + dy / HEIGHT), (0.5 + dx / WIDTH, 0.3 + dy / HEIGHT)),
        directions=("right", "left"),
    )
    here = LineConfig(points=((0.5, 0.9), (0.5, 0.3)), directions=("right", "left"))
    plain, other = play(counter({"line": here}), frames).totals, play(counter({"line": line}), moved).totals
    assert plain["lines"] == other["lines"]
    assert plain["unique"] == other["unique"]


@settings(max_examples=5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), fps=st.sampled_from([12.5, 25.0, 50.0]))
def test_crossings_out_and_back_balance_with_the_sides_on_which_objects_are(seed: int, fps: float) -> None:
    random = np.random.default_rng(seed)
    xs = [float(random.choice([200, 440])) for _ in range(6)]
    path = along([(x, 300.0) for x in xs], [2.0] * 5, fps)
    outcome = play(counter({"line": UPRIGHT}), [[Thing(xy)] for xy in path], fps)
    sides = [x > 320 for x in xs]
    expected = ["right" if b else "left" for a, b in pairwise(sides) if a != b]
    assert outcome.crossings() == expected
