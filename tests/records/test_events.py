"""Count events in SQLite and PostgreSQL: exactly once, whoever writes and however often."""

from __future__ import annotations

import getpass
import os
import shutil
import socket
import sqlite3
import subprocess
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.exc import OperationalError

from pipeline.errors import ConfigError, OutputError
from pipeline.records.event import CountEvent
from pipeline.records.event_database import parse_url
from pipeline.records.event_views import VIEWS
from pipeline.records.events import BATCH, EventStore

names = st.sampled_from(["door", "road", "yard-2"])
events = st.builds(
    CountEvent,
    stream=st.sampled_from(["gate", "back"]),
    kind=st.sampled_from(["line", "zone", "unique"]),
    name=names,
    class_name=st.sampled_from(["person", "car"]),
    direction=st.sampled_from(["in", "out", ""]),
    track=st.integers(1, 4),
    epoch=st.integers(0, 1),
    seq=st.integers(0, 3),
    index=st.integers(0, 9),
    pts_s=st.floats(0, 1e6),
    wall_s=st.floats(0, 4e9),
    score=st.floats(0, 1),
    box_px=st.tuples(*[st.floats(0, 4000, width=32)] * 4),
)


def crossing(seq: int, stream: str = "gate", direction: str = "in") -> CountEvent:
    return CountEvent(
        stream,
        "line",
        "door",
        "person",
        direction,
        7,
        0,
        seq,
        seq,
        seq / 25,
        1.8e9 + seq / 25,
        0.9,
        (1, 2, 3, 4),
    )


@pytest.fixture(scope="session")
def postgres_url(need_program: Callable[[str, str], str]) -> Iterator[str]:
    """A real PostgreSQL server of the test's own on a free port; it is gone afterwards."""
    pg_ctl = need_program("pg_ctl", "postgresql")
    folder = (
        Path("/tmp") / f"tallycam-pg-{os.getpid()}"
    )  # a short path: the socket's name has 107 bytes at most
    folder.mkdir(mode=0o700)
    become: list[str] = []
    if getpass.getuser() == "root":  # the server refuses to run as root
        shutil.chown(folder, "postgres")
        become = ["runuser", "-u", "postgres", "--"]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    control = [*become, pg_ctl, "-D", str(folder / "data")]
    options = f"-p {port} -c listen_addresses=127.0.0.1 -k {folder} -c fsync=off"
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder, "env": environment}
    try:
        subprocess.run([*control, "init", "-s", "-o", "-A trust -U tally"], **quiet)
        subprocess.run([*control, "-w", "-o", options, "-l", str(folder / "server.log"), "start"], **quiet)
        yield f"postgresql://tally:hush@127.0.0.1:{port}/postgres"
        subprocess.run([*control, "-m", "immediate", "stop"], **quiet)
    finally:
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'events.db'}"
    value: str = request.getfixturevalue("postgres_url")
    return value


def test_what_is_measured_is_kept_and_a_table_of_an_earlier_version_gets_its_columns(url: str) -> None:
    with EventStore(url, run="old") as store:
        store.write([crossing(0)])
    engine = create_engine(parse_url(url))
    with engine.begin() as connection:
        for column in ("dwell_s", "speed_kmh"):
            connection.execute(text(f"ALTER TABLE events DROP COLUMN {column}"))
        make_times_required(connection)
    engine.dispose()
    with EventStore(url, run="new") as store:
        store.write([replace(crossing(0), speed_kmh=31.5), replace(crossing(1), kind="zone", dwell_s=4.0)])
        assert [(row["speed_kmh"], row["dwell_s"]) for row in store.rows()] == [(31.5, None), (None, 4.0)]
    with EventStore(url, run="old") as store:
        assert [(row["speed_kmh"], row["dwell_s"]) for row in store.rows()] == [(None, None)]
        store.write(
            [replace(crossing(5), clock="unknown"), replace(crossing(6), clock="recording", recorded_s=9e8)]
        )
        times = [row["time"] for row in store.rows()]
        assert sorted(filter(None, times)) == [datetime.fromtimestamp(time_s, UTC) for time_s in (9e8, 1.8e9)]
        assert times.count(None) == 1


