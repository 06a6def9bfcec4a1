"""Events for a sink of another package, from a spool: none is lost by a crash, or while the sink fails."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from pipeline.errors import OutputError
from pipeline.records.delivery_state import DeliveryState
from pipeline.records.event import CountEvent
from pipeline.sinks.guard import STUCK_S, SinkCounts
from pipeline.sinks.sink import EventRefusedError, SinkContext
from pipeline.sinks.spooled_events import SPOOLS, SpooledEvents

log = logging.getLogger(__name__)

MAX_BYTES = 64 << 20
"""Of events that wait for a sink: about 200,000."""


class EventOutlet(SpooledEvents):
    """Delivers events to a sink of another package, again and again until it has taken them.

    The sink lives in the thread of the delivery. It is made there, and again where that failed.

    Args:
        make: Makes the sink.
        context: Of the tracking process, with the sink's name.
        counts: Counts failures of the sink, and events that are lost.
        clock: Monotonic seconds.

    Raises:
        OutputError: The spool cannot be written.
    """

    def __init__(
        self,
        make: Callable[[SinkContext], Any],
        context: SinkContext,
        counts: SinkCounts,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._outsides: list[_Outside] = []
        """One for each spool."""
        self._is_stuck = False

        def opener() -> Callable[[str], _Outside]:
            self._outsides.append(_Outside(make, context, counts, clock))
            return self._outsides[-1].serve

        super().__init__(
            context.out / SPOOLS / f"sink-{context.name}",
            context,
            opener,
            f"delivered to the sink {context.name}",
            max_bytes=MAX_BYTES,
            on_lost=counts.lost,
            is_refusal=lambda error: isinstance(error.__cause__, EventRefusedError),
        )

    @property
    def state(self) -> DeliveryState:
        """See `SpooledEvents.state`; a sink that does not return is logged here."""
        stuck = any(one.is_stuck() for one in self._outsides)
        if stuck and not self._is_stuck:
            log.error("a sink has not returned for %.0f s; events wait on disk, counting goes on", STUCK_S)
        self._is_stuck = stuck
        return super().state

    def closed(self) -> bool:
        """See `SpooledEvents.closed`; the sink is closed then, if it is not in the middle of a call."""
        if not super().closed():
            return False
        for one in self._outsides:
            one.finish()
        return True


class _Outside:
    """A sink of another package as a `delivery.Store`. It lasts over the failures of its calls."""

    def __init__(
        self,
        make: Callable[[SinkContext], Any],
        context: SinkContext,
        counts: SinkCounts,
        clock: Callable[[], float],
    ) -> None:
        self._make, self._context = make, context
        self._counts, self._clock = counts, clock
        self._name = context.name
        self._sink: Any = None
        self._failing = False
        self._called_s: float | None = None

    def serve(self, run: str) -> _Outside:
        """Makes this the sink for the events of a run.

        Args:
            run: Identity of the run.
        """
        if run != self._context.run:
            self.finish()
            self._context = replace(self._context, run=run)
        return self

    def write(self, events: Sequence[CountEvent]) -> None:
        self._called_s = self._clock()
        try:
            if self._sink is None:
                self._sink = self._make(self._context)
            self._sink.write_events(list(events))
            self._failing = False
        except Exception as error:
            if not isinstance(error, EventRefusedError):
                self._counts.failed()
                if not self._failing:  # what follows is most likely the same
                    log.exception("sink %s failed", self._name)
                self._failing = True
            raise OutputError(f"sink {self._name}: {type(error).__name__}: {error}") from error
        finally:
            self._called_s = None

    def close(self) -> None:
        """The sink stays as it is for the next attempt."""

    def is_stuck(self) -> bool:
        called_s = self._called_s
        return called_s is not None and self._clock() - called_s > STUCK_S

    def finish(self) -> None:
        """Closes the sink, unless it is in the middle of a call."""
        sink, self._sink = self._sink, None
        if sink is None or self._called_s is not None or not hasattr(sink, "close"):
            return
        try:
            sink.close()
        except Exception:
            self._counts.failed()
            log.exception("sink %s failed to close", self._name)
