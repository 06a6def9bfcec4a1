"""What objects look like keeps apart who meets, and brings together who was lost."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.config.schema import StreamConfig, TrackerConfig
from pipeline.counting.counter import StreamCounter
from pipeline.tracking.appearance_memory import (
    LINK_COST_RANGE,
    MAX_UNCROWDED_OVERLAP,
    STITCH_EVIDENCE_RANGE,
    UNKNOWN,
    Appearance,
    DetectionAppearances,
    TrackAppearances,
    appearance_costs,
    appearance_evidence,
    crowded,
)
from pipeline.transport.messages import APPEARANCE_SIZE, Instances
from tests.counting.counting_scenes import CLASSES, FPS, Thing, along, instances

PARTS = np.array([0, 6, 9, 12, 18, 21, APPEARANCE_SIZE])


def look_of(person: int) -> np.ndarray:
    """Clothes of one colour, another one for each person: every histogram has all in one bin."""
    row = np.zeros(APPEARANCE_SIZE, np.uint8)
    for number, (first, size) in enumerate(zip(PARTS, np.diff(PARTS), strict=False)):
        row[first + (person + number) % size] = 255
    return row


@dataclass(frozen=True)
class Somebody:
    person: int
    foot: tuple[float, float]


def played(
    frames: list[list[Somebody]], engine: str = "own", appearance: bool = True
) -> list[dict[int, int]]:
    """Of each frame, person -> id."""
    config = TrackerConfig(engine=engine, appearance=appearance)
    subject = StreamCounter("gate", StreamConfig(source="s"), config, CLASSES)
    shown = []
    for number, people in enumerate(frames):
        frame = dressed(instances([Thing(one.foot) for one in people], number, number / FPS), people)
        tracks = subject.update(frame).tracks
        rows = [int(np.abs(frame.boxes_px - box).sum(axis=1).argmin()) for box in tracks.boxes_px]
        shown.append(
            {people[row].person: identity for row, identity in zip(rows, tracks.ids.tolist(), strict=True)}
        )
    subject.finish()
    return shown


def dressed(frame: Instances, people: list[Somebody]) -> Instances:
    appearances = np.array([look_of(one.person) for one in people], np.uint8).reshape(-1, APPEARANCE_SIZE)
    return msgspec.structs.replace(frame, appearances=appearances)


def meeting() -> list[list[Somebody]]:
    """Two walk towards each other, stop behind the same post, and each goes back to where he came from."""
    left = along([(150, 300), (290, 300), (300, 300)], [2.0, 0.4]) + along([(300, 300), (150, 300)], [2.0])
    right = [(600 - x, y) for x, y in left]
    hidden = range(48, 68)
    return [
        [] if number in hidden else [Somebody(0, a), Somebody(1, b)]
        for number, (a, b) in enumerate(zip(left, right, strict=True))
    ]


@pytest.mark.parametrize("engine", ["own", "norfair"])
def test_two_who_meet_and_turn_back_keep_their_ids(engine: str) -> None:
    shown = played(meeting(), engine)
    assert shown[40] == {0: 1, 1: 2}
    assert shown[-1] == {0: 1, 1: 2}


def test_without_looks_they_are_taken_for_each_other() -> None:
    shown = played(meeting(), appearance=False)
    assert shown[40] == {0: 1, 1: 2}
    assert shown[-1] != {0: 1, 1: 2}


def test_somebody_else_who_appears_where_one_was_lost_is_another_one() -> None:
    stands = [[Somebody(0, (300.0, 300.0))]] * 40
    comes = [[Somebody(1, (305.0, 300.0))]] * 40
    assert played([*stands, *[[]] * 40, *comes])[-1] == {1: 2}
    assert played([*stands, *[[]] * 40, *comes], appearance=False)[-1] == {1: 1}


def test_who_looks_the_same_is_joined_from_farther_away() -> None:
    stands = [[Somebody(0, (300.0, 300.0))]] * 40
    comes = [[Somebody(0, (420.0, 300.0))]] * 40
    assert played([*stands, *[[]] * 40, *comes])[-1] == {0: 1}
    assert played([*stands, *[[]] * 40, *comes], appearance=False)[-1] == {0: 2}


@given(st.integers(0, 200))
@settings(max_examples=15)
def test_both_engines_link_alike_by_looks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    places, speeds = rng.uniform((200, 160), (440, 280), (6, 2)), rng.normal(0, 2, (6, 2))
    frames = []
    for _ in range(25):
        places = places + speeds
        kept = [person for person in range(6) if rng.random() > 0.2]
        frames.append([Somebody(person, tuple(places[person].tolist())) for person in kept])
    assert played(frames, "own") == played(frames, "norfair")


def test_looks_that_are_not_known_change_nothing() -> None:
    frames = meeting()
    plain = StreamCounter("gate", StreamConfig(source="s"), TrackerConfig(), CLASSES)
    blank = StreamCounter("gate", StreamConfig(source="s"), TrackerConfig(), CLASSES)
    for number, people in enumerate(frames):
        frame = instances([Thing(one.foot) for one in people], number, number / FPS)
        zeros = msgspec.structs.replace(frame, appearances=np.zeros((len(people), APPEARANCE_SIZE), np.uint8))
        assert np.array_equal(plain.update(frame).tracks.ids, blank.update(zeros).tracks.ids)


def test_evidence_of_appearance_is_bounded_and_needs_observations() -> None:
    same, other = Appearance(look_of(0).astype(float), 10.0), Appearance(look_of(1).astype(float), 10.0)
    assert appearance_evidence(same, same) == STITCH_EVIDENCE_RANGE[1]
    assert appearance_evidence(same, other) == STITCH_EVIDENCE_RANGE[0]
    assert appearance_evidence(same, UNKNOWN) == 0.0
    assert -0.5 < appearance_evidence(same, Appearance(other.mean, 0.1)) < 0


def test_a_crowded_sighting_hardly_changes_a_look() -> None:
    apart = np.array([[0.0, 0, 20, 60]])
    behind = np.array([[0.0, 0, 20, 60], [10.0, 0, 30, 60]])
    appearances = TrackAppearances()
    appearances.add(1)
    for _ in range(20):
        appearances.observe(np.array([0]), DetectionAppearances(look_of(0)[None], apart))
    before = appearances.means.copy()
    appearances.observe(
        np.array([0]), DetectionAppearances(np.stack([look_of(1), look_of(2)]), behind).only([0])
    )
    assert np.abs(appearances.means - before).sum() < 0.02 * np.abs(before - look_of(1)).sum()
    cost = appearance_costs(DetectionAppearances(look_of(1)[None], apart), [0], appearances, [0])
    assert cost.tolist() == [LINK_COST_RANGE[1]]


def test_boxes_are_crowded_where_they_lie_in_others() -> None:
    boxes = np.array(
        [[0.0, 0, 10, 10], [8.5, 0, 18.5, 10], [100, 100, 104, 104], [90, 90, 190, 190], [300, 0, 301, 1]]
    )
    assert crowded(boxes).tolist() == [True, True, True, False, False]


@given(st.integers(0, 10_000), st.integers(0, 60))
def test_crowded_boxes_are_those_of_all_pairs(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 40, (count, 2)).astype(float)
    boxes = np.concatenate([corner, corner + rng.integers(0, 12, (count, 2))], axis=1)
    expected = [
        any(
            max(0.0, min(a[2], b[2]) - max(a[0], b[0])) * max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
            > MAX_UNCROWDED_OVERLAP * (a[2] - a[0]) * (a[3] - a[1])
            for place, b in enumerate(boxes.tolist())
            if place != own
        )
        for own, a in enumerate(boxes.tolist())
    ]
    assert crowded(boxes).tolist() == expected
