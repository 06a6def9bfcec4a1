"""`DIR/events.db`, or another database: every count event, once, however long the database is away.

What is not delivered when a run ends is delivered by the next one in the same folder.
"""

from __future__ import annotations

from functools import partial

from pipeline.records.delivery import open_events
from pipeline.sinks.sink import SinkContext
from pipeline.sinks.spooled_events import SPOOLS, SpooledEvents


class Database(SpooledEvents):
    """Delivers events to a database.

    Args:
        settings: SQLAlchemy URL; empty for `events.db` in the folder of the run.
        context: Of the tracking process.

    Raises:
        OutputError: The spool cannot be written.
    """

    def __init__(self, settings: str, context: SinkContext) -> None:
        url = settings or f"sqlite:///{context.out / 'events.db'}"
        super().__init__(context.out / SPOOLS, context, lambda: partial(open_events, url), "in the database")