def make_times_required(connection: Connection) -> None:
    """Puts the table back to what earlier versions made."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("ALTER TABLE events ALTER COLUMN time SET NOT NULL"))
        return
    statement = connection.execute(text("SELECT sql FROM sqlite_master WHERE name = 'events'")).scalar_one()
    for view in reversed(VIEWS["sqlite"]):
        connection.execute(text(f"DROP VIEW {view}"))
    connection.execute(text("ALTER TABLE events RENAME TO newer"))
    assert "time DATETIME" in statement
    connection.execute(text(statement.replace("time DATETIME", "time DATETIME NOT NULL")))
    connection.execute(text("INSERT INTO events SELECT * FROM newer"))
    connection.execute(text("DROP TABLE newer"))


def test_events_are_read_back_with_their_utc_time(url: str) -> None:
    with EventStore(url, run="read back") as store:
        store.write([crossing(25), crossing(0)])
        first, second = store.rows()
    assert first["time"] == datetime.fromtimestamp(1.8e9, UTC)
    assert second["time"] == datetime.fromtimestamp(1.8e9 + 1, UTC)
    del second["id"], second["time"]
    assert second == {
        "run": "read back",
        "key": "gate/0/25/line/door/7/in",
        "stream": "gate",
        "kind": "line",
        "name": "door",
        "class_name": "person",
        "direction": "in",
        "track": 7,
        "epoch": 0,
        "seq": 25,
        "frame": 25,
        "pts_s": 1.0,
        "score": 0.9,
        "x0": 1.0,
        "y0": 2.0,
        "x1": 3.0,
        "y1": 4.0,
        "dwell_s": None,
        "speed_kmh": None,
    }


def test_writing_again_after_a_crash_adds_nothing(url: str) -> None:
    many = [crossing(seq) for seq in range(2 * BATCH + 3)]
    with EventStore(url, run="again") as store:
        store.write(many[:700])
    with EventStore(url, run="again") as store:
        store.write(many)
        store.write(many[:5])
        assert store.count() == len(many)
    with EventStore(url, run="another run") as store:
        store.write(many[:5])
        assert store.count() == 5


def test_counts_by_columns(url: str) -> None:
    with EventStore(url, run="columns") as store:
        store.write([crossing(0), crossing(1, direction="out"), crossing(0, stream="back")])
        assert store.count(stream="gate") == 2
        assert store.count(stream="gate", direction="out") == 1
        assert store.count(stream="nowhere") == 0


def test_processes_that_start_and_write_at_once_take_turns(url: str) -> None:
    failures: list[Exception] = []

    def work(number: int) -> None:
        try:
            with EventStore(url, run="at once") as store:
                for seq in range(20):
                    store.write([crossing(seq), crossing(seq, stream=f"s{number}")])
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with EventStore(url, run="at once") as store:
        assert store.count() == 20 + 4 * 20


def test_processes_that_open_a_new_file_at_once_take_turns(tmp_path: Path) -> None:
    for attempt in range(10):
        url = f"sqlite:///{tmp_path / f'{attempt}.db'}"
        together = threading.Barrier(6)

        def work(url: str = url, together: threading.Barrier = together) -> None:
            together.wait(timeout=60)
            EventStore(url, run="at once").close()

        with ThreadPoolExecutor(6) as pool:
            for opened in [pool.submit(work) for _ in range(6)]:
                opened.result(timeout=60)


def test_a_table_of_an_earlier_version_stays_whole_when_its_change_breaks_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    with EventStore(url, run="old") as store:
        store.write([crossing(0)])
    engine = create_engine(url)
    with engine.begin() as connection:
        make_times_required(connection)

    def full(*_: object) -> None:
        raise OperationalError("CREATE VIEW", {}, Exception("disk is full"))

    with monkeypatch.context() as patched:
        patched.setattr("pipeline.records.event_database.create_views", full)
        with pytest.raises(OutputError, match="disk is full"):
            EventStore(url, run="new")
    with engine.begin() as connection:
        tables = inspect(connection).get_table_names()
        required = [
            found["name"] for found in inspect(connection).get_columns("events") if not found["nullable"]
        ]
    engine.dispose()
    assert tables == ["events"]
    assert "time" in required, "nothing of the change is left"
    with EventStore(url, run="old") as store:
        assert store.count() == 1


@settings(max_examples=40, deadline=None)
@given(batches=st.lists(st.lists(events, max_size=6), max_size=6))
def test_each_key_is_there_once_whatever_is_written_in_whatever_batches(
    batches: list[list[CountEvent]],
) -> None:
    with EventStore("sqlite://", run="r") as store:
        for batch in batches:
            store.write(batch)
        first = {}
        for batch in batches:
            for item in batch:
                first.setdefault(item.key, item)
        assert {row["key"]: row["score"] for row in store.rows()} == {k: e.score for k, e in first.items()}
        assert store.count() == len(first)


def test_sqlite_uses_a_write_ahead_log(tmp_path: Path) -> None:
    with EventStore(f"sqlite:///{tmp_path / 'events.db'}", run="r"):
        with sqlite3.connect(tmp_path / "events.db") as connection:
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        connection.close()


@pytest.mark.parametrize(
    "url", ["", "events.db", "mysql://a:hush@h/x", "nonsense://x", "postgresql://h:port/x"]
)
def test_what_is_not_a_database_url_is_refused_in_one_line(url: str) -> None:
    with pytest.raises(ConfigError, match="output.events: got .* expected postgresql://") as caught:
        EventStore(url, run="r")
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unreachable_server_is_one_line_without_the_password() -> None:
    with pytest.raises(OutputError) as caught:
        EventStore("postgresql://tally:hush@127.0.0.1:1/x", run="r")
    assert "postgresql://tally:***@127.0.0.1:1/x: events cannot be opened:" in str(caught.value)
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="events cannot be opened: unable to open database file"):
        EventStore(f"sqlite:///{tmp_path}/none/events.db", run="r")


def test_a_file_that_is_no_database_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "events.db").write_bytes(b"a text file, long enough to be looked at" * 10)
    with pytest.raises(OutputError, match="events cannot be opened: file is not a database"):
        EventStore(f"sqlite:///{tmp_path}/events.db", run="r")


def test_a_table_that_went_away_is_one_line(tmp_path: Path) -> None:
    with EventStore(f"sqlite:///{tmp_path}/events.db", run="r") as store:
        with sqlite3.connect(tmp_path / "events.db") as connection:
            connection.execute("DROP TABLE events")
        connection.close()
        with pytest.raises(OutputError, match="events cannot be written: no such table: events"):
            store.write([crossing(0)])
        with pytest.raises(OutputError, match="events cannot be read"):
            store.count()


def new_object(track: int, seq: int = 0, class_name: str = "person") -> CountEvent:
    return replace(crossing(seq), kind="unique", name="", direction="", track=track, class_name=class_name)


def test_an_object_that_turns_out_to_be_another_one_leaves_no_row(url: str) -> None:
    first, second = new_object(1), new_object(2, seq=50)
    story = [first, second, second.withdrawn()]
    with EventStore(url, run="withdrawn") as store:
        store.write(story[:2])
        assert store.count(kind="unique") == 2
        store.write(story[2:])
        store.write(story[2:])
        assert [row["track"] for row in store.rows()] == [1]
    with EventStore(url, run="withdrawn elsewhere") as store:
        store.write([second])
    with EventStore(url, run="withdrawn") as store:  # after a crash everything is counted and written again
        store.write(story)
        assert [row["track"] for row in store.rows()] == [1]
    with EventStore(url, run="withdrawn elsewhere") as store:
        assert store.count() == 1


def test_an_object_of_another_class_than_thought_replaces_its_row(url: str) -> None:
    seen = new_object(1, class_name="car")
    with EventStore(url, run="corrected") as store:
        store.write([seen])
        store.write([seen.corrected("truck")])
        assert [row["class_name"] for row in store.rows()] == ["truck"]
        store.write([seen, seen.corrected("truck")])
        assert [row["class_name"] for row in store.rows()] == ["truck"]
        store.write([new_object(2).corrected("bus")])
        assert store.count(class_name="bus") == 1


@settings(max_examples=60, deadline=None)
@given(
    story=st.lists(
        st.tuples(
            st.integers(1, 3),
            st.sampled_from(["car", "bus"]),
            st.sampled_from(["new", "corrected", "withdrawn"]),
        ),
        max_size=10,
    ),
    cuts=st.lists(st.integers(0, 10), max_size=3),
    again_from=st.integers(0, 10),
)
def test_a_story_told_again_from_any_point_in_any_batches_ends_with_the_same_rows(
    story: list[tuple[int, str, str]], cuts: list[int], again_from: int
) -> None:
    changes = [replace(new_object(track, class_name=cls), change=change) for track, cls, change in story]
    rows: dict[str, str] = {}
    for change in changes:
        if change.change == "withdrawn":
            rows.pop(change.key, None)
        elif change.change == "corrected" or change.key not in rows:
            rows[change.key] = change.class_name
    bounds = [0, *sorted(min(cut, len(changes)) for cut in cuts), len(changes)]
    with EventStore("sqlite://", run="r") as store:
        for start, end in pairwise(bounds):
            store.write(changes[start:end])
        assert {row["key"]: row["class_name"] for row in store.rows()} == rows
        store.write(changes[again_from:])
        assert {row["key"]: row["class_name"] for row in store.rows()} == rows


def test_the_hours_in_which_a_camera_could_not_see_are_listed(url: str) -> None:
    hour_s = 1.8e9 - 1.8e9 % 3600

    def fault(seq: int, direction: str, time_s: float) -> CountEvent:
        return replace(
            crossing(seq), kind="camera", name="frozen", class_name="", direction=direction, wall_s=time_s
        )

    run = f"faults {url[:8]}"
    with EventStore(url, run=run) as store:
        store.write(
            [
                replace(crossing(1), wall_s=hour_s + 60),
                fault(2, "began", hour_s + 3000), fault(3, "ended", hour_s + 2 * 3600 + 30),
                fault(4, "began", hour_s + 4 * 3600), replace(crossing(5), wall_s=hour_s + 4 * 3600 + 10),
            ]
        )  # fmt: skip
    engine = create_engine(parse_url(url))
    with engine.connect() as connection:
        faults = connection.execute(
            text("SELECT hour, seconds FROM camera_faults_by_hour WHERE run = :run ORDER BY hour"),
            {"run": run},
        )
        found = [(str(hour)[11:16], round(float(seconds))) for hour, seconds in faults]
        counted = connection.execute(
            text("SELECT sum(count) FROM counts_by_hour WHERE run = :run"), {"run": run}
        ).scalar_one()
    engine.dispose()
    first = datetime.fromtimestamp(hour_s, UTC).hour
    times = [f"{(first + later) % 24:02}:00" for later in (0, 1, 2, 4)]
    assert found == list(zip(times, (600, 3600, 30, 10), strict=True))
    assert counted == 2, "faults are no counts"


def test_a_view_of_an_earlier_version_is_replaced(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'events.db'}"
    EventStore(url, run="a").close()
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("DROP VIEW counts_by_hour"))
        connection.execute(text("CREATE VIEW counts_by_hour AS SELECT run FROM events"))
    with EventStore(url, run="a") as store:
        store.write([crossing(0)])
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count FROM counts_by_hour")).scalar_one() == 1
    engine.dispose()
