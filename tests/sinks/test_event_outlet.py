"""Events for a sink of another package: each is given to it until it has taken it, whatever the sink does."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pipeline.records.event import CountEvent
from pipeline.sinks import event_outlet
from pipeline.sinks.event_outlet import EventOutlet
from pipeline.sinks.guard import STUCK_S
from pipeline.sinks.sink import EventRefusedError, SinkContext
from tests.records.crossings import crossing
from tests.running import wait_until
from tests.sinks.counting import Counts


class Sink:
    """Keeps what it gets; fails or waits where it is told to."""

    def __init__(self, refuse: Callable[[CountEvent], Exception | None] = lambda event: None) -> None:
        self.refuse = refuse
        self.got: list[int] = []
        self.closed = False
        self.gate = threading.Event()
        self.gate.set()

    def write_events(self, events: Sequence[CountEvent]) -> None:
        self.gate.wait(60)
        for event in events:
            if error := self.refuse(event):
                raise error
        self.got += [event.seq for event in events]

    def close(self) -> None:
        self.closed = True


def context(out: Path, run: str = "run") -> SinkContext:
    return SinkContext("far", "", 0, 0, out, run, ("person",))


def ended(outlet: EventOutlet) -> None:
    outlet.close()
    wait_until(outlet.closed)


def test_events_come_in_order_and_the_sink_is_closed(tmp_path: Path) -> None:
    sink, counts = Sink(), Counts()
    outlet = EventOutlet(lambda where: sink, context(tmp_path), counts)
    for seq in range(20):
        outlet.write_events([crossing(seq)])
    ended(outlet)
    assert sink.got == list(range(20))
    assert sink.closed
    assert (counts.failures, counts.losses) == (0, 0)


def test_what_failed_is_given_again_and_logged_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    up = threading.Event()
    sink, counts = Sink(lambda event: None if up.is_set() else ConnectionError("no route")), Counts()
    outlet = EventOutlet(lambda where: sink, context(tmp_path), counts)
    outlet.write_events([crossing(0), crossing(1)])
    wait_until(lambda: counts.failures >= 2, timeout_s=60)
    assert outlet.state.backlog == 2
    assert "ConnectionError: no route" in outlet.state.error
    up.set()
    ended(outlet)
    assert sink.got == [0, 1]
    assert len([one for one in caplog.records if one.getMessage() == "sink far failed"]) == 1


def test_what_is_left_at_the_end_is_given_to_the_sink_of_the_next_process_under_its_own_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    made = []

    def broken(where: SinkContext) -> Sink:
        raise OSError("no such server")

    first = EventOutlet(broken, context(tmp_path, "monday"), Counts())
    first.write_events([crossing(0), crossing(1)])
    ended(first)
    assert "2 events are not delivered to the sink far yet" in caplog.text

    def make(where: SinkContext) -> Sink:
        made.append((where.run, Sink()))
        return made[-1][1]

    second = EventOutlet(make, context(tmp_path, "tuesday"), Counts())
    second.write_events([crossing(7)])
    ended(second)
    assert [(run, sink.got, sink.closed) for run, sink in made] == [
        ("monday", [0, 1], True),
        ("tuesday", [7], True),
    ]


def test_an_event_that_the_sink_refuses_is_put_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    sink = Sink(lambda event: EventRefusedError("odd numbers only") if event.seq == 4 else None)
    counts = Counts()
    outlet = EventOutlet(lambda where: sink, context(tmp_path), counts)
    outlet.write_events([crossing(seq) for seq in range(9)])
    ended(outlet)
    assert sink.got == [0, 1, 2, 3, 5, 6, 7, 8]
    assert outlet.state.rejected == 1
    assert counts.failures == 0
    assert "odd numbers only" in caplog.text
    rejected = tmp_path / "events.spool" / "sink-far" / "0" / "rejected.jsonl"
    assert '"seq":4' in rejected.read_text()


def test_a_sink_that_does_not_return_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sink, now = Sink(), [0.0]
    sink.gate.clear()
    outlet = EventOutlet(lambda where: sink, context(tmp_path), Counts(), lambda: now[0])
    outlet.write_events([crossing(0)])
    wait_until(lambda: any(one._called_s is not None for one in outlet._outsides))
    now[0] = STUCK_S - 1
    assert outlet.state.backlog == 1
    assert "returned" not in caplog.text
    now[0] = STUCK_S + 1
    assert [outlet.state.backlog, outlet.state.backlog] == [1, 1]
    assert [one.levelno for one in caplog.records if "has not returned for 30 s" in one.getMessage()] == [
        logging.ERROR
    ]
    sink.gate.set()
    ended(outlet)
    assert sink.got == [0]


def test_events_are_lost_only_when_very_many_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(event_outlet, "MAX_BYTES", 2000)
    sink, counts = Sink(), Counts()
    sink.gate.clear()
    outlet = EventOutlet(lambda where: sink, context(tmp_path), counts)
    for seq in range(50):
        outlet.write_events([crossing(seq)])
    assert 0 < counts.losses < 50
    assert "further ones are lost" in caplog.text
    sink.gate.set()
    ended(outlet)
    assert sink.got == list(range(50 - counts.losses))
