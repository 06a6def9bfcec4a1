"""The database of count events: its address, its connections, its tables, and those of earlier versions."""

from __future__ import annotations

import sqlite3
import time
from typing import Any

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
    inspect,
    select,
    table,
    text,
)
from sqlalchemy import column as named_column
from sqlalchemy.engine import URL, make_url
from sqlalchemy.event import listens_for
from sqlalchemy.exc import ArgumentError, NoSuchModuleError
from sqlalchemy.schema import CreateIndex, CreateTable

from pipeline.errors import ConfigError
from pipeline.records.event_views import VIEWS, create_views
from pipeline.redact import redact

_RETRY_S = 0.01
"""Pause before the mode of a journal is set again."""

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


def create_tables(connection: Connection) -> None:
    """Creates what is missing, and brings what an earlier version made up to this one: all of it, or nothing.

    Args:
        connection: In a transaction in which nothing has been done.
    """
    _take_turns(connection)
    connection.execute(CreateTable(EVENTS, if_not_exists=True))
    _allow_unknown_times(connection)
    _add_newer_columns(connection)
    for index in EVENTS.indexes:
        connection.execute(CreateIndex(index, if_not_exists=True))
    create_views(connection, connection.dialect.name)


def _add_newer_columns(connection: Connection) -> None:
    """Adds columns that a table made by an earlier version lacks. They are nullable, so old rows stay valid."""
    there = {column["name"] for column in inspect(connection).get_columns(EVENTS.name)}
    for column in EVENTS.columns:
        if column.name not in there and column.nullable:
            kind = column.type.compile(connection.dialect)
            connection.execute(text(f"ALTER TABLE {EVENTS.name} ADD COLUMN {column.name} {kind}"))


def _take_turns(connection: Connection) -> None:
    """Keeps others from changing tables until the transaction ends: what is there is read, and what is missing added.

    Python's driver for SQLite begins a transaction before the first row is written, not before a table is made.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text(f"SELECT pg_advisory_xact_lock({_CREATE_LOCK})"))
    else:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


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


def connect(url: URL, busy_timeout_s: float) -> Engine:
    """Prepares connections to a database; none is opened yet.

    Args:
        url: from `parse_url`.
        busy_timeout_s: how long SQLite waits for another process to finish writing.

    Raises:
        ImportError: the database's driver is not installed.
    """
    if url.get_backend_name() != "sqlite":
        return create_engine(url, pool_pre_ping=True)
    engine = create_engine(url, connect_args={"timeout": busy_timeout_s})

    @listens_for(engine, "connect")
    def _set_up(connection: Any, _record: object) -> None:
        cursor = connection.cursor()
        _write_ahead(cursor, busy_timeout_s)
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    return engine


def _write_ahead(cursor: sqlite3.Cursor, busy_timeout_s: float) -> None:
    """Sets the journal's mode, which is kept in the file.

    Where several processes find a new file, SQLite refuses all but one at once: to wait, as it does for writers,
    could be a deadlock there. So this waits.
    """
    give_up_s = time.monotonic() + busy_timeout_s
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_s:
                raise
            time.sleep(_RETRY_S)
