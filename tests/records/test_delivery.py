"""Events from the tracking process to the database: all of them, once and in order, whatever fails on the way."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.errors import OutputError
from pipeline.records import delivery as module
from pipeline.records import spool as spool_module
from pipeline.records.delivery import BATCH, Delivery, open_events
from pipeline.records.event import CountEvent
from pipeline.records.events import EventStore
from pipeline.records.spool import EventSpool, SpoolFile, spool_bytes, spool_files
from tests.records.crossings import NOW_S, crossing
from tests.records.postgres import PASSWORD, PostgresServer
from tests.running import wait_until

ROOT = Path(__file__).parents[2]


class Database:
    """A database in memory that may be down."""

    def __init__(self) -> None:
        self.rows: list[CountEvent] = []
        self.opened: list[str] = []
        self.error: Exception | None = None

    def open(self, run: str) -> Database:
        self.opened.append(run)
        if self.error is not None:
            raise self.error
        return self

    def write(self, events: Sequence[CountEvent]) -> None:
        if self.error is not None:
            raise self.error
        self.rows += events

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def spool(folder: Path) -> Iterator[EventSpool]:
    made = EventSpool(folder, "r1")
    yield made
    made.close()


Make = Callable[..., Delivery]


@pytest.fixture
def make(folder: Path) -> Iterator[Make]:
    """Makes deliveries of the spool, and closes them."""
    with contextlib.ExitStack() as stack:

        def one(*arguments: Any, **options: Any) -> Delivery:
            return stack.enter_context(contextlib.closing(Delivery(folder, *arguments, **options)))

        yield one


def deliver(delivery: Delivery) -> None:
    """All that is in the spool."""
    while delivery.step() == 0:
        pass
    assert not delivery.state.error


def rows(url: str, run: str = "r1") -> list[int]:
    """Frame numbers in the order in which rows were written."""
    with EventStore(url, run) as store:
        found = sorted(store.rows(), key=lambda row: row["id"])
    return [row["seq"] for row in found]


def test_events_arrive_in_order_as_they_were(make: Make, folder: Path, spool: EventSpool) -> None:
    events = [crossing(seq) for seq in range(1200)]
    for event in events[:700]:
        spool.append([event])
    spool.append(events[700:])
    database = Database()
    delivery = make(database.open)
    deliver(delivery)
    assert database.rows == events
    assert database.opened == ["r1"]
    spool.append([crossing(1200)])
    deliver(delivery)
    assert [event.seq for event in database.rows] == list(range(1201))
    assert (delivery.state.delivered, delivery.state.backlog) == (1201, 0)


def test_numbers_of_numpy_are_taken(make: Make, folder: Path, spool: EventSpool) -> None:
    spool.append([replace(crossing(0), score=np.float32(0.5), box_px=tuple(np.arange(4, dtype=np.float32)))])
    database = Database()
    deliver(make(database.open))
    assert (database.rows[0].score, database.rows[0].box_px) == (0.5, (0, 1, 2, 3))


def test_events_for_other_rules_only_are_left_out(make: Make, folder: Path, spool: EventSpool) -> None:
    spool.append([crossing(0), replace(crossing(1), change="internal"), crossing(2).withdrawn()])
    database = Database()
    deliver(make(database.open))
    assert [(event.seq, event.change) for event in database.rows] == [(0, "new"), (2, "withdrawn")]


def test_delivery_may_begin_before_there_is_a_spool(make: Make, folder: Path) -> None:
    database = Database()
    delivery = make(database.open)
    deliver(delivery)
    spool = EventSpool(folder, "r1")
    spool.append([crossing(0)])
    deliver(delivery)
    spool.close()
    assert [event.seq for event in database.rows] == [0]


def test_files_that_are_delivered_are_deleted_except_the_last_ones(
    make: Make, folder: Path, spool: EventSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "FILE_BYTES", 2000)
    for seq in range(100):
        spool.append([crossing(seq)])
    assert len(spool_files(folder)) > 5
    database = Database()
    deliver(make(database.open))
    assert [event.seq for event in database.rows] == list(range(100))
    assert len(spool_files(folder)) == 2


def test_a_new_process_delivers_again_what_may_be_lost_and_nothing_twice_in_the_table(
    make: Make, folder: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    for start in (0, 10, 20):
        with contextlib.closing(EventSpool(folder, "r1")) as spool:
            spool.append([crossing(seq) for seq in range(start, start + 10)])
        deliver(make(lambda run: open_events(url, run)))
    assert rows(url) == list(range(30))


def test_a_run_that_was_not_delivered_keeps_its_name(make: Make, folder: Path) -> None:
    for run in ("monday", "tuesday"):
        with contextlib.closing(EventSpool(folder, run)) as spool:
            spool.append([crossing(0)])
    database = Database()
    deliver(make(database.open))
    assert database.opened == ["monday", "tuesday"]


def test_a_database_that_is_down_is_tried_again_ever_more_rarely(
    make: Make, folder: Path, spool: EventSpool
) -> None:
    spool.append([crossing(seq) for seq in range(3)])
    database = Database()
    database.error = OutputError("postgresql://tally:***@db/x: events cannot be opened: refused")
    delivery = make(database.open, jitter=lambda: 1.0, clock=lambda: NOW_S)
    assert [delivery.step() for _ in range(9)] == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert make(database.open, jitter=lambda: 0.0).step() == 0.5
    state = delivery.state
    assert (state.backlog, state.oldest_wall_s, state.delivered) == (3, NOW_S, 0)
    assert state.error == "postgresql://tally:***@db/x: events cannot be opened: refused"
    assert state.failing_since_s == NOW_S
    database.error = None
    deliver(delivery)
    assert [event.seq for event in database.rows] == [0, 1, 2]
    assert (delivery.state.backlog, delivery.state.oldest_wall_s, delivery.state.error) == (0, None, "")
    database.error = RuntimeError("a driver's bug at\nrtsp://a:hush@h/1")
    spool.append([crossing(3)])
    assert delivery.step() == 1
    assert delivery.state.error == "RuntimeError: a driver's bug at rtsp://a:***@h/1"


def test_the_backlog_counts_all_files(
    make: Make, folder: Path, spool: EventSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(spool_module, "FILE_BYTES", 2000)
    database = Database()
    delivery = make(database.open)
    spool.append([crossing(0)])
    deliver(delivery)
    database.error = OutputError("down")
    for seq in range(1, 1200):
        spool.append([crossing(seq)])
        if seq % 300 == 0:
            delivery.step()
            assert delivery.state.backlog == seq
            assert delivery.state.oldest_wall_s == crossing(1).wall_s
    database.error = None
    deliver(delivery)
    assert [event.seq for event in database.rows] == list(range(1200))
    assert delivery.state.backlog == 0


def test_what_the_database_refuses_does_not_hold_up_the_rest(
    make: Make, folder: Path, spool: EventSpool, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    events = [crossing(seq) for seq in range(100)]
    events[31] = replace(events[31], track=2**63)
    events[64] = replace(events[64], wall_s=1e300)
    spool.append(events)
    told: list[str] = []
    delivery = make(lambda run: open_events(url, run), told.append)
    deliver(delivery)
    assert rows(url) == [seq for seq in range(100) if seq not in (31, 64)]
    assert delivery.state.rejected == 2
    assert len(told) == 2
    assert "is refused: " in told[0]
    assert len((folder / "rejected.jsonl").read_text().splitlines()) == 2


def test_damage_in_the_spool_costs_what_it_hit(make: Make, folder: Path) -> None:
    with contextlib.closing(EventSpool(folder, "r1")) as spool:
        for seq in range(10):
            spool.append([crossing(seq)])
    (_, path), *_ = spool_files(folder)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    (folder / "00000002.events").write_bytes(b"no spool")
    with contextlib.closing(EventSpool(folder, "r1")) as spool:
        spool.append([crossing(10)])
    database, told = Database(), []
    deliver(make(database.open, told.append))
    assert len(database.rows) == 10
    assert [event.seq for event in database.rows] == sorted({event.seq for event in database.rows})
    assert database.rows[-1].seq == 10
    assert len(told) == 2
    assert "damaged after byte" in told[0]
    assert "is not an event spool" in told[1]


def test_a_torn_batch_at_the_end_of_a_killed_writer_is_passed_over(make: Make, folder: Path) -> None:
    with contextlib.closing(EventSpool(folder, "r1")) as spool:
        spool.append([crossing(0)])
        spool.append([crossing(1)])
    (_, path), *_ = spool_files(folder)
    path.write_bytes(path.read_bytes()[:-5])
    database = Database()
    delivery = make(database.open)
    deliver(delivery)
    with contextlib.closing(EventSpool(folder, "r1")) as spool:
        spool.append([crossing(1)])
    deliver(delivery)
    assert [event.seq for event in database.rows] == [0, 1]


def test_one_writer_a_spool(folder: Path, spool: EventSpool) -> None:
    with pytest.raises(OutputError, match="another process is writing this event spool"):
        EventSpool(folder, "r1")


def test_a_full_disk_keeps_events_in_memory_in_bounds_and_in_order(
    make: Make, folder: Path, spool: EventSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.write

    def full(fd: int, data: memoryview) -> int:
        if len(data) > 40:
            return real(fd, data[:40])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(spool_module, "MAX_WAITING", 30)
    spool.append([crossing(0)])
    monkeypatch.setattr(os, "write", full)
    for seq in range(1, 41):
        spool.append([crossing(seq)])
    assert (spool.waiting, spool.lost) == (30, 10)
    assert spool.error.endswith("events cannot be written: No space left on device")
    monkeypatch.undo()
    spool.append([crossing(41)])
    assert (spool.waiting, spool.error) == (0, "")
    database = Database()
    deliver(make(database.open))
    assert [event.seq for event in database.rows] == [*range(31), 41]
    assert spool.lost == 10


def test_a_full_disk_at_the_first_event_leaves_no_half_file(
    make: Make, folder: Path, spool: EventSpool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(fd: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    spool.append([crossing(0)])
    assert spool_files(folder) == []
    monkeypatch.undo()
    spool.append([])
    database = Database()
    deliver(make(database.open))
    assert [event.seq for event in database.rows] == [0]


def test_a_limit_on_file_size_is_survived(make: Make, folder: Path) -> None:
    code = (
        "import resource, signal, sys\n"
        f"sys.path[:0] = [{str(ROOT)!r}]\n"
        "from pathlib import Path\n"
        "from pipeline.records.spool import EventSpool\n"
        "from tests.records.crossings import crossing\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 1 << 30))\n"
        f"spool = EventSpool(Path({str(folder)!r}), 'r1')\n"
        "for seq in range(50): spool.append([crossing(seq)])\n"
        "print(spool.waiting > 30, spool.error)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))\n"
        "spool.append([crossing(50)])\n"
        "print(spool.waiting, spool.error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.splitlines() == [f"True {folder}: events cannot be written: File too large", "0 "], (
        done.stderr
    )
    database = Database()
    deliver(make(database.open))
    assert [event.seq for event in database.rows] == list(range(51))


def test_a_full_disk_under_the_database_is_survived(
    make: Make, folder: Path, spool: EventSpool, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    for seq in range(2000):
        spool.append([crossing(seq)])
    code = (
        "import resource, signal, sys\n"
        f"sys.path[:0] = [{str(ROOT)!r}]\n"
        "from pathlib import Path\n"
        "from pipeline.records.delivery import Delivery, open_events\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 1 << 30))\n"
        f"delivery = Delivery(Path({str(folder)!r}), lambda run: open_events({url!r}, run))\n"
        "while not delivery.state.error: delivery.step()\n"
        "print(delivery.state.rejected, delivery.state.backlog > 500, delivery.state.error)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 30, 1 << 30))\n"
        "while delivery.state.backlog: delivery.step()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0 True sqlite:///")
    assert "events cannot be written: d" in done.stdout  # "disk I/O error", or "database or disk is full"
    assert rows(url) == list(range(2000))


def test_nothing_holds_up_appending_while_the_database_is_locked(
    make: Make, folder: Path, spool: EventSpool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BUSY_TIMEOUT_S", 0.05)
    monkeypatch.setattr(module, "FIRST_DELAY_S", 0.02)
    path = tmp_path / "events.db"
    url = f"sqlite:///{path}"
    EventStore(url, "r1").close()
    stop = threading.Event()
    delivery = make(lambda run: open_events(url, run))
    thread = threading.Thread(target=delivery.run, args=(stop,))
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("PRAGMA locking_mode=EXCLUSIVE")
        other.execute("BEGIN EXCLUSIVE")
        other.execute("INSERT INTO events SELECT * FROM events")
        spool.append([crossing(0)])
        thread.start()
        wait_until(lambda: "locked" in delivery.state.error)
        waits: list[float] = []
        for seq in range(1, 2000):
            start_s = time.perf_counter()
            spool.append([crossing(seq)])
            waits.append(time.perf_counter() - start_s)
        wait_until(lambda: delivery.state.backlog == 2000)
        assert "locked" in delivery.state.error
        other.execute("ROLLBACK")
    wait_until(lambda: not delivery.state.backlog)
    stop.set()
    thread.join()
    assert rows(url) == list(range(2000))
    assert np.median(waits) < 0.01


def test_the_rest_is_delivered_when_it_stops(make: Make, folder: Path, spool: EventSpool) -> None:
    database, stop = Database(), threading.Event()
    stop.set()
    spool.append([crossing(seq) for seq in range(3)])
    delivery = make(database.open)
    delivery.step()
    spool.append([crossing(seq) for seq in range(3, 2 * BATCH)])
    delivery._refresh()
    delivery.run(stop)
    assert [event.seq for event in database.rows] == list(range(2 * BATCH))


def test_a_file_that_is_delivered_while_the_size_of_a_spool_is_taken_counts_nothing(
    spool: EventSpool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool.append([crossing(0)])
    (_, written), gone = *spool_files(folder), (2, folder / "00000002.events")
    monkeypatch.setattr(spool_module, "spool_files", lambda _: [(1, written), gone])
    assert spool_bytes(folder) == written.stat().st_size > 0


def test_kill_9_in_the_middle_of_delivery_leaves_each_row_once_and_in_order(
    folder: Path, tmp_path: Path
) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    total = 1200
    with contextlib.closing(EventSpool(folder, "r1")) as spool:
        for start in range(0, total, 10):
            spool.append([crossing(seq) for seq in range(start, start + 10)])
    code = (
        "import sys\n"
        f"sys.path[:0] = [{str(ROOT)!r}]\n"
        "from pathlib import Path\n"
        "from pipeline.records import delivery\n"
        "delivery.BATCH = 20\n"
        f"one = delivery.Delivery(Path({str(folder)!r}), lambda run: delivery.open_events({url!r}, run))\n"
        "while one.step() == 0: print(one.state.delivered, flush=True)\n"
        "print('done', flush=True)\n"
    )
    for kill_at in (100, 500, 0):
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if kill_at and line != "done\n" and int(line) >= kill_at:
                    process.send_signal(signal.SIGKILL)
                    break
    assert rows(url) == list(range(total))


@pytest.fixture(scope="module")
def server(need_program: Callable[[str, str], str]) -> Iterator[PostgresServer]:
    made = PostgresServer(need_program("pg_ctl", "postgresql"))
    try:
        made.start()
        yield made
    finally:
        made.remove()


def test_a_postgresql_server_that_is_killed_and_started_again_misses_nothing(
    make: Make, folder: Path, spool: EventSpool, server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY_S", 0.05)
    stop = threading.Event()
    delivery = make(lambda run: open_events(server.url(), run))
    thread = threading.Thread(target=delivery.run, args=(stop,))
    thread.start()
    sent = 0

    def send(count: int) -> None:
        nonlocal sent
        for _ in range(count):
            spool.append([crossing(sent)])
            sent += 1

    send(100)
    wait_until(lambda: delivery.state.delivered > 0)
    send(1000)
    server.kill()
    send(500)
    wait_until(lambda: bool(delivery.state.error))
    send(500)
    wait_until(lambda: delivery.state.backlog >= 1000)
    assert PASSWORD not in delivery.state.error and "hush" not in delivery.state.error
    assert "\n" not in delivery.state.error
    server.start()
    send(100)
    wait_until(lambda: not delivery.state.backlog and not delivery.state.error)
    stop.set()
    thread.join()
    assert rows(server.url()) == list(range(sent))


def test_a_wrong_password_is_told_without_it_and_a_right_one_goes_on(
    make: Make, folder: Path, spool: EventSpool, server: PostgresServer
) -> None:
    spool.append([crossing(seq) for seq in range(10)])
    password = ["wr'on g"]
    delivery = make(lambda run: open_events(server.url(password[0]), f"{run} password"))
    assert delivery.step() > 0
    assert "password authentication failed" in delivery.state.error
    assert "wr'on" not in delivery.state.error
    password[0] = PASSWORD
    deliver(delivery)
    assert rows(server.url(), "r1 password") == list(range(10))


def test_postgresql_refuses_one_event_and_takes_the_others(
    make: Make, folder: Path, spool: EventSpool, server: PostgresServer
) -> None:
    spool.append(
        [replace(crossing(seq), class_name="per\0son" if seq == 5 else "person") for seq in range(10)]
    )
    delivery = make(lambda run: open_events(server.url(), f"{run} refused"))
    deliver(delivery)
    assert rows(server.url(), "r1 refused") == [0, 1, 2, 3, 4, 6, 7, 8, 9]
    assert delivery.state.rejected == 1


def test_an_unfinished_file_of_a_killed_writer_can_be_read(folder: Path, spool: EventSpool) -> None:
    spool.append([crossing(0)])
    (_, path), *_ = spool_files(folder)
    with contextlib.closing(SpoolFile(path)) as file:
        assert [event.seq for event in file.next() or []] == [0]
        assert file.next() is None
        spool.append([crossing(1)])
        assert file.backlog() == (1, crossing(1).wall_s)
        assert [event.seq for event in file.next() or []] == [1]
