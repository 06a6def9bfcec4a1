"""A sink of another package may fail, hang and be slow: it loses its own frames and events, and nothing else."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

import pytest

from pipeline.sinks.guard import CLOSE_S, FAILURES_MAX, STUCK_S, Guard
from tests.running import wait_until
from tests.sinks.counting import Counts


class Clock:
    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class Sink:
    """Fails where it is told to, and waits where it is told to."""

    def __init__(self, fails: Callable[[int], bool] = lambda number: False) -> None:
        self.fails = fails
        self.got: list[int] = []
        self.closed = False
        self.gate = threading.Event()
        self.gate.set()

    def take(self, number: int) -> None:
        self.gate.wait(60)
        if self.fails(number):
            raise ValueError(f"no {number}")
        self.got.append(number)

    def close(self) -> None:
        self.closed = True


def call(number: int) -> Callable[[Any], None]:
    return lambda sink: sink.take(number)


def guarded(sink: Sink, capacity: int = 100) -> tuple[Guard, Counts, Clock]:
    counts, clock = Counts(), Clock()
    return Guard("mine", lambda: sink, counts, clock, capacity), counts, clock


def test_calls_are_made_in_order_and_the_sink_is_closed_at_the_end() -> None:
    sink = Sink()
    guard, counts, _ = guarded(sink)
    for number in range(10):
        guard.offer(call(number))
    guard.close()
    wait_until(guard.closed)
    assert sink.got == list(range(10))
    assert sink.closed
    assert (counts.failures, counts.losses) == (0, 0)


def test_a_failed_call_is_counted_and_logged_once_in_a_row(caplog: pytest.LogCaptureFixture) -> None:
    sink = Sink(fails=lambda number: number in (1, 2, 5))
    guard, counts, _ = guarded(sink)
    for number in range(7):
        guard.offer(call(number))
    guard.close()
    wait_until(guard.closed)
    assert sink.got == [0, 3, 4, 6]
    assert counts.failures == 3
    assert [record.getMessage() for record in caplog.records] == ["sink mine failed", "sink mine failed"]
    assert "ValueError: no 1" in caplog.text and "ValueError: no 5" in caplog.text


def test_a_sink_that_fails_again_and_again_is_switched_off(caplog: pytest.LogCaptureFixture) -> None:
    sink = Sink(fails=lambda number: True)
    guard, counts, _ = guarded(sink)
    for number in range(FAILURES_MAX):
        guard.offer(call(number))
    wait_until(lambda: guard.off)
    guard.offer(call(99), 7)
    assert guard.has_room(), "nobody waits for it"
    assert counts.failures == FAILURES_MAX
    assert counts.losses == 7
    assert (
        caplog.records[-1].getMessage()
        == f"sink mine is switched off: it failed {FAILURES_MAX} times in a row"
    )
    assert caplog.records[-1].levelno == logging.ERROR
    guard.close()
    wait_until(guard.closed)
    assert sink.closed


def test_a_sink_that_cannot_be_opened_is_switched_off(caplog: pytest.LogCaptureFixture) -> None:
    counts = Counts()

    def make() -> Any:
        raise OSError("no route to host")

    guard = Guard("mine", make, counts)
    wait_until(lambda: guard.off)
    assert "no route to host" in caplog.text
    guard.close()
    wait_until(guard.closed)


def test_a_slow_sink_loses_what_it_has_no_room_for() -> None:
    sink = Sink()
    sink.gate.clear()
    guard, counts, _ = guarded(sink, capacity=4)
    guard.offer(call(0))
    wait_until(lambda: guard._called_s is not None and not guard._waiting)
    for number in range(1, 8):
        guard.offer(call(number))
    assert not guard.has_room()
    assert counts.losses == 3
    sink.gate.set()
    guard.close()
    wait_until(guard.closed)
    assert sink.got == [0, 1, 2, 3, 4]


def test_a_sink_that_hangs_is_switched_off_when_it_is_in_the_way(caplog: pytest.LogCaptureFixture) -> None:
    sink = Sink()
    sink.gate.clear()
    guard, counts, clock = guarded(sink, capacity=2)
    guard.offer(call(0))
    wait_until(lambda: guard._called_s is not None and not guard._waiting)
    guard.offer(call(1), 3)
    guard.offer(call(2), 4)
    clock.now_s = STUCK_S - 1
    assert not guard.has_room()
    clock.now_s = STUCK_S + 1
    assert guard.has_room()
    assert guard.off
    assert counts.losses == 7, "what waited"
    assert "it has not returned for 30 s" in caplog.text
    sink.gate.set()


def test_a_sink_that_does_not_finish_is_left_behind(caplog: pytest.LogCaptureFixture) -> None:
    sink = Sink()
    sink.gate.clear()
    guard, counts, clock = guarded(sink)
    for number in range(3):
        guard.offer(call(number))
    wait_until(lambda: guard._called_s is not None and len(guard._waiting) == 2)
    guard.close()
    assert not guard.closed()
    clock.now_s = CLOSE_S + 1
    assert guard.closed()
    assert counts.losses == 2
    assert "it did not finish within 5 s" in caplog.text
    sink.gate.set()
