"""One event for each object that is counted, no more and no less, whatever turns out later."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.counting.counter import StreamCounter
from pipeline.records.event import CountEvent
from pipeline.tracking.objects import ObjectRegistry
from tests.counting.counting_scenes import FPS, Frame, Thing, counter, instances, play, walk
from tests.counting.test_counter import crowd


def rows(events: list[CountEvent]) -> dict[str, CountEvent]:
    """Key -> row of kind `unique` that the database holds after these events."""
    held: dict[str, CountEvent] = {}
    for event in events:
        if event.kind != "unique":
            continue
        if event.change == "withdrawn":
            held.pop(event.key, None)
        elif event.change == "corrected":
            held[event.key] = event
        else:
            held.setdefault(event.key, event)
    return held


def by_class(events: list[CountEvent]) -> dict[str, int]:
    return dict(Counter(event.class_name for event in rows(events).values()))


def counted(subject: StreamCounter) -> dict[str, int]:
    return {cls: count for cls, count in subject.totals().summary["unique"].items() if count}


def test_a_new_object_is_an_event_in_the_frame_that_confirms_it() -> None:
    (event,) = play(counter(), walk([(100, 300), (500, 300)], [4])).unique_events
    assert (event.class_name, event.name, event.direction, event.change) == ("person", "", "", "new")
    assert (event.track, event.seq) == (1, 7)  # 0.25 s at 25 frames a second
    assert event.key == "gate/0/7/unique//1/"
    assert event.box_px[3] == 300.0


def test_an_object_that_was_lost_and_found_again_at_once_has_one_event() -> None:
    frames = [[Thing((200, 300))]] * 40
    outcome = play(counter(), [*frames, *[[]] * 20, *frames])
    assert [event.change for event in outcome.unique_events] == ["new"]


def test_an_object_that_turns_out_late_to_be_another_one_loses_its_event(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ObjectRegistry, "_predecessors", lambda self, track: {})  # nothing is known at first
    stands, hidden, again = [[Thing((200, 300))]] * 40, [[]] * 20, [[Thing((270, 300))]] * 60
    outcome = play(counter(), [*stands, *hidden, *again, *[[]] * 260])
    assert [(event.track, event.change) for event in outcome.unique_events] == [
        (1, "new"),
        (2, "new"),
        (2, "withdrawn"),
    ]
    assert outcome.totals["unique"] == {"person": 1}


def test_an_object_that_was_taken_for_another_class_is_corrected() -> None:
    car, bus = Thing((300, 300), (80.0, 50.0), class_id=2), Thing((300, 300), (80.0, 50.0), class_id=3)
    outcome = play(counter(), [[car]] * 20 + [[bus]] * 40)
    assert [(event.class_name, event.change) for event in outcome.unique_events] == [
        ("car", "new"),
        ("bus", "corrected"),
    ]
    assert len(rows(outcome.unique_events)) == 1


def test_an_object_of_a_class_that_is_not_counted_has_no_event_until_it_is_one_that_is() -> None:
    car, bus = Thing((300, 300), (80.0, 50.0), class_id=2), Thing((300, 300), (80.0, 50.0), class_id=3)
    subject = counter(classes=("bus",))
    changes = [event.change for event in play(subject, [[car]] * 20 + [[bus]] * 40).unique_events]
    assert changes == ["new"]
    other = counter(classes=("car",))
    changes = [event.change for event in play(other, [[car]] * 20 + [[bus]] * 40).unique_events]
    assert changes == ["new", "withdrawn"]


def flipping(seed: int) -> list[Frame]:
    """A crowd that hides now and then, whose classes are confused, and that is gone for some seconds."""
    random = np.random.default_rng(seed)
    frames = crowd(seed, objects=5, seconds=4.0)
    gap = [[] for _ in range(int(random.integers(10, 120)))]
    return [
        [Thing(thing.foot, thing.size, int(random.choice([0, 0, 2])), thing.score) for thing in frame]
        for frame in [*frames[:50], *gap, *frames[50:], *[[]] * 250]
    ]


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), classes=st.sampled_from([None, ("person",), ("car",)]))
def test_at_every_moment_there_are_as_many_rows_as_objects_are_counted(
    seed: int, classes: tuple[str, ...] | None
) -> None:
    subject = counter(classes=classes)
    events: list[CountEvent] = []
    for seq, frame in enumerate(flipping(seed)):
        events += subject.update(instances(frame, seq, seq / FPS)).events
        if seq % 25 == 0:
            assert by_class(events) == counted(subject)
    events += subject.finish()
    assert by_class(events) == counted(subject)
    assert by_class([*events, *events]) == counted(subject)  # counted and written again after a crash


@pytest.mark.parametrize("seconds", [0.2, 4.0])
def test_the_table_says_by_how_many_a_count_may_be_off(seconds: float) -> None:
    subject = counter(classes=("person",))
    frames = walk([(100, 300), (110, 300)], [seconds])
    for seq, frame in enumerate([*frames, *[[]] * 20]):
        subject.update(instances(frame, seq, seq / FPS))
    totals = subject.totals()
    unique = "0 ± 1" if seconds < 1 else "1"
    assert totals.live["unique"] == f"person {unique}"
    assert ("unique objects", "person", unique) in totals.tables[0].rows


def parked_and_hidden() -> list[Frame]:
    """A car that stands, is hidden for 20 s, and is taken for a bus when it is seen again."""
    car, bus = Thing((300, 300), (80.0, 50.0), class_id=2), Thing((300, 300), (80.0, 50.0), class_id=3)
    return [[car]] * 200 + [[]] * 500 + [[bus]] * 400 + [[]] * 500 + [[bus]] * 100


@pytest.mark.parametrize("classes", [("car", "bus"), ("car",), ("bus",)])
def test_an_object_that_comes_back_after_its_end_keeps_its_event_and_may_still_be_corrected(
    classes: tuple[str, ...],
) -> None:
    subject = counter(classes=classes)
    events: list[CountEvent] = []
    for seq, frame in enumerate(parked_and_hidden()):
        events += subject.update(instances(frame, seq, seq / FPS)).events
        assert by_class(events) == counted(subject)
    events += subject.finish()
    assert by_class(events) == counted(subject)
