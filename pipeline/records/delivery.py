"""Delivers count events from a spool to a database, across outages of any length.

Events arrive in their order. Delivery is at least once: after a crash, or after a failure in the middle, some are
written again, which `EventStore` makes harmless. What cannot be delivered waits in the files of the spool, so memory is
bounded by one batch. A file is deleted when the one after it is delivered as well: a power cut may cost a database its
last transactions, and a new process delivers again what is there.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import msgspec
from sqlalchemy.exc import DataError, IntegrityError

from pipeline.errors import TallycamError
from pipeline.records.delivery_state import DeliveryState
from pipeline.records.event import CountEvent
from pipeline.records.event_database import parse_url
from pipeline.records.events import EventStore
from pipeline.records.framing import RecordError
from pipeline.records.spool import SpoolFile, spool_files
from pipeline.redact import redact

BATCH = 500
"""Events written at once, in one transaction."""
FIRST_DELAY_S = 1.0
MAX_DELAY_S = 60.0
POLL_S = 0.25
"""Polling interval of a spool without new events."""
REFRESH_S = 1.0
"""How often the state is brought up to date while waiting for the next attempt."""

BUSY_TIMEOUT_S = 2.0
"""SQLite's busy timeout within one attempt: short, so that a lock is reported soon."""

_UNREACHABLE_S = 10
_POSTGRES_OPTIONS = {
    "connect_timeout": str(_UNREACHABLE_S),
    "keepalives_idle": str(_UNREACHABLE_S),
    "keepalives_interval": "3",
    "keepalives_count": "3",
    "tcp_user_timeout": str(1000 * 2 * _UNREACHABLE_S),
}
"""libpq parameters that detect an unresponsive server, also in the middle of a transaction."""


class Store(Protocol):
    """Destination of events. `EventStore` is one."""

    def write(self, events: Sequence[CountEvent]) -> None:
        """Applies events in order, all or none of them. Must be idempotent.

        Args:
            events: in the order of the spool.

        Raises:
            OutputError: they cannot be written.
        """

    def close(self) -> None:
        """Closes its connections."""


def is_refusal_of_database(error: Exception) -> bool:
    """Whether a database refuses the rows themselves, so that trying again is of no use.

    Args:
        error: of `EventStore.write`.
    """
    cause = error.__context__ if isinstance(error, TallycamError) else error
    return isinstance(cause, DataError | IntegrityError | OverflowError | ValueError)


