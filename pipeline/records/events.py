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

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import SQLAlchemyError

from pipeline.errors import ConfigError, OutputError
from pipeline.records.event import CountEvent
from pipeline.records.event_database import EVENTS, connect, create_tables, parse_url
from pipeline.redact import redact

_T = TypeVar("_T")

BATCH = 500
"""Most rows in one statement."""

BUSY_TIMEOUT_S = 30.0
"""How long SQLite waits for another process to finish writing."""


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
            self._engine = connect(parsed, busy_timeout_s)
        except ImportError as error:
            hint = "; pip install 'psycopg[binary]'" if parsed.get_backend_name() == "postgresql" else ""
            raise ConfigError(f"output.events: {self._shown} needs the package {error.name}{hint}") from None
        try:
            with self._engine.begin() as connection:
                create_tables(connection)
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


def _as_utc(time: datetime) -> datetime:
    """SQLite does not store the time zone; what was written is UTC."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
