"""Events on their way out: appended to a spool on the disk, and delivered from there by a thread.

Counting never waits for what events are delivered to, and a crash loses none: what was not delivered when a process
ended, in whatever way, is delivered by the next one in the same folder. Some events may come twice.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pipeline.records.delivery import Delivery, Store, is_refusal_of_database
from pipeline.records.delivery_state import DeliveryState
from pipeline.records.event import CountEvent
from pipeline.records.spool import EventSpool, spool_bytes, spool_files
from pipeline.sinks.sink import SinkContext

log = logging.getLogger(__name__)

SPOOLS = "events.spool"
"""Folder of the spools, in that of the run: one for each tracking process, which is its only writer."""
DRAIN_S = 5.0
CLOSE_S = 15.0
"""How long closing may take: draining, and an attempt to deliver that was under way."""


class SpooledEvents:
    """Writes events to a spool, and delivers them from threads of its own.

    Args:
        folder: With a spool for each tracking process; it is made.
        context: Of the tracking process.
        opener: Called once for each spool; gives the function that opens what the events of the run with this identity
            are delivered to. That one is called in the thread of the spool, and may fail with any error.
        where: What that is, for the log: `in the database`.
        max_bytes: Events are lost while so much waits on the disk; None: as much as there is room.
        on_lost: Called with the number of events lost.
        is_refusal: Whether an error of the store means that it will never take the event.

    Raises:
        OutputError: The spool cannot be written.
    """

    def __init__(
        self,
        folder: Path,
        context: SinkContext,
        opener: Callable[[], Callable[[str], Store]],
        where: str,
        *,
        max_bytes: int | None = None,
        on_lost: Callable[[int], None] = lambda number: None,
        is_refusal: Callable[[Exception], bool] = is_refusal_of_database,
    ) -> None:
        self._where, self._max_bytes, self._on_lost = where, max_bytes, on_lost
        self._own = folder / str(context.index)
        self._spool = EventSpool(self._own, context.run)
        self._full = False
        folders = [self._own]
        if context.index == 0:
            folders += _left_behind(folder, context.total)
        self._deliveries = [Delivery(one, opener(), log.warning, is_refusal) for one in folders]
        self._stop = threading.Event()
        self._closing_s: float | None = None
        self._reported = ""
        self._threads = [
            threading.Thread(target=one.run, args=(self._stop, DRAIN_S), name="event delivery", daemon=True)
            for one in self._deliveries
        ]
        for thread in self._threads:
            thread.start()

    def write_events(self, events: Sequence[CountEvent]) -> None:
        """Appends events to the spool; one `write` to a local file, without a lock.

        Args:
            events: In the order in which they were counted.
        """
        if not self._has_room():
            self._on_lost(sum(event.change != "internal" for event in events))
            return
        failed = self._spool.error
        self._spool.append(events)
        if self._spool.error and not failed:
            log.error("%s; they are kept in memory until there is room", self._spool.error)
        elif failed and not self._spool.error:
            log.info("events are written to disk again")

    def sync(self) -> None:
        """Waits until the spool is on the disk.

        Raises:
            OutputError: It cannot be written.
        """
        self._spool.sync()

    @property
    def state(self) -> DeliveryState:
        """Progress of delivery, over all spools; changes of it are logged here."""
        states = [one.state for one in self._deliveries]
        oldest = [state.oldest_wall_s for state in states if state.oldest_wall_s is not None]
        failing = [state.failing_since_s for state in states if state.failing_since_s is not None]
        total = DeliveryState(
            backlog=sum(state.backlog for state in states) + self._spool.waiting,
            oldest_wall_s=min(oldest, default=None),
            delivered=sum(state.delivered for state in states),
            rejected=sum(state.rejected for state in states),
            error=next((state.error for state in states if state.error), ""),
            failing_since_s=min(failing, default=None),
        )
        self._log_change(total)
        return total

    def close(self) -> None:
        """Lets the rest be delivered, as far as that is possible within a few seconds."""
        if self._closing_s is None:
            self._closing_s = time.monotonic()
            self._spool.close()
            self._stop.set()

    def closed(self) -> bool:
        """Whether everything is delivered, or cannot be at the moment."""
        if self._closing_s is None:
            return False
        late = time.monotonic() - self._closing_s > CLOSE_S
        if not late and any(thread.is_alive() for thread in self._threads):
            return False
        state = self.state
        if state.backlog:
            log.error(
                "%d events are not %s yet%s; they are kept in %s, and the next run in this folder delivers them",
                state.backlog,
                self._where,
                f": {state.error}" if state.error else "",
                self._own.parent,
            )
        return True

    def _has_room(self) -> bool:
        if self._max_bytes is None:
            return True
        waiting = spool_bytes(self._own)
        full = waiting > self._max_bytes
        if full and not self._full:
            log.error("%d MB of events wait in %s; further ones are lost", waiting >> 20, self._own)
        self._full = full
        return not full

    def _log_change(self, state: DeliveryState) -> None:
        if state.error and not self._reported:
            log.error("%s; events wait on disk, counting goes on", state.error)
        elif self._reported and not state.error:
            log.info("events are delivered again")
        self._reported = state.error


def _left_behind(folder: Path, total: int) -> list[Path]:
    """Spools of tracking processes that an earlier configuration had, and this one has not."""
    return [
        one
        for one in sorted(folder.glob("*"))
        if one.name.isdecimal() and int(one.name) >= total and spool_files(one)
    ]
