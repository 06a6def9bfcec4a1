"""Runs a frame sink of another package so that its faults stay its own.

The sink lives in a thread. What it is to take waits in a bounded queue, so a slow sink holds up neither counting nor
heartbeats. A call that fails is logged and counted; a sink that fails `FAILURES_MAX` times in a row, or does not return
for `STUCK_S`, is switched off for the rest of the run.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

from pipeline.sinks.sink import VideoInfo
from pipeline.transport.messages import FrameTracks
from pipeline.transport.planes import Planes

log = logging.getLogger(__name__)

Call: TypeAlias = Callable[[Any], None]
"""A call of a sink that is yet to be made; it gets the sink."""

FAILURES_MAX = 5
STUCK_S = 30.0
CLOSE_S = 5.0
"""Time to work off what waits when the stream has ended."""
CALLS_WAITING = 4


class SinkCounts(Protocol):
    """Counts what goes wrong with a sink."""

    def failed(self) -> None:
        """A call has failed."""

    def lost(self, number: int) -> None:
        """Counts frames or events that did not reach the sink.

        Args:
            number: How many.
        """


class Guard:
    """A sink in a thread of its own.

    Args:
        name: In the configuration.
        make: Constructs the sink; called in the thread.
        counts: Counts what goes wrong.
        clock: Monotonic seconds.
        capacity: Calls that may wait.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[], Any],
        counts: SinkCounts,
        clock: Callable[[], float] = time.monotonic,
        capacity: int = CALLS_WAITING,
    ) -> None:
        self._name, self._make, self._capacity = name, make, capacity
        self._counts, self._clock = counts, clock
        self._waiting: deque[tuple[Call, int]] = deque()
        self._changed = threading.Condition()
        self._called_s: float | None = clock()
        """When the call under way began."""
        self._off = False
        self._closing_s: float | None = None
        self._thread = threading.Thread(target=self._work, name=f"sink {name}", daemon=True)
        self._thread.start()

    @property
    def off(self) -> bool:
        """Whether the sink is switched off."""
        return self._off

    def has_room(self) -> bool:
        """Whether a call can be offered; true as well if the sink is switched off and gets none."""
        with self._changed:
            called_s, full = self._called_s, len(self._waiting) >= self._capacity
        if full and called_s is not None and self._clock() - called_s > STUCK_S:
            self._switch_off(f"it has not returned for {STUCK_S:.0f} s")
        return self._off or not full

    def offer(self, call: Call, number: int = 1) -> None:
        """Lets the sink be called, unless it is switched off or too much waits: that is counted as lost.

        Args:
            call: Gets the sink.
            number: Frames that it takes.
        """
        with self._changed:
            if not self._off and len(self._waiting) < self._capacity:
                self._waiting.append((call, number))
                self._changed.notify()
                return
        self._counts.lost(number)

    def close(self) -> None:
        """Lets the sink work off what waits and then close."""
        with self._changed:
            self._closing_s = self._clock()
            self._changed.notify()

    def closed(self) -> bool:
        """Whether the sink has closed, or has had `CLOSE_S` for it."""
        if self._closing_s is None:
            return False
        if not self._thread.is_alive():
            return True
        if self._clock() - self._closing_s <= CLOSE_S:
            return False
        if not self._off:
            self._switch_off(f"it did not finish within {CLOSE_S:.0f} s")
        return True

    def _work(self) -> None:
        """The thread."""
        try:
            sink = self._make()
        except Exception:
            self._counts.failed()
            log.exception("sink %s cannot be opened", self._name)
            self._switch_off("it cannot be opened")
            return
        failures = 0
        while (call := self._next()) is not None:
            try:
                call(sink)
                failures = 0
            except Exception:
                self._counts.failed()
                failures += 1
                if failures == 1:  # what follows is most likely the same
                    log.exception("sink %s failed", self._name)
                if failures == FAILURES_MAX:
                    self._switch_off(f"it failed {failures} times in a row")
        try:
            _close(sink)
        except Exception:
            self._counts.failed()
            log.exception("sink %s failed to close", self._name)

    def _next(self) -> Call | None:
        """The next call; None once the sink is to close."""
        with self._changed:
            self._called_s = None
            self._changed.wait_for(lambda: self._waiting or self._off or self._closing_s is not None)
            if self._off or not self._waiting:
                return None
            self._called_s = self._clock()
            return self._waiting.popleft()[0]

    def _switch_off(self, why: str) -> None:
        with self._changed:
            if self._off:
                return
            self._off = True
            lost = sum(number for _, number in self._waiting)
            self._waiting.clear()
            self._changed.notify()
        self._counts.lost(lost)
        log.error("sink %s is switched off: %s", self._name, why)


def _begin(sink: Any, video: VideoInfo) -> None:
    if hasattr(sink, "begin"):
        sink.begin(video)


def _close(sink: Any) -> None:
    if hasattr(sink, "close"):
        sink.close()


class GuardedFrames:
    """Frames for a sink of another package. A file waits for it; frames of a live source that come too fast are lost.

    Args:
        guard: The sink.
        annotated: Whether it wants frames with annotations.
    """

    def __init__(self, guard: Guard, *, annotated: bool) -> None:
        self._guard, self.annotated = guard, annotated
        self.silence_every_s = 0.0
        self._live = False

    def begin(self, video: VideoInfo) -> None:
        """Calls `begin` of the sink, if it has one.

        Args:
            video: What is known of the frames.
        """
        self._live = video.live
        self._guard.offer(lambda sink: _begin(sink, video), 0)

    def wants(self, tracks: FrameTracks) -> bool:
        """Whether the sink still takes frames: always, unless it is switched off.

        Args:
            tracks: Of the frame that is due.
        """
        return not self._guard.off

    def ready(self) -> bool:
        """Whether it has room, which only a file waits for."""
        return self._live or self._guard.has_room()

    def write_frame(self, planes: Planes, tracks: FrameTracks) -> None:
        """Copies the frame, since its memory is used again, and hands it to the sink.

        Args:
            planes: Its pixels.
            tracks: Its objects, and the counts so far.
        """
        copy = planes.copy()
        self._guard.offer(lambda sink: sink.write_frame(copy, tracks))

    def close(self) -> None:
        """Lets the sink finish."""
        self._guard.close()

    def closed(self) -> bool:
        """Whether it has."""
        return self._guard.closed()
