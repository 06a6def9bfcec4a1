"""The database as a sink: counting never waits for it, and in the end every event is there once."""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from pathlib import Path

import pytest

from pipeline.records import delivery
from pipeline.records.events import EventStore
from pipeline.sinks import spooled_events
from pipeline.sinks.database import Database
from pipeline.sinks.sink import SinkContext
from tests.records.crossings import crossing
from tests.running import wait_until


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "BUSY_TIMEOUT_S", 0.05)
    monkeypatch.setattr(delivery, "FIRST_DELAY_S", 0.02)
    monkeypatch.setattr(delivery, "MAX_DELAY_S", 0.05)
    monkeypatch.setattr(spooled_events, "DRAIN_S", 0.2)


def context(out: Path, index: int = 0, total: int = 1) -> SinkContext:
    return SinkContext("database", "", index, 0, out, "r1", ("person",), total)


def closed(sink: Database) -> None:
    sink.close()
    wait_until(sink.closed, what="the sink to close")


def rows(out: Path) -> list[int]:
    with EventStore(f"sqlite:///{out / 'events.db'}", "r1") as store:
        return [row["seq"] for row in store.rows()]


@contextlib.contextmanager
def locked(path: Path):  # type: ignore[no-untyped-def]
    EventStore(f"sqlite:///{path}", "other").close()
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


def test_events_are_there_once_when_the_sink_has_closed(tmp_path: Path) -> None:
    sink = Database("", context(tmp_path))
    sink.write_events([crossing(seq) for seq in range(30)])
    sink.write_events([crossing(seq) for seq in range(20, 40)])
    closed(sink)
    assert rows(tmp_path) == list(range(40))
    assert sink.state.backlog == 0


def test_a_locked_database_is_said_once_and_gets_its_events_later(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with locked(tmp_path / "events.db"):
        sink = Database("", context(tmp_path))
        sink.write_events([crossing(0)])
        wait_until(lambda: sink.state.error, what="the failure")
        for seq in range(1, 50):
            sink.write_events([crossing(seq)])
            assert "locked" in sink.state.error
        wait_until(lambda: sink.state.backlog == 50)
        assert sink.state.oldest_wall_s == crossing(0).wall_s
    wait_until(lambda: not sink.state.backlog and not sink.state.error)
    closed(sink)
    assert rows(tmp_path) == list(range(50))
    said = [one.message for one in caplog.records]
    assert sum("events wait on disk, counting goes on" in line for line in said) == 1
    assert sum("delivered again" in line for line in said) == 1


def test_what_is_not_delivered_at_the_end_is_said_and_delivered_by_the_next_run(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with locked(tmp_path / "events.db"):
        sink = Database("", context(tmp_path))
        sink.write_events([crossing(seq) for seq in range(5)])
        wait_until(lambda: sink.state.error)
        closed(sink)
    assert "5 events are not in the database yet" in caplog.text and "locked" in caplog.text
    closed(Database("", context(tmp_path)))
    assert rows(tmp_path) == list(range(5))


def test_a_lock_that_is_gone_when_the_run_ends_holds_nothing_back(tmp_path: Path) -> None:
    with locked(tmp_path / "events.db"):
        sink = Database("", context(tmp_path))
        sink.write_events([crossing(0)])
        wait_until(lambda: sink.state.error)
    closed(sink)
    assert rows(tmp_path) == [0]


def test_events_of_a_tracking_process_that_is_no_more_are_delivered_by_the_first_one(tmp_path: Path) -> None:
    with locked(tmp_path / "events.db"):
        third = Database("", context(tmp_path, index=2, total=3))
        third.write_events([crossing(7)])
        wait_until(lambda: third.state.error)
        closed(third)
    second = Database("", context(tmp_path, index=1, total=2))
    closed(second)
    assert rows(tmp_path) == []
    closed(Database("", context(tmp_path, index=0, total=2)))
    assert rows(tmp_path) == [7]
