"""The supervisor's state of each process, and the rules by which it counts as hung or beyond its restart budget."""

from __future__ import annotations

import signal
from collections import Counter, deque
from dataclasses import dataclass, field

from pipeline.config.schema import RestartConfig
from pipeline.errors import TallycamError
from pipeline.runtime.local_engine import Handle
from pipeline.runtime.process_clock import STOPPED, WAITS_FOR_DISK, starved_s, state_of, waited_s
from pipeline.stages.topology import Process
from pipeline.transport.messages import Report

START_S = 180.0
"""Time until the first heartbeat of a process: it imports its libraries."""
PREPARE_S = 1800.0
"""Silence allowed to a process that announced long work: a model is compiled, an engine is built."""
SLOW_S = 30.0
"""Silence allowed to a process that announced slow work."""
SLOW_FACTOR = 10.0
"""Silence allowed to a model, in multiples of the time that it is expected to take."""
WATCH_S = 0.8
"""Silence from which on a process is looked at more closely: several heartbeats are missing."""
STOPPED_S = 2.0
"""Silence allowed to a process that was stopped by a signal, or by a debugger."""
DISK_S = 60.0
"""Silence allowed to a process that waits for a disk."""


class RestartBudget:
    """Allows `starts` restarts within any `within_s` seconds."""

    def __init__(self, config: RestartConfig) -> None:
        self._config = config
        self._restarts_s: deque[float] = deque()

    def allow(self, now_s: float) -> bool:
        """Whether one more restart is within the budget; it is then spent.

        Args:
            now_s: Monotonic time.
        """
        while self._restarts_s and now_s - self._restarts_s[0] > self._config.within_s:
            self._restarts_s.popleft()
        if len(self._restarts_s) >= self._config.starts:
            return False
        self._restarts_s.append(now_s)
        return True

    def __str__(self) -> str:
        return f"{len(self._restarts_s)} of {self._config.starts} restarts within {self._config.within_s:g} s"


def silence_limit_s(state: str, config: RestartConfig, batch_s: float = 0.0) -> float:
    """Longest silence, in seconds, before a process counts as hung.

    Args:
        state: As in `messages.Beat`.
        config: With the limit for ordinary work.
        batch_s: Seconds that the batch under way is expected to take, in `segment`.
    """
    limits = {"starting": START_S, "preparing": PREPARE_S, "slow": SLOW_S}
    return max(config.heartbeat_s, limits.get(state, 0.0), SLOW_FACTOR * batch_s)


def exit_reason(status: int, more: str = "") -> str:
    """Text for an exit status: `exit status 1`, `signal 11 (SIGSEGV)`.

    Args:
        status: As `subprocess` has it: -N for signal N.
        more: What else is known.
    """
    more = f", {more}" if more else ""
    if status >= 0:
        return f"exit status {status}{more}"
    try:
        return f"signal {-status} ({signal.Signals(-status).name}){more}"
    except ValueError:
        return f"signal {-status}{more}"


@dataclass(slots=True)
class ProcessState:
    """One row of the process table.

    Attributes:
        process: Its place in the topology.
        handle: The running, or ended, process.
        budget: Restarts that it has left.
        incarnation: Of the running process.
        started_s: Monotonic time of its start.
        heard_s: Monotonic time of the last heartbeat, or of the start.
        state: As in `Beat`.
        restarts: How often it was started again by this supervisor.
        report: The last one.
        carried: Reason -> frames dropped by earlier incarnations.
        was_ready: Whether any incarnation was ready.
        stuck: It was killed because it fell silent.
        ended: It has ended and is not started again.
        leaving: Its stream is being removed: it is not started again.
        failure: Why it, and its stream with it, has ended.
        given_up: Why it used up its restarts; None once it works again.
        retry_s: Monotonic time at which it is tried again nevertheless.
        bare: It runs without its sinks, as in `StageContext`.
        waited: As of `process_clock.waited_s`, at the last heartbeat or a little later.
    """

    process: Process
    handle: Handle
    budget: RestartBudget
    incarnation: int
    started_s: float
    heard_s: float
    state: str = "starting"
    restarts: int = 0
    report: Report = field(default_factory=Report)
    carried: Counter[str] = field(default_factory=Counter)
    was_ready: bool = False
    stuck: bool = False
    ended: bool = False
    leaving: bool = False
    failure: TallycamError | None = None
    given_up: TallycamError | None = None
    retry_s: float | None = None
    bare: bool = False
    waited: dict[str, float] = field(default_factory=dict)
    _waited_of_s: float = 0.0

    @property
    def over(self) -> bool:
        """Whether it has ended for good."""
        return self.ended and self.retry_s is None

    def stuck_because(self, now_s: float, config: RestartConfig) -> str:
        """Why the process counts as hung; empty where it does not, or was found before.

        Silence during which other processes had the processors does not count.

        Args:
            now_s: Monotonic time.
            config: With the limit for ordinary work.
        """
        silent_s = now_s - self.heard_s
        if self.stuck or silent_s < WATCH_S:
            return ""
        if self._waited_of_s != self.heard_s:  # the first look since that heartbeat
            self._waited_of_s, self.waited = self.heard_s, waited_s(self.handle.pid)
        state = state_of(self.handle.pid)
        if state == STOPPED and silent_s > STOPPED_S:
            self.stuck = True
            return f"stopped by a signal, and no heartbeat for {silent_s:.1f} s"
        limit_s = silence_limit_s(self.state, config, self.report.values.get("batch_s", 0.0))
        if state == WAITS_FOR_DISK:
            limit_s = max(limit_s, DISK_S)
        if silent_s <= limit_s:
            return ""
        counted_s = silent_s - starved_s(self.waited, waited_s(self.handle.pid))
        if counted_s <= limit_s:
            return ""
        self.stuck = True
        return f"no heartbeat for {silent_s:.1f} s while {self.state}"

    @property
    def dropped(self) -> Counter[str]:
        """Reason -> frames, over all incarnations."""
        return self.carried + Counter(self.report.dropped)

    def restarted(self, handle: Handle, now_s: float) -> None:
        """Enters the next incarnation. Totals go on; each incarnation counts its drops from zero.

        Args:
            handle: Of the new process.
            now_s: Monotonic time.
        """
        self.carried.update(self.report.dropped)
        self.report = Report(
            frames_in=self.report.frames_in,
            frames_out=self.report.frames_out,
            values=self.report.values,
            texts=self.report.texts,
            streams=self.report.streams,
            paces=self.report.paces,
        )
        self.restarts += 1
        self.incarnation += 1
        self.state, self.stuck = "starting", False
        self.started_s = self.heard_s = now_s
        self.ended, self.retry_s = False, None
        self.handle = handle
