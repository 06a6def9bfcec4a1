"""`DIR/events.db`, or another database: every count event, once."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.records.event import CountEvent
from pipeline.records.events import EventStore
from pipeline.sinks.sink import SinkContext


class Database:
    """Writes events to a database.

    Args:
        settings: SQLAlchemy URL; empty for `events.db` in the folder of the run.
        context: Of the tracking process.

    Raises:
        ConfigError: The URL is not one, or its driver is not installed.
        OutputError: The database cannot be opened.
    """

    def __init__(self, settings: str, context: SinkContext) -> None:
        self._store = EventStore(settings or f"sqlite:///{context.out / 'events.db'}", context.run)

    def write_events(self, events: Sequence[CountEvent]) -> None:
        """Writes events; those that are there already stay as they are.

        Raises:
            OutputError: The database is gone, locked for too long, or the disk is full.
        """
        self._store.write(events)

    def close(self) -> None:
        """Closes the connection."""
        self._store.close()

    def closed(self) -> bool:
        """Always: nothing is buffered."""
        return True
