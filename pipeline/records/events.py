"""Count events in a database (SQLite, or PostgreSQL by URL): each one exactly once, however often it is written.

Delivery is at least once: after a crash the same events are written again, under the same keys. Every change that an
event makes is idempotent (`event.Change`), so the rows end up the same. Several processes may write to one database.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    DateTime,
    Engine,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    create_engine,
    func,
    inspect,
    select,
    table,
    text,
)
from sqlalchemy import (
    column as named_column,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.event import listens_for
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError
from sqlalchemy.schema import CreateIndex, CreateTable

from pipeline.errors import ConfigError, OutputError
from pipeline.records.event import CountEvent
from pipeline.records.event_views import VIEWS, create_views
from pipeline.redact import redact

__all__ = ["EVENTS", "CountEvent", "EventStore"]

_T = TypeVar("_T")

BATCH = 500
"""Most rows in one statement."""

BUSY_TIMEOUT_S = 30.0
"""How long SQLite waits for another process to finish writing."""

_CREATE_LOCK = 0x7A11CA3
"""Advisory lock under which processes that start at once create the table in PostgreSQL. Any number will do."""

EVENTS = Table(
    "events",
    MetaData(),
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("run", String, nullable=False),
    Column("key", String, nullable=False),
    Column("time", DateTime(timezone=True), comment="UTC; null: of a recording, and not known"),
    Column("stream", String, nullable=False),
    Column("kind", String, nullable=False, comment="line, zone, unique, or the name of a rule"),
    Column("name", String, nullable=False, comment="name of the line or zone"),
    Column("class_name", String, nullable=False),
    Column("direction", String, nullable=False),
    Column("track", BigInteger, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("frame", BigInteger, nullable=False, comment="number of the frame in the source, from 0"),
    Column("pts_s", Float, nullable=False, comment="media time"),
    Column("score", Float, nullable=False),
    Column("x0", Float, nullable=False, comment="box in pixels of the decoded frame"),
    Column("y0", Float, nullable=False),
    Column("x1", Float, nullable=False),
    Column("y1", Float, nullable=False),
    Column("dwell_s", Float, comment="media time spent in the zone, for an exit"),
    Column("speed_kmh", Float, comment="on the ground, for a line crossing"),
    UniqueConstraint("run", "key", name="events_once"),
    Index("events_by_time", "stream", "time"),
)


class EventStore:
    """Writes count events of one run.

    Args:
        url: SQLAlchemy URL, `sqlite:///events.db` or `postgresql://user:password@host/name`.
        run: name of the run, part of every row: events of other runs are neither read nor changed.
        busy_timeout_s: how long SQLite waits for another process to finish writing.

    Raises:
        ConfigError: `url` is not a database URL, or needs a driver that is not installed.
        OutputError: the database cannot be opened or written. No message contains the password.
    """

    def __init__(self, url: str, run: str, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.run = run
        parsed = parse_url(url)
        self._shown = redact(url)
        self._insert: Any = sqlite.insert if parsed.get_backend_name() == "sqlite" else postgresql.insert
        try:
            self._engine = _engine(parsed, busy_timeout_s)
        except ImportError as error:
            hint = "; pip install 'psycopg[binary]'" if parsed.get_backend_name() == "postgresql" else ""
            raise ConfigError(f"output.events: {self._shown} needs the package {error.name}{hint}") from None
        try:
            with self._engine.begin() as connection:
                if parsed.get_backend_name() == "postgresql":
                    connection.execute(text(f"SELECT pg_advisory_xact_lock({_CREATE_LOCK})"))
                connection.execute(CreateTable(EVENTS, if_not_exists=True))
                _allow_unknown_times(connection)
                _add_newer_columns(connection)
                for index in EVENTS.indexes:
                    connection.execute(CreateIndex(index, if_not_exists=True))
                create_views(connection, parsed.get_backend_name())
        except SQLAlchemyError as error:
            self._engine.dispose()
            raise self._failure("cannot be opened", error) from None

    def write(self, events: Iterable[CountEvent]) -> None:
        """Applies events in order, in one transaction.

        Args:
            events: of one run; `event.Change` states the effect of each.

        Raises:
            OutputError: the database is unreachable, locked for too long, or the disk is full.
        """
        last = _last_changes(events)
        if not last:
            return
        new = [self._row(event) for event in last if event.change == "new"]
        corrected = [self._row(event) for event in last if event.change == "corrected"]
        withdrawn = [event.key for event in last if event.change == "withdrawn"]
        insert = self._insert(EVENTS)
        unless_there = insert.on_conflict_do_nothing(index_elements=["run", "key"])
        replacing = insert.on_conflict_do_update(
            index_elements=["run", "key"],
            set_={
                column.name: insert.excluded[column.name] for column in EVENTS.columns if column.name != "id"
            },
        )
        try:
            with self._engine.begin() as connection:
                for keys in _batches(withdrawn):
                    connection.execute(
                        EVENTS.delete().where(EVENTS.c.run == self.run, EVENTS.c.key.in_(keys))
                    )
                for statement, rows in ((unless_there, new), (replacing, corrected)):
                    for some in _batches(rows):
                        connection.execute(statement, some)
        except SQLAlchemyError as error:
            raise self._failure("cannot be written", error) from None

    def count(self, **equals: str | int) -> int:
        """Number of events of this run with the given values, e.g. `count(stream="gate", name="door")`.

        Args:
            **equals: column name -> value.

        Raises:
            OutputError: the database cannot be read.
        """
        query = select(func.count()).select_from(EVENTS).where(EVENTS.c.run == self.run)
        for column, value in equals.items():
            query = query.where(EVENTS.c[column] == value)
        try:
            with self._engine.connect() as connection:
                return int(connection.execute(query).scalar_one())
        except SQLAlchemyError as error:
            raise self._failure("cannot be read", error) from None

    def rows(self) -> list[dict[str, Any]]:
        """All events of this run ordered by time, as column name -> value; `time` is aware, in UTC, or None."""
        query = (
            select(EVENTS)
            .where(EVENTS.c.run == self.run)
            .order_by(EVENTS.c.time, EVENTS.c.pts_s, EVENTS.c.id)
        )
        try:
            with self._engine.connect() as connection:
                found = [dict(row) for row in connection.execute(query).mappings()]
        except SQLAlchemyError as error:
            raise self._failure("cannot be read", error) from None
        for row in found:
            row["time"] = row["time"] and _as_utc(row["time"])
        return found

    def close(self) -> None:
        """Closes all connections."""
        self._engine.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.close()

    def _row(self, event: CountEvent) -> dict[str, Any]:
        x0, y0, x1, y1 = (float(value) for value in event.box_px)
        return {
            "run": self.run,
            "key": event.key,
            "time": None if event.time_s is None else datetime.fromtimestamp(event.time_s, UTC),
            "stream": event.stream,
            "kind": event.kind,
            "name": event.name,
            "class_name": event.class_name,
            "direction": event.direction,
            "track": int(event.track),
            "epoch": event.epoch,
            "seq": event.seq,
            "frame": event.index,
            "pts_s": float(event.pts_s),
            "score": float(event.score),
            "x0": x0,
            "y0": y0,
            "x1": x1,
            "y1": y1,
            "dwell_s": None if event.dwell_s is None else float(event.dwell_s),
            "speed_kmh": None if event.speed_kmh is None else float(event.speed_kmh),
        }

    def _failure(self, what: str, error: SQLAlchemyError) -> OutputError:
        cause = getattr(error, "orig", None) or error
        reason = " ".join(str(cause).split())
        return OutputError(f"{self._shown}: events {what}: {redact(reason)}")


def _last_changes(events: Iterable[CountEvent]) -> list[CountEvent]:
    """Reduces a sequence of events to one change for each key, with the same outcome whatever the database holds."""
    last: dict[str, CountEvent] = {}
    for event in events:
        before = last.get(event.key)
        if event.change == "new" and before is not None:
            if before.change == "withdrawn":  # removed and added again: the row there before must not survive
                last[event.key] = replace(event, change="corrected")
        elif event.change != "internal":
            last[event.key] = event
    return list(last.values())


def _batches(items: Sequence[_T]) -> Iterator[Sequence[_T]]:
    """`items` in parts that fit into one statement."""
    for start in range(0, len(items), BATCH):
        yield items[start : start + BATCH]


def _add_newer_columns(connection: Connection) -> None:
    """Adds columns that a table made by an earlier version lacks. They are nullable, so old rows stay valid."""
    there = {column["name"] for column in inspect(connection).get_columns(EVENTS.name)}
    for column in EVENTS.columns:
        if column.name not in there and column.nullable:
            kind = column.type.compile(connection.dialect)
            connection.execute(text(f"ALTER TABLE {EVENTS.name} ADD COLUMN {column.name} {kind}"))


def _allow_unknown_times(connection: Connection) -> None:
    """Lets `time` be null in a table of an earlier version."""
    columns = inspect(connection).get_columns(EVENTS.name)
    if any(found["name"] == "time" and found["nullable"] for found in columns):
        return
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"ALTER TABLE {EVENTS.name} ALTER COLUMN time DROP NOT NULL"))
        return
    # SQLite cannot change a column: the table is made anew, in the same transaction
    names = [found["name"] for found in columns if found["name"] in EVENTS.columns]
    for name in reversed(VIEWS["sqlite"]):
        connection.execute(text(f"DROP VIEW IF EXISTS {name}"))
    connection.execute(text(f"ALTER TABLE {EVENTS.name} RENAME TO earlier_events"))
    connection.execute(text("DROP INDEX IF EXISTS events_by_time"))
    connection.execute(CreateTable(EVENTS))
    earlier = table("earlier_events", *(named_column(name) for name in names))
    connection.execute(EVENTS.insert().from_select(names, select(*earlier.columns)))
    connection.execute(text("DROP TABLE earlier_events"))


def parse_url(url: str) -> URL:
    """Parses `output.events`.

    Args:
        url: SQLAlchemy URL; `postgres://` and `postgresql://` stand for the psycopg driver.

    Raises:
        ConfigError: not a URL of SQLite or PostgreSQL.
    """
    try:
        parsed = make_url(url)
        backend = parsed.get_backend_name()
        if backend == "postgres" or parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
            backend = "postgresql"
    except (ArgumentError, NoSuchModuleError, ValueError):
        backend = ""
    if backend not in ("sqlite", "postgresql"):
        raise ConfigError(
            f"output.events: got {redact(url)!r}, expected postgresql://USER:PASSWORD@HOST/NAME or sqlite:///FILE"
        )
    return parsed


def _engine(url: URL, busy_timeout_s: float) -> Engine:
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": busy_timeout_s})

    @listens_for(engine, "connect")
    def _set_up(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    return engine


def _as_utc(time: datetime) -> datetime:
    """SQLite does not store the time zone; what was written is UTC."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