class Delivery:
    """Delivers the events of one spool.

    Args:
        folder: of the spool, or one that is still to be made.
        open_store: opens the database for the events of the run with this identity; may fail with any error.
        on_notice: called with one line for each loss or rejection.
        is_refusal: whether an error of the store means that it will never take these events.
        jitter: gives numbers from 0 to 1, so that many installations do not come back at the same moment.
        clock: Unix time.

    Attributes:
        folder: of the spool.
    """

    def __init__(
        self,
        folder: Path,
        open_store: Callable[[str], Store],
        on_notice: Callable[[str], None] = lambda line: None,
        is_refusal: Callable[[Exception], bool] = is_refusal_of_database,
        jitter: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder, self._open_store, self._on_notice = folder, open_store, on_notice
        self._is_refusal, self._jitter, self._clock = is_refusal, jitter, clock
        self._number = 0
        self._file: SpoolFile | None = None
        self._store: Store | None = None
        self._store_run = ""
        self._pending: list[CountEvent] = []
        self._failures = 0
        self._complete: dict[int, tuple[int, float | None]] = {}
        self.state = DeliveryState()
        """Replaced as a whole after each step: other threads may read it at any time."""

    def run(self, stop: threading.Event, drain_s: float = 5.0) -> None:
        """Delivers until `stop` is set, then drains the spool.

        Args:
            stop: set by another thread.
            drain_s: longest time to go on after `stop`, seconds; draining also ends with the first failure after it.
        """
        while not stop.is_set():
            until_s = time.monotonic() + self.step()
            while not stop.is_set() and (left_s := until_s - time.monotonic()) > 0:
                stop.wait(min(left_s, REFRESH_S))
                with contextlib.suppress(RecordError, OSError):  # the next step fails too, and reports it
                    self._refresh()
        end_s = time.monotonic() + drain_s
        while True:  # at least one attempt, also where the last one failed
            self.step()
            if not self.state.backlog or self.state.error or time.monotonic() >= end_s:
                break
        self.close()

    def step(self) -> float:
        """Delivers one batch, and returns the seconds to wait before the next step."""
        try:
            delivered = self._deliver_batch()
            self._refresh()
        except Exception as error:  # a driver may raise anything; delivery must survive it
            self._failed(error)
            delay_s = min(MAX_DELAY_S, FIRST_DELAY_S * 2.0 ** min(self._failures - 1, 16))
            return delay_s * (0.5 + 0.5 * self._jitter())
        if delivered:
            self._failures = 0
            self._update(delivered=self.state.delivered + delivered, error="", failing_since_s=None)
        return 0.0 if delivered else POLL_S

    def close(self) -> None:
        """Closes the database and the file. Undelivered events stay in the spool."""
        self._close_store()
        if self._file is not None:
            self._file.close()
            self._file = None
        self._number, self._pending = 0, []

    def _deliver_batch(self) -> int:
        """How many events were delivered or refused."""
        if not self._pending:
            self._pending = self._read_batch()
        if not self._pending or self._file is None:
            return 0
        self._refresh()  # before the database holds this thread up
        if self._store is None or self._store_run != self._file.run:
            self._close_store()
            self._store, self._store_run = self._open_store(self._file.run), self._file.run
        self._write(self._store, self._pending)
        count = len(self._pending)
        self._pending = []
        return count

    def _write(self, store: Store, events: list[CountEvent]) -> None:
        """Writes events; leaves out those that the database refuses for what they hold."""
        try:
            store.write(events)
        except Exception as error:
            if not self._is_refusal(error):
                raise
            if len(events) == 1:
                self._reject(events[0], error)
                return
            middle = len(events) // 2
            self._write(store, events[:middle])
            self._write(store, events[middle:])

    def _reject(self, event: CountEvent, error: Exception) -> None:
        with (self.folder / "rejected.jsonl").open("ab") as file:
            file.write(msgspec.json.encode(event, enc_hook=str) + b"\n")
        self._update(rejected=self.state.rejected + 1)
        self._on_notice(f"event {event.key!r} is refused: {_line(error)}")

    def _read_batch(self) -> list[CountEvent]:
        events: list[CountEvent] = []
        while len(events) < BATCH:
            if self._file is None and not self._open_next():
                break
            assert self._file is not None
            is_complete = any(number > self._number for number, _ in spool_files(self.folder))
            batch = self._file.next()  # after the look for a later file: only then is None the end
            for line in self._file.damage:
                self._on_notice(line)
            self._file.damage.clear()
            if batch is not None:
                events += batch
            elif events or not is_complete or not self._open_next():
                break
        return events

    def _open_next(self) -> bool:
        """Goes on to the next file once all of this one is delivered, and deletes those before this one."""
        later = [(number, path) for number, path in spool_files(self.folder) if number > self._number]
        for number, path in later:
            try:
                file = SpoolFile(path)
            except RecordError as error:
                if (number, path) == later[-1]:
                    return False  # being begun just now
                self._on_notice(f"{error}; its events are lost")
                continue
            if self._file is not None:
                self._file.close()
            done, self._number, self._file = self._number, number, file
            for earlier, old in spool_files(self.folder):
                if (
                    earlier < done
                ):  # the one before is kept: a power cut may cost a database its last transactions
                    old.unlink(missing_ok=True)
            return True
        return False

    def _failed(self, error: Exception) -> None:
        self._close_store()
        self._failures += 1
        since_s = self.state.failing_since_s
        self._update(error=_line(error), failing_since_s=self._clock() if since_s is None else since_s)
        with contextlib.suppress(RecordError, OSError):
            self._refresh()

    def _close_store(self) -> None:
        if self._store is not None:
            with contextlib.suppress(Exception):
                self._store.close()
            self._store = None

    def _refresh(self) -> None:
        """Counts what is not delivered."""
        count, oldest_s = len(self._pending), self._pending[0].wall_s if self._pending else None
        files = [one for one in spool_files(self.folder) if one[0] >= max(1, self._number)]
        for number, path in files:
            here, first_s = self._backlog_of(number, path, is_last=number == files[-1][0])
            count += here
            oldest_s = first_s if oldest_s is None else oldest_s
        self._update(backlog=count, oldest_wall_s=oldest_s)

    def _backlog_of(self, number: int, path: Path, is_last: bool) -> tuple[int, float | None]:
        if number == self._number and self._file is not None:
            return self._file.backlog()
        if number in self._complete:
            return self._complete[number]
        try:
            with contextlib.closing(SpoolFile(path)) as file:
                found = file.backlog()
        except RecordError:
            return 0, None
        if not is_last:
            self._complete = {key: value for key, value in self._complete.items() if key > self._number}
            self._complete[number] = found
        return found

    def _update(self, **changes: object) -> None:
        fields = {name: getattr(self.state, name) for name in DeliveryState.__slots__}
        self.state = DeliveryState(**(fields | changes))


def open_events(url: str, run: str) -> EventStore:
    """Opens the database with timeouts against an unresponsive server.

    Args:
        url: see `EventStore`; libpq parameters given in it take precedence.
        run: see `EventStore`.

    Raises:
        ConfigError: not the URL of a supported database.
        OutputError: it cannot be opened at the moment.
    """
    parsed = parse_url(url)
    if parsed.get_backend_name() == "postgresql":
        missing = {name: value for name, value in _POSTGRES_OPTIONS.items() if name not in parsed.query}
        url = parsed.update_query_dict(missing).render_as_string(hide_password=False)
    return EventStore(url, run, BUSY_TIMEOUT_S)


def _line(error: Exception) -> str:
    text = " ".join(str(error).split())
    return redact(text if isinstance(error, TallycamError) else f"{type(error).__name__}: {text}")
